use serde_json::Value;
use wardbook_events::{PatientId, Role};
use wardbook_ledger::KeyRing;
use wardbook_ledger::bundle::SubjectBundle;

use crate::helpers::{Client, HOUSE};

fn events(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/audit/events?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["events"].as_array().unwrap().clone()
}

fn own(patient: PatientId) -> Client {
    HOUSE.test.user(&format!("p-{patient}"), &[Role::Patient], Some(patient));
    HOUSE.test.log_in(&format!("p-{patient}"))
}

#[test]
fn the_trail_is_found_by_every_filter() {
    let patient = HOUSE.patient("Trailed");
    let (user, nurse) = HOUSE.test.client(&[Role::Nurse]);
    HOUSE.assign(patient, user);
    let correlation = "0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c".to_owned();
    let read = nurse.with("X-Correlation-ID", &correlation).get(&format!("/v1/patients/{patient}"));
    assert_eq!(read.status, 200, "{}", read.text());
    assert_eq!(read.header("x-correlation-id"), correlation);
    let session = nurse.get("/v1/auth/session").json()["session"].as_str().unwrap().to_owned();
    let officer = HOUSE.client(Role::ComplianceOfficer).after(&read);
    let position = read.position();
    for query in [
        format!("patient={patient}"),
        format!("actor={user}"),
        format!("session={session}"),
        format!("correlation={correlation}"),
        format!("patient={patient}&type=access.chart-opened&outcome=success"),
        format!("actor={user}&type=access."),
        "since=2026-03-01T12:00:00Z&type=access.chart-opened&limit=200".to_owned(),
    ] {
        let found = events(&officer, &query);
        let event = found.iter().find(|event| event["position"] == position);
        let event = event.unwrap_or_else(|| panic!("not found by {query}: {found:?}"));
        assert_eq!(event["type"], "access.chart-opened");
        assert_eq!(event["actor"], user.to_string());
        assert_eq!(event["role"], "nurse");
        assert_eq!(event["purpose"], "TREAT");
        assert_eq!(event["digest"], read.header("wardbook-digest"));
        assert_eq!(
            event["session"].as_str().unwrap(),
            &session.replace('-', "")[..8],
            "eight characters of it, no more"
        );
    }
    assert!(events(&officer, &format!("patient={patient}&type=access.denied")).is_empty());
    assert!(events(&officer, "type=nonsense.").is_empty());
    let text = officer.get(&format!("/v1/audit/events?patient={patient}")).text();
    assert!(!text.contains("Trailed") && !text.contains("\"1.1."), "nothing sealed and nothing opened: {text}");
    for wrong in ["actor=x", "outcome=maybe", "since=yesterday", "nosuch=1"] {
        assert_eq!(officer.get(&format!("/v1/audit/events?{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn pages_of_the_trail_neither_repeat_nor_leave_out() {
    let patient = HOUSE.patient("Paged");
    let mut last = None;
    for _ in 0..7 {
        last = Some(HOUSE.client(Role::Nurse).get(&format!("/v1/patients/{patient}")));
    }
    let auditor = HOUSE.client(Role::Auditor).after(last.as_ref().unwrap());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            auditor.get(&format!("/v1/audit/events?patient={patient}&type=access.chart-opened&limit=3{cursor}")).json();
        seen.extend(page["events"].as_array().unwrap().iter().map(|event| event["position"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert!(seen.is_sorted_by(|newer, older| newer > older));
}

#[test]
fn patients_see_who_looked_and_check_that_nobody_was_left_out() {
    let patient = HOUSE.patient("Looked-At");
    for role in [Role::Nurse, Role::Physician, Role::Billing] {
        assert_eq!(HOUSE.client(role).get(&format!("/v1/patients/{patient}")).status, 200);
    }
    let (_, stranger) = HOUSE.test.client(&[Role::Nurse]);
    assert_eq!(stranger.get(&format!("/v1/patients/{patient}")).status, 404);
    let own = own(patient);
    let list = own.get(&format!("/v1/patients/{patient}/access-list"));
    assert_eq!(list.status, 200, "{}", list.text());
    let looks = list.json()["events"].as_array().unwrap().clone();
    assert_eq!(looks[0]["position"], list.position(), "the first entry is this very request");
    assert_eq!(looks[0]["type"], "access.access-list-read");
    let told: Vec<_> =
        looks.iter().map(|look| (look["type"].as_str().unwrap(), look["username"].as_str().unwrap_or("-"))).collect();
    for who in ["nurse", "physician", "billing"] {
        assert!(told.contains(&("access.chart-opened", who)), "{told:?}");
    }
    assert!(told.iter().any(|(kind, _)| *kind == "access.denied"), "refused looks are told too");
    let opened = looks.iter().find(|look| look["username"] == "nurse").unwrap();
    assert_eq!(opened["groups"], serde_json::json!(["demographics", "contact", "clinical"]));

    let proof = own.get(&format!("/v1/patients/{patient}/access-proof"));
    assert_eq!(proof.status, 200, "{}", proof.text());
    let text = proof.text();
    let bundle = SubjectBundle::from_json(text.lines().next().unwrap()).unwrap();
    let keys = KeyRing::parse(&HOUSE.test.stranger().get("/v1/ledger/keys").text()).unwrap();
    let verified = bundle.verify(&keys).unwrap();
    let positions: Vec<_> = verified.events.iter().map(|event| event.header.position.get()).collect();
    assert_eq!(positions.last(), Some(&proof.position()), "it ends with the request for the proof itself");
    for look in &looks {
        assert!(positions.contains(&look["position"].as_u64().unwrap()), "every look of the list is proven");
    }
    assert!(!text.contains("127.0.0.1") && !text.contains("Looked-At"), "no client address and no PHI");
}

#[test]
fn the_list_is_for_the_patient_and_for_oversight() {
    let patient = HOUSE.patient("Oversight");
    let path = format!("/v1/patients/{patient}/access-list");
    for role in [Role::Auditor, Role::ComplianceOfficer] {
        let answer = HOUSE.client(role).get(&path);
        assert_eq!(answer.status, 200, "{role:?}: {}", answer.text());
        assert_eq!(answer.json()["events"][0]["type"], "access.audit-read");
    }
    assert_eq!(HOUSE.client(Role::Physician).get(&path).status, 403, "may see the chart, but not who else did");
    assert_eq!(HOUSE.client(Role::Admin).get(&path).status, 404);
}
