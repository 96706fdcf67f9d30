//! A ledger's ordinary life: append, read, close, open again, prove.

use wardbook_ledger::{AppendError, Direction, ExpectedVersion, Head, Ledger, LogReader, OpenError, Position};

use crate::helpers::*;

#[test]
fn what_is_appended_is_found_by_every_way_and_again_after_opening() {
    let dir = tempfile::tempdir().unwrap();
    let before = {
        let ledger = open(in_dir(dir.path()));
        for number in 0..40 {
            let receipts = ledger.append_blocking(vec![draft(number, "a"), draft(1000 + number, "b")]).unwrap();
            assert_eq!(receipts[0].position(), Position(number * 2));
            assert_eq!(receipts[1].stream_version(), number + 1);
            assert!(receipts[0].covers(&subject(9)) && !receipts[0].covers(&subject(77)));
        }
        let before = look(&ledger);
        ledger.close();
        assert!(matches!(ledger.append_blocking(vec![draft(1, "a")]), Err(AppendError::Stopped { .. })));
        before
    };
    let ledger = open(in_dir(dir.path()));
    assert_eq!(look(&ledger), before);
    assert_eq!(ledger.head(), Head { durable: 80, integrated: 80, published: 80 });
    assert!(matches!(Ledger::open(in_dir(dir.path()), &()), Err(OpenError::Locked)));

    let keys = ledger.keys();
    for position in 0..80 {
        let proof = ledger.prove_inclusion(Position(position)).unwrap();
        let leaf = proof.verify_own_leaf(&keys).unwrap();
        assert_eq!(leaf, ledger.read(Position(position)).unwrap().unwrap().leaf());
    }
    let reader = LogReader::open(&dir.path().join("ledger")).unwrap();
    assert_eq!(reader.size(), 80);
    assert_eq!(reader.scan(Position(0)).filter(Result::is_ok).count(), 80);
}

fn look(ledger: &Ledger) -> Vec<Vec<u64>> {
    let positions = |entries: Vec<wardbook_ledger::Entry>| -> Vec<u64> {
        entries.iter().map(|entry| entry.position().get()).collect()
    };
    let a = "a".parse().unwrap();
    let read = "notes.read".parse().unwrap();
    vec![
        positions(ledger.stream(&a, 1, Direction::Forward, 100).unwrap()),
        positions(ledger.stream(&a, u64::MAX, Direction::Backward, 3).unwrap()),
        positions(ledger.stream(&a, 10, Direction::Forward, 5).unwrap()),
        positions(ledger.subject(&subject(9), 1, Direction::Forward, 1000).unwrap()),
        positions(ledger.subject(&subject(3), 2, Direction::Forward, 4).unwrap()),
        positions(ledger.by_type(&read, Position(7), Direction::Forward, 9).unwrap()),
        positions(ledger.by_type(&read, Position(70), Direction::Backward, 9).unwrap()),
        vec![
            ledger.find(&id(1007)).unwrap().unwrap().position().get(),
            ledger.stream_version(&a).unwrap(),
            ledger.subject_head(&subject(9)).unwrap().unwrap().0,
            u64::from(ledger.find(&id(99)).unwrap().is_none()),
        ],
    ]
}

#[test]
fn expected_versions_and_repeated_ids() {
    let ledger = Ledger::in_memory(ORIGIN).unwrap();
    let first = expecting(draft(1, "s"), ExpectedVersion::NoStream);
    let receipt = ledger.append_blocking(vec![first.clone()]).unwrap().remove(0);
    assert!(!receipt.is_replay());
    let again = ledger.append_blocking(vec![first.clone()]).unwrap().remove(0);
    assert!(again.is_replay());
    assert_eq!((again.position(), again.digest()), (receipt.position(), receipt.digest()));

    let mut other = first.clone();
    other.payload.body = b"other".to_vec();
    assert!(matches!(ledger.append_blocking(vec![other]), Err(AppendError::IdConflict { .. })));
    let partly = vec![first.clone(), draft(2, "s")];
    assert!(matches!(ledger.append_blocking(partly), Err(AppendError::IdConflict { .. })));
    let wrong = expecting(draft(3, "s"), ExpectedVersion::Exact(2));
    assert!(matches!(ledger.append_blocking(vec![wrong]), Err(AppendError::WrongExpectedVersion { actual: 1, .. })));
    let right = expecting(draft(3, "s"), ExpectedVersion::Exact(1));
    assert_eq!(ledger.append_blocking(vec![right]).unwrap()[0].stream_version(), 2);
}
