//! The way of a login: the same work and the same answer whether the name is known or not.

mod proved;
mod visitor;

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use wardbook_commands::identity::PASSWORD_PURPOSE;
use wardbook_commands::{CommandError, Origin};
use wardbook_events::SessionId;
use wardbook_events::identity::{self, Factor, Proof};
use wardbook_keys::SecretError;
use wardbook_ledger::Receipt;
use wardbook_policy::Principal;
use wardbook_projections::ViewError;
use wardbook_projections::identity::User;

use crate::app::App;
use crate::challenge::Challenge;
use crate::clock::NoChance;
use crate::passwords::PasswordError;
use crate::tokens::TokenError;

pub use proved::{Asked, Begun, Next, Step, login_rules, proved};
pub use visitor::Visitor;

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown name, wrong password, no password, a disabled account, or from where it must not be: never said which.
    #[error("the login failed")]
    Wrong,
    /// Too many failed; whether the password was right is not said.
    #[error("the account is locked: wait {retry_after_s} seconds, or ask an administrator to unlock it")]
    Locked {
        /// For how long still.
        retry_after_s: u32,
    },
    /// The user has as many sessions as allowed.
    #[error("there are too many sessions: end one of them first")]
    TooManySessions,
    /// Too many at once.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The event could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The user could not be looked up.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The stored hash could not be opened, or a challenge not sealed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The token could not be signed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
}

impl LoginError {
    /// Locked until then.
    #[must_use]
    pub fn locked(until: Timestamp, now: Timestamp) -> Self {
        let seconds = until.duration_since(now).as_secs().max(0).saturating_add(1);
        Self::Locked { retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX) }
    }
}

/// Longest user name that is looked up; a longer one is nobody's.
const NAME_BYTES_MAX: usize = 64;

/// Takes name and password: the first step of a login, and the last if nothing else is asked for.
///
/// # Errors
/// [`LoginError::Wrong`] or [`LoginError::Locked`] for everything that is the caller's fault.
pub async fn log_in(app: &App, username: &str, password: SecretString, visitor: &Visitor) -> Result<Step, LoginError> {
    let began = Instant::now();
    let username = username.to_ascii_lowercase();
    let user = find(app, &username)?;
    let hash = user.as_ref().map_or(Ok(None), |user| stored_hash(app, user))?;
    let fits = app.passwords().verify(password, hash).await?;
    let Some(user) = user.filter(|user| user.active) else {
        app.failed().of_stranger(app.now());
        let locked = app.unknown_names().fail(&username, app.now());
        settle(began).await;
        return Err(locked.map_or(LoginError::Wrong, |until| LoginError::locked(until, app.now())));
    };
    if !fits {
        let origin = visitor.origin(app, &user)?;
        if app.failed().of_user(user.user, app.now()) {
            app.commands()
                .fail_login(user.tenant, &origin, user.user, Factor::Password, false, login_rules(app))
                .await?;
        }
        settle(began).await;
        return Err(LoginError::Wrong);
    }
    let mut challenge = Challenge::log_in(app, &user, visitor)?;
    challenge.proofs.push(Proof::Password);
    proved(app, &user, challenge, visitor).await
}

/// Failures are answered at multiples of this time.
const BEAT: Duration = Duration::from_millis(200);

/// A known user's failure is an event and a stranger's is not. Waiting for the next beat keeps the disk's share of the
/// time from telling which of them it was.
pub async fn settle(began: Instant) {
    let beats = began.elapsed().as_millis() / BEAT.as_millis() + 1;
    let until = began + BEAT.saturating_mul(u32::try_from(beats).unwrap_or(1));
    tokio::time::sleep_until(until.into()).await;
}

/// `username` in lower case.
fn find(app: &App, username: &str) -> Result<Option<User>, ViewError> {
    if username.len() > NAME_BYTES_MAX {
        return Ok(None);
    }
    app.views().identity.user_by_name(username)
}

fn stored_hash(app: &App, user: &User) -> Result<Option<SecretString>, SecretError> {
    let Some(sealed) = user.password() else { return Ok(None) };
    let opened = app.keys().open_secret(user.tenant, &identity::stream(user.user), PASSWORD_PURPOSE, sealed)?;
    // PHC strings are ASCII; anything else matches no password.
    Ok(std::str::from_utf8(&opened).ok().map(SecretString::from))
}

/// Ends a session: at once for this process, and for the others as soon as their views have seen the event.
///
/// # Errors
/// If the event could not be written, or the view has not seen it in time; the session has ended nevertheless.
pub async fn log_out(
    app: &App,
    origin: &Origin,
    principal: &Principal,
    session: SessionId,
) -> Result<Option<Receipt>, crate::api::problem::Problem> {
    let now = app.now();
    let lasts = SignedDuration::from_secs(i64::from(app.config().sessions.lifetime_s));
    app.ended().end(session, now, now.checked_add(lasts).unwrap_or(Timestamp::MAX));
    let done = app.commands().log_out(principal.tenant, origin, principal.user, session).await?;
    let receipt = done.receipts.into_iter().next_back();
    if let Some(receipt) = &receipt {
        app.seen(receipt).await?;
    }
    Ok(receipt)
}
