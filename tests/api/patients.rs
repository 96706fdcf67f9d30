use serde_json::{Value, json};
use wardbook_events::{PatientId, Role};

use crate::helpers::{HOUSE, person};

fn read(role: Role, patient: PatientId) -> Value {
    let answer = HOUSE.client(role).get(&format!("/v1/patients/{patient}"));
    assert_eq!(answer.status, 200, "{role:?}: {}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

#[test]
fn each_role_sees_its_groups_of_fields_and_no_others() {
    let patient = HOUSE.patient("Okafor");
    let has = |role, present: &[&str], absent: &[&str]| {
        let chart = read(role, patient);
        for field in present {
            assert!(chart.get(field).is_some(), "{role:?} should see {field}: {chart}");
        }
        for field in absent {
            assert!(chart.get(field).is_none(), "{role:?} should not see {field}");
        }
    };
    has(Role::Physician, &["name", "birth_date", "gender", "phones", "emails", "ssn", "mrn"], &["insurance"]);
    has(Role::Nurse, &["name", "birth_date", "phones"], &["ssn", "mrn", "insurance"]);
    has(Role::Billing, &["name", "mrn", "insurance", "phones"], &["ssn", "next_of_kin"]);
    has(Role::Registrar, &["name", "ssn", "mrn", "insurance", "phones"], &[]);
    assert_eq!(read(Role::Physician, patient)["name"]["family"], "Okafor");
    assert_eq!(read(Role::Nurse, patient)["groups"], json!(["demographics", "contact", "clinical"]));
}

#[test]
fn registering_says_where_and_which_version() {
    let answer = HOUSE.client(Role::Registrar).post("/v1/patients", &person("Ibarra"));
    assert_eq!(answer.status, 201, "{}", answer.text());
    let patient = answer.json()["patient"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/v1/patients/{patient}"));
    assert_eq!(answer.header("etag"), "\"1\"");
    let read = HOUSE.client(Role::Registrar).after(&answer).get(&format!("/v1/patients/{patient}"));
    assert_eq!(read.status, 200, "with If-Ledger-Position one reads what one wrote: {}", read.text());
    assert_eq!(read.header("etag"), "\"1\"");
}

#[test]
fn a_repeated_request_registers_once() {
    let body = person("Repeated");
    let client =
        HOUSE.client(Role::Registrar).with("Idempotency-Key", &format!("key-{}", body["ssn"].as_str().unwrap()));
    let (first, second) = (client.post("/v1/patients", &body), client.post("/v1/patients", &body));
    assert_eq!((first.status, second.status), (201, 201), "{}", second.text());
    assert_eq!(first.json(), second.json());
    assert_eq!(first.position(), second.position(), "the same receipt");
    let other = client.post("/v1/patients", &person("Other"));
    assert_eq!((other.status, other.json()["type"].as_str()), (409, Some("/problems/idempotency-key-reused")));
}

#[test]
fn a_duplicate_is_refused_and_nothing_told_of_the_other() {
    let mut body = person("Twice");
    let first = HOUSE.client(Role::Registrar).post("/v1/patients", &body);
    body["name"] = json!({"family": "Different", "given": ["Name"]});
    let second = HOUSE.client(Role::Registrar).post("/v1/patients", &body);
    assert_eq!((second.status, second.json()["type"].as_str()), (409, Some("/problems/duplicate-patient")));
    assert!(!second.text().contains(first.json()["patient"].as_str().unwrap()) && !second.text().contains("Twice"));
}

#[test]
fn corrections_need_the_version_that_was_read() {
    let patient = HOUSE.patient("Misspelt");
    let path = format!("/v1/patients/{patient}");
    let registrar = HOUSE.client(Role::Registrar);
    let body = json!({"name": {"family": "Corrected", "given": ["Ngozi"]}, "language": "ig", "gender": null});
    assert_eq!(registrar.patch(&path, &body).status, 428);
    assert_eq!(registrar.with("If-Match", "\"9\"").patch(&path, &body).status, 412);
    let etag = registrar.get(&path).header("etag").to_owned();
    let done = registrar.with("If-Match", &etag).patch(&path, &body);
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.header("etag"), "\"2\"");
    let chart = registrar.after(&done).get(&path).json();
    assert_eq!(chart["name"]["family"], "Corrected");
    assert_eq!(chart["language"], "ig");
    assert!(chart.get("gender").is_none(), "null clears");
    assert_eq!(chart["birth_date"], "1971-02-03", "what is not named stays");
    assert_eq!(registrar.with("If-Match", &etag).patch(&path, &body).status, 412, "the old version is gone");
    assert_eq!(HOUSE.client(Role::Physician).with("If-Match", "\"2\"").patch(&path, &body).status, 403);
    assert_eq!(registrar.with("If-Match", "\"2\"").patch(&path, &json!({})).status, 422);
}

#[test]
fn search_finds_by_name_sound_and_number_only_whom_the_caller_may_see() {
    let patient = HOUSE.patient("Schmidtberger");
    let lonely = HOUSE.lonely_patient("Schmidtberger");
    let search = |role, body: Value| {
        let answer = HOUSE.client(role).post("/v1/patients/search", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let found = answer.json()["patients"].clone();
        found.as_array().unwrap().iter().map(|one| one["patient"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (ours, theirs) = (patient.to_string(), lonely.to_string());
    for body in [json!({"name": "schmidtberger"}), json!({"name": "Ngozi SCHMIDTBERGER", "birth_date": "1971-02-03"})] {
        let found = search(Role::Registrar, body.clone());
        assert!(found.contains(&ours) && found.contains(&theirs), "{body}");
        let found = search(Role::Physician, body);
        assert!(found.contains(&ours) && !found.contains(&theirs), "a physician finds patients in care only");
    }
    assert!(search(Role::Registrar, json!({"name": "Shmitberger", "match": "sounds"})).contains(&ours));
    assert!(search(Role::Registrar, json!({"name": "Shmitberger"})).is_empty());
    let ssn = read(Role::Registrar, patient)["ssn"].clone();
    assert_eq!(search(Role::Registrar, json!({"ssn": ssn})), [ours]);
    let nothing = HOUSE.client(Role::Registrar).post("/v1/patients/search", &json!({}));
    assert_eq!(nothing.status, 422);
    assert_eq!(HOUSE.client(Role::Auditor).post("/v1/patients/search", &json!({"name": "x"})).status, 403);
}

#[test]
fn merged_patients_are_read_as_one_and_can_be_parted() {
    let (stays, goes) = (HOUSE.patient("Stays"), HOUSE.patient("Goes"));
    let note = json!({"type": "note", "body": {"code": {"text": "Before the merge"}}});
    let physician = HOUSE.client(Role::Physician);
    assert_eq!(physician.post(&format!("/v1/patients/{goes}/records"), &note).status, 201);
    let registrar = HOUSE.client(Role::Registrar);
    let merged = registrar.post(&format!("/v1/patients/{goes}/merge"), &json!({"into": stays}));
    assert_eq!(merged.status, 200, "{}", merged.text());
    assert_eq!(read(Role::Physician, goes)["patient"], stays.to_string(), "who goes on is shown");
    let records = physician.get(&format!("/v1/patients/{stays}/records"));
    assert_eq!(records.status, 200, "{}", records.text());
    assert_eq!(records.json()["records"][0]["body"]["code"]["text"], "Before the merge");
    assert_eq!(physician.post(&format!("/v1/patients/{goes}/records"), &note).status, 409, "takes no more changes");
    assert_eq!(registrar.post(&format!("/v1/patients/{goes}/unmerge"), &json!({"from": stays})).status, 200);
    assert_eq!(read(Role::Physician, goes)["name"]["family"], "Goes");
    assert_eq!(physician.post(&format!("/v1/patients/{stays}/merge"), &json!({"into": goes})).status, 403);
}

#[test]
fn patients_read_their_own_chart_and_no_other() {
    let (own, other) = (HOUSE.patient("Own"), HOUSE.patient("Other"));
    HOUSE.test.user(&format!("p-{own}"), &[Role::Patient], Some(own));
    let client = HOUSE.test.log_in(&format!("p-{own}"));
    let chart = client.get(&format!("/v1/patients/{own}"));
    assert_eq!(chart.status, 200, "{}", chart.text());
    assert!(chart.json().get("ssn").is_some() && chart.json().get("insurance").is_some());
    assert_eq!(client.get(&format!("/v1/patients/{other}")).status, 404);
}

#[test]
fn leaving_the_care_team_ends_access_at_once() {
    let patient = HOUSE.patient("Leaving");
    let (path, team) = (format!("/v1/patients/{patient}"), format!("/v1/patients/{patient}/care-team"));
    let nurse = HOUSE.client(Role::Nurse);
    let members = nurse.get(&team).json();
    assert_eq!(members["members"].as_array().unwrap().len(), 2, "{members}");
    let place = format!("{team}/{}", HOUSE.id(Role::Nurse));
    assert_eq!(HOUSE.client(Role::Registrar).delete(&place).status, 204);
    assert_eq!(nurse.get(&path).status, 404, "the very next request");
    assert_eq!(HOUSE.client(Role::Registrar).delete(&place).status, 409);
    let past = json!({"function": "nursing", "until": "2020-01-01T00:00:00Z"});
    assert_eq!(HOUSE.client(Role::Registrar).put(&place, &past).status, 422);
    let nobody = format!("{team}/{}", uuid::Uuid::nil());
    assert_eq!(HOUSE.client(Role::Registrar).put(&nobody, &json!({"function": "nursing"})).status, 422);
}
