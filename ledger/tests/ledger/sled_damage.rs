//! Damage to the index: it is made anew and never gives a wrong answer.

use std::{fs, path::Path};

use wardbook_ledger::{Direction, Entry, Ledger, Position, ReadError};

use crate::helpers::*;

/// More than one block, so that sled holds runs.
const EVENTS: u64 = 9_000;

fn fill(dir: &Path) {
    let ledger = open(in_dir(dir));
    for first in (0..EVENTS).step_by(250) {
        let drafts = (first..first + 250).map(|n| draft(n, if n % 7 == 0 { "seven" } else { "s" }));
        ledger.append_blocking(drafts.collect()).unwrap();
    }
    ledger.close();
}

/// Asks until the index can answer.
fn patiently<T>(ask: impl Fn() -> Result<T, ReadError>) -> T {
    for _ in 0..600 {
        match ask() {
            Err(ReadError::IndexUnavailable) => std::thread::sleep(std::time::Duration::from_millis(50)),
            answer => return answer.unwrap(),
        }
    }
    panic!("the index was not rebuilt in time")
}

fn check(ledger: &Ledger) {
    let seven = "seven".parse().unwrap();
    let positions: Vec<u64> = patiently(|| ledger.stream(&seven, 1, Direction::Forward, 2_000))
        .iter()
        .map(|entry: &Entry| entry.position().get())
        .collect();
    assert!(positions.iter().copied().eq((0..EVENTS).filter(|n| n % 7 == 0)));
    for number in [0, 17, 4_095, 4_096, 8_191, 8_999] {
        let found = patiently(|| ledger.find(&id(number))).expect("it is there");
        assert_eq!(found.position(), Position(number));
    }
    assert!(patiently(|| ledger.find(&id(1_000_000))).is_none());
    let newest = patiently(|| ledger.subject(&subject(9), u64::MAX, Direction::Backward, 2));
    assert_eq!(newest[0].link(&subject(9)).unwrap().count, EVENTS);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_deleted_or_damaged_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let index = dir.path().join("ledger/index");
    let right = dir.path().join("right");
    copy(&index, &right);
    {
        let ledger = open(in_dir(dir.path()));
        assert_eq!(ledger.open_report().index_rebuilt, None);
        check(&ledger);
    }
    fs::remove_dir_all(&index).unwrap();
    {
        let ledger = open(in_dir(dir.path()));
        assert!(ledger.open_report().index_rebuilt.is_some());
        check(&ledger);
    }
    let files: Vec<_> = fs::read_dir(&right).unwrap().map(|entry| entry.unwrap()).collect();
    let files: Vec<_> = files.iter().filter(|file| file.file_type().unwrap().is_file()).collect();
    let mut random = Random(5);
    for round in 0..40 {
        fs::remove_dir_all(&index).unwrap();
        copy(&right, &index);
        let file = files[round % files.len()];
        let path = index.join(file.file_name());
        let mut bytes = fs::read(&path).unwrap();
        let at = random.below(bytes.len().max(1) as u64) as usize;
        match round % 4 {
            0 => bytes.truncate(at),
            1 => bytes.iter_mut().skip(at).take(4096).for_each(|byte| *byte = 0),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10),
        }
        fs::write(&path, bytes).unwrap();
        check(&open(in_dir(dir.path())));
    }
}

#[test]
fn questions_asked_while_runs_are_merged_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(in_dir(dir.path()));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // Twenty blocks: two merges.
            for first in (0..20 * 4096).step_by(256) {
                let drafts = (first..first + 256).map(|n| draft(n, "s")).collect();
                ledger.append_blocking(drafts).unwrap();
            }
        });
        let mut random = Random(1);
        while !writer.is_finished() {
            let durable = ledger.head().durable;
            let number = random.below(durable.max(1));
            let found = ledger.find(&id(number)).unwrap();
            assert_eq!(found.is_some(), number < durable);
            assert!(ledger.find(&id(1 << 40)).unwrap().is_none());
        }
    });
    assert_eq!(ledger.stream_version(&"s".parse().unwrap()).unwrap(), 20 * 4096);
}
