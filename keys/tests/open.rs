//! Opening PHI through the front door: real policies, a real ledger, and every way in which it must be refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity, stream};
use wardbook_events::{EventId, Field, Group, GroupSet, PatientId, Purpose, RecordId, Role, Sealed, TenantId, UserId};
use wardbook_keys::{Keys, OpenError};
use wardbook_ledger::{Draft, ExpectedVersion, Ledger, Payload, Receipt, SubjectId};
use wardbook_policy::{Action, Ask, Member, PatientFacts, Permit, Policies, Principal, RecordFacts};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const ADA: PatientId = PatientId::from_bytes([2; 16]);
const BEN: PatientId = PatientId::from_bytes([3; 16]);
const DOCTOR: UserId = UserId::from_bytes([4; 16]);
const CHART: &str = "patient-2";

fn record(byte: u8) -> RecordId {
    RecordId::from_bytes([byte; 16])
}
fn event(byte: u8) -> EventId {
    EventId::from_bytes([byte; 16])
}

struct House {
    keys: Keys,
    ledger: Ledger,
    policies: Policies,
}

impl House {
    fn new() -> Self {
        let keys = Keys::in_memory().unwrap();
        for tenant in [TENANT, TenantId::from_bytes([9; 16])] {
            keys.create_patient_keys(tenant, &[ADA, BEN]).unwrap();
        }
        Self { keys, ledger: Ledger::in_memory("wardbook.test/keys").unwrap(), policies: Policies::shipped().unwrap() }
    }

    /// A physician of the care team asks; the access event will have this id.
    fn permit(&self, patient: PatientId, entry: Option<&RecordFacts>, groups: &[Group], event: EventId) -> Permit {
        let doctor = Principal { mfa: 1, ..Principal::new(DOCTOR, TENANT, BTreeSet::from([Role::Physician])) };
        let facts = PatientFacts {
            members: BTreeMap::from([(DOCTOR, Member { function: Function::Attending, until: None })]),
            ..PatientFacts::new(patient, TENANT)
        };
        let ask = Ask::new(jiff::Timestamp::UNIX_EPOCH, Purpose::Treatment, event);
        let wanted: GroupSet = groups.iter().copied().collect();
        self.policies.read(&doctor, &facts, entry, &ask, wanted, Action::ReadChart).unwrap()
    }

    /// The access event is appended.
    fn receipt(&self, event: EventId, patients: &[PatientId]) -> Receipt {
        let draft = Draft {
            id: wardbook_ledger::EventId::from_bytes(*event.bytes()),
            stream: format!("access-{}", patients[0]).parse().unwrap(),
            expected: ExpectedVersion::Any,
            event_type: "access.chart_opened".parse().unwrap(),
            schema_version: 1,
            subjects: patients.iter().map(|patient| SubjectId::from_bytes(*patient.bytes())).collect(),
            payload: Payload::default(),
        };
        self.ledger.append_blocking(vec![draft]).unwrap().remove(0)
    }

    fn seal(&self, tenant: TenantId, patient: PatientId, stream: &str, field: Field) -> Sealed<String> {
        self.keys.seal(tenant, patient, stream, field, &"plain".to_owned()).unwrap()
    }
}

#[test]
fn a_permit_and_its_receipt_open_what_they_cover_and_nothing_else() {
    let house = House::new();
    let permit = house.permit(ADA, None, &[Group::Demographics, Group::Contact], event(1));
    let receipt = house.receipt(event(1), &[ADA]);
    let name = house.seal(TENANT, ADA, CHART, Field::Name);
    assert_eq!(house.keys.open(&permit, &receipt, &name).unwrap(), "plain");

    let of_another_event = house.receipt(event(2), &[ADA]);
    assert!(matches!(house.keys.open(&permit, &of_another_event, &name), Err(OpenError::WrongEvent)));

    let elsewhere = house.seal(TenantId::from_bytes([9; 16]), ADA, CHART, Field::Name);
    assert!(matches!(house.keys.open(&permit, &receipt, &elsewhere), Err(OpenError::WrongTenant)));

    let of_ben = house.seal(TENANT, BEN, CHART, Field::Name);
    let refused = house.keys.open(&permit, &receipt, &of_ben);
    assert!(matches!(refused, Err(OpenError::WrongPatient { patient }) if patient == BEN));

    let ssn = house.seal(TENANT, ADA, CHART, Field::Ssn);
    let refused = house.keys.open(&permit, &receipt, &ssn);
    assert!(matches!(refused, Err(OpenError::WrongGroup { group: Group::Identifiers })));
}

#[test]
fn an_access_event_that_does_not_name_the_patient_opens_nothing() {
    let house = House::new();
    let permit = house.permit(ADA, None, &[Group::Demographics], event(1));
    let receipt = house.receipt(event(1), &[BEN]);
    let refused = house.keys.open(&permit, &receipt, &house.seal(TENANT, ADA, CHART, Field::Name));
    assert!(matches!(refused, Err(OpenError::NotCovered { patient }) if patient == ADA));
}

#[test]
fn one_event_that_names_several_patients_serves_a_permit_for_each() {
    let house = House::new();
    let receipt = house.receipt(event(1), &[ADA, BEN]);
    for patient in [ADA, BEN] {
        let permit = house.permit(patient, None, &[Group::Demographics], event(1));
        assert_eq!(
            house.keys.open(&permit, &receipt, &house.seal(TENANT, patient, CHART, Field::Name)).unwrap(),
            "plain"
        );
    }
}

#[test]
fn a_permit_for_one_protected_entry_opens_no_other() {
    let house = House::new();
    let facts = RecordFacts {
        record: record(1),
        kind: RecordKind::Note,
        sensitivity: vec![Sensitivity::Hiv],
        author: Some(DOCTOR),
        signed: false,
    };
    let permit = house.permit(ADA, Some(&facts), &[Group::Sensitive], event(1));
    let receipt = house.receipt(event(1), &[ADA]);
    let asked = house.seal(TENANT, ADA, &stream(record(1)), Field::SensitiveRecord);
    let other = house.seal(TENANT, ADA, &stream(record(2)), Field::SensitiveRecord);
    assert_eq!(house.keys.open(&permit, &receipt, &asked).unwrap(), "plain");
    let refused = house.keys.open(&permit, &receipt, &other);
    assert!(matches!(refused, Err(OpenError::Withheld { field: Field::SensitiveRecord })));
}

#[test]
fn a_moved_value_does_not_open_even_with_permit_and_receipt() {
    let house = House::new();
    let permit = house.permit(ADA, None, &[Group::Demographics], event(1));
    let receipt = house.receipt(event(1), &[ADA]);
    let of_ben = house.seal(TENANT, BEN, CHART, Field::Name).into_ciphertext();
    let passed_off: Sealed<String> = Sealed::new(TENANT, ADA, CHART.to_owned(), Field::Name, of_ben);
    assert!(matches!(house.keys.open(&permit, &receipt, &passed_off), Err(OpenError::NotAuthentic)));
}

#[test]
fn who_is_forgotten_stays_forgotten_with_permit_and_receipt() {
    let house = House::new();
    let name = house.seal(TENANT, ADA, CHART, Field::Name);
    house.keys.destroy_patient_key(TENANT, ADA).unwrap();
    let permit = house.permit(ADA, None, &[Group::Demographics], event(1));
    let receipt = house.receipt(event(1), &[ADA]);
    assert!(
        matches!(house.keys.open(&permit, &receipt, &name), Err(OpenError::Destroyed { patient }) if patient == ADA)
    );
}
