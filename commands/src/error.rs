//! Why a command was not carried out.

use std::time::Duration;

use wardbook_events::DecodeError;
use wardbook_keys::{KeyError, ResealError, RetokenError, SealError, SecretError, TokenError};
use wardbook_ledger::{AppendError, ReadError};

use crate::authority::UnfitPermit;
use crate::rejection::Rejection;

/// When to try again while the index is being rebuilt.
const INDEX_REBUILD: Duration = Duration::from_secs(1);

/// Why a command was not carried out. Nothing of it is in the ledger then, except after [`CommandError::Stopped`], when
/// nobody can know until the ledger is opened again: with an idempotency key the retry finds out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such patient, record or user.
    #[error("there is no such thing here")]
    NotFound,
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(Rejection),
    /// The caller expected another version of the stream (`If-Match`).
    #[error("the stream has version {actual}, expected was {expected}: load it again and decide anew")]
    WrongVersion {
        /// What the caller expected.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// Others were faster each time.
    #[error("too many others write to the same place: try again")]
    Contended,
    /// The ledger's queue is full, or its index is being rebuilt.
    #[error("the ledger is busy: try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The ledger has stopped; this process must end.
    #[error("the ledger has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// The permit is not for this command.
    #[error(transparent)]
    UnfitPermit(#[from] UnfitPermit),
    /// Reading the ledger failed.
    #[error(transparent)]
    Read(ReadError),
    /// An event in the ledger is not one we know.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The events do not fit into the ledger: too large, too many, or an id was taken.
    #[error("the ledger does not take these events: {0}")]
    Refused(AppendError),
    /// A patient's key could not be found or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A value could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A token or digest could not be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A patient could not be indexed.
    #[error(transparent)]
    Retoken(#[from] RetokenError),
    /// A value could not be sealed anew.
    #[error(transparent)]
    Reseal(#[from] ResealError),
    /// A secret could not be sealed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Something that cannot happen, and did.
    #[error("internal fault: {0}; report it")]
    Internal(&'static str),
}

impl From<Rejection> for CommandError {
    fn from(rejection: Rejection) -> Self {
        if rejection == Rejection::NotFound { Self::NotFound } else { Self::Rejected(rejection) }
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::IndexUnavailable => Self::Busy { retry_after: INDEX_REBUILD },
            other => Self::Read(other),
        }
    }
}

impl From<AppendError> for CommandError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::WrongExpectedVersion { .. } => Self::Contended,
            AppendError::Busy { retry_after } => Self::Busy { retry_after },
            AppendError::Stopped { reason } => Self::Stopped { reason },
            other => Self::Refused(other),
        }
    }
}
