//! What is known of a user.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{AccountKind, Hours, KnownBy, UserCreated};
use wardbook_events::{
    ApiKeyId, ChallengeId, Ciphertext, Network, PasskeyId, PatientId, Recorded, Role, SessionId, TenantId, UserId,
};

/// A user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user.
    pub user: UserId,
    /// Name to log in with, lower case.
    pub username: String,
    /// The organisation.
    pub tenant: TenantId,
    /// A person or a program.
    pub kind: AccountKind,
    /// What the user may be.
    pub roles: BTreeSet<Role>,
    /// Departments.
    pub departments: BTreeSet<String>,
    /// Facilities; none means all of them.
    pub facilities: BTreeSet<String>,
    /// When the user is on shift; none means whenever the organisation works.
    pub shifts: Vec<Hours>,
    /// On call, whatever the hour, until then.
    pub on_call_until: Option<Timestamp>,
    /// From where the user may log in (CIDR); none means anywhere. See [`User::may_come_from`].
    pub networks: Vec<String>,
    /// The chart that is about this user.
    pub patient: Option<PatientId>,
    /// Whether the user may log in.
    pub active: bool,
    /// When the account was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: Option<UserId>,
    /// E-mail address, sealed under the organisation's key.
    pub email: Option<Ciphertext>,
    /// Telephone number, sealed under the organisation's key.
    pub phone: Option<Ciphertext>,

    /// Argon2id hashes, sealed under the organisation's key, the one that counts first; at most 24.
    pub passwords: Vec<Ciphertext>,
    /// When the password was set.
    pub password_set_at: Option<Timestamp>,
    /// A reset that somebody asked for.
    pub reset: Option<Reset>,
    /// Secret of the authenticator app, sealed.
    pub totp: Option<Ciphertext>,
    /// The last time step of which a code was used.
    pub totp_step: Option<u64>,
    /// Passkeys, oldest first.
    pub passkeys: Vec<Passkey>,
    /// Ways of sending codes.
    pub channels: BTreeSet<Channel>,
    /// Hashes of the recovery codes, a sealed JSON list.
    pub recovery: Option<Ciphertext>,
    /// How many recovery codes there are.
    pub recovery_count: u8,
    /// Numbers of those that were used.
    pub recovery_used: BTreeSet<u8>,
    /// PINs by which sessions are unlocked, sealed: by hash of the device.
    pub pins: BTreeMap<String, Ciphertext>,
    /// Public key of a program (JSON Web Key).
    pub service_key: Option<String>,
    /// By what a program's certificate is known.
    pub certificate: Option<KnownBy>,
    /// What a program's token may be used for.
    pub scopes: BTreeSet<String>,
    /// API keys that nobody revoked, oldest first; some may have run out.
    pub api_keys: Vec<ApiKey>,
    /// Accounts elsewhere.
    pub externals: Vec<External>,

    /// A lock after failed logins; it may have run out. See [`Lock::holds`].
    pub lock: Option<Lock>,
    /// Logins that failed since the last one that did not.
    pub failures: u32,
    /// When the last one failed.
    pub failed_at: Option<Timestamp>,
    /// When the last login was.
    pub last_login_at: Option<Timestamp>,
    /// Devices that are known again: hash of the secret and last login there; the newest ten.
    pub devices: BTreeMap<String, Timestamp>,
    /// Sessions that nobody ended, oldest first; some may have run out.
    pub sessions: Vec<SessionId>,
    /// Codes that were sent last, oldest first.
    pub codes: Vec<ChallengeId>,
    /// When the user was last disabled: sessions that began up to then have ended.
    pub disabled_at: Option<Timestamp>,

    /// Version of the stream `identity-<id>`.
    pub version: u64,
    /// Position of the last event that changed what policy looks at: roles, places, hours, activity, chart.
    pub changed: u64,
}

impl User {
    pub(super) fn created(e: &UserCreated, event: &Recorded) -> Self {
        Self {
            user: e.user,
            username: e.username.clone(),
            tenant: e.tenant,
            kind: e.kind,
            roles: e.roles.iter().copied().collect(),
            departments: e.departments.iter().cloned().collect(),
            facilities: BTreeSet::new(),
            shifts: Vec::new(),
            on_call_until: None,
            networks: Vec::new(),
            patient: e.patient,
            active: true,
            created_at: event.recorded_at,
            created_by: event.meta.actor.id,
            email: None,
            phone: None,
            passwords: Vec::new(),
            password_set_at: None,
            reset: None,
            totp: None,
            totp_step: None,
            passkeys: Vec::new(),
            channels: BTreeSet::new(),
            recovery: None,
            recovery_count: 0,
            recovery_used: BTreeSet::new(),
            pins: BTreeMap::new(),
            service_key: None,
            certificate: None,
            scopes: BTreeSet::new(),
            api_keys: Vec::new(),
            externals: Vec::new(),
            lock: None,
            failures: 0,
            failed_at: None,
            last_login_at: None,
            devices: BTreeMap::new(),
            sessions: Vec::new(),
            codes: Vec::new(),
            disabled_at: None,
            version: event.stream_version,
            changed: event.position,
        }
    }

    /// The password's hash, sealed; absent until one was set.
    #[must_use]
    pub fn password(&self) -> Option<&Ciphertext> {
        self.passwords.first()
    }
    /// Until when a login is refused that comes from a device of this kind.
    #[must_use]
    pub fn locked(&self, now: Timestamp, known_device: bool) -> Option<Timestamp> {
        self.lock.filter(|lock| lock.holds(now, known_device)).map(|lock| lock.until)
    }
    /// Whether the device with this hash logged in before.
    #[must_use]
    pub fn knows_device(&self, hash: &str) -> bool {
        self.devices.contains_key(hash)
    }
    /// Whether the user may log in from this address; from an unknown one only if from anywhere.
    #[must_use]
    pub fn may_come_from(&self, address: Option<IpAddr>) -> bool {
        let has = |network: &String, address| network.parse::<Network>().is_ok_and(|network| network.contains(address));
        let from = |address| self.networks.iter().any(|network| has(network, address));
        self.networks.is_empty() || address.is_some_and(from)
    }
    /// The passkey with this id.
    #[must_use]
    pub fn passkey(&self, passkey: PasskeyId) -> Option<&Passkey> {
        self.passkeys.iter().find(|one| one.passkey == passkey)
    }
    /// Whether anything but a password is enrolled.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.totp.is_some() || !self.passkeys.is_empty() || !self.channels.is_empty()
    }
}

/// Nothing of the name, the addresses or what the user is known by.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "User({})", self.user)
    }
}

/// An account that takes no login for a while (IAM-05).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Until when.
    pub until: Timestamp,
    /// Devices that logged in before are let in.
    pub unknown_devices_only: bool,
}

impl Lock {
    /// Whether it holds for a device of this kind.
    #[must_use]
    pub fn holds(&self, now: Timestamp, known_device: bool) -> bool {
        now < self.until && !(known_device && self.unknown_devices_only)
    }
}

/// A pending reset of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Hash (hex) of the token that was sent.
    pub token: String,
    /// When it is good no longer.
    pub expires_at: Timestamp,
}

/// A passkey.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// The passkey.
    pub passkey: PasskeyId,
    /// What the user calls it.
    pub name: String,
    /// The public key and what belongs to it, sealed JSON.
    pub credential: Ciphertext,
    /// The last counter it gave.
    pub counter: u32,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
}

/// An API key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub key: ApiKeyId,
    /// What the user calls it.
    pub name: String,
    /// Hash (hex) of its secret part.
    pub secret: String,
    /// What it may be used for.
    pub scopes: BTreeSet<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it is good no longer.
    pub expires_at: Timestamp,
}

/// An account elsewhere that a user may log in with (IAM-20).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// The provider, as the settings name it.
    pub provider: String,
    /// Keyed hash (hex) of provider and subject.
    pub subject: String,
}

/// A code that was sent (IAM-08).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// To whom.
    pub user: UserId,
    /// What it answers.
    pub challenge: ChallengeId,
    /// Where it was sent.
    pub channel: Channel,
    /// SHA-256 of the code (hex), sealed.
    pub code: Ciphertext,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When it is good no longer.
    pub expires_at: Timestamp,
    /// Wrong tries since; after three it counts no more.
    pub tries: u8,
    /// It was used.
    pub used: bool,
}

macro_rules! short_debug {
    ($($name:ident by $id:ident),*) => {$(
        /// Nothing of what it is known by.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.$id)
            }
        }
    )*};
}
short_debug!(Reset by expires_at, Passkey by passkey, ApiKey by key, Code by challenge);
