use wardbook_events::patients::stream;
use wardbook_events::values::{Mrn, PersonName, Ssn};
use wardbook_events::{Field, Group, PatientId, SealedFields};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit};

use super::house::*;
use crate::context::Evolve;
use crate::patients::{Change, CorrectPatient, Flag, RegisterPatient, State};
use crate::scenario::tenant;
use crate::{CommandError, Rejection, UnfitPermit};

impl House {
    fn fields(&self, patient: PatientId) -> SealedFields {
        let entries =
            self.ledger.stream(&stream(patient).parse().unwrap(), 1, wardbook_ledger::Direction::Forward, 100).unwrap();
        let events: Vec<_> = entries
            .iter()
            .map(|e| wardbook_events::Event::decode(e.event_type().as_str(), e.schema_version(), e.body()).unwrap())
            .collect();
        State::after(&events).active().unwrap().fields.clone()
    }
    async fn look(&self, patient: PatientId) -> (Permit, Receipt) {
        let permit = self.reading(REGISTRAR, Action::ReadChart, patient, &REGISTRAR.ask());
        let receipt = self.looked(REGISTRAR, &permit).await.unwrap();
        (permit, receipt)
    }
    async fn correct(&self, patient: PatientId, command: CorrectPatient) -> Result<crate::Done<()>, CommandError> {
        let groups: Vec<Group> = command.groups().iter().collect();
        let groups = if groups.is_empty() { vec![Group::Contact] } else { groups };
        let permit = self.on_patient(REGISTRAR, correcting(&groups), patient);
        self.commands.correct_patient(&permit, &REGISTRAR.origin(), patient, None, command).await
    }
}

fn is_duplicate<T: std::fmt::Debug>(result: Result<T, CommandError>) -> bool {
    matches!(result, Err(CommandError::Rejected(Rejection::Duplicate)))
}

#[tokio::test]
async fn what_was_registered_can_be_opened_after_a_look() {
    let house = house();
    let command = someone("Okafor", "1980-02-03", Some("123-45-6789"));
    let patient = house.register(command.clone()).await.unwrap().value;
    let (permit, receipt) = house.look(patient).await;
    let fields = house.fields(patient);
    let sealed = fields.get::<PersonName>(tenant(), patient, &stream(patient), Field::Name).unwrap();
    assert!(house.keys.open(&permit, &receipt, &sealed).unwrap() == command.name);
    let mrn = fields.get::<Mrn>(tenant(), patient, &stream(patient), Field::Mrn).unwrap();
    let mrn = house.keys.open(&permit, &receipt, &mrn).unwrap();
    assert!(mrn.as_str().starts_with("MRN-") && mrn.as_str().len() == 20);
}

#[tokio::test]
async fn a_corrected_ssn_is_free_for_its_owner() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", Some("123-45-6789"))).await.unwrap().value;
    assert!(is_duplicate(house.register(someone("Adeyemi", "1990-01-01", Some("123 45 6789"))).await));
    let command = CorrectPatient { ssn: Change::Set(Ssn::new("987-65-4321").unwrap()), ..CorrectPatient::default() };
    let done = house.correct(patient, command).await.unwrap();
    assert_eq!((done.receipts.len(), done.stream_version), (3, 2));
    house.register(someone("Adeyemi", "1990-01-01", Some("123-45-6789"))).await.unwrap();
    assert!(is_duplicate(house.register(someone("Bello", "1991-01-01", Some("987-65-4321"))).await));
}

/// The mark follows a change of either value.
#[tokio::test]
async fn namesakes_are_known_after_a_correction() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let mut as_one_word = someone("OKAFOR", "1980-02-03", None);
    as_one_word.name = name("OKAFOR", &["Anna Maria"]);
    assert!(is_duplicate(house.register(as_one_word.clone()).await));

    let command = CorrectPatient { birth_date: Change::Set(born("1981-02-03").unwrap()), ..CorrectPatient::default() };
    house.correct(patient, command).await.unwrap();
    assert!(is_duplicate(house.register(someone("Okafor", "1981-02-03", None)).await));
    let namesake = house.register(as_one_word).await.unwrap().value;

    let command = CorrectPatient { name: Some(name("Bello", &["Anna", "Maria"])), ..CorrectPatient::default() };
    house.correct(patient, command).await.unwrap();
    assert!(is_duplicate(house.register(someone("Bello", "1981-02-03", None)).await));
    house.register(someone("Okafor", "1981-02-03", None)).await.unwrap();

    let command = CorrectPatient { birth_date: Change::Clear, ..CorrectPatient::default() };
    house.correct(namesake, command).await.unwrap();
    house.register(someone("Okafor", "1980-02-03", None)).await.unwrap();
}

#[tokio::test]
async fn people_who_are_distinct_can_be_registered_when_confirmed() {
    let house = house();
    house.register(someone("Okafor", "1980-02-03", None)).await.unwrap();
    let confirmed = RegisterPatient { confirm_distinct: true, ..someone("Okafor", "1980-02-03", None) };
    house.register(confirmed).await.unwrap();
    assert!(is_duplicate(house.register(someone("Okafor", "1980-02-03", None)).await));
}

#[tokio::test]
async fn a_correction_of_nothing_writes_nothing() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let done = house.correct(patient, CorrectPatient::default()).await.unwrap();
    assert_eq!((done.receipts.len(), done.stream_version), (0, 1));
}

#[tokio::test]
async fn dates_to_come_are_refused_but_not_where_the_day_has_begun() {
    let house = house(); // it is noon of March 1, 2026 in UTC, and already March 2 in Kiribati
    house.register(someone("Newborn", "2026-03-02", None)).await.unwrap();
    let tomorrow = house.register(someone("Unborn", "2026-03-03", None)).await;
    assert!(matches!(tomorrow, Err(CommandError::Rejected(Rejection::DateInFuture))));
}

#[tokio::test]
async fn merging_and_parting_write_both_streams_at_once() {
    let house = house();
    let one = house.register(someone("Okafor", "1980-02-03", Some("123-45-6789"))).await.unwrap().value;
    let other = house.register(someone("Okafor-Bello", "1980-02-03", None)).await.unwrap().value;
    let permits = [one, other].map(|patient| house.on_patient(REGISTRAR, Action::MergePatients, patient));
    let [first, second] = &permits;
    let done = house.commands.merge_patients([first, second], &REGISTRAR.origin(), one, other).await.unwrap();
    let [merged, absorbed] = &done.receipts[..] else { panic!("two events") };
    assert_eq!(merged.position().next(), absorbed.position());
    assert_eq!((merged.stream().as_str(), absorbed.stream().as_str()), (&*stream(one), &*stream(other)));

    let command = CorrectPatient { ssn: Change::Clear, ..CorrectPatient::default() };
    assert!(matches!(house.correct(one, command).await, Err(CommandError::Rejected(Rejection::Retired))));
    let command = CorrectPatient { ssn: Change::Set(Ssn::new("123-45-6789").unwrap()), ..CorrectPatient::default() };
    house.correct(other, command).await.unwrap();

    let again = house.commands.merge_patients([first, second], &REGISTRAR.origin(), one, other).await;
    assert!(matches!(again, Err(CommandError::Rejected(Rejection::Retired))));
    let wrong_way = house.commands.unmerge_patients([second, first], &REGISTRAR.origin(), other, one).await;
    assert!(matches!(wrong_way, Err(CommandError::Rejected(Rejection::Retired))));
    house.commands.unmerge_patients([first, second], &REGISTRAR.origin(), one, other).await.unwrap();
    assert_eq!((house.count("patients.unmerged"), house.count("patients.parted")), (1, 1));
}

#[tokio::test]
async fn a_permit_is_good_for_its_command_only() {
    let house = house();
    let one = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    let other = house.register(someone("Bello", "1980-02-03", None)).await.unwrap().value;
    let unfit = |result: Result<crate::Done<()>, CommandError>, what| {
        assert!(matches!(result, Err(CommandError::UnfitPermit(UnfitPermit(part))) if part == what), "{result:?}");
    };
    let commands = &house.commands;
    let contact = house.on_patient(REGISTRAR, correcting(&[Group::Contact]), one);
    let rename = || CorrectPatient { name: Some(name("New", &["Name"])), ..CorrectPatient::default() };
    unfit(commands.correct_patient(&contact, &REGISTRAR.origin(), one, None, rename()).await, "field group");
    unfit(
        commands.correct_patient(&contact, &REGISTRAR.origin(), other, None, CorrectPatient::default()).await,
        "patient",
    );
    unfit(commands.correct_patient(&contact, &PHYSICIAN.origin(), one, None, CorrectPatient::default()).await, "actor");
    unfit(commands.flag_patient(&contact, &REGISTRAR.origin(), one, Flag::default()).await, "action");
    let merging = house.on_patient(REGISTRAR, Action::MergePatients, one);
    unfit(commands.merge_patients([&merging, &merging], &REGISTRAR.origin(), one, other).await, "patient");
    assert_eq!(house.ledger.stream_version(&stream(one).parse().unwrap()).unwrap(), 1);
}

#[test]
fn debug_shows_no_phi() {
    let text = format!("{:?} {:?}", someone("Okafor", "1980-02-03", Some("123-45-6789")), CorrectPatient::default());
    assert_eq!(text, "RegisterPatient(..) CorrectPatient(..)");
}
