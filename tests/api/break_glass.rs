//! Breaking the glass, from its start to its review.

use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;
use wardbook_events::{PatientId, Role, TenantId};

use crate::helpers::{Answer, Client, HOUSE, TestApp, person, same_answer};

const UNKNOWN: Uuid = Uuid::from_u128(0x0190_a3c4_7d10_7cc2_b5c1_2f3e_4d5a_6b7c);

/// Acts in an emergency.
fn urgent(client: &Client) -> Client {
    client.with("Purpose-Of-Use", "ETREAT")
}
fn start(client: &Client, patient: impl std::fmt::Display) -> Answer {
    let body = json!({"patient": patient.to_string(), "reason": "code-blue", "location": "ED 2", "attested": true});
    urgent(client).post("/v1/break-glass", &body)
}
fn started(client: &Client, patient: PatientId) -> String {
    let answer = start(client, patient);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["emergency"].as_str().unwrap().to_owned()
}
fn chart(client: &Client, patient: PatientId) -> u16 {
    urgent(client).get(&format!("/v1/patients/{patient}")).status
}
/// The officer's page of emergencies in this state that are this user's.
fn queue(state: &str, user: impl std::fmt::Display) -> Vec<Value> {
    let newest = HOUSE.test.app.ledger().head().durable - 1;
    let officer = HOUSE.client(Role::ComplianceOfficer).with("If-Ledger-Position", &newest.to_string());
    let answer = officer.get(&format!("/v1/break-glass?state={state}&limit=200"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let user = user.to_string();
    let all = answer.json()["emergencies"].as_array().unwrap().clone();
    all.into_iter().filter(|one| one["user"] == user.as_str()).collect()
}

#[test]
fn the_glass_is_broken_for_one_patient_for_a_time_and_for_reading() {
    let (patient, other) = (HOUSE.patient("Broken"), HOUSE.lonely_patient("Whole"));
    let path = format!("/v1/patients/{patient}");
    let note = json!({"type": "note", "body": {"code": {"text": "Found on the floor"}}});
    let added = HOUSE.client(Role::Physician).post(&format!("{path}/records"), &note);
    let record = added.json()["record"].as_str().unwrap().to_owned();
    let (_, client) = HOUSE.test.client(&[Role::Physician]);
    let client = client.after(&added);
    assert_eq!(chart(&client, patient), 404);

    let answer = start(&client, patient);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let emergency = answer.json();
    let id = emergency["emergency"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/break-glass/{id}"));
    assert_eq!(emergency["live"], true);
    let at = |name: &str| emergency[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at("expires_at").duration_since(at("started_at")), SignedDuration::from_hours(4));
    assert_eq!(at("review_due_at").duration_since(at("started_at")), SignedDuration::from_hours(24));

    // Reading, for this patient, for this purpose.
    assert_eq!(chart(&client, patient), 200);
    let records = urgent(&client).get(&format!("{path}/records"));
    assert_eq!((records.status, records.json()["records"][0]["record"].as_str()), (200, Some(&*record)));
    assert_eq!(client.get(&path).status, 404, "treatment is another purpose");
    assert_eq!(chart(&client, other), 404);
    let written = urgent(&client).post(&format!("{path}/records"), &note);
    assert_eq!(written.status, 403, "{}", written.text());
    let corrected = urgent(&client).with("If-Match", "\"1\"").patch(&path, &json!({"language": "en"}));
    assert_eq!(corrected.status, 403);
    assert_eq!(start(&client, patient).status, 409, "one at a time");

    let extended = urgent(&client).post(&format!("/v1/break-glass/{id}/extend"), &json!({}));
    assert_eq!(extended.status, 200, "{}", extended.text());
    let until: jiff::Timestamp = extended.json()["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(until.duration_since(at("started_at")), SignedDuration::from_hours(6));
    assert_eq!(urgent(&client).post(&format!("/v1/break-glass/{id}/extend"), &json!({})).status, 409);

    // What was opened stands in it, and the trail names the emergency.
    let own = client.after(&records).get(&format!("/v1/break-glass/{id}")).json();
    assert_eq!(own["touched"], json!([format!("patient:{patient}"), format!("record:{record}")]));
    let live = client.get("/v1/break-glass").json();
    assert_eq!(live["emergencies"].as_array().unwrap().len(), 1);
    let trail = HOUSE.client(Role::Auditor).after(&records);
    let trail = trail.get(&format!("/v1/audit/events?patient={patient}&type=access.chart-opened&limit=1")).json();
    assert_eq!(trail["events"][0]["details"]["grounds"]["emergency"], id);
    assert_eq!(trail["events"][0]["purpose"], "ETREAT");

    let ended = client.post(&format!("/v1/break-glass/{id}/end"), &json!({}));
    assert_eq!(ended.status, 204, "{}", ended.text());
    assert_eq!(chart(&client, patient), 404);
    assert_eq!(client.post(&format!("/v1/break-glass/{id}/end"), &json!({})).status, 409);
    assert_eq!(urgent(&client).post(&format!("/v1/break-glass/{id}/extend"), &json!({})).status, 409);
    assert!(client.get("/v1/break-glass").json()["emergencies"].as_array().unwrap().is_empty());
    started(&client, patient);
    assert_eq!(chart(&client, patient), 200, "and again, if it must be");
}

#[test]
fn time_ends_it() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    test.user("nurse", &[Role::Nurse], None);
    let registered = test.log_in("registrar").post("/v1/patients", &person("Timed"));
    let patient: PatientId = registered.json()["patient"].as_str().unwrap().parse().unwrap();
    let nurse = || test.log_in("nurse").after(&registered);
    let id = started(&nurse(), patient);
    test.clock.advance(SignedDuration::from_mins(4 * 60 - 1));
    let client = nurse();
    assert_eq!(chart(&client, patient), 200);
    assert_eq!(urgent(&client).post(&format!("/v1/break-glass/{id}/extend"), &json!({})).status, 200);
    test.clock.advance(SignedDuration::from_hours(2));
    assert_eq!(chart(&nurse(), patient), 200);
    test.clock.advance(SignedDuration::from_mins(1));
    let client = nurse();
    assert_eq!(chart(&client, patient), 404);
    assert_eq!(client.post(&format!("/v1/break-glass/{id}/end"), &json!({})).status, 409);
    assert!(client.get("/v1/break-glass").json()["emergencies"].as_array().unwrap().is_empty());
}

#[test]
fn a_restart_changes_nothing() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    test.user("paramedic", &[Role::Paramedic], None);
    let registered = test.log_in("registrar").post("/v1/patients", &person("Restarted"));
    let patient: PatientId = registered.json()["patient"].as_str().unwrap().parse().unwrap();
    let id = started(&test.log_in("paramedic").after(&registered), patient);
    let config = test.app.config().clone();
    let test = TestApp::in_dir(config, test.stop());
    let client = test.log_in("paramedic");
    assert_eq!(chart(&client, patient), 200);
    assert_eq!(start(&client, patient).status, 409);
    assert_eq!(client.post(&format!("/v1/break-glass/{id}/end"), &json!({})).status, 204);
    assert_eq!(chart(&client, patient), 404);
}

#[test]
fn only_those_who_treat_break_the_glass_and_others_learn_nothing() {
    let patient = HOUSE.lonely_patient("Out-Of-Reach");
    let may = [Role::Physician, Role::Nurse, Role::Paramedic, Role::EmergencyStaff];
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Patient) {
        let (_, client) = HOUSE.test.client(&[role]);
        let (one, other) = (start(&client, patient), start(&client, UNKNOWN));
        assert_eq!(other.status, 404, "{role:?}: {}", other.text());
        if may.contains(&role) {
            assert_eq!(one.status, 201, "{role:?}: {}", one.text());
        } else {
            // A role that sees the front page for another purpose sees nothing for this one.
            same_answer(&one, &other);
        }
    }
}

#[test]
fn what_is_missing_is_told_before_anything_is_looked_up() {
    let (_, client) = HOUSE.test.client(&[Role::Nurse]);
    let urgent = urgent(&client);
    let send = |body: Value| urgent.post("/v1/break-glass", &body);
    let patient = HOUSE.lonely_patient("Unattested").to_string();
    for of in [&patient, &UNKNOWN.to_string()] {
        assert_eq!(send(json!({"patient": of, "reason": "trauma"})).status, 422);
        assert_eq!(send(json!({"patient": of, "reason": "trauma", "attested": false})).status, 422);
        assert_eq!(send(json!({"patient": of, "reason": "curiosity", "attested": true})).status, 422);
    }
    assert_eq!(send(json!({"patient": patient, "reason": "other", "attested": true})).status, 422);
    let story = json!({"patient": patient, "reason": "trauma", "location": "bed of Mrs. X; HIV", "attested": true});
    assert_eq!(send(story).status, 422);
    let told = json!({"patient": patient, "reason": "other", "detail": "Flooded ward", "attested": true});
    assert_eq!(send(told).status, 201);
}

#[test]
fn a_retry_is_the_same_emergency() {
    let patient = HOUSE.lonely_patient("Retried");
    let (_, client) = HOUSE.test.client(&[Role::Nurse]);
    let client = client.with("Idempotency-Key", "once");
    let (one, other) = (start(&client, patient), start(&client, patient));
    assert_eq!((one.status, other.status), (201, 201), "{}", other.text());
    assert_eq!(one.json(), other.json());
    assert_eq!(one.header("wardbook-event"), other.header("wardbook-event"));
}

#[test]
fn somebody_else_reviews_it_once() {
    let patient = HOUSE.lonely_patient("Reviewed");
    let (user, client) = HOUSE.test.client(&[Role::EmergencyStaff, Role::ComplianceOfficer]);
    let body = json!({"patient": patient, "reason": "other", "detail": "Nobody was there", "attested": true});
    let answer = urgent(&client).post("/v1/break-glass", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = answer.json()["emergency"].as_str().unwrap().to_owned();
    let path = format!("/v1/break-glass/{id}");
    let officer = HOUSE.client(Role::ComplianceOfficer);
    let judge = |by: &Client, outcome: &str| by.post(&format!("{path}/review"), &json!({"outcome": outcome})).status;

    assert_eq!(queue("pending", user).len(), 1);
    let read = officer.get(&path);
    assert_eq!(read.status, 200, "{}", read.text());
    assert_eq!((&read.json()["detail"], &read.json()["address"]), (&json!("Nobody was there"), &json!("127.0.0.1")));
    assert!(read.headers.contains_key("wardbook-position"), "that it was read is told");
    assert!(
        !HOUSE
            .client(Role::Auditor)
            .after(&read)
            .get(&format!("/v1/audit/events?patient={patient}"))
            .text()
            .contains("\"detail\"")
    );

    let as_officer = client.with("Purpose-Of-Use", "HCOMPL");
    assert_eq!(judge(&as_officer, "appropriate"), 403, "nobody judges himself");
    assert_eq!(judge(officer, "appropriate"), 409, "it still goes on");
    assert_eq!(judge(officer, "splendid"), 422);
    assert_eq!(client.post(&format!("{path}/end"), &json!({})).status, 204);
    let note = json!({"outcome": "under-investigation", "note": "Ask the ward"});
    assert_eq!(officer.post(&format!("{path}/review"), &note).status, 204);
    assert_eq!(queue("under-investigation", user)[0]["review"]["outcome"], "under-investigation");
    assert_eq!(officer.get(&path).json()["review"]["note"], "Ask the ward");
    assert_eq!(judge(officer, "under-investigation"), 409);
    assert_eq!(judge(officer, "inappropriate"), 204);
    assert_eq!(judge(officer, "appropriate"), 409);
    assert!(queue("pending", user).is_empty() && queue("under-investigation", user).is_empty());
    assert_eq!(queue("reviewed", user)[0]["state"], "reviewed");

    for role in Role::ALL.into_iter().filter(|role| !matches!(role, Role::Patient | Role::ComplianceOfficer)) {
        let client = HOUSE.client(role);
        for (path, status) in
            [(&*path, 403), ("/v1/break-glass?state=pending", 403), (&format!("/v1/break-glass/{UNKNOWN}"), 403)]
        {
            assert_eq!(client.get(path).status, status, "{role:?} {path}");
        }
        assert_eq!(judge(client, "appropriate"), 403, "{role:?}");
        assert_eq!(client.get("/v1/break-glass/report?month=2026-03").status, 403, "{role:?}");
        assert_eq!(urgent(client).post(&format!("{path}/extend"), &json!({})).status, 404, "{role:?}");
        assert_eq!(client.post(&format!("{path}/end"), &json!({})).status, 404, "{role:?}");
    }
    assert_eq!(officer.get(&format!("/v1/break-glass/{UNKNOWN}")).status, 404);
}

#[test]
fn the_report_says_what_stands_out() {
    let (user, client) = HOUSE.test.client(&[Role::Nurse]);
    let patients: Vec<_> = (0..3).map(|_| HOUSE.lonely_patient("Reported")).collect();
    let ids: Vec<_> = patients.iter().map(|patient| started(&client, *patient)).collect();
    assert_eq!((chart(&client, patients[0]), chart(&client, patients[1])), (200, 200));
    let mut last = None;
    for id in &ids {
        last = Some(client.post(&format!("/v1/break-glass/{id}/end"), &json!({})));
    }
    let officer = HOUSE.client(Role::ComplianceOfficer).after(&last.unwrap());
    let report = officer.get("/v1/break-glass/report?month=2026-03");
    assert_eq!(report.status, 200, "{}", report.text());
    let report = report.json();
    let of_user = report["users"].as_array().unwrap().iter().find(|one| one["user"] == user.to_string()).unwrap();
    assert_eq!((&of_user["uses"], &of_user["quarter"]), (&json!(3), &json!(3)));
    let emergencies = of_user["emergencies"].as_array().unwrap();
    let of = |id: &String| emergencies.iter().find(|one| one["emergency"] == id.as_str()).unwrap();
    // The clock stands still, so the window of the look is empty: what was opened is known all the same.
    assert_eq!(of(&ids[0])["touched"], 1);
    assert_eq!(of(&ids[2])["marks"], json!(["often", "nothing-opened"]));
    assert!(officer.get("/v1/break-glass/report?month=2026-02").json()["users"].as_array().unwrap().is_empty());
    assert_eq!(officer.get("/v1/break-glass/report?month=March").status, 422);
}

#[test]
fn watched_patients_and_their_restrictions_do_not_stand_in_the_way() {
    let patient = HOUSE.patient("Famous");
    let path = format!("/v1/patients/{patient}");
    let added = HOUSE
        .client(Role::Physician)
        .post(&format!("{path}/records"), &json!({"type": "note", "body": {"code": {"text": "Famous"}}}));
    assert_eq!(added.status, 201, "{}", added.text());
    let flag = json!({"vip": true, "reason": "public-figure"});
    assert_eq!(HOUSE.client(Role::ComplianceOfficer).put(&format!("{path}/flag"), &flag).status, 204);
    let (_, client) = HOUSE.test.client(&[Role::Physician]);
    let client = client.after(&added);
    started(&client, patient);
    assert_eq!(chart(&client, patient), 200);
    let records = urgent(&client).get(&format!("{path}/records"));
    assert_eq!((records.status, records.json()["records"].as_array().unwrap().len()), (200, 1), "{}", records.text());
}

#[test]
fn the_flag_is_set_by_compliance_alone() {
    let patient = HOUSE.patient("Flagged");
    let path = format!("/v1/patients/{patient}/flag");
    let flag = json!({"vip": true, "reason": "board"});
    for role in Role::ALL.into_iter().filter(|role| !matches!(role, Role::Patient | Role::ComplianceOfficer)) {
        let status = HOUSE.client(role).put(&path, &flag).status;
        assert!(status == 403 || status == 404, "{role:?}: {status}");
    }
    let officer = HOUSE.client(Role::ComplianceOfficer);
    assert_eq!(officer.put(&path, &flag).status, 204);
    assert_eq!(officer.put(&path, &json!({"vip": false, "reason": "board"})).status, 422);
    assert_eq!(officer.put(&format!("/v1/patients/{UNKNOWN}/flag"), &flag).status, 404);
    let read = HOUSE.client(Role::Nurse).get(&format!("/v1/patients/{patient}"));
    assert_eq!(read.json()["vip"], true);
}

/// A user of another organisation, logged in.
fn elsewhere(tenant: TenantId, role: Role) -> Client {
    let name = format!("e-{}", HOUSE.test.app.new_id().unwrap().simple());
    HOUSE.test.user_of(tenant, &name, &[role], None);
    HOUSE.test.log_in(&name)
}

#[test]
fn no_emergency_reaches_into_another_organisation() {
    let patient = HOUSE.lonely_patient("Ours");
    let tenant = TenantId::new(HOUSE.test.app.new_id().unwrap());
    let physician = elsewhere(tenant, Role::Physician);
    let (one, other) = (start(&physician, patient), start(&physician, UNKNOWN));
    assert_eq!(one.status, 404, "{}", one.text());
    same_answer(&one, &other);

    let (_, client) = HOUSE.test.client(&[Role::Physician]);
    let id = started(&client, patient);
    assert_eq!(chart(&physician, patient), 404);
    let officer = elsewhere(tenant, Role::ComplianceOfficer);
    assert_eq!(officer.get(&format!("/v1/break-glass/{id}")).status, 404);
    assert_eq!(officer.post(&format!("/v1/break-glass/{id}/review"), &json!({"outcome": "inappropriate"})).status, 404);
    for state in ["pending", "overdue", "reviewed"] {
        let page = officer.get(&format!("/v1/break-glass?state={state}"));
        assert!(page.json()["emergencies"].as_array().unwrap().is_empty());
    }
    assert!(officer.get("/v1/alerts").json()["alerts"].as_array().unwrap().is_empty());
    assert!(officer.get("/v1/break-glass/report?month=2026-03").json()["users"].as_array().unwrap().is_empty());
}
