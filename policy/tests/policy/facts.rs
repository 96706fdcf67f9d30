//! A small hospital.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{EventId, PatientId, Purpose, RecordId, Role, TenantId, UserId};
use wardbook_policy::{Ask, Member, PatientFacts, Principal, RecordFacts};

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
    Principal::new(me(), tenant(1), BTreeSet::from([role]))
}

/// On the care team, until then.
pub fn member(function: Function, until: Option<Timestamp>) -> Member {
    Member { function, until }
}

pub fn patient_facts() -> PatientFacts {
    let members = BTreeMap::from([(colleague(), member(Function::Attending, None))]);
    PatientFacts { members, ..PatientFacts::new(patient(), tenant(1)) }
}

/// With the asker on the care team.
pub fn treated() -> PatientFacts {
    let mut facts = patient_facts();
    facts.members.insert(me(), member(Function::Attending, None));
    facts
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
    Ask::new(NOW, purpose, EventId::from_bytes(id(5)))
}
