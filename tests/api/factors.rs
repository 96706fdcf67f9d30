use jiff::SignedDuration;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};
use wardbook::config::SecondFactor;
use wardbook_events::Role;
use webauthn_authenticator_rs::WebauthnAuthenticator;
use webauthn_authenticator_rs::prelude::Url;
use webauthn_authenticator_rs::softpasskey::SoftPasskey;

use crate::helpers::{Answer, Client, Hook, Mailbox, PASSWORD, TestApp, quick_config};

fn demanding() -> TestApp {
    let mut config = quick_config();
    config.login.second_factor = SecondFactor::Everyone;
    TestApp::with(config)
}

fn password(test: &TestApp, username: &str) -> Value {
    let answer = test.stranger().post("/v1/auth/login", &json!({"username": username, "password": PASSWORD}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn code(test: &TestApp, secret: &str) -> String {
    let secret = Secret::try_from_base32(secret).unwrap();
    let totp = Builder::new().with_secret(secret).with_account_name("x").build().unwrap();
    totp.generate(test.app.now().as_second().unsigned_abs()).to_string()
}

fn second(test: &TestApp, challenge: &Value, method: &str, code: &str) -> Answer {
    let body = json!({"challenge": challenge, "method": method, "code": code});
    test.stranger().post("/v1/auth/second-factor", &body)
}

fn ok(answer: Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Logs in for the first time with an authenticator app: its secret, the answer of the login.
fn enrol_totp(test: &TestApp, username: &str) -> (String, Value) {
    let asked = password(test, username);
    assert_eq!(asked["next"], "enrol");
    let begun =
        ok(test.stranger().post("/v1/auth/factors", &json!({"challenge": asked["challenge"], "method": "totp"})));
    let secret = begun["secret"].as_str().unwrap().to_owned();
    let body = json!({"challenge": begun["challenge"], "code": code(test, &secret)});
    let done = ok(test.stranger().post("/v1/auth/factors/confirm", &body));
    (secret, done)
}

fn client(test: &TestApp, done: &Value) -> Client {
    test.stranger().with_token(done["access_token"].as_str().unwrap())
}

#[test]
fn the_first_login_enrols_an_app_and_the_next_one_asks_for_it() {
    let test = demanding();
    test.user("nurse", &[Role::Nurse], None);
    let asked = password(&test, "nurse");
    assert_eq!((asked["next"].as_str(), asked.get("access_token")), (Some("enrol"), None));
    assert_eq!(asked["methods"], json!(["totp", "passkey"]));
    let begun =
        ok(test.stranger().post("/v1/auth/factors", &json!({"challenge": asked["challenge"], "method": "totp"})));
    let secret = begun["secret"].as_str().unwrap();
    assert!(begun["uri"].as_str().unwrap().starts_with("otpauth://totp/Wardbook:nurse?secret="), "{begun}");
    let confirm = |code: &str| {
        let body = json!({"challenge": begun["challenge"], "code": code});
        test.stranger().post("/v1/auth/factors/confirm", &body)
    };
    assert_eq!(confirm("000000").status, 401, "it must be shown to work");
    let done = ok(confirm(&code(&test, secret)));
    assert_eq!(done["recovery_codes"].as_array().unwrap().len(), 10);
    let session = client(&test, &done);
    assert_eq!(session.get("/v1/auth/session").status, 200);
    let factors = session.get("/v1/auth/factors").json();
    assert_eq!((&factors["totp"], &factors["recovery_codes_left"]), (&json!(true), &json!(10)));
    assert!(!factors.to_string().contains(secret));

    let asked = password(&test, "nurse");
    assert_eq!((&asked["next"], &asked["methods"]), (&json!("second-factor"), &json!(["totp", "recovery-code"])));
    let challenge = &asked["challenge"];
    assert_eq!(second(&test, challenge, "totp", &code(&test, secret)).status, 401, "the code was used to enrol");
    test.clock.advance(SignedDuration::from_secs(30));
    let fresh = code(&test, secret);
    assert_eq!(second(&test, challenge, "totp", &fresh).status, 200);
    assert_eq!(second(&test, challenge, "totp", &fresh).status, 401, "a challenge is redeemed once");
    let again = password(&test, "nurse");
    assert_eq!(second(&test, &again["challenge"], "totp", &fresh).status, 401, "and a code as well");
}

#[test]
fn a_recovery_code_counts_once_and_new_ones_void_the_old() {
    let test = demanding();
    test.user("nurse", &[Role::Nurse], None);
    let (_, done) = enrol_totp(&test, "nurse");
    let codes: Vec<_> = done["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let with = |code: &str| second(&test, &password(&test, "nurse")["challenge"], "recovery-code", code);
    let logged_in = ok(with(codes[3]));
    assert_eq!(with(codes[3]).status, 401);
    let session = client(&test, &logged_in);
    assert_eq!(session.get("/v1/auth/factors").json()["recovery_codes_left"], 9);
    let renewed = ok(session.post("/v1/auth/recovery-codes", &json!({})));
    assert_eq!(with(codes[4]).status, 401);
    assert_eq!(with(renewed["recovery_codes"][4].as_str().unwrap()).status, 200);
}

#[test]
fn factors_survive_a_restart_and_a_challenge_does_too() {
    let test = demanding();
    test.user("nurse", &[Role::Nurse], None);
    let (secret, _) = enrol_totp(&test, "nurse");
    let asked = password(&test, "nurse");
    let mut config = quick_config();
    config.login.second_factor = SecondFactor::Everyone;
    let again = TestApp::in_dir(config, test.stop());
    assert_eq!(
        second(&again, &asked["challenge"], "totp", &code(&again, &secret)).status,
        401,
        "the used step is remembered"
    );
    again.clock.advance(SignedDuration::from_secs(30));
    assert_eq!(second(&again, &asked["challenge"], "totp", &code(&again, &secret)).status, 200);
}

#[test]
fn the_last_factor_stays_and_an_administrator_can_reset_all() {
    let test = demanding();
    let nurse = test.user("nurse", &[Role::Nurse], None);
    test.user("admin", &[Role::Admin], None);
    let (_, done) = enrol_totp(&test, "nurse");
    let session = client(&test, &done);
    assert_eq!(session.delete("/v1/auth/factors/totp").status, 409);
    assert_eq!(session.delete("/v1/auth/factors/email-code").status, 404);
    let (_, done) = enrol_totp(&test, "admin");
    let admin = client(&test, &done);
    let reset = admin.delete(&format!("/v1/users/{nurse}/factors"));
    assert_eq!(reset.status, 204, "{}", reset.text());
    assert_eq!(session.get("/v1/auth/session").status, 401, "whoever uses the account proves it anew");
    assert_eq!(password(&test, "nurse")["next"], "enrol");
    assert_eq!(session.delete(&format!("/v1/users/{nurse}/factors")).status, 401);
}

#[test]
fn a_login_under_way_does_not_outlive_its_password() {
    let test = demanding();
    let nurse = test.user("nurse", &[Role::Nurse], None);
    test.user("admin", &[Role::Admin], None);
    let (secret, _) = enrol_totp(&test, "nurse");
    let (_, done) = enrol_totp(&test, "admin");
    let admin = client(&test, &done);
    let asked = password(&test, "nurse");
    let set = admin.put(&format!("/v1/users/{nurse}/password"), &json!({"password": "Another-12-lanterns-adrift"}));
    assert_eq!(set.status, 204, "{}", set.text());
    test.clock.advance(SignedDuration::from_secs(30));
    assert_eq!(second(&test, &asked["challenge"], "totp", &code(&test, &secret)).status, 401);
    let body = json!({"username": "nurse", "password": "Another-12-lanterns-adrift"});
    let asked = ok(test.stranger().post("/v1/auth/login", &body));
    assert_eq!(second(&test, &asked["challenge"], "totp", &code(&test, &secret)).status, 200);
}

/// A passkey of the browser's, at our origin.
struct Device(SoftPasskey, Url);

impl Device {
    fn new(origin: &str) -> Self {
        Self(SoftPasskey::new(true), origin.parse().unwrap())
    }
    fn create(&mut self, options: &Value) -> Value {
        let options = serde_json::from_value(options.clone()).unwrap();
        serde_json::to_value(self.0.do_registration(self.1.clone(), options).unwrap()).unwrap()
    }
    fn get(&mut self, options: &Value) -> Value {
        let options = serde_json::from_value(options.clone()).unwrap();
        serde_json::to_value(self.0.do_authentication(self.1.clone(), options).unwrap()).unwrap()
    }
}

#[test]
fn a_passkey_is_enrolled_and_logs_in_and_counts_once() {
    let test = demanding();
    test.user("nurse", &[Role::Nurse], None);
    let origin = &test.app.config().webauthn.origin;
    let mut device = Device::new(origin);
    let asked = password(&test, "nurse");
    let body = json!({"challenge": asked["challenge"], "method": "passkey", "name": "my key"});
    let begun = ok(test.stranger().post("/v1/auth/factors", &body));
    let credential = device.create(&begun["passkey"]);
    let elsewhere = Device::new("https://phishing.example").0.do_registration(
        "https://phishing.example".parse().unwrap(),
        serde_json::from_value(begun["passkey"].clone()).unwrap(),
    );
    assert!(elsewhere.is_err(), "a device does not even sign for another origin");
    let confirm = |credential: &Value| {
        let body = json!({"challenge": begun["challenge"], "credential": credential});
        test.stranger().post("/v1/auth/factors/confirm", &body)
    };
    assert_eq!(confirm(&json!({"id": "x"})).status, 401);
    let done = ok(confirm(&credential));
    let factors = client(&test, &done).get("/v1/auth/factors").json();
    assert_eq!(factors["passkeys"][0]["name"], "my key");

    let asked = password(&test, "nurse");
    assert_eq!(asked["methods"][0], "passkey");
    let credential = device.get(&asked["passkey"]);
    let prove = |challenge: &Value, credential: &Value| {
        let body = json!({"challenge": challenge, "method": "passkey", "credential": credential});
        test.stranger().post("/v1/auth/second-factor", &body)
    };
    let other = password(&test, "nurse");
    assert_eq!(prove(&other["challenge"], &credential).status, 401, "signed for another challenge");
    assert_eq!(prove(&asked["challenge"], &credential).status, 200);
    assert_eq!(prove(&asked["challenge"], &credential).status, 401, "replayed");
}

/// The question that no name is asked for, answered by a device that cannot find its passkey by itself.
fn first(test: &TestApp, device: &mut Device, enrolled: &Value, user: &[u8]) -> Value {
    use base64::Engine as _;
    let mut question = test.stranger().get("/v1/auth/passkey").json();
    assert!(question["passkey"]["publicKey"].get("allowCredentials").is_none_or(|known| known == &json!([])));
    question["passkey"]["publicKey"]["allowCredentials"] = json!([{"type": "public-key", "id": enrolled["rawId"]}]);
    let mut credential = device.get(&question["passkey"]);
    let handle = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(user);
    credential["response"]["userHandle"] = handle.into();
    json!({"challenge": question["challenge"], "credential": credential})
}

#[test]
fn a_passkey_alone_logs_in_its_owner_and_nobody_else() {
    let test = demanding();
    let nurse = test.user("nurse", &[Role::Nurse], None);
    let other = test.user("other", &[Role::Nurse], None);
    test.user("admin", &[Role::Admin], None);
    let mut device = Device::new(&test.app.config().webauthn.origin);
    let asked = password(&test, "nurse");
    let body = json!({"challenge": asked["challenge"], "method": "passkey"});
    let begun = ok(test.stranger().post("/v1/auth/factors", &body));
    assert_eq!(begun["passkey"]["publicKey"]["authenticatorSelection"]["residentKey"], "preferred");
    let enrolled = device.create(&begun["passkey"]);
    let done = json!({"challenge": begun["challenge"], "credential": enrolled});
    ok(test.stranger().post("/v1/auth/factors/confirm", &done));

    let try_it = |body: &Value| test.stranger().post("/v1/auth/passkey", body);
    let answer = first(&test, &mut device, &enrolled, nurse.bytes());
    let begun = ok(try_it(&answer));
    assert_eq!(client(&test, &begun).get("/v1/auth/session").json()["mfa"], 2);
    let replayed = try_it(&answer);
    assert_eq!(replayed.status, 401);

    let head = || test.app.ledger().head().durable;
    let before = head();
    // Of another user, of nobody, and of nobody's device: strangers, who write nothing.
    for handle in [other.bytes().as_slice(), &[7; 16], b"short"] {
        let wrong = try_it(&first(&test, &mut device, &enrolled, handle));
        crate::helpers::same_answer(&wrong, &replayed);
    }
    let mut unknown = first(&test, &mut device, &enrolled, nurse.bytes());
    unknown["credential"]["rawId"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(try_it(&unknown).status, 401);
    let mut old = first(&test, &mut device, &enrolled, nurse.bytes());
    test.clock.advance(SignedDuration::from_secs(301));
    assert_eq!(try_it(&old).status, 401, "the question is too old");
    assert_eq!(head(), before);

    // A known passkey with a wrong answer is its user's failure, and five lock.
    for _ in 0..5 {
        old = first(&test, &mut device, &enrolled, nurse.bytes());
        let other_question = test.stranger().get("/v1/auth/passkey").json();
        old["challenge"] = other_question["challenge"].clone();
        assert_eq!(try_it(&old).status, 401);
    }
    assert!(head() > before);
    let right = first(&test, &mut device, &enrolled, nurse.bytes());
    assert_eq!(try_it(&right).status, 423, "from a device that was never here");
    let mut here = first(&test, &mut device, &enrolled, nurse.bytes());
    here["device"] = begun["device"].clone();
    assert_eq!(try_it(&here).status, 200);

    let (_, done) = enrol_totp(&test, "admin");
    let admin = client(&test, &done);
    assert_eq!(admin.post(&format!("/v1/users/{nurse}/disable"), &json!({})).status, 204);
    let mut here = first(&test, &mut device, &enrolled, nurse.bytes());
    here["device"] = begun["device"].clone();
    assert_eq!(try_it(&here).status, 401, "a disabled account");
}

fn set_contact(test: &TestApp, username: &str, contact: &Value) {
    let name = format!("admin-of-{username}");
    test.user(&name, &[Role::Admin], None);
    let (_, done) = enrol_totp(test, &name);
    let user = test.app.views().identity.user_by_name(username).unwrap().unwrap().user;
    let answer = client(test, &done).put(&format!("/v1/users/{user}/contact"), contact);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[test]
fn codes_come_by_mail_and_count_for_their_own_challenge_in_their_time() {
    let mailbox = Mailbox::start();
    let mut config = quick_config();
    config.login.second_factor = SecondFactor::Everyone;
    config.notify = mailbox.settings();
    let test = TestApp::with(config);
    test.user("nurse", &[Role::Nurse], None);
    set_contact(&test, "nurse", &json!({"email": "nurse@example.org"}));

    let asked = password(&test, "nurse");
    assert_eq!(asked["methods"], json!(["totp", "passkey", "email-code"]));
    let body = json!({"challenge": asked["challenge"], "method": "email-code"});
    let begun = ok(test.stranger().post("/v1/auth/factors", &body));
    let mail = mailbox.next();
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("nurse@example.org", "Your code"));
    let sent = mail.word_after("Your code is");
    let confirm = |code: &str| {
        let body = json!({"challenge": begun["challenge"], "code": code});
        test.stranger().post("/v1/auth/factors/confirm", &body)
    };
    assert_eq!(confirm("AAAAAA").status, 401);
    ok(confirm(&sent.to_lowercase()));

    let send = |challenge: &Value| {
        test.stranger()
            .post("/v1/auth/second-factor/code", &json!({"challenge": challenge, "method": "email-code"}))
            .status
    };
    let (one, other) = (password(&test, "nurse"), password(&test, "nurse"));
    assert_eq!(send(&one["challenge"]), 202);
    let sent = mailbox.next().word_after("Your code is");
    assert_eq!(second(&test, &other["challenge"], "email-code", &sent).status, 401, "sent for another login");
    assert_eq!(second(&test, &one["challenge"], "email-code", &sent).status, 200);
    assert_eq!(send(&other["challenge"]), 202);
    let sent = mailbox.next().word_after("Your code is");
    assert_eq!(send(&other["challenge"]), 429, "three in ten minutes");
    test.clock.advance(SignedDuration::from_secs(301));
    assert_eq!(second(&test, &other["challenge"], "email-code", &sent).status, 401, "five minutes are over");
    assert_eq!(mailbox.count(), 3);
}

#[test]
fn three_wrong_tries_void_a_code_by_text_message() {
    let hook = Hook::start();
    let mut config = quick_config();
    config.login.second_factor = SecondFactor::Everyone;
    config.notify = hook.settings();
    let test = TestApp::with(config);
    test.user("nurse", &[Role::Nurse], None);
    set_contact(&test, "nurse", &json!({"phone": "+1 555 0100"}));
    let asked = password(&test, "nurse");
    let body = json!({"challenge": asked["challenge"], "method": "sms-code"});
    let begun = ok(test.stranger().post("/v1/auth/factors", &body));
    let word = |message: &Value| {
        let text = message["text"].as_str().unwrap();
        text.split_whitespace().nth(3).unwrap().to_owned()
    };
    let message = hook.next();
    assert_eq!(message["to"], "+1 555 0100");
    ok(test
        .stranger()
        .post("/v1/auth/factors/confirm", &json!({"challenge": begun["challenge"], "code": word(&message)})));
    let asked = password(&test, "nurse");
    let body = json!({"challenge": asked["challenge"], "method": "sms-code"});
    assert_eq!(test.stranger().post("/v1/auth/second-factor/code", &body).status, 202);
    let sent = word(&hook.next());
    for _ in 0..3 {
        assert_eq!(second(&test, &asked["challenge"], "sms-code", "AAAAAA").status, 401);
    }
    assert_eq!(second(&test, &asked["challenge"], "sms-code", &sent).status, 401, "it was the right one");
}

#[test]
fn within_a_session_enrolling_takes_a_fresh_proof() {
    let test = TestApp::start();
    let (_, nurse) = test.client(&[Role::Nurse]);
    assert_eq!(test.stranger().post("/v1/auth/factors", &json!({"method": "totp"})).status, 401);
    let begun = ok(nurse.post("/v1/auth/factors", &json!({"method": "totp"})));
    let body = json!({"challenge": begun["challenge"], "code": code(&test, begun["secret"].as_str().unwrap())});
    let done = ok(test.stranger().post("/v1/auth/factors/confirm", &body));
    assert_eq!((done["recovery_codes"].as_array().unwrap().len(), done.get("access_token")), (10, None));
    assert_eq!(nurse.delete("/v1/auth/factors/totp").status, 204, "nothing is demanded here");
    test.clock.advance(SignedDuration::from_secs(3601));
    let stale = nurse.post("/v1/auth/factors", &json!({"method": "totp"}));
    assert_eq!(stale.status, 401);
}
