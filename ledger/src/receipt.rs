//! Receipts: proof, within this process, that an event is durable.

use crate::{
    entry::Entry,
    ids::{Digest, EventId, EventType, Micros, Position, StreamId, SubjectId},
};

/// Says that an event is on disk. Only the ledger makes one, and only after the flush that made the event durable; what
/// demands a receipt can therefore not happen before its event is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    position: Position,
    digest: Digest,
    event_id: EventId,
    stream: StreamId,
    stream_version: u64,
    event_type: EventType,
    recorded_at: Micros,
    subjects: Vec<(SubjectId, u64)>,
    is_replay: bool,
}

impl Receipt {
    /// To be given out only when the entry is durable.
    pub(crate) fn of(entry: &Entry, is_replay: bool) -> Self {
        let links = entry.links().iter();
        Self {
            position: entry.position(),
            digest: entry.digest(),
            event_id: entry.id(),
            stream: entry.stream().clone(),
            stream_version: entry.stream_version(),
            event_type: entry.event_type().clone(),
            recorded_at: entry.recorded_at(),
            subjects: links.map(|link| (link.subject, link.count)).collect(),
            is_replay,
        }
    }

    /// Place in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Digest of the entry.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The event's name.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.event_id
    }

    /// The stream it belongs to.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Its place in the stream, from 1.
    #[must_use]
    pub fn stream_version(&self) -> u64 {
        self.stream_version
    }

    /// What kind of event it is.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// When the ledger took it.
    #[must_use]
    pub fn recorded_at(&self) -> Micros {
        self.recorded_at
    }

    /// Its subjects, ascending, each with the number of the event among that subject's events.
    #[must_use]
    pub fn subjects(&self) -> &[(SubjectId, u64)] {
        &self.subjects
    }

    /// True if the event names this subject.
    #[must_use]
    pub fn covers(&self, subject: &SubjectId) -> bool {
        self.subjects.binary_search_by_key(subject, |(id, _)| *id).is_ok()
    }

    /// True if the event was there already and this append was a retry of it.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.is_replay
    }
}
