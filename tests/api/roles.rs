//! What each role may not do.

use serde_json::{Value, json};
use uuid::Uuid;
use wardbook_events::Role;

use crate::helpers::HOUSE;

#[test]
fn routes_that_are_about_no_patient_refuse_all_other_roles() {
    let user = Uuid::from_u128(9);
    let routes: [(&str, String, Value, &[Role]); 14] = [
        ("POST", "/v1/patients".into(), crate::helpers::person("Refused"), &[Role::Registrar]),
        (
            "POST",
            "/v1/patients/search".into(),
            json!({"name": "nobody"}),
            &[
                Role::Registrar,
                Role::Physician,
                Role::Nurse,
                Role::MedicalAssistant,
                Role::Paramedic,
                Role::EmergencyStaff,
                Role::Billing,
            ],
        ),
        ("GET", "/v1/audit/events".into(), Value::Null, &[Role::Auditor, Role::ComplianceOfficer]),
        ("POST", "/v1/replay".into(), json!({"limit": 1}), &[Role::Auditor, Role::ComplianceOfficer]),
        ("GET", "/v1/users".into(), Value::Null, &[Role::Admin]),
        ("GET", format!("/v1/users/{user}"), Value::Null, &[Role::Admin]),
        ("POST", "/v1/users".into(), json!({"username": "x", "roles": []}), &[Role::Admin]),
        ("POST", format!("/v1/users/{user}/roles"), json!({"role": "nurse"}), &[Role::Admin]),
        ("DELETE", format!("/v1/users/{user}/roles/nurse"), Value::Null, &[Role::Admin]),
        ("POST", format!("/v1/users/{user}/disable"), json!({}), &[Role::Admin]),
        ("POST", format!("/v1/users/{user}/enable"), json!({}), &[Role::Admin]),
        ("PUT", format!("/v1/users/{user}/password"), json!({"password": "Some-47-quiet-Meadows"}), &[Role::Admin]),
        ("GET", "/v1/projections".into(), Value::Null, &[Role::SystemAdmin, Role::DatabaseAdmin]),
        ("POST", "/v1/projections/nosuch/rebuild".into(), json!({}), &[Role::SystemAdmin, Role::DatabaseAdmin]),
    ];
    for (method, path, body, allowed) in &routes {
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Patient) {
            let client = HOUSE.client(role);
            let answer = match *method {
                "GET" => client.get(path),
                "DELETE" => client.delete(path),
                _ => client.raw(method, path, Some("application/json"), body.to_string().as_bytes()),
            };
            let refused = answer.status == 403;
            assert_eq!(
                refused,
                !allowed.contains(&role),
                "{method} {path} as {role:?}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(answer.status < 500, "{method} {path} as {role:?}: {}", answer.text());
        }
    }
}

#[test]
fn nobody_gets_into_a_chart_who_has_no_business_there() {
    let patient = HOUSE.patient("Private");
    for role in [
        Role::Auditor,
        Role::ComplianceOfficer,
        Role::Quality,
        Role::Admin,
        Role::SecurityAdmin,
        Role::SystemAdmin,
        Role::DatabaseAdmin,
        Role::Service,
    ] {
        for path in ["", "/records", "/care-team"] {
            assert_eq!(HOUSE.client(role).get(&format!("/v1/patients/{patient}{path}")).status, 404, "{role:?} {path}");
        }
    }
    // Minimum necessary: who may see the chart's front page does not see clinical entries.
    for role in [Role::Billing, Role::Registrar] {
        assert_eq!(HOUSE.client(role).get(&format!("/v1/patients/{patient}/records")).status, 404, "{role:?}");
    }
    // The purpose counts: a physician for payment is no physician in care.
    let path = format!("/v1/patients/{patient}");
    assert_eq!(HOUSE.client(Role::Physician).with("Purpose-Of-Use", "HPAYMT").get(&path).status, 404);
    assert_eq!(HOUSE.client(Role::Physician).with("Purpose-Of-Use", "curiosity").get(&path).status, 400);
}

#[test]
fn nobody_manages_himself() {
    let admin = HOUSE.id(Role::Admin);
    let answer = HOUSE.client(Role::Admin).post(&format!("/v1/users/{admin}/roles"), &json!({"role": "physician"}));
    assert_eq!(answer.status, 403);
    let patient = HOUSE.patient("Self");
    let place = format!("/v1/patients/{patient}/care-team/{}", HOUSE.id(Role::Registrar));
    assert_eq!(HOUSE.client(Role::Registrar).put(&place, &json!({"function": "nursing"})).status, 403);
}
