use wardbook_events::EventId;
use wardbook_policy::{Action, Ask, PatientFacts, Policies, Principal, Target};

use super::*;

struct Scene {
    _dir: tempfile::TempDir,
    keys: Keys,
    uploads: Uploads,
    about: About,
    permit: wardbook_policy::Permit,
}

/// An upload of so many bytes of text, by a physician of the care team.
fn scene(size: u64) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::in_memory().unwrap();
    let tenant = TenantId::from_bytes([1; 16]);
    let (patient, user) = (PatientId::from_bytes([2; 16]), UserId::from_bytes([4; 16]));
    keys.create_patient_key(tenant, patient).unwrap();
    let uploads = Uploads::new(dir.path().join("uploads"));
    std::fs::create_dir(dir.path().join("uploads")).unwrap();
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let about = About {
        tenant,
        patient,
        document: RecordId::from_bytes([3; 16]),
        user,
        kind: RecordKind::Document,
        sensitivity: Vec::new(),
        year: None,
        media_type: MediaType::Text,
        size_bytes: size,
        object: "0".repeat(32),
        key: Ciphertext::new(String::new()),
        words: String::new(),
        begun_at: now,
    };
    let words = Words { title: Line::new("Findings").unwrap(), file_name: None };
    let about = uploads.begin(&keys, about, &words).unwrap();
    let mut facts = PatientFacts::new(patient, tenant);
    let member = wardbook_policy::Member { function: wardbook_events::care_teams::Function::Attending, until: None };
    facts.members.insert(user, member);
    let principal = Principal::new(user, tenant, [wardbook_events::Role::Physician].into());
    let ask = Ask::new(now, wardbook_events::Purpose::Treatment, EventId::from_bytes([5; 16]));
    let target = Target::Record(&facts, &about.facts());
    let permit = Policies::shipped().unwrap().act(&principal, Action::AddRecord, target, &ask).unwrap();
    Scene { _dir: dir, keys, uploads, about, permit }
}

impl Scene {
    fn staging(&self) -> Staging {
        self.keys.open_staging(&self.permit, self.about.id(), &self.about.sealed_key()).unwrap()
    }
    fn take(&self) -> Upload {
        let about = self.uploads.about(self.about.document).unwrap().unwrap();
        self.uploads.take(about).unwrap()
    }
    fn send(&self, bytes: &[u8]) -> u64 {
        let mut appender = self.take().append(self.staging()).unwrap();
        appender.push(bytes).unwrap();
        appender.finish().unwrap()
    }
    fn content(&self) -> Vec<u8> {
        let mut source = self.take().read(self.staging()).unwrap();
        let mut all = Vec::new();
        while let Some(chunk) = source.next().unwrap() {
            all.extend_from_slice(&chunk);
        }
        all
    }
    fn file(&self, name: &str) -> PathBuf {
        below(&self.uploads.dir, self.about.document).join(name)
    }
}

fn text(size: usize) -> Vec<u8> {
    (0..size).map(|i| b'a' + (i / 5 % 23) as u8).collect()
}

#[test]
fn pieces_of_any_length_add_up() {
    let size = 2 * OBJECT_CHUNK + 77;
    let (scene, text) = (scene(size as u64), text(size));
    let mut sent = 0;
    for length in [1, 6, 0, OBJECT_CHUNK - 7, 5, OBJECT_CHUNK + 70, 2] {
        assert_eq!(scene.send(&text[sent..sent + length]), (sent + length) as u64);
        sent += length;
        assert_eq!(scene.take().offset().unwrap(), sent as u64);
    }
    assert_eq!(sent, size);
    assert!(scene.content() == text);
    assert_eq!(scene.take().words(&scene.staging()).unwrap().title.as_str(), "Findings");
    let mut appender = scene.take().append(scene.staging()).unwrap();
    assert!(matches!(appender.push(b"x"), Err(DocumentError::TooMuch { .. })));
}

#[test]
fn nothing_of_it_lies_in_clear() {
    let scene = scene(3 * OBJECT_CHUNK as u64);
    scene.send(&text(OBJECT_CHUNK + 1000));
    let needles = [&text(OBJECT_CHUNK)[..12], b"Findings"];
    let mut files = 0;
    for file in std::fs::read_dir(scene.file("")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        files += 1;
        for needle in needles {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle));
        }
    }
    assert_eq!(files, 3, "about, chunks and tail");
}

#[test]
fn a_half_written_chunk_is_sent_again() {
    let (scene, text) = (scene(3 * OBJECT_CHUNK as u64), text(3 * OBJECT_CHUNK));
    scene.send(&text[..100]);
    // The machine goes down while the first chunk is written: the tail of before is still there.
    std::fs::write(scene.file("chunks"), [7; 1000]).unwrap();
    assert_eq!(scene.take().offset().unwrap(), 100);
    assert_eq!(scene.send(&text[100..]), text.len() as u64);
    assert!(scene.content() == text);
}

#[test]
fn one_works_on_an_upload_at_a_time() {
    let scene = scene(10);
    let taken = scene.take();
    assert!(matches!(scene.uploads.take(scene.about.clone()), Err(DocumentError::Busy)));
    drop(taken);
    scene.take().discard().unwrap();
    assert!(scene.uploads.about(scene.about.document).unwrap().is_none());
    assert!(matches!(scene.uploads.take(scene.about.clone()).unwrap().offset(), Err(DocumentError::NoUpload)));
}

#[test]
fn another_type_is_refused_with_its_first_piece() {
    let scene = scene(10_000);
    let mut appender = scene.take().append(scene.staging()).unwrap();
    appender.push(&[b"%PDF-1.7\n".as_slice(), &[b'x'; 5_000]].concat()).unwrap();
    assert!(matches!(appender.finish(), Err(DocumentError::Content(_))));
    assert_eq!(scene.take().offset().unwrap(), 0, "nothing of it was kept");
}

#[test]
fn a_changed_byte_is_noticed() {
    let size = OBJECT_CHUNK + 10;
    let scene = scene(size as u64);
    scene.send(&text(size));
    for name in ["chunks", "tail-1"] {
        let good = std::fs::read(scene.file(name)).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(scene.file(name), bad).unwrap();
        let mut source = scene.take().read(scene.staging()).unwrap();
        let read = std::iter::from_fn(|| source.next().transpose()).collect::<Result<Vec<_>, _>>();
        assert!(matches!(read, Err(DocumentError::Object(_))), "{name}");
        std::fs::write(scene.file(name), good).unwrap();
    }
    assert!(scene.content() == text(size));
}

#[test]
fn a_permit_for_another_document_takes_nothing_up() {
    let scene = scene(10);
    let other = ObjectId { document: RecordId::from_bytes([9; 16]), ..scene.about.id() };
    assert!(scene.keys.open_staging(&scene.permit, other, &scene.about.sealed_key()).is_err());
    let other = ObjectId { patient: PatientId::from_bytes([9; 16]), ..scene.about.id() };
    assert!(scene.keys.open_staging(&scene.permit, other, &scene.about.sealed_key()).is_err());
}
