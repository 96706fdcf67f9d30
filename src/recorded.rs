//! From an entry of the ledger, which knows nothing of healthcare, to an event of the vocabulary.

use jiff::Timestamp;
use wardbook_events::envelope::Stored;
use wardbook_events::{DecodeError, EventId, PatientId, Recorded};
use wardbook_ledger::Entry;

/// Why an entry could not be decoded, and which.
#[derive(Debug, thiserror::Error)]
#[error("the event at position {position} cannot be decoded: {source}")]
pub struct EntryError {
    /// Its position.
    pub position: u64,
    /// Why.
    pub source: DecodeError,
}

/// Whether the ledger itself wrote the entry (key rotation, accepted rollback): such events are not in the vocabulary.
#[must_use]
pub fn is_ledgers_own(entry: &Entry) -> bool {
    entry.event_type().as_str().starts_with("ledger.")
}

/// Decodes an entry; `None` if the ledger itself wrote it.
///
/// # Errors
/// If a newer version wrote it, or it is malformed.
pub fn decode(entry: &Entry) -> Result<Option<Recorded>, EntryError> {
    if is_ledgers_own(entry) {
        return Ok(None);
    }
    let position = entry.position().get();
    let subjects =
        entry.links().iter().map(|link| (PatientId::from_bytes(*link.subject.as_bytes()), link.count)).collect();
    let stored = Stored {
        kind: entry.event_type().as_str(),
        version: entry.schema_version(),
        position,
        stream: entry.stream().as_str(),
        stream_version: entry.stream_version(),
        id: EventId::from_bytes(*entry.id().as_bytes()),
        // The ledger's times are microseconds of this century; the other end of the range cannot be reached.
        recorded_at: Timestamp::from_microsecond(entry.recorded_at().get()).unwrap_or(Timestamp::UNIX_EPOCH),
        meta: entry.meta(),
        client: entry.client(),
        body: entry.body(),
    };
    stored.decode(subjects).map(Some).map_err(|source| EntryError { position, source })
}

/// Decodes entries in order, leaving out the ledger's own.
///
/// # Errors
/// The first that cannot be decoded.
pub fn decode_all<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Result<Vec<Recorded>, EntryError> {
    entries.into_iter().filter_map(|entry| decode(entry).transpose()).collect()
}
