use serde_json::json;
use wardbook_events::Role;

use crate::helpers::{HOUSE, noon};

#[test]
fn a_restriction_holds_when_it_is_answered_and_ends_when_it_is_lifted() {
    let patient = HOUSE.patient("Restricted");
    let chart = format!("/v1/patients/{patient}");
    let officer = HOUSE.client(Role::ComplianceOfficer);
    let nurse = HOUSE.client(Role::Nurse);
    assert_eq!(nurse.get(&chart).status, 200);
    let whom = json!({"user": HOUSE.id(Role::Nurse)});
    let restricted = officer.post(&format!("{chart}/restrictions"), &whom);
    assert_eq!(restricted.status, 204, "{}", restricted.text());
    assert_eq!(nurse.get(&chart).status, 404);
    assert_eq!(HOUSE.client(Role::Physician).get(&chart).status, 200);
    // Said once more it changes nothing, so there is no event.
    let again = officer.post(&format!("{chart}/restrictions"), &whom);
    assert!(again.status == 204 && again.headers.get("wardbook-position").is_none());
    let listed = officer.get(&format!("{chart}/consents"));
    assert_eq!(listed.status, 200, "{}", listed.text());
    assert_eq!(listed.json()["restrictions"][0]["user"], whom["user"]);
    assert!(listed.position() > 0, "that it was read is an event");
    let lifted = officer.delete(&format!("{chart}/restrictions?user={}", HOUSE.id(Role::Nurse)));
    assert_eq!(lifted.status, 204, "{}", lifted.text());
    assert_eq!(nurse.get(&chart).status, 200);

    assert_eq!(officer.post(&format!("{chart}/restrictions"), &json!({"role": "nurse"})).status, 204);
    assert_eq!(nurse.get(&chart).status, 404);
    assert_eq!(officer.post(&format!("{chart}/restrictions"), &json!({})).status, 422);
    assert_eq!(nurse.post(&format!("{chart}/restrictions"), &json!({"role": "physician"})).status, 404);
    assert_eq!(HOUSE.client(Role::Physician).get(&format!("{chart}/consents")).status, 403);
}

#[test]
fn somebody_represents_the_patient_until_a_day() {
    let test = crate::helpers::TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    test.user("officer", &[Role::ComplianceOfficer], None);
    let parent = test.user("parent", &[Role::Patient], None);
    let registered = test.log_in("registrar").post("/v1/patients", &crate::helpers::person("Child"));
    let chart = format!("/v1/patients/{}", registered.json()["patient"].as_str().unwrap());
    let officer = test.log_in("officer").after(&registered);
    let reader = test.log_in("parent").after(&registered);
    assert_eq!(reader.get(&chart).status, 404);
    let until = noon() + jiff::SignedDuration::from_mins(10);
    let granted = officer.put(&format!("{chart}/proxies/{parent}"), &json!({"until": until}));
    assert_eq!(granted.status, 204, "{}", granted.text());
    assert_eq!(reader.get(&chart).status, 200);
    test.clock.advance(jiff::SignedDuration::from_mins(10));
    assert_eq!(reader.get(&chart).status, 404, "over by itself");
    assert_eq!(officer.put(&format!("{chart}/proxies/{parent}"), &json!({"until": until})).status, 422);
}
