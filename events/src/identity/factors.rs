//! By what a user is known: passwords, codes, passkeys. Secrets are sealed under the organisation's key.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::alerts::Channel;
use crate::ids::{ApiKeyId, ChallengeId, PasskeyId, UserId};
use crate::sealed::Ciphertext;

/// A kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Factor {
    /// A password.
    Password,
    /// A time-based code (RFC 6238).
    Totp,
    /// A passkey (WebAuthn).
    Passkey,
    /// A recovery code.
    RecoveryCode,
    /// A code sent by e-mail.
    EmailCode,
    /// A code sent by text message.
    SmsCode,
    /// Another organisation's word (OpenID Connect).
    External,
    /// A signed assertion of a program (RFC 7523).
    Assertion,
    /// A certificate that a program shows (RFC 8705).
    Certificate,
    /// An API key.
    ApiKey,
    /// A PIN, which unlocks the screen of one device.
    Pin,
}

/// What was proved, with what must not be proved a second time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "factor", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Proof {
    /// A password.
    Password,
    /// A time-based code of this step of thirty seconds since the epoch: no code of this step or before is taken again.
    Totp {
        /// The step.
        step: u64,
    },
    /// A passkey.
    Passkey {
        /// Which one.
        passkey: PasskeyId,
        /// Its counter, 0 if it has none; a counter that does not grow is a copied key.
        counter: u32,
        /// Whether it saw a finger, a face or a PIN.
        user_verified: bool,
    },
    /// A recovery code.
    RecoveryCode {
        /// Its number in the list: it counts once.
        index: u8,
    },
    /// A code sent by e-mail.
    EmailCode {
        /// The challenge it was sent for: it counts once.
        challenge: ChallengeId,
    },
    /// A code sent by text message.
    SmsCode {
        /// The challenge it was sent for: it counts once.
        challenge: ChallengeId,
    },
    /// Another organisation's word.
    External {
        /// Which one, as the settings name it.
        provider: String,
        /// Whether it says that more than a password was asked for.
        mfa: bool,
    },
    /// A signed assertion of a program.
    Assertion,
    /// A certificate that a program showed, and whose key it holds.
    Certificate {
        /// SHA-256 of the certificate, hex.
        sha256: String,
    },
    /// An API key.
    ApiKey {
        /// Which one.
        key: ApiKeyId,
    },
    /// The PIN of a device (IAM-17). It unlocks a session there, and begins none.
    Pin {
        /// Hash (hex) of the device's secret.
        device: String,
    },
}

impl Proof {
    /// Its kind.
    #[must_use]
    pub const fn factor(&self) -> Factor {
        match self {
            Self::Password => Factor::Password,
            Self::Totp { .. } => Factor::Totp,
            Self::Passkey { .. } => Factor::Passkey,
            Self::RecoveryCode { .. } => Factor::RecoveryCode,
            Self::EmailCode { .. } => Factor::EmailCode,
            Self::SmsCode { .. } => Factor::SmsCode,
            Self::External { .. } => Factor::External,
            Self::Assertion => Factor::Assertion,
            Self::Certificate { .. } => Factor::Certificate,
            Self::ApiKey { .. } => Factor::ApiKey,
            Self::Pin { .. } => Factor::Pin,
        }
    }
    /// How strong it makes a login besides a password: 0 not at all, 1 a code, 2 resists phishing (NIST SP 800-63B 3.2.5).
    #[must_use]
    pub const fn strength(&self) -> u8 {
        match self {
            Self::Password | Self::External { mfa: false, .. } | Self::ApiKey { .. } | Self::Pin { .. } => 0,
            Self::Totp { .. }
            | Self::RecoveryCode { .. }
            | Self::EmailCode { .. }
            | Self::SmsCode { .. }
            | Self::External { mfa: true, .. } => 1,
            Self::Passkey { .. } | Self::Assertion | Self::Certificate { .. } => 2,
        }
    }
}

/// A password was set. All pending resets are void.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordSet {
    /// The user.
    pub user: UserId,
    /// Argon2id hash in PHC form, sealed under the organisation's key: a stolen ledger gives nothing to guess against.
    pub hash: Ciphertext,
}

impl fmt::Debug for PasswordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordSet({})", self.user)
    }
}

/// A PIN was set for a device, in the place of the one before: it unlocks the user's sessions there (IAM-17).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinSet {
    /// The user.
    pub user: UserId,
    /// Hash (hex) of the secret by which the device is known again.
    pub device: String,
    /// Argon2id hash in PHC form, sealed under the organisation's key: few digits are soon guessed from a bare one.
    pub hash: Ciphertext,
}

impl fmt::Debug for PinSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinSet({})", self.user)
    }
}

/// Somebody who knows the user name asked for a new password; a token was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetRequested {
    /// The user.
    pub user: UserId,
    /// Hash (hex) of the token, which has 256 random bits.
    pub token: String,
    /// When it is good no longer.
    pub expires_at: Timestamp,
}

/// An authenticator app was enrolled, in the place of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TotpEnrolled {
    /// The user.
    pub user: UserId,
    /// The secret, sealed.
    pub secret: Ciphertext,
}

/// A passkey was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasskeyEnrolled {
    /// The user.
    pub user: UserId,
    /// The passkey.
    pub passkey: PasskeyId,
    /// What the user calls it.
    pub name: String,
    /// The public key and what belongs to it, sealed JSON.
    pub credential: Ciphertext,
}

/// A way of sending codes was enrolled: a code that was sent there came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelEnrolled {
    /// The user.
    pub user: UserId,
    /// Which way.
    pub channel: Channel,
}

/// A factor that is no longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removed {
    /// The authenticator app.
    Totp,
    /// One passkey.
    Passkey(PasskeyId),
    /// Codes by one way.
    Channel(Channel),
    /// The PINs of all devices.
    Pins,
    /// Everything but the password: the user must enrol anew at the next login.
    All,
}

/// A factor was taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactorRemoved {
    /// The user.
    pub user: UserId,
    /// Which one.
    pub removed: Removed,
}

/// New recovery codes were made; the ones before are void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryCodesIssued {
    /// The user.
    pub user: UserId,
    /// How many.
    pub count: u8,
    /// SHA-256 hashes (hex) in order, as a JSON list, sealed: eight hex digits are soon guessed from a bare hash.
    pub hashes: Ciphertext,
}

/// A code was sent (IAM-08).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeSent {
    /// The user.
    pub user: UserId,
    /// What it answers.
    pub challenge: ChallengeId,
    /// Where it was sent.
    pub channel: Channel,
    /// SHA-256 of the code (hex), sealed.
    pub code: Ciphertext,
    /// When it is good no longer.
    pub expires_at: Timestamp,
}
