use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use super::*;
use crate::ids::Digest;

const ORIGIN: &str = "log.example/ward";

#[test]
fn a_key_file_is_made_once_for_its_owner_only_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.key");
    let made = EventSigner::create(&path, "log.example/events").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(EventSigner::create(&path, "log.example/events").is_err());
    let loaded = EventSigner::load(&path).unwrap();
    assert_eq!(loaded.verifier(), made.verifier());
    let digest = Digest::from_bytes([1; 32]);
    assert_eq!(loaded.sign(&digest), made.sign(&digest));
    assert!(made.verifier().verify(digest.as_bytes(), &loaded.sign(&digest).unwrap()));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.key");
    EventSigner::create(&path, "log.example/events").unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(matches!(EventSigner::load(&path), Err(KeyError::File(KeyFileError::Mode { .. }))));
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert!(EventSigner::load(&path).is_ok());
}

#[test]
fn a_key_for_another_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.key");
    EventSigner::create(&path, ORIGIN).unwrap();
    assert!(matches!(CheckpointSigner::load(&path), Err(KeyError::File(KeyFileError::Use { .. }))));
}

#[test]
fn every_changed_byte_and_truncation_of_a_key_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.key");
    EventSigner::create(&path, ORIGIN).unwrap();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert!(EventSigner::load(&path).is_err(), "byte {at}");
        fs::write(&path, &good[..at]).unwrap();
        assert!(EventSigner::load(&path).is_err(), "length {at}");
    }
    fs::write(&path, &good).unwrap();
    assert!(EventSigner::load(&path).is_ok());
}

#[test]
fn no_secret_is_printed() {
    let seed = [0xc7; 32];
    let events = EventSigner::from_seed("log.example/events", &seed).unwrap();
    let checkpoints = CheckpointSigner::from_seed(ORIGIN, &seed).unwrap();
    let shown = format!("{events:?} {checkpoints:?}");
    assert_eq!(
        shown,
        format!(
            "EventSigner(VerifierKey({})) CheckpointSigner(VerifierKey({}))",
            events.verifier(),
            checkpoints.verifier()
        )
    );
    assert!(!shown.contains("c7c7") && !shown.contains("199, 199"));
}

#[test]
fn the_keys_of_a_ledger_are_made_once_and_belong_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::new(&dir.path().join("keys"));
    let made = keys.open_or_create(ORIGIN).unwrap();
    let again = keys.open_or_create(ORIGIN).unwrap();
    assert_eq!(again.ring, made.ring);
    assert_eq!(again.events.key_id(), made.events.key_id());
    assert_eq!(again.checkpoints.origin(), ORIGIN);
    assert!(matches!(keys.open_or_create("other.example"), Err(KeyError::Origin { .. })));
}

#[test]
fn a_rotation_keeps_old_public_keys_and_no_old_secret() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::new(dir.path());
    let before = keys.open_or_create(ORIGIN).unwrap();
    let after = keys.rotate_events().unwrap();
    let last = keys.rotate_checkpoints().unwrap();
    assert_ne!(before.events.key_id(), after.events.key_id());
    assert_eq!(after.checkpoints.key_id(), before.checkpoints.key_id());
    assert_ne!(last.checkpoints.key_id(), before.checkpoints.key_id());
    assert_eq!(last.ring.event_keys().len(), 2);
    assert_eq!(last.ring.checkpoint_keys().len(), 2);
    let old = last.ring.event_key(before.events.key_id()).unwrap();
    assert_eq!(old, before.events.verifier());
    assert_eq!(keys.open().unwrap().ring, last.ring);
    let secrets = || {
        let files = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
        files.filter(|name| name.to_string_lossy().ends_with(".key")).count()
    };
    assert_eq!(secrets(), 4, "the old ones stay until the change is recorded");
    assert_eq!(keys.past_event_signer().unwrap().unwrap().key_id(), before.events.key_id());
    assert!(keys.has_past_checkpoint_secret().unwrap());
    keys.remove_past_secrets().unwrap();
    assert_eq!(secrets(), 2, "one secret for each use");
    assert!(keys.past_event_signer().unwrap().is_none() && !keys.has_past_checkpoint_secret().unwrap());
}

/// A crash between the new secret and the new list leaves a secret that no list names.
#[test]
fn a_rotation_that_was_cut_short_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::new(dir.path());
    let before = keys.open_or_create(ORIGIN).unwrap();
    EventSigner::create(&dir.path().join("events-00000000.key"), "log.example/ward/events").unwrap();
    fs::write(dir.path().join("public-keys.new"), "half a li").unwrap();
    assert_eq!(keys.open().unwrap().events.key_id(), before.events.key_id());
    assert_eq!(keys.rotate_events().unwrap().ring.event_keys().len(), 2);
}

#[test]
fn a_secret_in_the_place_of_another_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyDir::new(dir.path());
    let made = keys.open_or_create(ORIGIN).unwrap();
    let path = dir.path().join(format!("events-{}.key", made.events.key_id()));
    fs::remove_file(&path).unwrap();
    assert!(keys.open().is_err());
    EventSigner::create(&path, "log.example/ward/events").unwrap();
    assert!(keys.open().is_err());
}

#[test]
fn rings_are_read_back_and_strict() {
    let keys = LedgerKeys::generate(ORIGIN).unwrap();
    let text = keys.ring.to_string();
    assert_eq!(KeyRing::parse(&text).unwrap(), keys.ring);
    let lines: Vec<_> = text.lines().collect();
    for wrong in [
        String::new(),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        format!("{text}{}\n", lines[1]),
        format!("{}\n{}\n", lines[0], lines[1]),
        format!("{}\n{}\n", lines[0], lines[2]),
        text.replace("events ", "event "),
        text.replace("v1", "v2"),
    ] {
        assert!(KeyRing::parse(&wrong).is_err(), "{wrong}");
    }
    let other = CheckpointSigner::generate("other.example").unwrap();
    let mut ring = keys.ring.clone();
    assert_eq!(ring.add_checkpoint_key(other.verifier().clone()), Err(KeyRingError::Origin));
    let twice = ring.add_event_key(keys.events.verifier().clone());
    assert_eq!(twice, Err(KeyRingError::Duplicate(keys.events.key_id())));
}

#[test]
fn a_name_that_cannot_stand_in_a_note_is_refused() {
    for name in ["", "a b", "a+b", "a\nb"] {
        assert!(EventSigner::generate(name).is_err(), "{name:?}");
    }
}
