//! Logging in, failing to, and proving once more who one is.

use jiff::{SignedDuration, Timestamp};
use wardbook_events::identity::{
    AccountLocked, AccountUnlocked, EndReason, Factor, LoggedIn, LoginFailed, Proof, SessionsEnded, SteppedUp,
};
use wardbook_events::{Ciphertext, Event, SessionId, UserId};

use super::sessions::{Which, ended};
use super::state::{SESSION_MAX, User};
use crate::context::Context;
use crate::rejection::Rejection;

/// Proofs that one login can rest on.
const PROOFS_MAX: usize = 10;

/// What the settings say of logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginRules {
    /// Sessions that a user has at a time; 0 is taken as 1.
    pub sessions_max: u8,
    /// Whether a further session takes the place of the oldest; it is refused otherwise.
    pub drop_oldest: bool,
    /// Failures of one kind of device that lock; 0 is taken as 1.
    pub failures_max: u8,
    /// Seconds within which they count together.
    pub window_s: u32,
    /// Seconds that a lock lasts.
    pub lock_s: u32,
}

/// A session that is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The session.
    pub session: SessionId,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// What was proved.
    pub proofs: Vec<Proof>,
    /// The sealed hash that the password was checked against, if one was: it must still be the user's.
    pub password: Option<Ciphertext>,
    /// What the session is tied to: 16 hex digits over the class of the address and the user agent (IAM-15).
    pub binding: Option<String>,
    /// Hash (hex) of the secret by which the device is known again. A device keeps it from login to login.
    pub device: Option<String>,
    /// Whether the device has logged in before.
    pub known_device: bool,
    /// Hash (hex) of the first refresh token.
    pub refresh: Option<String>,
}

/// Everything that was asked for was proved: a session begins.
pub(super) fn log_in(
    was: &User,
    user: UserId,
    begin: Begin,
    rules: LoginRules,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    if !was.enabled {
        return Err(Rejection::UserDisabled);
    }
    let Begin { session, expires_at, proofs, password, binding, device, known_device, refresh } = begin;
    refuse_locked(was, known_device, context)?;
    if was.had(session) {
        return Err(Rejection::AlreadyExists);
    }
    let lasts = expires_at.duration_since(context.now);
    if lasts <= SignedDuration::ZERO || lasts > SESSION_MAX {
        return Err(Rejection::SessionTooLong);
    }
    if proofs.is_empty() || proofs.len() > PROOFS_MAX || proofs.iter().any(only_unlocks) {
        return Err(Rejection::NoProof);
    }
    // Changed since it was given: whoever changed it meant to shut this login out.
    if password.is_some() && password != was.password {
        return Err(Rejection::ProofUsed);
    }
    was.means.check_all(&proofs, context.now)?;
    let live: Vec<_> = was.live_ones(context).map(|live| live.session).collect();
    let too_many = (live.len() + 1).saturating_sub(usize::from(rules.sessions_max.max(1)));
    let mut events = Vec::new();
    if too_many > 0 {
        if !rules.drop_oldest {
            return Err(Rejection::TooManySessions);
        }
        let sessions = live.into_iter().take(too_many).collect();
        events.push(SessionsEnded { user, sessions, reason: EndReason::Replaced }.into());
    }
    events.push(LoggedIn { user, session, expires_at, proofs, binding, device, refresh }.into());
    Ok(events)
}

/// A PIN is no login, and no fresh proof.
const fn only_unlocks(proof: &Proof) -> bool {
    matches!(proof, Proof::Pin { .. })
}

/// Something that was asked for was wrong. While this kind of device is locked out nothing is told at all, so that
/// nobody can make the ledger grow by trying on.
pub(super) fn fail(
    was: &User,
    user: UserId,
    factor: Factor,
    known_device: bool,
    rules: LoginRules,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    refuse_locked(was, known_device, context)?;
    let mut events = vec![LoginFailed { user, factor, known_device }.into()];
    let failures = was.failures.recent(known_device, context.now, rules.window_s) + 1;
    if failures >= usize::from(rules.failures_max.max(1)) {
        let lasts = SignedDuration::from_secs(i64::from(rules.lock_s));
        let until = context.now.checked_add(lasts).unwrap_or(Timestamp::MAX);
        events.push(AccountLocked { user, until, unknown_devices_only: !known_device }.into());
        if known_device {
            events.extend(ended(was, user, &Which::All, EndReason::LockedOut, context));
        }
    }
    Ok(events)
}

/// An administrator ends a lock, and what was counted is forgotten.
pub(super) fn unlock_account(was: &User, user: UserId, context: &Context) -> Vec<Event> {
    if was.failures.is_clear(context.now) { Vec::new() } else { vec![AccountUnlocked { user }.into()] }
}

/// Somebody proves once more, within a live session, who it is.
pub(super) fn step_up(
    was: &User,
    user: UserId,
    session: SessionId,
    proof: Proof,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let live = was.live(session, context)?;
    if only_unlocks(&proof) {
        return Err(Rejection::NoProof);
    }
    refuse_locked(was, live.device.is_some(), context)?;
    was.means.check(&proof, context.now)?;
    Ok(vec![SteppedUp { user, session, proof }.into()])
}

pub(super) fn refuse_locked(was: &User, known_device: bool, context: &Context) -> Result<(), Rejection> {
    match was.failures.locked(known_device, context.now) {
        Some(until) => Err(Rejection::Locked { until }),
        None => Ok(()),
    }
}
