//! What belongs to an account besides its roles: places, hours, networks, contact, keys of programs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ApiKeyId, UserId};
use crate::sealed::Ciphertext;

/// Who is behind an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountKind {
    /// A person.
    Person,
    /// A program.
    Service,
}

/// Where the user works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacesSet {
    /// The user.
    pub user: UserId,
    /// Departments, all of them.
    pub departments: Vec<String>,
    /// Facilities, all of them.
    pub facilities: Vec<String>,
}

/// A time of the week, by the organisation's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// 1 Monday to 7 Sunday.
    pub weekday: u8,
    /// First minute of the day, 0 to 1439.
    pub from: u16,
    /// First minute that is no longer in it, up to 1440.
    pub to: u16,
}

/// When the user is on shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursSet {
    /// The user.
    pub user: UserId,
    /// Times of the week; none means whenever the organisation works.
    pub shifts: Vec<Hours>,
    /// On call, whatever the hour, until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_call_until: Option<Timestamp>,
}

/// From where the user may log in (IAM-19).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworksSet {
    /// The user.
    pub user: UserId,
    /// Networks such as `10.1.0.0/16`; none means anywhere.
    pub networks: Vec<String>,
}

/// Where the user is told of things and sent codes. Replaces what was there; a channel that changes must be enrolled anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactSet {
    /// The user.
    pub user: UserId,
    /// E-mail address, sealed under the organisation's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Ciphertext>,
    /// Telephone number, sealed under the organisation's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Ciphertext>,
}

/// The user may log in with an account elsewhere (IAM-20). In the stream of that account, so that one user at most has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalLinked {
    /// The user.
    pub user: UserId,
    /// The provider, as the settings name it.
    pub provider: String,
    /// Keyed hash (hex) of provider and subject.
    pub subject: String,
}

/// The user may no longer log in so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalUnlinked {
    /// The user.
    pub user: UserId,
    /// The provider.
    pub provider: String,
    /// Keyed hash (hex) of provider and subject.
    pub subject: String,
}

/// The public key that a program signs its assertions with (RFC 7523), in the place of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceKeySet {
    /// The program's account.
    pub user: UserId,
    /// A JSON Web Key (RFC 7517), public part only.
    pub jwk: String,
    /// What a token for it may be used for: names of actions.
    pub scopes: Vec<String>,
}

/// By what a program's certificate is known, among those of authorities that we trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownBy {
    /// SHA-256 of one certificate, hex; a renewed one must be set again.
    Sha256(String),
    /// A name or URI in it (subjectAltName, RFC 8705 section 2.1.2); a renewed one is known too.
    Name(String),
}

/// The certificate that a program shows to get tokens (RFC 8705 section 2.1), in the place of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceCertificateSet {
    /// The program's account.
    pub user: UserId,
    /// By what the certificate is known.
    pub certificate: KnownBy,
    /// What a token for it may be used for: names of actions.
    pub scopes: Vec<String>,
}

/// An API key was made. The key itself is shown once and kept nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyIssued {
    /// Whose.
    pub user: UserId,
    /// The key's id, a part of the key.
    pub key: ApiKeyId,
    /// What the user calls it.
    pub name: String,
    /// Hash (hex) of the key's secret part, which has 256 random bits.
    pub secret: String,
    /// What it may be used for: names of actions.
    pub scopes: Vec<String>,
    /// When it is good no longer.
    pub expires_at: Timestamp,
}

/// An API key is good no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyRevoked {
    /// Whose.
    pub user: UserId,
    /// Which one.
    pub key: ApiKeyId,
}
