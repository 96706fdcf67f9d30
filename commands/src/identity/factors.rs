//! Passwords, second factors and the codes that are sent.

use jiff::{SignedDuration, Timestamp};
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{
    AccountKind, ChannelEnrolled, CodeSent, EndReason, FactorRemoved, PasskeyEnrolled, PasswordResetRequested,
    PasswordSet, PinSet, RecoveryCodesIssued, Removed, TotpEnrolled,
};
use wardbook_events::{Ciphertext, Event, PasskeyId, SessionId, UserId};

use super::accounts::{check_hash, check_label};
use super::sessions::{Which, ended};
use super::state::User;
use crate::context::Context;
use crate::rejection::Rejection;

/// Between two resets that are asked for, so that a stranger who knows a name neither fills the ledger nor the mailbox.
pub const RESET_PAUSE: SignedDuration = SignedDuration::from_mins(5);
/// A reset token or a sent code lives no longer.
const TOKEN_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Passkeys that a user has at a time.
const PASSKEYS_MAX: usize = 10;
/// Recovery codes that a user has at a time.
const RECOVERY_MAX: u8 = 20;

/// Who sets a password, and so which sessions go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetBy {
    /// Somebody else, or a token that was sent.
    Another,
    /// The user, in this session.
    Oneself(Option<SessionId>),
}

pub(super) fn set_password(
    was: &User,
    user: UserId,
    hash: Ciphertext,
    by: SetBy,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    a_person(was)?;
    let which = match by {
        SetBy::Oneself(Some(session)) => Which::AllBut(session),
        SetBy::Oneself(None) | SetBy::Another => Which::All,
    };
    let mut events = vec![PasswordSet { user, hash }.into()];
    events.extend(ended(was, user, &which, EndReason::PasswordChanged, context));
    Ok(events)
}

/// A reset was asked for by somebody who knows the name. Nothing happens within a pause after the one before.
pub(super) fn request_reset(
    was: &User,
    user: UserId,
    (token, expires_at): (String, Timestamp),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    an_active_person(was)?;
    check_hash(&token)?;
    in_time(expires_at, context)?;
    let too_soon = was.reset.as_ref().is_some_and(|reset| {
        reset.expires_at > context.now && expires_at.duration_since(reset.expires_at) < RESET_PAUSE
    });
    Ok(if too_soon { Vec::new() } else { vec![PasswordResetRequested { user, token, expires_at }.into()] })
}

/// The token came back: it counts once, in its time.
pub(super) fn check_reset(was: &User, token: &str, context: &Context) -> Result<(), Rejection> {
    an_active_person(was).map_err(|_| Rejection::ResetEnded)?;
    let counts = was.reset.as_ref().is_some_and(|reset| reset.token == token && context.now < reset.expires_at);
    if counts { Ok(()) } else { Err(Rejection::ResetEnded) }
}

/// For the device of a session that lives: it must be one that is known again.
pub(super) fn set_pin(
    was: &User,
    user: UserId,
    session: SessionId,
    hash: Ciphertext,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    an_active_person(was)?;
    let device = was.live(session, context)?.device.clone().filter(|device| was.knows_device(device));
    let device = device.ok_or(Rejection::NoDevice)?;
    Ok(vec![PinSet { user, device, hash }.into()])
}

pub(super) fn enrol_totp(was: &User, user: UserId, secret: Ciphertext) -> Result<Vec<Event>, Rejection> {
    an_active_person(was)?;
    Ok(vec![TotpEnrolled { user, secret }.into()])
}

pub(super) fn enrol_passkey(
    was: &User,
    user: UserId,
    (passkey, name, credential): (PasskeyId, String, Ciphertext),
) -> Result<Vec<Event>, Rejection> {
    an_active_person(was)?;
    check_label(&name)?;
    if was.means.has(Removed::Passkey(passkey)) {
        return Err(Rejection::AlreadyExists);
    }
    if was.means.passkeys() >= PASSKEYS_MAX {
        return Err(Rejection::TooMany);
    }
    Ok(vec![PasskeyEnrolled { user, passkey, name, credential }.into()])
}

pub(super) fn enrol_channel(was: &User, user: UserId, channel: Channel) -> Result<Vec<Event>, Rejection> {
    an_active_person(was)?;
    if !was.reachable_by(channel) {
        return Err(Rejection::NoContact);
    }
    let enrolled = was.means.has(Removed::Channel(channel));
    Ok(if enrolled { Vec::new() } else { vec![ChannelEnrolled { user, channel }.into()] })
}

pub(super) fn issue_recovery_codes(
    was: &User,
    user: UserId,
    count: usize,
    hashes: Ciphertext,
) -> Result<Vec<Event>, Rejection> {
    an_active_person(was)?;
    let count = u8::try_from(count).ok().filter(|count| (1..=RECOVERY_MAX).contains(count));
    let count = count.ok_or(Rejection::TooMany)?;
    Ok(vec![RecoveryCodesIssued { user, count, hashes }.into()])
}

/// Taken away by the user, who goes on, or by somebody else: then whoever uses the account must prove it anew.
pub(super) fn remove_factor(was: &User, user: UserId, removed: Removed, own: bool, context: &Context) -> Vec<Event> {
    if !was.means.has(removed) {
        return Vec::new();
    }
    let mut events = vec![FactorRemoved { user, removed }.into()];
    if !own {
        events.extend(ended(was, user, &Which::All, EndReason::FactorChanged, context));
    }
    events
}

pub(super) fn send_code(was: &User, sent: CodeSent, context: &Context) -> Result<Vec<Event>, Rejection> {
    an_active_person(was)?;
    if !was.reachable_by(sent.channel) {
        return Err(Rejection::NoContact);
    }
    in_time(sent.expires_at, context)?;
    Ok(vec![sent.into()])
}

fn in_time(expires_at: Timestamp, context: &Context) -> Result<(), Rejection> {
    let lasts = expires_at.duration_since(context.now);
    if lasts > SignedDuration::ZERO && lasts <= TOKEN_MAX { Ok(()) } else { Err(Rejection::BadTokenLife) }
}

fn a_person(was: &User) -> Result<(), Rejection> {
    if was.kind == AccountKind::Person { Ok(()) } else { Err(Rejection::WrongAccountKind) }
}

fn an_active_person(was: &User) -> Result<(), Rejection> {
    a_person(was)?;
    if was.enabled { Ok(()) } else { Err(Rejection::UserDisabled) }
}
