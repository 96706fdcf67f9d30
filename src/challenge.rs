//! A login under way: what was proved so far, sealed and given to the client until the next step.
//!
//! The server keeps nothing between two steps, so a restart loses no login and a flood of half-finished ones costs no
//! memory. A challenge names the session that is going to begin; as no session begins twice, it is redeemed once.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Builder;
use wardbook_events::identity::Proof;
use wardbook_events::{ChallengeId, Ciphertext, SessionId, TenantId, UserId};
use wardbook_keys::SecretError;
use wardbook_projections::identity::User;

use crate::app::App;
use crate::clock::NoChance;
use crate::login::Visitor;
use crate::proofs::Enrolling;

/// What a client wants to come out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// A session.
    LogIn,
    /// That the present session counts as freshly proved.
    StepUp,
    /// That the present session is not locked any more.
    Unlock,
    /// A new factor, within a login that cannot go on without.
    Enrol,
}

/// A login, or a further proof within a session, that waits for its next step.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Which one.
    pub id: ChallengeId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who says to be somebody.
    pub user: UserId,
    /// The session that is going to begin; with [`Wish::StepUp`] and [`Wish::Unlock`] the present one.
    pub session: SessionId,
    /// What for.
    pub wish: Wish,
    /// What was proved so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
    /// The sealed hash that the password was checked against: a login ends when it is changed meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Ciphertext>,
    /// Hash of the token of a device that had logged in before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// When it was made: what the session proved later than that, it was redeemed for.
    pub made_at: Timestamp,
    /// When it is good no longer.
    pub expires_at: Timestamp,
    /// What the passkey ceremony must be finished with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey: Option<Value>,
    /// The factor that is being enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolling: Option<Enrolling>,
}

/// Why a challenge is not good. Callers learn only that it is not.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// Not one of ours, or damaged.
    #[error("the challenge is not valid")]
    Invalid,
    /// Was good once.
    #[error("the challenge has expired")]
    Expired,
    /// The key store failed.
    #[error(transparent)]
    Secret(SecretError),
}

/// What the sealed form is bound to besides the organisation.
const STREAM: &str = "challenges";
const PURPOSE: &str = "challenge";
/// What the text form begins with.
const PREFIX: &str = "wbc1_";
/// Longest text that is looked at, in bytes.
const LENGTH_MAX: usize = 32 * 1024;

impl Challenge {
    /// A login that begins: nothing is proved yet.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn log_in(app: &App, user: &User, visitor: &Visitor) -> Result<Self, NoChance> {
        // Random from its first digit: people see the first eight only, and these say nothing of when it began.
        let session = SessionId::new(Builder::from_random_bytes(app.chance().bytes()?).into_uuid());
        let mut challenge = Self::within(app, user.tenant, user.user, session, Wish::LogIn)?;
        challenge.device = visitor.known_device(user);
        Ok(challenge)
    }

    /// A further proof within a session.
    ///
    /// # Errors
    /// As [`Self::log_in`].
    pub fn within(app: &App, tenant: TenantId, user: UserId, session: SessionId, wish: Wish) -> Result<Self, NoChance> {
        let now = app.now();
        let lasts = SignedDuration::from_secs(i64::from(app.config().login.challenge_s));
        Ok(Self {
            id: ChallengeId::new(app.new_id()?),
            tenant,
            user,
            session,
            wish,
            proofs: Vec::new(),
            password: None,
            device: None,
            made_at: now,
            expires_at: now.checked_add(lasts).unwrap_or(Timestamp::MAX),
            passkey: None,
            enrolling: None,
        })
    }

    /// Whether the device had logged in before.
    #[must_use]
    pub fn known_device(&self) -> bool {
        self.device.is_some()
    }

    /// The text that the client brings back.
    ///
    /// # Errors
    /// If the key store fails.
    pub fn seal(&self, app: &App) -> Result<String, SecretError> {
        let json = zeroize::Zeroizing::new(serde_json::to_vec(self).map_err(|_| SecretError::UnknownForm)?);
        let sealed = app.keys().seal_secret(self.tenant, STREAM, PURPOSE, &json)?;
        Ok(format!("{PREFIX}{}_{}", self.tenant.uuid().simple(), sealed.as_str()))
    }

    /// Opens what [`Self::seal`] gave.
    ///
    /// # Errors
    /// If it is not one of ours, damaged, or too old.
    pub fn open(app: &App, text: &str) -> Result<Self, ChallengeError> {
        let (tenant, sealed) = parse(text).ok_or(ChallengeError::Invalid)?;
        let opened = app.keys().open_secret(tenant, STREAM, PURPOSE, &sealed).map_err(|error| match error {
            SecretError::UnknownForm | SecretError::UnknownKey | SecretError::NotAuthentic => ChallengeError::Invalid,
            other => ChallengeError::Secret(other),
        })?;
        let challenge: Self = serde_json::from_slice(&opened).map_err(|_| ChallengeError::Invalid)?;
        match app.now() < challenge.expires_at {
            true => Ok(challenge),
            false => Err(ChallengeError::Expired),
        }
    }
}

/// The organisation and the sealed part of a challenge in text form.
#[must_use]
pub fn parse(text: &str) -> Option<(TenantId, Ciphertext)> {
    let (tenant, sealed) = text.strip_prefix(PREFIX).filter(|_| text.len() <= LENGTH_MAX)?.split_once('_')?;
    let tenant = crate::sessions::secrets::simple_id(tenant)?;
    Some((TenantId::new(tenant), Ciphertext::new(sealed.to_owned())))
}

/// It holds the secret of a factor that is being enrolled.
impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({}, {:?} of {})", self.id, self.wish, self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_of_our_form_are_opened_at_all() {
        let tenant = "0190a00000007000800000000000000f";
        assert!(parse(&format!("wbc1_{tenant}_1.1.abc")).is_some());
        for text in ["", "wbc1_", "wbc1__", "wbc2_x_y", &format!("wbc1_{}_x", &tenant[1..]), &format!("wbc1_{tenant}")]
        {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse(&format!("wbc1_{tenant}_{}", "x".repeat(LENGTH_MAX))).is_none());
    }
}
