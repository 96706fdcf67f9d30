use serde_json::json;
use wardbook_events::Role;

use crate::helpers::{TestApp, quick_config};

/// What only an administrator of users may do.
const USERS: &str = "/v1/users";

#[test]
fn a_role_for_a_short_time_survives_a_restart_and_ends_by_itself() {
    let test = TestApp::start();
    test.user("operator", &[Role::SystemAdmin], None);
    test.user("security", &[Role::SecurityAdmin], None);
    let operator = test.log_in("operator");
    assert_eq!(operator.get(USERS).status, 403);
    let ask = json!({"role": "admin", "minutes": 10, "reason": "ticket 4711"});
    let asked = operator.post("/v1/elevations", &ask);
    assert_eq!(asked.status, 201, "{}", asked.text());
    let id = asked.json()["elevation"].as_str().unwrap().to_owned();
    assert_eq!(operator.post("/v1/elevations", &ask).status, 409, "one at a time");
    assert_eq!(operator.post(&format!("/v1/elevations/{id}/approve"), &json!({})).status, 403);
    assert_eq!(operator.get(USERS).status, 403);

    let clock = test.clock.now();
    let dir = test.stop();
    let test = TestApp::in_dir(quick_config(), dir);
    assert_eq!(test.clock.now(), clock);
    let security = test.log_in("security");
    let listed = security.get("/v1/elevations?all=true").json();
    assert_eq!(
        (listed["elevations"][0]["status"].as_str(), listed["elevations"][0]["elevation"].as_str()),
        (Some("asked"), Some(&*id))
    );
    let approved = security.post(&format!("/v1/elevations/{id}/approve"), &json!({}));
    assert_eq!(approved.status, 204, "{}", approved.text());
    let operator = test.log_in("operator");
    assert_eq!(operator.get(USERS).status, 200);
    test.clock.advance(jiff::SignedDuration::from_mins(10));
    assert_eq!(operator.get(USERS).status, 403, "over by itself");
    assert_eq!(operator.get("/v1/elevations").json()["elevations"][0]["status"], "over");
}

#[test]
fn in_an_emergency_nobody_is_asked_and_somebody_else_judges() {
    let test = TestApp::start();
    test.user("operator", &[Role::SystemAdmin], None);
    test.user("security", &[Role::SecurityAdmin], None);
    let (operator, security) = (test.log_in("operator"), test.log_in("security"));
    let ask = json!({"role": "admin", "minutes": 30, "reason": "the store burns", "emergency": true});
    let asked = operator.post("/v1/elevations", &ask);
    assert_eq!(asked.status, 201, "{}", asked.text());
    assert_eq!(operator.get(USERS).status, 200);
    let id = asked.json()["elevation"].as_str().unwrap().to_owned();
    let judged = json!({"outcome": "appropriate"});
    assert_eq!(operator.post(&format!("/v1/elevations/{id}/review"), &judged).status, 403);
    assert_eq!(operator.post(&format!("/v1/elevations/{id}/end"), &json!({})).status, 204);
    assert_eq!(operator.get(USERS).status, 403, "ended at once");
    assert_eq!(security.post(&format!("/v1/elevations/{id}/review"), &judged).status, 204);
    assert_eq!(security.post(&format!("/v1/elevations/{id}/review"), &judged).status, 409);
}
