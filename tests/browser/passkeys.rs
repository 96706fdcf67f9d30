use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};
use wardbook::config::SecondFactor;
use wardbook_events::Role;

use super::chromium::{Authenticator, Browser};
use crate::helpers::{PASSWORD, TestApp, free_port, quick_config};

/// The functions of a page that logs in: fetches with cookies, and the two ceremonies in their standard JSON form.
const PAGE: &str = r"
window.ask = async (method, path, body, headers = {}) => {
  const init = { method, headers: { ...headers } };
  if (body !== undefined) { init.headers['Content-Type'] = 'application/json'; init.body = JSON.stringify(body); }
  const answer = await fetch(path, init);
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
};
window.make = async (options) => {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey);
  return (await navigator.credentials.create({ publicKey })).toJSON();
};
window.sign = async (options) => {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey);
  return (await navigator.credentials.get({ publicKey })).toJSON();
};
true";

/// A server, and a browser that has its page open.
struct Scene {
    test: TestApp,
    browser: Browser,
    authenticator: Authenticator,
    origin: String,
}

impl Scene {
    fn new(second_factor: SecondFactor) -> Self {
        let port = free_port();
        let origin = format!("http://localhost:{port}");
        let mut config = quick_config();
        config.server.listen = ([127, 0, 0, 1], port).into();
        config.login.second_factor = second_factor;
        config.webauthn.origin.clone_from(&origin);
        let test = TestApp::with(config);
        test.user("nurse", &[Role::Nurse], None);
        let mut browser = Browser::start();
        let authenticator = browser.authenticator();
        let mut scene = Self { test, browser, authenticator, origin };
        scene.go_home();
        scene
    }

    fn go_home(&mut self) {
        let origin = self.origin.clone();
        self.go(&origin);
    }
    fn go(&mut self, origin: &str) {
        self.browser.open(&format!("{origin}/health/live"));
        self.browser.run(PAGE).unwrap();
    }

    /// A request of the page's own: status and body.
    fn ask(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.ask_with(method, path, body, &json!({}))
    }
    fn ask_with(&mut self, method: &str, path: &str, body: &Value, headers: &Value) -> (u16, Value) {
        let body = if method == "GET" || method == "DELETE" { "undefined".to_owned() } else { body.to_string() };
        let answer = self.browser.run(&format!("ask('{method}', '{path}', {body}, {headers})")).unwrap();
        (u16::try_from(answer["status"].as_u64().unwrap()).unwrap(), answer["body"].clone())
    }
    fn ok(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let (status, body) = self.ask(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {body}");
        body
    }

    fn password(&mut self) -> Value {
        self.ok("POST", "/v1/auth/login", &json!({"username": "nurse", "password": PASSWORD, "cookies": true}))
    }
    /// Enrols the machine's passkey within the first login, which by that comes to its end.
    fn enrol(&mut self) -> Value {
        let asked = self.password();
        assert_eq!(asked["next"], "enrol");
        let body = json!({"challenge": asked["challenge"], "method": "passkey", "name": "this machine"});
        let begun = self.ok("POST", "/v1/auth/factors", &body);
        let made = self.browser.run(&format!("make({})", begun["passkey"])).unwrap();
        let body = json!({"challenge": begun["challenge"], "credential": made, "cookies": true});
        self.ok("POST", "/v1/auth/factors/confirm", &body)
    }
    /// What the passkey answers to the question that everybody is asked; an error is the browser's.
    fn sign(&mut self, change: impl Fn(&mut Value)) -> Result<Value, String> {
        let mut question = self.test.stranger().get("/v1/auth/passkey").json();
        change(&mut question["passkey"]);
        let signed = self.browser.run(&format!("sign({})", question["passkey"]))?;
        Ok(json!({"challenge": question["challenge"], "credential": signed, "cookies": true}))
    }
    fn log_in_by_passkey(&mut self) -> (u16, Value) {
        let answer = self.sign(|_| {}).unwrap();
        self.ask("POST", "/v1/auth/passkey", &answer)
    }
}

#[test]
fn a_browser_enrols_a_passkey_and_logs_in_with_it_after_the_password_or_without_one() {
    let mut scene = Scene::new(SecondFactor::Everyone);
    let done = scene.enrol();
    assert_eq!(done["recovery_codes"].as_array().unwrap().len(), 10);
    let kept = scene.browser.credentials(&scene.authenticator.clone());
    assert_eq!((kept.len(), &kept[0]["isResidentCredential"]), (1, &json!(true)), "found without a name");
    let enrolled = scene.ok("GET", "/v1/auth/session", &Value::Null);
    assert_eq!(enrolled["mfa"], 2, "the browser sends its cookies: {enrolled}");

    // With the password first.
    let asked = scene.password();
    assert_eq!((&asked["next"], &asked["methods"][0]), (&json!("second-factor"), &json!("passkey")));
    let signed = scene.browser.run(&format!("sign({})", asked["passkey"])).unwrap();
    let body = json!({"challenge": asked["challenge"], "method": "passkey", "credential": signed, "cookies": true});
    let second = scene.ok("POST", "/v1/auth/second-factor", &body);
    assert_eq!(scene.ask("POST", "/v1/auth/second-factor", &body).0, 401, "replayed");

    // With nothing but the passkey: no name was typed anywhere.
    let answer = scene.sign(|_| {}).unwrap();
    let (status, begun) = scene.ask("POST", "/v1/auth/passkey", &answer);
    assert_eq!((status, &begun["token_type"]), (200, &json!("Cookie")), "{begun}");
    assert_ne!(begun["session"], second["session"]);
    let session = scene.ok("GET", "/v1/auth/session", &Value::Null);
    assert_eq!((&session["session"], &session["mfa"]), (&begun["session"], &json!(2)));
    assert_eq!(scene.ask("POST", "/v1/auth/passkey", &answer).0, 401, "replayed");
    assert_eq!(scene.ask("POST", "/v1/sessions/current/lock", &json!({})).0, 403, "a cookie alone changes nothing");
    let csrf = json!({"X-CSRF-Token": begun["csrf_token"]});
    assert_eq!(scene.ask_with("POST", "/v1/auth/logout", &json!({}), &csrf).0, 204);
    assert_eq!(scene.ask("GET", "/v1/auth/session", &Value::Null).0, 401);
}

/// A page on another port: another origin, though of the same host.
fn another_site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            while matches!(reader.read_line(&mut line), Ok(read) if read > 2) {
                line.clear();
            }
            let page =
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage";
            let _ = reader.get_mut().write_all(page.as_bytes());
        }
    });
    origin
}

#[test]
fn neither_another_site_nor_a_stranger_at_the_machine_gets_in() {
    let mut scene = Scene::new(SecondFactor::Everyone);
    scene.enrol();

    // A name that the passkey is not for: the browser itself refuses.
    let elsewhere = scene.origin.replace("localhost", "127.0.0.1");
    scene.go(&elsewhere);
    let refused = scene.sign(|_| {}).unwrap_err();
    assert!(refused.contains("SecurityError"), "{refused}");
    // A site that may use the name signs with its own origin: the server refuses.
    scene.go(&another_site());
    let phished = scene.sign(|_| {}).unwrap();
    let failed = |scene: &Scene, body: &Value| scene.test.stranger().post("/v1/auth/passkey", body).status;
    assert_eq!(failed(&scene, &phished), 401);

    // A device that does not see its owner.
    scene.go_home();
    let authenticator = scene.authenticator.clone();
    scene.browser.see_owner(&authenticator, false);
    let refused = scene.sign(|_| {}).unwrap_err();
    assert!(refused.contains("NotAllowedError"), "{refused}");
    // Nor does it help to ask it for less.
    let unseen = scene.sign(|options| options["publicKey"]["userVerification"] = json!("discouraged"));
    match unseen {
        Ok(unseen) => assert_eq!(failed(&scene, &unseen), 401),
        Err(refused) => assert!(refused.contains("NotAllowedError"), "{refused}"),
    }
    scene.browser.see_owner(&authenticator, true);
    assert_eq!(scene.log_in_by_passkey().0, 200, "and its owner does get in");
}

#[test]
fn a_removed_passkey_and_a_copied_one_are_refused() {
    let mut scene = Scene::new(SecondFactor::Nobody);
    // Enrolled within a session, as nothing is demanded.
    let begun = scene.password();
    let csrf = json!({"X-CSRF-Token": begun["csrf_token"]});
    let body = json!({"method": "passkey", "name": "this machine"});
    let (status, begun) = scene.ask_with("POST", "/v1/auth/factors", &body, &csrf);
    assert_eq!(status, 200, "{begun}");
    let made = scene.browser.run(&format!("make({})", begun["passkey"])).unwrap();
    scene.ok("POST", "/v1/auth/factors/confirm", &json!({"challenge": begun["challenge"], "credential": made}));

    let authenticator = scene.authenticator.clone();
    let copy = scene.browser.credentials(&authenticator).remove(0);
    for _ in 0..2 {
        assert_eq!(scene.log_in_by_passkey().0, 200);
    }
    let original = scene.browser.credentials(&authenticator).remove(0);
    assert!(original["signCount"].as_u64() > copy["signCount"].as_u64(), "the device counts");
    scene.browser.put_credential(&authenticator, &copy);
    assert_eq!(scene.log_in_by_passkey().0, 401, "its counter was seen before");
    scene.browser.put_credential(&authenticator, &original);
    let (status, begun) = scene.log_in_by_passkey();
    assert_eq!(status, 200);

    let factors = scene.ok("GET", "/v1/auth/factors", &Value::Null);
    let path = format!("/v1/auth/factors/{}", factors["passkeys"][0]["passkey"].as_str().unwrap());
    let csrf = json!({"X-CSRF-Token": begun["csrf_token"]});
    let before = scene.sign(|_| {}).unwrap();
    assert_eq!(scene.ask_with("DELETE", &path, &Value::Null, &csrf).0, 204);
    assert_eq!(scene.ask("POST", "/v1/auth/passkey", &before).0, 401, "asked before it was taken away");
    assert_eq!(scene.log_in_by_passkey().0, 401);
}
