use wardbook_events::care_teams::Function;
use wardbook_events::identity::AccountKind;
use wardbook_events::records::{RecordBody, RecordEvent, RecordKind, Sensitivity, body_field, stream};
use wardbook_events::values::Text;
use wardbook_events::{Event, GroupSet, Role, Sealed};
use wardbook_ledger::Direction;
use wardbook_policy::{Action, Target};

use super::house::*;
use crate::identity::CreateUser;
use crate::records::AddRecord;
use crate::scenario::{patient as unknown_patient, tenant, user};
use crate::{CommandError, Rejection, UnfitPermit};

#[tokio::test]
async fn a_note_lives_from_draft_to_retraction() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let record = house.add_note(patient, "draft").await;
    let both = (patient, record);
    let (commands, origin) = (&house.commands, || PHYSICIAN.origin());
    let permit = |action| house.on_record(action, patient, record);
    let more = || Text::new("more").unwrap();
    let early = commands.add_addendum(&permit(Action::AddAddendum), &origin(), both, None, more()).await;
    assert!(matches!(early, Err(CommandError::Rejected(Rejection::NotSigned))));
    commands.amend_record(&permit(Action::AmendRecord), &origin(), both, Some(1), body("final")).await.unwrap();
    let unseen = commands.sign_record(&permit(Action::SignRecord), &origin(), both, Some(1)).await;
    assert!(matches!(unseen, Err(CommandError::WrongVersion { expected: 1, actual: 2 })));
    commands.sign_record(&permit(Action::SignRecord), &origin(), both, Some(2)).await.unwrap();
    let late = commands.amend_record(&permit(Action::AmendRecord), &origin(), both, None, body("late")).await;
    assert!(matches!(late, Err(CommandError::Rejected(Rejection::Signed))));
    commands.add_addendum(&permit(Action::AddAddendum), &origin(), both, None, more()).await.unwrap();
    let done = commands.retract_record(&permit(Action::RetractRecord), &origin(), both, Some(4)).await.unwrap();
    assert_eq!(done.stream_version, 5);
}

#[tokio::test]
async fn what_is_sensitive_is_sealed_as_such() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let origin = PHYSICIAN.origin();
    let record = origin.ids(tenant()).record();
    let labels = vec![Sensitivity::MentalHealth];
    let mut about = record_facts(record, false);
    about.sensitivity.clone_from(&labels);
    let permit = house.may(PHYSICIAN, Action::AddRecord, Target::Record(&facts(patient), &about)).unwrap();
    let command = AddRecord { patient, kind: RecordKind::Note, sensitivity: labels.clone(), body: body("secret") };
    assert_eq!(format!("{command:?}"), "AddRecord(..)");
    house.commands.add_record(&permit, &origin, command).await.unwrap();

    let entry = house.ledger.stream(&stream(record).parse().unwrap(), 1, Direction::Forward, 1).unwrap().remove(0);
    let Event::Record(RecordEvent::Added(added)) = Event::decode("records.added", 1, entry.body()).unwrap() else {
        panic!()
    };
    assert_eq!((added.year, added.author), (Some(2025), Some(PHYSICIAN.user())));
    let ask = PHYSICIAN.ask();
    let action = Action::ReadRecords;
    let permit = house
        .policies
        .read(&PHYSICIAN.principal(), &facts(patient), Some(&about), &ask, GroupSet::all(), action)
        .unwrap();
    let receipt = house.looked(PHYSICIAN, &permit).await.unwrap();
    let sealed = Sealed::<RecordBody>::new(tenant(), patient, stream(record), body_field(&labels), added.body);
    assert!(house.keys.open(&permit, &receipt, &sealed).unwrap() == body("secret"));
}

#[tokio::test]
async fn entries_belong_to_patients_and_permits_to_entries() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let (one, other) = (house.add_note(patient, "one").await, house.add_note(patient, "other").await);
    let permit = house.on_record(Action::AmendRecord, patient, one);
    let result = house.commands.amend_record(&permit, &PHYSICIAN.origin(), (patient, other), None, body("x")).await;
    assert!(matches!(result, Err(CommandError::UnfitPermit(UnfitPermit("record")))));

    let origin = PHYSICIAN.origin();
    let nobody = unknown_patient(99);
    let permit = house.on_record(Action::AddRecord, nobody, origin.ids(tenant()).record());
    let command = AddRecord { patient: nobody, kind: RecordKind::Note, sensitivity: vec![], body: body("x") };
    assert!(matches!(house.commands.add_record(&permit, &origin, command).await, Err(CommandError::NotFound)));
}

#[tokio::test]
async fn imported_entries_have_no_author_here() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let permit = house.may(SYSTEM, Action::Import, Target::Tenant).unwrap();
    let command = AddRecord { patient, kind: RecordKind::Condition, sensitivity: vec![], body: body("x") };
    let record = house.commands.add_record(&permit, &SYSTEM.origin(), command).await.unwrap().value;
    let entry = house.ledger.stream(&stream(record).parse().unwrap(), 1, Direction::Forward, 1).unwrap().remove(0);
    let Event::Record(RecordEvent::Added(added)) = Event::decode("records.added", 1, entry.body()).unwrap() else {
        panic!()
    };
    assert_eq!(added.author, None);
}

#[tokio::test]
async fn only_known_users_join_a_care_team() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let assign = |user, function| {
        let house = house.clone();
        async move {
            let permit = house.may(REGISTRAR, Action::AssignMember, Target::Member(&facts(patient), user)).unwrap();
            house.commands.assign_member(&permit, &REGISTRAR.origin(), patient, user, function, None, None).await
        }
    };
    assert!(matches!(assign(user(77), Function::Nursing).await, Err(CommandError::Rejected(Rejection::UnknownUser))));
    let permit = house.may(ADMIN, Action::ManageUsers, Target::Tenant).unwrap();
    let roles = [Role::Nurse].into();
    let create = CreateUser {
        kind: AccountKind::Person,
        username: "joy".into(),
        roles,
        departments: vec![],
        patient: None,
        password: None,
    };
    let nurse = house.commands.create_user(&permit, &ADMIN.origin(), create).await.unwrap().value;
    assert_eq!(assign(nurse, Function::Nursing).await.unwrap().receipts.len(), 1);
    assert_eq!(assign(nurse, Function::Nursing).await.unwrap().receipts.len(), 0);
    let permit = house.may(REGISTRAR, Action::EndMember, Target::Member(&facts(patient), nurse)).unwrap();
    let end = async || house.commands.end_member(&permit, &REGISTRAR.origin(), patient, nurse).await;
    end().await.unwrap();
    assert_eq!(end().await.map(|_| ()).unwrap_err().to_string(), Rejection::NotAMember.to_string());
}
