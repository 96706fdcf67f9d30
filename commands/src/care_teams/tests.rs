use proptest::prelude::*;

use super::*;
use crate::scenario::*;

fn assigned(function: Function, until: Option<&str>) -> Event {
    let until = until.map(|text| text.parse().unwrap());
    MemberAssigned { patient: patient(1), user: user(2), function, until }.into()
}
fn ended() -> Event {
    MemberEnded { patient: patient(1), user: user(2) }.into()
}
fn assign(function: Function, until: Option<&str>) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let until = until.map(|text| text.parse().unwrap());
    within(function, until, None)
}
fn within(
    function: Function,
    until: Option<Timestamp>,
    panel: Option<Panel>,
) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let command = Command::Assign { patient: patient(1), user: user(2), function, until, panel };
    move |state| decide(state, command, &context())
}
fn end(state: &State) -> Result<Vec<Event>, Rejection> {
    decide(state, Command::End { patient: patient(1), user: user(2) }, &context())
}
const LATER: Option<&str> = Some("2026-03-02T00:00:00Z");
const OVER: Option<&str> = Some("2026-02-01T00:00:00Z");

#[test]
fn a_member_joins_once() {
    let nurse = || assigned(Function::Nursing, LATER);
    given(&[]).when(assign(Function::Nursing, LATER)).then([nurse()]);
    given(&[nurse()]).when(assign(Function::Nursing, LATER)).then_nothing();
    given(&[nurse(), ended()]).when(assign(Function::Nursing, LATER)).then([nurse()]);
}

#[test]
fn a_members_function_and_end_can_change() {
    given(&[assigned(Function::Nursing, None)])
        .when(assign(Function::Consulting, None))
        .then([assigned(Function::Consulting, None)]);
    given(&[assigned(Function::Nursing, None)])
        .when(assign(Function::Nursing, LATER))
        .then([assigned(Function::Nursing, LATER)]);
}

#[test]
fn nobody_joins_for_a_time_that_is_over() {
    given(&[]).when(assign(Function::Nursing, OVER)).rejected(Rejection::EndInPast);
    given(&[]).when(assign(Function::Nursing, Some(NOW))).rejected(Rejection::EndInPast);
}

#[test]
fn nobody_gets_more_patients_than_the_role_may_have() {
    let with = |held| within(Function::Nursing, None, Some(Panel { held, max: 2 }));
    let nurse = || assigned(Function::Nursing, None);
    given(&[]).when(with(1)).then([nurse()]);
    given(&[]).when(with(2)).rejected(Rejection::PanelFull { max: 2 });
    given(&[assigned(Function::Nursing, OVER)]).when(with(2)).rejected(Rejection::PanelFull { max: 2 });
    given(&[assigned(Function::Consulting, None)]).when(with(2)).then([nurse()]);
}

#[test]
fn only_members_leave() {
    given(&[assigned(Function::Nursing, LATER)]).when(end).then([ended()]);
    given(&[]).when(end).rejected(Rejection::NotAMember);
    given(&[assigned(Function::Nursing, None), ended()]).when(end).rejected(Rejection::NotAMember);
    given(&[assigned(Function::Nursing, OVER)]).when(end).rejected(Rejection::NotAMember);
}

proptest! {
    #[test]
    fn the_last_word_counts(picks in prop::collection::vec(0_usize..3, 0..20)) {
        let all = [assigned(Function::Nursing, None), assigned(Function::Attending, LATER), ended()];
        let state = State::after(picks.iter().map(|pick| &all[*pick]));
        let now = NOW.parse().unwrap();
        let function = state.member(user(2), now).map(|membership| membership.function);
        prop_assert_eq!(function, picks.last().and_then(|pick| [Some(Function::Nursing), Some(Function::Attending), None][*pick]));
    }
}
