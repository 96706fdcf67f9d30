//! Where the root key lives: opens the provider that the settings name, and watches whether it is there.

mod watching;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wardbook_events::keys::{KeyReason, RootKeyRotated};
use wardbook_keys::providers::file::Passphrase;
use wardbook_keys::providers::secret_file;
use wardbook_keys::providers::steady::Steady;
use wardbook_keys::{RootError, RootKey, RootKeyProvider};

use crate::app::App;
use crate::config::{DataDir, KeyFile, Keys, Provider};
use crate::disclosure::Refusal;

pub use watching::watch;

/// The root key's provider, asked with patience.
pub type Root = Arc<Steady<Arc<dyn RootKeyProvider>>>;

/// Where the passphrase of a root key's file is looked for, if no file is configured.
const PASSPHRASE: &str = "WARDBOOK_ROOT_PASSPHRASE";

/// Opens it. For a key store that is `new`, the key is made if there is none. For another, a provider that cannot be reached or
/// refuses us is no reason not to start: what needs no key is served, and the rest when it is there.
///
/// # Errors
/// If the settings make no sense, the key is not such as a root key needs, or it is needed now and not there.
pub fn open(settings: &Keys, data: &DataDir, new: bool) -> Result<Root, RootError> {
    let root = provider(settings, data, new)?;
    if new {
        root.create()?;
        return Ok(root);
    }
    match root.check() {
        Err(error) if error.retry_after().is_some() => {
            tracing::error!(%error, "starting without the root key: nothing sealed can be opened until its provider is there");
        }
        checked => checked?,
    }
    Ok(root)
}

/// The provider alone: nobody is asked anything yet, but a file is read.
///
/// # Errors
/// If the settings make no sense, or the file cannot be used.
pub fn provider(settings: &Keys, data: &DataDir, may_create: bool) -> Result<Root, RootError> {
    let patience = settings.patience();
    let (provider, name): (Arc<dyn RootKeyProvider>, _) = match settings.provider {
        Provider::File => (Arc::new(file(&settings.file, data, may_create)?), "file"),
        #[cfg(feature = "vault")]
        Provider::Vault => (Arc::new(remote::vault(&settings.vault, patience.of_one_try())?), "vault"),
        #[cfg(feature = "aws-kms")]
        Provider::AwsKms => (Arc::new(remote::aws_kms(&settings.aws_kms, patience.of_one_try())?), "aws-kms"),
        #[cfg(feature = "pkcs11")]
        Provider::Pkcs11 => (Arc::new(remote::pkcs11(&settings.pkcs11, patience.of_one_try())?), "pkcs11"),
        #[cfg(not(feature = "vault"))]
        Provider::Vault => return Err(RootError::NotBuilt { provider: "vault" }),
        #[cfg(not(feature = "aws-kms"))]
        Provider::AwsKms => return Err(RootError::NotBuilt { provider: "aws-kms" }),
        #[cfg(not(feature = "pkcs11"))]
        Provider::Pkcs11 => return Err(RootError::NotBuilt { provider: "pkcs11" }),
    };
    Ok(Arc::new(Steady::new(provider, name, patience)))
}

fn file(settings: &KeyFile, data: &DataDir, may_create: bool) -> Result<RootKey, RootError> {
    let path = file_path(settings, data);
    let passphrase = match (settings.passphrase, given(&settings.passphrase_file)) {
        (false, _) => None,
        (true, Some(file)) => Some(Passphrase::new(secret_file(file)?.to_string())),
        (true, None) => match std::env::var(PASSPHRASE) {
            Ok(passphrase) if !passphrase.is_empty() => Some(Passphrase::new(passphrase)),
            _ => {
                return Err(RootError::Passphrase(
                    "needs its passphrase: set WARDBOOK_ROOT_PASSPHRASE or keys.file.passphrase_file",
                ));
            }
        },
    };
    RootKey::open(&path, passphrase, may_create)
}

/// Where the root key's file is, if it is one.
#[must_use]
pub fn file_path(settings: &KeyFile, data: &DataDir) -> PathBuf {
    given(&settings.path).map_or_else(|| data.keys().join("root.key"), Path::to_owned)
}

/// A path that was set.
fn given(path: &Path) -> Option<&Path> {
    (!path.as_os_str().is_empty()).then_some(path)
}

/// Settings as the providers take them.
#[cfg(any(feature = "vault", feature = "aws-kms", feature = "pkcs11"))]
mod remote {
    use std::time::Duration;

    use wardbook_keys::RootError;

    #[cfg(feature = "vault")]
    pub fn vault(
        settings: &crate::config::KeyVault,
        try_for: Duration,
    ) -> Result<wardbook_keys::providers::vault::Vault, RootError> {
        let settings = settings.clone();
        wardbook_keys::providers::vault::Vault::new(wardbook_keys::providers::vault::VaultSettings {
            address: settings.address,
            namespace: settings.namespace,
            mount: settings.mount,
            key: settings.key,
            auth_mount: settings.auth_mount,
            role_id: settings.role_id,
            secret_id_file: settings.secret_id_file,
            ca_file: super::given(&settings.ca_file).map(ToOwned::to_owned),
            try_for,
        })
    }

    #[cfg(feature = "aws-kms")]
    pub fn aws_kms(
        settings: &crate::config::KeyKms,
        try_for: Duration,
    ) -> Result<wardbook_keys::providers::aws_kms::Kms, RootError> {
        let settings = settings.clone();
        wardbook_keys::providers::aws_kms::Kms::new(wardbook_keys::providers::aws_kms::KmsSettings {
            alias: settings.alias,
            region: settings.region,
            endpoint: settings.endpoint,
            credentials_file: super::given(&settings.credentials_file).map(ToOwned::to_owned),
            try_for,
        })
    }

    #[cfg(feature = "pkcs11")]
    pub fn pkcs11(
        settings: &crate::config::KeyPkcs11,
        try_for: Duration,
    ) -> Result<wardbook_keys::providers::pkcs11::Pkcs11, RootError> {
        let settings = settings.clone();
        wardbook_keys::providers::pkcs11::Pkcs11::new(wardbook_keys::providers::pkcs11::Pkcs11Settings {
            module: settings.module,
            token: settings.token,
            key: settings.key,
            pin_file: settings.pin_file,
            try_for,
        })
    }
}

/// Says in the ledger that the root key is another one now: all keys were wrapped under it.
///
/// # Errors
/// If the provider cannot be reached, or the event could not be made durable.
pub fn tell_moved(app: &App) -> Result<(), MovedError> {
    let version = app.root().newest_version()?.as_str().to_owned();
    let event = RootKeyRotated { key: app.root().id(), version, reason: KeyReason::Requested };
    Ok(watching::tell(app, event.into())?)
}

/// Why the ledger does not know that the root key is another one.
#[derive(Debug, thiserror::Error)]
pub enum MovedError {
    /// The new provider.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The ledger.
    #[error(transparent)]
    Tell(#[from] Refusal),
}
