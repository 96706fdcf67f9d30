use super::*;
use crate::scenario::*;

fn saved(by: u128, at: &str) -> Event {
    DraftSaved {
        draft: record(1),
        patient: patient(1),
        author: user(by),
        kind: RecordKind::Note,
        sensitivity: vec![Sensitivity::Hiv],
        at: at.parse().unwrap(),
        body: sealed("x"),
    }
    .into()
}
fn discarded() -> Event {
    DraftDiscarded { draft: record(1), patient: patient(1), author: user(1) }.into()
}
fn run(of: u128, command: DraftCommand) -> impl FnOnce(&Draft) -> Result<Vec<Event>, Rejection> {
    move |state| decide_draft(state, (patient(of), record(1)), command, &context())
}
fn save() -> DraftCommand {
    let sensitivity = vec![Sensitivity::Hiv, Sensitivity::Hiv];
    DraftCommand::Save { kind: RecordKind::Note, sensitivity, body: sealed("x"), every: SignedDuration::from_secs(10) }
}
const BEFORE: &str = "2026-03-01T11:59:50Z";
const JUST_NOW: &str = "2026-03-01T11:59:51Z";

#[test]
fn a_draft_is_kept_every_so_often() {
    given(&[]).when(run(1, save())).then([saved(1, NOW)]);
    given(&[saved(1, BEFORE)]).when(run(1, save())).then([saved(1, NOW)]);
    given(&[saved(1, JUST_NOW)]).when(run(1, save())).rejected(Rejection::TooSoon);
}

#[test]
fn a_draft_is_its_authors_and_its_patients() {
    for command in [save(), DraftCommand::Discard] {
        given(&[saved(2, BEFORE)]).when(run(1, command.clone())).rejected(Rejection::NotFound);
        given(&[saved(1, BEFORE)]).when(run(2, command)).rejected(Rejection::NotFound);
    }
}

#[test]
fn what_was_thrown_away_does_not_come_back() {
    given(&[saved(1, JUST_NOW)]).when(run(1, DraftCommand::Discard)).then([discarded()]);
    given(&[]).when(run(1, DraftCommand::Discard)).rejected(Rejection::NotFound);
    given(&[saved(1, BEFORE), discarded()]).when(run(1, save())).rejected(Rejection::Discarded);
    given(&[saved(1, BEFORE), discarded()]).when(run(1, DraftCommand::Discard)).rejected(Rejection::Discarded);
}

#[test]
fn nothing_of_a_draft_is_printed() {
    let body = serde_json::json!({"text": "secret"});
    let command =
        SaveDraft { patient: patient(1), draft: record(1), kind: RecordKind::Note, sensitivity: vec![], body };
    assert_eq!(format!("{command:?}"), "SaveDraft(..)");
}
