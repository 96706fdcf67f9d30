//! How often somebody may ask.

use jiff::SignedDuration;
use serde_json::json;
use wardbook::config::Rates;
use wardbook_events::Role;

use crate::helpers::{Answer, Client, PASSWORD, TestApp, person, quick_config};

fn with(rates: Rates) -> TestApp {
    let mut config = quick_config();
    config.rates = rates;
    TestApp::with(config)
}

/// Limit, remaining and reset, as the answer says.
fn standing(answer: &Answer) -> [u32; 3] {
    ["limit", "remaining", "reset"].map(|name| answer.header(&format!("ratelimit-{name}")).parse().unwrap())
}

fn is_too_many(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.json()["type"], "/problems/too-many-requests");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("x-request-id").len(), 36);
    let [_, remaining, reset] = standing(answer);
    assert_eq!((remaining, reset), (0, answer.header("retry-after").parse().unwrap()));
}

#[test]
fn a_user_who_asks_too_often_waits_and_goes_on() {
    let test = with(Rates { user_per_minute: 60, burst_s: 5, ..Rates::off() });
    test.user("nurse", &[Role::Nurse], None);
    test.user("physician", &[Role::Physician], None);
    let (nurse, other_session, physician) = (test.log_in("nurse"), test.log_in("nurse"), test.log_in("physician"));
    for left in (0..5).rev() {
        let answer = nurse.get("/v1/auth/session");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(standing(&answer), [5, left, 5 - left]);
    }
    let head = test.app.ledger().head().durable;
    for _ in 0..20 {
        is_too_many(&nurse.get("/v1/auth/session"));
        is_too_many(&other_session.post("/v1/patients/search", &json!({})));
    }
    assert_eq!(test.app.ledger().head().durable, head, "being turned away is no event");
    assert_eq!(physician.get("/v1/auth/session").status, 200, "another user is not concerned");
    test.clock.advance(SignedDuration::from_secs(2));
    assert_eq!([0; 3].map(|_: u8| nurse.get("/v1/auth/session").status), [200, 200, 429]);
}

#[test]
fn a_session_has_a_limit_of_its_own() {
    let test = with(Rates { session_per_minute: 2, ..Rates::off() });
    test.user("nurse", &[Role::Nurse], None);
    let (one, other) = (test.log_in("nurse"), test.log_in("nurse"));
    assert_eq!([0; 3].map(|_: u8| one.get("/v1/auth/session").status), [200, 200, 429]);
    assert_eq!(other.get("/v1/auth/session").status, 200);
}

#[test]
fn logins_from_one_address_are_limited_before_anything_is_read() {
    let mut config = quick_config();
    config.server.trust_proxy = true;
    config.rates = Rates { auth_per_minute: 4, ..Rates::off() };
    let test = TestApp::with(config);
    test.user("nurse", &[Role::Nurse], None);
    let from = |address: &str| test.stranger().with("X-Forwarded-For", address);
    let good = json!({"username": "nurse", "password": PASSWORD});
    let one = from("198.51.100.7");
    assert_eq!(one.post("/v1/auth/login", &good).status, 200);
    assert_eq!(one.raw("POST", "/v1/auth/login", None, b"garbage").status, 415);
    // No spelling of the path gets around it.
    assert_eq!(one.raw("POST", "/v1/%61uth/login", None, b"garbage").status, 415);
    let answer = one.post("/v1/auth/login", &good);
    assert_eq!((answer.status, standing(&answer)), (200, [4, 0, 60]));
    is_too_many(&one.post("/v1/auth/login", &good));
    is_too_many(&one.raw("POST", "/v1/%61uth/login", None, b"garbage"));
    is_too_many(&one.raw("POST", "/v1/auth/login", Some("application/json"), &[0; 1000]));
    assert_eq!(one.get("/health/live").status, 200, "other classes are not concerned");
    assert_eq!(from("198.51.100.8").post("/v1/auth/login", &good).status, 200);
    for part in 1..=4 {
        assert_eq!(from(&format!("2001:db8::{part}")).post("/v1/auth/login", &good).status, 200);
    }
    is_too_many(&from("2001:db8::ffff:1").post("/v1/auth/login", &good));
    test.clock.advance(SignedDuration::from_secs(15));
    assert_eq!(one.post("/v1/auth/login", &good).status, 200);
}

#[test]
fn reading_writing_and_the_public_parts_are_counted_apart() {
    let test = with(Rates { read_per_minute: 2, write_per_minute: 3, public_per_minute: 4, ..Rates::off() });
    let stranger = test.stranger();
    let passed =
        |method: &str, path: &str| (0..10).take_while(|_| stranger.raw(method, path, None, b"").status != 429).count();
    assert_eq!(passed("GET", "/v1/users"), 2);
    assert_eq!(passed("GET", "/nowhere"), 0, "of the same class");
    assert_eq!(passed("POST", "/v1/patients"), 3);
    assert_eq!(passed("DELETE", "/v1/patients"), 0);
    assert_eq!(passed("GET", "/v1/ledger/keys"), 4);
    assert_eq!(passed("GET", "/openapi.json"), 0);
}

/// Patients on the physician's care team, and what is needed to read them.
fn ward(test: &TestApp, count: usize) -> (Client, Client, Vec<String>) {
    let physician = test.user("physician", &[Role::Physician], None);
    test.user("registrar", &[Role::Registrar], None);
    let registrar = test.log_in("registrar");
    let mut last = None;
    let patients = (0..count).map(|_| {
        let registered = registrar.post("/v1/patients", &person("Ward"));
        let patient = registered.json()["patient"].as_str().unwrap().to_owned();
        let path = format!("/v1/patients/{patient}/care-team/{physician}");
        let assigned = registrar.after(&registered).put(&path, &json!({"function": "attending"}));
        assert_eq!(assigned.status, 204, "{}", assigned.text());
        last = Some(assigned);
        patient
    });
    let patients = patients.collect();
    (test.log_in("physician").after(&last.unwrap()), registrar, patients)
}

fn throttled(test: &TestApp) -> usize {
    let auditor =
        test.log_in("auditor").with("If-Ledger-Position", &(test.app.ledger().head().durable - 1).to_string());
    auditor.get("/v1/audit/events?type=access.throttled").json()["events"].as_array().unwrap().len()
}

#[test]
fn nobody_is_shown_more_patients_in_an_hour_than_a_person_can_treat() {
    let mut config = quick_config();
    config.limits.search_max = 3;
    config.rates = Rates { patients_per_hour: 3, ..Rates::off() };
    let test = TestApp::with(config.clone());
    test.user("auditor", &[Role::Auditor], None);
    let (physician, registrar, patients) = ward(&test, 5);
    let read = |client: &Client, patient: &str| client.get(&format!("/v1/patients/{patient}")).status;
    let seen: Vec<_> = patients.iter().map(|patient| read(&physician, patient)).collect();
    assert_eq!(seen, [200, 200, 200, 429, 429]);
    assert_eq!(read(&physician, &patients[0]), 200, "whom one treats stays open");
    let answer = physician.get(&format!("/v1/patients/{}/records", patients[4]));
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "3601");
    assert!(answer.headers.get("wardbook-position").is_none());
    // Who may not see a patient learns nothing of the limit either.
    assert_eq!(read(&physician, &uuid::Uuid::nil().to_string()), 404);
    // A search counts whom it shows, all or none.
    let search = json!({"name": "Ward"});
    assert_eq!(registrar.post("/v1/patients/search", &search).status, 200);
    let other = registrar.post("/v1/patients", &person("Elsewhere"));
    let registrar = registrar.after(&other);
    assert_eq!(registrar.post("/v1/patients/search", &json!({"name": "Elsewhere"})).status, 429);
    assert_eq!(throttled(&test), 2, "one of each user");

    // A restart forgets neither whom they were shown nor that it was told.
    let now = test.clock.now();
    let test = TestApp::in_dir(config, test.stop());
    test.clock.advance(now.duration_since(test.clock.now()) + SignedDuration::from_mins(5));
    let physician = test.log_in("physician");
    assert_eq!(read(&physician, &patients[4]), 429);
    assert_eq!(read(&physician, &patients[2]), 200);
    assert_eq!(throttled(&test), 2);
    test.clock.advance(SignedDuration::from_mins(56));
    assert_eq!(read(&test.log_in("physician"), &patients[4]), 200);
}
