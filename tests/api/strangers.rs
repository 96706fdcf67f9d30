//! What somebody without an account can make the ledger grow by: one event a minute, whatever they do.

use jiff::SignedDuration;
use serde_json::json;
use wardbook::config::Rates;
use wardbook_events::Role;

use crate::helpers::routes::{Ids, routes};
use crate::helpers::{Client, PASSWORD, TestApp, quick_config};

/// Tokens that are none of ours: nothing, noise, another scheme, a key that we never had.
fn impostors(stranger: &Client) -> Vec<Client> {
    let forged = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
    let noise = "x".repeat(4_000);
    let cookie = format!("__Host-session={forged}; session={noise}; a; =; ;;");
    vec![
        stranger.clone(),
        stranger.clone().with_token(forged),
        stranger.clone().with_token("wbk1_00000000000000000000000000000000_x"),
        stranger.clone().with_token(&noise),
        stranger.with("Authorization", "Basic bnVyc2U6bnVyc2U="),
        stranger.with("Cookie", &cookie),
    ]
}

fn head(test: &TestApp) -> u64 {
    test.app.ledger().head().durable
}

/// Sends garbage and good form to every route, and wrong passwords for names that nobody has.
fn try_everything(test: &TestApp) {
    let stranger = test.stranger();
    for route in routes() {
        for impostor in impostors(&stranger) {
            let answer = route.call(&impostor, &Ids::new(), &Ids::new());
            // Who forgot a password is told nothing, and by that the same as anybody; a passkey is asked the same of everybody.
            let asks = route.path.ends_with("/forgot") || route.name() == "GET /v1/auth/passkey";
            let open = route.is_open && (!route.path.starts_with("/v1/auth/") || asks);
            assert!(answer.status < 500 || answer.status == 503, "{}: {}", route.name(), answer.text());
            assert!(open || answer.status >= 400, "{} is open to strangers: {}", route.name(), answer.text());
            if route.method != "GET" {
                let path = route.path.replace(['{', '}'], "");
                let answer = impostor.raw(&route.method, &path, Some("application/json"), b"\0{garbage");
                assert!((400..500).contains(&answer.status), "{}: {}", route.name(), answer.text());
            }
        }
    }
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let stranger = stranger.clone();
            scope.spawn(move || {
                for turn in 0..7 {
                    // The same name seven times over is locked by then; others are new.
                    let name = if thread == 0 { "nobody".to_owned() } else { format!("nobody-{thread}-{turn}") };
                    let body = json!({"username": name, "password": PASSWORD});
                    assert!(matches!(stranger.post("/v1/auth/login", &body).status, 401 | 423 | 429));
                }
            });
        }
    });
}

#[test]
fn whatever_strangers_do_is_one_event_a_minute() {
    let test = TestApp::start();
    test.user("nurse", &[Role::Nurse], None);
    for _ in 0..2 {
        let before = head(&test);
        try_everything(&test);
        assert_eq!(head(&test), before, "nothing is written while it goes on");
        test.clock.advance(SignedDuration::from_mins(1));
        for _ in 0..3 {
            wardbook::strangers::write(&test.app, false).unwrap();
        }
        let last = test.app.ledger().read(wardbook_ledger::Position(before)).unwrap().unwrap();
        assert_eq!((head(&test), last.event_type().as_str()), (before + 1, "identity.strangers-counted"));
    }
}

#[test]
fn who_is_turned_away_writes_nothing() {
    let mut config = quick_config();
    config.rates =
        Rates { auth_per_minute: 5, read_per_minute: 5, write_per_minute: 5, public_per_minute: 5, ..Rates::off() };
    let test = TestApp::with(config);
    test.user("nurse", &[Role::Nurse], None);
    let before = head(&test);
    let answers: Vec<_> =
        routes().iter().map(|route| route.call(&test.stranger(), &Ids::new(), &Ids::new()).status).collect();
    assert!(answers.iter().filter(|status| **status == 429).count() > answers.len() / 3, "{answers:?}");
    assert_eq!(head(&test), before);
}

#[test]
fn guessing_a_known_name_is_a_few_events_and_then_a_number() {
    let test = TestApp::start();
    test.user("nurse", &[Role::Nurse], None);
    let before = head(&test);
    // The failures, the lock, and the alert about it.
    let most = u64::from(test.app.config().lockout.failures_max) + 2;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let wrong = json!({"username": "nurse", "password": "Quite-43-wrong-Passwords"});
                    assert!(matches!(test.stranger().post("/v1/auth/login", &wrong).status, 401 | 423 | 429));
                }
            });
        }
    });
    let written = head(&test) - before;
    println!("80 wrong passwords of one user are {written} events");
    assert!(written >= 1 && written <= most, "{written}");
}
