//! How long a decision takes: `cargo run --release -p wardbook-policy --example policy_bench`.
//!
//! Cold: facts never seen before. Warm: the same facts again, as when a physician leafs through a chart.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark takes times and prints them")]

use std::collections::BTreeSet;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{EventId, GroupSet, PatientId, Purpose, RecordId, Role, TenantId, UserId};
use wardbook_policy::{Action, Ask, Member, PatientFacts, Policies, Principal, RecordFacts, Target};

const DECISIONS: u128 = 5_000;

fn id(number: u128) -> [u8; 16] {
    number.to_be_bytes()
}

fn physician() -> Principal {
    Principal {
        departments: BTreeSet::from(["cardiology".to_owned()]),
        ..Principal::new(UserId::from_bytes(id(1)), TenantId::from_bytes(id(2)), BTreeSet::from([Role::Physician]))
    }
}

fn patient(number: u128) -> PatientFacts {
    let member = Member { function: Function::Attending, until: Some(Timestamp::MAX) };
    PatientFacts {
        departments: BTreeSet::from(["cardiology".to_owned()]),
        members: (0..5).map(|other| (UserId::from_bytes(id(1 + other)), member)).collect(),
        ..PatientFacts::new(PatientId::from_bytes(id(1_000 + number)), TenantId::from_bytes(id(2)))
    }
}

fn measure(name: &str, mut decide: impl FnMut(u128) -> bool) {
    let mut times: Vec<Duration> = (0..DECISIONS)
        .map(|number| {
            let start = Instant::now();
            let allowed = black_box(decide(number));
            let took = start.elapsed();
            assert!(allowed, "{name}: the benchmark measures yeses");
            took
        })
        .collect();
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 1_000).copied().unwrap_or_default().as_nanos();
    println!("{name:<44} p50 {:>9} ns   p99 {:>9} ns", at(500), at(990));
}

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let policies = Policies::shipped()?;
    println!("loading and checking the policies took {} ms", start.elapsed().as_millis());
    let who = physician();
    let ask = Ask::new(Timestamp::UNIX_EPOCH, Purpose::Treatment, EventId::from_bytes(id(9)));
    let chart =
        |facts: &PatientFacts| policies.read(&who, facts, None, &ask, GroupSet::all(), Action::ReadChart).is_ok();
    let note = RecordFacts {
        record: RecordId::from_bytes(id(7)),
        kind: RecordKind::Note,
        sensitivity: vec![Sensitivity::Hiv],
        author: Some(who.user),
        signed: false,
    };

    measure("chart, all groups, cold", |number| chart(&patient(number)));
    let known = patient(0);
    measure("chart, all groups, warm", |_| chart(&known));
    let read = |facts: &PatientFacts| {
        policies.read(&who, facts, Some(&note), &ask, GroupSet::all(), Action::ReadRecords).is_ok()
    };
    measure("sensitive entry, cold", |number| read(&patient(number)));
    measure("sensitive entry, warm", |_| read(&known));
    let sign =
        |facts: &PatientFacts| policies.act(&who, Action::SignRecord, Target::Record(facts, &note), &ask).is_ok();
    measure("signing, cold", |number| sign(&patient(number)));
    measure("signing, warm", |_| sign(&known));
    Ok(())
}
