//! By what people and programs prove who they are, besides passwords: codes, passkeys, keys, other organisations' word.
//!
//! What is checked here is what takes a secret or a signature. That nothing proves twice (a code's step, a recovery code, a
//! passkey's counter) is decided on the write side, where no two logins can pass at once.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use wardbook_commands::CommandError;
use wardbook_commands::identity::{CODE_PURPOSE, RECOVERY_PURPOSE, TOTP_PURPOSE};
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{self, Factor, Proof};
use wardbook_keys::SecretError;
use wardbook_projections::ViewError;
use wardbook_projections::identity::User;

use crate::app::App;
use crate::challenge::Challenge;
use crate::clock::NoChance;
use crate::notify::NotifyError;

pub mod api_keys;
pub mod assertions;
pub mod codes;
pub mod digest;
pub mod enrolment;
pub mod external;
pub mod passkeys;
pub mod recovery;
pub mod send;
pub mod service;
pub mod totp;

pub use enrolment::Enrolling;
pub use passkeys::{Begun as PasskeyBegun, PasskeyError};

/// What somebody gives to prove who it is.
#[derive(Clone, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Presented {
    /// A code of the authenticator app.
    Totp {
        /// Six digits.
        code: SecretString,
    },
    /// A recovery code.
    RecoveryCode {
        /// Eight hex digits.
        code: SecretString,
    },
    /// A code that was sent by e-mail.
    EmailCode {
        /// Six characters.
        code: SecretString,
    },
    /// A code that was sent by text message.
    SmsCode {
        /// Six characters.
        code: SecretString,
    },
    /// What the browser got from a passkey.
    Passkey {
        /// A `PublicKeyCredential` as JSON.
        credential: Value,
    },
}

impl Presented {
    /// Its kind.
    #[must_use]
    pub const fn factor(&self) -> Factor {
        match self {
            Self::Totp { .. } => Factor::Totp,
            Self::RecoveryCode { .. } => Factor::RecoveryCode,
            Self::EmailCode { .. } => Factor::EmailCode,
            Self::SmsCode { .. } => Factor::SmsCode,
            Self::Passkey { .. } => Factor::Passkey,
        }
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Presented({:?})", self.factor())
    }
}

/// Why nothing was proved.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It is wrong, or not enrolled: counts as a failed login.
    #[error("the proof is wrong")]
    Wrong,
    /// Codes can be sent neither by this channel nor to this user.
    #[error("codes cannot be sent this way: choose another method")]
    NotOffered,
    /// Codes were sent to this user too often.
    #[error("too many codes were sent: wait some minutes")]
    TooMany,
    /// A message was not queued.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// A sealed secret could not be opened.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A view could not answer.
    #[error(transparent)]
    View(#[from] ViewError),
    /// An event could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// Something that we sealed ourselves is not what it was.
    #[error("a stored factor is damaged: {0}")]
    Damaged(&'static str),
}

impl From<PasskeyError> for ProofError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::Wrong | PasskeyError::None => Self::Wrong,
            PasskeyError::Secret(error) => Self::Secret(error),
            PasskeyError::Json(_) | PasskeyError::Begin(_) => Self::Damaged("passkey"),
        }
    }
}

/// What the user can answer with as a second factor. Codes are offered only where they can be sent.
#[must_use]
pub fn methods(app: &App, user: &User) -> Vec<Factor> {
    let mut methods = Vec::new();
    if !user.passkeys.is_empty() {
        methods.push(Factor::Passkey);
    }
    if user.totp.is_some() {
        methods.push(Factor::Totp);
    }
    for channel in [Channel::Email, Channel::Sms] {
        if user.channels.contains(&channel) && send::address(user, channel).is_some() && app.notifier().offers(channel)
        {
            methods.extend(factor_of(channel));
        }
    }
    // Only besides another: who has nothing else enrols, and does not live on recovery codes.
    let left = usize::from(user.recovery_count) > user.recovery_used.len();
    if left && !methods.is_empty() {
        methods.push(Factor::RecoveryCode);
    }
    methods
}

/// What the user could enrol.
#[must_use]
pub fn enrollable(app: &App, user: &User) -> Vec<Factor> {
    let sendable = [Channel::Email, Channel::Sms]
        .into_iter()
        .filter(|channel| send::address(user, *channel).is_some() && app.notifier().offers(*channel));
    [Factor::Totp, Factor::Passkey].into_iter().chain(sendable.filter_map(factor_of)).collect()
}

/// The kind of proof that comes back from a channel.
#[must_use]
pub const fn factor_of(channel: Channel) -> Option<Factor> {
    match channel {
        Channel::Email => Some(Factor::EmailCode),
        Channel::Sms => Some(Factor::SmsCode),
        Channel::Webhook => None,
    }
}

/// Checks what was given. That it counts only once is for the write side to decide.
///
/// # Errors
/// [`ProofError::Wrong`] if it is wrong.
pub async fn verify(app: &App, user: &User, challenge: &Challenge, presented: Presented) -> Result<Proof, ProofError> {
    let open = |purpose, sealed| app.keys().open_secret(user.tenant, &identity::stream(user.user), purpose, sealed);
    match presented {
        Presented::Totp { code } => {
            let secret = open(TOTP_PURPOSE, user.totp.as_ref().ok_or(ProofError::Wrong)?)?;
            let step = totp::step_of(&secret, code.expose_secret(), app.now()).ok_or(ProofError::Wrong)?;
            Ok(Proof::Totp { step })
        }
        Presented::RecoveryCode { code } => {
            let recovery = user.recovery.as_ref().ok_or(ProofError::Wrong)?;
            let json = open(RECOVERY_PURPOSE, recovery)?;
            let hashes: Vec<String> =
                serde_json::from_slice(&json).map_err(|_| ProofError::Damaged("recovery codes"))?;
            let index = recovery::index_of(&hashes, code.expose_secret()).ok_or(ProofError::Wrong)?;
            Ok(Proof::RecoveryCode { index })
        }
        Presented::EmailCode { code } => {
            send::check(app, user, challenge.id, Channel::Email, &code)?;
            Ok(Proof::EmailCode { challenge: challenge.id })
        }
        Presented::SmsCode { code } => {
            send::check(app, user, challenge.id, Channel::Sms, &code)?;
            Ok(Proof::SmsCode { challenge: challenge.id })
        }
        Presented::Passkey { credential } => {
            let state = challenge.passkey.clone().ok_or(ProofError::Wrong)?;
            Ok(passkeys::finish_proof(app, user, state, credential)?)
        }
    }
}

/// What the browser must be told for a proof by passkey, and the state for the challenge; `None` without a passkey.
///
/// # Errors
/// If a stored passkey cannot be opened.
pub fn passkey_options(app: &App, user: &User) -> Result<Option<(Value, Value)>, PasskeyError> {
    if user.passkeys.is_empty() {
        return Ok(None);
    }
    let begun = passkeys::begin_proof(app, user)?;
    Ok(Some((begun.options, begun.state)))
}

/// Opens a code's hash, for [`send::check`].
fn open_code(app: &App, user: &User, sealed: &wardbook_events::Ciphertext) -> Result<Vec<u8>, SecretError> {
    let stream = identity::stream(user.user);
    Ok(app.keys().open_secret(user.tenant, &stream, CODE_PURPOSE, sealed)?.to_vec())
}
