//! How sessions go on, are renewed, locked and unlocked, and all the ways in which they end.

use jiff::SignedDuration;
use serde_json::{Value, json};
use wardbook::sessions::{Swept, sweep};
use wardbook_events::{Role, UserId};

use crate::helpers::{Answer, Client, PASSWORD, TestApp, block_on, quick_config};

/// A user who logged in.
struct Nurse {
    user: UserId,
    client: Client,
    begun: Value,
}

fn begin(test: &TestApp, name: &str) -> (Client, Value) {
    let answer = test.stranger().post("/v1/auth/login", &json!({"username": name, "password": PASSWORD}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    (test.stranger().with_token(answer.json()["access_token"].as_str().unwrap()), answer.json())
}

fn nurse(test: &TestApp) -> Nurse {
    let user = test.user("nurse", &[Role::Nurse, Role::Billing], None);
    let (client, begun) = begin(test, "nurse");
    Nurse { user, client, begun }
}

fn status(client: &Client) -> u16 {
    client.get("/v1/sessions").status
}

fn renew(test: &TestApp, token: &Value) -> Answer {
    test.stranger().post("/v1/auth/refresh", &json!({"refresh_token": token}))
}

fn minutes(test: &TestApp, minutes: i64) {
    test.clock.advance(SignedDuration::from_mins(minutes));
}

/// The reasons that stand in the trail, in order.
fn ended_because(test: &TestApp) -> Vec<String> {
    let ledger = test.app.ledger();
    let mut reasons = Vec::new();
    for position in 0..ledger.head().durable {
        let entry = ledger.read(wardbook_ledger::Position(position)).unwrap().unwrap();
        if entry.event_type().as_str() == "identity.sessions-ended" {
            let body: Value = serde_json::from_slice(entry.body()).unwrap();
            reasons.push(body["reason"].as_str().unwrap().to_owned());
        }
    }
    reasons
}

#[test]
fn tokens_are_renewed_and_a_stolen_one_ends_everything() {
    let test = TestApp::start();
    let Nurse { client, begun, .. } = nurse(&test);
    let (other, _) = begin(&test, "nurse");
    let first = &begun["refresh_token"];
    minutes(&test, 14);
    assert_eq!((status(&client), status(&other)), (200, 200));
    let renewed = renew(&test, first);
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    minutes(&test, 2);
    let client = test.stranger().with_token(renewed.json()["access_token"].as_str().unwrap());
    assert_eq!(status(&client), 200, "beyond the first access token");

    let test = TestApp::in_dir(quick_config(), test.stop());
    minutes(&test, 16);
    let client = Client::new(&test.base).with_headers_of(&client);
    let head = test.app.ledger().head().durable;
    for garbage in ["", "wbr1_x", "x", first.as_str().unwrap().trim_end_matches(char::is_alphanumeric)] {
        assert_eq!(renew(&test, &json!(garbage)).status, 401);
    }
    let mut guess = first.as_str().unwrap().to_owned();
    guess.replace_range(71..72, if &guess[71..72] == "A" { "B" } else { "A" });
    assert_eq!(renew(&test, &json!(guess)).status, 401);
    assert_eq!(test.app.ledger().head().durable, head, "what never was a token leaves no trace");
    assert_eq!(status(&client), 200);
    let stolen = renew(&test, first);
    assert_eq!((stolen.status, stolen.json()["type"].clone()), (401, json!("/problems/unauthenticated")));
    assert_eq!(status(&client), 401, "a token used twice ends all sessions");
    assert_eq!(renew(&test, &renewed.json()["refresh_token"]).status, 401);
    assert_eq!(ended_because(&test), ["token-theft"]);
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again_with_its_key() {
    let test = TestApp::start();
    let Nurse { begun, .. } = nurse(&test);
    let keyed = test.stranger().with("Idempotency-Key", "once");
    let body = json!({"refresh_token": begun["refresh_token"]});
    let (first, again) = (keyed.post("/v1/auth/refresh", &body), keyed.post("/v1/auth/refresh", &body));
    assert_eq!((first.status, again.status), (200, 200), "{}", again.text());
    assert_eq!(first.json()["refresh_token"], again.json()["refresh_token"]);
    assert_eq!(renew(&test, &first.json()["refresh_token"]).status, 200);
    assert_eq!(keyed.post("/v1/auth/refresh", &body).status, 401, "not once its answer was used");
    assert!(ended_because(&test).is_empty());
}

#[test]
fn every_way_a_session_ends_holds_for_the_next_call() {
    let test = TestApp::start();
    let Nurse { user, client, .. } = nurse(&test);
    test.user("guard", &[Role::SecurityAdmin], None);
    test.user("admin", &[Role::Admin], None);
    let (guard, admin) = (test.log_in("guard"), test.log_in("admin"));
    let fresh = || begin(&test, "nurse").0;

    assert_eq!(client.post("/v1/auth/logout", &json!({})).status, 204);
    assert_eq!(status(&client), 401);

    let (one, other) = (fresh(), fresh());
    let id = |client: &Client| client.get("/v1/auth/session").json()["session"].as_str().unwrap().to_owned();
    assert_eq!(one.delete(&format!("/v1/sessions/{}", id(&guard))).status, 404, "another's session");
    assert_eq!(status(&guard), 200);
    assert_eq!(one.delete(&format!("/v1/sessions/{}", id(&other))).status, 204);
    assert_eq!((status(&one), status(&other)), (200, 401));
    let other = fresh();
    assert_eq!(one.delete("/v1/sessions").json()["ended"], 1);
    assert_eq!((status(&one), status(&other)), (200, 401));

    let path = format!("/v1/users/{user}/sessions");
    assert_eq!(one.get(&path).status, 403);
    let shown = guard.get(&path).json()["sessions"][0]["session"].as_str().unwrap().to_owned();
    assert_eq!((shown.len(), &id(&one)[..8]), (8, shown.as_str()), "eight digits of another's session");
    assert_eq!(guard.delete(&format!("{path}/{shown}")).json()["ended"], 1);
    assert_eq!(status(&one), 401);
    let one = fresh();
    assert_eq!(guard.delete(&path).json()["ended"], 1);
    assert_eq!(status(&one), 401);

    let one = fresh();
    let new = json!({"password": "Quartz-17-lantern-Meadow"});
    assert_eq!(admin.put(&format!("/v1/users/{user}/password"), &new).status, 204);
    assert_eq!(status(&one), 401);
    let login = json!({"username": "nurse", "password": "Quartz-17-lantern-Meadow"});
    let again = test.stranger().post("/v1/auth/login", &login).json();
    let one = test.stranger().with_token(again["access_token"].as_str().unwrap());
    assert_eq!(admin.delete(&format!("/v1/users/{user}/roles/billing")).status, 204);
    assert_eq!(status(&one), 401);
    assert_eq!(
        ended_because(&test),
        ["user", "user", "administrator", "administrator", "password-changed", "role-changed"]
    );
}

#[test]
fn an_idle_session_is_locked_then_ended_and_a_restart_changes_nothing() {
    let test = TestApp::start();
    let Nurse { client, begun, .. } = nurse(&test);
    minutes(&test, 14);
    assert_eq!(status(&client), 200);
    let renewed = renew(&test, &begun["refresh_token"]).json();
    let client = test.stranger().with_token(renewed["access_token"].as_str().unwrap());
    let unlock = |client: &Client, word: &str| {
        client.post("/v1/sessions/current/unlock", &json!({"method": "password", "password": word})).status
    };
    minutes(&test, 14);
    assert_eq!(status(&client), 200, "every call counts");
    let renewed = renew(&test, &renewed["refresh_token"]).json();
    minutes(&test, 15);
    // The access token has run out by then: it is renewed for the unlocking, which is no sign of life.
    let renewed = renew(&test, &renewed["refresh_token"]).json();
    let client = test.stranger().with_token(renewed["access_token"].as_str().unwrap());
    assert_eq!(client.get("/v1/sessions").json()["type"], "/problems/session-locked");
    assert_eq!(client.get("/v1/auth/session").json()["locked"], true);
    assert_eq!(unlock(&client, "not the password"), 401);
    assert_eq!(unlock(&client, PASSWORD), 204);
    assert_eq!(status(&client), 200);
    assert_eq!(client.post("/v1/sessions/current/lock", &json!({})).status, 204);
    assert_eq!(client.get("/v1/sessions").json()["type"], "/problems/session-locked");
    assert_eq!(unlock(&client, PASSWORD), 204);

    let now = test.app.now();
    let test = TestApp::in_dir(quick_config(), test.stop());
    test.clock.advance(now.duration_since(test.app.now()));
    let client = Client::new(&test.base).with_headers_of(&client);
    assert_eq!(status(&client), 200);
    minutes(&test, 14);
    assert_eq!(block_on(sweep(&test.app)).unwrap(), Swept::default());
    minutes(&test, 1);
    assert_eq!(block_on(sweep(&test.app)).unwrap(), Swept { locked: 1, ended: 0 });
    minutes(&test, 29);
    assert_eq!(block_on(sweep(&test.app)).unwrap(), Swept::default());
    minutes(&test, 1);
    assert_eq!(block_on(sweep(&test.app)).unwrap(), Swept { locked: 0, ended: 1 });
    assert_eq!(renew(&test, &renewed["refresh_token"]).status, 401);
    assert_eq!(ended_because(&test), ["idle"]);
}

#[test]
fn documentation_mode_is_for_those_who_treat() {
    let mut config = quick_config();
    config.tokens.lifetime_s = 3_600;
    let test = TestApp::with(config);
    let Nurse { client, .. } = nurse(&test);
    let (_, clerk) = test.client(&[Role::Registrar]);
    let mode = |client: &Client, minutes: u16| {
        client.post("/v1/sessions/current/documentation-mode", &json!({"minutes": minutes})).status
    };
    assert_eq!((mode(&clerk, 60), mode(&client, 481), mode(&client, 120)), (403, 422, 204));
    minutes(&test, 44);
    assert_eq!((status(&client), status(&clerk)), (200, 401));
}

#[test]
fn the_oldest_session_makes_room_or_a_new_one_is_refused() {
    let mut config = quick_config();
    config.sessions.max = 3;
    let test = TestApp::with(config.clone());
    let Nurse { client, .. } = nurse(&test);
    let others: Vec<_> = (0..3).map(|_| begin(&test, "nurse").0).collect();
    assert_eq!(status(&client), 401);
    assert!(others.iter().all(|client| status(client) == 200));
    assert_eq!(others[0].get("/v1/sessions").json()["sessions"].as_array().unwrap().len(), 3);
    config.sessions.when_full = wardbook::config::WhenFull::Refuse;
    let test = TestApp::in_dir(config, test.stop());
    let refused = test.stranger().post("/v1/auth/login", &json!({"username": "nurse", "password": PASSWORD}));
    assert_eq!(refused.status, 409, "{}", refused.text());
}

#[test]
fn a_session_used_from_elsewhere_ends() {
    let test = TestApp::start();
    let Nurse { client, begun, .. } = nurse(&test);
    let thief = client.with("User-Agent", "something else");
    assert_eq!(status(&thief), 401);
    assert_eq!(status(&client), 401, "nobody knows which of the two is the owner");
    let (client, again) = begin(&test, "nurse");
    let body = json!({"refresh_token": again["refresh_token"]});
    assert_eq!(test.stranger().with("User-Agent", "x").post("/v1/auth/refresh", &body).status, 401);
    assert_eq!(status(&client), 401);
    assert_eq!(ended_because(&test), ["hijack", "hijack"]);
    assert_eq!(renew(&test, &begun["refresh_token"]).status, 401);
}

#[test]
fn a_browser_holds_its_tokens_in_cookies_and_proves_that_it_meant_it() {
    let test = TestApp::start();
    nurse(&test);
    let body = json!({"username": "nurse", "password": PASSWORD, "cookies": true});
    let answer = test.stranger().post("/v1/auth/login", &body);
    let begun = answer.json();
    for kept in ["access_token", "refresh_token", "device"] {
        assert!(begun.get(kept).is_none(), "{kept} stays out of reach of scripts");
    }
    let cookies = |answer: &Answer| -> Vec<String> {
        answer.all("set-cookie").iter().map(|line| line.split(';').next().unwrap().to_owned()).collect()
    };
    let kept = cookies(&answer);
    assert_eq!(kept.len(), 3, "{kept:?}");
    let browser = test.stranger().with("Cookie", &kept.join("; "));
    assert_eq!(status(&browser), 200);
    let csrf = begun["csrf_token"].as_str().unwrap();
    assert_eq!(browser.get("/v1/auth/session").json()["csrf_token"], csrf);
    let lock = browser.post("/v1/sessions/current/lock", &json!({}));
    assert_eq!((lock.status, lock.json()["type"].clone()), (403, json!("/problems/csrf")));
    let page = browser.with("X-CSRF-Token", csrf);
    assert_eq!(page.post("/v1/sessions/current/documentation-mode", &json!({"minutes": 5})).status, 204);
    assert_eq!(browser.post("/v1/auth/refresh", &json!({})).status, 403);
    let renewed = page.post("/v1/auth/refresh", &json!({}));
    assert_eq!((renewed.status, cookies(&renewed).len()), (200, 2), "{}", renewed.text());
    let other = test.stranger().with("Cookie", &kept.join("; ")).with("X-CSRF-Token", &"0".repeat(64));
    assert_eq!(other.delete("/v1/sessions").status, 403);
    let twice = format!("{}; {}", kept[0], kept[0]);
    assert_eq!(status(&test.stranger().with("Cookie", &twice)), 401, "of two cookies neither is believed");
    let out = page.post("/v1/auth/logout", &json!({}));
    assert!(out.status == 204 && out.all("set-cookie").iter().all(|line| line.contains("Max-Age=0")));
}
