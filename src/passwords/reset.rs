//! A new password for who forgot the old one: a token by e-mail, good once and for a short time.
//!
//! Whoever asks learns nothing, neither from the answer nor from its time: not whether there is such a user, nor whether
//! there is an address. A second factor is still asked for at the next login.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use wardbook_commands::{CommandError, Done, Origin, Rejection};
use wardbook_events::UserId;
use wardbook_events::alerts::Channel;
use wardbook_keys::SecretError;
use wardbook_projections::ViewError;
use wardbook_projections::identity::User;

use super::of_user::{NewPasswordError, new_password};
use crate::app::App;
use crate::clock::{Chance, NoChance};
use crate::notify::Message;
use crate::proofs::{digest, send};
use crate::sessions::secrets::simple_id;

/// Why no password was reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The token is unknown, used, or too old.
    #[error("this token does not count any more: ask for a new one")]
    Ended,
    /// The new password is not good enough.
    #[error(transparent)]
    Password(#[from] NewPasswordError),
    /// An event could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A view could not answer.
    #[error(transparent)]
    View(#[from] ViewError),
    /// An address could not be opened.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
}

const PREFIX: &str = "wbp_";

/// A token, and what is kept of it.
struct Token {
    text: SecretString,
    hash: String,
}

fn new_token(chance: &Chance, user: UserId) -> Result<Token, NoChance> {
    let secret = digest::new_token(chance)?;
    let text = format!("{PREFIX}{}_{}", user.uuid().simple(), *secret);
    Ok(Token { text: text.into(), hash: digest::sha256_hex(secret.as_bytes()) })
}

/// Whose a token says it is, and the hash of its secret.
#[must_use]
pub fn parse(token: &str) -> Option<(UserId, String)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let id = simple_id(id).filter(|_| secret.len() == 43)?;
    Some((UserId::new(id), digest::sha256_hex(secret.as_bytes())))
}

/// Sends a token, if the user has an address and none was sent a moment ago.
///
/// # Errors
/// If something of ours failed; the caller of the route is not told.
pub async fn request(app: &App, user: &User, origin: &Origin) -> Result<(), ResetError> {
    let address = send::open_address(app, user, Channel::Email)?.filter(|_| app.notifier().offers(Channel::Email));
    let Some(to) = address else { return Ok(()) };
    let Token { text, hash } = new_token(app.chance(), user.user)?;
    let lasts = SignedDuration::from_secs(i64::from(app.config().passwords.reset_lifetime_s));
    let expires_at = app.now().checked_add(lasts).unwrap_or(Timestamp::MAX);
    let done = app.commands().request_reset(user.tenant, origin, user.user, hash, expires_at).await?;
    if done.receipts.is_empty() {
        return Ok(()); // one was sent a moment ago
    }
    let text = format!(
        "Somebody asked for a new password for your account.\n\n{}{}\n\nIt is good once, for {} minutes. If it was not \
         you, do nothing: your password stays as it is.\n",
        app.config().passwords.reset_url,
        text.expose_secret(),
        app.config().passwords.reset_lifetime_s / 60
    );
    let (channel, subject) = (Channel::Email, "A new password".to_owned());
    let message = Message { id: app.new_id()?, channel, to, subject, text: text.into() };
    if let Err(error) = app.notifier().post(message) {
        tracing::warn!(%error, "a password reset was not sent");
    }
    Ok(())
}

/// The user of a token that counts at this moment. That it counts once is decided on the write side.
///
/// # Errors
/// [`ResetError::Ended`] if it does not count.
pub fn user_of(app: &App, token: &SecretString) -> Result<(User, String), ResetError> {
    let (user, hash) = parse(token.expose_secret()).ok_or(ResetError::Ended)?;
    let user = app.views().identity.user(user)?.filter(|user| user.active).ok_or(ResetError::Ended)?;
    let counts = user
        .reset
        .as_ref()
        .is_some_and(|reset| digest::same(reset.token.as_bytes(), hash.as_bytes()) && app.now() < reset.expires_at);
    if counts { Ok((user, hash)) } else { Err(ResetError::Ended) }
}

/// Sets the new password; all sessions end.
///
/// # Errors
/// [`ResetError::Ended`] if another request was faster, or the password is not good enough; then the token still counts.
pub async fn reset(
    app: &App,
    (user, hash): (&User, String),
    password: SecretString,
    origin: &Origin,
) -> Result<Done<()>, ResetError> {
    let password = new_password(app, user, password).await?;
    match app.commands().reset_password(user.tenant, origin, user.user, hash, password).await {
        Err(CommandError::Rejected(Rejection::ResetEnded)) => Err(ResetError::Ended),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_token_names_its_user_and_nothing_else_is_one() {
        let user = UserId::new(Uuid::from_u128(0x0190_a000_0000_7000_8000_0000_0000_0001));
        let token = new_token(&Chance::seeded(1), user).unwrap();
        assert_eq!(parse(token.text.expose_secret()), Some((user, token.hash)));
        for wrong in ["", "wbp_", "wbp__", "wbp_x_y", "wbk_0190a000000070008000000000000001_x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
