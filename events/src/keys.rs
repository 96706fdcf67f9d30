//! Keys: made anew, wrapped anew, disabled, destroyed, used (ENC-10 to ENC-12, ENC-17). Never a key, only its number.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::ids::{AlertId, PatientId, TenantId, UserId};

/// The stream of an organisation's keys.
#[must_use]
pub fn stream(tenant: TenantId) -> String {
    format!("keys-{tenant}")
}

/// At most so many patients are named in one event; more take several.
pub const PATIENTS_MAX: usize = 256;
/// At most so many users are named in one [`KeyUsesCounted`]: those who used keys most.
pub const USERS_MAX: usize = 256;

/// A level of the hierarchy. Each wraps those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyLevel {
    /// In its provider.
    Root,
    /// An organisation's.
    Tenant,
    /// A patient's.
    Patient,
    /// What an organisation's patients are searched by.
    Index,
}

/// Why a key was made anew or disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyReason {
    /// It was old enough (ENC-10).
    Age,
    /// It was used often enough (ENC-10).
    Uses,
    /// Somebody asked for it.
    Requested,
    /// It may be known to others (ENC-12).
    Compromise,
}

/// Why a key may be known to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompromiseReason {
    /// It stood where it should not: in a log, a message, a repository.
    KeyExposed,
    /// The key store was copied.
    StoreCopied,
    /// A machine was broken into.
    MachineBroken,
    /// A backup was lost.
    BackupLost,
    /// Somebody who could reach it is no longer trusted.
    Insider,
    /// Keys were used as nobody uses them.
    UnusualUse,
    /// The provider of the root key says so.
    Provider,
    /// To try it out.
    Drill,
}

/// A patient and a version of that patient's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientVersion {
    /// Whose.
    pub patient: PatientId,
    /// Which, from 1.
    pub version: u32,
}

/// An organisation's key has a new version; what is made from now on is wrapped under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantKeyRotated {
    /// The new version.
    pub version: u32,
    /// Why.
    pub reason: KeyReason,
}

/// Patients' keys have new versions; what is sealed from now on is sealed under them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientKeysRotated {
    /// Whose, with the new version of each: at most [`PATIENTS_MAX`].
    pub patients: Vec<PatientVersion>,
    /// Why.
    pub reason: KeyReason,
}

/// The root key has a new version at its provider. Stated once in each organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootKeyRotated {
    /// The key's name at the provider.
    pub key: String,
    /// The new version, as the provider names it.
    pub version: String,
    /// Why.
    pub reason: KeyReason,
}

/// The key that patients are searched by has a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexKeyRotated {
    /// The new version.
    pub version: u32,
    /// Why.
    pub reason: KeyReason,
}

/// Keys were wrapped anew under a newer version of the key above them. Their own bytes stay, so nothing sealed changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysRewrapped {
    /// The level of the key that wraps.
    pub level: KeyLevel,
    /// Its version, under which they are now.
    pub version: String,
    /// How many, in this run.
    pub count: u64,
    /// Whether nothing is left under an older version.
    pub finished: bool,
}

/// Versions of keys open nothing any more: the minimum decryption version was raised (ENC-11).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyVersionsDisabled {
    /// Whose keys, each with the oldest version that still opens: at most [`PATIENTS_MAX`].
    pub patients: Vec<PatientVersion>,
    /// Why.
    pub reason: KeyReason,
}

/// A version of a key was destroyed: overwritten where it stood. Nothing was wrapped under it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyVersionDestroyed {
    /// Which level.
    pub level: KeyLevel,
    /// Which version.
    pub version: u32,
}

/// How often a user had values opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserUses {
    /// Who.
    pub user: UserId,
    /// Values opened.
    pub opens: u64,
    /// Of these, values of the class that is protected most.
    pub sensitive: u64,
}

/// How often keys were used within an hour (ENC-17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUsesCounted {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Values sealed.
    pub seals: u64,
    /// Values opened.
    pub opens: u64,
    /// Keys unwrapped.
    pub unwraps: u64,
    /// For whom, most first: at most [`USERS_MAX`].
    pub users: Vec<UserUses>,
}

/// What was unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unusual {
    /// Far more than this user's own hours before.
    BeyondNorm,
    /// More than anybody should.
    BeyondBound,
    /// By somebody with an administrator's role, outside working hours.
    OffHours,
    /// From a network that none of the house is.
    UnknownNetwork,
}

/// A user's use of keys within an hour was unusual (ENC-17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnusualUseSeen {
    /// Who.
    pub user: UserId,
    /// Values opened in that hour.
    pub opens: u64,
    /// What is usual: the mean of the hours before in which this user worked, rounded.
    pub usual: u64,
    /// What was unusual.
    pub unusual: Unusual,
}

/// The root key's provider does not answer. Keys in use go on for some minutes; then nothing opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderUnreachable {
    /// The root key's name.
    pub key: String,
}

/// It answers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderReachable {
    /// The root key's name.
    pub key: String,
    /// For how long it was unreachable.
    pub unreachable_s: u64,
}

/// A key may be known to others. What follows: new keys, everything current sealed anew, old versions disabled (ENC-12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompromiseDeclared {
    /// The highest level that is concerned; all below it are too.
    pub level: KeyLevel,
    /// Whose key, if it is about one patient's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// Why.
    pub reason: CompromiseReason,
    /// The alert under which it is worked on.
    pub alert: AlertId,
    /// Who said so; absent if Wardbook itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
}

/// Everything that is current is sealed under new keys, and the old ones open nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompromiseContained {
    /// The alert under which it was worked on.
    pub alert: AlertId,
    /// Patients whose values were sealed anew.
    pub patients: u64,
    /// Values sealed anew.
    pub values: u64,
}

area_events! {
    /// Events of keys.
    KeyEvent in "keys", upcast first_version {
        "tenant-key-rotated" v 1 => TenantKeyRotated(TenantKeyRotated),
        "patient-keys-rotated" v 1 => PatientKeysRotated(PatientKeysRotated),
        "root-key-rotated" v 1 => RootKeyRotated(RootKeyRotated),
        "index-key-rotated" v 1 => IndexKeyRotated(IndexKeyRotated),
        "rewrapped" v 1 => Rewrapped(KeysRewrapped),
        "versions-disabled" v 1 => VersionsDisabled(KeyVersionsDisabled),
        "version-destroyed" v 1 => VersionDestroyed(KeyVersionDestroyed),
        "uses-counted" v 1 => UsesCounted(KeyUsesCounted),
        "unusual-use-seen" v 1 => UnusualUseSeen(UnusualUseSeen),
        "provider-unreachable" v 1 => ProviderUnreachable(ProviderUnreachable),
        "provider-reachable" v 1 => ProviderReachable(ProviderReachable),
        "compromise-declared" v 1 => CompromiseDeclared(CompromiseDeclared),
        "compromise-contained" v 1 => CompromiseContained(CompromiseContained),
    }
}
