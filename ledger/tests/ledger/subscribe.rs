//! Subscriptions and the bounded queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use wardbook_ledger::{AppendError, Ledger, Position, SubscriptionError};

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
        let append = |number| {
            let ledger = ledger.clone();
            scope.spawn(move || ledger.append_blocking(vec![draft(number, "s")]))
        };
        let mut appenders: Vec<_> = (0..40).map(append).collect();
        // The sequencer holds at most one queue of four, and four more wait in the queue.
        let deadline = Instant::now() + Duration::from_secs(20);
        while appenders.iter().filter(|one| one.is_finished()).count() < 32 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let refused: Vec<_> = appenders.extract_if(.., |one| one.is_finished()).collect();
        let refused = refused
            .into_iter()
            .map(|one| one.join().unwrap())
            .filter(|outcome| matches!(outcome, Err(AppendError::Busy { retry_after }) if !retry_after.is_zero()));
        let refused = refused.count();
        // Before the test may fail: those who wait would wait for ever.
        drop(held);
        assert!(refused >= 32, "{refused} refused");
    });
    assert!(ledger.head().durable >= 4);
}

#[test]
fn a_sequencer_that_panics_leaves_nobody_waiting() {
    let mut config = wardbook_ledger::LedgerConfig::in_memory(ORIGIN);
    let ticks = Arc::new(AtomicU64::new(0));
    config.clock = Arc::new(move || match ticks.fetch_add(1, Ordering::Relaxed) {
        0 => wardbook_ledger::Micros(1),
        _ => panic!("a clock that stands still"),
    });
    let ledger = open(config);
    ledger.append_blocking(vec![draft(0, "s")]).unwrap();
    for number in 1..4 {
        let outcome = ledger.append_blocking(vec![draft(number, "s")]);
        assert!(matches!(outcome, Err(AppendError::Stopped { .. })), "{outcome:?}");
    }
    assert_eq!(ledger.head().durable, 1);
}
