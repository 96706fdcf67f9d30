use serde_json::{Value, json};
use wardbook_events::{PatientId, Role};

use crate::helpers::{Answer, HOUSE};

fn add(role: Role, patient: PatientId, body: &Value) -> Answer {
    HOUSE.client(role).post(&format!("/v1/patients/{patient}/records"), body)
}

fn list(role: Role, patient: PatientId, query: &str) -> Value {
    let answer = HOUSE.client(role).get(&format!("/v1/patients/{patient}/records{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn caught_up(answer: &Answer) {
    let seen = HOUSE.test.app.views().wait_for(answer.position(), std::time::Duration::from_secs(10));
    crate::helpers::block_on(seen).unwrap();
}

#[test]
fn entries_are_added_listed_by_type_and_day_and_paged() {
    let patient = HOUSE.patient("Lists");
    for day in 1..=5 {
        let body = json!({"type": "lab-result", "body": {
            "code": {"text": format!("Potassium {day}")}, "date": format!("2025-06-{day:02}"),
            "quantity": {"value": "4.50", "unit": "mmol/L"},
        }});
        let answer = add(Role::Physician, patient, &body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        caught_up(&answer);
    }
    caught_up(&add(
        Role::Nurse,
        patient,
        &json!({"type": "vital-sign", "body": {"code": {"text": "Pulse"}, "date": "2024-01-01"}}),
    ));
    let all = list(Role::Physician, patient, "");
    assert_eq!(all["records"].as_array().unwrap().len(), 6);
    assert_eq!(all["records"][0]["body"]["code"]["text"], "Pulse", "newest first");
    assert_eq!(all["records"][1]["body"]["quantity"]["value"], "4.50", "precision is kept");
    assert_eq!(list(Role::Nurse, patient, "?type=vital-sign")["records"].as_array().unwrap().len(), 1);
    let days = list(Role::Physician, patient, "?from=2025-06-02&to=2025-06-03");
    assert_eq!(days["records"].as_array().unwrap().len(), 2, "{days}");
    let (mut seen, mut path) = (Vec::new(), "?limit=4".to_owned());
    loop {
        let page = list(Role::Physician, patient, &path);
        seen.extend(page["records"].as_array().unwrap().iter().map(|one| one["record"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_u64() else { break };
        path = format!("?limit=4&cursor={next}");
    }
    let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (6, 6), "pages neither repeat nor leave out");
    let client = HOUSE.client(Role::Physician);
    for wrong in ["?limit=0", "?limit=100000"] {
        assert_eq!(client.get(&format!("/v1/patients/{patient}/records{wrong}")).status, 422, "{wrong}");
    }
    for wrong in ["?type=spell", "?from=yesterday", "?cursor=x", "?nosuch=1"] {
        assert_eq!(client.get(&format!("/v1/patients/{patient}/records{wrong}")).status, 400, "{wrong}");
    }
}

#[test]
fn a_note_is_amended_signed_and_then_only_added_to() {
    let patient = HOUSE.patient("Notes");
    let added = add(
        Role::Physician,
        patient,
        &json!({"type": "note", "body": {"code": {"text": "Visit"}, "text": "First draft"}}),
    );
    caught_up(&added);
    let record = added.json()["record"].as_str().unwrap().to_owned();
    let path = format!("/v1/patients/{patient}/records/{record}");
    assert_eq!(added.header("location"), path);
    let physician = HOUSE.client(Role::Physician);
    let body = json!({"body": {"code": {"text": "Visit"}, "text": "Second draft"}});
    assert_eq!(physician.put(&path, &body).status, 428);
    assert_eq!(physician.with("If-Match", "\"7\"").put(&path, &body).status, 412);
    let amended = physician.with("If-Match", "\"1\"").put(&path, &body);
    assert_eq!((amended.status, amended.header("etag")), (200, "\"2\""), "{}", amended.text());
    assert_eq!(physician.after(&amended).post(&format!("{path}/addenda"), &json!({"text": "too early"})).status, 409);
    assert_eq!(HOUSE.client(Role::Nurse).post(&format!("{path}/sign"), &json!({})).status, 403, "not the author");
    assert_eq!(
        physician.with("If-Match", "\"1\"").post(&format!("{path}/sign"), &json!({})).status,
        412,
        "signs what was seen"
    );
    let signed = physician.with("If-Match", "\"2\"").post(&format!("{path}/sign"), &json!({}));
    assert_eq!(signed.status, 200, "{}", signed.text());
    assert_eq!(
        physician.after(&signed).with("If-Match", "\"3\"").put(&path, &body).status,
        403,
        "a signed note never changes"
    );
    let addendum = physician.post(&format!("{path}/addenda"), &json!({"text": "One thing more"}));
    assert_eq!(addendum.status, 201, "{}", addendum.text());
    let read = HOUSE.client(Role::Nurse).after(&addendum).get(&path).json();
    assert_eq!((read["state"].as_str(), read["body"]["text"].as_str()), (Some("signed"), Some("Second draft")));
    assert_eq!(read["addenda"][0]["text"], "One thing more");
    let retracted = physician.post(&format!("{path}/retract"), &json!({}));
    assert_eq!(retracted.status, 200, "{}", retracted.text());
    caught_up(&retracted);
    assert!(list(Role::Physician, patient, "")["records"].as_array().unwrap().is_empty());
    assert_eq!(list(Role::Physician, patient, "?retracted=true")["records"][0]["state"], "retracted");
}

#[test]
fn specially_protected_entries_are_for_those_who_may_see_them() {
    let patient = HOUSE.patient("Labelled");
    let body = json!({"type": "condition", "sensitivity": ["HIV"], "body": {"code": {"text": "Protected"}}});
    let added = add(Role::Physician, patient, &body);
    assert_eq!(added.status, 201, "{}", added.text());
    caught_up(&added);
    let path = format!("/v1/patients/{patient}/records/{}", added.json()["record"].as_str().unwrap());
    assert_eq!(HOUSE.client(Role::Physician).get(&path).json()["body"]["code"]["text"], "Protected");
    assert_eq!(HOUSE.client(Role::Nurse).get(&path).status, 404);
    assert!(list(Role::Nurse, patient, "")["records"].as_array().unwrap().is_empty());
    assert_eq!(list(Role::Physician, patient, "")["records"].as_array().unwrap().len(), 1);
    assert_eq!(add(Role::Nurse, patient, &body).status, 403);
}

#[test]
fn an_entry_is_added_once_however_often_it_is_sent() {
    let patient = HOUSE.patient("Once");
    let client = HOUSE.client(Role::Nurse).with("Idempotency-Key", &format!("once-{patient}"));
    let body = json!({"type": "note", "body": {"code": {"text": "Once"}}});
    let path = format!("/v1/patients/{patient}/records");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..4).map(|_| scope.spawn(|| client.post(&path, &body))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    for answer in &answers {
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json(), answers[0].json());
        caught_up(answer);
    }
    assert_eq!(list(Role::Nurse, patient, "")["records"].as_array().unwrap().len(), 1);
}
