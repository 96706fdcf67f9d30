//! Re-indexing and sealing anew against a real ledger and real keys, while others write.

use wardbook_events::patients::stream;
use wardbook_events::values::{PersonName, Phone};
use wardbook_events::{Event, Field, Group, PatientId, Sealed, Token};
use wardbook_ledger::Direction;
use wardbook_policy::Action;

use super::house::*;
use crate::patients::{Change, CorrectPatient, State};
use crate::scenario::tenant;
use crate::{CommandError, Evolve, Rejection};

const SSN: &str = "123-45-6789";

async fn state(house: &House, patient: PatientId) -> State {
    let entries = house.ledger.stream(&stream(patient).parse().unwrap(), 1, Direction::Forward, 1000).unwrap();
    let events = entries.iter().map(|e| Event::decode(e.event_type().as_str(), e.schema_version(), e.body()).unwrap());
    events.fold(State::default(), |state, event| state.evolve(&event))
}

fn versions<'t>(tokens: impl IntoIterator<Item = &'t Token>) -> Vec<u32> {
    let mut all: Vec<_> = tokens.into_iter().map(|token| token.index).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn is_duplicate<T>(result: &Result<T, CommandError>) -> bool {
    matches!(result, Err(CommandError::Rejected(Rejection::Duplicate)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_registered_twice_before_while_and_after_a_patient_is_reindexed() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", Some(SSN))).await.unwrap().value;
    house.keys.rotate_index_key(tenant()).unwrap();
    assert!(is_duplicate(&house.register(someone("Other", "1980-02-03", Some(SSN))).await), "before");

    let tries: Vec<_> = (0..24)
        .map(|n| {
            let house = house.clone();
            tokio::spawn(async move { house.register(someone(&format!("Other{n}"), "1980-02-03", Some(SSN))).await })
        })
        .collect();
    house.commands.reindex_patient(tenant(), &SYSTEM.origin(), patient).await.unwrap();
    for result in tries {
        assert!(is_duplicate(&result.await.unwrap()), "while");
    }
    let state_now = state(&house, patient).await;
    assert_eq!(versions(&state_now.active().unwrap().tokens), [2]);
    assert!(is_duplicate(&house.register(someone("Other", "1980-02-03", Some(SSN))).await), "after");

    // Who is registered now is found by both; a correction of who was re-indexed makes both again.
    let other = house.register(someone("Newcomer", "1980-02-03", None)).await.unwrap().value;
    assert_eq!(versions(&state(&house, other).await.active().unwrap().tokens), [1, 2]);
    let permit = house.on_patient(REGISTRAR, correcting(&[Group::Contact]), patient);
    let phones = Change::Set(vec![Phone::new("+1 555 0100").unwrap()]);
    let command = CorrectPatient { phones, ..CorrectPatient::default() };
    house.commands.correct_patient(&permit, &REGISTRAR.origin(), patient, None, command).await.unwrap();
    assert_eq!(versions(&state(&house, patient).await.active().unwrap().tokens), [1, 2]);

    house.keys.retire_index_keys(tenant(), 2).unwrap();
    for one in [patient, other] {
        house.commands.reindex_patient(tenant(), &SYSTEM.origin(), one).await.unwrap();
        let again = house.commands.reindex_patient(tenant(), &SYSTEM.origin(), one).await.unwrap();
        assert!(again.receipts.is_empty(), "it is so already");
        assert_eq!(versions(&state(&house, one).await.active().unwrap().tokens), [2]);
    }
    assert_eq!(house.keys.destroy_index_keys(tenant()).unwrap(), [1]);
    assert!(is_duplicate(&house.register(someone("Other", "1980-02-03", Some(SSN))).await), "when the old key is gone");
    let claimed = house.count("patients.token-claimed");
    assert_eq!(claimed - house.count("patients.token-released"), 5, "of each unique token of both one claim is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_current_is_sealed_anew_and_opens_when_the_old_versions_do_not() {
    let house = house();
    let patient = house.register(someone("Okafor", "1980-02-03", Some(SSN))).await.unwrap().value;
    let note = house.add_note(patient, "secret").await;
    let (keys, commands) = (&house.keys, &house.commands);
    let before = state(&house, patient).await.active().unwrap().fields.clone();
    assert_eq!(commands.reseal_patient(tenant(), &SYSTEM.origin(), patient).await.unwrap(), 0, "it is so already");
    keys.rotate_patient_key(tenant(), patient).unwrap();
    assert!(keys.is_settled(tenant()));
    assert_eq!(commands.reseal_patient(tenant(), &SYSTEM.origin(), patient).await.unwrap(), before.0.len() as u64);
    assert_eq!(commands.reseal_record(tenant(), &SYSTEM.origin(), note).await.unwrap(), 1);
    assert_eq!(commands.reseal_record(tenant(), &SYSTEM.origin(), note).await.unwrap(), 0);
    assert_eq!(house.count("patients.resealed"), 1);
    assert_eq!(keys.disable_versions(tenant(), &[(patient, 2)]).unwrap(), 1);

    let ask = PHYSICIAN.ask();
    let permit = house.reading(PHYSICIAN, Action::ReadChart, patient, &ask);
    let receipt = house.looked(PHYSICIAN, &permit).await.unwrap();
    let now = state(&house, patient).await.active().unwrap().fields.clone();
    let name = |fields: &wardbook_events::SealedFields| -> Sealed<PersonName> {
        fields.get(tenant(), patient, &stream(patient), Field::Name).unwrap()
    };
    assert_eq!(keys.open(&permit, &receipt, &name(&now)).unwrap(), super::house::name("Okafor", &["Anna", "Maria"]));
    assert!(keys.open(&permit, &receipt, &name(&before)).is_err(), "the old version opens nothing");

    // A correction goes on from what is sealed anew.
    let permit = house.on_patient(REGISTRAR, correcting(&[Group::Contact]), patient);
    let phones = Change::Set(vec![Phone::new("+1 555 0100").unwrap()]);
    let command = CorrectPatient { phones, ..CorrectPatient::default() };
    commands.correct_patient(&permit, &REGISTRAR.origin(), patient, None, command).await.unwrap();
    assert!(is_duplicate(&house.register(someone("Other", "1980-02-03", Some(SSN))).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_command_holds_its_keys_until_it_is_durable() {
    let house = house();
    house.register(someone("Okafor", "1980-02-03", None)).await.unwrap();
    let held = house.keys.use_keys(tenant());
    house.keys.rotate_index_key(tenant()).unwrap();
    house.register(someone("Bello", "1980-02-03", None)).await.unwrap();
    assert!(!house.keys.is_settled(tenant()));
    drop(held);
    assert!(house.keys.is_settled(tenant()), "what was carried out holds nothing any more");
}
