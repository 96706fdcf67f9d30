use uuid::Uuid;
use wardbook_events::UserId;

use super::*;
use crate::scenario::*;

fn id() -> ReviewId {
    ReviewId::new(Uuid::from_u128(9))
}
fn holding(n: u128, role: Role) -> Holding {
    Holding { user: user(n), role }
}
fn run(command: Command) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state, id(), command, &context())
}
fn due() -> Timestamp {
    "2026-04-01T00:00:00Z".parse().unwrap()
}
fn opened(holdings: Vec<Holding>) -> Event {
    ReviewOpened { review: id(), tenant: tenant(), title: "Q1".into(), roles: vec![], holdings, due_at: due() }.into()
}
fn open(holdings: Vec<Holding>) -> Command {
    Command::Open { title: "Q1".into(), roles: vec![], holdings, due_at: due() }
}
fn decided(holding: Holding, verdict: Verdict) -> Event {
    let by: UserId = user(1);
    HoldingDecided { review: id(), holding, verdict, by }.into()
}
const AUDITOR: Role = Role::Auditor;

#[test]
fn a_campaign_is_opened_over_what_there_is() {
    let (one, two) = (holding(2, AUDITOR), holding(3, Role::Nurse));
    given(&[]).when(run(open(vec![two, one, two]))).then([opened(vec![one, two])]);
    given(&[opened(vec![one])]).when(run(open(vec![one]))).rejected(Rejection::AlreadyExists);
    given(&[]).when(run(open(vec![]))).rejected(Rejection::NothingToReview);
    let many = (0..=HOLDINGS_MAX as u128).map(|n| holding(n, AUDITOR)).collect();
    given(&[]).when(run(open(many))).rejected(Rejection::TooManyHoldings);
    let past = Command::Open { title: "Q1".into(), roles: vec![], holdings: vec![one], due_at: NOW.parse().unwrap() };
    given(&[]).when(run(past)).rejected(Rejection::EndInPast);
    let nameless = Command::Open { title: " ".into(), roles: vec![], holdings: vec![one], due_at: due() };
    given(&[]).when(run(nameless)).rejected(Rejection::BadWords);
}

#[test]
fn each_holding_is_decided_once_and_by_somebody_else() {
    let (one, own) = (holding(2, AUDITOR), holding(1, AUDITOR));
    let given_open = || vec![opened(vec![one, own])];
    given(&given_open()).when(run(Command::Decide(one, Verdict::Keep))).then([decided(one, Verdict::Keep)]);
    given(&given_open()).when(run(Command::Decide(own, Verdict::Keep))).rejected(Rejection::OwnCase);
    let unknown = holding(7, AUDITOR);
    given(&given_open()).when(run(Command::Decide(unknown, Verdict::Keep))).rejected(Rejection::NotFound);
    let mut after = given_open();
    after.push(decided(one, Verdict::Keep));
    given(&after).when(run(Command::Decide(one, Verdict::Revoke))).rejected(Rejection::Decided);
    given(&[]).when(run(Command::Decide(one, Verdict::Keep))).rejected(Rejection::NotFound);
}

#[test]
fn it_is_closed_when_everything_is_decided() {
    let (one, two) = (holding(2, AUDITOR), holding(3, AUDITOR));
    let mut events = vec![opened(vec![one, two]), decided(one, Verdict::Keep)];
    given(&events).when(run(Command::Close)).rejected(Rejection::Undecided);
    events.push(decided(two, Verdict::Revoke));
    let closed: Event = ReviewClosed { review: id(), kept: 1, revoked: 1, by: user(1) }.into();
    given(&events).when(run(Command::Close)).then([closed.clone()]);
    events.push(closed);
    given(&events).when(run(Command::Close)).rejected(Rejection::Closed);
    given(&events).when(run(Command::Decide(one, Verdict::Keep))).rejected(Rejection::Closed);
}

#[test]
fn another_organisation_has_no_such_campaign() {
    let elsewhere = Context { tenant: TenantId::new(Uuid::from_u128(1)), ..context() };
    let one = holding(2, AUDITOR);
    for command in [Command::Decide(one, Verdict::Revoke), Command::Close] {
        given(&[opened(vec![one])])
            .when(|state| decide(state, id(), command, &elsewhere))
            .rejected(Rejection::NotFound);
    }
}

#[test]
fn the_last_role_goes_with_the_account() {
    let take = |held: &[Role], verdict| taking(held, AUDITOR, verdict);
    assert_eq!(take(&[AUDITOR, Role::Nurse], Verdict::Revoke), Taking::Role(AUDITOR));
    assert_eq!(take(&[AUDITOR], Verdict::Revoke), Taking::Account);
    assert_eq!(take(&[Role::Nurse], Verdict::Revoke), Taking::Nothing);
    assert_eq!(take(&[AUDITOR, Role::Nurse], Verdict::Keep), Taking::Nothing);
}
