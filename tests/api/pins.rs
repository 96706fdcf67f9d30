//! The PIN of a device: it unlocks a locked screen there, and nothing else (IAM-17).

use jiff::SignedDuration;
use serde_json::{Value, json};
use wardbook_events::Role;

use crate::helpers::{Answer, Client, PASSWORD, TestApp, quick_config};

const PIN: &str = "749205";

fn log_in(test: &TestApp, device: Option<&Value>) -> (Client, Value) {
    let body = json!({"username": "nurse", "password": PASSWORD, "device": device});
    let answer = test.stranger().post("/v1/auth/login", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let begun = answer.json();
    (test.stranger().with_token(begun["access_token"].as_str().unwrap()), begun)
}
fn lock(client: &Client) {
    assert_eq!(client.post("/v1/sessions/current/lock", &json!({})).status, 204);
    assert_eq!(client.get("/v1/sessions").status, 401);
}
fn unlock(client: &Client, method: &str, secret: &str) -> Answer {
    let secret_name = if method == "password" { "password" } else { "code" };
    client.post("/v1/sessions/current/unlock", &json!({"method": method, secret_name: secret}))
}

#[test]
fn it_unlocks_on_its_own_device_within_its_time() {
    let mut config = quick_config();
    config.tokens.lifetime_s = 8 * 3600;
    let test = TestApp::with(config);
    test.user("nurse", &[Role::Nurse], None);
    let (ward, begun) = log_in(&test, None);
    let (home, _) = log_in(&test, None);
    for bad in ["123456", "111111", "74920", "749 205", "abcdef"] {
        assert_eq!(ward.put("/v1/auth/pin", &json!({"pin": bad})).status, 422, "{bad}");
    }
    assert_eq!(ward.put("/v1/auth/pin", &json!({"pin": PIN})).status, 204);
    assert_eq!(ward.get("/v1/auth/factors").json()["pin"], true);
    assert_eq!(home.get("/v1/auth/factors").json()["pin"], false);

    lock(&ward);
    assert_eq!(ward.post("/v1/auth/step-up", &json!({})).json()["methods"], json!(["password", "pin"]));
    assert_eq!(unlock(&ward, "pin", PIN).status, 204);
    assert_eq!(ward.get("/v1/sessions").status, 200);
    lock(&home);
    assert_eq!(unlock(&home, "pin", PIN).status, 401, "another device");

    // Also in the next session of the device, after the idle time; the fresh proof it had is not renewed by it.
    let (again, _) = log_in(&test, Some(&begun["device"]));
    test.clock.advance(SignedDuration::from_mins(16));
    assert_eq!(again.get("/v1/sessions").status, 401);
    assert_eq!(unlock(&again, "pin", PIN).status, 204);
    let body = json!({"challenge": "x", "method": "pin", "code": PIN});
    assert_eq!(again.post("/v1/auth/step-up/confirm", &body).status, 401, "a PIN is no fresh proof");
    assert_eq!(test.stranger().post("/v1/auth/second-factor", &body).status, 400, "and no login");
    for _ in 0..3 {
        test.clock.advance(SignedDuration::from_mins(16));
        assert_eq!(unlock(&again, "pin", PIN).status, 204);
    }
    assert_eq!(again.put("/v1/auth/pin", &json!({"pin": PIN})).status, 401, "an hour after the login it is not fresh");
    test.clock.advance(SignedDuration::from_mins(46));
    assert_eq!(unlock(&again, "pin", PIN).status, 401, "kept locked for too long, the session is over");
}

#[test]
fn three_tries_and_then_it_takes_the_password() {
    let test = TestApp::start();
    test.user("nurse", &[Role::Nurse], None);
    let (ward, _) = log_in(&test, None);
    assert_eq!(ward.put("/v1/auth/pin", &json!({"pin": PIN})).status, 204);
    lock(&ward);
    for wrong in ["749206", "749207", "749208"] {
        assert_eq!(unlock(&ward, "pin", wrong).status, 401);
    }
    assert_eq!(unlock(&ward, "pin", PIN).status, 401, "it was the right one");
    assert_eq!(unlock(&ward, "password", PASSWORD).status, 204);
}

#[test]
fn it_survives_a_restart_and_goes_when_it_is_taken_away_or_not_allowed() {
    let test = TestApp::start();
    test.user("nurse", &[Role::Nurse], None);
    let (ward, _) = log_in(&test, None);
    assert_eq!(ward.put("/v1/auth/pin", &json!({"pin": PIN})).status, 204);
    lock(&ward);
    let test = TestApp::in_dir(quick_config(), test.stop());
    let ward = test.stranger().with_headers_of(&ward);
    assert_eq!(unlock(&ward, "pin", PIN).status, 204);
    assert_eq!(ward.delete("/v1/auth/factors/pin").status, 204);
    assert_eq!(ward.delete("/v1/auth/factors/pin").status, 404);
    lock(&ward);
    assert_eq!(unlock(&ward, "pin", PIN).status, 401);
    assert_eq!(unlock(&ward, "password", PASSWORD).status, 204);
    assert_eq!(ward.put("/v1/auth/pin", &json!({"pin": PIN})).status, 204);

    let mut config = quick_config();
    config.sessions.pin_unlock = false;
    let test = TestApp::in_dir(config, test.stop());
    let ward = test.stranger().with_headers_of(&ward);
    assert_eq!(ward.put("/v1/auth/pin", &json!({"pin": PIN})).status, 409);
    lock(&ward);
    assert_eq!(unlock(&ward, "pin", PIN).status, 401);
}
