//! How fast views take in a log and are rebuilt: `cargo run --release -p wardbook-projections --example rebuild_bench -- 100000 1000000`
//!
//! The synthetic log is of mixed kind: 70% looks at charts, 20% clinical entries, the rest registrations, care teams,
//! logins and corrections; sealed bodies of 600 characters. Events are made batch by batch, outside the measured time.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a measuring tool"
)]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use uuid::Uuid;
use wardbook_events::access::{ChartOpened, Grounds, patient_stream};
use wardbook_events::care_teams::{self, Function, MemberAssigned};
use wardbook_events::identity::{self, LoggedIn, UserCreated};
use wardbook_events::patients::{self, PatientRegistered};
use wardbook_events::records::{self, RecordAdded, RecordKind, RecordSigned};
use wardbook_events::{
    Actor, Ciphertext, Client, CorrelationId, Event, EventId, Field, GroupSet, Meta, Outcome, PatientId, Purpose,
    RecordId, Recorded, Role, SealedFields, SessionId, TenantId, Token, TokenKind, UserId,
};
use wardbook_projections::audit::AuditFilter;
use wardbook_projections::{Stretch, ViewName, Views, ViewsConfig};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: u64 = 8192;
const USERS: u64 = 400;

fn uuid(kind: u8, number: u64) -> Uuid {
    let mut bytes = [kind; 16];
    let hash = blake3::hash(&[&[kind][..], &number.to_le_bytes()].concat());
    bytes[4..].copy_from_slice(&hash.as_bytes()[..12]);
    Uuid::from_bytes(bytes)
}

fn patient(number: u64) -> PatientId {
    PatientId::new(uuid(1, number))
}

fn token(kind: TokenKind, number: u64) -> Token {
    Token { kind, index: 1, value: format!("{number:032x}") }
}

/// The event at a position: a function of the position alone.
fn event(position: u64) -> Recorded {
    let dice = u64::from_le_bytes(blake3::hash(&position.to_le_bytes()).as_bytes()[..8].try_into().unwrap());
    let patients = position / 25 + 1;
    let who = patient(dice / 100 % patients);
    let user = UserId::new(uuid(2, dice / 7 % USERS));
    let sealed = |length: usize| Ciphertext::new(format!("1.1.{}{}", dice, "x".repeat(length)));
    let (stream, event): (String, Event) = if position < USERS {
        let user = UserId::new(uuid(2, position));
        let created = UserCreated {
            kind: identity::AccountKind::Person,
            user,
            username: format!("user-{position}"),
            tenant: TenantId::new(uuid(6, 1)),
            roles: vec![Role::Physician],
            departments: Vec::new(),
            patient: None,
        };
        (identity::stream(user), created.into())
    } else if position.is_multiple_of(25) {
        let who = patient(position / 25);
        let n = position / 25;
        let fields = [Field::Name, Field::BirthDate, Field::Gender, Field::Ssn, Field::Mrn, Field::Addresses];
        let registered = PatientRegistered {
            patient: who,
            fields: SealedFields(fields.into_iter().map(|field| (field, sealed(80))).collect()),
            tokens: vec![
                token(TokenKind::Ssn, n),
                token(TokenKind::Mrn, n),
                token(TokenKind::BirthDate, n % 20_000),
                token(TokenKind::FamilyName, n % 3000),
                token(TokenKind::GivenName, n % 1000),
                token(TokenKind::FamilySound, n % 800),
                token(TokenKind::GivenSound, n % 300),
                token(TokenKind::NameAndBirthDate, n),
            ],
            departments: vec!["ward-1".into()],
            jurisdiction: "US".into(),
            vip: false,
        };
        (patients::stream(who), registered.into())
    } else {
        match dice % 100 {
            0..=19 => {
                let record = RecordId::new(uuid(3, position));
                let added = RecordAdded {
                    record,
                    patient: who,
                    kind: RecordKind::ALL[(dice / 11 % 12) as usize],
                    sensitivity: Vec::new(),
                    year: Some(2020),
                    author: Some(user),
                    body: sealed(600),
                };
                (records::stream(record), added.into())
            }
            20..=21 => {
                let record = RecordId::new(uuid(3, position / 2));
                (records::stream(record), RecordSigned { record, patient: who, by: user }.into())
            }
            22..=24 => {
                let assigned = MemberAssigned { patient: who, user, function: Function::Nursing, until: None };
                (care_teams::stream(who), assigned.into())
            }
            25..=26 => {
                let session = SessionId::new(uuid(4, position / 3000));
                let expires_at = Timestamp::from_second(2_000_000_000).unwrap();
                (identity::stream(user), {
                    let (proofs, binding, device, refresh) = (vec![identity::Proof::Password], None, None, None);
                    LoggedIn { user, session, expires_at, proofs, binding, device, refresh }.into()
                })
            }
            _ => {
                let grounds = Grounds {
                    policies: vec!["care-team".into()],
                    policy_version: "0123456789abcdef".into(),
                    emergency: None,
                    reason: None,
                };
                (
                    patient_stream(who),
                    ChartOpened { patient: who, groups: GroupSet::all(), grounds, as_of: None }.into(),
                )
            }
        }
    };
    Recorded {
        position,
        stream,
        stream_version: position + 1,
        id: EventId::new(uuid(7, position)),
        recorded_at: Timestamp::from_microsecond(1_700_000_000_000_000 + position as i64 * 4000).unwrap(),
        subjects: vec![(who, 1)],
        meta: Meta {
            tenant: TenantId::new(uuid(6, 1)),
            actor: Actor::user(user, Role::Physician),
            purpose: Purpose::Treatment,
            outcome: if dice.is_multiple_of(97) { Outcome::Denied } else { Outcome::Success },
            correlation: CorrelationId::new(uuid(5, position)),
            causation: None,
            command: None,
        },
        client: Client { session: Some(SessionId::new(uuid(4, dice / 7 % 300))), ..Client::default() },
        event,
    }
}

fn batch(from: u64, to: u64) -> Vec<Recorded> {
    (from..to).map(event).collect()
}

fn memory_mib(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Wall-clock and CPU time: on a busy machine only the latter says something.
#[derive(Clone, Copy, Default)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        *self = Self { wall: self.wall + other.wall, cpu: self.cpu + other.cpu };
    }
}

/// CPU time of all threads of this process; the kernel counts in hundredths of a second.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks =
        |field: usize| stat.rsplit(')').next().unwrap().split_whitespace().nth(field).unwrap().parse::<u64>().unwrap();
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

fn measure(take: impl FnOnce()) -> Spent {
    let (start, before) = (Instant::now(), cpu());
    take();
    Spent { wall: start.elapsed(), cpu: cpu() - before }
}

fn rate(what: &str, count: u64, spent: Spent) {
    let (wall, cpu) = (spent.wall.as_secs_f64(), spent.cpu.as_secs_f64());
    println!(
        "{what:<34} {:>9.0}/s  {wall:>8.2} s, CPU {cpu:>6.2} s, {:>6.1} us each",
        count as f64 / wall,
        cpu * 1e6 / count as f64
    );
}

/// The whole log, batch by batch; only `take` is measured.
fn feed(size: u64, mut take: impl FnMut(Stretch<'_>)) -> Spent {
    let mut spent = Spent::default();
    for from in (0..size).step_by(BATCH as usize) {
        let events = batch(from, size.min(from + BATCH));
        spent += measure(|| take(Stretch::of(&events)));
    }
    spent
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 1000].as_nanos() as f64 / 1000.0;
    println!("{what:<34} p50 {:>8.2} us  p99 {:>8.2} us", at(500), at(990));
}

fn run(size: u64) {
    println!("\n{size} events");
    let dir = tempfile::tempdir().unwrap();
    let config = ViewsConfig::new(dir.path().to_owned());
    let views = Views::open(&config).unwrap();
    rate("all views, in parallel", size, feed(size, |stretch| views.apply(stretch).unwrap()));
    println!("{:<34} {:>9} MiB", "memory, peak", memory_mib("VmHWM"));
    for (view, standing) in views.standings() {
        println!("  {:<32} {:>9} rows", view.name(), standing.unwrap().rows);
    }
    let mut all = Spent::default();
    for view in ViewName::ALL {
        let rebuild = views.begin_rebuild(*view, true).unwrap();
        let mut spent = feed(size, |stretch| rebuild.apply(stretch).unwrap());
        spent += measure(|| assert!(views.finish_rebuild(rebuild, |_, _| Ok(Vec::new())).unwrap().compared));
        rate(&format!("rebuild {}", view.name()), size, spent);
        all += spent;
    }
    rate("rebuild, one after the other", size, all);
    println!("{:<34} {:>9} MiB", "memory, peak", memory_mib("VmHWM"));

    let live: Vec<_> = batch(size, size + 4096);
    for (length, count) in [(1, 1000), (16, 64), (64, 30)] {
        let from = views.position() - size;
        let part = &live[from as usize..from as usize + length * count];
        let spent = measure(|| part.chunks(length).for_each(|events| views.apply(Stretch::of(events)).unwrap()));
        rate(&format!("live, {length} events at a time"), part.len() as u64, spent);
    }
    let asked: Vec<_> = (0..2000).map(|n| patient(16 + n * 7 % (size / 25 - 16))).collect();
    let facts = || {
        asked
            .iter()
            .map(|who| {
                let start = Instant::now();
                views.patient_facts(*who).unwrap().unwrap();
                start.elapsed()
            })
            .collect::<Vec<_>>()
    };
    percentiles("patient facts, cold", facts());
    percentiles("patient facts, cached", facts());
    let find = |filter: &AuditFilter| {
        let start = Instant::now();
        views.audit.find(filter, None, 50).unwrap();
        start.elapsed()
    };
    percentiles(
        "audit: one patient, 50",
        asked
            .iter()
            .take(200)
            .map(|who| find(&AuditFilter { patients: vec![*who], ..AuditFilter::default() }))
            .collect(),
    );
    let one = |n: u64| AuditFilter { correlation: Some(CorrelationId::new(uuid(5, n))), ..AuditFilter::default() };
    percentiles("audit: one request", (0..200).map(|n| find(&one(n * 499 % size))).collect());
    let some = |n: u64| AuditFilter {
        actor: Some(UserId::new(uuid(2, n))),
        outcome: Some(Outcome::Denied),
        ..AuditFilter::default()
    };
    percentiles("audit: actor and outcome, 50", (0..200).map(|n| find(&some(n))).collect());
    percentiles(
        "search by name and birth date",
        (0..200)
            .map(|n| {
                let tokens = [vec![token(TokenKind::FamilyName, n + 16)], vec![token(TokenKind::BirthDate, n + 16)]];
                let start = Instant::now();
                assert!(!views.patients.search(TenantId::new(uuid(6, 1)), &tokens, 20).unwrap().is_empty());
                start.elapsed()
            })
            .collect(),
    );

    let start = Instant::now();
    drop(views);
    println!("{:<34} {:>19.2} s", "close and seal", start.elapsed().as_secs_f64());
    let start = Instant::now();
    drop(Views::open(&config).unwrap());
    println!("{:<34} {:>19.2} s", "open sealed, and close again", start.elapsed().as_secs_f64());
    for view in ViewName::ALL {
        std::fs::remove_file(dir.path().join(view.name()).join("00000002/SEAL")).unwrap();
    }
    let start = Instant::now();
    let views = Views::open(&config).unwrap();
    println!("{:<34} {:>19.2} s", "open as after a kill", start.elapsed().as_secs_f64());
    assert!(views.ailing().is_empty());
    println!("{:<34} {:>9} MiB", "memory, peak", memory_mib("VmHWM"));
}

fn main() {
    let sizes: Vec<u64> = std::env::args().skip(1).map(|size| size.parse().unwrap()).collect();
    for size in if sizes.is_empty() { vec![100_000] } else { sizes } {
        run(size);
    }
}
