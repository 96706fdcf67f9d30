//! How long a decision takes: `scripts/bench policy`.
//!
//! Cold: facts never seen before. Warm: the same facts again, as when a physician leafs through a chart. The peer is Cedar
//! alone on entities and requests that stand ready: what no program around it can be faster than.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a benchmark takes times and prints them")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::error::Error;
use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, Instant};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request, RestrictedExpression as Value,
    Schema,
};
use jiff::Timestamp;
use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{EventId, GroupSet, PatientId, Purpose, RecordId, Role, TenantId, UserId};
use wardbook_policy::{Action, Ask, Member, PatientFacts, Policies, Principal, RecordFacts, Target};

const DECISIONS: u128 = 5_000;
/// A chart is asked about group by group.
const CHART: [&str; 5] = ["readDemographics", "readContact", "readIdentifiers", "readClinical", "readBilling"];
const SCHEMA: &str = include_str!("../../config/policies/schema.cedarschema");
const POLICIES: &str = concat!(
    include_str!("../../config/policies/00-deny.cedar"),
    include_str!("../../config/policies/10-patient.cedar"),
    include_str!("../../config/policies/20-clinical.cedar"),
    include_str!("../../config/policies/25-emergency.cedar"),
    include_str!("../../config/policies/30-operations.cedar"),
    include_str!("../../config/policies/40-oversight.cedar"),
);

const fn id(number: u128) -> [u8; 16] {
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

/// Takes and prints the times; returns median and 99th percentile in nanoseconds.
fn measure(name: &str, mut decide: impl FnMut(u128) -> bool) -> (u128, u128) {
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
    (at(500), at(990))
}

fn named(pairs: Vec<(&'static str, Value)>) -> impl Iterator<Item = (String, Value)> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value))
}

/// Cedar alone: the same chart, the same policies all in one set, everything parsed and built before.
fn peer() -> Result<impl Fn() -> bool, Box<dyn Error>> {
    let uid = |kind: &str, id: &str| EntityUid::from_str(&format!("Wardbook::{kind}::\"{id}\"")).map_err(Box::new);
    let value = |kind: &str, id: &str| uid(kind, id).map(Value::new_entity_uid);
    let flags = ["own", "proxy", "breakGlass", "denied", "psychotherapy", "otherDepartment", "otherFacility"]
        .map(|name| (name, Value::new_bool(false)));
    let mut asker = flags.to_vec();
    asker.extend([("treats", Value::new_bool(true)), ("sameDepartment", Value::new_bool(true))]);
    asker.push(("function", value("Function", "attending")?));
    let attributes = |pairs: Vec<(&'static str, Value)>| named(pairs).collect::<HashMap<_, _>>();
    let user = attributes(vec![("tenant", value("Tenant", "t")?), ("active", Value::new_bool(true))]);
    let person = attributes(vec![
        ("tenant", value("Tenant", "t")?),
        ("vip", Value::new_bool(false)),
        ("sudPermitted", Value::new_bool(false)),
        ("asker", Value::new_record(named(asker))?),
    ]);
    let part = attributes(vec![
        ("tenant", value("Tenant", "t")?),
        ("patient", value("Patient", "p")?),
        ("kind", value("Kind", "chart")?),
        ("labels", Value::new_set([])),
        ("signed", Value::new_bool(false)),
    ]);
    let roles = HashSet::from([uid("Role", "physician")?, uid("Department", "cardiology")?]);
    let department = HashSet::from([uid("Department", "cardiology")?]);
    let schema = Schema::from_str(SCHEMA)?;
    let entities = Entities::from_entities(
        [
            Entity::new(uid("User", "u")?, user, roles)?,
            Entity::new(uid("Patient", "p")?, person, department)?,
            Entity::new(uid("Part", "p")?, part, HashSet::from([uid("Patient", "p")?]))?,
        ],
        Some(&schema),
    )?;
    let context = Context::from_pairs(named(vec![
        ("purpose", value("Purpose", "TREAT")?),
        ("mfa", Value::new_long(0)),
        ("fresh", Value::new_bool(false)),
        ("hasReason", Value::new_bool(false)),
        ("onShift", Value::new_bool(true)),
    ]))?;
    let requests = CHART.map(|action| {
        let (user, action, part) = (uid("User", "u")?, uid("Action", action)?, uid("Part", "p")?);
        Ok(Request::new(user, action, part, context.clone(), Some(&schema))?)
    });
    let requests = requests.into_iter().collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let (policies, authorizer) = (PolicySet::from_str(POLICIES)?, Authorizer::new());
    Ok(move || {
        let ask = |request| authorizer.is_authorized(request, &policies, &entities).decision() == Decision::Allow;
        requests.iter().filter(|request| ask(request)).count() == 4
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let policies = Policies::shipped()?;
    println!("loading and checking {} policies took {} ms", policies.rules().len(), start.elapsed().as_millis());
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

    let alone = peer()?;
    let (peer, _) = measure("Cedar alone, five groups, all stands ready", |_| alone());
    let (cold, cold_99) = measure("chart, all groups, cold", |number| chart(&patient(number)));
    let known = patient(0);
    let (warm, warm_99) = measure("chart, all groups, warm", |_| chart(&known));
    let read = |facts: &PatientFacts| {
        policies.read(&who, facts, Some(&note), &ask, GroupSet::all(), Action::ReadRecords).is_ok()
    };
    measure("sensitive entry, cold", |number| read(&patient(number)));
    measure("sensitive entry, warm", |_| read(&known));
    let sign =
        |facts: &PatientFacts| policies.act(&who, Action::SignRecord, Target::Record(facts, &note), &ask).is_ok();
    measure("signing, cold", |number| sign(&patient(number)));
    measure("signing, warm", |_| sign(&known));
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let ratio = |ours: u128| ours as f64 / peer.max(1) as f64;
    println!("cold is {:.2} times, warm {:.3} times Cedar alone (medians)", ratio(cold), ratio(warm));
    let verdict = |ours, goal| if ours < goal { "reached" } else { "MISSED" };
    println!("goal: cold p99 under 400 us: {}", verdict(cold_99, 400_000));
    println!("goal: warm p99 under 10 us: {}", verdict(warm_99, 10_000));
    Ok(())
}
