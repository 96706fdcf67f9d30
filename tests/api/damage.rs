//! A flipped bit in a sealed value of a view: what is shown is what was sealed, or nothing.

use std::path::{Path, PathBuf};

use serde_json::Value;
use wardbook_events::Role;
use wardbook_ledger::Position;

use crate::helpers::{TestApp, person, quick_config};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(files(&entry.path())),
            false => all.push(entry.path()),
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copied = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(copied.parent().unwrap()).unwrap();
        std::fs::copy(&file, copied).unwrap();
    }
}

/// Flips a bit of a text wherever it stands in the views' files; gives in how many places.
fn flip(views: &Path, text: &[u8], at: usize) -> usize {
    let mut flipped = 0;
    for file in files(views) {
        let mut bytes = std::fs::read(&file).unwrap();
        let found: Vec<_> =
            (0..bytes.len().saturating_sub(text.len())).filter(|from| bytes[*from..].starts_with(text)).collect();
        found.iter().for_each(|from| bytes[from + at] ^= 1 << (at % 7));
        if !found.is_empty() {
            std::fs::write(&file, bytes).unwrap();
        }
        flipped += found.len();
    }
    flipped
}

#[test]
fn a_flipped_bit_in_a_sealed_value_of_a_view_never_shows_something_else() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    let patient = test.log_in("registrar").post("/v1/patients", &person("Unbroken")).json();
    let path = format!("/v1/patients/{}", patient["patient"].as_str().unwrap());
    let mut log = test.app.ledger().scan(Position(0)).map(Result::unwrap);
    let registered = log.find(|entry| entry.event_type().as_str() == "patients.registered").unwrap();
    let body: Value = serde_json::from_slice(registered.body()).unwrap();
    let sealed = body["fields"]["patient.name"].as_str().unwrap_or_else(|| panic!("{body}")).as_bytes().to_vec();
    let durable = test.app.ledger().head().durable;
    let _ = test.log_in_after(durable - 1, "registrar");
    let whole = test.stop();
    for at in (0..sealed.len()).step_by(sealed.len() / 6).chain([sealed.len() - 1]) {
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        assert!(flip(&dir.path().join("views"), &sealed, at) > 0, "byte {at}: the value is in no view");
        let test = TestApp::in_dir(quick_config(), dir);
        let durable = test.app.ledger().head().durable;
        let shown = test.log_in_after(durable - 1, "registrar").get(&path);
        match shown.status {
            // The damage was noticed when the view was opened, and the view came back from the ledger.
            200 => assert_eq!(shown.json()["name"]["family"], "Unbroken", "byte {at}"),
            status => {
                let problem = shown.json()["type"].as_str().unwrap_or_default().to_owned();
                assert!(status == 500 && problem.starts_with("/problems/"), "byte {at}: {status} {problem}");
                assert!(!shown.text().contains("Unbroken"));
            }
        }
    }
}
