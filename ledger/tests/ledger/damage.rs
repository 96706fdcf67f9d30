//! Damage to the files of a closed ledger: refused, or told when it is read, or harmless; never a wrong answer.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rayon::prelude::*;
use wardbook_ledger::{
    Direction, Entry, Ledger, OpenError, Position, ReadError, signer::LedgerKeys, store::memory::MemoryDisk,
    tile::TilePath,
};

use crate::helpers::*;

const EVENTS: u64 = 4;

/// Everything that can be asked.
#[derive(Debug, PartialEq)]
struct Answers {
    entries: Vec<Vec<u8>>,
    stream: Vec<u64>,
    subject: Vec<u64>,
    proofs: Vec<String>,
    tiles: Vec<Vec<u8>>,
    checkpoint: String,
}

fn ask(ledger: &Ledger) -> Result<Answers, ReadError> {
    let positions = |entries: Vec<Entry>| entries.iter().map(|e| e.position().get()).collect();
    let entries: Result<Vec<Entry>, ReadError> = ledger.scan(Position(0)).collect();
    let tiles = ["tile/0/000.p/4", "tile/entries/000.p/4"];
    Ok(Answers {
        entries: entries?.iter().map(|entry| entry.stored().to_vec()).collect(),
        stream: positions(ledger.stream(&"a".parse().unwrap(), 1, Direction::Forward, 99)?),
        subject: positions(ledger.subject(&subject(9), u64::MAX, Direction::Backward, 99)?),
        proofs: (0..EVENTS).map(|at| ledger.prove_inclusion(Position(at)).unwrap().to_string()).collect(),
        tiles: tiles.iter().map(|path| ledger.tile(&path.parse::<TilePath>().unwrap()).unwrap()).collect(),
        checkpoint: ledger.checkpoint().unwrap().to_string(),
    })
}

fn small_ledger(keys: &Arc<LedgerKeys>) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let ledger = open(on_disk(&disk, keys));
    for number in 0..EVENTS / 2 {
        ledger.append_blocking(vec![draft(number, "a"), draft(100 + number, "b")]).unwrap();
    }
    ledger.close();
    disk
}

fn same_after(files: Vec<(PathBuf, Vec<u8>)>, keys: &Arc<LedgerKeys>, right: &Answers, what: &str) -> bool {
    let disk = MemoryDisk::with_files(files);
    let ledger = match Ledger::open(on_disk(&disk, keys), &()) {
        Ok(ledger) => ledger,
        Err(OpenError::Damaged { position, .. }) => {
            assert!(position.get() < EVENTS, "{what}");
            return false;
        }
        Err(OpenError::HistoryDamaged { .. }) => return false,
        Err(other) => panic!("{what}: {other}"),
    };
    match ask(&ledger) {
        Ok(answers) => assert_eq!(answers, *right, "{what}"),
        Err(ReadError::Damaged { .. }) => return false,
        Err(other) => panic!("{what}: {other}"),
    }
    true
}

#[test]
fn every_flipped_byte_and_every_truncation_is_noticed_or_harmless() {
    no_panic_is_shown(
        "damage::every_flipped_byte_and_every_truncation_is_noticed_or_harmless",
        flip_and_cut_everything,
    );
}

fn flip_and_cut_everything() {
    let keys = keys();
    let disk = small_ledger(&keys);
    let right = ask(&open(on_disk(&disk, &keys))).unwrap();
    let files = disk.files();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(files.len() >= 6 && bytes > 1_500, "{} files, {bytes} bytes", files.len());
    for (number, (path, bytes)) in files.iter().enumerate() {
        (0..bytes.len()).into_par_iter().for_each(|at| {
            let mut flipped = files.clone();
            flipped[number].1[at] ^= 1 << (at % 8);
            let what = format!("byte {at} of {}", path.display());
            let harmless = same_after(flipped, &keys, &right, &what);
            assert!(!harmless || !is_journal(path), "{what} was not noticed");
            // The journal is the truth; what is made from it is cut at fewer places, as each costs a whole opening.
            if !is_journal(path) && at % 5 != 0 {
                return;
            }
            let mut cut = files.clone();
            cut[number].1.truncate(at);
            let what = format!("{} cut to {at} bytes", path.display());
            let harmless = same_after(cut, &keys, &right, &what);
            assert!(!harmless || !is_journal(path), "{what} was not noticed");
        });
        let mut without = files.clone();
        without.remove(number);
        same_after(without, &keys, &right, &format!("without {}", path.display()));
    }
}

fn is_journal(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg")
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let keys = keys();
    let disk = small_ledger(&keys);
    let mut files = disk.files();
    let journal = files.iter_mut().find(|(path, _)| is_journal(path)).unwrap();
    journal.1.extend_from_slice(b"WBF1 and half a frame");
    let ledger = open(on_disk(&MemoryDisk::with_files(files), &keys));
    let cut = ledger.open_report().tail_cut.unwrap();
    assert_eq!((cut.position, cut.bytes), (Position(EVENTS), 21));
    assert_eq!(ledger.head().durable, EVENTS);
    ledger.append_blocking(vec![draft(7, "a")]).unwrap();
}

#[test]
fn an_old_backup_is_refused_and_an_accepted_one_is_recorded() {
    let keys = keys();
    let disk = small_ledger(&keys);
    let old = disk.files();
    let ledger = open(on_disk(&disk, &keys));
    ledger.append_blocking(vec![draft(50, "a")]).unwrap();
    ledger.close();
    drop(ledger);
    let put_back = || {
        let kept = disk.files().into_iter().filter(|(path, _)| path.starts_with("/published"));
        let back = old.iter().filter(|(path, _)| !path.starts_with("/published")).cloned();
        on_disk(&MemoryDisk::with_files(kept.chain(back)), &keys)
    };
    let refused = Ledger::open(put_back(), &());
    assert!(matches!(refused, Err(OpenError::RolledBack { events: EVENTS, published: 5 })));
    let mut accepting = put_back();
    accepting.accept_rollback = true;
    let ledger = open(accepting.clone());
    let recorded = ledger.by_type(&"ledger.rollback_accepted".parse().unwrap(), Position(0), Direction::Forward, 9);
    let recorded = recorded.unwrap().remove(0);
    assert!(String::from_utf8_lossy(recorded.body()).contains("\"published_events\":\"5\""));
    drop(ledger);
    accepting.accept_rollback = false;
    open(accepting);
}

#[test]
fn another_history_of_the_same_length_is_refused() {
    let keys = keys();
    let (one, other) = (small_ledger(&keys), small_ledger(&keys));
    let history = one.files().into_iter().filter(|(path, _)| path.starts_with("/published"));
    let log = other.files().into_iter().filter(|(path, _)| !path.starts_with("/published"));
    let mixed = MemoryDisk::with_files(history.chain(log));
    assert!(matches!(Ledger::open(on_disk(&mixed, &keys), &()), Err(OpenError::Forked { published: EVENTS })));
}

#[test]
fn damage_to_the_history_does_not_hide_an_old_backup() {
    let keys = keys();
    let disk = small_ledger(&keys);
    let old = disk.files();
    let ledger = open(on_disk(&disk, &keys));
    ledger.append_blocking(vec![draft(50, "a")]).unwrap();
    ledger.close();
    drop(ledger);
    let is_history = |path: &Path| path.starts_with("/published");
    let before = old.iter().find(|(path, _)| is_history(path)).unwrap().1.len();
    let history = disk.files().into_iter().find(|(path, _)| is_history(path)).unwrap();
    assert!(history.1.len() > before + 100);
    let put_back = |history: Vec<u8>| {
        let mut files = old.clone();
        files.iter_mut().filter(|(path, _)| is_history(path)).for_each(|(_, bytes)| bytes.clone_from(&history));
        on_disk(&MemoryDisk::with_files(files), &keys)
    };
    (before..history.1.len()).into_par_iter().for_each(|at| {
        let mut flipped = history.1.clone();
        flipped[at] ^= 1 << (at % 8);
        // Cut where the record begins there is nothing to see, as if the newer checkpoint had never been published.
        let cut = history.1[..at.max(before + 1)].to_vec();
        for history in [flipped, cut] {
            let refused = Ledger::open(put_back(history.clone()), &()).err().unwrap();
            let byte = before as u64;
            assert!(matches!(refused, OpenError::HistoryDamaged { byte: at } if at == byte), "{at}: {refused}");
        }
    });
    let mut accepting = put_back(history.1[..before + 9].to_vec());
    accepting.accept_rollback = true;
    let ledger = open(accepting.clone());
    let recorded = ledger.by_type(&"ledger.rollback_accepted".parse().unwrap(), Position(0), Direction::Forward, 9);
    assert!(String::from_utf8_lossy(recorded.unwrap()[0].body()).contains("history_damaged_at"));
    drop(ledger);
    accepting.accept_rollback = false;
    open(accepting);
}
