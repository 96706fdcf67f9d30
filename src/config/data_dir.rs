//! Where everything is.

use std::path::{Path, PathBuf};

/// Where things are below the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The layout below `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }
    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }
    /// Journal, tiles, signing keys and index of the ledger.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger")
    }
    /// The marks of what was published, apart from the ledger: an old backup put back is noticed by them.
    #[must_use]
    pub fn published(&self) -> PathBuf {
        self.0.join("published")
    }
    /// The keys that sign events and checkpoints.
    #[must_use]
    pub fn ledger_keys(&self) -> PathBuf {
        self.0.join("keys").join("ledger")
    }
    /// The key store and, for now, the root key. Has backups of its own.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }
    /// The sealed objects of documents, unless they lie elsewhere.
    #[must_use]
    pub fn documents(&self) -> PathBuf {
        self.0.join("documents")
    }
    /// Uploads that are not finished, sealed.
    #[must_use]
    pub fn uploads(&self) -> PathBuf {
        self.0.join("uploads")
    }
    /// The read models; may be deleted and rebuilt.
    #[must_use]
    pub fn views(&self) -> PathBuf {
        self.0.join("views")
    }
    /// The keys that sign access tokens; may be deleted, then everybody logs in again.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.0.join("tokens")
    }
}
