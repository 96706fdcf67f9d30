//! Enrolling a factor, in two steps: what is to be enrolled goes out in a sealed challenge, and counts once it came back
//! with a proof that it works.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wardbook_commands::{CommandError, Done, Origin};
use wardbook_events::PasskeyId;
use wardbook_events::alerts::Channel;
use wardbook_events::identity::Proof;
use wardbook_ledger::Receipt;
use wardbook_projections::identity::User;

use super::{ProofError, passkeys, recovery, send, totp};
use crate::app::App;
use crate::challenge::Challenge;

/// What is being enrolled: a part of the sealed challenge.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Enrolling {
    /// An authenticator app.
    Totp {
        /// The secret, hex.
        secret: String,
    },
    /// A passkey.
    Passkey {
        /// What the user calls it.
        name: String,
        /// State of the ceremony.
        state: Value,
    },
    /// Codes by e-mail or text message.
    Codes {
        /// Which.
        channel: Channel,
    },
}

impl fmt::Debug for Enrolling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Totp { .. } => "Enrolling(totp)",
            Self::Passkey { .. } => "Enrolling(passkey)",
            Self::Codes { .. } => "Enrolling(codes)",
        })
    }
}

/// What somebody wants to enrol.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// An authenticator app.
    Totp,
    /// A passkey of this name.
    Passkey(String),
    /// Codes by this channel.
    Codes(Channel),
}

/// What the client needs to go on.
pub enum Offer {
    /// For the app.
    Totp(totp::Provision),
    /// For the browser: the argument of `navigator.credentials.create`.
    Passkey(Value),
    /// Nothing: a code is on its way.
    CodeSent,
}

/// What the client brings back.
pub enum Given {
    /// A code of the app, or the one that was sent.
    Code(SecretString),
    /// What the browser got from the new passkey.
    Credential(Value),
}

/// A factor that was enrolled.
pub struct Enrolled {
    /// What it proved by that.
    pub proof: Proof,
    /// Recovery codes, shown this once, if these are the user's first.
    pub recovery: Option<Vec<String>>,
    /// The event that tells of it.
    pub receipt: Option<Receipt>,
}

/// Begins. The challenge holds what is to be enrolled afterwards.
///
/// # Errors
/// [`ProofError::NotOffered`] if codes cannot be sent there.
pub async fn begin(
    app: &App,
    user: &User,
    challenge: &mut Challenge,
    wanted: Wanted,
    origin: &Origin,
) -> Result<Offer, ProofError> {
    let (enrolling, offer) = match wanted {
        Wanted::Totp => {
            let secret = totp::new_secret(app.chance())?;
            let issuer = &app.config().webauthn.name;
            let provision =
                totp::provision(&*secret, issuer, &user.username).map_err(|_| ProofError::Damaged("totp"))?;
            (Enrolling::Totp { secret: hex::encode(*secret) }, Offer::Totp(provision))
        }
        Wanted::Passkey(name) => {
            let begun = passkeys::begin_enrolment(app, user)?;
            (Enrolling::Passkey { name, state: begun.state }, Offer::Passkey(begun.options))
        }
        Wanted::Codes(channel) => {
            send::send_code(app, user, challenge.id, channel, origin).await?;
            (Enrolling::Codes { channel }, Offer::CodeSent)
        }
    };
    challenge.enrolling = Some(enrolling);
    Ok(offer)
}

/// Finishes: the factor is enrolled when it answers, and the user's first recovery codes are made.
///
/// # Errors
/// [`ProofError::Wrong`] if what came back does not prove that it works.
pub async fn confirm(
    app: &App,
    user: &User,
    challenge: &Challenge,
    given: Given,
    origin: &Origin,
) -> Result<Enrolled, ProofError> {
    let (commands, tenant) = (app.commands(), user.tenant);
    let enrolling = challenge.enrolling.clone().ok_or(ProofError::Wrong)?;
    let (proof, done) = match (enrolling, given) {
        (Enrolling::Totp { secret }, Given::Code(code)) => {
            let secret = zeroize::Zeroizing::new(hex::decode(secret).map_err(|_| ProofError::Damaged("totp"))?);
            let step = totp::step_of(&secret, code.expose_secret(), app.now()).ok_or(ProofError::Wrong)?;
            (Proof::Totp { step }, commands.enrol_totp(tenant, origin, user.user, &secret).await?)
        }
        (Enrolling::Passkey { name, state }, Given::Credential(credential)) => {
            let json = passkeys::finish_enrolment(app, state, credential)?;
            // From the challenge, so that a repeated confirmation enrols no second one.
            let passkey = PasskeyId::new(challenge.id.uuid());
            let done = commands.enrol_passkey(tenant, origin, user.user, passkey, name, json).await?;
            // The ceremony asked for the owner, and counts as a proof by the new key.
            (Proof::Passkey { passkey, counter: 0, user_verified: true }, done)
        }
        (Enrolling::Codes { channel }, Given::Code(code)) => {
            send::check(app, user, challenge.id, channel, &code)?;
            let proof = match channel {
                Channel::Email => Proof::EmailCode { challenge: challenge.id },
                _ => Proof::SmsCode { challenge: challenge.id },
            };
            (proof, commands.enrol_channel(tenant, origin, user.user, channel).await?)
        }
        _ => return Err(ProofError::Wrong),
    };
    let mut receipt = last(done);
    let recovery = match user.recovery {
        Some(_) => None,
        None => {
            // A command of its own: its events need ids of their own.
            let origin = Origin { seed: app.chance().bytes()?, idempotency: None, ..origin.clone() };
            let (codes, issued) = issue_recovery_codes(app, user, &origin).await?;
            receipt = issued.or(receipt);
            Some(codes)
        }
    };
    if let Some(receipt) = &receipt {
        app.seen(receipt).await?;
    }
    Ok(Enrolled { proof, recovery, receipt })
}

/// Makes new recovery codes; those before are void.
///
/// # Errors
/// If they could not be written.
pub async fn issue_recovery_codes(
    app: &App,
    user: &User,
    origin: &Origin,
) -> Result<(Vec<String>, Option<Receipt>), ProofError> {
    let codes = recovery::new_codes(app.chance())?;
    let hashes = codes.iter().map(|code| recovery::hash(code)).collect();
    let done: Result<Done<()>, CommandError> =
        app.commands().issue_recovery_codes(user.tenant, origin, user.user, hashes).await;
    Ok((codes, last(done?)))
}

fn last<T>(done: Done<T>) -> Option<Receipt> {
    done.receipts.into_iter().next_back()
}
