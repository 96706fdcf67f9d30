//! Facilities and units (ACC-03, ACC-04), shifts and networks, and how many patients one person treats.

use serde_json::{Value, json};
use wardbook_events::{Role, UserId};

use crate::helpers::{Answer, Client, TestApp, block_on, person, quick_config, same_answer};

fn done(answer: Answer) -> Answer {
    assert!((200..300).contains(&answer.status), "{} {}", answer.status, answer.text());
    answer
}

fn set(admin: &Client, user: UserId, what: &str, body: &Value) {
    done(admin.put(&format!("/v1/users/{user}/{what}"), body));
}

fn register(registrar: &Client, family: &str) -> String {
    let answer = done(registrar.post("/v1/patients", &person(family)));
    answer.json()["patient"].as_str().unwrap().to_owned()
}

fn assign(registrar: &Client, patient: &str, user: UserId, function: &str) -> Answer {
    registrar.put(&format!("/v1/patients/{patient}/care-team/{user}"), &json!({"function": function}))
}

#[test]
fn who_works_elsewhere_sees_nothing_but_in_an_emergency() {
    let test = TestApp::start();
    let (_, admin) = test.client(&[Role::Admin]);
    let (desk, at_north) = test.client(&[Role::Registrar]);
    let (_, anywhere) = test.client(&[Role::Registrar]);
    set(&admin, desk, "places", &json!({"facilities": ["north"]}));
    let patient = register(&at_north, "North");
    let chart = format!("/v1/patients/{patient}");
    test.app.views().patients.get(patient.parse().unwrap()).unwrap();

    let (doctor, south) = test.client(&[Role::Physician]);
    let head = (test.app.ledger().head().durable - 1).to_string();
    let anywhere = anywhere.with("If-Ledger-Position", &head);
    done(assign(&anywhere, &patient, doctor, "attending"));
    let opened = done(south.get(&chart)).json();
    assert_eq!(opened["facilities"], json!(["north"]), "registered where the registrar works");

    set(&admin, doctor, "places", &json!({"facilities": ["south"]}));
    let refused = south.get(&chart);
    let unknown = south.get("/v1/patients/0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c");
    assert_eq!(refused.status, 404);
    same_answer(&refused, &unknown);
    let found = done(south.post("/v1/patients/search", &json!({"name": "North"}))).json();
    assert_eq!(found["patients"], json!([]));
    let note = json!({"type": "note", "body": {"code": {"text": "x"}}});
    assert_eq!(south.post(&format!("{chart}/records"), &note).status, 404);

    // An emergency may be anywhere.
    let urgent = south.with("Purpose-Of-Use", "ETREAT");
    assert_eq!(urgent.get(&chart).status, 404);
    done(urgent.post("/v1/break-glass", &json!({"patient": patient, "reason": "code-blue", "attested": true})));
    done(urgent.get(&chart));
    assert_eq!(south.get(&chart).status, 404, "for treatment it stays closed");

    // The patient is moved, and it holds with the answer. Who moved the patient away does not move it back.
    let both = json!({"departments": ["icu"], "facilities": ["north", "south"]});
    done(at_north.put(&format!("{chart}/places"), &both));
    done(south.get(&chart));
    done(at_north.put(&format!("{chart}/places"), &json!({"facilities": ["south"]})));
    assert_eq!(at_north.put(&format!("{chart}/places"), &both).status, 404);
    assert_eq!(anywhere.put(&format!("{chart}/places"), &json!({"facilities": ["South Wing"]})).status, 422);
    assert_eq!(south.put(&format!("{chart}/places"), &both).status, 403, "physicians move nobody");
}

#[test]
fn nurses_work_in_their_own_units() {
    let test = TestApp::start();
    let (_, admin) = test.client(&[Role::Admin]);
    let (_, registrar) = test.client(&[Role::Registrar]);
    let patient = register(&registrar, "Unit");
    let head = (test.app.ledger().head().durable - 1).to_string();
    let registrar = registrar.with("If-Ledger-Position", &head);
    let chart = format!("/v1/patients/{patient}");
    let (nurse, by_nurse) = test.client(&[Role::Nurse]);
    let (doctor, by_doctor) = test.client(&[Role::Physician]);
    for user in [nurse, doctor] {
        done(assign(&registrar, &patient, user, "nursing"));
        set(&admin, user, "places", &json!({"departments": ["icu"]}));
    }
    done(by_nurse.get(&chart));
    done(registrar.put(&format!("{chart}/places"), &json!({"departments": ["maternity"]})));
    assert_eq!(by_nurse.get(&chart).status, 404);
    done(by_doctor.get(&chart));
    set(&admin, nurse, "places", &json!({"departments": ["icu", "maternity"]}));
    done(by_nurse.get(&chart));
    assert_eq!(by_nurse.put(&format!("/v1/users/{nurse}/places"), &json!({})).status, 403);
}

#[test]
fn shifts_and_networks_hold_from_the_next_request() {
    let test = TestApp::start();
    let (_, admin) = test.client(&[Role::Admin]);
    let (clerk, registrar) = test.client(&[Role::Registrar]);
    done(registrar.post("/v1/patients", &person("Shift")));
    // Noon of a Sunday is not in it.
    set(&admin, clerk, "hours", &json!({"shifts": [{"weekday": 1, "from": 480, "to": 1080}]}));
    assert_eq!(registrar.post("/v1/patients", &person("Off")).status, 403);
    set(&admin, clerk, "hours", &json!({"shifts": [], "on_call_until": "2026-03-01T18:00:00Z"}));
    done(registrar.post("/v1/patients", &person("Oncall")));
    let path = format!("/v1/users/{clerk}/hours");
    assert_eq!(admin.put(&path, &json!({"shifts": [{"weekday": 8, "from": 0, "to": 1}]})).status, 422);

    let nurse = test.user("nurse", &[Role::Nurse], None);
    set(&admin, nurse, "networks", &json!({"networks": ["10.0.0.0/8"]}));
    let login = json!({"username": "nurse", "password": crate::helpers::PASSWORD});
    assert_eq!(test.stranger().post("/v1/auth/login", &login).status, 401);
    set(&admin, nurse, "networks", &json!({"networks": ["10.0.0.0/8", "127.0.0.0/8"]}));
    assert_eq!(test.stranger().post("/v1/auth/login", &login).status, 200);
}

#[test]
fn nobody_treats_more_patients_than_the_role_may() {
    let mut config = quick_config();
    config.care_teams.patients_max.insert(Role::Nurse, 2);
    let test = TestApp::with(config);
    let (_, registrar) = test.client(&[Role::Registrar]);
    let (nurse, _) = test.client(&[Role::Nurse]);
    let (doctor, _) = test.client(&[Role::Physician]);
    let patients: Vec<_> = ["A", "B", "C", "D"].map(|name| register(&registrar, &format!("Panel{name}"))).into();
    let newest = test.app.ledger().head().durable - 1;
    block_on(test.app.views().wait_for(newest, std::time::Duration::from_secs(10))).unwrap();
    done(assign(&registrar, &patients[0], nurse, "nursing"));

    // Of three at once for the last place one gets it.
    let taken: Vec<_> = std::thread::scope(|scope| {
        let calls = patients[1..].iter().map(|patient| scope.spawn(|| assign(&registrar, patient, nurse, "nursing")));
        let calls: Vec<_> = calls.collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let mut statuses: Vec<_> = taken.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409, 409]);
    let full = taken.iter().find(|answer| answer.status == 409).unwrap().json();
    assert!(full["detail"].as_str().unwrap().contains("2 patients already"), "{full}");

    let refused = taken.iter().position(|answer| answer.status == 409).unwrap() + 1;
    done(assign(&registrar, &patients[0], nurse, "consulting"));
    done(assign(&registrar, &patients[refused], nurse, "administrative"));
    done(registrar.delete(&format!("/v1/patients/{}/care-team/{nurse}", patients[0])));
    done(assign(&registrar, &patients[refused], nurse, "nursing"));
    for patient in &patients {
        done(assign(&registrar, patient, doctor, "attending"));
    }
}
