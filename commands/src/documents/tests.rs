use wardbook_events::documents::{Digests, MediaType, Object};
use wardbook_events::records::RecordKind;

use super::*;
use crate::scenario::*;

fn digests() -> Digests {
    Digests { sha256: "00".into(), blake3: "00".into() }
}
fn document() -> DocumentAdded {
    DocumentAdded {
        document: record(1),
        patient: patient(1),
        kind: RecordKind::Document,
        sensitivity: vec![Sensitivity::Hiv],
        year: Some(2026),
        author: user(1),
        media_type: MediaType::Pdf,
        size_bytes: 10,
        object: Object { name: "00/0000".into(), form: 1, sealed: digests() },
        body: sealed("body"),
        object_key: sealed("key"),
    }
}
fn added() -> Event {
    document().into()
}
fn retracted() -> Event {
    DocumentRetracted { document: record(1), patient: patient(1), by: user(1) }.into()
}
fn resealed(body: &str) -> Event {
    DocumentResealed { document: record(1), patient: patient(1), body: sealed(body), object_key: sealed("key-2") }
        .into()
}
fn damaged(chunk: u64) -> Event {
    DocumentFoundDamaged { document: record(1), patient: patient(1), fault: Fault::Damaged, chunk: Some(chunk) }.into()
}
fn run(command: Command) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state, (patient(1), record(1)), command, &context())
}
fn reseal(old: &str, new: &str) -> Command {
    Command::Reseal { old: sealed(old), body: sealed(new), object_key: sealed("key-2") }
}
fn find(chunk: u64) -> Command {
    Command::FindDamaged { fault: Fault::Damaged, chunk: Some(chunk) }
}

#[test]
fn a_document_is_added_once() {
    let twice = DocumentAdded { sensitivity: vec![Sensitivity::Hiv, Sensitivity::Hiv], ..document() };
    given(&[]).when(run(Command::Add(Box::new(twice)))).then([added()]);
    given(&[added()]).when(run(Command::Add(Box::new(document())))).rejected(Rejection::AlreadyExists);
    given(&[added(), retracted()]).when(run(Command::Add(Box::new(document())))).rejected(Rejection::AlreadyExists);
}

#[test]
fn a_document_is_retracted_once_and_by_somebody() {
    given(&[added()]).when(run(Command::Retract)).then([retracted()]);
    given(&[added(), retracted()]).when(run(Command::Retract)).rejected(Rejection::Retracted);
    given(&[]).when(run(Command::Retract)).rejected(Rejection::NotFound);
    let nobody = Context { user: None, ..context() };
    given(&[added()])
        .when(|state| decide(state, (patient(1), record(1)), Command::Retract, &nobody))
        .rejected(Rejection::UnknownUser);
}

#[test]
fn nothing_is_done_to_a_document_of_another_chart() {
    for command in [Command::Retract, reseal("body", "new"), find(1)] {
        given(&[added()])
            .when(|state| decide(state, (patient(2), record(1)), command, &context()))
            .rejected(Rejection::NotFound);
    }
}

#[test]
fn what_is_sealed_anew_takes_the_place_of_what_was_there() {
    given(&[added()]).when(run(reseal("body", "new"))).then([resealed("new")]);
    given(&[added(), retracted()]).when(run(reseal("body", "new"))).then([resealed("new")]);
    given(&[added(), resealed("new")]).when(run(reseal("body", "newer"))).then_nothing();
    given(&[added(), resealed("new")]).when(run(reseal("new", "newer"))).then([resealed("newer")]);
    given(&[]).when(run(reseal("body", "new"))).rejected(Rejection::NotFound);
}

#[test]
fn the_same_damage_is_told_once() {
    given(&[added()]).when(run(find(1))).then([damaged(1)]);
    given(&[added(), damaged(1)]).when(run(find(1))).then_nothing();
    given(&[added(), damaged(1)]).when(run(find(2))).then([damaged(2)]);
    given(&[added(), damaged(1), damaged(2)]).when(run(find(1))).then([damaged(1)]);
    given(&[]).when(run(find(1))).rejected(Rejection::NotFound);
}
