//! Power losses: whatever was acknowledged is there, whole and verified, however little the disk kept of the rest.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rayon::prelude::*;
use wardbook_ledger::{
    Digest, EventId, KeyRing, Ledger, Position,
    store::memory::MemoryDisk,
    verify::{Start, Verification},
};

use crate::helpers::*;

const CHAINS: u64 = 100;
const LOSSES_PER_CHAIN: u64 = 3;
const PRODUCERS: u64 = 3;

type Acknowledged = Arc<Mutex<BTreeMap<EventId, (Position, Digest)>>>;

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    (0..CHAINS).into_par_iter().for_each(|seed| {
        let mut random = Random(seed * 77 + 1);
        let keys = keys();
        let mut disk = MemoryDisk::new();
        let acknowledged: Acknowledged = Arc::default();
        for loss in 0..LOSSES_PER_CHAIN {
            disk = lose_power(&disk, &keys, &acknowledged, &mut random, loss);
            let ledger = open(on_disk(&disk, &keys));
            check(&ledger, &acknowledged.lock().unwrap(), seed, loss);
        }
    });
}

/// Runs producers until a random moment, and returns the disk as the power loss left it.
fn lose_power(
    disk: &MemoryDisk,
    keys: &Arc<wardbook_ledger::signer::LedgerKeys>,
    acknowledged: &Acknowledged,
    random: &mut Random,
    loss: u64,
) -> MemoryDisk {
    let mut config = on_disk(disk, keys);
    config.checkpoint_interval = Duration::from_millis(1 + random.below(6));
    let ledger = open(config);
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let (ledger, acknowledged) = (ledger.clone(), Arc::clone(acknowledged));
            thread::spawn(move || {
                for number in 0.. {
                    let first = (loss * PRODUCERS + producer) * 100_000 + number * 3;
                    let events = 1 + number % 3;
                    let drafts = (first..first + events).map(|n| draft(n, "s")).collect();
                    let Ok(receipts) = ledger.append_blocking(drafts) else {
                        return;
                    };
                    let mut acknowledged = acknowledged.lock().unwrap();
                    for receipt in receipts {
                        acknowledged.insert(receipt.event_id(), (receipt.position(), receipt.digest()));
                    }
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_micros(500 + random.below(9_000)));
    // What is acknowledged before the moment must survive it; what comes later belongs to no history.
    let before = acknowledged.lock().unwrap().clone();
    let kept = random.below(101);
    let after = disk.after_power_loss(&mut || random.below(100) < kept);
    ledger.close();
    for producer in producers {
        producer.join().unwrap();
    }
    *acknowledged.lock().unwrap() = before;
    after
}

fn check(ledger: &Ledger, acknowledged: &BTreeMap<EventId, (Position, Digest)>, seed: u64, loss: u64) {
    for (id, (position, digest)) in acknowledged {
        let found = ledger.find(id).unwrap();
        let found = found.unwrap_or_else(|| panic!("{id} at {position} is gone (seed {seed}, loss {loss})"));
        assert_eq!((found.position(), found.digest()), (*position, *digest));
    }
    verify(ledger, &ledger.keys());
    // The numbers of an append are `first .. first + 1 + (number % 3)`: all or none of them.
    for entry in ledger.scan(Position(0)) {
        let number = u64::from_be_bytes(entry.unwrap().id().as_bytes()[8..].try_into().unwrap());
        let first = number % 100_000 / 3 * 3 + number / 100_000 * 100_000;
        let events = 1 + (first % 100_000 / 3) % 3;
        for member in first..first + events {
            assert!(ledger.find(&id(member)).unwrap().is_some(), "half an append (seed {seed})");
        }
    }
}

pub fn verify(ledger: &Ledger, keys: &KeyRing) {
    let checkpoint = ledger.publish().unwrap();
    let report =
        Verification { keys, start: Start::genesis(), until: None, checkpoints: &[checkpoint], progress: &|_| () }
            .run(ledger.scan(Position(0)).map(|entry| entry.map(|entry| entry.stored().to_vec())));
    assert!(report.is_ok(), "{report:?}");
}
