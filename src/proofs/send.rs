//! Sending codes to the user, and taking them back.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use wardbook_commands::Origin;
use wardbook_commands::identity::{CODE_TRIES_MAX, CONTACT_PURPOSE, SendCode};
use wardbook_events::alerts::Channel;
use wardbook_events::{ChallengeId, Ciphertext, UserId, identity};
use wardbook_keys::SecretError;
use wardbook_projections::identity::User;

use super::{ProofError, codes, digest, open_code};
use crate::app::App;
use crate::notify::Message;

/// Codes sent to one user within [`WINDOW`].
const SENT_MAX: usize = 3;
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// How often codes were sent lately. In memory: a restart allows a few more, and cannot be caused from outside. Only users
/// who have shown a password or a session are in it, so it is no larger than the number of accounts.
#[derive(Debug, Default)]
pub struct SentCodes(Mutex<HashMap<UserId, VecDeque<Timestamp>>>);

impl SentCodes {
    /// Whether one more may be sent now; counts it if so.
    fn take(&self, user: UserId, now: Timestamp) -> bool {
        let mut sent = self.0.lock();
        let over = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        sent.retain(|_, times| times.back().is_some_and(|last| *last > over));
        let times = sent.entry(user).or_default();
        while times.front().is_some_and(|first| *first <= over) {
            times.pop_front();
        }
        let room = times.len() < SENT_MAX;
        if room {
            times.push_back(now);
        }
        room
    }
}

/// The sealed address of a channel.
#[must_use]
pub fn address(user: &User, channel: Channel) -> Option<&Ciphertext> {
    match channel {
        Channel::Email => user.email.as_ref(),
        Channel::Sms => user.phone.as_ref(),
        Channel::Webhook => None,
    }
}

/// The address in clear, wiped when dropped.
///
/// # Errors
/// If it cannot be opened.
pub fn open_address(app: &App, user: &User, channel: Channel) -> Result<Option<SecretString>, SecretError> {
    let Some(sealed) = address(user, channel) else { return Ok(None) };
    let opened = app.keys().open_secret(user.tenant, &identity::stream(user.user), CONTACT_PURPOSE, sealed)?;
    Ok(std::str::from_utf8(&opened).ok().map(SecretString::from))
}

/// Sends a code that answers this challenge. It counts from the moment its event is durable.
///
/// # Errors
/// [`ProofError::NotOffered`] without an address, [`ProofError::TooMany`] if too many were sent.
pub async fn send_code(
    app: &App,
    user: &User,
    challenge: ChallengeId,
    channel: Channel,
    origin: &Origin,
) -> Result<(), ProofError> {
    let to =
        open_address(app, user, channel)?.filter(|_| app.notifier().offers(channel)).ok_or(ProofError::NotOffered)?;
    let now = app.now();
    if !app.sent_codes().take(user.user, now) {
        return Err(ProofError::TooMany);
    }
    let code = codes::new_code(app.chance())?;
    let expires_at = now.checked_add(SignedDuration::from_secs(codes::LIFETIME_S)).unwrap_or(Timestamp::MAX);
    let hash = codes::hash(&code);
    let commands = app.commands();
    let done =
        commands.send_code(user.tenant, origin, user.user, SendCode { challenge, channel, hash, expires_at }).await?;
    if let Some(receipt) = done.receipts.last() {
        app.seen(receipt).await?;
    }
    let text = format!(
        "Your code is {code}\n\nIt is good for {} minutes and for one login. Nobody of ours will ever ask you for it.\n\
         If you did not log in just now, somebody knows your password: change it.\n",
        codes::LIFETIME_S / 60
    );
    let message = Message { id: app.new_id()?, channel, to, subject: "Your code".to_owned(), text: text.into() };
    Ok(app.notifier().post(message)?)
}

/// Whether this is the code that was sent for the challenge.
pub(super) fn check(
    app: &App,
    user: &User,
    challenge: ChallengeId,
    channel: Channel,
    code: &SecretString,
) -> Result<(), ProofError> {
    let sent = app.views().identity.code(challenge)?.ok_or(ProofError::Wrong)?;
    let hash = open_code(app, user, &sent.code)?;
    let given = codes::hash(code.expose_secret());
    let is_it = digest::same(&hash, given.as_bytes());
    let is_good = sent.user == user.user
        && sent.channel == channel
        && !sent.used
        && sent.tries < CODE_TRIES_MAX
        && app.now() < sent.expires_at;
    if is_it && is_good { Ok(()) } else { Err(ProofError::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn three_codes_in_ten_minutes() {
        let sent = SentCodes::default();
        let [a, b] = [1, 2].map(|id| UserId::new(Uuid::from_u128(id)));
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        assert!((0..3).all(|minute| sent.take(a, at(minute))));
        assert!(!sent.take(a, at(9)) && sent.take(b, at(9)));
        assert!(sent.take(a, at(10)), "the first is ten minutes old");
        assert!(!sent.take(a, at(10)));
        assert!(sent.take(a, at(60)));
        assert_eq!(sent.0.lock().len(), 1, "who was not sent any lately is forgotten");
    }
}
