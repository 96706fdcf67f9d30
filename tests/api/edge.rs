//! What every answer has, and what no request can do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use wardbook_events::Role;

use crate::helpers::{HOUSE, TestApp, captured_logs, person, quick_config};

#[test]
fn every_answer_has_ids_and_security_headers() {
    let stranger = HOUSE.test.stranger();
    for path in ["/health/live", "/health/ready", "/openapi.json", "/v1/auth/session", "/nowhere", "/v1/ledger/keys"] {
        let answer = stranger.get(path);
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-request-id").len(), 36);
        assert_eq!(answer.header("x-correlation-id"), answer.header("x-request-id"));
        assert!(answer.headers.get("strict-transport-security").is_none(), "no TLS here");
    }
    assert_eq!(stranger.get("/health/ready").status, 200, "{}", stranger.get("/health/ready").text());
    assert!(stranger.get("/openapi.json").json()["paths"]["/v1/patients/{patient}"]["get"].is_object());
    assert_eq!(stranger.get("/problems/not-found").json()["status"], 404);
}

#[test]
fn what_does_not_fit_is_answered_as_a_problem() {
    let registrar = HOUSE.client(Role::Registrar);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(2 << 20));
    let json = Some("application/json");
    let cases = [
        (registrar.raw("POST", "/v1/patients", json, b"{\"name\":"), 400, "malformed-request"),
        (registrar.raw("POST", "/v1/patients", json, b"{\"name\":\"Jane Secret\"}"), 422, "invalid-value"),
        (registrar.raw("POST", "/v1/patients", json, b"{\"Secret\":1}"), 422, "invalid-value"),
        (registrar.raw("POST", "/v1/patients", Some("text/plain"), b"Secret"), 415, "unsupported-media-type"),
        (registrar.raw("POST", "/v1/patients", json, large.as_bytes()), 413, "too-large"),
        (registrar.get("/v1/nowhere"), 404, "not-found"),
        (registrar.get("/v1/patients/not-an-id"), 400, "malformed-request"),
        (registrar.delete("/v1/patients"), 405, "method-not-allowed"),
        (
            registrar.with("If-Match", "Secret").patch(&format!("/v1/patients/{}", uuid::Uuid::nil()), &json!({})),
            400,
            "malformed-request",
        ),
        (registrar.with("If-Ledger-Position", "99999999").get("/v1/auth/session"), 412, "version-mismatch"),
        (registrar.with("If-Ledger-Position", "Secret").get("/v1/auth/session"), 400, "malformed-request"),
        (registrar.with("Idempotency-Key", "has a space").post("/v1/patients", &json!({})), 400, "malformed-request"),
    ];
    for (answer, status, kind) in cases {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["type"], format!("/problems/{kind}"));
        assert_eq!(answer.json()["status"], status);
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
        assert!(!answer.text().contains("Secret"), "an error repeats nothing: {}", answer.text());
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
    assert_eq!(registrar.delete("/v1/patients").header("allow"), "POST");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn no_body_makes_the_server_fail(body in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}", route in 0..7_usize) {
        let patient = uuid::Uuid::nil();
        let path = [
            "/v1/auth/login".to_owned(), "/v1/patients".into(), "/v1/patients/search".into(), "/v1/users".into(),
            format!("/v1/patients/{patient}/records"), "/v1/replay".into(), format!("/v1/patients/{patient}/merge"),
        ][route].clone();
        let client = HOUSE.client(Role::Registrar);
        let as_json = format!("{{\"name\":{{\"family\":{0},\"given\":[{0}]}},\"birth_date\":{0},\"ssn\":{0}}}", json!(text));
        for body in [body.as_slice(), text.as_bytes(), as_json.as_bytes()] {
            let answer = client.raw("POST", &path, Some("application/json"), body);
            prop_assert!(answer.status < 500, "{} {}", answer.status, answer.text());
        }
    }
}

/// Sends the beginning of a request and waits for what comes.
fn dawdle(test: &TestApp, start: &[u8]) -> String {
    let mut stream = TcpStream::connect(test.base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(start).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_client_that_dawdles_is_cut_off() {
    let mut config = quick_config();
    config.server.header_timeout_ms = 300;
    let test = TestApp::with(config);
    let answer = dawdle(&test, b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\n");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut config = quick_config();
    config.server.request_timeout_ms = 300;
    let test = TestApp::with(config);
    let head =
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let answer = dawdle(&test, head);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("/problems/timeout") && answer.contains("x-request-id"), "{answer}");
}

#[test]
fn logs_hold_no_phi_and_no_secrets() {
    let client = HOUSE.client(Role::Registrar);
    let mut body = person("Zebulonskaya");
    body["ssn"] = json!("918-27-3645");
    body["emails"] = json!(["zebulonskaya@private.example"]);
    let patient = client.post("/v1/patients", &body).json()["patient"].as_str().unwrap().to_owned();
    client.post("/v1/patients/search", &json!({"name": "Zebulonskaya", "ssn": "918-27-3645"}));
    client.get(&format!("/v1/patients/{patient}?name=Zebulonskaya"));
    client.get("/v1/patients/Zebulonskaya");
    client.post("/v1/patients", &json!({"name": "Zebulonskaya"}));
    HOUSE.test.stranger().post("/v1/auth/login", &json!({"username": "nurse", "password": "Zebulonskaya-password"}));
    let logs = captured_logs();
    assert!(
        logs.contains("/v1/patients/search") && logs.contains("/v1/patients/{patient}"),
        "requests are logged by pattern"
    );
    for secret in ["Zebulonskaya", "zebulonskaya", "918-27-3645", "918273645", "Bearer ", crate::helpers::PASSWORD] {
        assert!(!logs.contains(secret), "the log holds {secret}");
    }
}

#[test]
fn stopping_lets_running_requests_end() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    let client = test.log_in("registrar");
    let answered = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let client = client.clone();
                scope.spawn(move || {
                    (0..20).map(|_| client.try_post("/v1/patients", &person("Stopping"))).collect::<Vec<_>>()
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(150));
        let dir = test.stop();
        let answers: Vec<_> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).flatten().collect();
        (answers, dir)
    });
    let (answers, dir) = answered;
    assert!(!answers.is_empty());
    let again = TestApp::in_dir(quick_config(), dir);
    for answer in answers.iter().filter(|answer| answer.status == 201) {
        let entry = again.app.ledger().read(wardbook_ledger::Position(answer.position())).unwrap();
        assert!(entry.is_some(), "what was acknowledged is there");
    }
}
