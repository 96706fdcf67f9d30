//! A key may be known to others: new keys, everything current sealed anew, the old ones open nothing.

use serde_json::{Value, json};
use wardbook::keyring::schedule::tick;
use wardbook_events::{Field, PatientId, Role, Sealed, UserId};
use wardbook_keys::{KeyState, OpenError, ResealError};
use wardbook_ledger::checkpoint::SignedCheckpoint;
use wardbook_ledger::verify::{Start, Verification};
use wardbook_ledger::{KeyRing, LogReader, Position};

use super::reindex::{is, same_roots_after_a_rebuild, soon, told};
use crate::helpers::{Client, TestApp, person, quick_config, upload};

/// A patient with something of everything that is sealed.
struct Chart {
    patient: PatientId,
    body: Value,
    note: String,
    draft: String,
    document: String,
}

struct Scene {
    test: TestApp,
    registrar: Client,
    security: Client,
    physician: Client,
    doctor: UserId,
}

impl Scene {
    fn new() -> Self {
        let test = TestApp::start();
        for (name, role) in
            [("registrar", Role::Registrar), ("security", Role::SecurityAdmin), ("system", Role::SystemAdmin)]
        {
            test.user(name, &[role], None);
        }
        let doctor = test.user("physician", &[Role::Physician], None);
        Self::of(test, doctor)
    }

    fn of(test: TestApp, doctor: UserId) -> Self {
        let [registrar, security, physician] = ["registrar", "security", "physician"].map(|name| test.log_in(name));
        Self { test, registrar, security, physician, doctor }
    }

    fn chart(&self, family: &str) -> Chart {
        let body = person(family);
        let registered = is(self.registrar.post("/v1/patients", &body), 201);
        let patient: PatientId = registered.json()["patient"].as_str().unwrap().parse().unwrap();
        let team = format!("/v1/patients/{patient}/care-team/{}", self.doctor);
        let assigned = is(self.registrar.after(&registered).put(&team, &json!({"function": "attending"})), 204);
        let physician = self.physician.after(&assigned);
        let path = format!("/v1/patients/{patient}");
        let entry = json!({"type": "note", "body": {"code": {"text": "Marker"}, "text": "first"}});
        let added = is(physician.post(&format!("{path}/records"), &entry), 201);
        let note = added.json()["record"].as_str().unwrap().to_owned();
        let signed = is(
            self.physician
                .after(&added)
                .with("If-Match", "\"1\"")
                .post(&format!("{path}/records/{note}/sign"), &json!({})),
            200,
        );
        let addendum = json!({"text": "second"});
        let signer = self.physician.after(&signed).with("If-Match", "\"2\"");
        is(signer.post(&format!("{path}/records/{note}/addenda"), &addendum), 201);
        let draft = self.test.app.new_id().unwrap().to_string();
        let half = json!({"type": "note", "body": {"half": "a sentence"}});
        is(physician.put(&format!("{path}/drafts/{draft}"), &half), 204);
        let document = upload(&physician, patient, "text/plain", b"a letter", &json!({})).finish();
        let newest = (self.test.app.ledger().head().durable - 1).to_string();
        is(self.physician.with("If-Ledger-Position", &newest).get(&path), 200);
        Chart { patient, body, note, draft, document }
    }

    /// Everything current of a patient opens, and he is found and not registered twice.
    fn all_opens(&self, chart: &Chart) {
        let Chart { patient, body, note, draft, document } = chart;
        let path = format!("/v1/patients/{patient}");
        let seen = is(self.registrar.get(&path), 200).json();
        for field in ["name", "birth_date", "emails"] {
            assert_eq!(seen[field], body[field], "{field}");
        }
        assert_eq!(seen["ssn"].as_str().unwrap().replace('-', ""), body["ssn"].as_str().unwrap());
        let entry = is(self.physician.get(&format!("{path}/records/{note}")), 200).json();
        assert_eq!((&entry["body"]["text"], &entry["addenda"][0]["text"]), (&json!("first"), &json!("second")));
        let kept = is(self.physician.get(&format!("{path}/drafts/{draft}")), 200).json();
        assert_eq!(kept["body"]["half"], "a sentence");
        let content = is(self.physician.get(&format!("/v1/documents/{document}/content")), 200);
        assert_eq!(content.body, b"a letter");
        let found = is(self.registrar.post("/v1/patients/search", &json!({"ssn": body["ssn"]})), 200).json();
        assert_eq!(found["patients"][0]["patient"], patient.to_string());
        let mut again = person("Double");
        again["ssn"] = body["ssn"].clone();
        is(self.registrar.post("/v1/patients", &again), 409);
    }

    fn name(&self, patient: PatientId) -> Sealed<Value> {
        self.test.app.views().patients.get(patient).unwrap().unwrap().sealed(Field::Name).unwrap()
    }

    fn declare(&self, body: &Value) -> String {
        let declared = is(self.security.post("/v1/keys/compromise", body), 202).json();
        assert_eq!((&declared["level"], &declared["reason"]), (&body["level"], &body["reason"]), "{declared}");
        declared["alert"].as_str().unwrap().to_owned()
    }

    fn contained(&self, alert: &str) -> Value {
        soon("containment", || {
            let found = is(self.security.get(&format!("/v1/keys/compromise/{alert}")), 200).json();
            assert_ne!(found["job"]["state"], "failed", "{found}");
            (found["state"] == "contained").then_some(found)
        })
    }

    fn alert(&self, alert: &str) -> Value {
        let alerts = is(self.security.get("/v1/alerts?kind=key-compromised"), 200).json();
        alerts["alerts"].as_array().unwrap().iter().find(|one| one["alert"] == alert).unwrap().clone()
    }

    /// The ledger as somebody outside checks it.
    fn verifies(&self) {
        let keys = KeyRing::parse(&self.test.stranger().get("/v1/ledger/keys").text()).unwrap();
        let checkpoint = SignedCheckpoint::parse(&self.test.stranger().get("/v1/ledger/checkpoint").text()).unwrap();
        let reader = LogReader::open(&self.test.app.data().ledger()).unwrap();
        let verification = Verification {
            keys: &keys,
            start: Start::genesis(),
            until: None,
            checkpoints: &[checkpoint],
            progress: &|_| {},
        };
        let report = verification.run(reader.scan_stored(Position(0)));
        assert!(report.is_ok(), "{:?}", report.errors);
    }
}

fn is_disabled(result: &Result<Option<wardbook_events::Ciphertext>, ResealError>) -> bool {
    matches!(result, Err(ResealError::Open(OpenError::VersionDisabled { .. })))
}

#[test]
fn when_the_key_store_was_copied_everything_current_is_under_new_keys_and_the_old_open_nothing() {
    let scene = Scene::new();
    let charts = ["Alpha", "Beta", "Gamma"].map(|family| scene.chart(family));
    let (keys, tenant) = (scene.test.app.keys(), scene.test.app.config().organisation.id);
    let before: Vec<_> = charts.iter().map(|chart| scene.name(chart.patient)).collect();
    let alert = scene.declare(&json!({"level": "root", "reason": "store-copied"}));
    assert_eq!(scene.alert(&alert)["severity"], "critical");
    let done = scene.contained(&alert);
    assert_eq!(done["patients"], 3, "{done}");
    assert!(done["values"].as_u64().unwrap() >= 3 * 10, "{done}");

    charts.iter().for_each(|chart| scene.all_opens(chart));
    for old in &before {
        assert!(is_disabled(&keys.reseal(old)), "what the thief can open, we do not take for the patient's any more");
    }
    let status = keys.status(tenant).unwrap();
    let states = |keys: &[wardbook_keys::VersionStatus]| keys.iter().map(|key| key.state).collect::<Vec<_>>();
    assert_eq!(states(&status.tenant), [KeyState::Destroyed, KeyState::Active]);
    assert_eq!(states(&status.index), [KeyState::Destroyed, KeyState::Active]);
    assert_eq!(told(&scene.test, "keys.compromise-declared").len(), 1);
    assert_eq!(told(&scene.test, "keys.compromise-contained")[0]["alert"], alert);
    let disabled = told(&scene.test, "keys.versions-disabled");
    assert_eq!((disabled.len(), &disabled[0]["reason"]), (1, &json!("compromise")));
    scene.verifies();
    same_roots_after_a_rebuild(&scene.test);

    // And after a start, with nothing in memory.
    let Scene { test, doctor, .. } = scene;
    let scene = Scene::of(TestApp::in_dir(quick_config(), test.stop()), doctor);
    charts.iter().for_each(|chart| scene.all_opens(chart));
    assert_eq!(scene.chart("Later").body["name"]["family"], "Later");
}

#[test]
fn one_patient_s_key_concerns_nobody_else() {
    let scene = Scene::new();
    let [one, other] = ["Alpha", "Beta"].map(|family| scene.chart(family));
    let (old, kept) = (scene.name(one.patient), scene.name(other.patient));
    let alert = scene.declare(&json!({"level": "patient", "patient": one.patient, "reason": "insider"}));
    let done = scene.contained(&alert);
    assert_eq!((&done["patients"], &done["patient"]), (&json!(1), &json!(one.patient)));
    assert_eq!(scene.alert(&alert)["patient"], json!(one.patient));
    assert!(is_disabled(&scene.test.app.keys().reseal(&old)));
    assert_eq!(scene.name(other.patient).ciphertext(), kept.ciphertext(), "left as it was");
    [&one, &other].into_iter().for_each(|chart| scene.all_opens(chart));
    assert_eq!(told(&scene.test, "patients.reindexed").len(), 0);

    let unknown = json!({"level": "patient", "patient": scene.test.app.new_id().unwrap(), "reason": "drill"});
    assert_eq!(scene.security.post("/v1/keys/compromise", &unknown).status, 404);
    let elsewhere = json!({"level": "tenant", "patient": one.patient, "reason": "drill"});
    assert_eq!(scene.security.post("/v1/keys/compromise", &elsewhere).status, 422);
    let not_known = scene.test.app.new_id().unwrap();
    assert_eq!(scene.security.get(&format!("/v1/keys/compromise/{not_known}")).status, 404);
    for who in [&scene.registrar, &scene.physician] {
        assert_eq!(who.post("/v1/keys/compromise", &json!({"level": "tenant", "reason": "drill"})).status, 403);
        assert_eq!(who.get(&format!("/v1/keys/compromise/{alert}")).status, 403);
    }
}

#[test]
fn a_containment_that_was_cut_off_is_gone_on_with() {
    let scene = Scene::new();
    let charts = ["Alpha", "Beta", "Gamma", "Delta"].map(|family| scene.chart(family));
    let before: Vec<_> = charts.iter().map(|chart| scene.name(chart.patient)).collect();
    let alert = scene.declare(&json!({"level": "tenant", "reason": "machine-broken"}));
    // Wherever it is: the program ends after the batch it is at.
    let Scene { test, doctor, .. } = scene;
    let dir = test.stop();
    let scene = Scene::of(TestApp::in_dir(quick_config(), dir), doctor);
    charts.iter().for_each(|chart| scene.all_opens(chart));
    tick(&scene.test.app).unwrap();
    let done = scene.contained(&alert);
    assert_eq!(done["patients"], 4, "{done}");
    charts.iter().for_each(|chart| scene.all_opens(chart));
    assert!(before.iter().all(|old| is_disabled(&scene.test.app.keys().reseal(old))));
    assert_eq!(told(&scene.test, "keys.tenant-key-rotated").len(), 1, "no step was done twice");
    assert_eq!(told(&scene.test, "keys.index-key-rotated").len(), 1);
    tick(&scene.test.app).unwrap();
    assert_eq!(told(&scene.test, "keys.compromise-contained").len(), 1);
    scene.verifies();
}
