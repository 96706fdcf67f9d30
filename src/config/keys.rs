//! `[keys]`: where the root key lives.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wardbook_events::Network;
use wardbook_keys::providers::patience::Patience;

use super::{ConfigError, section};

/// What kind of place the root key lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// A file on this machine.
    #[default]
    File,
    /// The Transit engine of `HashiCorp` Vault or `OpenBao`.
    Vault,
    /// AWS KMS.
    AwsKms,
    /// A hardware security module.
    Pkcs11,
}

section! {
    /// `[keys]`
    Keys {
        /// Where the root key lives.
        provider: Provider = Provider::File,
        /// How long a call to it may take, all tries together.
        deadline_ms: u64 = 3_000,
        /// How often a call is tried.
        tries: u32 = 3,
        /// After so many calls in a row that did not reach it, it is left alone for a while.
        failures_max: u32 = 3,
        /// For how long at first; it doubles up to eight times this.
        pause_ms: u64 = 5_000,
        /// How often a provider that did not answer is looked for.
        look_every_s: u64 = 10,
        /// When keys are made anew.
        rotation: KeyRotation = KeyRotation::default(),
        /// Which use of keys is unusual.
        usage: KeyUsage = KeyUsage::default(),
        /// A file.
        file: KeyFile = KeyFile::default(),
        /// Vault or `OpenBao`.
        vault: KeyVault = KeyVault::default(),
        /// AWS KMS.
        aws_kms: KeyKms = KeyKms::default(),
        /// A hardware security module.
        pkcs11: KeyPkcs11 = KeyPkcs11::default(),
    }
}

section! {
    /// `[keys.rotation]`: 0 means never by itself (ENC-10).
    KeyRotation {
        /// Age at which the root key is made anew at its provider, in days.
        root_days: u32 = 365,
        /// Versions of it that its provider keeps at least.
        root_keep: usize = 3,
        /// Age at which an organisation's key is made anew, in days.
        tenant_days: u32 = 365,
        /// Versions of it that are kept; older ones are destroyed once nothing is wrapped under them.
        tenant_keep: usize = 3,
        /// Age at which the key that patients are searched by is made anew, in days; every patient is re-indexed then.
        index_days: u32 = 0,
        /// Age at which a patient's key is made anew, in days.
        patient_days: u32 = 90,
        /// Uses after which a patient's key is made anew.
        patient_uses: u64 = 1_000_000,
    }
}

section! {
    /// `[keys.usage]`: what raises an alert (ENC-17); 0 means never.
    KeyUsage {
        /// Values that one user has opened in an hour at most.
        hour_max: u64 = 20_000,
        /// So many times what is usual for the user.
        norm_times: u64 = 8,
        /// Fewer in an hour are never too many for the norm.
        norm_least: u64 = 1_000,
        /// So many hours with work are a norm.
        norm_hours: u32 = 8,
        /// Any by somebody with an administrator's role outside working hours.
        admins_off_hours: bool = true,
        /// From where values are opened; any from elsewhere. None: not judged.
        networks: Vec<Network> = Vec::new(),
    }
}

section! {
    /// `[keys.file]`
    KeyFile {
        /// The file; empty means `keys/root.key` in the data directory.
        path: PathBuf = PathBuf::new(),
        /// Demand that a passphrase protects it.
        passphrase: bool = false,
        /// The file with the passphrase; empty means `WARDBOOK_ROOT_PASSPHRASE`.
        passphrase_file: PathBuf = PathBuf::new(),
    }
}

section! {
    /// `[keys.vault]`
    KeyVault {
        /// Where it listens.
        address: String = "https://127.0.0.1:8200".to_owned(),
        /// Namespace; empty for none.
        namespace: String = String::new(),
        /// Where Transit is mounted.
        mount: String = "transit".to_owned(),
        /// Name of the key.
        key: String = "wardbook".to_owned(),
        /// Where `AppRole` is mounted.
        auth_mount: String = "approle".to_owned(),
        /// Who we are.
        role_id: String = String::new(),
        /// The file with the secret id.
        secret_id_file: PathBuf = PathBuf::new(),
        /// Certificates of its authority; empty means those of the system.
        ca_file: PathBuf = PathBuf::new(),
    }
}

section! {
    /// `[keys.aws_kms]`
    KeyKms {
        /// The alias of the key.
        alias: String = "alias/wardbook".to_owned(),
        /// The region; empty means what the environment says.
        region: String = String::new(),
        /// Another address than AWS's; empty for none.
        endpoint: String = String::new(),
        /// A file of credentials in AWS's form; empty means the usual chain.
        credentials_file: PathBuf = PathBuf::new(),
    }
}

section! {
    /// `[keys.pkcs11]`
    KeyPkcs11 {
        /// The module's shared library.
        module: PathBuf = PathBuf::new(),
        /// Label of the token.
        token: String = "wardbook".to_owned(),
        /// What the labels of the key's versions begin with.
        key: String = "wardbook root".to_owned(),
        /// The file with the PIN.
        pin_file: PathBuf = PathBuf::new(),
    }
}

impl Keys {
    /// How long somebody waits for the provider.
    #[must_use]
    pub const fn patience(&self) -> Patience {
        Patience {
            deadline: Duration::from_millis(self.deadline_ms),
            tries_max: self.tries,
            failures_max: self.failures_max,
            pause: Duration::from_millis(self.pause_ms),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            ("keys.deadline_ms", (100..=30_000).contains(&self.deadline_ms), "must be from 100 to 30000"),
            ("keys.tries", (1..=10).contains(&self.tries), "must be from 1 to 10"),
            ("keys.failures_max", (1..=100).contains(&self.failures_max), "must be from 1 to 100"),
            ("keys.pause_ms", (10..=600_000).contains(&self.pause_ms), "must be from 10 to 600000"),
            ("keys.look_every_s", (1..=3_600).contains(&self.look_every_s), "must be from 1 to 3600"),
            ("keys.rotation.root_keep", (3..=100).contains(&self.rotation.root_keep), "must be from 3 to 100"),
            ("keys.rotation.tenant_keep", (3..=100).contains(&self.rotation.tenant_keep), "must be from 3 to 100"),
            (
                "keys.rotation.patient_uses",
                matches!(self.rotation.patient_uses, 0 | 1_000..),
                "must be 0 or at least 1000",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((setting, _, rule)) => Err(ConfigError::Value { setting, rule }),
            None => Ok(()),
        }
    }
}
