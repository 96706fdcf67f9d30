//! Given these events of a user, when this is commanded, then these events follow.

use jiff::{SignedDuration, Timestamp};
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{
    AccountKind, AccountLocked, AccountUnlocked, ChannelEnrolled, CodeSent, ContactSet, EndReason, Factor,
    FactorRemoved, LoggedIn, LoggedOut, LoginFailed, PasskeyEnrolled, PasswordSet, PinSet, Proof, RecoveryCodesIssued,
    Removed, RoleGranted, RoleRevoked, SessionsEnded, SteppedUp, TotpEnrolled, UserCreated, UserDisabled, UserEnabled,
    UsernameClaimed,
};
use wardbook_events::{ChallengeId, Event, PasskeyId, Role, SessionId};

use super::logins::{self, Begin, LoginRules};
use super::state::{State, User};
use crate::context::{Context, Evolve};
use crate::rejection::Rejection;
use crate::scenario::*;

mod accounts;
mod factors;
mod logging_in;
mod properties;
mod sessions;

const NURSE: &[Role] = &[Role::Nurse];
const TONIGHT: &str = "2026-03-01T20:00:00Z";
const RULES: LoginRules =
    LoginRules { sessions_max: 3, drop_oldest: true, failures_max: 5, window_s: 1800, lock_s: 1800 };

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
fn minutes(minutes: i64) -> Timestamp {
    time(NOW) + SignedDuration::from_mins(minutes)
}
fn at(minute: i64) -> Context {
    Context { now: minutes(minute), ..context() }
}
fn hash(n: u128) -> String {
    format!("{n:064x}")
}
fn challenge(n: u128) -> ChallengeId {
    ChallengeId::new(uuid::Uuid::from_u128(n))
}
fn passkey(n: u128) -> PasskeyId {
    PasskeyId::new(uuid::Uuid::from_u128(n))
}

fn created_as(kind: AccountKind, roles: &[Role]) -> Event {
    UserCreated {
        user: user(2),
        username: "nurse.joy".into(),
        tenant: tenant(),
        kind,
        roles: roles.to_vec(),
        departments: vec!["er".into()],
        patient: None,
    }
    .into()
}
fn created(roles: &[Role]) -> Event {
    created_as(AccountKind::Person, roles)
}
fn service() -> Event {
    created_as(AccountKind::Service, &[Role::Service])
}
fn claimed() -> Event {
    UsernameClaimed { user: user(2), username: "nurse.joy".into() }.into()
}
fn password() -> Event {
    PasswordSet { user: user(2), hash: sealed("hash") }.into()
}
fn logged_in_with(n: u128, expires_at: &str, proofs: &[Proof], device: Option<&str>) -> Event {
    LoggedIn {
        user: user(2),
        session: session(n),
        expires_at: time(expires_at),
        proofs: proofs.to_vec(),
        binding: None,
        device: device.map(str::to_owned),
        refresh: Some(hash(n)),
    }
    .into()
}
fn logged_in(n: u128, expires_at: &str) -> Event {
    logged_in_with(n, expires_at, &[Proof::Password], None)
}
fn logged_out(n: u128) -> Event {
    LoggedOut { user: user(2), session: session(n) }.into()
}
fn ended(sessions: &[u128], reason: EndReason) -> Event {
    SessionsEnded { user: user(2), sessions: sessions.iter().copied().map(session).collect(), reason }.into()
}
fn failed(factor: Factor, known_device: bool) -> Event {
    LoginFailed { user: user(2), factor, known_device }.into()
}
fn locked(until: Timestamp, unknown_devices_only: bool) -> Event {
    AccountLocked { user: user(2), until, unknown_devices_only }.into()
}
fn stepped_up(n: u128, proof: Proof) -> Event {
    SteppedUp { user: user(2), session: session(n), proof }.into()
}
fn disabled() -> Event {
    UserDisabled { user: user(2) }.into()
}
fn enabled() -> Event {
    UserEnabled { user: user(2) }.into()
}
fn granted(role: Role) -> Event {
    RoleGranted { user: user(2), role }.into()
}
fn revoked(role: Role) -> Event {
    RoleRevoked { user: user(2), role }.into()
}
fn pin(device: &str) -> Event {
    PinSet { user: user(2), device: device.into(), hash: sealed("pin") }.into()
}
fn totp() -> Event {
    TotpEnrolled { user: user(2), secret: sealed("totp") }.into()
}
fn recovery(count: u8) -> Event {
    RecoveryCodesIssued { user: user(2), count, hashes: sealed("codes") }.into()
}
fn passkey_enrolled(n: u128) -> Event {
    PasskeyEnrolled { user: user(2), passkey: passkey(n), name: "blue".into(), credential: sealed("key") }.into()
}
fn contact(email: Option<&str>, phone: Option<&str>) -> Event {
    ContactSet { user: user(2), email: email.map(sealed), phone: phone.map(sealed) }.into()
}
fn channel(channel: Channel) -> Event {
    ChannelEnrolled { user: user(2), channel }.into()
}
fn code(n: u128, channel: Channel) -> CodeSent {
    CodeSent { user: user(2), challenge: challenge(n), channel, code: sealed("code"), expires_at: minutes(5) }
}
fn removed(removed: Removed) -> Event {
    FactorRemoved { user: user(2), removed }.into()
}
fn unlocked() -> Event {
    AccountUnlocked { user: user(2) }.into()
}

/// A user as it is after these events, each taken at this minute.
fn given_at(events: &[(Event, i64)]) -> Given<State> {
    Given(events.iter().fold(State::default(), |state, (event, minute)| state.evolve_at(event, minutes(*minute))))
}
/// A decision on a user who exists.
fn on(
    decide: impl FnOnce(&User) -> Result<Vec<Event>, Rejection>,
) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    move |state| decide(state.within(tenant())?)
}

fn begin(n: u128, proofs: &[Proof]) -> Begin {
    Begin {
        session: session(n),
        expires_at: time(TONIGHT),
        proofs: proofs.to_vec(),
        password: None,
        binding: None,
        device: None,
        known_device: false,
        refresh: Some(hash(n)),
    }
}
fn log_in(n: u128, proofs: &[Proof]) -> impl FnOnce(&State) -> Result<Vec<Event>, Rejection> {
    let begin = begin(n, proofs);
    on(move |was| logins::log_in(was, user(2), begin, RULES, &context()))
}
fn ids(numbers: &[u128]) -> Vec<SessionId> {
    numbers.iter().copied().map(session).collect()
}
