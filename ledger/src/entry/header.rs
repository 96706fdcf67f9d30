//! The header of an entry: what an auditor may read of any event.

use super::{ENTRY_BYTES_MAX, SECTION_BYTES_MAX, SUBJECTS_MAX};
use crate::{
    codec::{Cursor, Short},
    ids::{Digest, EventId, EventType, KeyId, Micros, Position, StreamId},
};

const VERSION: u8 = 1;
pub(super) const FIXED_BYTES: usize = 1 + 8 + 8 + 16 + 8 + 4 + 2 + 32 + 3 * 4 + 2 + 2;

/// Why bytes are not a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes end before the header does.
    #[error("the header ends too early")]
    Short,
    /// Bytes follow the header where none may.
    #[error("{0} bytes follow the end of the header")]
    Trailing(usize),
    /// Written by another version of this program, or not an entry at all.
    #[error("format version {0} is not known; this program reads version {VERSION}")]
    Version(u8),
    /// Stream versions count from 1.
    #[error("the stream version is 0")]
    StreamVersion,
    /// Only the first entry of a log has no previous digest.
    #[error("the previous digest does not fit the position")]
    Previous,
    /// The stream id is not one.
    #[error("the stream id is malformed")]
    Stream,
    /// The event type is not one.
    #[error("the event type is malformed")]
    EventType,
    /// More than a ledger would write.
    #[error("a section or the number of subjects is over its limit")]
    TooLarge,
}

impl From<Short> for HeaderError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

/// Position, names, time and lengths of an entry; see [`crate::entry`] for its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Place in the log, from 0.
    pub position: Position,
    /// Place in the stream, from 1.
    pub stream_version: u64,
    /// The event's name for ever.
    pub event_id: EventId,
    /// When the ledger took it.
    pub recorded_at: Micros,
    /// The key that signed it.
    pub key_id: KeyId,
    /// Version of the payload's schema.
    pub schema_version: u16,
    /// Digest of the entry before it in the log.
    pub previous: Digest,
    /// Bytes of the meta section.
    pub meta_len: u32,
    /// Bytes of the client section.
    pub client_len: u32,
    /// Bytes of the body section.
    pub body_len: u32,
    /// Number of subjects.
    pub link_count: u16,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// What kind of event it is.
    pub event_type: EventType,
}

impl Header {
    /// Parses a header and nothing else.
    ///
    /// # Errors
    /// [`HeaderError`] says what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut cursor = Cursor::new(bytes);
        let header = Self::read(&mut cursor)?;
        match cursor.rest().len() {
            0 => Ok(header),
            left => Err(HeaderError::Trailing(left)),
        }
    }

    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, HeaderError> {
        let version = cursor.u8()?;
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let position = Position(cursor.u64()?);
        let stream_version = cursor.u64()?;
        let event_id = EventId::from_bytes(cursor.array()?);
        let recorded_at = Micros(cursor.i64()?);
        let key_id = KeyId(cursor.u32()?);
        let schema_version = cursor.u16()?;
        let previous = Digest::from_bytes(cursor.array()?);
        let (meta_len, client_len, body_len) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let link_count = cursor.u16()?;
        let (stream_len, type_len) = (cursor.u8()?, cursor.u8()?);
        let stream = name(cursor.take(stream_len.into())?).ok_or(HeaderError::Stream)?;
        let event_type = name(cursor.take(type_len.into())?).ok_or(HeaderError::EventType)?;
        let header = Self {
            position,
            stream_version,
            event_id,
            recorded_at,
            key_id,
            schema_version,
            previous,
            meta_len,
            client_len,
            body_len,
            link_count,
            stream,
            event_type,
        };
        header.check()?;
        Ok(header)
    }

    /// What must hold of every header, whether read or about to be written.
    pub(crate) fn check(&self) -> Result<(), HeaderError> {
        if self.stream_version == 0 {
            return Err(HeaderError::StreamVersion);
        }
        if (self.position == Position(0)) != (self.previous == Digest::ZERO) {
            return Err(HeaderError::Previous);
        }
        let sections = [self.meta_len, self.client_len, self.body_len];
        let sections_fit = sections.iter().all(|len| *len as usize <= SECTION_BYTES_MAX);
        if !sections_fit || usize::from(self.link_count) > SUBJECTS_MAX {
            return Err(HeaderError::TooLarge);
        }
        if self.entry_bytes_len() > ENTRY_BYTES_MAX {
            return Err(HeaderError::TooLarge);
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.position.get().to_be_bytes());
        out.extend_from_slice(&self.stream_version.to_be_bytes());
        out.extend_from_slice(self.event_id.as_bytes());
        out.extend_from_slice(&self.recorded_at.get().to_be_bytes());
        out.extend_from_slice(&self.key_id.0.to_be_bytes());
        out.extend_from_slice(&self.schema_version.to_be_bytes());
        out.extend_from_slice(self.previous.as_bytes());
        for len in [self.meta_len, self.client_len, self.body_len] {
            out.extend_from_slice(&len.to_be_bytes());
        }
        out.extend_from_slice(&self.link_count.to_be_bytes());
        let (stream, event_type) = (self.stream.as_str(), self.event_type.as_str());
        #[expect(clippy::cast_possible_truncation, reason = "the ids are at most 120 and 64 bytes")]
        out.extend_from_slice(&[stream.len() as u8, event_type.len() as u8]);
        out.extend_from_slice(stream.as_bytes());
        out.extend_from_slice(event_type.as_bytes());
    }

    /// Bytes that this header takes.
    pub(crate) fn bytes_len(&self) -> usize {
        FIXED_BYTES + self.stream.as_str().len() + self.event_type.as_str().len()
    }

    /// Bytes of the whole entry with its signature.
    pub(crate) fn entry_bytes_len(&self) -> usize {
        let sections = self.meta_len as usize + self.client_len as usize + self.body_len as usize;
        let links = usize::from(self.link_count) * super::LINK_BYTES;
        self.bytes_len() + super::SALT_BYTES + links + sections + super::SIGNATURE_BYTES
    }
}

fn name<T: for<'a> TryFrom<&'a str>>(bytes: &[u8]) -> Option<T> {
    T::try_from(str::from_utf8(bytes).ok()?).ok()
}
