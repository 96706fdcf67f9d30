use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::{
    ids::{KeyId, Micros},
    signer::{EventSigner, LedgerKeys},
    testlog::{TestLog, subject},
};

fn run(log: &TestLog, stored: Vec<Vec<u8>>, checkpoints: &[SignedCheckpoint]) -> Report {
    run_range(log, stored, checkpoints, Start::genesis(), None)
}

fn run_range(
    log: &TestLog,
    stored: Vec<Vec<u8>>,
    checkpoints: &[SignedCheckpoint],
    start: Start,
    until: Option<Position>,
) -> Report {
    let verification = Verification { keys: &log.keys.ring, start, until, checkpoints, progress: &|_| () };
    verification.run(stored.into_iter().map(Ok::<_, String>))
}

#[track_caller]
fn assert_first(report: &Report, position: u64, fault: Fault) {
    let first = report.first_error().expect("a finding");
    assert_eq!((first.position, first.fault), (Position(position), fault), "{first}");
}

#[test]
fn a_log_that_follows_the_rules_is_verified() {
    for size in [0, 1, 255, 256, 257, 1000] {
        let log = TestLog::of(size);
        let seen = AtomicU64::new(0);
        let verification = Verification {
            keys: &log.keys.ring,
            start: Start::genesis(),
            until: None,
            checkpoints: &[log.checkpoint()],
            progress: &|count| seen.store(count, Ordering::Relaxed),
        };
        let report = verification.run(log.stored().into_iter().map(Ok::<_, String>));
        assert_eq!(report.errors, [], "size {size}");
        assert_eq!(report.warnings, Vec::<String>::new());
        assert_eq!((report.count, report.verified), (size as u64, size as u64));
        assert_eq!((report.checkpoints, report.committed), (1, size as u64));
        assert_eq!(seen.into_inner(), size as u64);
    }
}

#[test]
fn every_checkpoint_on_the_way_is_compared() {
    let mut log = TestLog::of(300);
    let first = log.checkpoint();
    (0..100).for_each(|_| log.append("stream-1", &[]));
    let second = log.checkpoint();
    (0..7).for_each(|_| log.append("stream-1", &[]));
    let report = run(&log, log.stored(), &[second.clone(), first.clone(), second]);
    assert!(report.is_ok());
    assert_eq!((report.checkpoints, report.committed), (3, 400));
    assert!(report.warnings[0].contains("last 7 entries"), "{:?}", report.warnings);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_byte_is_found_where_it_is(
        size in 1usize..40, at: prop::sample::Index, byte: prop::sample::Index, bit in 0u8..8,
    ) {
        let log = TestLog::of(size);
        let mut stored = log.stored();
        let at = at.index(size);
        let byte = byte.index(stored[at].len());
        stored[at][byte] ^= 1 << bit;
        let report = run(&log, stored, &[log.checkpoint()]);
        let first = report.first_error().expect("a finding");
        prop_assert_eq!(first.position, Position(at as u64), "{}", first);
    }

    #[test]
    fn a_lost_doubled_or_moved_entry_is_found_where_it_is(size in 3usize..40, at: prop::sample::Index) {
        let log = TestLog::of(size);
        let at = at.index(size - 1);
        let mut lost = log.stored();
        lost.remove(at);
        assert_first(&run(&log, lost, &[]), at as u64, Fault::Position);
        let mut doubled = log.stored();
        doubled.insert(at, doubled[at].clone());
        assert_first(&run(&log, doubled, &[]), at as u64 + 1, Fault::Position);
        let mut moved = log.stored();
        moved.swap(at, at + 1);
        assert_first(&run(&log, moved, &[]), at as u64, Fault::Position);
    }
}

/// One rule is broken by someone who holds the signing key, so that nothing but that rule can tell.
#[track_caller]
fn assert_found(fault: Fault, change: impl FnOnce(&mut crate::entry::Assigned)) {
    let mut log = TestLog::of(20);
    log.append_with("stream-1", &[subject(1)], change);
    (0..5).for_each(|_| log.append("stream-2", &[subject(2)]));
    let report = run(&log, log.stored(), &[log.checkpoint()]);
    assert_first(&report, 20, fault);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!((report.count, report.verified), (26, 25));
}

#[test]
fn each_rule_is_checked_for_itself() {
    assert_found(Fault::Position, |assigned| assigned.position = Position(21));
    assert_found(Fault::Previous, |assigned| {
        assigned.previous = Digest::from_bytes([1; 32]);
    });
    assert_found(Fault::StreamVersion, |assigned| assigned.stream_version += 1);
    assert_found(Fault::StreamVersion, |assigned| assigned.stream_version = 1);
    assert_found(Fault::SubjectLink, |assigned| assigned.links[0].count += 1);
    assert_found(Fault::SubjectLink, |assigned| {
        assigned.links[0].previous = Digest::from_bytes([1; 32]);
    });
    assert_found(Fault::SubjectLink, |assigned| {
        assigned.links[0] = crate::entry::SubjectLink::first(subject(1));
    });
    assert_found(Fault::UnknownKey, |assigned| assigned.key_id = KeyId(7));
}

#[test]
fn time_never_goes_back() {
    let mut log = TestLog::of(20);
    log.append_with("stream-1", &[], |assigned| assigned.recorded_at = Micros(5));
    log.append("stream-1", &[]);
    let report = run(&log, log.stored(), &[]);
    assert_first(&report, 20, Fault::Time);
    assert_eq!(report.errors.len(), 1);
}

#[test]
fn a_new_stream_or_subject_begins_with_one() {
    let mut log = TestLog::of(20);
    log.append_with("a-new-stream", &[], |assigned| assigned.stream_version = 2);
    assert_first(&run(&log, log.stored(), &[]), 20, Fault::StreamVersion);
    let mut log = TestLog::of(20);
    log.append_with("stream-1", &[subject(77)], |assigned| {
        assigned.links[0].count = 2;
        assigned.links[0].previous = Digest::from_bytes([1; 32]);
    });
    assert_first(&run(&log, log.stored(), &[]), 20, Fault::SubjectLink);
}

#[test]
fn a_signature_of_another_key_is_found_among_good_ones() {
    let mut log = TestLog::of(300);
    let thief = EventSigner::generate("log.example/ward/events").unwrap();
    let entry = log.entries.last().unwrap().clone();
    let signature = thief.sign(&entry.digest()).unwrap();
    let forged = crate::Entry::try_from((entry.bytes(), &signature)).unwrap();
    *log.entries.last_mut().unwrap() = forged;
    let report = run(&log, log.stored(), &[]);
    assert_first(&report, 299, Fault::Signature);
    assert_eq!((report.errors.len(), report.verified), (1, 299));
}

#[test]
fn a_history_written_anew_with_the_logs_own_key_breaks_on_the_checkpoint() {
    let log = TestLog::of(50);
    let checkpoint = log.checkpoint();
    let mut forged = TestLog::with_keys(log.keys);
    (0..50).for_each(|_| forged.append("stream-1", &[]));
    let report = run(&forged, forged.stored(), &[checkpoint]);
    assert_first(&report, 50, Fault::Root);
    assert_eq!(report.verified, 50);
}

#[test]
fn a_log_that_ends_before_its_checkpoint_is_refused() {
    let log = TestLog::of(50);
    let mut stored = log.stored();
    stored.truncate(40);
    assert_first(&run(&log, stored, &[log.checkpoint()]), 40, Fault::Missing);
    assert_first(&run(&log, vec![], &[log.checkpoint()]), 0, Fault::Missing);
}

#[test]
fn a_checkpoint_of_a_stranger_is_refused() {
    let log = TestLog::of(5);
    let stranger = TestLog::of(5);
    let report = run(&log, log.stored(), &[stranger.checkpoint()]);
    assert_first(&report, 5, Fault::Checkpoint);
}

#[test]
fn old_keys_verify_old_events_and_sign_no_new_ones() {
    let mut log = TestLog::of(10);
    let name = log.keys.events.verifier().name().to_owned();
    let newer = EventSigner::generate(&name).unwrap();
    log.keys.ring.add_event_key(newer.verifier().clone()).unwrap();
    let older = std::mem::replace(&mut log.keys.events, newer);
    (0..10).for_each(|_| log.append("stream-1", &[]));
    assert!(run(&log, log.stored(), &[log.checkpoint()]).is_ok());
    log.keys.events = older;
    log.append("stream-1", &[]);
    assert_first(&run(&log, log.stored(), &[]), 20, Fault::RetiredKey);
}

#[test]
fn ranges_are_verified_with_what_is_known() {
    let log = TestLog::of(100);
    let checkpoint = [log.checkpoint()];
    let part = |from: usize, to: usize| log.stored()[from..to].to_vec();
    let previous = Some(log.entries[29].digest());

    let bare = Start::at(Position(30), None);
    let report = run_range(&log, part(30, 60), &checkpoint, bare.clone(), Some(Position(60)));
    assert!(report.is_ok(), "{:?}", report.errors);
    assert_eq!((report.count, report.checkpoints), (30, 0));

    let frontier = Frontier::from_source(&log.tree, 30).unwrap();
    let known = Start::after(frontier, previous);
    let report = run_range(&log, part(30, 100), &checkpoint, known, None);
    assert!(report.is_ok(), "{:?}", report.errors);
    assert_eq!((report.count, report.checkpoints), (70, 1));

    let wrong = Start::at(Position(30), Some(Digest::from_bytes([1; 32])));
    let report = run_range(&log, part(30, 60), &[], wrong, Some(Position(60)));
    assert_first(&report, 30, Fault::Previous);
    let report = run_range(&log, part(31, 60), &[], bare.clone(), Some(Position(60)));
    assert_first(&report, 30, Fault::Position);
    let report = run_range(&log, part(30, 50), &[], bare, Some(Position(60)));
    assert_first(&report, 50, Fault::Missing);
}

#[test]
fn what_cannot_be_read_ends_the_verification_and_says_where() {
    let log = TestLog::of(600);
    let entries = log.stored().into_iter().enumerate().map(|(at, entry)| match at {
        500 => Err("the disk says no"),
        _ => Ok(entry),
    });
    let verification = Verification {
        keys: &log.keys.ring,
        start: Start::genesis(),
        until: None,
        checkpoints: &[],
        progress: &|_| (),
    };
    let report = verification.run(entries);
    assert_first(&report, 500, Fault::Unreadable);
    assert_eq!(report.verified, 500);
    assert!(report.first_error().unwrap().to_string().contains("the disk says no"));
}

#[test]
fn findings_are_bounded() {
    let log = TestLog::of(1000);
    let mut strangers = TestLog::of(0);
    strangers.keys = LedgerKeys::generate("log.example/ward").unwrap();
    let report = run(&strangers, log.stored(), &[]);
    assert_eq!(report.errors.len(), FINDINGS_MAX);
    assert_first(&report, 0, Fault::UnknownKey);
}
