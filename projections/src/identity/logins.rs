//! Logins, and the life of sessions.

use jiff::Timestamp;
use wardbook_events::identity::{EndReason, LoggedIn, LoginFailed, Proof, SteppedUp};
use wardbook_events::{Recorded, SessionId, UserId};

use super::account::User;
use super::apply::{live_key, put, session_key, user_key};
use super::codes;
use super::session::Session;
use crate::error::ViewError;
use crate::tx::Tx;

/// Devices that are known again.
const DEVICES_MAX: usize = 10;

pub(super) fn log_in(tx: &mut Tx<'_>, event: &Recorded, e: &LoggedIn) -> Result<(), ViewError> {
    let session = Session {
        session: e.session,
        user: e.user,
        started_at: event.recorded_at,
        expires_at: e.expires_at,
        mfa: e.proofs.iter().map(Proof::strength).max().unwrap_or(0),
        proven_at: event.recorded_at,
        binding: e.binding.clone(),
        device: e.device.clone(),
        refresh: e.refresh.clone(),
        address: event.client.address.clone(),
        agent: event.client.agent.clone(),
        seen_at: event.recorded_at,
        locked_at: None,
        documentation_until: None,
        ended_at: None,
        ended_because: None,
    };
    tx.put(live_key(e.expires_at, e.session), Vec::new())?;
    tx.put_value(session_key(e.session), &session)?;
    let Some(mut user) = tx.value::<User>(user_key(e.user))? else { return Ok(()) };
    for proof in &e.proofs {
        used(tx, &mut user, proof)?;
    }
    forget_run_out(tx, &mut user, event.recorded_at)?;
    user.sessions.retain(|session| *session != e.session);
    user.sessions.push(e.session);
    if let Some(device) = &e.device {
        user.devices.insert(device.clone(), event.recorded_at);
        while user.devices.len() > DEVICES_MAX {
            let oldest = user.devices.iter().min_by_key(|(_, at)| **at).map(|(device, _)| device.clone());
            oldest.and_then(|device| user.devices.remove(&device));
        }
        let devices = &user.devices;
        user.pins.retain(|device, _| devices.contains_key(device));
    }
    user.failures = 0;
    user.last_login_at = Some(event.recorded_at);
    put(tx, event, user)
}

pub(super) fn fail(tx: &mut Tx<'_>, event: &Recorded, e: &LoginFailed) -> Result<(), ViewError> {
    let Some(mut user) = tx.value::<User>(user_key(e.user))? else { return Ok(()) };
    codes::failed(tx, &user, e.factor)?;
    user.failures = user.failures.saturating_add(1);
    user.failed_at = Some(event.recorded_at);
    put(tx, event, user)
}

pub(super) fn step_up(tx: &mut Tx<'_>, event: &Recorded, e: &SteppedUp) -> Result<(), ViewError> {
    session(tx, e.session, |session| {
        session.mfa = session.mfa.max(e.proof.strength());
        (session.proven_at, session.seen_at) = (event.recorded_at, event.recorded_at);
    })?;
    let Some(mut user) = tx.value::<User>(user_key(e.user))? else { return Ok(()) };
    used(tx, &mut user, &e.proof)?;
    put(tx, event, user)
}

/// Ended sessions stay, so that a stolen token of one is recognised, but leave the lists of live ones.
pub(super) fn end(
    tx: &mut Tx<'_>,
    event: &Recorded,
    id: UserId,
    sessions: &[SessionId],
    because: Option<EndReason>,
) -> Result<(), ViewError> {
    for session in sessions {
        end_one(tx, *session, event.recorded_at, because)?;
    }
    let Some(mut user) = tx.value::<User>(user_key(id))? else { return Ok(()) };
    user.sessions.retain(|session| !sessions.contains(session));
    put(tx, event, user)
}

/// All sessions of a disabled user end.
pub(super) fn disable(tx: &mut Tx<'_>, event: &Recorded, id: UserId) -> Result<(), ViewError> {
    let Some(mut user) = tx.value::<User>(user_key(id))? else { return Ok(()) };
    for session in std::mem::take(&mut user.sessions) {
        end_one(tx, session, event.recorded_at, Some(EndReason::Administrator))?;
    }
    user.active = false;
    user.disabled_at = Some(event.recorded_at);
    user.changed = event.position;
    put(tx, event, user)
}

/// Changes a session's row and nothing else: these events are frequent.
pub(super) fn session(tx: &mut Tx<'_>, session: SessionId, edit: impl FnOnce(&mut Session)) -> Result<(), ViewError> {
    let Some(mut row) = tx.value::<Session>(session_key(session))? else { return Ok(()) };
    edit(&mut row);
    tx.put_value(session_key(session), &row)
}

fn end_one(tx: &mut Tx<'_>, id: SessionId, at: Timestamp, because: Option<EndReason>) -> Result<(), ViewError> {
    let Some(mut row) = tx.value::<Session>(session_key(id))?.filter(|row| row.ended_at.is_none()) else {
        return Ok(());
    };
    (row.ended_at, row.ended_because) = (Some(at), because);
    tx.remove(live_key(row.expires_at, id))?;
    tx.put_value(session_key(id), &row)
}

/// Nobody ended these, and nothing tells of it: they leave the lists when the user comes back.
fn forget_run_out(tx: &mut Tx<'_>, user: &mut User, now: Timestamp) -> Result<(), ViewError> {
    let mut live = Vec::with_capacity(user.sessions.len() + 1);
    for id in std::mem::take(&mut user.sessions) {
        match tx.value::<Session>(session_key(id))? {
            Some(row) if row.expires_at <= now => tx.remove(live_key(row.expires_at, id))?,
            _ => live.push(id),
        }
    }
    user.sessions = live;
    Ok(())
}

/// What was proved once is not proved again.
fn used(tx: &mut Tx<'_>, user: &mut User, proof: &Proof) -> Result<(), ViewError> {
    match proof {
        Proof::Totp { step } => user.totp_step = user.totp_step.max(Some(*step)),
        Proof::Passkey { passkey, counter, .. } => {
            if let Some(passkey) = user.passkeys.iter_mut().find(|one| one.passkey == *passkey) {
                passkey.counter = passkey.counter.max(*counter);
            }
        }
        Proof::RecoveryCode { index } => _ = user.recovery_used.insert(*index),
        Proof::EmailCode { challenge } | Proof::SmsCode { challenge } => codes::used(tx, *challenge)?,
        Proof::Password
        | Proof::External { .. }
        | Proof::Assertion
        | Proof::Certificate { .. }
        | Proof::ApiKey { .. }
        | Proof::Pin { .. } => {}
    }
    Ok(())
}
