//! Logging in with a passkey alone: no name is typed, the device says whose passkey it has, and as it saw its owner it is two
//! factors by itself (NIST SP 800-63B 5.1.9; decision 19).
//!
//! Until the device has answered nobody is named, so the question costs the ledger nothing. Whoever brings a passkey that no
//! user has is a stranger; a known passkey with a wrong answer is a failed login of its user.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Builder;
use wardbook_events::identity::{AccountKind, Factor};
use wardbook_events::{Ciphertext, SessionId, TenantId};
use wardbook_keys::SecretError;

use super::{LoginError, Step, Visitor, failed, proved, refuse_locked, settle};
use crate::app::App;
use crate::challenge::Challenge;
use crate::proofs::ProofError;
use crate::proofs::passkeys::{self, Named, PasskeyError};

/// What the state is sealed for.
const STREAM: &str = "challenges";
const PURPOSE: &str = "passkey-login";

/// What must come back unchanged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    /// The session that is going to begin. None begins twice, so the answer counts once.
    session: SessionId,
    /// What the ceremony must be finished with.
    state: Value,
    expires_at: Timestamp,
}

/// A question to whatever passkey the device has.
#[derive(Debug)]
pub struct Question {
    /// To be sent back with the answer.
    pub challenge: String,
    /// For the browser: the argument of `navigator.credentials.get`.
    pub passkey: Value,
}

/// The organisation under whose key the state is sealed. Users of every organisation answer it.
fn tenant(app: &App) -> TenantId {
    app.config().organisation.id
}

/// Asks.
///
/// # Errors
/// If the ceremony cannot be begun or its state not be sealed.
pub fn ask(app: &App) -> Result<Question, LoginError> {
    let begun = passkeys::begin_login(app).map_err(ProofError::from)?;
    let lasts = SignedDuration::from_secs(i64::from(app.config().login.challenge_s));
    let pending = Pending {
        session: SessionId::new(Builder::from_random_bytes(app.chance().bytes()?).into_uuid()),
        state: begun.state,
        expires_at: app.now().checked_add(lasts).unwrap_or(Timestamp::MAX),
    };
    let json = serde_json::to_vec(&pending).map_err(|_| SecretError::UnknownForm)?;
    let sealed = app.keys().seal_secret(tenant(app), STREAM, PURPOSE, &json)?;
    Ok(Question { challenge: sealed.as_str().to_owned(), passkey: begun.options })
}

/// Takes the answer.
///
/// # Errors
/// [`LoginError::Wrong`] or [`LoginError::Locked`] for everything that is the caller's fault.
pub async fn log_in(app: &App, challenge: &str, credential: Value, visitor: &Visitor) -> Result<Step, LoginError> {
    let began = Instant::now();
    let step = try_passkey(app, challenge, credential, visitor).await;
    if let Err(LoginError::Wrong | LoginError::Locked { .. }) = &step {
        settle(began).await;
    }
    step
}

async fn try_passkey(app: &App, challenge: &str, credential: Value, visitor: &Visitor) -> Result<Step, LoginError> {
    let pending = open(app, challenge)?;
    let stranger = || {
        app.failed().of_stranger(app.now());
        LoginError::Wrong
    };
    let named = Named::parse(credential).ok_or_else(stranger)?;
    let user = app.views().identity.user(named.user)?;
    let user = user.filter(|user| user.active && user.kind == AccountKind::Person).ok_or_else(stranger)?;
    let proof = match passkeys::finish_login(app, &user, pending.state, &named) {
        Err(PasskeyError::None) => return Err(stranger()),
        other => other,
    };
    let mut challenge = Challenge::log_in(app, &user, visitor)?;
    challenge.session = pending.session;
    if app.views().identity.session(challenge.session)?.is_some() {
        return Err(LoginError::Wrong);
    }
    refuse_locked(app, &user, challenge.known_device())?;
    match proof {
        Ok(proof) => challenge.proofs.push(proof),
        Err(PasskeyError::Wrong) => {
            return Err(failed(app, &user, Factor::Passkey, challenge.known_device(), visitor).await);
        }
        Err(error) => return Err(ProofError::from(error).into()),
    }
    proved(app, &user, challenge, visitor).await
}

fn open(app: &App, challenge: &str) -> Result<Pending, LoginError> {
    let sealed = Ciphertext::new(challenge.to_owned());
    let opened = app.keys().open_secret(tenant(app), STREAM, PURPOSE, &sealed).map_err(|error| match error {
        SecretError::UnknownForm | SecretError::UnknownKey | SecretError::NotAuthentic => LoginError::Wrong,
        other => LoginError::Secret(other),
    })?;
    let pending: Pending = serde_json::from_slice(&opened).map_err(|_| LoginError::Wrong)?;
    if app.now() < pending.expires_at { Ok(pending) } else { Err(LoginError::Wrong) }
}
