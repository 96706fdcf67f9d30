//! Why something was refused, and what policy would say.

use serde_json::{Value, json};
use wardbook_events::{Role, UserId};

use crate::helpers::HOUSE;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|policy| policy["name"].as_str().unwrap()).collect()
}

/// The newest event of this type that a user caused.
fn newest(actor: UserId, kind: &str) -> String {
    let last = HOUSE.test.app.ledger().head().durable - 1;
    let auditor = HOUSE.client(Role::Auditor).with("If-Ledger-Position", &last.to_string());
    let trail = auditor.get(&format!("/v1/audit/events?actor={actor}&type={kind}")).json();
    trail["events"][0]["id"].as_str().unwrap_or_else(|| panic!("no {kind}: {trail}")).to_owned()
}

#[test]
fn a_refusal_is_explained_to_administrators_and_that_it_was_is_an_event() {
    let patient = HOUSE.lonely_patient("Explained");
    let (user, physician) = HOUSE.test.client(&[Role::Physician]);
    assert_eq!(physician.get(&format!("/v1/patients/{patient}")).status, 404);
    let event = newest(user, "access.denied");
    let path = format!("/v1/denials/{event}");
    for role in [Role::SecurityAdmin, Role::ComplianceOfficer] {
        let answer = HOUSE.client(role).get(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let why = answer.json();
        assert_eq!((&why["user"], &why["patient"]), (&json!(user), &json!(patient)));
        assert_eq!(
            (why["action"].as_str(), why["because"].as_str()),
            (Some("read-chart"), Some("no policy allows it"))
        );
        assert_eq!(newest(HOUSE.id(role), "access.denial-explained"), answer.header("wardbook-event"));
    }
    for role in [Role::Physician, Role::Auditor, Role::Admin, Role::SystemAdmin, Role::Registrar] {
        assert_eq!(HOUSE.client(role).get(&path).status, 403, "{role:?}");
    }
    // An event that is no refusal is none to explain.
    let other = newest(HOUSE.id(Role::SecurityAdmin), "access.denial-explained");
    assert_eq!(HOUSE.client(Role::SecurityAdmin).get(&format!("/v1/denials/{other}")).status, 404);
}

#[test]
fn a_rule_is_told_by_name_and_purpose_and_a_guess_is_told_apart() {
    let (admin, client) = HOUSE.test.client(&[Role::Admin]);
    assert_eq!(client.post(&format!("/v1/users/{admin}/disable"), &json!({})).status, 403);
    let security = HOUSE.client(Role::SecurityAdmin);
    let why = security.get(&format!("/v1/denials/{}", newest(admin, "access.denied"))).json();
    assert_eq!(names(&why["policies"]), ["deny-manage-self"]);
    assert!(why["policies"][0]["why"].as_str().unwrap().contains("nobody manages his own account"));

    let (user, physician) = HOUSE.test.client(&[Role::Physician]);
    assert_eq!(physician.get("/v1/patients/00000000-0000-7000-8000-00000000abcd").status, 404);
    let why = security.get(&format!("/v1/denials/{}", newest(user, "access.unknown-patient-requested"))).json();
    assert_eq!((&why["because"], &why["patient"]), (&json!("there is no such patient"), &Value::Null));
}

#[test]
fn what_policy_would_say_is_the_same_for_an_unknown_patient_and_a_strange_one() {
    let security = HOUSE.client(Role::SecurityAdmin);
    let explain = |patient: &str| {
        let body =
            json!({"user": HOUSE.id(Role::Physician), "action": "read-chart", "purpose": "TREAT", "patient": patient});
        let answer = security.post("/v1/policies/explain", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let treated = explain(&HOUSE.patient("Treated").to_string());
    assert_eq!((&treated["allowed"], &treated["deciding"]), (&json!(true), &json!(["physician-care-team-read"])));
    let strange = explain(&HOUSE.lonely_patient("Strange").to_string());
    assert_eq!((&strange["allowed"], &strange["deciding"]), (&json!(false), &json!([])));
    assert_eq!(strange, explain("00000000-0000-7000-8000-00000000abcd"));

    let wrong = |body: Value| security.post("/v1/policies/explain", &body).status;
    let user = HOUSE.id(Role::Physician);
    assert_eq!(wrong(json!({"user": user, "action": "read-chart", "purpose": "TREAT"})), 422);
    assert_eq!(wrong(json!({"user": user, "action": "fly", "purpose": "TREAT"})), 422);
    let nobody = "00000000-0000-7000-8000-00000000abcd";
    assert_eq!(wrong(json!({"user": nobody, "action": "register-patient", "purpose": "HOPERAT"})), 404);
}

#[test]
fn the_policies_in_force_are_listed_with_what_they_are_for() {
    let answer = HOUSE.client(Role::Auditor).get("/v1/policies").json();
    assert_eq!(answer["version"], HOUSE.test.app.policies().version());
    let policies = answer["policies"].as_array().unwrap();
    assert!(policies.iter().all(|policy| !policy["why"].as_str().unwrap().is_empty()));
    assert!(names(&answer["policies"]).contains(&"break-glass-read"));
    assert_eq!(HOUSE.client(Role::Nurse).get("/v1/policies").status, 403);
}
