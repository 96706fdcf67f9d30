//! New signing keys, rotations that are interrupted, and damaged key files.

use std::{fs, path::Path, sync::Arc};

use wardbook_ledger::{
    Direction, Entry, Ledger, LedgerConfig, Position,
    signer::KeyDir,
    store::memory::{Fault, MemoryDisk},
};

use crate::helpers::*;

fn announced(ledger: &Ledger) -> Vec<Entry> {
    ledger.by_type(&"ledger.key_rotated".parse().unwrap(), Position(0), Direction::Forward, 9).unwrap()
}

fn secrets(keys: &Path) -> usize {
    let names = fs::read_dir(keys).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".key")).count()
}

#[test]
fn keys_are_rotated_and_old_events_stay_verifiable() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(in_dir(dir.path()));
    ledger.append_blocking(vec![draft(1, "s")]).unwrap();
    let old = ledger.keys().event_keys()[0].id();
    let new = ledger.rotate_event_key().unwrap();
    ledger.append_blocking(vec![draft(2, "s")]).unwrap();
    ledger.rotate_checkpoint_key().unwrap();
    ledger.append_blocking(vec![draft(3, "s")]).unwrap();
    let by = |position| ledger.read(Position(position)).unwrap().unwrap().key_id();
    assert_eq!((by(0), by(1), by(2)), (old, old, new.id()));
    let announced = ledger.by_type(&"ledger.key_rotated".parse().unwrap(), Position(0), Direction::Forward, 9).unwrap();
    assert!(String::from_utf8_lossy(announced[0].body()).contains(&new.to_string()));
    crate::power::verify(&ledger, &ledger.keys());
    drop(ledger);
    let ledger = open(in_dir(dir.path()));
    crate::power::verify(&ledger, &ledger.keys());
    assert_eq!(ledger.subject_bundle(&subject(9)).unwrap().verify(&ledger.keys()).unwrap().events.len(), 3);
}

#[test]
fn a_rotation_that_was_interrupted_is_recorded_when_the_ledger_opens() {
    let dir = tempfile::tempdir().unwrap();
    open(in_dir(dir.path())).append_blocking(vec![draft(1, "s")]).unwrap();
    // The key files change, and the process dies before it can say so in the log.
    let keys = wardbook_ledger::signer::KeyDir::new(&dir.path().join("keys"));
    let new = keys.rotate_events().unwrap().events.verifier().clone();
    let rotated = "ledger.key_rotated".parse().unwrap();
    for _ in 0..2 {
        let ledger = open(in_dir(dir.path()));
        let announced = ledger.by_type(&rotated, Position(0), Direction::Forward, 9).unwrap();
        assert_eq!(announced.len(), 1, "once, however often it is opened");
        assert!(String::from_utf8_lossy(announced[0].body()).contains(&new.to_string()));
        crate::power::verify(&ledger, &ledger.keys());
    }
}

#[test]
fn whenever_a_rotation_is_interrupted_the_old_key_announces_the_new_one() {
    let mut interrupted = 0;
    for at in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let disk = MemoryDisk::new();
        let config = LedgerConfig { keys: in_dir(dir.path()).keys, ..on_disk(&disk, &crate::helpers::keys()) };
        let ledger = open(config.clone());
        ledger.append_blocking(vec![draft(1, "s")]).unwrap();
        let old = ledger.keys().event_keys()[0].id();
        // Wakes nothing: the next change of the disk is that of the announcement, or of a checkpoint in between.
        disk.break_at(disk.changes() + at, Fault::InputOutput);
        let rotated = ledger.rotate_event_key().is_ok();
        interrupted += u32::from(!rotated);
        drop(ledger);
        // Half of what was not flushed is gone.
        let mut random = Random(at);
        let disk = disk.after_power_loss(&mut || random.below(2) == 0);
        let healthy = LedgerConfig { disk: Arc::new(disk), ..config };
        let ledger = open(healthy.clone());
        ledger.append_blocking(vec![draft(2, "s")]).unwrap();
        let new = ledger.keys().event_keys()[1].clone();
        let rotations = announced(&ledger);
        assert_eq!(rotations.len(), 1, "change {at}");
        assert_eq!(rotations[0].key_id(), old, "change {at}: the old key announces the new one");
        assert!(String::from_utf8_lossy(rotations[0].body()).contains(&new.to_string()));
        assert_eq!(ledger.find(&id(2)).unwrap().unwrap().key_id(), new.id());
        assert_eq!(secrets(&keys), 2, "the old secret is gone");
        crate::power::verify(&ledger, &ledger.keys());
        drop(ledger);
        assert_eq!(announced(&open(healthy)).len(), 1);
        if rotated && at > 8 {
            break;
        }
    }
    assert!(interrupted > 1, "{interrupted} interrupted");
}

#[test]
fn a_checkpoint_key_whose_rotation_was_interrupted_is_announced_too() {
    let dir = tempfile::tempdir().unwrap();
    open(in_dir(dir.path())).append_blocking(vec![draft(1, "s")]).unwrap();
    let keys = dir.path().join("keys");
    let new = KeyDir::new(&keys).rotate_checkpoints().unwrap().checkpoints.verifier().clone();
    for _ in 0..2 {
        let ledger = open(in_dir(dir.path()));
        assert_eq!(announced(&ledger).len(), 1);
        assert!(String::from_utf8_lossy(announced(&ledger)[0].body()).contains(&new.to_string()));
        assert_eq!(secrets(&keys), 2);
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_of_the_key_files_is_noticed_or_harmless() {
    no_panic_is_shown(
        "rotation::every_flipped_byte_and_every_truncation_of_the_key_files_is_noticed_or_harmless",
        || {
            let dir = tempfile::tempdir().unwrap();
            let keys = KeyDir::new(dir.path());
            keys.open_or_create(ORIGIN).unwrap();
            keys.rotate_events().unwrap();
            keys.remove_past_secrets().unwrap();
            let right = keys.open().unwrap().ring.to_string();
            let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert_eq!(files.len(), 3);
            for path in files {
                let bytes = fs::read(&path).unwrap();
                for at in 0..bytes.len() {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 1 << (at % 8);
                    fs::write(&path, flipped).unwrap();
                    same_keys(&keys, &right, &format!("byte {at} of {}", path.display()));
                    fs::write(&path, &bytes[..at]).unwrap();
                    same_keys(&keys, &right, &format!("{} cut to {at} bytes", path.display()));
                }
                fs::write(&path, &bytes).unwrap();
            }
            keys.open_or_create(ORIGIN).unwrap();
        },
    );
}

/// Refused, or the same keys.
fn same_keys(keys: &KeyDir, right: &str, what: &str) {
    if let Ok(opened) = keys.open_or_create(ORIGIN) {
        assert_eq!(opened.ring.to_string(), right, "{what}");
    }
}
