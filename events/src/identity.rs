//! Users, how they prove who they are, and their sessions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{PatientId, SessionId, TenantId, UserId};
use crate::meta::Role;

mod accounts;
mod factors;
mod sessions;

pub use accounts::*;
pub use factors::*;
pub use sessions::*;

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

/// The stream of a session: what happens often, such as a renewed token. Where it begins and ends stands in the user's stream.
#[must_use]
pub fn session_stream(session: SessionId) -> String {
    format!("sessions-{session}")
}

/// The stream that holds the claim on an account elsewhere: at most one user has it. `subject` is a keyed hash in hex.
#[must_use]
pub fn external_stream(subject: &str) -> String {
    format!("externals-{subject}")
}

/// The stream that tells of what strangers did.
pub const STRANGERS_STREAM: &str = "identity-strangers";
/// The stream that tells of the keys of access tokens.
pub const TOKEN_KEYS_STREAM: &str = "identity-token-keys";

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
    /// A person or a program.
    pub kind: AccountKind,
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

fn upcast(kind: &str, from: u16, mut body: Value) -> Option<Value> {
    let members = body.as_object_mut()?;
    let mut add = |name: &str, value: Value| _ = members.insert(name.to_owned(), value);
    match (kind, from) {
        ("identity.user-created", 1) => add("kind", "person".into()),
        // Then the password was all there was, nothing was tied to a place, and nothing could be renewed.
        ("identity.logged-in", 1) => add("proofs", serde_json::json!([{"factor": "password"}])),
        ("identity.login-failed", 1) => {
            add("factor", "password".into());
            add("known_device", false.into());
        }
        _ => return None,
    }
    Some(body)
}

area_events! {
    /// Events of users and logins.
    IdentityEvent in "identity", upcast upcast {
        "user-created" v 2 => UserCreated(UserCreated),
        "username-claimed" v 1 => UsernameClaimed(UsernameClaimed),
        "role-granted" v 1 => RoleGranted(RoleGranted),
        "role-revoked" v 1 => RoleRevoked(RoleRevoked),
        "user-disabled" v 1 => UserDisabled(UserDisabled),
        "user-enabled" v 1 => UserEnabled(UserEnabled),
        "places-set" v 1 => PlacesSet(PlacesSet),
        "hours-set" v 1 => HoursSet(HoursSet),
        "networks-set" v 1 => NetworksSet(NetworksSet),
        "contact-set" v 1 => ContactSet(ContactSet),
        "external-linked" v 1 => ExternalLinked(ExternalLinked),
        "external-unlinked" v 1 => ExternalUnlinked(ExternalUnlinked),
        "service-key-set" v 1 => ServiceKeySet(ServiceKeySet),
        "service-certificate-set" v 1 => ServiceCertificateSet(ServiceCertificateSet),
        "api-key-issued" v 1 => ApiKeyIssued(ApiKeyIssued),
        "api-key-revoked" v 1 => ApiKeyRevoked(ApiKeyRevoked),
        "password-set" v 1 => PasswordSet(PasswordSet),
        "pin-set" v 1 => PinSet(PinSet),
        "password-reset-requested" v 1 => PasswordResetRequested(PasswordResetRequested),
        "totp-enrolled" v 1 => TotpEnrolled(TotpEnrolled),
        "passkey-enrolled" v 1 => PasskeyEnrolled(PasskeyEnrolled),
        "channel-enrolled" v 1 => ChannelEnrolled(ChannelEnrolled),
        "factor-removed" v 1 => FactorRemoved(FactorRemoved),
        "recovery-codes-issued" v 1 => RecoveryCodesIssued(RecoveryCodesIssued),
        "code-sent" v 1 => CodeSent(CodeSent),
        "logged-in" v 2 => LoggedIn(LoggedIn),
        "login-failed" v 2 => LoginFailed(LoginFailed),
        "strangers-counted" v 1 => StrangersCounted(StrangersCounted),
        "token-keys-changed" v 1 => TokenKeysChanged(TokenKeysChanged),
        "account-locked" v 1 => AccountLocked(AccountLocked),
        "account-unlocked" v 1 => AccountUnlocked(AccountUnlocked),
        "stepped-up" v 1 => SteppedUp(SteppedUp),
        "logged-out" v 1 => LoggedOut(LoggedOut),
        "sessions-ended" v 1 => SessionsEnded(SessionsEnded),
        "session-refreshed" v 1 => SessionRefreshed(SessionRefreshed),
        "refresh-token-reused" v 1 => RefreshTokenReused(RefreshTokenReused),
        "session-seen" v 1 => SessionSeen(SessionSeen),
        "session-locked" v 1 => SessionLocked(SessionLocked),
        "session-unlocked" v 1 => SessionUnlocked(SessionUnlocked),
        "documentation-mode-set" v 1 => DocumentationModeSet(DocumentationModeSet),
    }
}
