//! What a permit opens, and what the two answers tell.

use wardbook_events::records::Sensitivity;
use wardbook_events::{Ciphertext, Field, Group, GroupSet, PatientId, Purpose, RecordId, Role, Sealed, TenantId};
use wardbook_policy::{Action, Obligation, Permit, Policies, Target};

use crate::facts::{ask, colleague, patient, patient_facts, principal, record, tenant, treated};

fn sealed(tenant: TenantId, patient: PatientId, stream: String, field: Field) -> Sealed<String> {
    Sealed::new(tenant, patient, stream, field, Ciphertext::new("x".into()))
}

fn chart_permit(role: Role, purpose: Purpose) -> Permit {
    let policies = Policies::shipped().unwrap();
    policies.read(&principal(role), &treated(), None, &ask(purpose), GroupSet::all(), Action::ReadChart).unwrap()
}

#[test]
fn a_permit_opens_only_its_own_patients_granted_groups() {
    let permit = chart_permit(Role::Physician, Purpose::Treatment);
    let stream = wardbook_events::patients::stream(patient());
    assert!(permit.covers(&sealed(tenant(1), patient(), stream.clone(), Field::Name)));
    assert!(permit.covers(&sealed(tenant(1), patient(), stream.clone(), Field::Ssn)));
    assert!(!permit.covers(&sealed(tenant(1), patient(), stream.clone(), Field::Insurance)), "group not granted");
    assert!(!permit.covers(&sealed(tenant(2), patient(), stream.clone(), Field::Name)), "other organisation");
    let other = PatientId::from_bytes([9; 16]);
    assert!(!permit.covers(&sealed(tenant(1), other, stream, Field::Name)), "other patient");
}

#[test]
fn what_is_specially_protected_opens_entry_by_entry() {
    let policies = Policies::shipped().unwrap();
    let (who, facts) = (principal(Role::Physician), treated());
    let treat = ask(Purpose::Treatment);
    let hiv = record(Some(colleague()), &[Sensitivity::Hiv]);
    let permit = policies.read(&who, &facts, Some(&hiv), &treat, GroupSet::all(), Action::ReadRecords).unwrap();
    assert_eq!(permit.groups(), GroupSet::EMPTY.with(Group::Sensitive));
    assert_eq!(permit.record(), Some(hiv.record));
    let of = |record| sealed(tenant(1), patient(), wardbook_events::records::stream(record), Field::SensitiveRecord);
    assert!(permit.covers(&of(hiv.record)));
    assert!(!permit.covers(&of(RecordId::from_bytes([8; 16]))), "another entry");
    let chart = chart_permit(Role::Physician, Purpose::Treatment);
    assert!(!chart.groups().contains(Group::Sensitive) && !chart.covers(&of(hiv.record)), "a chart's permit");
}

#[test]
fn billing_sees_the_record_number_but_no_ssn() {
    let permit = chart_permit(Role::Billing, Purpose::Payment);
    assert!(permit.obligations().contains(&Obligation::Withhold(Field::Ssn)));
    let stream = wardbook_events::patients::stream(patient());
    for (field, open) in [(Field::Mrn, true), (Field::Ssn, false), (Field::Addresses, true), (Field::NextOfKin, false)]
    {
        assert_eq!(permit.covers(&sealed(tenant(1), patient(), stream.clone(), field)), open, "{field}");
    }
}

#[test]
fn a_permit_to_write_opens_nothing() {
    let policies = Policies::shipped().unwrap();
    let facts = patient_facts();
    let correct = Action::CorrectPatient(GroupSet::EMPTY.with(Group::Demographics));
    let who = principal(Role::Registrar);
    let permit = policies.act(&who, correct, Target::Patient(&facts), &ask(Purpose::Operations)).unwrap();
    assert!(permit.groups().is_empty());
    let name = sealed(tenant(1), patient(), wardbook_events::patients::stream(patient()), Field::Name);
    assert!(!permit.covers(&name));
}

#[test]
fn corrections_are_allowed_for_all_groups_or_not_at_all() {
    let policies = Policies::shipped().unwrap();
    let facts = patient_facts();
    let groups = GroupSet::EMPTY.with(Group::Billing).with(Group::Demographics);
    let act = |role, groups, purpose| {
        policies.act(&principal(role), Action::CorrectPatient(groups), Target::Patient(&facts), &ask(purpose)).is_ok()
    };
    assert!(act(Role::Billing, GroupSet::EMPTY.with(Group::Billing), Purpose::Payment));
    assert!(!act(Role::Billing, groups, Purpose::Payment));
    assert!(act(Role::Registrar, groups, Purpose::Operations));
    for never in [GroupSet::EMPTY, groups.with(Group::Clinical), groups.with(Group::Sensitive)] {
        assert!(!act(Role::Registrar, never, Purpose::Operations), "{never:?}");
    }
}

#[test]
fn actions_that_do_not_fit_their_target_or_question_are_denied() {
    let policies = Policies::shipped().unwrap();
    let facts = patient_facts();
    let registrar = principal(Role::Registrar);
    let operations = ask(Purpose::Operations);
    assert!(policies.act(&registrar, Action::RegisterPatient, Target::Tenant, &operations).is_ok());
    assert!(policies.act(&registrar, Action::RegisterPatient, Target::Patient(&facts), &operations).is_err());
    assert!(policies.act(&registrar, Action::MergePatients, Target::Tenant, &operations).is_err());
    assert!(policies.act(&registrar, Action::ReadChart, Target::Patient(&facts), &operations).is_err());
    let read = |action, wanted| policies.read(&registrar, &facts, None, &operations, wanted, action);
    assert!(read(Action::ReadChart, GroupSet::all()).is_ok());
    assert!(read(Action::MergePatients, GroupSet::all()).is_err());
    assert!(read(Action::ReadChart, GroupSet::EMPTY).is_err());
}

#[test]
fn a_denial_shows_nothing_but_records_who_said_no() {
    let policies = Policies::shipped().unwrap();
    let (mut who, facts) = (principal(Role::Nurse), treated());
    who.patient = Some(patient());
    let treat = ask(Purpose::Treatment);
    let denial = policies.read(&who, &facts, None, &treat, GroupSet::all(), Action::ReadChart).unwrap_err();
    assert_eq!(denial.to_string(), "not allowed");
    assert_eq!(denial.policies(), ["deny-own-chart-at-work"]);
    assert_eq!(denial.obligations(), [Obligation::NotifyPrivacyOfficer]);
    let fact = denial.fact();
    assert_eq!((fact.action.as_str(), fact.patient), ("read-chart", Some(patient())));
    assert_eq!(fact.policy_version, policies.version());
    let nobody =
        policies.read(&principal(Role::Nurse), &patient_facts(), None, &treat, GroupSet::all(), Action::ReadChart);
    assert_eq!(nobody.unwrap_err().policies(), [] as [&str; 0], "no policy said yes");
}

#[test]
fn a_permit_states_its_grounds() {
    let permit = chart_permit(Role::Nurse, Purpose::Treatment);
    assert_eq!(permit.grounds().policies, ["nurse-care-team-read"]);
    assert_eq!(permit.event(), ask(Purpose::Treatment).event);
    assert_eq!(permit.policy_version().len(), 16);
}
