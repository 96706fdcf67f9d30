//! Events for tests: a log under construction.

use std::path::Path;

use jiff::Timestamp;
use uuid::Uuid;
use wardbook_events::access::{AccessDenied, ChartOpened, Grounds};
use wardbook_events::care_teams::{Function, MemberAssigned, MemberEnded};
use wardbook_events::identity::{
    AccountKind, LoggedIn, LoggedOut, PasswordSet, Proof, RoleGranted, UserCreated, UserDisabled,
};
use wardbook_events::patients::{
    self, FieldChange, PatientAbsorbed, PatientCorrected, PatientFlagged, PatientMerged, PatientRegistered,
};
use wardbook_events::records::{self, RecordAdded, RecordKind, RecordSigned};
use wardbook_events::{
    Actor, Ciphertext, Client, CorrelationId, Event, EventId, Field, GroupSet, Meta, Outcome, PatientId, Purpose,
    RecordId, Recorded, Role, SealedFields, SessionId, TenantId, Token, TokenKind, UserId, care_teams, identity,
};

use crate::{Stretch, Views, ViewsConfig};

/// An id whose first bytes are alike, as those of one millisecond are.
pub(crate) fn uuid(kind: u8, number: u64) -> Uuid {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Uuid::from_bytes(bytes)
}
pub(crate) fn patient(number: u64) -> PatientId {
    PatientId::new(uuid(1, number))
}
pub(crate) fn user(number: u64) -> UserId {
    UserId::new(uuid(2, number))
}
pub(crate) fn record(number: u64) -> RecordId {
    RecordId::new(uuid(3, number))
}
pub(crate) fn session(number: u64) -> SessionId {
    SessionId::new(uuid(4, number))
}
pub(crate) fn correlation(number: u64) -> CorrelationId {
    CorrelationId::new(uuid(5, number))
}
pub(crate) fn tenant(number: u64) -> TenantId {
    TenantId::new(uuid(6, number))
}
pub(crate) fn sealed(number: u64) -> Ciphertext {
    Ciphertext::new(format!("1.1.{number}"))
}
pub(crate) fn token(kind: TokenKind, number: u64) -> Token {
    Token { kind, index: 1, value: format!("{number:032x}") }
}
/// The n-th second of the log.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}
fn grounds() -> Grounds {
    Grounds { policies: vec!["care-team".into()], policy_version: "0".into(), emergency: None, reason: None }
}

/// A log under construction: the n-th event is recorded in the n-th second.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Recorded>,
    versions: std::collections::HashMap<String, u64>,
    /// Who acts next.
    pub(crate) actor: Option<UserId>,
    /// In which session.
    pub(crate) session: Option<SessionId>,
    /// For which request.
    pub(crate) correlation: u64,
    /// How it ends.
    pub(crate) outcome: Option<Outcome>,
    /// In which organisation.
    pub(crate) tenant: u64,
}

impl Log {
    pub(crate) fn add(&mut self, stream: String, subjects: &[PatientId], event: impl Into<Event>) -> u64 {
        let position = self.events.last().map_or(0, |event| event.position + 1);
        self.add_at(position, stream, subjects, event)
    }
    pub(crate) fn add_at(
        &mut self,
        position: u64,
        stream: String,
        subjects: &[PatientId],
        event: impl Into<Event>,
    ) -> u64 {
        let version = self.versions.entry(stream.clone()).or_default();
        *version += 1;
        let actor = self.actor.map_or(Actor::SYSTEM, |id| Actor::user(id, Role::Physician));
        self.events.push(Recorded {
            position,
            stream,
            stream_version: *version,
            id: EventId::new(uuid(7, position + 1)),
            recorded_at: at(position as i64),
            subjects: subjects.iter().map(|patient| (*patient, 1)).collect(),
            meta: Meta {
                tenant: tenant(self.tenant),
                actor,
                purpose: Purpose::Treatment,
                outcome: self.outcome.unwrap_or(Outcome::Success),
                correlation: correlation(self.correlation),
                causation: None,
                command: None,
            },
            client: Client { session: self.session, ..Client::default() },
            event: event.into(),
        });
        position
    }
    pub(crate) fn register(&mut self, number: u64, tokens: Vec<Token>) -> u64 {
        let fields = SealedFields([(Field::Name, sealed(number)), (Field::Ssn, sealed(number + 1))].into());
        let id = patient(number);
        let event = PatientRegistered {
            patient: id,
            fields,
            tokens,
            departments: vec![format!("ward-{}", number % 3)],
            jurisdiction: "US".into(),
            vip: false,
        };
        self.add(patients::stream(id), &[id], patients::PatientEvent::from(event))
    }
    pub(crate) fn correct(&mut self, number: u64, tokens: Vec<Token>) -> u64 {
        let id = patient(number);
        let change = FieldChange { field: Field::Name, old: Some(sealed(number)), new: Some(sealed(number + 100)) };
        let gone = FieldChange { field: Field::Ssn, old: Some(sealed(number + 1)), new: None };
        self.add(patients::stream(id), &[id], PatientCorrected { patient: id, changes: vec![change, gone], tokens })
    }
    pub(crate) fn merge(&mut self, from: u64, into: u64) {
        let (from, into) = (patient(from), patient(into));
        self.add(patients::stream(from), &[from], PatientMerged { patient: from, into });
        self.add(patients::stream(into), &[into], PatientAbsorbed { patient: into, absorbed: from });
    }
    pub(crate) fn unmerge(&mut self, patient_number: u64, from: u64) {
        let (lives, from) = (patient(patient_number), patient(from));
        self.add(patients::stream(lives), &[lives], patients::PatientUnmerged { patient: lives, from });
        self.add(patients::stream(from), &[from], patients::PatientParted { patient: from, parted: lives });
    }
    pub(crate) fn flag(&mut self, number: u64, vip: bool) {
        let id = patient(number);
        self.add(
            patients::stream(id),
            &[id],
            PatientFlagged { patient: id, vip, decoy: false, reason: None, by: user(1) },
        );
    }
    pub(crate) fn write(&mut self, number: u64, of: u64, kind: RecordKind, year: Option<i16>) -> u64 {
        let added = RecordAdded {
            record: record(number),
            patient: patient(of),
            kind,
            sensitivity: Vec::new(),
            year,
            author: Some(user(1)),
            body: sealed(number),
        };
        self.add(records::stream(record(number)), &[patient(of)], added)
    }
    pub(crate) fn sign(&mut self, number: u64, of: u64) {
        let signed = RecordSigned { record: record(number), patient: patient(of), by: user(1) };
        self.add(records::stream(record(number)), &[patient(of)], signed);
    }
    pub(crate) fn assign(&mut self, member: u64, to: u64, until: Option<Timestamp>) -> u64 {
        let event = MemberAssigned { patient: patient(to), user: user(member), function: Function::Attending, until };
        self.add(care_teams::stream(patient(to)), &[patient(to)], event)
    }
    pub(crate) fn end(&mut self, member: u64, of: u64) -> u64 {
        let event = MemberEnded { patient: patient(of), user: user(member) };
        self.add(care_teams::stream(patient(of)), &[patient(of)], event)
    }
    pub(crate) fn user(&mut self, number: u64, roles: Vec<Role>) -> u64 {
        let id = user(number);
        let created = UserCreated {
            user: id,
            username: format!("user-{number}"),
            tenant: tenant(self.tenant),
            kind: AccountKind::Person,
            roles,
            departments: Vec::new(),
            patient: None,
        };
        self.add(identity::stream(id), &[], created);
        self.add(identity::stream(id), &[], PasswordSet { user: id, hash: sealed(number) })
    }
    pub(crate) fn grant(&mut self, number: u64, role: Role) -> u64 {
        self.add(identity::stream(user(number)), &[], RoleGranted { user: user(number), role })
    }
    pub(crate) fn disable(&mut self, number: u64) -> u64 {
        self.add(identity::stream(user(number)), &[], UserDisabled { user: user(number) })
    }
    pub(crate) fn log_in(&mut self, number: u64, session_number: u64) -> u64 {
        let id = user(number);
        self.add(identity::stream(id), &[], logged_in(number, session_number, vec![Proof::Password]))
    }
    pub(crate) fn log_out(&mut self, number: u64, session_number: u64) -> u64 {
        let id = user(number);
        self.add(identity::stream(id), &[], LoggedOut { user: id, session: session(session_number) })
    }
    pub(crate) fn open_chart(&mut self, of: &[u64]) -> u64 {
        let patients: Vec<_> = of.iter().map(|number| patient(*number)).collect();
        let opened = ChartOpened { patient: patients[0], groups: GroupSet::all(), grounds: grounds(), as_of: None };
        self.add(wardbook_events::access::patient_stream(patients[0]), &patients, opened)
    }
    pub(crate) fn denied(&mut self) -> u64 {
        let denied = AccessDenied {
            patient: None,
            action: "read-chart".into(),
            policies: Vec::new(),
            policy_version: "0".into(),
        };
        self.add(wardbook_events::access::tenant_stream(tenant(self.tenant)), &[], denied)
    }
    /// Everything up to here, in one stretch.
    pub(crate) fn all(&self) -> Stretch<'_> {
        Stretch { from: 0, ..Stretch::of(&self.events) }
    }
    /// A log in which a bit of everything happens, steered by numbers.
    pub(crate) fn steered(steps: &[(u8, u8, u8)]) -> Self {
        let mut log = Self::default();
        for &(what, one, other) in steps {
            let (one, other) = (u64::from(one % 8), u64::from(other % 8));
            log.actor = Some(user(other));
            log.session = Some(session(one));
            log.correlation = log.events.len() as u64 / 2;
            let names = || vec![token(TokenKind::FamilyName, other), token(TokenKind::BirthDate, one)];
            match what % 12 {
                0 => _ = log.register(one, names()),
                1 => _ = log.correct(one, names()),
                2 => log.merge(one, other),
                3 => log.unmerge(one, other),
                4 => _ = log.write(one * 8 + other, one, RecordKind::ALL[other as usize], Some(2000 + other as i16)),
                5 => log.sign(one * 8 + other, one),
                6 => _ = log.assign(one, other, None),
                7 => _ = log.end(one, other),
                8 => _ = log.user(one, vec![Role::Nurse]),
                9 => _ = log.log_in(one, other),
                10 => _ = log.log_out(one, other),
                _ => _ = log.open_chart(&[one, other]),
            }
        }
        log
    }
}

/// A login that ends at 1000 at the latest.
pub(crate) fn logged_in(number: u64, session_number: u64, proofs: Vec<Proof>) -> LoggedIn {
    let (user, session, expires_at) = (user(number), session(session_number), at(1000));
    LoggedIn { user, session, expires_at, proofs, binding: None, device: None, refresh: None }
}

pub(crate) fn config(dir: &Path) -> ViewsConfig {
    ViewsConfig { cache_bytes: 1 << 20, ..ViewsConfig::new(dir.to_owned()) }
}

/// Fresh views that have taken in the log.
pub(crate) fn views(log: &Log) -> (tempfile::TempDir, Views) {
    let dir = tempfile::tempdir().unwrap();
    let views = Views::open(&config(dir.path())).unwrap();
    views.apply(log.all()).unwrap();
    (dir, views)
}
