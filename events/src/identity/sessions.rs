//! Logins, and the life of a session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Factor, Proof};
use crate::ids::{SessionId, UserId};

/// Somebody logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedIn {
    /// The user.
    pub user: UserId,
    /// The new session.
    pub session: SessionId,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
    /// What the user proved it with.
    pub proofs: Vec<Proof>,
    /// First 16 hex digits of SHA-256 over the class of the address and the user agent (IAM-15); absent if not tied to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<String>,
    /// Hash (hex) of the secret by which this device is known again; a device that logged in once has a lock of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Hash (hex) of the first refresh token, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
}

/// A known user's login failed, by the password or by what was asked besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginFailed {
    /// The user.
    pub user: UserId,
    /// What was wrong.
    pub factor: Factor,
    /// Whether the device had logged in before.
    pub known_device: bool,
}

/// Logins that failed before anyone was known, in one minute from one source: a bounded summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrangersCounted {
    /// The minute, RFC 3339.
    pub minute: Timestamp,
    /// How many tries.
    pub tries: u64,
}

/// The keys that sign access tokens are others now (IAM-10). They are the server's, so this belongs to no organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenKeysChanged {
    /// The key that signs from now on, by its id in the key set (RFC 7638).
    pub signs: String,
    /// Keys whose tokens are good no more, by their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forgotten: Vec<String>,
    /// Whether somebody asked for it; otherwise it was time.
    pub requested: bool,
}

/// Too many logins failed (IAM-05).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLocked {
    /// The user.
    pub user: UserId,
    /// Until when.
    pub until: Timestamp,
    /// Only for devices that never logged in: so that nobody who merely knows a name can lock its owner out.
    pub unknown_devices_only: bool,
}

/// An administrator ended a lock before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountUnlocked {
    /// The user.
    pub user: UserId,
}

/// Somebody proved once more who it is, within a session (IAM-09).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SteppedUp {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// What it was proved with.
    pub proof: Proof,
}

/// Somebody logged out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedOut {
    /// The user.
    pub user: UserId,
    /// The session that ended.
    pub session: SessionId,
}

/// Why sessions ended that nobody logged out of (IAM-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Not used for too long.
    Idle,
    /// A newer session took the place.
    Replaced,
    /// The password was set anew.
    PasswordChanged,
    /// Too many logins failed.
    LockedOut,
    /// An administrator ended it.
    Administrator,
    /// The user ended it from another session.
    User,
    /// A refresh token was used a second time.
    TokenTheft,
    /// It was used from somewhere else.
    Hijack,
    /// What the user may do was changed.
    RoleChanged,
    /// A means of proof was taken away or set anew.
    FactorChanged,
}

/// Sessions ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsEnded {
    /// The user.
    pub user: UserId,
    /// Which ones.
    pub sessions: Vec<SessionId>,
    /// Why.
    pub reason: EndReason,
}

/// A refresh token was used and another one took its place. In the stream of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRefreshed {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Hash (hex) of the new token.
    pub refresh: String,
}

/// A refresh token was used that had been used before: one of the two who have it stole it. In the stream of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshTokenReused {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

/// The session was in use: told from time to time, so that a restart does not forget it. In the stream of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSeen {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

/// The screen was locked, by the user or because nothing was done (IAM-17). In the stream of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionLocked {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
}

/// The user is back. In the stream of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionUnlocked {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// What it was proved with.
    pub proof: Proof,
}

/// Somebody who treats dictates or writes at length, and may be idle for longer (IAM-18). In the stream of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentationModeSet {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Until when; at once if it lies in the past.
    pub until: Timestamp,
}
