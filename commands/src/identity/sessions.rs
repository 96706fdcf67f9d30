//! The life of a session, from its first renewed token to its end.

use std::collections::BTreeSet;

use jiff::Timestamp;
use wardbook_events::identity::{
    DocumentationModeSet, EndReason, IdentityEvent, LoggedOut, Proof, RefreshTokenReused, SessionLocked,
    SessionRefreshed, SessionSeen, SessionUnlocked, SessionsEnded, SteppedUp,
};
use wardbook_events::{Event, SessionId, UserId};

use super::logins::refuse_locked;
use super::state::User;
use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

/// What the write side needs to know of a session besides what its user's stream says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Hash of the refresh token that counts, once the first one was used.
    current: Option<String>,
    /// Hashes that counted once.
    past: BTreeSet<String>,
    /// The screen is locked.
    locked: bool,
}

impl Evolve for SessionState {
    const REMEMBERED: bool = true;

    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Identity(IdentityEvent::SessionRefreshed(e)) => {
                self.past.extend(self.current.replace(e.refresh.clone()));
            }
            Event::Identity(IdentityEvent::SessionLocked(_)) => self.locked = true,
            Event::Identity(IdentityEvent::SessionUnlocked(_)) => self.locked = false,
            _ => {}
        }
        self
    }
}

/// Which sessions end.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub enum Which {
    /// All of them.
    All,
    /// All but this one.
    AllBut(SessionId),
    /// These; what is not live is passed over.
    These(Vec<SessionId>),
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// The new one counts.
    Renewed,
    /// It had been used before: one of the two who have it stole it. These sessions ended: all that the user had.
    Stolen(Vec<SessionId>),
}

/// Ends sessions that are live; nothing if none is.
pub(super) fn ended(was: &User, user: UserId, which: &Which, reason: EndReason, context: &Context) -> Option<Event> {
    let ends = |session: &SessionId| match which {
        Which::All => true,
        Which::AllBut(kept) => session != kept,
        Which::These(these) => these.contains(session),
    };
    let sessions: Vec<_> = was.live_ones(context).map(|live| live.session).filter(ends).collect();
    (!sessions.is_empty()).then(|| SessionsEnded { user, sessions, reason }.into())
}

pub(super) fn log_out(was: &User, user: UserId, session: SessionId) -> Vec<Event> {
    let there = was.sessions.iter().any(|live| live.session == session);
    if there { vec![LoggedOut { user, session }.into()] } else { Vec::new() }
}

/// A refresh token is used. What never was a token of this session is a stranger's guess and leaves no trace.
pub(super) fn refresh(
    was: &User,
    state: &SessionState,
    (user, session): (UserId, SessionId),
    (old, new): (&str, String),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let first = was.live(session, context)?.refresh.as_deref();
    let current = state.current.as_deref();
    if current.or(first) == Some(old) {
        return Ok(vec![SessionRefreshed { user, session, refresh: new }.into()]);
    }
    if first == Some(old) || state.past.contains(old) {
        let mut events = vec![RefreshTokenReused { user, session }.into()];
        events.extend(ended(was, user, &Which::All, EndReason::TokenTheft, context));
        return Ok(events);
    }
    Err(Rejection::SessionEnded)
}

/// The session was in use; a locked one is not.
pub(super) fn seen(
    was: &User,
    state: &SessionState,
    (user, session): (UserId, SessionId),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    was.live(session, context)?;
    Ok(if state.locked { Vec::new() } else { vec![SessionSeen { user, session }.into()] })
}

pub(super) fn lock(
    was: &User,
    state: &SessionState,
    (user, session): (UserId, SessionId),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    was.live(session, context)?;
    Ok(if state.locked { Vec::new() } else { vec![SessionLocked { user, session }.into()] })
}

/// The user is back. What can be used once only is told in the user's own stream as well, where it is then known.
pub(super) fn unlock(
    was: &User,
    state: &SessionState,
    (user, session): (UserId, SessionId),
    proof: Proof,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let live = was.live(session, context)?;
    if !state.locked {
        return Ok(Vec::new());
    }
    refuse_locked(was, live.device.is_some(), context)?;
    was.means.check(&proof, context.now)?;
    if matches!(&proof, Proof::Pin { device } if live.device.as_ref() != Some(device)) {
        return Err(Rejection::ProofUsed);
    }
    let mut events = vec![SessionUnlocked { user, session, proof: proof.clone() }.into()];
    if !matches!(proof, Proof::Password | Proof::Pin { .. }) {
        events.push(SteppedUp { user, session, proof }.into());
    }
    Ok(events)
}

pub(super) fn set_documentation_mode(
    was: &User,
    (user, session): (UserId, SessionId),
    until: Timestamp,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    was.live(session, context)?;
    Ok(vec![DocumentationModeSet { user, session, until }.into()])
}
