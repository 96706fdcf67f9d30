use wardbook_events::{Event, Group};
use wardbook_keys::SealError;
use wardbook_ledger::EventType;
use wardbook_policy::Action;

use super::house::*;
use crate::CommandError;
use crate::patients::{Change, CorrectPatient};
use crate::scenario::{patient, tenant};

#[test]
fn the_ledger_takes_every_type_of_the_vocabulary() {
    for (name, _) in Event::types() {
        assert!(name.parse::<EventType>().is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_ledger_that_has_stopped_shows_nothing() {
    let house = house();
    let permit = house.reading(PHYSICIAN, Action::ReadChart, patient(1), &PHYSICIAN.ask());
    house.ledger.close();
    let look = house.looked(PHYSICIAN, &permit).await;
    assert!(matches!(look, Err(CommandError::Stopped { .. })));
    let registered = house.register(someone("Okafor", "1980-02-03", None)).await;
    assert!(matches!(registered, Err(CommandError::Stopped { .. })), "{registered:?}");
}

/// A crash between making the key and the append: the retry finds the key and goes on.
#[tokio::test]
async fn a_key_without_a_patient_does_no_harm() {
    let house = house();
    let origin = REGISTRAR.keyed("k");
    house.keys.create_patient_key(tenant(), origin.ids(tenant()).patient()).unwrap();
    let command = someone("Okafor", "1980-02-03", None);
    house.commands.register_patient(&house.registering(), &origin, command).await.unwrap();
}

#[tokio::test]
async fn who_is_refused_as_a_duplicate_leaves_no_key() {
    let house = house();
    house.register(someone("Okafor", "1980-02-03", None)).await.unwrap();
    let origin = REGISTRAR.origin();
    let command = someone("Okafor", "1980-02-03", None);
    house.commands.register_patient(&house.registering(), &origin, command).await.unwrap_err();
    assert!(!house.keys.has_key(tenant(), origin.ids(tenant()).patient()).unwrap());
}

#[tokio::test]
async fn nothing_is_sealed_for_a_forgotten_person() {
    let house = house();
    let forgotten = house.register(someone("Okafor", "1980-02-03", None)).await.unwrap().value;
    house.keys.destroy_patient_key(tenant(), forgotten).unwrap();
    let permit = house.on_patient(REGISTRAR, correcting(&[Group::Demographics]), forgotten);
    let command = CorrectPatient { birth_date: Change::Set(born("1981-02-03").unwrap()), ..CorrectPatient::default() };
    let result = house.commands.correct_patient(&permit, &REGISTRAR.origin(), forgotten, None, command).await;
    assert!(matches!(result, Err(CommandError::Seal(SealError::Destroyed { .. }))), "{result:?}");
}
