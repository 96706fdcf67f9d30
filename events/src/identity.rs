//! Users, their roles and their logins.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{PatientId, SessionId, TenantId, UserId};
use crate::meta::Role;

/// The stream of a user.
#[must_use]
pub fn stream(user: UserId) -> String {
    format!("identity-{user}")
}

/// The stream that holds the claim on a user name (lower case): at most one user has it.
#[must_use]
pub fn username_stream(username: &str) -> String {
    // User names have other characters than stream names; the hex form keeps them apart and ordered.
    let hex: String = username.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("usernames-{hex}")
}

/// The stream that tells of what strangers did.
pub const STRANGERS_STREAM: &str = "identity-strangers";

/// A user was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserCreated {
    /// The user.
    pub user: UserId,
    /// Name to log in with, lower case. A patient's user name must not be taken from the person's name.
    pub username: String,
    /// The organisation.
    pub tenant: TenantId,
    /// What the user may be.
    pub roles: Vec<Role>,
    /// Departments.
    #[serde(default)]
    pub departments: Vec<String>,
    /// The chart that is about this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
}

/// A user name was claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsernameClaimed {
    /// Who has it.
    pub user: UserId,
    /// The name.
    pub username: String,
}

/// A password was set.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordSet {
    /// The user.
    pub user: UserId,
    /// Argon2id hash in PHC form, sealed under the organisation's key: a stolen ledger gives nothing to guess against.
    pub hash: crate::sealed::Ciphertext,
}

impl std::fmt::Debug for PasswordSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordSet({})", self.user)
    }
}

/// A role was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleGranted {
    /// The user.
    pub user: UserId,
    /// The role.
    pub role: Role,
}

/// A role was taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRevoked {
    /// The user.
    pub user: UserId,
    /// The role.
    pub role: Role,
}

/// A user may no longer log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserDisabled {
    /// The user.
    pub user: UserId,
}

/// A user may log in again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEnabled {
    /// The user.
    pub user: UserId,
}

/// Somebody logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedIn {
    /// The user.
    pub user: UserId,
    /// The new session.
    pub session: SessionId,
    /// When the session ends at the latest.
    pub expires_at: jiff::Timestamp,
}

/// A known user's login failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginFailed {
    /// The user.
    pub user: UserId,
}

/// Logins that failed before anyone was known, in one minute from one source: a bounded summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StrangersCounted {
    /// The minute, RFC 3339.
    pub minute: jiff::Timestamp,
    /// How many tries.
    pub tries: u64,
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

fn upcast(_kind: &str, _from: u16, _body: Value) -> Option<Value> {
    None // every type is at its first version
}

area_events! {
    /// Events of users and logins.
    IdentityEvent in "identity", upcast upcast {
        "user-created" v 1 => UserCreated(UserCreated),
        "username-claimed" v 1 => UsernameClaimed(UsernameClaimed),
        "password-set" v 1 => PasswordSet(PasswordSet),
        "role-granted" v 1 => RoleGranted(RoleGranted),
        "role-revoked" v 1 => RoleRevoked(RoleRevoked),
        "user-disabled" v 1 => UserDisabled(UserDisabled),
        "user-enabled" v 1 => UserEnabled(UserEnabled),
        "logged-in" v 1 => LoggedIn(LoggedIn),
        "login-failed" v 1 => LoginFailed(LoginFailed),
        "strangers-counted" v 1 => StrangersCounted(StrangersCounted),
        "logged-out" v 1 => LoggedOut(LoggedOut),
    }
}
