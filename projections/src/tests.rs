//! What holds for all views: batches do not show, positions and rows move together, damage is told, rebuilds agree.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wardbook_events::records::RecordKind;
use wardbook_events::{Role, TokenKind};

use crate::testing::{Log, config, patient, token, user, views};
use crate::{RebuildError, Root, Stretch, ViewError, ViewName, Views};

fn roots(views: &Views) -> Vec<(u64, u64, Root)> {
    let standings = views.standings().into_iter().map(|(_, standing)| standing.unwrap());
    standings.map(|standing| (standing.position, standing.rows, standing.root)).collect()
}

fn some_log() -> Log {
    let mut log = Log::default();
    for number in 0..40 {
        log.register(number, vec![token(TokenKind::FamilyName, number % 5), token(TokenKind::Ssn, number)]);
        log.write(number, number, RecordKind::Note, Some(2020));
        log.assign(number, number, None);
        log.user(number, vec![Role::Physician]);
        log.open_chart(&[number]);
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn batches_do_not_show(steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..120), cuts in prop::collection::vec(1_usize..40, 1..20)) {
        let log = Log::steered(&steps);
        let (_dir, whole) = views(&log);
        let dir = tempfile::tempdir().unwrap();
        let parts = Views::open(&config(dir.path())).unwrap();
        let (mut rest, mut cuts) = (&log.events[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            parts.apply(Stretch::of(part)).unwrap();
            rest = later;
        }
        prop_assert_eq!(roots(&whole), roots(&parts));
    }
}

#[test]
fn what_was_seen_is_not_taken_in_again_and_gaps_are_refused() {
    let log = some_log();
    let (_dir, views) = views(&log);
    let before = roots(&views);
    views.apply(log.all()).unwrap();
    assert_eq!(roots(&views), before);
    let end = log.events.len() as u64;
    assert!(matches!(views.apply(Stretch::new(end + 1, &[], end + 2)), Err(ViewError::Gap { .. })));
    assert_eq!(roots(&views), before);
}

#[test]
fn a_clean_restart_and_one_without_seal_give_the_same() {
    let log = some_log();
    let (dir, views) = views(&log);
    let before = roots(&views);
    drop(views);
    let views = Views::open(&config(dir.path())).unwrap();
    assert_eq!(roots(&views), before);
    drop(views);
    for name in ViewName::ALL {
        fs::remove_file(dir.path().join(name.name()).join("00000001/SEAL")).unwrap();
    }
    let views = Views::open(&config(dir.path())).unwrap();
    assert_eq!(roots(&views), before);
}

/// Copies what a killed process would leave behind, as far as sled has handed it to the system.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &target) } else { _ = fs::copy(entry.path(), target).unwrap() }
    }
}

#[test]
fn a_crash_between_commits_loses_and_doubles_nothing() {
    let log = some_log();
    let (_whole_dir, whole) = views(&log);
    let dir = tempfile::tempdir().unwrap();
    let live = Views::open(&config(dir.path())).unwrap();
    for (round, part) in log.events.chunks(23).enumerate() {
        live.apply(Stretch::of(part)).unwrap();
        if round % 2 == 0 {
            live.flush().unwrap();
        }
        // Now the process is killed; another one opens what is there and goes on from each view's own position.
        let crashed = tempfile::tempdir().unwrap();
        copy(dir.path(), crashed.path());
        let again = Views::open(&config(crashed.path())).unwrap();
        assert_eq!(again.ailing(), []);
        again.apply(log.all()).unwrap();
        assert_eq!(roots(&again), roots(&whole));
    }
}

fn database_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(database_files(&path));
        } else if !["SEAL", "CURRENT"].contains(&path.file_name().unwrap().to_str().unwrap()) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Damages a copy, opens it, and checks that every view either says so or has every row.
fn survives(pristine: &Path, wanted: &[(u64, u64, Root)], log: &Log, damage: impl FnOnce(&Path)) -> bool {
    let dir = tempfile::tempdir().unwrap();
    copy(pristine, dir.path());
    damage(dir.path());
    let views = Views::open(&config(dir.path())).unwrap();
    let told = !views.ailing().is_empty();
    views.apply(log.all()).unwrap();
    for ((_, standing), wanted) in views.standings().into_iter().zip(wanted) {
        match standing {
            Ok(standing) => assert_eq!((standing.position, standing.rows, standing.root), *wanted),
            Err(error) => assert!(error.wants_rebuild(), "{error}"),
        }
    }
    told
}

#[test]
fn damaged_files_are_told_of() {
    let log = some_log();
    let (dir, views) = views(&log);
    let wanted = roots(&views);
    drop(views);
    let mut told = 0;
    for file in database_files(&dir.path().join("patients")) {
        let name = file.strip_prefix(dir.path()).unwrap().to_owned();
        let length = fs::metadata(&file).unwrap().len() as usize;
        for part in 0..12 {
            told += usize::from(survives(dir.path(), &wanted, &log, |dir| {
                let mut bytes = fs::read(dir.join(&name)).unwrap();
                let place = length.saturating_sub(1) * part / 12;
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 0x40;
                }
                fs::write(dir.join(&name), bytes).unwrap();
            }));
            told += usize::from(survives(dir.path(), &wanted, &log, |dir| {
                let file = fs::OpenOptions::new().write(true).open(dir.join(&name)).unwrap();
                file.set_len((length * part / 12) as u64).unwrap();
            }));
        }
        survives(dir.path(), &wanted, &log, |dir| fs::remove_file(dir.join(&name)).unwrap());
    }
    assert!(told > 3, "only {told}: the damage did not reach anything");
}

#[test]
fn a_rebuild_equals_the_live_view_and_takes_its_place() {
    let log = some_log();
    let (dir, views) = views(&log);
    let before = roots(&views);
    for name in ViewName::ALL {
        let rebuild = views.begin_rebuild(*name, false).unwrap();
        assert_eq!(rebuild.position(), 0);
        let (first, rest) = log.events.split_at(50);
        rebuild.apply(Stretch::of(first)).unwrap();
        // Interrupted, and resumed where it was.
        drop(rebuild);
        let rebuild = views.begin_rebuild(*name, false).unwrap();
        assert_eq!(rebuild.position(), 50);
        rebuild.apply(Stretch::of(&rest[..20])).unwrap();
        let fetch = |from: u64, to: u64| Ok(log.events[from as usize..to as usize].to_vec());
        let swapped = views.finish_rebuild(rebuild, fetch).unwrap();
        assert!(swapped.compared);
    }
    assert_eq!(roots(&views), before);
    for name in ViewName::ALL {
        let generations = crate::projection::numbers(&dir.path().join(name.name())).unwrap();
        assert_eq!(generations, [2], "the old generation is deleted");
    }
    drop(views);
    assert_eq!(roots(&Views::open(&config(dir.path())).unwrap()), before);
}

#[test]
fn a_rebuild_with_another_root_is_refused() {
    let log = some_log();
    let (dir, views) = views(&log);
    let mut other = some_log();
    other.events[0].stream_version = 9;
    let rebuild = views.begin_rebuild(ViewName::Patients, false).unwrap();
    rebuild.apply(other.all()).unwrap();
    let result = views.finish_rebuild(rebuild, |_, _| Ok(Vec::new()));
    assert!(matches!(result, Err(RebuildError::RootMismatch { view: "patients", .. })), "{result:?}");
    assert_eq!(views.patients.get(patient(0)).unwrap().unwrap().version, 1);
    assert_eq!(crate::projection::numbers(&dir.path().join("patients")).unwrap(), [1]);
}

#[test]
fn a_rebuild_beyond_the_live_view_waits() {
    let log = some_log();
    let dir = tempfile::tempdir().unwrap();
    let views = Views::open(&config(dir.path())).unwrap();
    let rebuild = views.begin_rebuild(ViewName::Audit, false).unwrap();
    rebuild.apply(log.all()).unwrap();
    assert!(matches!(views.finish_rebuild(rebuild, |_, _| Ok(Vec::new())), Err(RebuildError::Ahead { .. })));
    views.apply(log.all()).unwrap();
    let rebuild = views.begin_rebuild(ViewName::Audit, false).unwrap();
    assert!(views.finish_rebuild(rebuild, |_, _| Ok(Vec::new())).unwrap().compared);
}

#[test]
fn a_damaged_view_is_replaced_by_its_rebuild_while_the_others_go_on() {
    let log = some_log();
    let (dir, views) = views(&log);
    let before = roots(&views);
    drop(views);
    for file in database_files(&dir.path().join("identity")) {
        fs::write(file, b"not a database").unwrap();
    }
    let views = Views::open(&config(dir.path())).unwrap();
    let ailing: Vec<_> = views.ailing().into_iter().map(|ailing| ailing.view).collect();
    assert_eq!(ailing, [ViewName::Identity]);
    assert!(matches!(views.principal(user(1)), Err(ViewError::Damaged { view: "identity", .. })));
    assert!(views.patient_facts(patient(1)).unwrap().is_some());
    let rebuild = views.begin_rebuild(ViewName::Identity, false).unwrap();
    rebuild.apply(log.all()).unwrap();
    assert!(!views.finish_rebuild(rebuild, |_, _| Ok(Vec::new())).unwrap().compared);
    assert_eq!(roots(&views), before);
    assert!(views.principal(user(1)).unwrap().is_some());
}

#[test]
fn waiting_ends_when_the_position_is_reached_or_the_time_is_over() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let log = some_log();
    let dir = tempfile::tempdir().unwrap();
    let views = Views::open(&config(dir.path())).unwrap();
    let last = log.events.len() as u64 - 1;
    let short = std::time::Duration::from_millis(20);
    let late = runtime.block_on(views.wait_for(0, short));
    assert!(matches!(late, Err(ViewError::Late { position: 0, .. })));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime.block_on(views.wait_for(last, std::time::Duration::from_secs(20))));
        views.apply(log.all()).unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert!(runtime.block_on(views.patients.wait_for(last + 1, short)).is_err());
}

#[test]
fn a_lull_ends_when_somebody_waits() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let log = some_log();
    let (_dir, views) = views(&log);
    let last = log.events.len() as u64 - 1;
    let long = std::time::Duration::from_secs(60);
    std::thread::scope(|scope| {
        let lull = scope.spawn(|| views.lull(long));
        let waiting = scope.spawn(|| runtime.block_on(views.wait_for(last + 1, long)));
        assert!(lull.join().unwrap());
        views.apply(Stretch::new(last + 1, &[], last + 2)).unwrap();
        waiting.join().unwrap().unwrap();
    });
    // Nobody waits for what is there already.
    runtime.block_on(views.wait_for(last, long)).unwrap();
    assert!(!views.lull(std::time::Duration::from_millis(30)));
}
