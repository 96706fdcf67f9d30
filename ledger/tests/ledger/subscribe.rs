//! Subscriptions, the bounded queue and rotation.

use std::{sync::Arc, thread, time::Duration};

use wardbook_ledger::{AppendError, Direction, Ledger, Position, SubscriptionError};

use crate::helpers::*;

const PRODUCERS: u64 = 4;
const APPENDS: u64 = 150;

#[test]
fn a_subscription_gives_every_event_once_and_in_order() {
    for seed in 0..8 {
        let mut random = Random(seed + 3);
        let ledger = Ledger::in_memory(ORIGIN).unwrap();
        let total = PRODUCERS * (0..APPENDS).map(|number| 1 + number % 3).sum::<u64>();
        thread::scope(|scope| {
            for producer in 0..PRODUCERS {
                let ledger = &ledger;
                scope.spawn(move || {
                    for number in 0..APPENDS {
                        let first = producer * 10_000 + number * 3;
                        let drafts = (first..=first + number % 3).map(|n| draft(n, "s")).collect();
                        ledger.append_blocking(drafts).unwrap();
                    }
                });
            }
            for subscriber in 0..3 {
                let from = random.below(total);
                let max = 1 + random.below(40) as usize;
                thread::sleep(Duration::from_millis(random.below(5)));
                let mut subscription = ledger.subscribe(Position(from));
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let mut next = from;
                    while next < total {
                        let batch = match subscriber {
                            0 => subscription.next_batch_blocking(max, Duration::from_secs(1)).unwrap(),
                            _ => runtime.block_on(subscription.next_batch(max)).unwrap(),
                        };
                        assert!(batch.len() <= max);
                        for entry in batch {
                            assert_eq!(entry.position(), Position(next));
                            next += 1;
                        }
                    }
                });
            }
        });
        let mut waiting = ledger.subscribe(Position(total));
        let waiter = thread::spawn(move || waiting.next_batch_blocking(1, Duration::from_secs(30)));
        ledger.close();
        assert!(matches!(waiter.join().unwrap(), Err(SubscriptionError::Stopped)));
    }
}

#[test]
fn a_full_queue_refuses_at_once_and_says_when_to_come_back() {
    let mut config = wardbook_ledger::LedgerConfig::in_memory(ORIGIN);
    config.queue_appends_max = 4;
    let clock_gate = Arc::new(std::sync::Mutex::new(()));
    let gate = Arc::clone(&clock_gate);
    // The sequencer asks for the time once for each append: who holds the clock holds the sequencer.
    config.clock = Arc::new(move || {
        drop(gate.lock().unwrap());
        wardbook_ledger::Micros(1)
    });
    let ledger = open(config);
    let held = clock_gate.lock().unwrap();
    thread::scope(|scope| {
        let mut refused = 0;
        for number in 0..40 {
            let ledger = ledger.clone();
            let appender = scope.spawn(move || ledger.append_blocking(vec![draft(number, "s")]));
            thread::sleep(Duration::from_millis(3));
            if appender.is_finished() {
                let outcome = appender.join().unwrap();
                assert!(matches!(outcome, Err(AppendError::Busy { retry_after }) if !retry_after.is_zero()));
                refused += 1;
            }
        }
        assert!(refused >= 30, "{refused} refused");
        drop(held);
    });
    assert!(ledger.head().durable >= 4);
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
