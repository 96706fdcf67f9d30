//! The way of a login: the same work and the same answer whether the name is known or not.

pub mod again;
pub mod passkey;
mod proved;
mod refresh;
mod visitor;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::SecretString;
use wardbook_commands::identity::{PASSWORD_PURPOSE, PasswordHash};
use wardbook_commands::{CommandError, Origin};
use wardbook_events::SessionId;
use wardbook_events::identity::{self, AccountKind, Factor, Proof};
use wardbook_keys::SecretError;
use wardbook_ledger::Receipt;
use wardbook_policy::Principal;
use wardbook_projections::ViewError;
use wardbook_projections::identity::User;

use crate::app::App;
use crate::challenge::{Challenge, ChallengeError, Wish};
use crate::clock::NoChance;
use crate::passwords::PasswordError;
use crate::proofs::{self, Presented, ProofError};
use crate::sessions::ending::{self, EndError};
use crate::tokens::{Subject, TokenError};

pub use proved::{Asked, Begun, Next, Step, demands_second, is_enough, login_rules, proved};
pub use refresh::{Refreshed, refresh};
pub use visitor::{Visitor, binding};

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
    /// A second factor could not be checked.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The token could not be signed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Sessions could not be ended.
    #[error(transparent)]
    End(#[from] EndError),
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

impl From<ChallengeError> for LoginError {
    fn from(error: ChallengeError) -> Self {
        match error {
            ChallengeError::Invalid | ChallengeError::Expired => Self::Wrong,
            ChallengeError::Secret(error) => Self::Secret(error),
        }
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
    let step = try_password(app, &username.to_ascii_lowercase(), password, visitor).await;
    if let Err(LoginError::Wrong | LoginError::Locked { .. }) = &step {
        settle(began).await;
    }
    step
}

async fn try_password(
    app: &App,
    username: &str,
    password: SecretString,
    visitor: &Visitor,
) -> Result<Step, LoginError> {
    let user = find(app, username)?;
    let hash = user.as_ref().map_or(Ok(None), |user| stored_hash(app, user))?;
    // In every case, so that nothing can be told from the time.
    let fits = app.passwords().verify(password.clone(), hash.clone()).await?;
    let Some(mut user) = user.filter(|user| user.active && user.kind == AccountKind::Person) else {
        app.failed().of_stranger(app.now());
        let locked = app.unknown_names().fail(username, app.now());
        return Err(locked.map_or(LoginError::Wrong, |until| LoginError::locked(until, app.now())));
    };
    let mut challenge = Challenge::log_in(app, &user, visitor)?;
    refuse_locked(app, &user, challenge.known_device())?;
    if !fits {
        return Err(failed(app, &user, Factor::Password, challenge.known_device(), visitor).await);
    }
    challenge.proofs.push(Proof::Password);
    challenge.password = user.password().cloned();
    if hash.is_some_and(|hash| app.passwords().is_outdated(&hash)) {
        // First, because the login goes on with the hash that is the user's then.
        if let Some(renewed) = rehash(app, &user, password, visitor).await {
            user = renewed;
            challenge.password = user.password().cloned();
        }
    }
    proved(app, &user, challenge, visitor).await
}

/// Takes the answer to a question of an earlier step.
///
/// # Errors
/// As [`log_in`]; also for a challenge that is not ours, too old, or was redeemed.
pub async fn second_factor(
    app: &App,
    challenge: &str,
    presented: Presented,
    visitor: &Visitor,
) -> Result<Step, LoginError> {
    let began = Instant::now();
    let step = try_second(app, challenge, presented, visitor).await;
    if let Err(LoginError::Wrong | LoginError::Locked { .. }) = &step {
        settle(began).await;
    }
    step
}

async fn try_second(app: &App, challenge: &str, presented: Presented, visitor: &Visitor) -> Result<Step, LoginError> {
    let mut challenge = Challenge::open(app, challenge)?;
    let user = app.views().identity.user(challenge.user)?.filter(|user| user.active && user.tenant == challenge.tenant);
    let user = user.filter(|_| challenge.wish == Wish::LogIn).ok_or(LoginError::Wrong)?;
    // A session that has begun does not begin again.
    if app.views().identity.session(challenge.session)?.is_some() {
        return Err(LoginError::Wrong);
    }
    refuse_locked(app, &user, challenge.known_device())?;
    let factor = presented.factor();
    match proofs::verify(app, &user, &challenge, presented).await {
        Ok(proof) => challenge.proofs.push(proof),
        Err(ProofError::Wrong) => return Err(failed(app, &user, factor, challenge.known_device(), visitor).await),
        Err(error) => return Err(error.into()),
    }
    proved(app, &user, challenge, visitor).await
}

/// An access token of a session.
///
/// # Errors
/// If it cannot be signed.
pub fn access_token(
    app: &App,
    user: &User,
    session: SessionId,
    proven_at: Timestamp,
    mfa: u8,
) -> Result<String, LoginError> {
    bound_token(app, user, session, proven_at, mfa, None)
}

/// An access token that is good only along with this certificate, if one is given (RFC 8705 section 3).
///
/// # Errors
/// As [`access_token`].
pub fn bound_token(
    app: &App,
    user: &User,
    session: SessionId,
    proven_at: Timestamp,
    mfa: u8,
    bound_to: Option<String>,
) -> Result<String, LoginError> {
    let roles = user.roles.iter().copied().collect();
    let subject = Subject { user: user.user, session, tenant: user.tenant, roles, proven_at, mfa, bound_to };
    Ok(app.tokens().issue(&subject, app.new_id()?, app.now())?)
}

/// Whether the password is the user's. For somebody whose session is live; [`log_in`] is for all others.
///
/// # Errors
/// If too many wait, or the stored hash cannot be opened.
pub async fn has_password(app: &App, user: &User, password: SecretString) -> Result<bool, LoginError> {
    Ok(app.passwords().verify(password, stored_hash(app, user)?).await?)
}

/// Refuses who is locked out, whatever else was right; counted, and no event.
///
/// # Errors
/// [`LoginError::Locked`].
pub fn refuse_locked(app: &App, user: &User, known_device: bool) -> Result<(), LoginError> {
    let now = app.now();
    let Some(until) = user.locked(now, known_device) else { return Ok(()) };
    app.failed().of_stranger(now);
    Err(LoginError::locked(until, now))
}

/// A known user's login failed: tells it, up to the limit, and gives what is to be answered.
pub async fn failed(app: &App, user: &User, factor: Factor, known_device: bool, visitor: &Visitor) -> LoginError {
    let tell = async || {
        if !app.failed().of_user(user.user, app.now()) {
            return Ok(LoginError::Wrong);
        }
        let origin = visitor.origin(app, user)?;
        let origin = Origin { idempotency: None, ..origin };
        let rules = login_rules(app);
        let done = app.commands().fail_login(user.tenant, &origin, user.user, factor, known_device, rules).await?;
        match (done.receipts.last(), done.value) {
            // The next try must find the lock.
            (Some(receipt), _) => app.seen(receipt).await?,
            (None, Some(until)) => return Ok(LoginError::locked(until, app.now())),
            (None, None) => {}
        }
        Ok::<_, LoginError>(LoginError::Wrong)
    };
    tell().await.unwrap_or_else(|error| error)
}

/// A password that was hashed with other parameters than today's gets a hash of today's (IAM-02): the user as it is then. If
/// that fails, the next login tries again.
async fn rehash(app: &App, user: &User, password: SecretString, visitor: &Visitor) -> Option<User> {
    let renew = async || {
        let hash = PasswordHash::new(&app.passwords().rehash(password).await?);
        let (Some(old), Some(hash)) = (user.password().cloned(), hash) else { return Ok(None) };
        let origin = visitor.origin(app, user)?;
        let done = app.commands().rehash_password(user.tenant, &origin, user.user, old, hash).await?;
        // No event: somebody changed the password meanwhile, and this login must not go on with the new one.
        let Some(receipt) = done.receipts.last() else { return Ok(None) };
        app.seen(receipt).await?;
        Ok::<_, LoginError>(app.views().identity.user(user.user)?)
    };
    renew().await.unwrap_or_else(|error| {
        tracing::warn!(user = %user.user, %error, "a password was not hashed anew");
        None
    })
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

/// The user of a name, in lower case.
///
/// # Errors
/// If the view cannot answer.
pub fn find(app: &App, username: &str) -> Result<Option<User>, ViewError> {
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
) -> Result<Option<Receipt>, EndError> {
    ending::remember(app, &[session]);
    let done = app.commands().log_out(principal.tenant, origin, principal.user, session).await?;
    let receipt = done.receipts.into_iter().next_back();
    if let Some(receipt) = &receipt {
        app.seen(receipt).await?;
    }
    Ok(receipt)
}
