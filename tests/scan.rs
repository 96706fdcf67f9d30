//! No byte on disk and no line of a log tells who a patient is.

mod needles;
mod shredding;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{Place, Server, fixture};
use needles::{Hit, Needles, people};

/// Every file below a directory.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()))
        } else {
            files.push(entry.path())
        }
    }
    files.sort();
    files
}

/// Imports the fixture, serves reads, searches and mistakes, and gives all that the server said.
fn lived_in() -> (Place, String) {
    let place = Place::with_cast();
    let imported = place.run(&["import", &fixture().display().to_string()]).ok();
    let patients: Vec<_> = place
        .trail(&["--type", "patients.registered"])
        .iter()
        .map(|event| event["patients"][0].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(patients.len(), 20);
    let levels = "info,wardbook=trace,wardbook_ledger=trace,wardbook_keys=trace,wardbook_commands=trace,wardbook_projections=trace";
    let server = Server::start(place.wardbook().args(["serve", "--listen", "127.0.0.1:0"]).env("WARDBOOK_LOG", levels));
    let (registrar, physician) = (server.log_in("registrar"), server.log_in("physician"));
    let user = physician.get("/v1/auth/session").is(200).json()["user"].as_str().unwrap().to_owned();
    let mut shown = String::new();
    for patient in &patients {
        let path = format!("/v1/patients/{patient}");
        registrar.put(&format!("{path}/care-team/{user}"), &json!({"function": "attending"})).is(204);
        shown.push_str(&physician.get(&path).is(200).text);
        shown.push_str(&physician.get(&format!("{path}/records?limit=200")).is(200).text);
    }
    let people = people();
    for person in &people {
        let found = registrar
            .post("/v1/patients/search", &json!({"name": person.family, "birth_date": person.birth_date}))
            .is(200);
        assert!(!found.json()["patients"].as_array().unwrap().is_empty());
        assert!(shown.contains(&person.family), "what is looked for was shown to those who may see it");
        // What people do wrong with names and numbers in hand.
        physician.get(&format!("/v1/patients/search?name={}", person.family.replace(' ', "+")));
        physician.post(
            "/v1/patients",
            &json!({"name": {"family": person.family, "given": person.given}, "birth_date": person.family}),
        );
        registrar.post(
            "/v1/patients",
            &json!({"name": {"family": person.family, "given": person.given}, "birth_date": person.birth_date}),
        );
        registrar.post("/v1/patients", &json!({"name": person.values}));
        server
            .stranger()
            .post("/v1/auth/login", &json!({"username": person.family, "password": person.values.first()}));
    }
    place.run_with_password(&["user", "create", "--username", "beside", "--role", "nurse"]).with_code(2);
    let log = server.stop();
    assert!(log.lines().filter(|line| line.starts_with('{')).count() > 20, "the logs say something: {log}");
    place.run(&["--quiet", "rebuild"]).ok();
    (place, format!("{}{}{log}", imported.stdout, imported.stderr))
}

fn hits(needles: &Needles, place: &Place, said: &str) -> Vec<Hit> {
    let mut hits = needles.hits("what was said", said.as_bytes());
    let files = files_below(&place.data());
    for kind in [
        "ledger/journal",
        "ledger/tile",
        "ledger/index",
        "views/patients",
        "views/audit",
        "keys/keys.sqlite",
        "published",
    ] {
        assert!(files.iter().any(|file| file.display().to_string().contains(kind)), "{kind} is scanned: {files:?}");
    }
    for file in files {
        let name = file.strip_prefix(place.data()).unwrap().display().to_string();
        hits.extend(needles.hits(&name, &fs::read(&file).unwrap()));
    }
    hits
}

#[test]
fn ledger_views_keys_and_logs_hold_nobody_in_clear() {
    let needles = Needles::of(&people());
    let (place, said) = lived_in();
    let mut found = hits(&needles, &place, &said);
    if !found.is_empty() {
        // Four letters turn up by chance in megabytes of random bytes, but not the same ones in other random bytes.
        let (place, said) = lived_in();
        let again = hits(&needles, &place, &said);
        found.retain(|hit| again.iter().any(|other| other.value == hit.value));
    }
    assert!(found.is_empty(), "{} in clear: {found:?}", found.len());
}

#[test]
fn the_scan_finds_what_is_there() {
    let people = people();
    assert_eq!(people.len(), 20);
    let needles = Needles::of(&people);
    let mut found = Vec::new();
    for file in files_below(&fixture()) {
        found.extend(needles.hits(&file.display().to_string(), &fs::read(file).unwrap()));
    }
    for value in people.iter().flat_map(|person| &person.values) {
        assert!(found.iter().any(|hit| &hit.value == value), "{value} stands in the fixture and is not found");
    }
    let person = &people[0];
    for value in &person.values {
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{value}.");
            for hidden in [text.to_uppercase(), hex::encode(&text), encoded(&text)] {
                assert!(
                    needles.hits("hidden", hidden.as_bytes()).iter().any(|hit| &hit.value == value),
                    "{value} in {hidden}"
                );
            }
        }
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        let number = digits.len() >= 9 && !value.contains('@') && !value.contains(char::is_alphabetic);
        assert!(
            !number || needles.hits("digits", digits.as_bytes()).iter().any(|hit| &hit.value == value),
            "{value} as {digits}"
        );
    }
    assert!(needles.hits("nothing", b"no person is in here, 123456, QUJDREVG").is_empty());
}

fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// All resources of the fixture.
fn resources() -> Vec<Value> {
    let documents = wardbook::import::documents(&[fixture()])
        .unwrap()
        .map(|document| serde_json::from_str::<Value>(&document.unwrap()).unwrap());
    documents
        .flat_map(|document| match document["entry"].as_array() {
            Some(entries) => entries.iter().map(|entry| entry["resource"].clone()).collect(),
            None => vec![document],
        })
        .collect()
}
