use proptest::prelude::*;

use super::*;
use crate::scenario::*;

fn added_as(kind: RecordKind, author: Option<UserId>) -> Event {
    RecordAdded {
        record: record(1),
        patient: patient(1),
        kind,
        sensitivity: vec![Sensitivity::MentalHealth],
        year: Some(2026),
        author,
        body: sealed("body"),
    }
    .into()
}
fn added() -> Event {
    added_as(RecordKind::Note, Some(user(1)))
}
fn amended(old: &str, new: &str) -> Event {
    let (old, new) = (sealed(old), sealed(new));
    RecordAmended { record: record(1), patient: patient(1), year: Some(2025), old, new }.into()
}
fn signed() -> Event {
    RecordSigned { record: record(1), patient: patient(1), by: user(1) }.into()
}
fn addendum() -> Event {
    AddendumAdded { record: record(1), patient: patient(1), author: user(1), text: sealed("more") }.into()
}
fn retracted() -> Event {
    RecordRetracted { record: record(1), patient: patient(1), by: user(1) }.into()
}
fn run(command: Command) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state, command, &context())
}
fn add(patient: PatientId) -> Command {
    Command::Add {
        patient,
        record: record(1),
        kind: RecordKind::Note,
        sensitivity: vec![Sensitivity::MentalHealth, Sensitivity::MentalHealth],
        year: Some(2026),
        author: Some(user(1)),
        body: sealed("body"),
    }
}
fn amend(patient: PatientId) -> Command {
    Command::Amend { patient, record: record(1), year: Some(2025), body: sealed("new") }
}
fn sign(patient: PatientId) -> Command {
    Command::Sign { patient, record: record(1) }
}
fn append(patient: PatientId) -> Command {
    Command::AddAddendum { patient, record: record(1), text: sealed("more") }
}
fn retract(patient: PatientId) -> Command {
    Command::Retract { patient, record: record(1) }
}

#[test]
fn an_entry_is_added_once() {
    given(&[]).when(run(add(patient(1)))).then([added()]);
    given(&[added()]).when(run(add(patient(1)))).rejected(Rejection::AlreadyExists);
}

#[test]
fn an_unsigned_entry_can_be_amended_again_and_again() {
    given(&[added()]).when(run(amend(patient(1)))).then([amended("body", "new")]);
    given(&[added(), amended("body", "two")]).when(run(amend(patient(1)))).then([amended("two", "new")]);
    given(&[added(), signed()]).when(run(amend(patient(1)))).rejected(Rejection::Signed);
    given(&[added(), retracted()]).when(run(amend(patient(1)))).rejected(Rejection::Retracted);
}

#[test]
fn a_note_is_signed_once_by_its_author() {
    given(&[added()]).when(run(sign(patient(1)))).then([signed()]);
    given(&[added(), signed()]).when(run(sign(patient(1)))).rejected(Rejection::Signed);
    given(&[added(), retracted()]).when(run(sign(patient(1)))).rejected(Rejection::Retracted);
    given(&[added_as(RecordKind::Note, Some(user(2)))]).when(run(sign(patient(1)))).rejected(Rejection::NotTheAuthor);
    given(&[added_as(RecordKind::Note, None)]).when(run(sign(patient(1)))).rejected(Rejection::NotTheAuthor);
    given(&[added_as(RecordKind::Condition, Some(user(1)))]).when(run(sign(patient(1)))).rejected(Rejection::NotANote);
}

#[test]
fn only_signed_notes_take_addenda() {
    given(&[added(), signed()]).when(run(append(patient(1)))).then([addendum()]);
    given(&[added(), signed(), addendum()]).when(run(append(patient(1)))).then([addendum()]);
    given(&[added()]).when(run(append(patient(1)))).rejected(Rejection::NotSigned);
    given(&[added(), signed(), retracted()]).when(run(append(patient(1)))).rejected(Rejection::Retracted);
}

#[test]
fn what_is_wrong_is_retracted_once() {
    given(&[added()]).when(run(retract(patient(1)))).then([retracted()]);
    given(&[added(), signed()]).when(run(retract(patient(1)))).then([retracted()]);
    given(&[added(), retracted()]).when(run(retract(patient(1)))).rejected(Rejection::Retracted);
}

#[test]
fn a_permit_for_another_chart_reaches_nothing() {
    for command in [amend, sign, append, retract] {
        given(&[added()]).when(run(command(patient(2)))).rejected(Rejection::NotFound);
        given(&[added(), signed()]).when(run(command(patient(2)))).rejected(Rejection::NotFound);
        given(&[]).when(run(command(patient(1)))).rejected(Rejection::NotFound);
    }
}

#[test]
fn nobody_signs_or_retracts_anonymously() {
    let nobody = Context { user: None, ..context() };
    given(&[added()]).when(|s| decide(s, sign(patient(1)), &nobody)).rejected(Rejection::UnknownUser);
    given(&[added()]).when(|s| decide(s, retract(patient(1)), &nobody)).rejected(Rejection::UnknownUser);
    given(&[added(), signed()]).when(|s| decide(s, append(patient(1)), &nobody)).rejected(Rejection::UnknownUser);
}

proptest! {
    #[test]
    fn any_order_of_events_has_a_state_and_a_signed_note_never_changes(picks in prop::collection::vec(0_usize..5, 0..30)) {
        let all = [added(), amended("body", "new"), signed(), addendum(), retracted()];
        let mut state = State::default();
        for pick in picks {
            let next = state.clone().evolve(&all[pick]);
            if let State::Signed(before) = &state {
                let after = next.of(patient(1)).unwrap();
                prop_assert!(after.addenda.starts_with(&before.addenda), "addenda only come");
                prop_assert_eq!(&Record { addenda: before.addenda.clone(), ..after.clone() }, before);
                prop_assert!(!matches!(next, State::Open(_) | State::Unknown));
            }
            state = next;
        }
    }
}
