use super::*;
use wardbook_events::identity::SteppedUp;

fn fail(minute: i64, known: bool) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    on(move |was| logins::fail(was, user(2), Factor::Password, known, RULES, &at(minute)))
}
/// Failures at these minutes.
fn failures(known: bool, at: &[i64]) -> Vec<(Event, i64)> {
    let mut events = vec![(created(NURSE), 0)];
    events.extend(at.iter().map(|minute| (failed(Factor::Password, known), *minute)));
    events
}

#[test]
fn a_session_begins_for_an_enabled_user_and_has_an_end() {
    let password = &[Proof::Password];
    given(&[created(NURSE)]).when(log_in(1, password)).then([logged_in(1, TONIGHT)]);
    given(&[created(NURSE), disabled()]).when(log_in(1, password)).rejected(Rejection::UserDisabled);
    for wrong in [NOW, "2026-02-28T00:00:00Z", "2026-03-08T12:00:01Z"] {
        let begin = Begin { expires_at: time(wrong), ..begin(1, password) };
        given(&[created(NURSE)])
            .when(on(|was| logins::log_in(was, user(2), begin, RULES, &context())))
            .rejected(Rejection::SessionTooLong);
    }
    given(&[created(NURSE)]).when(log_in(1, &[])).rejected(Rejection::NoProof);
    given(&[created(NURSE)]).when(log_in(1, &vec![Proof::Password; 11])).rejected(Rejection::NoProof);
}

#[test]
fn a_password_that_was_changed_meanwhile_lets_nobody_in() {
    let changed = || -> Event { PasswordSet { user: user(2), hash: sealed("another") }.into() };
    let with = |hash| {
        let begin = Begin { password: Some(sealed(hash)), ..begin(1, &[Proof::Password]) };
        on(move |was| logins::log_in(was, user(2), begin, RULES, &context()))
    };
    given(&[created(NURSE), password()]).when(with("hash")).then([logged_in(1, TONIGHT)]);
    given(&[created(NURSE), password(), changed()]).when(with("hash")).rejected(Rejection::ProofUsed);
    given(&[created(NURSE), password(), changed()]).when(with("another")).then([logged_in(1, TONIGHT)]);
    given(&[created(NURSE)]).when(with("hash")).rejected(Rejection::ProofUsed);
}

#[test]
fn no_session_begins_twice() {
    let again = || log_in(1, &[Proof::Password]);
    for over in [vec![], vec![logged_out(1)], vec![ended(&[1], EndReason::Idle)], vec![disabled(), enabled()]] {
        let mut events = vec![created(NURSE), logged_in(1, TONIGHT)];
        events.extend(over);
        given(&events).when(again()).rejected(Rejection::AlreadyExists);
    }
}

#[test]
fn the_oldest_session_makes_room_or_the_login_is_refused() {
    let full = [created(NURSE), logged_in(3, TONIGHT), logged_in(1, TONIGHT), logged_in(2, TONIGHT)];
    let password = &[Proof::Password];
    given(&full).when(log_in(4, password)).then([ended(&[3], EndReason::Replaced), logged_in(4, TONIGHT)]);
    let with = |rules| {
        let begin = begin(4, password);
        on(move |was| logins::log_in(was, user(2), begin, rules, &context()))
    };
    given(&full).when(with(LoginRules { drop_oldest: false, ..RULES })).rejected(Rejection::TooManySessions);
    given(&full)
        .when(with(LoginRules { sessions_max: 0, ..RULES }))
        .then([ended(&[3, 1, 2], EndReason::Replaced), logged_in(4, TONIGHT)]);
    let over = logged_in(9, NOW);
    given(&[created(NURSE), over, logged_in(1, TONIGHT), logged_in(2, TONIGHT)])
        .when(log_in(4, password))
        .then([logged_in(4, TONIGHT)]);
}

#[test]
fn sessions_that_must_have_ended_are_forgotten() {
    let state = State::after(&[created(NURSE), logged_in(1, TONIGHT), logged_in(2, "2026-03-08T21:00:00Z")]);
    let sessions = &state.within(tenant()).unwrap().sessions;
    assert_eq!(sessions.iter().map(|live| live.session).collect::<Vec<_>>(), ids(&[2]));
}

#[test]
fn five_failures_in_half_an_hour_lock() {
    given_at(&failures(false, &[0, 1, 2])).when(fail(3, false)).then([failed(Factor::Password, false)]);
    given_at(&failures(false, &[0, 1, 2, 3]))
        .when(fail(4, false))
        .then([failed(Factor::Password, false), locked(minutes(34), true)]);
    given_at(&failures(false, &[0, 1, 2, 3])).when(fail(30, false)).then([failed(Factor::Password, false)]);
    given_at(&[(created(NURSE), 0), (disabled(), 0)]).when(fail(1, false)).then([failed(Factor::Password, false)]);
}

#[test]
fn a_locked_account_tells_of_no_further_failure() {
    let mut events = failures(false, &[0, 1, 2, 3, 4]);
    events.push((locked(minutes(34), true), 4));
    given_at(&events).when(fail(33, false)).rejected(Rejection::Locked { until: minutes(34) });
    given_at(&events).when(fail(34, false)).then([failed(Factor::Password, false)]);
    given_at(&events).when(fail(33, true)).then([failed(Factor::Password, true)]);
}

#[test]
fn strangers_do_not_lock_the_owner_out_of_known_devices() {
    let lock = [created(NURSE), locked(minutes(30), true)];
    given(&lock).when(log_in(1, &[Proof::Password])).rejected(Rejection::Locked { until: minutes(30) });
    let known = || Begin { known_device: true, ..begin(1, &[Proof::Password]) };
    let with = |begin| on(move |was| logins::log_in(was, user(2), begin, RULES, &context()));
    given(&lock).when(with(known())).then([logged_in(1, TONIGHT)]);
    given(&[created(NURSE), locked(minutes(30), false)])
        .when(with(known()))
        .rejected(Rejection::Locked { until: minutes(30) });
    given(&[created(NURSE), locked(minutes(0), false)]).when(with(known())).then([logged_in(1, TONIGHT)]);
}

#[test]
fn failures_on_a_known_device_end_all_sessions() {
    let mut events = failures(true, &[0, 1, 2, 3]);
    events.push((logged_in(1, TONIGHT), 3));
    given_at(&events).when(fail(4, true)).then([
        failed(Factor::Password, true),
        locked(minutes(34), false),
        ended(&[1], EndReason::LockedOut),
    ]);
    let others = failures(false, &[0, 1, 2, 3]);
    given_at(&others).when(fail(4, true)).then([failed(Factor::Password, true)]);
}

#[test]
fn a_success_forgets_the_failures_of_its_kind_of_device() {
    let device = |minute| (logged_in_with(1, TONIGHT, &[Proof::Password], Some("d")), minute);
    let mut known = vec![(created(NURSE), 0), device(0)];
    known.extend(failures(true, &[1, 2, 3, 4]).split_off(1));
    given_at(&known).when(fail(5, true)).then([
        failed(Factor::Password, true),
        locked(minutes(35), false),
        ended(&[1], EndReason::LockedOut),
    ]);
    known.push((logged_in_with(2, TONIGHT, &[Proof::Password], Some("d")), 5));
    given_at(&known).when(fail(6, true)).then([failed(Factor::Password, true)]);

    let mut unknown = vec![(created(NURSE), 0), device(0)];
    unknown.extend(failures(false, &[1, 2, 3, 4]).split_off(1));
    unknown.push((logged_in_with(2, TONIGHT, &[Proof::Password], Some("d")), 5));
    given_at(&unknown).when(fail(6, false)).then([failed(Factor::Password, false), locked(minutes(36), true)]);
}

#[test]
fn a_device_is_forgotten_after_ten_others() {
    let mut events = vec![(created(NURSE), 0)];
    let on_device = |n: u128| logged_in_with(n, TONIGHT, &[Proof::Password], Some(&format!("d{n}")));
    events.extend((0..11).map(|n| (on_device(n), 0)));
    events.extend(failures(true, &[1, 2, 3, 4]).split_off(1));
    // Not known any more, so this login says nothing of the known ones.
    events.push((on_device(0), 5));
    let state = events.iter().fold(State::default(), |state, (event, at)| state.evolve_at(event, minutes(*at)));
    assert_eq!(state.within(tenant()).unwrap().failures.recent(true, minutes(6), 1800), 4);
}

#[test]
fn an_administrator_ends_a_lock() {
    let unlock = || on(|was| Ok(logins::unlock_account(was, user(2), &context())));
    given(&[created(NURSE), locked(minutes(30), false)]).when(unlock()).then([unlocked()]);
    given(&[created(NURSE), failed(Factor::Totp, true)]).when(unlock()).then([unlocked()]);
    given(&[created(NURSE), locked(minutes(0), false)]).when(unlock()).then_nothing();
    given(&[created(NURSE)]).when(unlock()).then_nothing();
    given(&[created(NURSE), locked(minutes(30), false), unlocked()])
        .when(log_in(1, &[Proof::Password]))
        .then([logged_in(1, TONIGHT)]);
}

#[test]
fn a_proof_counts_once_wherever_it_is_given() {
    let step = Proof::Totp { step: 7 };
    let step_up = |n, proof| on(move |was| logins::step_up(was, user(2), session(n), proof, &context()));
    let base = [created(NURSE), totp(), logged_in(1, TONIGHT)];
    given(&base).when(step_up(1, step.clone())).then([stepped_up(1, step.clone())]);
    let mut used = base.to_vec();
    used.push(SteppedUp { user: user(2), session: session(1), proof: step.clone() }.into());
    given(&used).when(step_up(1, step.clone())).rejected(Rejection::ProofUsed);
    given(&used).when(log_in(2, &[Proof::Password, step])).rejected(Rejection::ProofUsed);
    given(&used).when(step_up(9, Proof::Password)).rejected(Rejection::SessionEnded);
    used.push(locked(minutes(30), true));
    let until = minutes(30);
    given(&used).when(step_up(1, Proof::Totp { step: 8 })).rejected(Rejection::Locked { until });
}
