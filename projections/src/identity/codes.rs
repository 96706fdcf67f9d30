//! Codes that are sent, and the ways of sending them.

use wardbook_events::alerts::Channel;
use wardbook_events::identity::{CodeSent, ContactSet, Factor, FactorRemoved, Removed};
use wardbook_events::{ChallengeId, Recorded};

use super::account::{Code, User};
use super::apply::{change, code_key, put, user_key};
use crate::error::ViewError;
use crate::tx::Tx;

/// Sent codes that are kept of a user.
const CODES_MAX: usize = 5;

pub(super) fn send(tx: &mut Tx<'_>, event: &Recorded, e: &CodeSent) -> Result<(), ViewError> {
    let Some(mut user) = tx.value::<User>(user_key(e.user))? else { return Ok(()) };
    let code = Code {
        user: e.user,
        challenge: e.challenge,
        channel: e.channel,
        code: e.code.clone(),
        sent_at: event.recorded_at,
        expires_at: e.expires_at,
        tries: 0,
        used: false,
    };
    tx.put_value(code_key(e.challenge), &code)?;
    user.codes.retain(|challenge| *challenge != e.challenge);
    user.codes.push(e.challenge);
    let too_many = user.codes.len().saturating_sub(CODES_MAX);
    for challenge in user.codes.drain(..too_many) {
        tx.remove(code_key(challenge))?;
    }
    put(tx, event, user)
}

/// The code counts no more.
pub(super) fn used(tx: &mut Tx<'_>, challenge: ChallengeId) -> Result<(), ViewError> {
    let Some(mut code) = tx.value::<Code>(code_key(challenge))? else { return Ok(()) };
    code.used = true;
    tx.put_value(code_key(challenge), &code)
}

/// A wrong code counts against every code that was sent the same way.
pub(super) fn failed(tx: &mut Tx<'_>, user: &User, factor: Factor) -> Result<(), ViewError> {
    if !matches!(factor, Factor::EmailCode | Factor::SmsCode) {
        return Ok(());
    }
    for challenge in &user.codes {
        let Some(mut code) = tx.value::<Code>(code_key(*challenge))? else { continue };
        if (code.channel == Channel::Email) == (factor == Factor::EmailCode) {
            code.tries = code.tries.saturating_add(1);
            tx.put_value(code_key(*challenge), &code)?;
        }
    }
    Ok(())
}

pub(super) fn set_contact(tx: &mut Tx<'_>, event: &Recorded, e: &ContactSet) -> Result<(), ViewError> {
    change(tx, event, e.user, |user| {
        // A code must never be taken for proof of an address that it was not sent to.
        if user.email != e.email {
            user.channels.remove(&Channel::Email);
        }
        if user.phone != e.phone {
            user.channels.remove(&Channel::Sms);
        }
        (user.email, user.phone) = (e.email.clone(), e.phone.clone());
    })
}

pub(super) fn remove_factor(tx: &mut Tx<'_>, event: &Recorded, e: &FactorRemoved) -> Result<(), ViewError> {
    change(tx, event, e.user, |user| match e.removed {
        Removed::Totp => (user.totp, user.totp_step) = (None, None),
        Removed::Passkey(passkey) => user.passkeys.retain(|one| one.passkey != passkey),
        Removed::Channel(channel) => _ = user.channels.remove(&channel),
        Removed::Pins => user.pins.clear(),
        Removed::All => {
            user.pins.clear();
            (user.totp, user.totp_step) = (None, None);
            user.passkeys.clear();
            user.channels.clear();
            (user.recovery, user.recovery_count) = (None, 0);
            user.recovery_used.clear();
        }
    })
}
