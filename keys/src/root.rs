//! The root key: the one secret outside the key store. A local file today; the trait is what a vault or an HSM fills.

use std::path::Path;
use std::{fmt, io};

use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::material::{Secret, SivKey, derive};
use crate::root_file;

/// Wraps and unwraps organisations' keys. The root key itself need never be in our memory: a vault, a cloud KMS or an
/// HSM implements this by a remote call. `context` is bound into what is wrapped (a KMS's encryption context).
pub trait RootKeyProvider: Send + Sync {
    /// Names the key without telling anything of it; kept in the key store so that a wrong key is told plainly.
    fn id(&self) -> String;
    /// Wraps a key.
    ///
    /// # Errors
    /// If the provider cannot be used.
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError>;
    /// Unwraps a key that was wrapped in the same context.
    ///
    /// # Errors
    /// If the provider cannot be used, or what was wrapped does not authenticate in this context.
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError>;
}

/// The root key could not be loaded, made or used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Reading or writing failed.
    #[error("the root key file cannot be read or written: {0}; check path and permissions")]
    File(#[from] io::Error),
    /// Others could read it.
    #[error("the root key file is open to group or others (mode {mode:04o}); run `chmod 600` on it")]
    Exposed {
        /// Its permission bits.
        mode: u32,
    },
    /// Not as it was written.
    #[error("the root key file is damaged ({what}); restore it from its backup")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// Nothing is there.
    #[error("there is no root key file at the configured path; restore it, or let a new system create one")]
    Missing,
    /// What was wrapped does not authenticate.
    #[error("a key does not unwrap under this root key; the key store is damaged or the root key is another one")]
    NotAuthentic,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers; check that getrandom works here")]
    NoRandomness,
}

/// A root key held in memory, loaded from a file of mode 0600.
pub struct RootKey {
    key: SivKey,
    id: String,
}

impl RootKey {
    /// Loads the file; makes it (mode 0600) if there is none.
    ///
    /// # Errors
    /// If the file is exposed, damaged, or cannot be read or made.
    pub fn load_or_create(path: &Path) -> Result<Self, RootError> {
        match Self::load(path) {
            Err(RootError::Missing) => match Self::create(path) {
                // Another process was first: its key is the key.
                Err(RootError::File(error)) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
                made => made,
            },
            loaded => loaded,
        }
    }

    /// Loads an existing file.
    ///
    /// # Errors
    /// If the file is missing, exposed, damaged, or cannot be read.
    pub fn load(path: &Path) -> Result<Self, RootError> {
        root_file::load(path).map(|secret| Self::from_secret(&secret))
    }

    /// Makes a new file with a fresh key; never overwrites one.
    ///
    /// # Errors
    /// If there is a file already, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, RootError> {
        let secret = Secret::random().map_err(|_| RootError::NoRandomness)?;
        root_file::create(path, &secret)?;
        Ok(Self::from_secret(&secret))
    }

    /// A fresh key that is never written anywhere, for tests and throw-away systems.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn ephemeral() -> Result<Self, StoreError> {
        Ok(Self::from_secret(&Secret::random()?))
    }

    fn from_secret(secret: &Secret<32>) -> Self {
        let id = derive(secret.bytes(), b"", &[b"wardbook 2026 root key id"]);
        let key = derive(secret.bytes(), b"", &[b"wardbook 2026 root wraps tenant keys"]);
        Self { key: SivKey::new(key), id: hex::encode(id.bytes().first_chunk::<8>().unwrap_or(&[0; 8])) }
    }
}

impl RootKeyProvider for RootKey {
    fn id(&self) -> String {
        self.id.clone()
    }
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        self.key.wrap(&[context.as_bytes()], key).map_err(|_| RootError::NotAuthentic)
    }
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        let key = self.key.unwrap::<32>(&[context.as_bytes()], wrapped).map_err(|_| RootError::NotAuthentic)?;
        Ok(Zeroizing::new(key.bytes().to_vec()))
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.id)
    }
}
