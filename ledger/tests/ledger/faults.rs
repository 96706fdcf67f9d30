//! A disk that breaks at any one operation: the ledger stops, tells everybody, and opens again with all it acknowledged.

use std::{sync::Arc, time::Duration};

use rayon::prelude::*;
use wardbook_ledger::{
    AppendError, Ledger, Receipt,
    signer::LedgerKeys,
    store::memory::{Fault, MemoryDisk},
};

use crate::helpers::*;

/// Opens, appends, publishes, closes; what was acknowledged.
fn short_life(disk: &MemoryDisk, keys: &Arc<LedgerKeys>) -> Vec<Receipt> {
    let mut config = on_disk(disk, keys);
    config.checkpoint_interval = Duration::from_secs(3600);
    let mut acknowledged = Vec::new();
    let Ok(ledger) = Ledger::open(config, &()) else {
        return acknowledged;
    };
    for number in 0..6 {
        match ledger.append_blocking(vec![draft(number * 2, "a"), draft(number * 2 + 1, "b")]) {
            Ok(receipts) => acknowledged.extend(receipts),
            Err(AppendError::Stopped { .. }) => {
                let next = ledger.append_blocking(vec![draft(1_000, "a")]);
                assert!(matches!(next, Err(AppendError::Stopped { .. })), "it must stay stopped");
                break;
            }
            Err(other) => panic!("unexpected: {other}"),
        }
        if number == 3 {
            let _ = ledger.publish();
        }
    }
    ledger.close();
    acknowledged
}

#[test]
fn a_disk_that_breaks_at_any_operation_costs_nothing_acknowledged() {
    let keys = keys();
    let disk = MemoryDisk::new();
    assert_eq!(short_life(&disk, &keys).len(), 12);
    let operations = disk.changes();
    assert!(operations > 30, "only {operations} operations");
    (0..operations).into_par_iter().for_each(|at| {
        for fault in [Fault::InputOutput, Fault::NoSpace] {
            for power_fails_too in [false, true] {
                let disk = MemoryDisk::new();
                disk.break_at(at, fault);
                let acknowledged = short_life(&disk, &keys);
                let mut random = Random(at);
                let disk = match power_fails_too {
                    true => disk.after_power_loss(&mut || random.below(2) == 0),
                    false => disk,
                };
                let ledger = open(on_disk(&disk, &keys));
                for receipt in &acknowledged {
                    let found = ledger.find(&receipt.event_id()).unwrap().expect("acknowledged");
                    assert_eq!(found.digest(), receipt.digest(), "operation {at}, {fault:?}");
                }
                ledger.append_blocking(vec![draft(5_000, "c")]).unwrap();
                crate::power::verify(&ledger, &ledger.keys());
            }
        }
    });
}
