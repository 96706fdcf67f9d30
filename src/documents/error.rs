//! Why something about a document was not done.

use wardbook_commands::CommandError;
use wardbook_events::documents::Fault;
use wardbook_keys::{ObjectError, OpenError, SealError};
use wardbook_projections::ViewError;

use super::content::ContentError;
use super::store::StoreError;
use super::strip::StripError;
use crate::clock::NoChance;
use crate::disclosure::Refusal;

/// Why something about a document was not done.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// There is no such upload, or it is another user's.
    #[error("there is no such upload")]
    NoUpload,
    /// Another request works on the upload.
    #[error("another request works on this upload: wait for it, then ask how far it came")]
    Busy,
    /// The piece does not begin where the upload ends.
    #[error("the upload has {offset} bytes: send what follows them, with Upload-Offset: {offset}")]
    WrongOffset {
        /// How far the upload came.
        offset: u64,
    },
    /// More was sent than was announced.
    #[error("more was sent than was announced: the upload has {size} bytes")]
    TooMuch {
        /// Bytes announced.
        size: u64,
    },
    /// Not everything is there yet.
    #[error("{offset} of {size} bytes are there: send the rest first")]
    Incomplete {
        /// How far the upload came.
        offset: u64,
        /// Bytes announced.
        size: u64,
    },
    /// The content is not what the client sent.
    #[error("the SHA-256 of what arrived is another one: send the document again")]
    WrongHash,
    /// The content is not what it was said to be.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// An image is broken.
    #[error(transparent)]
    Strip(#[from] StripError),
    /// An object, or a chunk of it, is not what was written.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory of uploads failed.
    #[error("an upload could not be read or written: {0}; check the disk below the data directory")]
    Io(#[from] std::io::Error),
    /// What an upload says of itself cannot be read.
    #[error("an upload is damaged: begin it again")]
    DamagedUpload,
    /// A key was not sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key was not opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The write side refused.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A view could not answer.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Not allowed, or not recorded.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// A task ended without an answer.
    #[error("a task was lost: try again")]
    Lost,
}

impl DocumentError {
    /// What is wrong with the object, if that is what it says.
    #[must_use]
    pub const fn fault(&self) -> Option<(Fault, Option<u64>)> {
        Some(match self {
            Self::Store(StoreError::Missing) => (Fault::Missing, None),
            Self::Object(ObjectError::Cut { .. }) => (Fault::Cut, None),
            Self::Object(ObjectError::TooLong { .. }) => (Fault::TooLong, None),
            Self::Object(ObjectError::Misplaced { chunk, .. }) => (Fault::Misplaced, Some(*chunk)),
            Self::Object(ObjectError::Damaged { chunk }) => (Fault::Damaged, Some(*chunk)),
            _ => return None,
        })
    }
}
