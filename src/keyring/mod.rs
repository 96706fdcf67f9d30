//! Looking after keys: made anew on schedule and when asked for (ENC-10), what they wrap wrapped anew in the background
//! (ENC-11), their use counted and judged (ENC-17), each step told in the ledger.
//!
//! A new version of a key is made first and told second, because only then its number is known. What a crash left untold
//! is told by the next [`schedule::tick`], from what the key store says; events about versions have ids that follow from what
//! they tell, so nothing stands there twice. Patients' keys are the exception: up to [`PATIENTS_MAX`] rotations that were
//! made within the last moment before a crash stay untold. Everything here blocks.
//!
//! To add a level: a variant of [`rotate::Asked`], its arm in [`rotate::rotate`], and a file of its own.
//!
//! [`PATIENTS_MAX`]: wardbook_events::keys::PATIENTS_MAX

pub mod compromise;
pub mod jobs;
pub mod moving;
pub mod reindex;
mod reseal;
pub mod rewrap;
pub mod rotate;
pub mod schedule;
pub mod status;
mod tell;
pub mod usage;
mod work;

use wardbook_commands::CommandError;
use wardbook_keys::{KeyError, RootError, StoreError};
use wardbook_ledger::AppendError;
use wardbook_projections::ViewError;

use crate::backup::key_backups::RefreshError;
use crate::clock::NoChance;
use crate::disclosure::Refusal;
use crate::documents::DocumentError;

pub use jobs::{Job, Keyring, Scope};

/// Why something was not done with keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The key store, or the root key's provider.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A patient's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The view of keys.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The event that tells of it.
    #[error("the ledger could not take in what was done with keys: {0}")]
    Tell(#[from] Refusal),
    /// Events that tell of it together.
    #[error("the ledger could not take in what was done with keys: {0}")]
    Append(#[from] AppendError),
    /// A command of Wardbook's own.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A backup of the keys may still have what was replaced.
    #[error(transparent)]
    KeyBackups(#[from] RefreshError),
    /// No random bytes.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// The program ends.
    #[error("the program ends: what is left is done after the next start")]
    Stopping,
    /// The same is being done.
    #[error("this is being done already: `GET /v1/keys` tells how far it is")]
    Busy,
    /// What was begun in the background did not come to its end.
    #[error("not through yet: {0}")]
    Unfinished(String),
    /// No thread to be had.
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl KeyringError {
    /// The root key's own error, if that is what it comes from.
    #[must_use]
    pub const fn root(&self) -> Option<&RootError> {
        match self {
            Self::Store(error) => error.root(),
            Self::Key(error) => error.root(),
            _ => None,
        }
    }
}
