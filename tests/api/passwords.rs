use serde_json::json;
use wardbook_events::Role;

use crate::helpers::{Client, Mailbox, PASSWORD, TestApp, quick_config, same_answer};

const NEXT: &str = "Another-12-lanterns-adrift";
const THIRD: &str = "Sixty-4-copper-Magpies";

fn log_in(test: &TestApp, username: &str, password: &str) -> u16 {
    test.stranger().post("/v1/auth/login", &json!({"username": username, "password": password})).status
}

#[test]
fn one_changes_ones_own_password_and_the_other_sessions_end() {
    let test = TestApp::start();
    test.user("nurse", &[Role::Nurse], None);
    let (here, there) = (test.log_in("nurse"), test.log_in("nurse"));
    let change = |client: &Client, current: &str, new: &str| {
        client.put("/v1/auth/password", &json!({"current": current, "new": new}))
    };
    assert_eq!(change(&here, "wrong", NEXT).status, 401);
    for (weak, rule) in [
        ("Short-1", "at least 12"),
        ("no capitals 1 here at all", "upper-case"),
        ("P@ssword12345", "known from breaches"),
        ("January-2026!", "known from breaches"),
        ("1qaz@WSX3edc", "a run on the keyboard"),
        ("Wardbook-2026-May", "little more than"),
        ("Nurse-93-violet-Harbour", "user name"),
        (PASSWORD, "last 24"),
    ] {
        let refused = change(&here, PASSWORD, weak);
        assert_eq!(refused.status, 422, "{weak}");
        assert!(refused.json()["detail"].as_str().unwrap().contains(rule), "{}", refused.text());
    }
    let changed = change(&here, PASSWORD, NEXT);
    assert_eq!(changed.status, 204, "{}", changed.text());
    assert_eq!(here.get("/v1/auth/session").status, 200);
    assert_eq!(there.get("/v1/auth/session").status, 401);
    assert_eq!((log_in(&test, "nurse", PASSWORD), log_in(&test, "nurse", NEXT)), (401, 200));
    assert_eq!(change(&here, NEXT, PASSWORD).status, 422, "it was one of the last");
}

#[test]
fn a_password_set_by_an_administrator_ends_sessions() {
    let test = TestApp::start();
    let (_, admin) = test.client(&[Role::Admin]);
    let user = test.user("nurse", &[Role::Nurse], None);
    let nurse = test.log_in("nurse");
    let path = format!("/v1/users/{user}/password");
    assert_eq!(admin.put(&path, &json!({"password": PASSWORD})).status, 422, "not even then one of the last");
    assert_eq!(admin.put(&path, &json!({"password": NEXT})).status, 204);
    assert_eq!(nurse.get("/v1/auth/session").status, 401);
}

#[test]
fn setting_anothers_password_takes_a_fresh_proof() {
    let mut config = quick_config();
    config.sessions.idle_s = 4 * 3600;
    config.tokens.lifetime_s = 4 * 3600;
    let test = TestApp::with(config);
    let (_, admin) = test.client(&[Role::Admin]);
    let user = test.user("nurse", &[Role::Nurse], None);
    test.clock.advance(jiff::SignedDuration::from_mins(61));
    let stale = admin.put(&format!("/v1/users/{user}/password"), &json!({"password": NEXT}));
    assert_eq!((stale.status, stale.json()["type"].as_str()), (401, Some("/problems/step-up-required")));
    let asked = admin.post("/v1/auth/step-up", &json!({})).json();
    let proof = json!({"challenge": asked["challenge"], "method": "password", "password": PASSWORD});
    assert_eq!(admin.post("/v1/auth/step-up/confirm", &proof).status, 200);
    assert_eq!(admin.put(&format!("/v1/users/{user}/password"), &json!({"password": NEXT})).status, 204);
}

#[test]
fn what_was_taken_from_others_is_on_a_file_that_the_settings_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = quick_config();
    config.passwords.breached_file = dir.path().join("pwned.txt");
    // SHA-1 of NEXT, between two others.
    let lines = [
        "000000005AD76BD555C1D6D771DE417A4B87E4B4:10".to_owned(),
        format!("{}:3", sha1(NEXT)),
        "FFFFFFFF2B4F4C5B1E4E0E0C0B5E4D5A6B7C8D9E:1".to_owned(),
    ];
    std::fs::write(&config.passwords.breached_file, lines.join("\r\n")).unwrap();
    let test = TestApp::with(config);
    let (_, nurse) = test.client(&[Role::Nurse]);
    let change = |new: &str| nurse.put("/v1/auth/password", &json!({"current": PASSWORD, "new": new}));
    let refused = change(NEXT);
    assert!(refused.status == 422 && refused.text().contains("known from breaches"), "{}", refused.text());
    assert_eq!(change(THIRD).status, 204);
}

fn sha1(text: &str) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

#[test]
fn a_forgotten_password_is_reset_by_a_token_that_counts_once() {
    let mailbox = Mailbox::start();
    let mut config = quick_config();
    config.notify = mailbox.settings();
    config.passwords.reset_url = "https://wardbook.example/reset#".to_owned();
    let test = TestApp::with(config);
    let (_, admin) = test.client(&[Role::Admin]);
    let user = test.user("nurse", &[Role::Nurse], None);
    test.user("no.address", &[Role::Nurse], None);
    let contact = admin.put(&format!("/v1/users/{user}/contact"), &json!({"email": "nurse@example.org"}));
    assert_eq!(contact.status, 204, "{}", contact.text());
    let nurse = test.log_in("nurse");

    let forgot = |name: &str| test.stranger().post("/v1/auth/password/forgot", &json!({"username": name}));
    let (known, unknown, unreachable) = (forgot("nurse"), forgot("nobody.at.all"), forgot("no.address"));
    assert_eq!(known.status, 202, "{}", known.text());
    same_answer(&known, &unknown);
    same_answer(&known, &unreachable);
    assert_eq!(forgot("nurse").status, 202);
    let mail = mailbox.next();
    assert_eq!(mail.to, "nurse@example.org");
    let token = mail.word_after("https://wardbook.example/reset#");

    let reset = |token: &str, password: &str| {
        test.stranger().post("/v1/auth/password/reset", &json!({"token": token, "password": password}))
    };
    assert_eq!(reset("wbp_x_y", NEXT).status, 409);
    let mut other = token.clone();
    other.pop();
    other.push(if token.ends_with('A') { 'B' } else { 'A' });
    assert_eq!(reset(&other, NEXT).status, 409);
    assert_eq!(reset(&token, "weak").status, 422, "the token still counts");
    let done = reset(&token, NEXT);
    assert_eq!(done.status, 204, "{}", done.text());
    assert_eq!(reset(&token, THIRD).status, 409, "once");
    assert_eq!(nurse.get("/v1/auth/session").status, 401);
    assert_eq!((log_in(&test, "nurse", PASSWORD), log_in(&test, "nurse", NEXT)), (401, 200));
    assert_eq!(mailbox.count(), 1, "a second message within minutes is not sent");
}

#[test]
fn a_token_runs_out() {
    let mailbox = Mailbox::start();
    let mut config = quick_config();
    config.notify = mailbox.settings();
    let test = TestApp::with(config);
    test.user("nurse", &[Role::Nurse], None);
    let nurse = test.log_in("nurse");
    assert_eq!(nurse.put("/v1/auth/contact", &json!({"email": "nurse@example.org"})).status, 204);
    test.stranger().post("/v1/auth/password/forgot", &json!({"username": "nurse"}));
    let token = mailbox.next().word_after("account.");
    test.clock.advance(jiff::SignedDuration::from_mins(30));
    let late = test.stranger().post("/v1/auth/password/reset", &json!({"token": token, "password": NEXT}));
    assert_eq!(late.status, 409, "{}", late.text());
}
