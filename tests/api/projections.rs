use std::time::Duration;

use serde_json::{Value, json};
use wardbook_events::Role;

use crate::helpers::{HOUSE, TestApp, block_on, person, quick_config};

fn view<'v>(views: &'v Value, name: &str) -> &'v Value {
    views["views"].as_array().unwrap().iter().find(|view| view["name"] == name).unwrap()
}

#[test]
fn a_view_is_rebuilt_beside_the_live_one_and_has_the_same_root() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    test.user("system", &[Role::SystemAdmin], None);
    let (registrar, system) = (test.log_in("registrar"), test.log_in("system"));
    let registered: Vec<_> = (0..20).map(|_| registrar.post("/v1/patients", &person("Rebuilt"))).collect();
    block_on(test.app.views().wait_for(registered[19].position(), Duration::from_secs(10))).unwrap();
    for name in ["patients", "records", "care-teams", "identity", "audit"] {
        assert_eq!(system.post(&format!("/v1/projections/{name}/rebuild"), &json!({})).status, 202, "{name}");
    }
    for name in ["patients", "records", "care-teams", "identity", "audit"] {
        let mut last = Value::Null;
        let done = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            last = view(&system.get("/v1/projections").json(), name)["rebuild"].clone();
            last["state"] != "running"
        });
        assert!(done && last["state"] == "done" && last["compared"] == true, "{name}: {last}");
    }
    let patient = registered[7].json()["patient"].as_str().unwrap().to_owned();
    assert_eq!(registrar.get(&format!("/v1/patients/{patient}")).status, 200, "reads go on");
    assert_eq!(system.post("/v1/projections/nosuch/rebuild", &json!({})).status, 404);
}

#[test]
fn views_that_were_deleted_come_back_from_the_ledger() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    let registered = test.log_in("registrar").post("/v1/patients", &person("Kept"));
    let dir = test.stop();
    std::fs::remove_dir_all(dir.path().join("views")).unwrap();
    let again = TestApp::in_dir(quick_config(), dir);
    let registrar = again.log_in_after(registered.position(), "registrar");
    let patient = registered.json()["patient"].as_str().unwrap().to_owned();
    assert_eq!(registrar.get(&format!("/v1/patients/{patient}")).json()["name"]["family"], "Kept");
}

#[test]
fn roots_are_attested_and_attesting_does_not_feed_itself() {
    let mut config = quick_config();
    config.views.attest_every_events = 5;
    let test = TestApp::with(config);
    test.user("registrar", &[Role::Registrar], None);
    let registrar = test.log_in("registrar");
    for _ in 0..5 {
        assert_eq!(registrar.post("/v1/patients", &person("Attested")).status, 201);
    }
    let count = || {
        let all = test.app.ledger().scan(wardbook_ledger::Position(0));
        all.filter(|entry| entry.as_ref().unwrap().event_type().as_str() == "governance.projection-attested").count()
    };
    let attested = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        count() >= 5
    });
    assert!(attested, "{}", count());
    std::thread::sleep(Duration::from_millis(600));
    let settled = count();
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(count(), settled, "a quiet log stays quiet");
}

#[test]
fn a_replay_streams_what_matches_and_is_itself_told() {
    let patient = HOUSE.patient("Replayed");
    let read = HOUSE.client(Role::Nurse).get(&format!("/v1/patients/{patient}"));
    let auditor = HOUSE.client(Role::Auditor).after(&read);
    let replay = auditor.post("/v1/replay", &json!({"patient": patient}));
    assert_eq!((replay.status, replay.header("content-type")), (200, "application/x-ndjson"), "{}", replay.text());
    let lines: Vec<Value> = replay.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"patients.registered") && kinds.contains(&"care-teams.member-assigned"), "{kinds:?}");
    assert_eq!(lines[0]["position"], read.position(), "newest first");
    assert!(!replay.text().contains("Replayed"));
    let entry = HOUSE.test.app.ledger().read(wardbook_ledger::Position(replay.position())).unwrap().unwrap();
    assert_eq!(entry.event_type().as_str(), "governance.replay-run");
    let few = auditor.post("/v1/replay", &json!({"limit": 2}));
    assert_eq!(few.text().lines().count(), 2);
}
