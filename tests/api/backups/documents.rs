//! The objects of documents in backups: brought once, held against the ledger, put back, forgotten.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use wardbook::backup::{self, Place, Reach, Verified};
use wardbook::by::By;
use wardbook_events::backups::BackupKind;
use wardbook_events::{BackupId, PatientId, Role};

use super::{FULL, House, INCREMENTAL, config, files};
use crate::helpers::{Client, TestApp, upload};

/// A house with a physician who treats a patient and adds documents to the chart.
struct Ward {
    house: House,
    physician: Client,
    patient: PatientId,
}

impl Ward {
    fn new() -> Self {
        let house = House::new();
        let doctor = house.test.user("physician", &[Role::Physician], None);
        let patient: PatientId = house.register("Lindqvist", 1)[0].parse().unwrap();
        let physician = assigned(&house, patient, &doctor.to_string());
        Self { house, physician, patient }
    }

    fn send(&self, content: &[u8]) -> String {
        upload(&self.physician, self.patient, "text/plain", content, &json!({"year": 2010})).finish()
    }

    /// Files of objects: in the store, and at a place.
    fn live(&self) -> Vec<PathBuf> {
        sorted(files(&self.house.test.app.data().documents()))
    }

    fn at(&self, place: &str) -> Vec<PathBuf> {
        let dir = self.house.place(place).join("documents");
        if dir.exists() { sorted(files(&dir)) } else { Vec::new() }
    }

    fn verify(&self, place: &str, backup: BackupId) -> Verified {
        let (place, key) = (Place::open(self.house.place(place).to_str().unwrap()).unwrap(), self.house.setup().key);
        backup::verify(&place, &key, Some(backup), &()).unwrap().1
    }

    fn run(&self, asked: backup::Asked) -> backup::Ran {
        let app = &self.house.test.app;
        backup::run(app, &By::system(app).unwrap(), asked, &()).unwrap()
    }
}

/// The physician, who is on the patient's care team now.
fn assigned(house: &House, patient: PatientId, doctor: &str) -> Client {
    let team = format!("/v1/patients/{patient}/care-team/{doctor}");
    let answer = house.test.log_in("registrar").put(&team, &json!({"function": "attending"}));
    assert_eq!(answer.status, 204, "{}", answer.text());
    house.test.log_in("physician").after(&answer)
}

fn sorted(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort_by(|one, other| one.file_name().cmp(&other.file_name()));
    paths
}

/// Names and content of files, wherever they lie.
fn contents(paths: &[PathBuf]) -> Vec<(String, Vec<u8>)> {
    let of = |path: &PathBuf| (name(path), fs::read(path).unwrap());
    paths.iter().map(of).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The name of an object as findings tell it.
fn told(path: &Path) -> String {
    format!("documents/{}/{}", &name(path)[..2], name(path))
}

/// More than one chunk, no two stretches alike.
fn text(size: usize) -> Vec<u8> {
    (0..).flat_map(|line: usize| format!("finding {line}: unremarkable\n").into_bytes()).take(size).collect()
}

#[test]
fn objects_are_copied_once_and_come_back_as_far_as_the_ledger_goes() {
    let ward = Ward::new();
    let (small, large) = (b"a letter".to_vec(), text(700_000));
    let first = ward.send(&small);
    ward.send(&large);
    let full = ward.house.back_up(FULL);
    assert_eq!((full.documents, full.documents_missing), (2, 0));
    assert_eq!(full.document_bytes, ward.live().iter().map(|path| path.metadata().unwrap().len()).sum::<u64>());
    ward.send(b"another letter");
    let ran = ward.run(INCREMENTAL);
    assert_eq!((ran.made.created.documents, ran.made.documents.copied, ran.made.documents.kept), (1, 2, 0));
    let ran = ward.run(INCREMENTAL);
    assert_eq!((ran.made.created.documents, ran.made.documents.copied, ran.made.documents.kept), (0, 0, 0));
    let ran = ward.run(FULL);
    assert_eq!((ran.made.created.documents, ran.made.documents.copied, ran.made.documents.kept), (3, 0, 6));
    for place in ["one", "two"] {
        assert!(contents(&ward.at(place)) == contents(&ward.live()), "as they lie in the store, sealed");
        let verified = ward.verify(place, ran.made.created.backup);
        assert!(verified.is_whole(), "{:?}", verified.findings);
        assert_eq!(verified.documents, 3);
    }
    // Not the document that the ledger of then did not know.
    let back = tempfile::tempdir().unwrap();
    let restored = ward.house.restore(back.path(), None, Reach::Position(full.to)).unwrap();
    assert_eq!((restored.told.documents, restored.told.documents_missing), (2, 0));
    assert_eq!(files(&back.path().join("documents")).len(), 2);
    let back = tempfile::tempdir().unwrap();
    let restored = ward.house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!((restored.told.documents, restored.documents.missing, restored.documents.erased), (3, 0, 0));
    assert!(contents(&sorted(files(&back.path().join("documents")))) == contents(&ward.live()));
    let by = By::system(&ward.house.test.app).unwrap();
    let drill = backup::drill(&ward.house.test.app, &by, None, &()).unwrap();
    assert!(drill.passed && drill.documents == 3 && drill.steps_ms.contains_key("documents"), "{drill:?}");
    let Ward { house, .. } = ward;
    drop(house.test.stop());
    let again = TestApp::in_dir(config(house.dir.path()), back);
    let physician = again.log_in_after(restored.told.to - 1, "physician");
    let got = physician.get(&format!("/v1/documents/{first}/content"));
    assert!(got.status == 200 && got.body == small, "{}", got.status);
}

#[test]
fn a_damaged_or_missing_object_is_named_and_mended() {
    let ward = Ward::new();
    ward.send(&text(600_000));
    ward.send(b"a letter");
    let full = ward.house.back_up(FULL);
    let live = contents(&ward.live());
    for object in ward.at("one") {
        let whole = fs::read(&object).unwrap();
        // In the first authenticator, on both sides of each chunk's end, and in the last byte.
        let ends = (1..).map(|chunk| chunk * wardbook_keys::SEALED_CHUNK).take_while(|end| *end < whole.len());
        let places = ends.flat_map(|end| [end - 1, end, end + 17]).chain([0, 15, 16, whole.len() / 2, whole.len() - 1]);
        for at in places.filter(|at| *at < whole.len()) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&object, &flipped).unwrap();
            only(&ward.verify("one", full.backup), &told(&object), "SHA-256");
        }
        fs::write(&object, &whole[..whole.len() - 1]).unwrap();
        only(&ward.verify("one", full.backup), &told(&object), "bytes instead of");
        fs::write(&object, [&whole[..], b"x"].concat()).unwrap();
        only(&ward.verify("one", full.backup), &told(&object), "bytes instead of");
        fs::remove_file(&object).unwrap();
        only(&ward.verify("one", full.backup), &told(&object), "missing");
        assert!(ward.verify("two", full.backup).is_whole());
    }
    // The other place has them.
    let back = tempfile::tempdir().unwrap();
    let restored = ward.house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!((restored.documents.count, restored.documents.missing), (2, 0));
    assert!(contents(&sorted(files(&back.path().join("documents")))) == live);
    // One is nowhere: the rest comes back, and it is named.
    let lost = ward.at("two").remove(0);
    let mut flipped = fs::read(&lost).unwrap();
    flipped[3] ^= 1;
    fs::write(&lost, flipped).unwrap();
    let back = tempfile::tempdir().unwrap();
    let restored = ward.house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!((restored.told.documents, restored.told.documents_missing), (1, 1));
    assert_eq!(restored.documents.named[0].0.name, name(&lost));
    assert_eq!(files(&back.path().join("documents")).len(), 1, "nothing damaged is put back");
    let by = By::system(&ward.house.test.app).unwrap();
    let drill = backup::drill(&ward.house.test.app, &by, None, &()).unwrap();
    assert!(!drill.passed && drill.documents_missing == 2, "the first place has neither: {drill:?}");
    // The next full backup looks at every object and mends both places from the store.
    let ran = ward.run(FULL);
    assert_eq!((ran.made.documents.copied, ran.made.documents.kept), (3, 1));
    for place in ["one", "two"] {
        assert!(contents(&ward.at(place)) == live);
        assert!(ward.verify(place, full.backup).is_whole(), "the older backup as well");
    }
}

#[track_caller]
fn only(verified: &Verified, object: &str, what: &str) {
    let of_object: Vec<_> = verified.findings.iter().filter(|finding| finding.object == object).collect();
    assert!(of_object.len() == 1 && of_object[0].what.contains(what), "{object}: {:?}", verified.findings);
}

#[test]
fn what_is_lost_in_the_store_is_told_once_and_looked_for_again() {
    let ward = Ward::new();
    ward.send(b"kept");
    ward.house.back_up(FULL);
    ward.send(b"lost");
    let before = contents(&ward.at("one"));
    let lost = ward.live().into_iter().find(|path| before.iter().all(|(known, _)| *known != name(path))).unwrap();
    let whole = fs::read(&lost).unwrap();
    fs::write(&lost, &whole[..5]).unwrap();
    let ran = ward.run(INCREMENTAL);
    assert_eq!((ran.made.created.documents, ran.made.created.documents_missing), (1, 1));
    assert!(ran.wrong.iter().any(|wrong| wrong.contains(&name(&lost))), "{:?}", ran.wrong);
    assert_eq!(contents(&ward.at("one")), before, "what is damaged does not get there");
    only(&ward.verify("two", ran.made.created.backup), &told(&lost), "missing");
    let ran = ward.run(INCREMENTAL);
    assert_eq!((ran.made.created.documents, ran.made.created.documents_missing), (0, 1));
    assert!(ran.wrong.is_empty(), "told before: {:?}", ran.wrong);
    fs::write(&lost, &whole).unwrap();
    let ran = ward.run(INCREMENTAL);
    assert_eq!((ran.made.created.documents_missing, ran.made.documents.copied), (0, 2));
    assert!(ward.verify("two", ran.made.created.backup).is_whole());
}

#[test]
fn who_is_erased_has_no_object_in_any_backup() {
    let ward = Ward::new();
    let test = &ward.house.test;
    test.user("officer", &[Role::ComplianceOfficer], None);
    test.user("security", &[Role::SecurityAdmin], None);
    ward.send(&text(300_000));
    let made = ward.house.back_up(FULL);
    let (object, trace) = (ward.at("one").remove(0), ward.house.place("trace"));
    let sealed = fs::read(&object).unwrap();
    fs::hard_link(&object, &trace).unwrap();
    let [officer, security] = ["officer", "security"].map(|name| test.log_in(name));
    let asked = officer.post(&format!("/v1/patients/{}/erasure", ward.patient), &json!({"basis": "gdpr"}));
    assert_eq!(asked.status, 201, "{}", asked.text());
    let approve = format!("/v1/erasures/{}/approve", asked.json()["erasure"].as_str().unwrap());
    // A place that is away is waited for: it may still have the object.
    let (two, aside) = (ward.house.place("two"), ward.house.place("aside"));
    fs::rename(&two, &aside).unwrap();
    let held_up = security.post(&approve, &json!({"in_part": false}));
    assert_ne!(held_up.json()["status"], "certified", "{}", held_up.text());
    fs::rename(&aside, &two).unwrap();
    crate::helpers::block_on(wardbook::erasure::finish(&test.app));
    for place in ["one", "two"] {
        assert_eq!(ward.at(place), [] as [PathBuf; 0]);
        let verified = ward.verify(place, made.backup);
        assert!(verified.is_whole() && verified.erased == 1, "{:?}", verified.findings);
    }
    assert!(fs::read(&trace).unwrap().iter().all(|byte| *byte == 0), "overwritten where it lay");
    let certificate = test.app.ledger().scan(wardbook_ledger::Position(0)).map(Result::unwrap);
    let certificate = certificate.filter(|entry| entry.event_type().as_str() == "erasure.certified").last().unwrap();
    let body: serde_json::Value = serde_json::from_slice(certificate.body()).unwrap();
    let destroyed = body["destroyed"].as_array().unwrap();
    let documents = destroyed.iter().find(|one| one["place"] == "documents").unwrap();
    assert_eq!(documents["names"].as_array().unwrap().len(), 2, "the places are named: {body}");
    let back = tempfile::tempdir().unwrap();
    let restored = ward.house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!((restored.told.documents, restored.told.documents_missing, restored.documents.erased), (0, 0, 1));
    // Somebody puts a copy back.
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(&object, &sealed).unwrap();
    only(&ward.verify("one", made.backup), &told(&object), "erased");
    let ran = ward.run(FULL);
    assert_eq!((ran.made.created.documents, ran.made.documents.erased, ran.made.documents.copied), (1, 1, 0));
    assert_eq!(ward.at("one"), [] as [PathBuf; 0]);
    assert!(ward.verify("one", ran.made.created.backup).is_whole());
}

#[test]
fn an_interrupted_copy_goes_on_and_a_place_that_was_away_catches_up() {
    let ward = Ward::new();
    ward.send(&text(400_000));
    ward.send(b"a letter");
    let full = ward.house.back_up(FULL);
    let key = ward.house.setup().key;
    // As it stood while objects were being copied: a plan, no manifest, and one object not there yet.
    for place in ["one", "two"] {
        let dir = ward.house.place(place).join(format!("backups/{}", full.backup));
        let text = fs::read(dir.join("manifest")).unwrap();
        let mut plan = backup::Manifest::read(&text, full.backup, &key).unwrap();
        (plan.parts, plan.documents) = (Vec::new(), None);
        fs::remove_file(dir.join("manifest")).unwrap();
        fs::write(dir.join("plan"), plan.signed(&key).unwrap()).unwrap();
    }
    fs::remove_file(&ward.at("two")[0]).unwrap();
    let ran = ward.run(FULL);
    assert!(ran.made.resumed && ran.made.created.backup == full.backup, "{ran:?}");
    assert_eq!((ran.made.documents.copied, ran.made.documents.kept), (1, 3));
    assert!(ward.verify("two", full.backup).is_whole());
    // Away for a backup with a document of its own.
    let (two, aside) = (ward.house.place("two"), ward.house.place("aside"));
    fs::rename(&two, &aside).unwrap();
    ward.send(b"another letter");
    assert_eq!(ward.run(INCREMENTAL).made.created.places.len(), 1);
    fs::rename(&aside, &two).unwrap();
    assert_eq!(ward.at("two").len(), 2);
    let last = ward.house.back_up(INCREMENTAL);
    assert!(contents(&ward.at("two")) == contents(&ward.live()));
    assert!(ward.verify("two", last.backup).is_whole());
}

#[test]
fn on_a_backup_without_documents_none_is_built_that_has_them() {
    let ward = Ward::new();
    ward.send(b"a letter");
    let full = ward.house.back_up(FULL);
    let key = ward.house.setup().key;
    // As the format before this one wrote it.
    for place in ["one", "two"] {
        let path = ward.house.place(place).join(format!("backups/{}/manifest", full.backup));
        let mut old = backup::Manifest::read(&fs::read(&path).unwrap(), full.backup, &key).unwrap();
        (old.format, old.documents) = (1, None);
        fs::write(&path, old.signed(&key).unwrap()).unwrap();
        fs::remove_dir_all(ward.house.place(place).join("documents")).unwrap();
    }
    let verified = ward.verify("one", full.backup);
    assert!(verified.is_whole() && verified.documents == 0, "it never had them: {:?}", verified.findings);
    let back = tempfile::tempdir().unwrap();
    let restored = ward.house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!(restored.told.documents_missing, 1, "a restore tells what is not there");
    let next = ward.house.back_up(INCREMENTAL);
    assert_eq!((next.kind, next.documents), (BackupKind::Full, 1));
    assert!(ward.verify("one", next.backup).is_whole());
}
