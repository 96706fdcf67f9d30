//! A small hospital.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{EventId, PatientId, Purpose, RecordId, Role, TenantId, UserId};
use wardbook_policy::{Ask, PatientFacts, Principal, RecordFacts};

pub const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

fn id(number: u8) -> [u8; 16] {
    [number; 16]
}

pub fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes(id(number))
}
pub fn me() -> UserId {
    UserId::from_bytes(id(1))
}
pub fn colleague() -> UserId {
    UserId::from_bytes(id(2))
}
pub fn patient() -> PatientId {
    PatientId::from_bytes(id(3))
}

pub fn principal(role: Role) -> Principal {
    Principal {
        user: me(),
        tenant: tenant(1),
        roles: BTreeSet::from([role]),
        active: true,
        departments: BTreeSet::new(),
        patient: None,
        proxy_for: BTreeSet::new(),
        mfa: 0,
    }
}

pub fn patient_facts() -> PatientFacts {
    PatientFacts {
        patient: patient(),
        tenant: tenant(1),
        departments: BTreeSet::new(),
        vip: false,
        members: BTreeMap::from([(colleague(), None)]),
    }
}

pub fn record(author: Option<UserId>, sensitivity: &[Sensitivity]) -> RecordFacts {
    RecordFacts {
        record: RecordId::from_bytes(id(4)),
        kind: RecordKind::Note,
        sensitivity: sensitivity.to_vec(),
        author,
        signed: false,
    }
}

pub fn ask(purpose: Purpose) -> Ask {
    Ask { now: NOW, purpose, address: None, event: EventId::from_bytes(id(5)) }
}
