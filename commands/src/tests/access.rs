use wardbook_events::access::AccessEvent;
use wardbook_events::governance::{ImportFinished, ProjectionAttested, ProjectionRebuilt, ReplayRun};
use wardbook_events::{Event, EventId, Meta, Outcome, TokenKind};
use wardbook_ledger::{Receipt, SubjectId};
use wardbook_policy::{Action, Target};

use super::house::*;
use crate::access::Look;
use crate::scenario::{patient, record, tenant};
use crate::{CommandError, UnfitPermit};

impl House {
    fn fact(&self, receipt: &Receipt) -> (Event, Meta) {
        let entry = self.ledger.read(receipt.position()).unwrap().unwrap();
        let event = Event::decode(entry.event_type().as_str(), entry.schema_version(), entry.body()).unwrap();
        (event, serde_json::from_slice(entry.meta()).unwrap())
    }
}

fn unfit(result: Result<Receipt, CommandError>, what: &str) {
    assert!(matches!(&result, Err(CommandError::UnfitPermit(UnfitPermit(part))) if *part == what), "{result:?}");
}
fn subject(n: u128) -> SubjectId {
    SubjectId::from_bytes(*patient(n).bytes())
}

#[tokio::test]
async fn a_look_has_the_permits_event_and_grounds() {
    let house = house();
    let permit = house.reading(PHYSICIAN, Action::ReadChart, patient(1), &PHYSICIAN.ask());
    let receipt =
        house.commands.record_look(&permit, &PHYSICIAN.origin(), Look::Chart { as_of: Some(7) }).await.unwrap();
    assert_eq!(receipt.event_id().as_bytes(), permit.event().bytes());
    assert!(receipt.covers(&subject(1)) && !receipt.covers(&subject(2)));
    let (Event::Access(AccessEvent::ChartOpened(opened)), meta) = house.fact(&receipt) else { panic!() };
    assert_eq!((opened.groups, opened.as_of), (permit.groups(), Some(7)));
    assert!(!opened.grounds.policies.is_empty() && opened.grounds.policy_version == permit.policy_version());
    assert_eq!((meta.outcome, meta.purpose, meta.tenant), (Outcome::Success, PHYSICIAN.2, tenant()));
}

#[tokio::test]
async fn a_search_is_one_event_about_everybody_shown() {
    let house = house();
    let ask = REGISTRAR.ask();
    let permit = house.policies.act(&REGISTRAR.principal(), Action::SearchPatients, Target::Tenant, &ask).unwrap();
    let shown: Vec<_> = (1..=5).map(|n| house.reading(REGISTRAR, Action::SearchPatients, patient(n), &ask)).collect();
    let by = vec![TokenKind::FamilyName];
    let look = Look::Search { by: by.clone(), shown: &shown };
    let receipt = house.commands.record_look(&permit, &REGISTRAR.origin(), look).await.unwrap();
    assert_eq!(receipt.subjects().len(), 5);
    let (Event::Access(AccessEvent::PatientsSearched(searched)), _) = house.fact(&receipt) else { panic!() };
    assert_eq!((searched.found.len(), searched.groups), (5, shown[0].groups()));

    let stray = [house.reading(REGISTRAR, Action::SearchPatients, patient(1), &REGISTRAR.ask())];
    let look = Look::Search { by, shown: &stray };
    unfit(house.commands.record_look(&permit, &REGISTRAR.origin(), look).await, "event");
}

#[tokio::test]
async fn a_permit_does_not_record_another_kind_of_look() {
    let house = house();
    let chart = house.reading(PHYSICIAN, Action::ReadChart, patient(1), &PHYSICIAN.ask());
    let records = || Look::Records { records: vec![record(1)], kind: None, permits: &[] };
    unfit(house.commands.record_look(&chart, &PHYSICIAN.origin(), records()).await, "action");
    unfit(house.commands.record_look(&chart, &REGISTRAR.origin(), Look::Chart { as_of: None }).await, "actor");
    let ask = PHYSICIAN.ask();
    let one = house.reading(PHYSICIAN, Action::ReadRecords, patient(1), &ask);
    let other = [house.reading(PHYSICIAN, Action::ReadRecords, patient(2), &ask)];
    let look = Look::Records { records: vec![record(1)], kind: None, permits: &other };
    unfit(house.commands.record_look(&one, &PHYSICIAN.origin(), look).await, "patient");
    assert_eq!(house.ledger.head().durable, 0);
}

#[tokio::test]
async fn refusals_and_guesses_are_told() {
    let house = house();
    let denial = house.may(ADMIN, Action::MergePatients, Target::Patient(&facts(patient(1)))).unwrap_err();
    let id = || EventId::new(uuid::Uuid::from_u128(fresh()));
    let receipt = house.commands.record_denial(&denial, tenant(), id(), &ADMIN.origin()).await.unwrap();
    assert!(receipt.covers(&subject(1)));
    let (Event::Access(AccessEvent::Denied(denied)), meta) = house.fact(&receipt) else { panic!() };
    assert_eq!((denied.action.as_str(), meta.outcome), ("merge-patients", Outcome::Denied));
    let origin = PHYSICIAN.origin();
    let receipt = house.commands.record_unknown_patient(Action::ReadChart, tenant(), id(), &origin).await.unwrap();
    let (event, meta) = house.fact(&receipt);
    assert_eq!((event.type_name(), meta.outcome), ("access.unknown-patient-requested", Outcome::Failed));
    assert!(receipt.subjects().is_empty());
}

#[tokio::test]
async fn readers_of_the_trail_are_in_the_trail() {
    let house = house();
    let permit = house.may(AUDITOR, Action::ReadAudit, Target::Audit(Some(&facts(patient(1))))).unwrap();
    let look = Look::Audit { filters: vec!["actor".into()], limit: 50 };
    let receipt = house.commands.record_look(&permit, &AUDITOR.origin(), look).await.unwrap();
    assert!(receipt.covers(&subject(1)));
    let permit = house.may(AUDITOR, Action::ReadAudit, Target::Audit(None)).unwrap();
    let look = Look::Audit { filters: vec![], limit: 50 };
    assert!(house.commands.record_look(&permit, &AUDITOR.origin(), look).await.unwrap().subjects().is_empty());
}

#[tokio::test]
async fn the_system_tells_of_itself() {
    let house = house();
    let commands = &house.commands;
    let id = EventId::new(uuid::Uuid::from_u128(fresh()));
    let attested = ProjectionAttested { view: "patients".into(), log_size: 9, code_version: 1, root: "00".into() };
    commands.attest_projection(tenant(), &ADMIN.origin(), id, attested.clone()).await.unwrap();
    let retry = commands.attest_projection(tenant(), &ADMIN.origin(), id, attested).await.unwrap();
    assert!(retry.is_replay());
    let permit = house.may(ADMIN, Action::ManageProjections, Target::Tenant).unwrap();
    let rebuilt = ProjectionRebuilt { view: "patients".into(), log_size: 9, root: "00".into() };
    commands.record_rebuild(&permit, &ADMIN.origin(), rebuilt.clone()).await.unwrap();
    let import = house.may(ADMIN, Action::Import, Target::Tenant).unwrap();
    let finished = ImportFinished { read: 2, imported: 1, skipped: [("Claim: unsupported".to_owned(), 1)].into() };
    commands.finish_import(&import, &ADMIN.origin(), finished).await.unwrap();
    unfit(commands.record_rebuild(&import, &ADMIN.origin(), rebuilt).await, "action");
    let replay = house.may(AUDITOR, Action::Replay, Target::Audit(None)).unwrap();
    commands.record_replay(&replay, &AUDITOR.origin(), ReplayRun { filters: vec![], opened_phi: false }).await.unwrap();
    assert_eq!(house.ledger.head().durable, 4);
}
