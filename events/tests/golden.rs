//! Every event that was ever written must be readable for ever: one golden file for each type and schema version.
//!
//! `tests/golden/<type>.v<version>.json` holds `{"type", "version", "body"}`. A new version gets a new file; an old file is never
//! changed or deleted, because it stands for events that lie in ledgers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;
use wardbook_events::ids::{CorrelationId, TenantId};
use wardbook_events::meta::{Actor, Client, Meta, Outcome, Purpose};
use wardbook_events::{Encoded, Event};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    r#type: String,
    version: u16,
    body: Box<RawValue>,
}

fn golden_files() -> BTreeMap<(String, u16), Golden> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let golden: Golden = serde_json::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let expected = format!("{}.v{}.json", golden.r#type, golden.version);
        assert_eq!(
            path.file_name().unwrap().to_str(),
            Some(expected.as_str()),
            "the name tells another type or version"
        );
        all.insert((golden.r#type.clone(), golden.version), golden);
    }
    all
}

/// The body that is written for an event today.
fn written(event: &Event) -> Vec<u8> {
    let nobody = [0; 16];
    let meta = Meta {
        tenant: TenantId::from_bytes(nobody),
        actor: Actor::SYSTEM,
        purpose: Purpose::Operations,
        outcome: Outcome::Success,
        correlation: CorrelationId::from_bytes(nobody),
        causation: None,
        command: None,
    };
    Encoded::new(event, &meta, &Client::default()).unwrap().body
}

/// JSON without the white space that makes the files readable; keeps order and numbers as they stand.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |c: &char| {
        let kept = quoted || !c.is_ascii_whitespace();
        match *c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        kept
    };
    json.chars().filter(keep).collect()
}

#[test]
fn every_type_has_a_golden_file_for_every_version() {
    let files = golden_files();
    for (kind, current) in Event::types() {
        for version in 1..=current {
            let known = files.contains_key(&(kind.to_owned(), version));
            assert!(known, "write tests/golden/{kind}.v{version}.json: events of this form will lie in ledgers");
        }
    }
    let types: BTreeMap<_, _> = Event::types().into_iter().collect();
    for (kind, version) in files.keys() {
        let current =
            types.get(kind.as_str()).unwrap_or_else(|| panic!("{kind} is no longer a type, but ledgers hold it"));
        assert!(version <= current, "{kind} v{version} is from the future");
    }
}

#[test]
fn every_golden_file_decodes() {
    for ((kind, version), golden) in golden_files() {
        let event = Event::decode(&kind, version, golden.body.get().as_bytes());
        let event = event.unwrap_or_else(|e| panic!("{kind} v{version} can no longer be read: {e}"));
        assert_eq!(event.type_name(), kind);
    }
}

/// A changed order or spelling of fields would be a new form under an old version number.
#[test]
fn the_current_version_is_written_as_the_golden_file_shows() {
    let current: BTreeMap<_, _> = Event::types().into_iter().collect();
    for ((kind, version), golden) in golden_files() {
        if current[kind.as_str()] == version {
            let event = Event::decode(&kind, version, golden.body.get().as_bytes()).unwrap();
            let now = String::from_utf8(written(&event)).unwrap();
            assert_eq!(
                now,
                compact(golden.body.get()),
                "{kind} is written differently: raise its version and add an upcaster"
            );
        }
    }
}

#[test]
fn every_golden_body_refuses_a_field_nobody_declared() {
    for ((kind, version), golden) in golden_files() {
        let more = golden.body.get().trim_end().trim_end_matches('}').to_owned() + r#","undeclared":1}"#;
        assert!(Event::decode(&kind, version, more.as_bytes()).is_err(), "{kind} takes undeclared fields");
    }
}
