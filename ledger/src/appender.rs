//! Appending: one sequencer decides, one writer makes durable.
//!
//! While the writer flushes a group, the sequencer prepares the next: it checks expected versions and repeated ids,
//! assigns positions, links, hashes and signs. So a flush is paid once for everybody who waits.

mod inbox;
mod sequencer;
mod writer;

use std::time::Duration;

pub(crate) use inbox::{Inbox, Request};
pub(crate) use sequencer::{Sequencer, Tail};
pub(crate) use writer::{Group, Writer};

use crate::{
    entry::{Draft, EncodeError, ExpectedVersion},
    ids::{EventId, StreamId},
};

/// Most events of one append: they are signed, written and flushed as one.
pub const APPEND_EVENTS_MAX: usize = 256;
/// Most subjects named by the events of one append together.
pub const APPEND_SUBJECTS_MAX: usize = 4096;
/// Most bytes of the entries of one append.
pub const APPEND_BYTES_MAX: usize = 4 << 20;

/// Why events were not appended. None of them is in the log then, except after [`AppendError::Stopped`], when nobody
/// can know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream is not as the caller believed.
    #[error("stream {stream} has {actual} events, expected was {expected:?}: load it again and decide anew")]
    WrongExpectedVersion {
        /// Which stream.
        stream: StreamId,
        /// What the caller believed.
        expected: ExpectedVersion,
        /// How many events it has.
        actual: u64,
    },
    /// The queue is full, or the index is behind.
    #[error("the ledger is busy: try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// More events or bytes than one append may have.
    #[error(
        "an append of {events} events and {bytes} bytes is over the limit of {APPEND_EVENTS_MAX} events, \
         {APPEND_SUBJECTS_MAX} subjects and {APPEND_BYTES_MAX} bytes: split it"
    )]
    TooLarge {
        /// Events of the append.
        events: usize,
        /// Bytes of its entries.
        bytes: usize,
    },
    /// An event with this id is there and is another one, or only a part of the append is there.
    #[error("event id {id} is taken by another event: make a new id for a new event")]
    IdConflict {
        /// The id.
        id: EventId,
    },
    /// The ledger has stopped, because a write or a flush failed or it was closed. It must be opened anew, which finds
    /// out what is durable.
    #[error("the ledger has stopped: {reason}; open it again")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// A draft that cannot become an entry.
    #[error(transparent)]
    Invalid(#[from] EncodeError),
    /// No drafts at all.
    #[error("nothing to append: give at least one event")]
    Empty,
}

/// Checks what does not depend on the log.
pub(crate) fn check(drafts: &[Draft]) -> Result<usize, AppendError> {
    if drafts.is_empty() {
        return Err(AppendError::Empty);
    }
    let bytes = drafts.iter().map(Draft::bytes_len).sum();
    let subjects: usize = drafts.iter().map(|draft| draft.subjects.len()).sum();
    if subjects > APPEND_SUBJECTS_MAX || drafts.len() > APPEND_EVENTS_MAX || bytes > APPEND_BYTES_MAX {
        let events = drafts.len();
        return Err(AppendError::TooLarge { events, bytes });
    }
    drafts.iter().try_for_each(Draft::check)?;
    if drafts.len() > 1 {
        let mut ids: Vec<EventId> = drafts.iter().map(|draft| draft.id).collect();
        ids.sort_unstable();
        if let Some([id, _]) = ids.array_windows().find(|[a, b]| a == b) {
            return Err(AppendError::IdConflict { id: *id });
        }
    }
    Ok(bytes)
}
