//! The way of a login: the same work and the same answer whether the name is known or not.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use secrecy::SecretString;
use wardbook_commands::identity::PASSWORD_PURPOSE;
use wardbook_commands::{CommandError, Origin, Rejection};
use wardbook_events::{Actor, Client, CorrelationId, Purpose, Role, SessionId, identity};
use wardbook_keys::SecretError;
use wardbook_ledger::Receipt;
use wardbook_policy::Principal;
use wardbook_projections::ViewError;
use wardbook_projections::identity::User;

use crate::app::App;
use crate::asker::role_and_purpose;
use crate::clock::NoChance;
use crate::passwords::PasswordError;
use crate::tokens::TokenError;

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown name, wrong password, no password, or a disabled account: never said which.
    #[error("the login failed")]
    Wrong,
    /// Too many at once.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The event could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The user could not be looked up.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The stored hash could not be opened.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The token could not be signed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
}

/// A session that has begun.
pub struct Begun {
    /// The session.
    pub session: SessionId,
    /// Its first access token.
    pub token: String,
    /// The event that tells of it.
    pub receipt: Receipt,
}

/// Longest user name that is looked up; a longer one is nobody's.
const NAME_BYTES_MAX: usize = 64;

/// Logs in.
///
/// # Errors
/// [`LoginError::Wrong`] for everything that is the caller's fault.
pub async fn log_in(
    app: &App,
    username: &str,
    password: SecretString,
    correlation: CorrelationId,
    client: Client,
) -> Result<Begun, LoginError> {
    let began = Instant::now();
    let user = find(app, username)?;
    let hash = user.as_ref().map_or(Ok(None), |user| stored_hash(app, user))?;
    let fits = app.passwords().verify(password, hash).await?;
    let Some(user) = user else {
        app.failed().of_stranger(app.now());
        settle(began).await;
        return Err(LoginError::Wrong);
    };
    let (role, purpose) = role_and_purpose(&user.roles, None).unwrap_or((Role::Patient, Purpose::SystemAdministration));
    let origin = Origin {
        actor: Actor::user(user.user, role),
        purpose,
        correlation,
        causation: None,
        client,
        now: app.now(),
        seed: app.chance().bytes()?,
        idempotency: None,
    };
    if !fits || !user.active {
        if app.failed().of_user(user.user, app.now()) {
            app.commands().fail_login(user.tenant, &origin, user.user).await?;
        }
        settle(began).await;
        return Err(LoginError::Wrong);
    }
    begin(app, &user, origin).await
}

/// Failures are answered at multiples of this time.
const BEAT: Duration = Duration::from_millis(200);

/// A known user's failure is an event and a stranger's is not. Waiting for the next beat keeps the disk's share of the
/// time from telling which of them it was.
async fn settle(began: Instant) {
    let beats = began.elapsed().as_millis() / BEAT.as_millis() + 1;
    let until = began + BEAT.saturating_mul(u32::try_from(beats).unwrap_or(1));
    tokio::time::sleep_until(until.into()).await;
}

async fn begin(app: &App, user: &User, mut origin: Origin) -> Result<Begun, LoginError> {
    let now = origin.now;
    let session = SessionId::new(app.new_id()?);
    origin.client.session = Some(session);
    let lasts = SignedDuration::from_secs(i64::from(app.config().tokens.session_lifetime_s));
    let expires_at = now.checked_add(lasts).unwrap_or(jiff::Timestamp::MAX);
    let done = match app.commands().log_in(user.tenant, &origin, user.user, session, expires_at).await {
        Err(CommandError::Rejected(Rejection::UserDisabled)) => return Err(LoginError::Wrong),
        other => other?,
    };
    let receipt = done.receipts.into_iter().next_back().ok_or(CommandError::Internal("a login without an event"))?;
    // The next request carries the token, so the view must know the session by then.
    app.seen(&receipt).await?;
    let token = app.tokens().issue(user.user, session, user.tenant, now)?;
    Ok(Begun { session, token, receipt })
}

fn find(app: &App, username: &str) -> Result<Option<User>, ViewError> {
    if username.len() > NAME_BYTES_MAX {
        return Ok(None);
    }
    app.views().identity.user_by_name(&username.to_ascii_lowercase())
}

fn stored_hash(app: &App, user: &User) -> Result<Option<SecretString>, SecretError> {
    let Some(sealed) = &user.password else { return Ok(None) };
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
    let lasts = SignedDuration::from_secs(i64::from(app.config().tokens.session_lifetime_s));
    app.ended().end(session, now, now.checked_add(lasts).unwrap_or(jiff::Timestamp::MAX));
    let done = app.commands().log_out(principal.tenant, origin, principal.user, session).await?;
    let receipt = done.receipts.into_iter().next_back();
    if let Some(receipt) = &receipt {
        app.seen(receipt).await?;
    }
    Ok(receipt)
}
