use proptest::prelude::*;

use super::*;
use crate::scenario::*;

const LATER: &str = "2026-03-02T00:00:00Z";
const NURSES: Whom = Whom::Role(Role::Nurse);

fn run(command: Command) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state, patient(1), command, &context())
}
fn restricted(whom: Whom) -> Event {
    AccessRestricted { patient: patient(1), whom }.into()
}
fn lifted(whom: Whom) -> Event {
    RestrictionLifted { patient: patient(1), whom }.into()
}
fn agreed(label: Sensitivity, to: Option<UserId>) -> Event {
    DisclosurePermitted { patient: patient(1), label, to }.into()
}
fn withdrawn(label: Sensitivity, to: Option<UserId>) -> Event {
    DisclosureWithdrawn { patient: patient(1), label, to }.into()
}
fn proxy(until: Option<&str>) -> Event {
    ProxyGranted { patient: patient(1), user: user(2), until: until.map(|at| at.parse().unwrap()) }.into()
}
fn grant(until: Option<&str>) -> Command {
    Command::GrantProxy { user: user(2), until: until.map(|at| at.parse().unwrap()) }
}

#[test]
fn a_restriction_holds_until_it_is_lifted_and_is_said_once() {
    given(&[]).when(run(Command::Restrict(NURSES))).then([restricted(NURSES)]);
    given(&[restricted(NURSES)]).when(run(Command::Restrict(NURSES))).then_nothing();
    given(&[restricted(NURSES)]).when(run(Command::Lift(NURSES))).then([lifted(NURSES)]);
    given(&[restricted(NURSES), lifted(NURSES)]).when(run(Command::Lift(NURSES))).then_nothing();
    given(&[]).when(run(Command::Restrict(Whom::User(user(2))))).then([restricted(Whom::User(user(2)))]);
}

#[test]
fn nobody_shuts_himself_or_the_patient_out() {
    given(&[]).when(run(Command::Restrict(Whom::User(user(1))))).rejected(Rejection::OwnRestriction);
    given(&[]).when(run(Command::Restrict(Whom::Role(Role::Patient)))).rejected(Rejection::OwnRestriction);
}

#[test]
fn protected_entries_are_agreed_to_by_kind() {
    use Sensitivity::{Hiv, Psychotherapy, SubstanceUse};
    given(&[]).when(run(Command::Disclose(SubstanceUse, None))).then([agreed(SubstanceUse, None)]);
    given(&[agreed(SubstanceUse, None)]).when(run(Command::Disclose(SubstanceUse, None))).then_nothing();
    let to = Some(user(2));
    given(&[]).when(run(Command::Disclose(Psychotherapy, to))).then([agreed(Psychotherapy, to)]);
    for (label, to) in [(Psychotherapy, None), (SubstanceUse, to), (Hiv, None), (Hiv, to)] {
        given(&[]).when(run(Command::Disclose(label, to))).rejected(Rejection::BadDisclosure);
    }
    given(&[agreed(Psychotherapy, to)])
        .when(run(Command::Withdraw(Psychotherapy, to)))
        .then([withdrawn(Psychotherapy, to)]);
    given(&[]).when(run(Command::Withdraw(Psychotherapy, to))).then_nothing();
}

#[test]
fn somebody_else_represents_the_patient_for_a_time_to_come() {
    given(&[]).when(run(grant(None))).then([proxy(None)]);
    given(&[proxy(None)]).when(run(grant(None))).then_nothing();
    given(&[proxy(None)]).when(run(grant(Some(LATER)))).then([proxy(Some(LATER))]);
    given(&[]).when(run(grant(Some(NOW)))).rejected(Rejection::EndInPast);
    let myself = Command::GrantProxy { user: user(1), until: None };
    given(&[]).when(run(myself)).rejected(Rejection::OwnProxy);
    let ended: Event = ProxyEnded { patient: patient(1), user: user(2) }.into();
    given(&[proxy(None)]).when(run(Command::EndProxy(user(2)))).then([ended.clone()]);
    given(&[proxy(None), ended]).when(run(Command::EndProxy(user(2)))).then_nothing();
    given(&[proxy(Some("2026-02-01T00:00:00Z"))]).when(run(Command::EndProxy(user(2)))).then_nothing();
}

#[test]
fn there_is_a_bound() {
    let many: Vec<_> = (0..EACH_MAX as u128).map(|n| restricted(Whom::User(user(10 + n)))).collect();
    given(&many).when(run(Command::Restrict(NURSES))).rejected(Rejection::TooMany);
    given(&many).when(run(Command::Restrict(Whom::User(user(10))))).then_nothing();
    given(&many)
        .when(run(Command::Disclose(Sensitivity::SubstanceUse, None)))
        .then([agreed(Sensitivity::SubstanceUse, None)]);
}

proptest! {
    /// Whatever was said, saying something makes it so, and saying it again changes nothing.
    #[test]
    fn a_command_holds_once_it_was_carried_out(picks in prop::collection::vec(0_usize..8, 0..20), last in 0_usize..8) {
        let commands = [
            Command::Restrict(NURSES), Command::Lift(NURSES),
            Command::Disclose(Sensitivity::SubstanceUse, None), Command::Withdraw(Sensitivity::SubstanceUse, None),
            grant(None), grant(Some(LATER)), Command::EndProxy(user(2)), Command::Restrict(Whom::User(user(2))),
        ];
        let mut state = State::default();
        for pick in picks.into_iter().chain([last]) {
            let events = decide(&state, patient(1), commands[pick], &context()).unwrap();
            state = events.iter().fold(state, State::evolve);
        }
        prop_assert_eq!(decide(&state, patient(1), commands[last], &context()).unwrap(), Vec::new());
    }
}
