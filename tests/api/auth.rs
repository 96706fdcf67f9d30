use std::time::Instant;

use jiff::SignedDuration;
use serde_json::json;
use wardbook_events::Role;

use crate::helpers::{Answer, HOUSE, PASSWORD, TestApp, same_answer};

#[test]
fn who_logs_in_is_known_until_logging_out() {
    let (user, client) = HOUSE.test.client(&[Role::Nurse]);
    let session = client.get("/v1/auth/session");
    assert_eq!(session.status, 200, "{}", session.text());
    assert_eq!(session.json()["user"], user.to_string());
    assert_eq!(session.json()["purpose"], "TREAT");
    let out = client.raw("POST", "/v1/auth/logout", None, b"");
    assert_eq!(out.status, 204, "{}", out.text());
    assert_eq!(client.get("/v1/auth/session").status, 401, "the very next request is refused");
}

#[test]
fn without_a_good_token_nothing_is_to_be_had() {
    let stranger = HOUSE.test.stranger();
    for client in [
        stranger.clone(),
        stranger.clone().with_token("x.y.z"),
        stranger.with("Authorization", "Basic dTpw"),
        HOUSE.test.stranger().with_token(""),
    ] {
        let answer = client.get("/v1/auth/session");
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"wardbook\"");
        assert_eq!(answer.json()["type"], "/problems/unauthenticated");
    }
}

fn failed(test: &TestApp, username: &str) -> Answer {
    test.stranger().post("/v1/auth/login", &json!({"username": username, "password": "not the password at all"}))
}

#[test]
fn a_wrong_name_and_a_wrong_password_are_answered_alike() {
    let test = &HOUSE.test;
    let name = "known.and.wrong";
    test.user(name, &[Role::Nurse], None);
    let (known, unknown) = (failed(test, name), failed(test, "nobody.at.all"));
    assert_eq!(known.status, 401);
    same_answer(&known, &unknown);
    let median = |name: &str| {
        let mut times: Vec<_> =
            (0..7).map(|_| Instant::now()).map(|began| (failed(test, name), began.elapsed()).1).collect();
        times.sort();
        times[3]
    };
    let (known, unknown) = (median(name), median("nobody.at.all"));
    println!("failed logins, median: known {known:?}, unknown {unknown:?}");
    let (low, high) = (known.min(unknown), known.max(unknown));
    assert!(high < low * 2, "known {known:?}, unknown {unknown:?}");
}

#[test]
fn strangers_cannot_flood_the_ledger() {
    let test = TestApp::start();
    test.user("somebody", &[Role::Nurse], None);
    let before = test.app.ledger().head().durable;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let test = &test;
            scope.spawn(move || {
                (0..4).for_each(|n| assert_eq!(failed(test, &format!("guess-{thread}-{n}")).status, 401))
            });
        }
    });
    assert_eq!(test.app.ledger().head().durable, before, "names that nobody has are only counted");
    test.clock.advance(SignedDuration::from_secs(61));
    wardbook::strangers::write(&test.app, false).unwrap();
    assert_eq!(test.app.ledger().head().durable, before + 1, "and written as one event a minute");

    let allowed = u64::from(test.app.config().limits.failed_logins_per_minute);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..3).for_each(|_| assert_eq!(failed(&test, "somebody").status, 401)));
        }
    });
    assert_eq!(
        test.app.ledger().head().durable,
        before + 1 + allowed,
        "a known user's failures are events, up to a limit"
    );
}

#[test]
fn tokens_run_out_and_sessions_end() {
    let test = TestApp::start();
    test.user("nurse", &[Role::Nurse], None);
    let client = test.log_in("nurse");
    test.clock.advance(SignedDuration::from_secs(899));
    assert_eq!(client.get("/v1/auth/session").status, 200);
    test.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(client.get("/v1/auth/session").status, 401);
    assert_eq!(test.log_in("nurse").get("/v1/auth/session").status, 200);
}

#[test]
fn a_session_survives_a_restart_of_the_server() {
    let test = TestApp::start();
    test.user("nurse", &[Role::Nurse], None);
    let token = test.stranger().post("/v1/auth/login", &json!({"username": "NURSE", "password": PASSWORD})).json();
    let again = TestApp::in_dir(crate::helpers::quick_config(), test.stop());
    let client = again.stranger().with_token(token["access_token"].as_str().unwrap());
    assert_eq!(client.get("/v1/auth/session").status, 200);
}

#[test]
fn disabling_and_revoking_hold_for_the_next_request() {
    let admin = HOUSE.client(Role::Admin);
    let (user, client) = HOUSE.test.client(&[Role::Nurse, Role::Billing]);
    assert_eq!(admin.delete(&format!("/v1/users/{user}/roles/nurse")).status, 204);
    assert_eq!(client.get("/v1/auth/session").json()["roles"], json!(["billing"]));
    assert_eq!(admin.delete(&format!("/v1/users/{user}/roles/billing")).status, 409, "the last role stays");
    assert_eq!(admin.post(&format!("/v1/users/{user}/roles"), &json!({"role": "registrar"})).status, 204);
    assert_eq!(client.get("/v1/auth/session").json()["roles"], json!(["billing", "registrar"]));
    assert_eq!(admin.post(&format!("/v1/users/{user}/disable"), &json!({})).status, 204);
    assert_eq!(client.get("/v1/auth/session").status, 401);
    assert_eq!(admin.post(&format!("/v1/users/{user}/enable"), &json!({})).status, 204);
    assert_eq!(client.get("/v1/auth/session").status, 401, "the old session stays ended");
}

#[test]
fn administrators_make_users_who_can_log_in() {
    let admin = HOUSE.client(Role::Admin);
    let body = json!({"username": "new.nurse", "password": PASSWORD, "roles": ["nurse"]});
    let made = admin.post("/v1/users", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let user = made.json()["user"].as_str().unwrap().to_owned();
    assert_eq!(admin.post("/v1/users", &body).status, 409, "the name is taken");
    let client = HOUSE.test.log_in("new.nurse");
    assert_eq!(client.get("/v1/auth/session").json()["user"], user);
    let read = admin.get(&format!("/v1/users/{user}")).json();
    assert_eq!((read["username"].as_str(), read["active"].as_bool()), (Some("new.nurse"), Some(true)));
    assert!(!read.to_string().contains("argon2"));
    let short = json!({"password": "short"});
    assert_eq!(admin.put(&format!("/v1/users/{user}/password"), &short).status, 422);
    assert_eq!(
        admin.put(&format!("/v1/users/{user}/password"), &json!({"password": "Another-12-lanterns-adrift"})).status,
        204
    );
    assert_eq!(
        HOUSE.test.stranger().post("/v1/auth/login", &json!({"username": "new.nurse", "password": PASSWORD})).status,
        401
    );
    let mut seen = 0;
    let mut path = "/v1/users?limit=3".to_owned();
    loop {
        let page = admin.get(&path).json();
        seen += page["users"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/users?limit=3&after={next}");
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn the_key_set_has_public_keys_only() {
    let jwks = HOUSE.test.stranger().get("/.well-known/jwks.json");
    let key = &jwks.json()["keys"][0];
    assert_eq!(
        (key["kty"].as_str(), key["alg"].as_str(), key["use"].as_str()),
        (Some("RSA"), Some("RS256"), Some("sig"))
    );
    assert!(key.get("d").is_none());
}
