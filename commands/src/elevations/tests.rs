use uuid::Uuid;

use super::*;
use crate::scenario::*;

const OWNER: u128 = 2;
const BOSS: u128 = 1;
const HOUR_S: u32 = 3600;

fn id(n: u128) -> ElevationId {
    ElevationId::new(Uuid::from_u128(n))
}
fn at(minutes: i64) -> Timestamp {
    NOW.parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
}
/// Somebody does something at a minute, to the elevation 1 of a user who holds these roles.
fn act(by: u128, minute: i64, held: &[Role], command: Command) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let roles: BTreeSet<Role> = held.iter().copied().collect();
    move |state| {
        let asking = Asking { user: user(OWNER), roles: &roles, enabled: true };
        decide(state, asking, id(1), command, &Context { now: at(minute), user: Some(user(by)), ..context() })
    }
}
fn ask(role: Role, lasts_s: u32, emergency: bool) -> Command {
    Command::Request { role, lasts_s, lasts_max_s: 4 * HOUR_S, reason: "ticket 4711".into(), emergency }
}
fn requested(n: u128, role: Role, answer_minutes: i64) -> Event {
    let (reason, answer_until) = ("ticket 4711".into(), at(answer_minutes));
    ElevationRequested { elevation: id(n), user: user(OWNER), role, lasts_s: HOUR_S, reason, answer_until }.into()
}
fn granted(role: Role, until: i64, by: Option<u128>) -> Event {
    let review_due_at = by.is_none().then(|| at(24 * 60));
    let by = by.map(user);
    ElevationGranted { elevation: id(1), user: user(OWNER), role, until: at(until), by, review_due_at }.into()
}
fn ended(by: u128) -> Event {
    ElevationEnded { elevation: id(1), user: user(OWNER), role: Role::Admin, by: user(by) }.into()
}
fn judged(outcome: ReviewOutcome) -> Event {
    ElevationReviewed { elevation: id(1), user: user(OWNER), by: user(BOSS), outcome }.into()
}
const SYSTEM: &[Role] = &[Role::SystemAdmin];

#[test]
fn a_role_is_asked_for_agreed_to_and_over() {
    let asked = || requested(1, Role::Admin, 24 * 60);
    given(&[]).when(act(OWNER, 0, SYSTEM, ask(Role::Admin, HOUR_S, false))).then([asked()]);
    given(&[asked()]).when(act(BOSS, 10, SYSTEM, Command::Approve)).then([granted(Role::Admin, 70, Some(BOSS))]);
    let refused: Event = ElevationRefused { elevation: id(1), user: user(OWNER), by: user(BOSS) }.into();
    given(&[asked()]).when(act(BOSS, 10, SYSTEM, Command::Refuse)).then([refused.clone()]);
    given(&[asked(), refused]).when(act(BOSS, 11, SYSTEM, Command::Approve)).rejected(Rejection::NotPending);
    let live = [asked(), granted(Role::Admin, 70, Some(BOSS))];
    given(&live).when(act(OWNER, 69, SYSTEM, Command::End)).then([ended(OWNER)]);
    given(&live).when(act(OWNER, 70, SYSTEM, Command::End)).rejected(Rejection::Over);
    given(&[asked()]).when(act(OWNER, 5, SYSTEM, Command::End)).then([ended(OWNER)]);
}

#[test]
fn nobody_answers_his_own_request_and_nobody_too_late() {
    let asked = || requested(1, Role::Admin, 24 * 60);
    for command in [Command::Approve, Command::Refuse] {
        given(&[asked()]).when(act(OWNER, 1, SYSTEM, command.clone())).rejected(Rejection::OwnCase);
        given(&[asked()]).when(act(BOSS, 24 * 60, SYSTEM, command)).rejected(Rejection::NotPending);
    }
}

#[test]
fn only_technical_roles_and_only_those_that_need_not_stay_apart() {
    for role in Role::ALL {
        let outcome = given::<State>(&[]).when(act(OWNER, 0, &[], ask(role, HOUR_S, false)));
        match role {
            Role::Admin | Role::SecurityAdmin | Role::SystemAdmin | Role::DatabaseAdmin => {
                outcome.then([requested(1, role, 24 * 60)]);
            }
            _ => outcome.rejected(Rejection::NotElevatable),
        }
    }
    for (held, wanted) in [
        (Role::SecurityAdmin, Role::Admin),
        (Role::Admin, Role::SecurityAdmin),
        (Role::Auditor, Role::DatabaseAdmin),
        (Role::ComplianceOfficer, Role::SystemAdmin),
    ] {
        for emergency in [false, true] {
            given(&[]).when(act(OWNER, 0, &[held], ask(wanted, HOUR_S, emergency))).rejected(Rejection::RolesApart);
        }
        // The role came in between.
        let asked = requested(1, wanted, 24 * 60);
        given(&[asked]).when(act(BOSS, 1, &[held], Command::Approve)).rejected(Rejection::RolesApart);
    }
    given(&[]).when(act(OWNER, 0, &[Role::Admin], ask(Role::Admin, HOUR_S, false))).rejected(Rejection::ElevationOpen);
}

#[test]
fn one_at_a_time() {
    let other = requested(2, Role::SystemAdmin, 60);
    let ask = || ask(Role::Admin, HOUR_S, false);
    given(std::slice::from_ref(&other)).when(act(OWNER, 59, &[], ask())).rejected(Rejection::ElevationOpen);
    given(&[other]).when(act(OWNER, 60, &[], ask())).then([requested(1, Role::Admin, 25 * 60)]);
}

#[test]
fn times_and_reasons_are_bounded() {
    for (lasts_s, emergency) in [(0, false), (59, false), (4 * HOUR_S + 1, false), (HOUR_S + 1, true)] {
        given(&[]).when(act(OWNER, 0, SYSTEM, ask(Role::Admin, lasts_s, emergency))).rejected(Rejection::BadDuration);
    }
    for reason in ["", "  ", "two\nlines"] {
        let command = Command::Request {
            role: Role::Admin,
            lasts_s: HOUR_S,
            lasts_max_s: HOUR_S,
            reason: reason.into(),
            emergency: false,
        };
        given(&[]).when(act(OWNER, 0, SYSTEM, command)).rejected(Rejection::BadWords);
    }
}

#[test]
fn an_emergency_asks_nobody_and_is_judged_by_somebody_else() {
    let live = || [requested(1, Role::Admin, 0), granted(Role::Admin, 60, None)];
    given(&[]).when(act(OWNER, 0, SYSTEM, ask(Role::Admin, HOUR_S, true))).then(live());
    given(&live()).when(act(BOSS, 1, SYSTEM, Command::Approve)).rejected(Rejection::NotPending);
    let judge = |outcome| Command::Judge(outcome);
    given(&live()).when(act(OWNER, 1, SYSTEM, judge(ReviewOutcome::Appropriate))).rejected(Rejection::OwnCase);
    let first = judged(ReviewOutcome::UnderInvestigation);
    given(&live()).when(act(BOSS, 1, SYSTEM, judge(ReviewOutcome::UnderInvestigation))).then([first.clone()]);
    let [one, two] = live();
    let open = [one, two, first];
    given(&open)
        .when(act(BOSS, 2, SYSTEM, judge(ReviewOutcome::UnderInvestigation)))
        .rejected(Rejection::NothingToJudge);
    given(&open)
        .when(act(BOSS, 2, SYSTEM, judge(ReviewOutcome::Inappropriate)))
        .then([judged(ReviewOutcome::Inappropriate)]);
    let [one, two, three] = open;
    let settled = [one, two, three, judged(ReviewOutcome::Inappropriate)];
    given(&settled).when(act(BOSS, 3, SYSTEM, judge(ReviewOutcome::Appropriate))).rejected(Rejection::NothingToJudge);
    // Where somebody had agreed there is nothing to judge.
    let agreed = [requested(1, Role::Admin, 60), granted(Role::Admin, 60, Some(BOSS))];
    given(&agreed).when(act(BOSS, 1, SYSTEM, judge(ReviewOutcome::Appropriate))).rejected(Rejection::NothingToJudge);
    given(&[]).when(act(BOSS, 1, SYSTEM, Command::Approve)).rejected(Rejection::NotFound);
}
