use wardbook_events::identity::{
    DocumentationModeSet, RefreshTokenReused, SessionLocked, SessionRefreshed, SessionSeen, SessionUnlocked,
};
use wardbook_events::{SessionId, UserId};

use super::*;
use crate::identity::factors;
use crate::identity::sessions::{self, SessionState, Which, ended as end};

const ABOUT: fn() -> (UserId, SessionId) = || (user(2), session(1));

fn refreshed(n: u128) -> Event {
    SessionRefreshed { user: user(2), session: session(1), refresh: hash(n) }.into()
}
fn screen_locked() -> Event {
    SessionLocked { user: user(2), session: session(1) }.into()
}
fn screen_unlocked(proof: Proof) -> Event {
    SessionUnlocked { user: user(2), session: session(1), proof }.into()
}

/// A decision on a session's own stream (given) and its user's stream.
fn within<D: FnOnce(&User, &SessionState) -> Result<Vec<Event>, Rejection>>(
    user_events: &[Event],
    decide: D,
) -> impl FnOnce(&SessionState) -> Result<Vec<Event>, Rejection> + use<D> {
    let state = State::after(user_events);
    move |life| decide(state.within(tenant())?, life)
}
fn live() -> Vec<Event> {
    vec![created(NURSE), totp(), logged_in(1, TONIGHT), logged_in(2, TONIGHT)]
}
fn over() -> Vec<Event> {
    [live(), vec![logged_out(1)]].concat()
}

#[test]
fn a_session_ends_once() {
    let log_out = || on(|was| Ok(sessions::log_out(was, user(2), session(1))));
    let base = [created(NURSE), logged_in(1, TONIGHT)];
    given(&base).when(log_out()).then([logged_out(1)]);
    for over in [logged_out(1), disabled(), ended(&[1], EndReason::Idle)] {
        given(&[&base[..], &[over]].concat()).when(log_out()).then_nothing();
    }
    given(&[created(NURSE)]).when(log_out()).then_nothing();
}

#[test]
fn only_live_sessions_are_ended() {
    let end =
        |which: Which| on(move |was| Ok(end(was, user(2), &which, EndReason::User, &context()).into_iter().collect()));
    let base = [created(NURSE), logged_in(1, TONIGHT), logged_in(2, NOW), logged_in(3, TONIGHT)];
    given(&base).when(end(Which::All)).then([ended(&[1, 3], EndReason::User)]);
    given(&base).when(end(Which::AllBut(session(1)))).then([ended(&[3], EndReason::User)]);
    given(&base).when(end(Which::These(ids(&[2, 3, 9])))).then([ended(&[3], EndReason::User)]);
    given(&base).when(end(Which::These(ids(&[2])))).then_nothing();
    given(&base[..1]).when(end(Which::All)).then_nothing();
}

fn refresh(events: &[Event], old: u128, new: u128) -> impl FnOnce(&SessionState) -> Result<Vec<Event>, Rejection> {
    within(events, move |was, life| sessions::refresh(was, life, ABOUT(), (&hash(old), hash(new)), &context()))
}

#[test]
fn a_refresh_token_is_used_once() {
    given(&[]).when(refresh(&live(), 1, 11)).then([refreshed(11)]);
    given(&[refreshed(11)]).when(refresh(&live(), 11, 12)).then([refreshed(12)]);
    given(&[refreshed(11)]).when(refresh(&live(), 99, 12)).rejected(Rejection::SessionEnded);
    given(&[]).when(refresh(&over(), 1, 11)).rejected(Rejection::SessionEnded);
    given(&[]).when(refresh(&[created(NURSE), logged_in(1, NOW)], 1, 11)).rejected(Rejection::SessionEnded);
    let machine = LoggedIn {
        user: user(2),
        session: session(1),
        expires_at: time(TONIGHT),
        proofs: vec![Proof::Password],
        binding: None,
        device: None,
        refresh: None,
    };
    given(&[]).when(refresh(&[created(NURSE), machine.into()], 1, 2)).rejected(Rejection::SessionEnded);
}

#[test]
fn a_token_that_was_used_before_ends_every_session() {
    let theft =
        || [RefreshTokenReused { user: user(2), session: session(1) }.into(), ended(&[1, 2], EndReason::TokenTheft)];
    given(&[refreshed(11)]).when(refresh(&live(), 1, 12)).then(theft());
    let chain = [refreshed(11), refreshed(12), refreshed(13)];
    for old in [1, 11, 12] {
        given(&chain).when(refresh(&live(), old, 14)).then(theft());
    }
    given(&chain).when(refresh(&over(), 11, 14)).rejected(Rejection::SessionEnded);
}

#[test]
fn a_screen_is_locked_and_unlocked() {
    let lock = |events: &[Event]| within(events, |was, life| sessions::lock(was, life, ABOUT(), &context()));
    let unlock = |events: &[Event], proof: Proof| {
        within(events, move |was, life| sessions::unlock(was, life, ABOUT(), proof, &context()))
    };
    let code = || Proof::Totp { step: 3 };
    given(&[]).when(lock(&live())).then([screen_locked()]);
    given(&[screen_locked()]).when(lock(&live())).then_nothing();
    given(&[]).when(lock(&over())).rejected(Rejection::SessionEnded);
    given(&[]).when(unlock(&live(), Proof::Password)).then_nothing();
    given(&[screen_locked()]).when(unlock(&live(), Proof::Password)).then([screen_unlocked(Proof::Password)]);
    given(&[screen_locked()]).when(unlock(&live(), code())).then([screen_unlocked(code()), stepped_up(1, code())]);
    given(&[screen_locked(), screen_unlocked(Proof::Password)]).when(lock(&live())).then([screen_locked()]);
    given(&[screen_locked()]).when(unlock(&over(), code())).rejected(Rejection::SessionEnded);
    let used = [live(), vec![stepped_up(2, code())]].concat();
    given(&[screen_locked()]).when(unlock(&used, code())).rejected(Rejection::ProofUsed);
    let locked_out = [live(), vec![locked(minutes(30), true)]].concat();
    given(&[screen_locked()])
        .when(unlock(&locked_out, Proof::Password))
        .rejected(Rejection::Locked { until: minutes(30) });
}

#[test]
fn a_session_in_use_is_seen_unless_it_is_locked() {
    let seen = |events: &[Event]| within(events, |was, life| sessions::seen(was, life, ABOUT(), &context()));
    given(&[]).when(seen(&live())).then([SessionSeen { user: user(2), session: session(1) }.into()]);
    given(&[screen_locked()]).when(seen(&live())).then_nothing();
    given(&[]).when(seen(&over())).rejected(Rejection::SessionEnded);
}

#[test]
fn documentation_mode_is_a_time() {
    let until = minutes(45);
    let set = |events: &[Event]| {
        within(events, move |was, _| sessions::set_documentation_mode(was, ABOUT(), until, &context()))
    };
    given(&[]).when(set(&live())).then([DocumentationModeSet { user: user(2), session: session(1), until }.into()]);
    given(&[]).when(set(&over())).rejected(Rejection::SessionEnded);
}

fn pin_of(device: &str) -> Proof {
    Proof::Pin { device: device.into() }
}
/// A user with a session on each of two devices, of which one has a PIN.
fn on_devices() -> Vec<Event> {
    let on = |n, device| logged_in_with(n, TONIGHT, &[Proof::Password], Some(device));
    vec![created(NURSE), totp(), on(1, "ward"), on(2, "home"), pin("ward")]
}
fn unlock_with(events: &[Event], n: u128, proof: Proof) -> impl FnOnce(&SessionState) -> Result<Vec<Event>, Rejection> {
    within(events, move |was, life| sessions::unlock(was, life, (user(2), session(n)), proof, &context()))
}

#[test]
fn a_pin_unlocks_the_sessions_of_its_device_and_proves_nothing_more() {
    given(&[screen_locked()])
        .when(unlock_with(&on_devices(), 1, pin_of("ward")))
        .then([screen_unlocked(pin_of("ward"))]);
    for (n, device) in [(2, "ward"), (2, "home"), (1, "home")] {
        given(&[screen_locked()]).when(unlock_with(&on_devices(), n, pin_of(device))).rejected(Rejection::ProofUsed);
    }
    for gone in [Removed::Pins, Removed::All] {
        let events = [on_devices(), vec![removed(gone)]].concat();
        given(&[screen_locked()]).when(unlock_with(&events, 1, pin_of("ward"))).rejected(Rejection::ProofUsed);
    }
    given(&on_devices()).when(log_in(3, &[pin_of("ward")])).rejected(Rejection::NoProof);
    given(&on_devices()).when(log_in(3, &[Proof::Password, pin_of("ward")])).rejected(Rejection::NoProof);
    let step_up = on(|was| logins::step_up(was, user(2), session(1), pin_of("ward"), &context()));
    given(&on_devices()).when(step_up).rejected(Rejection::NoProof);
}

#[test]
fn three_wrong_pins_void_it_until_something_better_is_proved() {
    let wrong = failed(Factor::Pin, true);
    let mut events = [on_devices(), vec![wrong.clone(), wrong.clone()]].concat();
    given(&[screen_locked()]).when(unlock_with(&events, 1, pin_of("ward"))).then([screen_unlocked(pin_of("ward"))]);
    events.push(wrong);
    given(&[screen_locked()]).when(unlock_with(&events, 1, pin_of("ward"))).rejected(Rejection::ProofUsed);
    events.push(stepped_up(1, Proof::Totp { step: 7 }));
    given(&[screen_locked()]).when(unlock_with(&events, 1, pin_of("ward"))).then([screen_unlocked(pin_of("ward"))]);
}

#[test]
fn a_pin_is_set_for_a_device_that_is_known_and_forgotten_with_it() {
    let set = |n| on(move |was| factors::set_pin(was, user(2), session(n), sealed("pin"), &context()));
    given(&on_devices()).when(set(2)).then([pin("home")]);
    given(&live()).when(set(1)).rejected(Rejection::NoDevice);
    given(&on_devices()).when(set(9)).rejected(Rejection::SessionEnded);
    let others = (0..10).map(|n| logged_in_with(10 + n, TONIGHT, &[Proof::Password], Some(&format!("d{n}"))));
    let events = [on_devices(), others.collect()].concat();
    given(&[screen_locked()]).when(unlock_with(&events, 1, pin_of("ward"))).rejected(Rejection::ProofUsed);
}
