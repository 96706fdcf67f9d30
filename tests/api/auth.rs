use std::time::Instant;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wardbook::config::{Config, SecondFactor};
use wardbook::operator::operator;
use wardbook_events::identity::IdentityEvent;
use wardbook_events::{Event, Role, UserId};
use wardbook_ledger::Position;

use crate::helpers::{Answer, Client, HOUSE, PASSWORD, TestApp, block_on, quick_config, same_answer};

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

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..3).for_each(|_| assert!(matches!(failed(&test, "somebody").status, 401 | 423))));
        }
    });
    let written = test.app.ledger().head().durable - before - 1;
    let failures = u64::from(test.app.config().lockout.failures_max);
    // The lock, and the alert that follows it a moment later.
    assert!((failures + 1..=failures + 2).contains(&written), "failures are events up to the lock: {written}");
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
    let name = admin.get(&format!("/v1/users/{user}")).json()["username"].as_str().unwrap().to_owned();
    assert_eq!(admin.delete(&format!("/v1/users/{user}/roles/nurse")).status, 204);
    assert_eq!(client.get("/v1/auth/session").status, 401, "who loses a role logs in anew");
    let client = HOUSE.test.log_in(&name);
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

fn totp(secret: &[u8], test: &TestApp, steps: i64) -> String {
    let totp =
        totp_rs::Builder::new().with_secret(secret).with_step_duration(30).with_account_name("x").build().unwrap();
    totp.generate((test.app.now().as_second() + 30 * steps).unsigned_abs()).to_string()
}

/// A user with an authenticator app, and its secret.
fn with_app(test: &TestApp, name: &str) -> (UserId, [u8; 20]) {
    let (user, secret) = (test.user(name, &[Role::Nurse], None), *b"twenty bytes are one");
    let asker = operator(test.app.config().organisation.id, Role::Admin, test.app.new_id().unwrap());
    let origin = asker.origin(test.app.now(), test.app.chance().bytes().unwrap(), None);
    block_on(async {
        let done = test.app.commands().enrol_totp(asker.principal().tenant, &origin, user, &secret).await.unwrap();
        test.app.seen(done.receipts.last().unwrap()).await.unwrap();
    });
    (user, secret)
}

fn strict() -> Config {
    let mut config = quick_config();
    config.login.second_factor = SecondFactor::Everyone;
    config
}

fn password(test: &TestApp, name: &str) -> Answer {
    test.stranger().post("/v1/auth/login", &json!({"username": name, "password": PASSWORD}))
}

fn code(test: &TestApp, challenge: &Value, code: &str) -> Answer {
    test.stranger().post("/v1/auth/second-factor", &json!({"challenge": challenge, "method": "totp", "code": code}))
}

#[test]
fn a_login_takes_a_second_factor_also_across_a_restart() {
    let test = TestApp::with(strict());
    let (_, secret) = with_app(&test, "nurse");
    let asked = password(&test, "nurse").json();
    assert_eq!((&asked["next"], &asked["methods"]), (&json!("second-factor"), &json!(["totp"])), "{asked}");
    let absent = test.stranger().post("/v1/auth/second-factor", &json!({"challenge": asked["challenge"]}));
    assert_eq!(absent.status, 400);
    assert!(absent.json()["detail"].as_str().unwrap().contains("MFA"));

    let test = TestApp::in_dir(strict(), test.stop());
    let right = totp(&secret, &test, 0);
    let done = code(&test, &asked["challenge"], &right);
    assert_eq!(done.status, 200, "{}", done.text());
    let client = test.stranger().with_token(done.json()["access_token"].as_str().unwrap());
    let session = client.get("/v1/auth/session").json();
    assert_eq!(session["mfa"], 1);
    assert!(session["fresh_until"].is_string());

    assert_eq!(code(&test, &asked["challenge"], &totp(&secret, &test, 1)).status, 401, "a challenge is redeemed once");
    let asked = password(&test, "nurse").json();
    assert_eq!(code(&test, &asked["challenge"], &right).status, 401, "a code counts once");
    assert_eq!(code(&test, &asked["challenge"], &totp(&secret, &test, 2)).status, 401, "two steps are too far");
    assert_eq!(code(&test, &asked["challenge"], &totp(&secret, &test, 1)).status, 200, "a clock may be a step ahead");
    let asked = password(&test, "nurse").json();
    test.clock.advance(SignedDuration::from_secs(300));
    let late = code(&test, &asked["challenge"], &totp(&secret, &test, 0));
    assert_eq!(late.status, 401, "the next step must come within five minutes");
    same_answer(&late, &code(&test, &json!("wbc1_garbage"), "000000"));
}

#[test]
fn who_has_no_second_factor_must_enrol_one() {
    let test = TestApp::with(strict());
    test.user("nurse", &[Role::Nurse], None);
    let asked = password(&test, "nurse").json();
    assert_eq!(asked["next"], "enrol");
    assert!(asked["methods"].as_array().unwrap().contains(&json!("totp")), "{asked}");
    assert!(asked.get("access_token").is_none());
}

#[test]
fn five_failures_lock_whoever_does_not_come_from_a_known_device() {
    let test = TestApp::start();
    let (_, secret) = with_app(&test, "nurse");
    test.user("guard", &[Role::SecurityAdmin], None);
    let asked = password(&test, "nurse").json();
    let begun = code(&test, &asked["challenge"], &totp(&secret, &test, 0)).json();
    let client = test.stranger().with_token(begun["access_token"].as_str().unwrap());
    for _ in 0..5 {
        assert_eq!(failed(&test, "nurse").status, 401);
        assert_eq!(failed(&test, "nobody").status, 401);
    }
    let (known, unknown, right) = (failed(&test, "nurse"), failed(&test, "nobody"), password(&test, "nurse"));
    assert_eq!(known.status, 423);
    assert_eq!(known.header("retry-after"), "1801");
    same_answer(&known, &unknown);
    same_answer(&known, &right);
    assert_eq!(client.get("/v1/auth/session").status, 200, "strangers cannot throw anybody out");
    let own = json!({"username": "nurse", "password": PASSWORD, "device": begun["device"]});
    assert_eq!(test.stranger().post("/v1/auth/login", &own).status, 200, "nor keep the user's own device out");

    let test = TestApp::in_dir(quick_config(), test.stop());
    assert_eq!(password(&test, "nurse").status, 423, "a restart does not end a lock");
    let user = test.app.views().identity.user_by_name("nurse").unwrap().unwrap().user;
    let unlocked = test.log_in("guard").post(&format!("/v1/users/{user}/unlock"), &json!({}));
    assert_eq!(unlocked.status, 204, "{}", unlocked.text());
    assert_eq!(password(&test, "nurse").status, 200);
    for _ in 0..5 {
        failed(&test, "nurse");
    }
    test.clock.advance(SignedDuration::from_mins(30));
    assert_eq!(password(&test, "nurse").status, 200, "and half an hour does");
}

#[test]
fn a_fresh_proof_is_asked_for_and_given_once() {
    let test = TestApp::start();
    let (_, secret) = with_app(&test, "nurse");
    let asked = password(&test, "nurse").json();
    let begun = code(&test, &asked["challenge"], &totp(&secret, &test, 0)).json();
    let client = test.stranger().with_token(begun["access_token"].as_str().unwrap());
    test.clock.advance(SignedDuration::from_mins(5));
    let before = client.get("/v1/auth/session").json()["fresh_until"].clone();
    let asked = client.post("/v1/auth/step-up", &json!({})).json();
    assert_eq!(asked["methods"], json!(["totp"]));
    let by = |method: &str, code: &str| {
        let body = json!({"challenge": asked["challenge"], "method": method, "code": code, "password": PASSWORD});
        client.post("/v1/auth/step-up/confirm", &body)
    };
    assert_eq!(by("password", "").status, 401, "who has a second factor uses it");
    assert_eq!(by("totp", "000000").status, 401);
    test.clock.advance(SignedDuration::from_secs(1));
    let right = totp(&secret, &test, 0);
    let done = by("totp", &right);
    assert_eq!(done.status, 200, "{}", done.text());
    assert_ne!(client.get("/v1/auth/session").json()["fresh_until"], before);
    assert_eq!(by("totp", &totp(&secret, &test, 1)).status, 401, "the challenge was redeemed");
}

#[test]
fn a_password_is_hashed_anew_when_the_parameters_change() {
    let test = TestApp::start();
    let user = test.user("nurse", &[Role::Nurse], None);
    let client = test.log_in("nurse");
    let hash = |test: &TestApp| test.app.views().identity.user(user).unwrap().unwrap().passwords.clone();
    let old = hash(&test);
    let mut config = quick_config();
    config.passwords.passes = 2;
    let test = TestApp::in_dir(config, test.stop());
    let client = Client::new(&test.base).with_headers_of(&client);
    test.log_in("nurse");
    let position = test.app.ledger().head().durable - 1;
    block_on(test.app.views().wait_for(position, std::time::Duration::from_secs(10))).unwrap();
    assert_ne!(hash(&test), old);
    assert_eq!(client.get("/v1/auth/session").status, 200, "no session ends for it");
    let renewed = hash(&test);
    test.log_in("nurse");
    assert_eq!(hash(&test), renewed);
}

#[test]
fn the_signing_key_is_changed_by_who_may() {
    let test = TestApp::start();
    test.user("guard", &[Role::SecurityAdmin], None);
    test.user("nurse", &[Role::Nurse], None);
    let (guard, nurse) = (test.log_in("guard"), test.log_in("nurse"));
    assert_eq!(nurse.post("/v1/auth/keys/rotate", &json!({})).status, 403);
    let done = guard.post("/v1/auth/keys/rotate", &json!({}));
    assert_eq!((done.status, &done.json()["keys"]), (200, &json!(2)), "{}", done.text());
    assert_eq!(nurse.get("/v1/auth/session").status, 200, "tokens of the key before are good");
    let test = TestApp::in_dir(quick_config(), test.stop());
    assert_eq!(test.stranger().get("/.well-known/jwks.json").json()["keys"].as_array().unwrap().len(), 2);
    let guard = test.log_in("guard");
    assert_eq!(guard.post("/v1/auth/keys/rotate", &json!({"drop_old": true})).json()["keys"], 1);
    assert_eq!(guard.get("/v1/auth/session").status, 401, "a key that was dropped signed this token");
    // What was done stands in the ledger, with the ids of the key set.
    let told = |position| {
        let entry = test.app.ledger().read(Position(position)).unwrap().unwrap();
        match wardbook::recorded::decode(&entry).unwrap()?.event {
            Event::Identity(IdentityEvent::TokenKeysChanged(changed)) => Some(changed),
            _ => None,
        }
    };
    let told: Vec<_> = (0..test.app.ledger().head().durable).filter_map(told).collect();
    let [first, second] = &told[..] else { panic!("{told:?}") };
    assert!(first.requested && first.forgotten.is_empty() && second.forgotten.contains(&first.signs), "{told:?}");
    let set = test.stranger().get("/.well-known/jwks.json").json();
    assert_eq!(set["keys"][0]["kid"], second.signs.as_str());
}
