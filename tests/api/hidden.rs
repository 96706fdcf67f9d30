//! Who may not see a patient cannot tell whether there is one.

use serde_json::{Value, json};
use uuid::Uuid;
use wardbook_events::Role;

use crate::helpers::{Answer, Client, HOUSE, same_answer};

fn ask(client: &Client, method: &str, path: &str, body: &Value) -> Answer {
    let client = client.with("If-Match", "\"1\"");
    match method {
        "GET" => client.get(path),
        "DELETE" => client.delete(path),
        _ => client.raw(method, path, Some("application/json"), body.to_string().as_bytes()),
    }
}

#[test]
fn unknown_and_forbidden_patients_give_the_same_answer_on_every_route() {
    let forbidden = HOUSE.lonely_patient("Forbidden");
    let unknown = Uuid::from_u128(0x0190_a3c4_7d10_7cc2_b5c1_2f3e_4d5a_6b7c);
    let (user, client) = HOUSE.test.client(&[Role::Physician]);
    let record = Uuid::from_u128(7);
    let text = json!({"text": "x"});
    let body = json!({"code": {"text": "x"}});
    let routes = [
        ("GET", String::new(), Value::Null),
        ("PATCH", String::new(), json!({"language": "en"})),
        ("GET", "/records".into(), Value::Null),
        ("POST", "/records".into(), json!({"type": "note", "body": body})),
        ("GET", format!("/records/{record}"), Value::Null),
        ("PUT", format!("/records/{record}"), json!({"body": body})),
        ("POST", format!("/records/{record}/sign"), json!({})),
        ("POST", format!("/records/{record}/addenda"), text),
        ("POST", format!("/records/{record}/retract"), json!({})),
        ("GET", "/care-team".into(), Value::Null),
        ("PUT", format!("/care-team/{}", HOUSE.id(Role::Nurse)), json!({"function": "nursing"})),
        ("DELETE", format!("/care-team/{}", HOUSE.id(Role::Nurse)), Value::Null),
        ("PUT", "/places".into(), json!({"facilities": ["north"]})),
        ("GET", "/access-list".into(), Value::Null),
        ("GET", "/access-proof".into(), Value::Null),
        ("POST", "/merge".into(), json!({"into": HOUSE.lonely_patient("Into")})),
        ("POST", "/unmerge".into(), json!({"from": HOUSE.lonely_patient("From")})),
    ];
    for (method, rest, body) in routes {
        let of = |patient: &str| ask(&client, method, &format!("/v1/patients/{patient}{rest}"), &body);
        let (one, other) = (of(&forbidden.to_string()), of(&unknown.to_string()));
        assert_eq!(one.status, 404, "{method} {rest}: {}", one.text());
        same_answer(&one, &other);
        assert!(one.headers.get("wardbook-position").is_none());
    }
    // The refusals are in the trail, of both.
    let newest = HOUSE.test.app.ledger().head().durable - 1;
    let auditor = HOUSE.client(Role::Auditor).with("If-Ledger-Position", &newest.to_string());
    let told = |kind: &str| {
        auditor.get(&format!("/v1/audit/events?actor={user}&type={kind}&limit=200")).json()["events"]
            .as_array()
            .unwrap()
            .len()
    };
    assert!(told("access.denied") >= 16, "{}", told("access.denied"));
    assert!(told("access.unknown-patient-requested") >= 16, "{}", told("access.unknown-patient-requested"));
}
