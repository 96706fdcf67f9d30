//! A ledger in memory, keys in memory, the shipped policies, and people who ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use uuid::Uuid;
use wardbook_events::access::ChartOpened;
use wardbook_events::care_teams::Function;
use wardbook_events::records::{Coded, RecordBody, RecordKind};
use wardbook_events::values::{BirthDate, Line, NamePart, PersonName, Ssn};
use wardbook_events::{
    Actor, Client, CorrelationId, EventId, Group, GroupSet, PatientId, Purpose, RecordId, Role, UserId,
};
use wardbook_keys::Keys;
use wardbook_ledger::{Ledger, Receipt};
use wardbook_policy::{Action, Ask, Denial, Member, PatientFacts, Permit, Policies, Principal, RecordFacts, Target};

use crate::authority::own_context;
use crate::patients::RegisterPatient;
use crate::records::AddRecord;
use crate::scenario::{NOW, tenant, user};
use crate::{CommandError, Commands, Done, IdempotencyKey, Origin};

#[derive(Clone)]
pub(super) struct House {
    pub commands: Commands,
    pub ledger: Ledger,
    pub keys: Keys,
    pub policies: Policies,
}

pub(super) fn house() -> House {
    house_over(Ledger::in_memory("wardbook.test/commands").unwrap(), Keys::in_memory().unwrap())
}

pub(super) fn house_over(ledger: Ledger, keys: Keys) -> House {
    let commands = Commands::new(ledger.clone(), keys.clone());
    House { commands, ledger, keys, policies: Policies::shipped().unwrap() }
}

/// Who acts, in which role and why.
#[derive(Clone, Copy)]
pub(super) struct Person(pub u128, pub Role, pub Purpose);

pub(super) const REGISTRAR: Person = Person(1, Role::Registrar, Purpose::Operations);
pub(super) const PHYSICIAN: Person = Person(2, Role::Physician, Purpose::Treatment);
pub(super) const ADMIN: Person = Person(3, Role::Admin, Purpose::SystemAdministration);
pub(super) const SYSTEM: Person = Person(4, Role::SystemAdmin, Purpose::SystemAdministration);
pub(super) const COMPLIANCE: Person = Person(5, Role::ComplianceOfficer, Purpose::Compliance);

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that no other call gets.
pub(super) fn fresh() -> u128 {
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}
pub(super) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

impl Person {
    pub(super) fn user(self) -> UserId {
        user(self.0)
    }
    pub(super) fn origin(self) -> Origin {
        Origin {
            actor: Actor::user(self.user(), self.1),
            purpose: self.2,
            correlation: CorrelationId::new(Uuid::from_u128(7)),
            causation: None,
            client: Client::default(),
            now: now(),
            seed: fresh().to_be_bytes(),
            idempotency: None,
        }
    }
    pub(super) fn keyed(self, key: &str) -> Origin {
        Origin { idempotency: Some(IdempotencyKey::new(key).unwrap()), ..self.origin() }
    }
    pub(super) fn principal(self) -> Principal {
        Principal {
            mfa: 2,
            fresh_until: Some(Timestamp::MAX),
            ..Principal::new(self.user(), tenant(), BTreeSet::from([self.1]))
        }
    }
    pub(super) fn ask(self) -> Ask {
        Ask::new(now(), self.2, EventId::new(Uuid::from_u128(0xee00_0000 + fresh())))
    }
}

/// A patient whom the physician treats.
pub(super) fn facts(patient: PatientId) -> PatientFacts {
    PatientFacts {
        members: BTreeMap::from([(PHYSICIAN.user(), Member { function: Function::Attending, until: None })]),
        ..PatientFacts::new(patient, tenant())
    }
}
pub(super) fn record_facts(record: RecordId, signed: bool) -> RecordFacts {
    RecordFacts { record, kind: RecordKind::Note, sensitivity: vec![], author: Some(PHYSICIAN.user()), signed }
}
pub(super) fn correcting(groups: &[Group]) -> Action {
    Action::CorrectPatient(groups.iter().copied().collect())
}

impl House {
    pub(super) fn may(&self, person: Person, action: Action, target: Target<'_>) -> Result<Permit, Denial> {
        self.policies.act(&person.principal(), action, target, &person.ask())
    }
    pub(super) fn registering(&self) -> Permit {
        self.may(REGISTRAR, Action::RegisterPatient, Target::Tenant).unwrap()
    }
    pub(super) fn on_patient(&self, person: Person, action: Action, patient: PatientId) -> Permit {
        self.may(person, action, Target::Patient(&facts(patient))).unwrap()
    }
    pub(super) fn on_record(&self, action: Action, patient: PatientId, record: RecordId) -> Permit {
        let signed = matches!(action, Action::AddAddendum);
        self.may(PHYSICIAN, action, Target::Record(&facts(patient), &record_facts(record, signed))).unwrap()
    }
    pub(super) fn reading(&self, person: Person, action: Action, patient: PatientId, ask: &Ask) -> Permit {
        self.policies.read(&person.principal(), &facts(patient), None, ask, GroupSet::all(), action).unwrap()
    }
    /// The event of a look, durable, as the application appends it before anything is opened.
    pub(super) async fn looked(&self, person: Person, permit: &Permit) -> Result<Receipt, CommandError> {
        let patient = permit.patient().unwrap();
        let opened = ChartOpened { patient, groups: permit.groups(), grounds: permit.grounds(), as_of: None };
        let origin = person.origin();
        self.commands.append_one(opened.into(), permit.event(), &own_context(tenant(), &origin), &origin).await
    }
    pub(super) async fn register(&self, command: RegisterPatient) -> Result<Done<PatientId>, CommandError> {
        self.commands.register_patient(&self.registering(), &REGISTRAR.origin(), command).await
    }
    pub(super) async fn add_note(&self, patient: PatientId, text: &str) -> RecordId {
        let origin = PHYSICIAN.origin();
        let permit = self.on_record(Action::AddRecord, patient, origin.ids(tenant()).record());
        let command = AddRecord { patient, kind: RecordKind::Note, sensitivity: vec![], body: body(text) };
        self.commands.add_record(&permit, &origin, command).await.unwrap().value
    }
    pub(super) fn count(&self, event_type: &str) -> usize {
        let from = wardbook_ledger::Position(0);
        let kind = event_type.parse().unwrap();
        self.ledger.by_type(&kind, from, wardbook_ledger::Direction::Forward, 1000).unwrap().len()
    }
}

pub(super) fn name(family: &str, given: &[&str]) -> PersonName {
    let given: Vec<_> = given.iter().map(|part| NamePart::new(part).unwrap()).collect();
    PersonName { family: NamePart::new(family).unwrap(), given: given.try_into().unwrap(), prefix: None, suffix: None }
}
pub(super) fn born(date: &str) -> Option<BirthDate> {
    Some(date.parse::<jiff::civil::Date>().unwrap().try_into().unwrap())
}
pub(super) fn someone(family: &str, birth: &str, ssn: Option<&str>) -> RegisterPatient {
    RegisterPatient {
        birth_date: born(birth),
        ssn: ssn.map(|ssn| Ssn::new(ssn).unwrap()),
        ..RegisterPatient::new(name(family, &["Anna", "Maria"]), "US")
    }
}
pub(super) fn body(text: &str) -> RecordBody {
    let code = Coded { system: None, code: None, text: Line::new(text).unwrap() };
    let mut body: serde_json::Value = serde_json::json!({ "code": code });
    body["date"] = "2025-12-31".into();
    serde_json::from_value(body).unwrap()
}
