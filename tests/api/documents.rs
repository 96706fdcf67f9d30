//! Documents and images, end to end: sent in pieces, cleaned, sealed, found, given back, damaged, lost.

use std::path::PathBuf;

use serde_json::{Value, json};
use wardbook_events::{PatientId, Role};

use crate::helpers::{
    Answer, Client, HOUSE, Sent, TestApp, begin, block_on, person, quick_config, same_answer, upload,
};

const CHUNK: usize = wardbook_keys::OBJECT_CHUNK;

/// Text in which no two stretches are alike.
fn text(size: usize) -> Vec<u8> {
    (0..).flat_map(|line: usize| format!("finding {line}: unremarkable\n").into_bytes()).take(size).collect()
}

/// An application of its own with a physician who treats a patient.
struct Ward {
    test: TestApp,
    physician: Client,
    patient: PatientId,
}

impl Ward {
    fn new(config: wardbook::config::Config) -> Self {
        let test = TestApp::with(config);
        let registrar = test.client(&[Role::Registrar]).1;
        let (user, physician) = test.client(&[Role::Physician]);
        let answer = registrar.post("/v1/patients", &person("Lindqvist"));
        let patient: PatientId = answer.json()["patient"].as_str().unwrap().parse().unwrap();
        let team = format!("/v1/patients/{patient}/care-team/{user}");
        let answer = registrar.after(&answer).put(&team, &json!({"function": "attending"}));
        assert_eq!(answer.status, 204, "{}", answer.text());
        Self { test, physician, patient }
    }
    fn send(&self, media_type: &str, content: &[u8]) -> String {
        upload(&self.physician, self.patient, media_type, content, &json!({})).finish()
    }
    fn content(&self, document: &str) -> Answer {
        self.physician.get(&format!("/v1/documents/{document}/content"))
    }
    /// The files of all objects.
    fn objects(&self) -> Vec<PathBuf> {
        let shards = std::fs::read_dir(self.test.app.data().documents()).unwrap();
        let files = shards.flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }
    fn types(&self) -> Vec<String> {
        let ledger = self.test.app.ledger();
        let read = |position| ledger.read(wardbook_ledger::Position(position)).unwrap().unwrap();
        (0..ledger.head().durable).map(|position| read(position).event_type().as_str().to_owned()).collect()
    }
    fn count(&self, kind: &str) -> usize {
        self.types().iter().filter(|known| *known == kind).count()
    }
}

fn kind(answer: &Answer) -> String {
    answer.json()["type"].as_str().unwrap().to_owned()
}

#[test]
fn a_document_comes_back_as_it_was_sent_and_every_look_is_written_down() {
    let patient = HOUSE.patient("Abernathy");
    let physician = HOUSE.client(Role::Physician);
    let content = text(2 * CHUNK + 1234);
    let more = json!({"title": "Discharge letter", "file_name": "Brief \"Ä\".txt", "year": 2025});
    let sent = upload(physician, patient, "text/plain", &content, &more);
    let finished = sent.try_finish();
    assert_eq!(finished.status, 201, "{}", finished.text());
    let document = finished.json()["document"].as_str().unwrap().to_owned();
    assert_eq!(document, sent.upload);
    assert_eq!(finished.header("location"), format!("/v1/documents/{document}/content"));
    assert_eq!(finished.json()["size_bytes"], content.len());

    let listed = physician.get(&format!("/v1/patients/{patient}/documents"));
    assert_eq!(listed.status, 200, "{}", listed.text());
    let one = &listed.json()["documents"][0];
    assert_eq!(one["title"], "Discharge letter");
    assert_eq!(one["year"], 2025);
    assert_eq!(one["blake3"], blake3::hash(&content).to_hex().to_string());
    assert_eq!(one["version"], 1);
    let told = event(&listed);
    assert_eq!(
        (told["type"].as_str(), &told["details"]["records"][0]),
        (Some("access.records-opened"), &json!(document))
    );

    let got = physician.get(&format!("/v1/documents/{document}/content"));
    assert_eq!(got.status, 200);
    assert!(got.body == content);
    assert_eq!(got.header("content-type"), "text/plain");
    assert_eq!(got.header("content-length"), content.len().to_string());
    assert_eq!(got.header("cache-control"), "private, no-store");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("content-disposition"), "attachment; filename*=UTF-8''Brief%20%22%C3%84%22.txt");
    let told = event(&got);
    assert_eq!(
        (told["type"].as_str(), &told["details"]["document"]),
        (Some("access.document-opened"), &json!(document))
    );
    assert_eq!(told["patients"][0], json!(patient));

    // Finished again by the same user: the same document, and no second one.
    let again = sent.try_finish();
    assert_eq!((again.status, &again.json()["document"]), (200, &json!(document)));
    assert_eq!(HOUSE.client(Role::Nurse).post(&format!("{}/finish", sent.path()), &json!({})).status, 404);
}

/// The event of an answer's receipt, as auditors read it.
fn event(answer: &Answer) -> Value {
    let officer = HOUSE.client(Role::ComplianceOfficer).after(answer);
    let position = answer.position();
    let found = officer.get("/v1/audit/events?limit=50").json();
    let event = found["events"].as_array().unwrap().iter().find(|event| event["position"] == position).cloned();
    let event = event.unwrap_or_else(|| panic!("no event at {position}: {found}"));
    let details = event["details"].as_object().unwrap();
    assert!(!details.contains_key("body") && !details.contains_key("object_key"), "{event}");
    event
}

#[test]
fn parts_are_given_as_asked() {
    let patient = HOUSE.patient("Bellweather");
    let physician = HOUSE.client(Role::Physician);
    let content = text(CHUNK + 5000);
    let document = upload(physician, patient, "text/plain", &content, &json!({})).finish();
    let path = format!("/v1/documents/{document}/content");
    let size = content.len();
    for (asked, from, until) in [
        ("bytes=0-0".to_owned(), 0, 1),
        (format!("bytes={}-{}", CHUNK - 3, CHUNK + 2), CHUNK - 3, CHUNK + 3),
        (format!("bytes={CHUNK}-"), CHUNK, size),
        ("bytes=-10".to_owned(), size - 10, size),
    ] {
        let part = physician.with("Range", &asked).get(&path);
        assert_eq!(part.status, 206, "{asked}");
        assert!(part.body == content[from..until], "{asked}");
        assert_eq!(part.header("content-range"), format!("bytes {from}-{}/{size}", until - 1));
        assert_eq!(event(&part)["details"]["range"], json!([from, until]));
    }
    let none = physician.with("Range", &format!("bytes={size}-")).get(&path);
    assert_eq!((none.status, kind(&none).as_str()), (416, "/problems/range-not-satisfiable"));
    assert_eq!(none.header("content-range"), format!("bytes */{size}"));
    let whole = physician.get(&path);
    let tag = whole.header("etag");
    let part = physician.with("Range", "bytes=0-4");
    assert_eq!(part.with("If-Range", tag).get(&path).status, 206);
    assert_eq!(part.with("If-Range", "\"other\"").get(&path).status, 200);
}

#[test]
fn an_upload_goes_on_after_a_restart() {
    let ward = Ward::new(quick_config());
    let content = text(CHUNK + 9000);
    let sent = begin(&ward.physician, ward.patient, "text/plain", content.len(), &json!({}));
    assert_eq!(sent.piece(0, &content[..CHUNK + 100]).status, 204);
    assert_eq!(sent.piece(7, b"x").status, 409, "it begins where the upload ends");
    let early = sent.try_finish();
    assert_eq!((early.status, kind(&early).as_str()), (409, "/problems/conflict"));
    let Ward { test, physician, patient } = ward;
    let dir = test.stop();
    // Nothing of it lies in clear meanwhile.
    let uploads = dir.path().join("uploads").join(&sent.upload);
    for file in std::fs::read_dir(&uploads).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"unremarkable"));
        assert!(!bytes.windows(9).any(|window| window == b"Discharge"));
    }
    let test = TestApp::in_dir(quick_config(), dir);
    let physician = test.stranger().with_headers_of(&physician);
    let sent: Sent = sent.at(&test.stranger());
    assert_eq!(sent.offset(), CHUNK + 100);
    let answer = sent.piece(CHUNK + 100, &content[CHUNK + 100..]);
    assert_eq!((answer.status, answer.header("upload-offset")), (204, content.len().to_string().as_str()));
    let document = sent.finish();
    let ward = Ward { test, physician, patient };
    assert!(ward.content(&document).body == content);
    assert!(!uploads.exists(), "nothing is left of the upload");
    assert_eq!(sent.piece(content.len(), b"").status, 404);
}

/// A photograph with EXIF that tells camera, place and that it was taken lying on its side.
fn photograph() -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x03".to_vec();
    exif.extend(b"\x01\x0f\0\x02\0\0\0\x0a\0\0\0\x32");
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0");
    exif.extend(b"\x88\x25\0\x04\0\0\0\x01\0\0\0\x3c\0\0\0\0");
    exif.extend(b"CameraCorp\0GPS 52.5200 N 13.4050 E");
    let segment = |marker: u8, content: &[u8]| {
        let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker], length.as_slice(), content].concat()
    };
    [
        vec![0xff, 0xd8],
        segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
        segment(0xe1, &exif),
        segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>GPS</x:xmpmeta>"),
        segment(0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        b"the picture itself".to_vec(),
        vec![0xff, 0xd9],
    ]
    .concat()
}

#[test]
fn what_a_camera_writes_into_an_image_is_gone() {
    let patient = HOUSE.patient("Calloway");
    let physician = HOUSE.client(Role::Physician);
    let image = photograph();
    assert!(image.windows(3).any(|window| window == b"GPS"));
    let sent = upload(physician, patient, "image/jpeg", &image, &json!({"title": "Wound"}));
    let finished = sent.try_finish();
    assert_eq!(finished.status, 201, "{}", finished.text());
    assert_eq!(finished.json()["removed"], json!(["exif", "xmp"]));
    let got = physician.get(finished.header("location"));
    assert_eq!(got.header("content-type"), "image/jpeg");
    for gone in [&b"GPS"[..], b"CameraCorp", b"xmpmeta"] {
        assert!(!got.body.windows(gone.len()).any(|window| window == gone), "{gone:?}");
    }
    assert!(got.body.windows(18).any(|window| window == b"the picture itself"));
    assert!(got.body.windows(6).any(|window| window == [0x01, 0x12, 0, 3, 0, 0]), "which way is up is still there");
    assert_eq!(finished.json()["size_bytes"], got.body.len());
    let broken = upload(physician, patient, "image/jpeg", &image[..200], &json!({})).try_finish();
    assert_eq!((broken.status, kind(&broken).as_str()), (422, "/problems/invalid-value"));
}

#[test]
fn what_is_too_large_or_not_what_it_is_said_to_be_is_refused() {
    let mut config = quick_config();
    config.documents.size_bytes_max = 100_000;
    config.documents.image_bytes_max = 10_000;
    config.documents.media_types.retain(|kind| kind.name() != "application/dicom");
    let ward = Ward::new(config);
    let path = format!("/v1/patients/{}/documents", ward.patient);
    let ask = |media_type: &str, size: u64| {
        let body = json!({"title": "x", "media_type": media_type, "size_bytes": size});
        ward.physician.post(&path, &body).status
    };
    assert_eq!(ask("text/plain", 100_001), 413);
    assert_eq!(ask("image/png", 10_001), 413);
    assert_eq!(ask("application/dicom", 10), 415);
    assert_eq!(ask("application/x-msdownload", 10), 422);
    assert_eq!(ask("text/plain", 0), 422);
    // A program as a letter.
    let program = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 93]].concat();
    for media_type in ["application/pdf", "text/plain", "image/png"] {
        let sent = begin(&ward.physician, ward.patient, media_type, 100, &json!({}));
        let refused = match sent.piece(0, &program) {
            kept if kept.status == 204 => sent.try_finish(),
            refused => refused,
        };
        assert_eq!(
            (refused.status, kind(&refused).as_str()),
            (415, "/problems/unsupported-media-type"),
            "{media_type}"
        );
    }
    // More than was announced, and something else than was sent.
    let sent = begin(&ward.physician, ward.patient, "text/plain", 5, &json!({}));
    assert_eq!(sent.piece(0, b"more than five").status, 413);
    assert_eq!(sent.offset(), 0);
    assert_eq!(sent.piece(0, b"hello").status, 204);
    let wrong = json!({"sha256": "00".repeat(32)});
    assert_eq!(ward.physician.post(&format!("{}/finish", sent.path()), &wrong).status, 422);
    let right = json!({"sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"});
    assert_eq!(ward.physician.post(&format!("{}/finish", sent.path()), &right).status, 201);
    assert_eq!(ward.count("documents.added"), 1);
    assert_eq!(ward.objects().len(), 1, "what was refused left no object");
}

#[test]
fn a_damaged_object_gives_nothing_of_what_is_damaged() {
    let ward = Ward::new(quick_config());
    let content = text(6 * CHUNK);
    let document = ward.send("text/plain", &content);
    let object = ward.objects().remove(0);
    let whole = std::fs::read(&object).unwrap();
    assert!(!whole.windows(12).any(|window| window == b"unremarkable"));
    let sealed = CHUNK + 16;
    // Within what is fetched first: nothing at all is given.
    for bit in [0, 8 * (CHUNK - 1) + 3, 8 * (sealed - 1) + 7, 8 * (3 * sealed) + 1] {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&object, &damaged).unwrap();
        let got = ward.content(&document);
        assert_eq!((got.status, kind(&got).as_str()), (500, "/problems/document-damaged"), "bit {bit}");
        assert!(!got.text().contains("unremarkable"));
    }
    assert_eq!(ward.count("documents.found-damaged"), 2, "the same damage is told once: chunk 0, and chunk 3");
    // Later on: the connection breaks before the announced length.
    let mut damaged = whole.clone();
    damaged[5 * sealed + 10] ^= 1;
    std::fs::write(&object, &damaged).unwrap();
    assert!(ward.physician.try_get(&format!("/v1/documents/{document}/content")).is_none());
    let before = ward.physician.with("Range", "bytes=0-99").get(&format!("/v1/documents/{document}/content"));
    assert!(before.body == content[..100], "what is not damaged can be had");
    for (bytes, fault) in [(whole[..whole.len() - 1].to_vec(), "cut"), ([whole.as_slice(), b"x"].concat(), "too-long")]
    {
        std::fs::write(&object, bytes).unwrap();
        assert_eq!(kind(&ward.content(&document)), "/problems/document-damaged");
        assert_eq!(listed(&ward)[0]["damaged"], fault);
    }
    // Two chunks in each other's place.
    let mut swapped = whole.clone();
    let (first, rest) = swapped.split_at_mut(sealed);
    first.swap_with_slice(&mut rest[..sealed]);
    std::fs::write(&object, &swapped).unwrap();
    assert_eq!(kind(&ward.content(&document)), "/problems/document-damaged");
    assert_eq!(listed(&ward)[0]["damaged"], "misplaced");
    std::fs::remove_file(&object).unwrap();
    assert_eq!(kind(&ward.content(&document)), "/problems/document-damaged");
    assert_eq!(listed(&ward)[0]["damaged"], "missing");
    std::fs::write(&object, &whole).unwrap();
    assert!(ward.content(&document).body == content);
}

fn listed(ward: &Ward) -> Value {
    let newest = (ward.test.app.ledger().head().durable - 1).to_string();
    let client = ward.physician.with("If-Ledger-Position", &newest);
    client.get(&format!("/v1/patients/{}/documents", ward.patient)).json()["documents"].clone()
}

#[test]
fn who_may_not_see_a_document_learns_nothing_of_it() {
    let patient = HOUSE.patient("Dunmore");
    let physician = HOUSE.client(Role::Physician);
    let plain = upload(physician, patient, "text/plain", b"plain", &json!({})).finish();
    let labelled =
        upload(physician, patient, "text/plain", b"labelled", &json!({"title": "T", "sensitivity": ["PSYTHPN"]}))
            .finish();
    let unknown = uuid::Uuid::now_v7().to_string();
    let content = |client: &Client, document: &str| client.get(&format!("/v1/documents/{document}/content"));
    // Nobody who treats: known and unknown answer alike, content and retraction.
    for role in [Role::Billing, Role::Admin, Role::EmergencyStaff] {
        let client = HOUSE.client(role);
        same_answer(&content(client, &plain), &content(client, &unknown));
        let retract = |document: &str| client.post(&format!("/v1/documents/{document}/retract"), &json!({}));
        same_answer(&retract(&plain), &retract(&unknown));
        assert_eq!(content(client, &plain).status, 404);
    }
    // Of the care team, but not the author of a psychotherapy note.
    let nurse = HOUSE.client(Role::Nurse);
    assert_eq!(content(nurse, &plain).status, 200);
    assert_eq!(content(nurse, &labelled).status, 404);
    let titles = nurse.get(&format!("/v1/patients/{patient}/documents")).json();
    let ids: Vec<_> = titles["documents"].as_array().unwrap().iter().map(|one| one["document"].clone()).collect();
    assert_eq!(ids, [json!(plain)]);
    // Another one's upload is nobody's.
    let sent = begin(physician, patient, "text/plain", 5, &json!({}));
    same_answer(&nurse.get(&sent.path()), &nurse.get(&format!("/v1/uploads/{unknown}")));
    assert_eq!(nurse.delete(&sent.path()).status, 404);
    assert_eq!(physician.delete(&sent.path()).status, 204);
    assert_eq!(physician.get(&sent.path()).status, 404);
}

#[test]
fn a_retracted_document_counts_no_more() {
    let patient = HOUSE.patient("Eastwood");
    let physician = HOUSE.client(Role::Physician);
    let document = upload(physician, patient, "text/plain", b"wrong patient", &json!({})).finish();
    let retract = |client: &Client| client.post(&format!("/v1/documents/{document}/retract"), &json!({}));
    assert_eq!(
        physician.with("If-Match", "\"9\"").post(&format!("/v1/documents/{document}/retract"), &json!({})).status,
        412
    );
    let answer = retract(physician);
    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""));
    assert_eq!(retract(physician).status, 409);
    let list = |query: &str| physician.get(&format!("/v1/patients/{patient}/documents{query}")).json();
    assert_eq!(list("")["documents"], json!([]));
    assert_eq!(list("?retracted=true")["documents"][0]["retracted"], true);
    assert_eq!(physician.get(&format!("/v1/documents/{document}/content")).body, b"wrong patient");
}

#[test]
fn the_same_request_begins_one_upload_and_too_many_are_refused() {
    let mut config = quick_config();
    config.documents.uploads_max = 3;
    let ward = Ward::new(config);
    let path = format!("/v1/patients/{}/documents", ward.patient);
    let body = json!({"title": "x", "media_type": "text/plain", "size_bytes": 5});
    let keyed = ward.physician.with("Idempotency-Key", "one");
    let first = keyed.post(&path, &body).json();
    assert_eq!(keyed.post(&path, &body).json(), first);
    assert_eq!(ward.physician.post(&path, &body).status, 201);
    assert_eq!(ward.physician.post(&path, &body).status, 201);
    assert_eq!(ward.physician.post(&path, &body).status, 409);
    // Nobody comes back for them.
    ward.test.clock.advance(jiff::SignedDuration::from_hours(23));
    assert_eq!(block_on(wardbook::documents::sweep(&ward.test.app)).unwrap(), 0);
    ward.test.clock.advance(jiff::SignedDuration::from_hours(2));
    assert_eq!(block_on(wardbook::documents::sweep(&ward.test.app)).unwrap(), 3);
    let left = std::fs::read_dir(ward.test.app.data().uploads()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn verifying_finds_what_is_wrong_and_erasing_leaves_nothing() {
    let ward = Ward::new(quick_config());
    let (app, patient) = (&ward.test.app, ward.patient);
    let first = ward.send("text/plain", &text(CHUNK + 10));
    ward.send("text/plain", b"second");
    let verify = || block_on(wardbook::documents::verify(app, &())).unwrap();
    let report = verify();
    assert!(report.is_ok() && report.orphans.is_empty() && report.documents == 2, "{report:?}");
    let object = ward.objects().into_iter().max_by_key(|file| std::fs::metadata(file).unwrap().len()).unwrap();
    let whole = std::fs::read(&object).unwrap();
    let mut damaged = whole.clone();
    damaged[CHUNK] ^= 4;
    std::fs::write(&object, damaged).unwrap();
    let stray = object.parent().unwrap().join("00112233445566778899aabbccddeeff");
    std::fs::write(&stray, b"of nobody").unwrap();
    let report = verify();
    assert!(!report.is_ok());
    assert_eq!((report.findings.len(), report.findings[0].document.to_string()), (1, first));
    assert_eq!(report.orphans, ["00112233445566778899aabbccddeeff".to_owned()].into());
    std::fs::write(&object, whole).unwrap();
    std::fs::remove_file(stray).unwrap();
    // An upload that is not finished goes as well.
    begin(&ward.physician, patient, "text/plain", 5, &json!({}));
    app.keys().destroy_patient_key(app.config().organisation.id, patient).unwrap();
    let report = verify();
    assert_eq!((report.is_ok(), report.leftovers.len(), report.erased), (false, 2, 2));
    let deleted = block_on(wardbook::documents::delete_objects_of(app, patient)).unwrap();
    assert_eq!((deleted.objects, deleted.uploads), (2, 1));
    let again = block_on(wardbook::documents::delete_objects_of(app, patient)).unwrap();
    assert_eq!((again.objects, again.uploads), (0, 0));
    assert!(ward.objects().is_empty());
    assert!(verify().is_ok());
}
