//! What the formats cost, each on one core, and verification on all: `cargo bench -p wardbook-ledger --bench formats`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::time::Instant;

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};
use rayon::prelude::*;
use wardbook_ledger::{
    Digest, Draft, Entry, EventId, ExpectedVersion, Micros, Payload, Position, SubjectId, SubjectLink,
    checkpoint::Checkpoint,
    entry::{Assigned, UnsignedEntry, encode},
    signer::LedgerKeys,
    tree::{Frontier, leaf_hash},
    verify::{Start, Verification},
};

const EVENTS: u64 = 100_000;
/// With the header and the signature about 1 KiB an entry.
const BODY_BYTES: usize = 700;

fn draft(n: u64) -> Draft {
    Draft {
        id: EventId::from_bytes(u128::from(n).to_be_bytes()),
        stream: format!("patient-{n}").parse().unwrap(),
        expected: ExpectedVersion::Any,
        event_type: "access.chart_opened".parse().unwrap(),
        schema_version: 1,
        subjects: vec![SubjectId::from_bytes(u128::from(n).to_be_bytes())],
        payload: Payload { meta: vec![b'm'; 100], client: vec![b'c'; 40], body: vec![b'b'; BODY_BYTES] },
    }
}

fn lay_out(draft: &Draft, n: u64, previous: Digest, keys: &LedgerKeys) -> UnsignedEntry {
    let assigned = Assigned {
        position: Position(n),
        stream_version: 1,
        recorded_at: Micros(0),
        key_id: keys.events.key_id(),
        previous,
        links: vec![SubjectLink::first(draft.subjects[0])],
        salt: [1; 16],
    };
    encode(draft, assigned).unwrap()
}

/// A point in time and in this process's use of the processors: on a busy machine only the latter tells.
struct Clock {
    wall: Instant,
    cpu_seconds: f64,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    /// Prints the cost of one and returns how many a second of all processors' time would do.
    fn report(&self, what: &str) -> f64 {
        let wall = self.wall.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - self.cpu_seconds;
        let each = |seconds: f64| seconds * 1e6 / EVENTS as f64;
        println!(
            "{what:<36} {:>6.2} us of processor, {:>6.2} us of time, {:>9.0} a second",
            each(cpu),
            each(wall),
            EVENTS as f64 / wall
        );
        EVENTS as f64 / cpu
    }
}

/// User and system time of this process; Linux counts it in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn main() {
    let keys = LedgerKeys::generate("log.example/ward").unwrap();
    let drafts: Vec<_> = (0..EVENTS).map(draft).collect();

    let clock = Clock::start();
    let mut previous = Digest::ZERO;
    let mut unsigned = Vec::with_capacity(drafts.len());
    for (draft, n) in drafts.iter().zip(0..) {
        let one = lay_out(draft, n, previous, &keys);
        previous = one.digest();
        unsigned.push(one);
    }
    clock.report("lay out and hash an entry of 1 KiB");

    let clock = Clock::start();
    let entries: Vec<Entry> = unsigned.into_iter().map(|one| one.sign(&keys.events).unwrap()).collect();
    clock.report("sign");

    let stored: Vec<_> = entries.iter().map(|one| one.stored().to_vec()).collect();
    let clock = Clock::start();
    let decoded: Vec<_> = stored.iter().map(|one| Entry::decode(one.clone()).unwrap()).collect();
    clock.report("decode");

    let clock = Clock::start();
    let mut frontier = Frontier::new();
    for entry in &decoded {
        frontier.push(leaf_hash(&entry.leaf()));
    }
    clock.report("add to the tree");

    let limit = {
        let key = keys.events.verifier().public_bytes();
        let batch_keys = vec![VerifyingKey::from_bytes(key).unwrap(); 256];
        let clock = Clock::start();
        let all_good = entries.par_chunks(256).all(|batch| {
            let digests: Vec<_> = batch.iter().map(Entry::digest).collect();
            let messages: Vec<_> = digests.iter().map(|one| &one.as_bytes()[..]).collect();
            let signatures: Vec<_> = batch.iter().map(|one| Signature::from_bytes(one.signature())).collect();
            verify_batch(&messages, &signatures, &batch_keys[..batch.len()]).is_ok()
        });
        assert!(all_good);
        clock.report("raw batch signatures, all cores")
    };

    let root = frontier.root();
    let checkpoint = Checkpoint::sign(&keys.checkpoints, EVENTS, root).unwrap();
    let verification = Verification {
        keys: &keys.ring,
        start: Start::genesis(),
        until: None,
        checkpoints: &[checkpoint],
        progress: &|_| (),
    };
    let clock = Clock::start();
    let found = verification.run(stored.into_iter().map(Ok::<_, String>));
    assert!(found.is_ok(), "{:?}", found.first_error());
    let rate = clock.report("verify the log, all cores");
    let share = rate / limit * 100.0;
    println!("by processor time, verification runs at {share:.0}% of the rate of raw batches of 256");
}
