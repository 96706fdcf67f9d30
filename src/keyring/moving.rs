//! Another provider for the root key. Done with the server stopped: two providers are asked, and the store is opened anew.

use std::path::Path;

use wardbook_keys::{Keys, KeysConfig, RootError, RootKeyProvider as _, StoreError};

use crate::clock::Clock;
use crate::config::{self, DataDir};
use crate::root;

/// Why the root key did not move. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// One of the two providers.
    #[error("the {which} provider: {source}")]
    Provider {
        /// `old` or `new`.
        which: &'static str,
        /// What is wrong with it.
        source: RootError,
    },
    /// The key store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It lives there already.
    #[error("the root key is that one already: nothing to move")]
    Same,
    /// Nothing to be moved.
    #[error("there is no key store in {0}: a new system begins where its settings say")]
    NoStore(std::path::PathBuf),
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The old root key's name.
    pub from: String,
    /// The new one's.
    pub to: String,
    /// Organisations' keys that were wrapped under it, of all versions.
    pub keys: usize,
}

/// Wraps all organisations' keys under the root key of other settings, which is made if there is none. All or nothing.
///
/// # Errors
/// [`MoveError`].
pub fn move_root(data: &DataDir, old: &config::Keys, new: &config::Keys, clock: &Clock) -> Result<Moved, MoveError> {
    let path = data.keys().join("keys.sqlite");
    if !Path::exists(&path) {
        return Err(MoveError::NoStore(path));
    }
    let wrong = |which| move |source| MoveError::Provider { which, source };
    let from = root::open(old, data, false).map_err(wrong("old"))?;
    from.check().map_err(wrong("old"))?;
    let to = root::provider(new, data, true).map_err(wrong("new"))?;
    if from.id() == to.id() {
        return Err(MoveError::Same);
    }
    to.create().map_err(wrong("new"))?;
    to.check().map_err(wrong("new"))?;
    let mut config = KeysConfig::new(path, std::sync::Arc::clone(&from));
    config.clock = Box::new(clock.clone());
    let keys = Keys::open_store(config)?;
    let moved = keys.move_root(to.as_ref())?;
    Ok(Moved { from: from.id(), to: to.id(), keys: moved })
}
