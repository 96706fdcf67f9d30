//! The root key: the one secret outside the key store. It lives in a provider, and a provider is anything that wraps.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

/// Wraps and unwraps organisations' keys. The root key itself need never be in our memory: a vault, a cloud KMS or an
/// HSM implements this by a remote call. `context` is bound into what is wrapped: it unwraps in the same context only.
///
/// Calls block: they may be made from any thread, and come back within the provider's deadline.
pub trait RootKeyProvider: Send + Sync {
    /// Names the key, not its version, and tells nothing of it. Kept in the key store so that a wrong key is told plainly;
    /// known without asking the provider.
    fn id(&self) -> String;

    /// Wraps a key under the newest version.
    ///
    /// # Errors
    /// If the provider cannot be used.
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError>;

    /// Unwraps a key that was wrapped in the same context, under any version that may still be used.
    ///
    /// # Errors
    /// If the provider cannot be used, or what was wrapped does not authenticate in this context.
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError>;

    /// The version under which [`Self::wrap`] wraps now.
    ///
    /// # Errors
    /// If the provider cannot be used.
    fn newest_version(&self) -> Result<RootVersion, RootError>;

    /// The version under which something is wrapped; read from its outside, without asking the provider.
    ///
    /// # Errors
    /// If it is not something that this kind of provider wrapped.
    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError>;

    /// Makes a new version at the provider. What is wrapped under older ones still unwraps.
    ///
    /// # Errors
    /// If the provider cannot be used or does not allow it.
    fn rotate(&self) -> Result<RootVersion, RootError>;

    /// Wraps under the newest version what was wrapped under another, in the same context. Where the provider can do it
    /// by itself, the key does not come into our memory.
    ///
    /// # Errors
    /// As for [`Self::unwrap`] and [`Self::wrap`].
    fn rewrap(&self, context: &str, wrapped: &[u8]) -> Result<Vec<u8>, RootError> {
        self.wrap(context, &self.unwrap(context, wrapped)?)
    }

    /// From now on nothing unwraps that is wrapped under a version before this one. Rewrap everything first.
    ///
    /// # Errors
    /// If there is no such version, the provider cannot be used, or this is to be done with the provider's own tools.
    fn retire_before(&self, version: &RootVersion) -> Result<(), RootError>;

    /// Asks the provider whether the key is there, usable, and kept as a root key must be (not exportable, for one).
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self) -> Result<(), RootError> {
        self.newest_version().map(drop)
    }

    /// Makes the key at the provider if there is none, and checks it. Only for a key store that is new: where there are
    /// wrapped keys already, a missing root key is a loss and not a beginning.
    ///
    /// # Errors
    /// If it cannot be made, or what is there is not as it must be.
    fn create(&self) -> Result<(), RootError> {
        self.check()
    }
}

/// Which version of a root key, in the provider's own words (`3`, or the id of a key). Versions are equal or not;
/// nothing else can be asked of them here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RootVersion(String);

impl RootVersion {
    /// As the provider names it.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RootVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
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
    /// The file is to be protected by a passphrase, and is not, or the other way round.
    #[error("the root key file {0}")]
    Passphrase(&'static str),
    /// A file with a secret (a PIN, a secret id, a passphrase) cannot be used.
    #[error("the secret file {path} cannot be used: {why}")]
    Secret {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What was wrapped does not authenticate.
    #[error("a key does not unwrap under this root key; the key store is damaged or the root key is another one")]
    NotAuthentic,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers; check that getrandom works here")]
    NoRandomness,
    /// The provider does not answer, or answers that it cannot now. It may be there again later: try again.
    #[error("the key provider {provider} cannot be reached: {why}; it is asked again by itself, start or unseal it")]
    Unreachable {
        /// Which kind of provider.
        provider: &'static str,
        /// What happened.
        why: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// The provider answers, but not to us.
    #[error("the key provider {provider} refuses us: {why}; check our credentials and what they are allowed")]
    Refused {
        /// Which kind of provider.
        provider: &'static str,
        /// What it said.
        why: String,
    },
    /// The key, or the version that is needed, was disabled or deleted at the provider.
    #[error("the root key at {provider} is disabled or deleted: {why}; enable or restore it there")]
    Disabled {
        /// Which kind of provider.
        provider: &'static str,
        /// What it said.
        why: String,
    },
    /// The key or its settings are not such as a root key needs.
    #[error("the root key at {provider} cannot be used: {what}")]
    Unfit {
        /// Which kind of provider.
        provider: &'static str,
        /// What to change.
        what: String,
    },
    /// This program was built without that provider.
    #[error("this program was built without the key provider {provider}; build it with the feature {provider}")]
    NotBuilt {
        /// Which kind of provider, which is the name of its feature.
        provider: &'static str,
    },
}

impl RootError {
    /// When to try again, if nothing is wrong but the way to the provider or its being willing: whoever runs it can mend
    /// that while we run.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { retry_after, .. } => Some(*retry_after),
            Self::Refused { .. } | Self::Disabled { .. } => Some(Duration::from_secs(60)),
            _ => None,
        }
    }
}

impl<P: RootKeyProvider + ?Sized> RootKeyProvider for Arc<P> {
    fn id(&self) -> String {
        (**self).id()
    }
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        (**self).wrap(context, key)
    }
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        (**self).unwrap(context, wrapped)
    }
    fn newest_version(&self) -> Result<RootVersion, RootError> {
        (**self).newest_version()
    }
    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        (**self).version_of(wrapped)
    }
    fn rotate(&self) -> Result<RootVersion, RootError> {
        (**self).rotate()
    }
    fn rewrap(&self, context: &str, wrapped: &[u8]) -> Result<Vec<u8>, RootError> {
        (**self).rewrap(context, wrapped)
    }
    fn retire_before(&self, version: &RootVersion) -> Result<(), RootError> {
        (**self).retire_before(version)
    }
    fn check(&self) -> Result<(), RootError> {
        (**self).check()
    }
    fn create(&self) -> Result<(), RootError> {
        (**self).create()
    }
}
