//! Forgetting a person, from outside: what holds it up, who agrees, and what is left.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wardbook::erasure::{Step, carry_out, finish};
use wardbook_events::{ErasureId, PatientId, Role, UserId};
use wardbook_ledger::KeyRing;
use wardbook_ledger::bundle::SubjectBundle;
use wardbook_ledger::proof::TlogProof;
use wardbook_projections::ViewName;

use crate::helpers::begin as begin_upload;
use crate::helpers::{Answer, Client, TestApp, block_on, person, quick_config, same_answer, upload};

/// A house of its own with the people who take part, and one patient with an account.
struct Scene {
    test: TestApp,
    officer: Client,
    security: Client,
    registrar: Client,
    physician: Client,
    doctor: UserId,
}

#[track_caller]
fn is(answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer
}

impl Scene {
    fn new() -> Self {
        let test = TestApp::start();
        for (name, role) in [
            ("officer", Role::ComplianceOfficer),
            ("security", Role::SecurityAdmin),
            ("registrar", Role::Registrar),
            ("stranger", Role::Nurse),
            ("system", Role::SystemAdmin),
        ] {
            test.user(name, &[role], None);
        }
        let doctor = test.user("physician", &[Role::Physician], None);
        let [officer, security, registrar, physician] =
            ["officer", "security", "registrar", "physician"].map(|name| test.log_in(name));
        Self { test, officer, security, registrar, physician, doctor }
    }

    /// Registers somebody whom the physician treats.
    fn patient(&self, body: &Value) -> PatientId {
        let registered = is(self.registrar.post("/v1/patients", body), 201);
        let patient = registered.json()["patient"].as_str().unwrap().to_owned();
        let team = format!("/v1/patients/{patient}/care-team/{}", self.doctor);
        is(self.registrar.after(&registered).put(&team, &json!({"function": "attending"})), 204);
        patient.parse().unwrap()
    }

    fn entry(&self, patient: PatientId, date: &str) -> Answer {
        let note = json!({"type": "note", "body": {"code": {"text": "Marker-Entry"}, "date": date}});
        is(self.physician.post(&format!("/v1/patients/{patient}/records"), &note), 201)
    }

    /// Asked for by the compliance officer.
    fn asked(&self, patient: PatientId, body: &Value) -> Value {
        is(self.officer.post(&format!("/v1/patients/{patient}/erasure"), body), 201).json()
    }

    fn approve(&self, client: &Client, erasure: &Value, in_part: bool) -> Answer {
        let id = erasure["erasure"].as_str().unwrap();
        client.post(&format!("/v1/erasures/{id}/approve"), &json!({"in_part": in_part}))
    }

    fn keys(&self) -> KeyRing {
        KeyRing::parse(&self.test.stranger().get("/v1/ledger/keys").text()).unwrap()
    }

    /// A proof of an event, once a checkpoint covers it.
    fn proof(&self, position: u64) -> String {
        let path = format!("/v1/ledger/proof/{position}");
        let proof = (0..100).find_map(|_| {
            let answer = self.test.stranger().get(&path);
            std::thread::sleep(Duration::from_millis(20));
            (answer.status == 200).then(|| answer.text())
        });
        proof.expect("a checkpoint covers it soon")
    }
}

fn groups(list: &[&str]) -> Value {
    json!(list)
}

#[test]
fn a_person_is_forgotten_everywhere_and_what_was_proved_stays_proved() {
    let scene = Scene::new();
    let body = person("Forgettable");
    let patient = scene.patient(&body);
    let path = format!("/v1/patients/{patient}");
    scene.entry(patient, "2010-05-01");
    let seen = is(scene.physician.get(&path), 200);
    let physician = scene.physician.after(&seen);
    upload(&physician, patient, "text/plain", b"a letter", &json!({"year": 2010})).finish();
    begin_upload(&physician, patient, "text/plain", 10, &json!({"year": 2010}));
    assert_eq!(objects(&scene), 1);
    let read = is(scene.physician.get(&path), 200);
    scene.test.user("own", &[Role::Patient], Some(patient));
    let own = scene.test.log_in("own");
    let bundle = is(own.get(&format!("{path}/access-proof")), 200).text();
    let (keys, proof) = (scene.keys(), scene.proof(read.position()));

    // The patient asks; that is not one of the two approvals.
    let asked = is(own.post(&format!("{path}/erasure"), &json!({"basis": "gdpr"})), 201).json();
    assert_eq!((asked["status"].as_str(), asked["whole"].as_bool()), (Some("asked"), Some(true)));
    assert_eq!(asked["approved_by"], json!([]));
    assert_eq!(asked["must_stay"], json!([]), "the entry is older than any law asks");
    assert_eq!(asked["due_at"], "2026-03-31T12:00:00Z");
    is(own.post(&format!("{path}/erasure"), &json!({})), 409);
    is(own.get(&format!("/v1/erasures/{}", asked["erasure"].as_str().unwrap())), 200);
    is(scene.approve(&own, &asked, false), 403);
    is(scene.approve(&scene.physician, &asked, false), 403);
    assert_eq!(is(scene.approve(&scene.officer, &asked, false), 200).json()["status"], "asked");
    is(scene.approve(&scene.officer, &asked, false), 409);
    assert_eq!(is(scene.physician.get(&path), 200).json()["name"]["family"], "Forgettable");
    let done = is(scene.approve(&scene.security, &asked, false), 200);
    assert_eq!(done.json()["status"], "certified", "{}", done.text());

    nothing_opens(&scene, patient, &own, &body);
    // The same person comes back.
    let again = is(scene.registrar.post("/v1/patients", &body), 201);
    assert_ne!(again.json()["patient"], patient.to_string());

    // What was proved before still is, and so is the erasure.
    TlogProof::parse(&proof).unwrap().verify_own_leaf(&keys).unwrap();
    SubjectBundle::from_json(bundle.lines().next().unwrap()).unwrap().verify(&keys).unwrap();
    TlogProof::parse(&scene.proof(read.position())).unwrap().verify_own_leaf(&scene.keys()).unwrap();
    let path = format!("/v1/erasures/{}/certificate", asked["erasure"].as_str().unwrap());
    let certificate = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let answer = scene.officer.get(&path);
        (answer.status != 503).then_some(answer)
    });
    let certificate = is(certificate.expect("a checkpoint covers it soon"), 200).json();
    let proof = TlogProof::parse(certificate["proof"].as_str().unwrap()).unwrap();
    proof.verify_own_leaf(&scene.keys()).unwrap();
    assert_eq!(proof.index, certificate["position"].as_u64().unwrap());
    assert!(certificate["log_size"].as_u64().unwrap() <= proof.index);
    let destroyed = certificate["destroyed"].as_array().unwrap();
    let of = |place: &str| destroyed.iter().find(|one| one["place"] == place).unwrap()["count"].as_u64();
    assert_eq!((of("key-store"), of("accounts"), of("views")), (Some(1), Some(1), Some(1)));
    assert_eq!((of("documents"), objects(&scene)), (Some(2), 0), "a document, and an upload that was not finished");
    assert_eq!(certificate["patients"], json!([patient.to_string()]));
    same_roots_after_a_rebuild(&scene);
}

/// Objects of documents on the disk.
fn objects(scene: &Scene) -> usize {
    let dir = scene.test.app.data().documents();
    let shards = std::fs::read_dir(dir).unwrap().map(|shard| shard.unwrap().path()).filter(|path| path.is_dir());
    shards.map(|shard| std::fs::read_dir(shard).unwrap().count()).sum()
}

#[test]
fn a_document_keeps_a_chart_like_any_other_entry() {
    let scene = Scene::new();
    let patient = scene.patient(&person("Lettered"));
    scene.entry(patient, "2010-05-01");
    let seen = is(scene.physician.get(&format!("/v1/patients/{patient}")), 200);
    let physician = scene.physician.after(&seen);
    upload(&physician, patient, "text/plain", b"a letter", &json!({"year": 2026})).finish();
    let erasure = scene.asked(patient, &json!({"basis": "gdpr"}));
    let kept = erasure["must_stay"].as_array().unwrap();
    assert!(kept.iter().any(|one| one["group"] == "clinical" && one["until"] == "2034-01-01T00:00:00Z"), "{erasure}");
}

/// Every way to read or write, for those who may and for those who may not know.
fn nothing_opens(scene: &Scene, patient: PatientId, own: &Client, body: &Value) {
    let path = format!("/v1/patients/{patient}");
    for rest in ["", "/records", "/care-team", "/consents", "/drafts"] {
        let answer = scene.physician.get(&format!("{path}{rest}"));
        assert!(matches!(answer.status, 403 | 410), "{rest}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("Forgettable"));
    }
    let gone = is(scene.physician.get(&path), 410).json();
    assert_eq!(gone["type"], "/problems/erased");
    let nurse = scene.test.log_in("stranger");
    let nobody = format!("/v1/patients/{}", scene.test.app.new_id().unwrap());
    same_answer(&nurse.get(&path), &nurse.get(&nobody));
    let note = json!({"type": "note", "body": {"code": {"text": "late"}}});
    is(scene.physician.post(&format!("{path}/records"), &note), 410);
    is(scene.registrar.with("If-Match", "\"1\"").patch(&path, &json!({"language": "en"})), 410);
    is(scene.officer.post(&format!("{path}/erasure"), &json!({})), 410);
    is(scene.officer.post(&format!("{path}/holds"), &json!({"kind": "other", "reference": "x"})), 410);
    for terms in [json!({"ssn": body["ssn"]}), json!({"name": "Forgettable"}), json!({"birth_date": "1971-02-03"})] {
        let found = is(scene.registrar.post("/v1/patients/search", &terms), 200).json();
        assert_eq!(found["patients"], json!([]), "{terms}");
    }
    // The account is ended, and what the trail says of the chart stays.
    is(own.get(&path), 401);
    let log_in = json!({"username": "own", "password": crate::helpers::PASSWORD});
    is(scene.test.stranger().post("/v1/auth/login", &log_in), 401);
    is(scene.officer.get(&format!("{path}/access-list")), 200);
    let replay = is(scene.officer.post("/v1/replay", &json!({"patient": patient.to_string()})), 200).text();
    assert!(replay.contains("erasure.certified") && replay.contains("records.added") && !replay.contains("Marker"));
    let counts = scene.test.app.views().records.counts(&[patient]).unwrap();
    assert_eq!(counts.values().sum::<u64>(), 1, "statistics survive");
    let alerts = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let alerts = scene.security.get("/v1/alerts?kind=patient-erased").json();
        (alerts["alerts"][0]["severity"] == "medium").then_some(())
    });
    assert!(alerts.is_some(), "officers are told");
}

/// A rebuild is refused if its root differs from the live one's.
fn same_roots_after_a_rebuild(scene: &Scene) {
    let system = scene.test.log_in("system");
    for view in ViewName::ALL {
        is(system.post(&format!("/v1/projections/{}/rebuild", view.name()), &json!({})), 202);
    }
    for view in ViewName::ALL {
        let mut last = Value::Null;
        let done = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            let listed = system.get("/v1/projections").json();
            let views = listed["views"].as_array().unwrap();
            last = views.iter().find(|one| one["name"] == view.name()).unwrap()["rebuild"].clone();
            last["state"] != "running"
        });
        assert!(done && last["state"] == "done" && last["compared"] == true, "{}: {last}", view.name());
    }
}

#[test]
fn what_the_law_keeps_stays_and_the_rest_goes_in_part() {
    let scene = Scene::new();
    let patient = scene.patient(&person("Partly"));
    let path = format!("/v1/patients/{patient}");
    scene.entry(patient, "2026-02-01");
    let erasure = scene.asked(patient, &json!({"basis": "gdpr"}));
    assert_eq!(erasure["may_go"], groups(&["contact", "billing"]));
    let kept = erasure["must_stay"].as_array().unwrap();
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|one| one["until"] == "2034-01-01T00:00:00Z" && one["because"][0]["rule"].is_string()));
    let refused = is(scene.approve(&scene.security, &erasure, false), 409);
    assert!(refused.text().contains("in_part"), "{}", refused.text());
    let done = is(scene.approve(&scene.security, &erasure, true), 200).json();
    assert_eq!(done["status"], "certified", "{done}");

    let chart = is(scene.physician.get(&path), 200).json();
    assert_eq!(chart["erased"], groups(&["contact", "billing"]));
    assert_eq!(
        (chart["name"]["family"].as_str(), chart.get("phones"), chart.get("insurance")),
        (Some("Partly"), None, None)
    );
    assert_eq!(is(scene.physician.get(&format!("{path}/records")), 200).json()["records"].as_array().unwrap().len(), 1);
    let by_phone = is(scene.registrar.post("/v1/patients/search", &json!({"phone": "+1 555 0100"})), 200).json();
    assert_eq!(by_phone["patients"], json!([]));
    // New values may be written into the category, and open.
    let etag = is(scene.registrar.get(&path), 200).header("etag").to_owned();
    let changed = scene.registrar.with("If-Match", &etag).patch(&path, &json!({"phones": ["+1 555 0199"]}));
    let after = scene.physician.after(&is(changed, 200));
    let chart = is(after.get(&path), 200).json();
    assert_eq!((chart["phones"][0].as_str(), &chart["erased"]), (Some("+1 555 0199"), &groups(&["billing"])));
    // When its time is over, the rest goes.
    scene.test.clock.advance(SignedDuration::from_hours(24 * 366 * 8));
    let [officer, security] = ["officer", "security"].map(|name| scene.test.log_in(name));
    let again = is(officer.post(&format!("{path}/erasure"), &json!({"basis": "retention-over"})), 201).json();
    assert_eq!(again["must_stay"], json!([]));
    assert_eq!(is(scene.approve(&security, &again, false), 200).json()["status"], "certified");
}

#[test]
fn a_hold_forbids_until_it_is_lifted() {
    let scene = Scene::new();
    let patient = scene.patient(&person("Held"));
    let holds = format!("/v1/patients/{patient}/holds");
    let hold = json!({"kind": "litigation", "reference": "case 26-4711", "until": "2027-01-01T00:00:00Z"});
    is(scene.physician.post(&holds, &hold), 403);
    let placed = is(scene.officer.post(&holds, &hold), 201).json();
    assert_eq!(is(scene.officer.get(&holds), 200).json()["holds"][0]["live"], true);
    let erasure = scene.asked(patient, &json!({}));
    assert_eq!(erasure["may_go"], json!([]));
    assert_eq!(erasure["must_stay"][0]["because"][0]["kind"], "litigation");
    is(scene.approve(&scene.security, &erasure, true), 409);
    is(scene.physician.get(&format!("/v1/patients/{patient}")), 200);
    let one = format!("{holds}/{}", placed["hold"].as_str().unwrap());
    is(scene.officer.delete(&one), 204);
    is(scene.officer.delete(&one), 409);
    assert_eq!(is(scene.approve(&scene.security, &erasure, false), 200).json()["status"], "certified");
}

#[test]
fn nobody_decides_about_himself_and_deadlines_are_listed() {
    let scene = Scene::new();
    let (patient, other) = (scene.patient(&person("Ownself")), scene.patient(&person("Merged-In")));
    let merge = format!("/v1/patients/{other}/merge");
    is(scene.registrar.post(&merge, &json!({"into": patient.to_string()})), 200);
    for (name, chart) in [("own-officer", patient), ("merged-officer", other)] {
        scene.test.user(name, &[Role::ComplianceOfficer], Some(chart));
        let own = scene.test.log_in(name);
        let refused = own.post(&format!("/v1/patients/{patient}/erasure"), &json!({}));
        assert!(matches!(refused.status, 403 | 404), "{name}: {}", refused.text());
    }
    let erasure = scene.asked(patient, &json!({}));
    for name in ["own-officer", "merged-officer"] {
        let answer = scene.approve(&scene.test.log_in(name), &erasure, false);
        assert!(matches!(answer.status, 403 | 404), "{name}: {}", answer.text());
    }
    assert_eq!(is(scene.physician.get("/v1/erasures"), 403).status, 403);
    let listed = || is(scene.test.log_in("security").get("/v1/erasures"), 200).json()["erasures"][0].clone();
    assert_eq!((listed()["status"].as_str(), listed()["overdue"].as_bool()), (Some("asked"), Some(false)));
    scene.test.clock.advance(SignedDuration::from_hours(24 * 31));
    assert_eq!(listed()["overdue"], true);
    let security = scene.test.log_in("security");
    let refuse = format!("/v1/erasures/{}/refuse", erasure["erasure"].as_str().unwrap());
    is(security.post(&refuse, &json!({"reason": "identity-not-proven"})), 204);
    assert_eq!(is(security.get("/v1/erasures"), 200).json()["erasures"], json!([]));
    let all = is(security.get("/v1/erasures?all=true"), 200).json();
    assert_eq!(all["erasures"][0]["refused_for"], "identity-not-proven");
}

#[test]
fn without_a_fresh_proof_nobody_agrees() {
    let scene = Scene::new();
    let patient = scene.patient(&person("Fresh"));
    let erasure = scene.asked(patient, &json!({}));
    let mut config = quick_config();
    config.sessions.step_up_s = 0;
    let test = TestApp::in_dir(config, scene.test.stop());
    let id = erasure["erasure"].as_str().unwrap();
    let security = test.log_in("security");
    let stale = security.post(&format!("/v1/erasures/{id}/approve"), &json!({}));
    assert_eq!((stale.status, stale.json()["type"].as_str()), (401, Some("/problems/step-up-required")));
}

#[test]
fn a_merged_family_goes_together() {
    let scene = Scene::new();
    let (going_on, retired) = (person("Family-One"), person("Family-Two"));
    let (patient, other) = (scene.patient(&going_on), scene.patient(&retired));
    let merged = scene.registrar.post(&format!("/v1/patients/{other}/merge"), &json!({"into": patient.to_string()}));
    is(merged, 200);
    // Asked for under either name, it is about the one who goes on.
    let erasure = scene.asked(other, &json!({}));
    assert_eq!(erasure["patient"], patient.to_string());
    assert_eq!(is(scene.approve(&scene.security, &erasure, false), 200).json()["status"], "certified");
    for one in [patient, other] {
        is(scene.physician.get(&format!("/v1/patients/{one}")), 410);
        assert!(!scene.test.app.keys().has_key(scene.test.app.config().organisation.id, one).unwrap());
    }
    for body in [going_on, retired] {
        is(scene.registrar.post("/v1/patients", &body), 201);
    }
}

#[test]
fn two_who_agree_at_the_same_time_begin_one_erasure() {
    let scene = Scene::new();
    for round in 0..5 {
        let patient = scene.patient(&person(&format!("Race{round}")));
        let asked = scene.asked(patient, &json!({}));
        scene.test.user(&format!("third-{round}"), &[Role::SecurityAdmin], None);
        let third = scene.test.log_in(&format!("third-{round}"));
        let statuses: Vec<_> = std::thread::scope(|scope| {
            let racing =
                [&scene.security, &third].map(|client| scope.spawn(|| scene.approve(client, &asked, false).status));
            racing.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(statuses.contains(&200) && statuses.iter().all(|status| matches!(status, 200 | 409)), "{statuses:?}");
        let trail = scene.test.app.ledger().scan(wardbook_ledger::Position(0));
        let kinds: Vec<_> = trail
            .map(|entry| wardbook::recorded::decode(&entry.unwrap()).unwrap())
            .filter_map(|event| event.filter(|event| event.subjects.iter().any(|(of, _)| *of == patient)))
            .map(|event| event.event.type_name())
            .collect();
        for once in ["erasure.executed", "erasure.certified", "patients.erased"] {
            assert_eq!(kinds.iter().filter(|kind| **kind == once).count(), 1, "{once}: {kinds:?}");
        }
    }
}

#[test]
fn an_erasure_that_stopped_at_any_step_is_gone_on_with() {
    for last in
        [None, Some(Step::Keys), Some(Step::KeyBackups), Some(Step::Documents), Some(Step::Views), Some(Step::Accounts)]
    {
        let scene = Scene::new();
        let patient = scene.patient(&person("Halfway"));
        scene.test.user("own", &[Role::Patient], Some(patient));
        let tenant = scene.test.app.config().organisation.id;
        let erasure: ErasureId = scene.asked(patient, &json!({}))["erasure"].as_str().unwrap().parse().unwrap();
        begin(&scene, patient, erasure);
        if let Some(last) = last {
            let begun = scene.test.app.views().erasure.get(erasure).unwrap().unwrap();
            block_on(carry_out(&scene.test.app, &begun, last)).unwrap();
        }
        is(scene.physician.get(&format!("/v1/patients/{patient}")), 410);
        let test = TestApp::in_dir(quick_config(), scene.test.stop());
        block_on(finish(&test.app));
        assert!(!test.app.keys().has_key(tenant, patient).unwrap(), "{last:?}");
        assert_eq!(test.app.views().erasure.unfinished().unwrap(), [], "{last:?}");
        let officer = test.log_in("officer");
        assert_eq!(is(officer.get(&format!("/v1/erasures/{erasure}")), 200).json()["status"], "certified");
        let log_in = json!({"username": "own", "password": crate::helpers::PASSWORD});
        is(test.stranger().post("/v1/auth/login", &log_in), 401);
        // Once more changes nothing.
        let head = test.app.ledger().head().durable;
        let begun = test.app.views().erasure.get(erasure).unwrap().unwrap();
        block_on(carry_out(&test.app, &begun, Step::Certificate)).unwrap();
        assert_eq!(test.app.ledger().head().durable, head);
    }
}

/// The second approval by the write side alone: what a crash right after it leaves.
fn begin(scene: &Scene, patient: PatientId, erasure: ErasureId) {
    use wardbook::operator::operator;
    use wardbook_commands::erasure::Deciding;
    use wardbook_events::EventId;
    use wardbook_policy::{Action, Ask, Target};
    let app = &scene.test.app;
    let asker = operator(app.config().organisation.id, Role::SecurityAdmin, app.new_id().unwrap());
    let ask = Ask::new(app.now(), asker.purpose, EventId::new(app.new_id().unwrap()));
    let known = app.views().patient_facts(patient).unwrap().unwrap();
    let permit =
        app.policies().act(asker.principal(), Action::DecideErasure, Target::Patient(&known.facts), &ask).unwrap();
    let origin = asker.origin(app.now(), app.chance().bytes().unwrap(), None);
    let deciding = Deciding::Approve { in_part: false, retention: Vec::new() };
    block_on(async {
        let done = app.commands().decide_erasure(&permit, &origin, (patient, erasure), deciding).await.unwrap();
        app.seen(done.receipts.last().unwrap()).await.unwrap();
    });
}
