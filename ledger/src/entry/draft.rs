//! From what a caller wants recorded to a signed entry.

use super::{
    DecodeError, Entry, Header, HeaderError, SALT_BYTES, SECTION_BYTES_MAX, SIGNATURE_BYTES, SUBJECTS_MAX, Salt, Salts,
    Section, SubjectLink, digest_of, hash_link, hash_section,
};
use crate::{
    ids::{Digest, EventId, EventType, KeyId, Micros, Position, StreamId, SubjectId},
    signer::EventSigner,
};

/// An event that a caller wants recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its name for ever; the same id again is a retry, not a second event.
    pub id: EventId,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// What the caller believes about the stream.
    pub expected: ExpectedVersion,
    /// What kind of event it is.
    pub event_type: EventType,
    /// Version of the payload's schema.
    pub schema_version: u16,
    /// Whom it is about: at most [`SUBJECTS_MAX`], none twice, in any order.
    pub subjects: Vec<SubjectId>,
    /// What it says.
    pub payload: Payload,
}

/// What a writer believes about the stream it appends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// The stream has no event yet.
    NoStream,
    /// The stream has exactly this many events.
    Exact(u64),
    /// Whatever it has is well.
    Any,
}

/// The sections of an event, opaque to the ledger; each at most [`SECTION_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload {
    /// Who and why; shown to the subject in a completeness bundle.
    pub meta: Vec<u8>,
    /// From where: address, agent, session, device; never shown in a bundle.
    pub client: Vec<u8>,
    /// The facts; never shown in a bundle.
    pub body: Vec<u8>,
}

/// Lengths only: the sections may hold what nobody may read in a log.
impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payload")
            .field("meta_bytes", &self.meta.len())
            .field("client_bytes", &self.client.len())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What the sequencer decides about an event.
#[derive(Clone)]
pub struct Assigned {
    /// The next position of the log.
    pub position: Position,
    /// The next version of the stream.
    pub stream_version: u64,
    /// Now, and not before the entry before it.
    pub recorded_at: Micros,
    /// The key that will sign.
    pub key_id: KeyId,
    /// Digest of the entry before it, [`Digest::ZERO`] at position 0.
    pub previous: Digest,
    /// One link for each subject of the draft, in the same order.
    pub links: Vec<SubjectLink>,
    /// 16 random bytes that hide the withheld parts of a disclosed entry; fresh for every entry.
    pub salt: [u8; 16],
}

/// Without the salt, which hides what is withheld.
impl std::fmt::Debug for Assigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assigned")
            .field("position", &self.position)
            .field("stream_version", &self.stream_version)
            .field("recorded_at", &self.recorded_at)
            .field("key_id", &self.key_id)
            .field("previous", &self.previous)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

/// Why a draft cannot become an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A section is too long.
    #[error("a section has {0} bytes; the limit is {SECTION_BYTES_MAX}: split the event")]
    SectionTooLarge(usize),
    /// Too many subjects.
    #[error("the event names {0} subjects; the limit is {SUBJECTS_MAX}: split the event")]
    TooManySubjects(usize),
    /// The sections are too long together.
    #[error("the entry would be over its size limit: split the event")]
    TooLarge,
    /// A subject stands twice.
    #[error("subject {0} stands twice: name each subject once")]
    DuplicateSubject(SubjectId),
    /// The sequencer's links are not those of the draft's subjects.
    #[error("the links are not those of the draft's subjects")]
    LinkMismatch,
    /// A link that no chain can have.
    #[error("the link of subject {0} has a count that does not fit its previous digest")]
    Link(SubjectId),
    /// A header that no entry can have.
    #[error(transparent)]
    Header(HeaderError),
}

/// Why an entry was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The entry names another key.
    #[error("the entry is to be signed by key {expected}, not by {actual}")]
    WrongKey {
        /// The key named in the header.
        expected: KeyId,
        /// The key that was given.
        actual: KeyId,
    },
    /// The cryptographic library refused.
    #[error("the signature could not be made")]
    Failed,
}

impl Draft {
    /// Checks everything that does not depend on the log, so that a bad draft is refused before it is queued.
    ///
    /// # Errors
    /// [`EncodeError`] for what is over a limit or named twice.
    pub fn check(&self) -> Result<(), EncodeError> {
        if self.subjects.len() > SUBJECTS_MAX {
            return Err(EncodeError::TooManySubjects(self.subjects.len()));
        }
        let payload = &self.payload;
        for section in [&payload.meta, &payload.client, &payload.body] {
            if section.len() > SECTION_BYTES_MAX {
                return Err(EncodeError::SectionTooLarge(section.len()));
            }
        }
        if self.bytes_len() > super::ENTRY_BYTES_MAX {
            return Err(EncodeError::TooLarge);
        }
        if self.subjects.len() > 1 {
            let mut subjects = self.subjects.clone();
            subjects.sort_unstable();
            if let Some([twice, _]) = subjects.array_windows().find(|[a, b]| a == b) {
                return Err(EncodeError::DuplicateSubject(*twice));
            }
        }
        Ok(())
    }

    /// Bytes of the entry that this draft becomes, with its signature: what a queue's byte budget counts.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        let payload = &self.payload;
        super::header::FIXED_BYTES
            + self.stream.as_str().len()
            + self.event_type.as_str().len()
            + SALT_BYTES
            + self.subjects.len() * super::LINK_BYTES
            + payload.meta.len()
            + payload.client.len()
            + payload.body.len()
            + SIGNATURE_BYTES
    }
}

/// Lays out and hashes the entry of a draft.
///
/// # Errors
/// [`EncodeError`] if the draft is over a limit, or what was assigned cannot belong to it.
pub fn encode(draft: &Draft, assigned: Assigned) -> Result<UnsignedEntry, EncodeError> {
    let payload = &draft.payload;
    let mut links = assigned.links;
    let subjects = draft.subjects.iter();
    if !links.iter().map(|link| &link.subject).eq(subjects) {
        return Err(EncodeError::LinkMismatch);
    }
    if let Some(link) = links.iter().find(|link| !link.is_plausible()) {
        return Err(EncodeError::Link(link.subject));
    }
    links.sort_unstable_by_key(|link| link.subject);
    let mut pairs = links.array_windows();
    if let Some([link, _]) = pairs.find(|[a, b]| a.subject == b.subject) {
        return Err(EncodeError::DuplicateSubject(link.subject));
    }
    let link_count = u16::try_from(links.len()).map_err(|_| EncodeError::TooManySubjects(links.len()))?;
    let header = Header {
        position: assigned.position,
        stream_version: assigned.stream_version,
        event_id: draft.id,
        recorded_at: assigned.recorded_at,
        key_id: assigned.key_id,
        schema_version: draft.schema_version,
        previous: assigned.previous,
        meta_len: section_len(&payload.meta)?,
        client_len: section_len(&payload.client)?,
        body_len: section_len(&payload.body)?,
        link_count,
        stream: draft.stream.clone(),
        event_type: draft.event_type.clone(),
    };
    header.check().map_err(|error| match error {
        HeaderError::TooLarge if links.len() > SUBJECTS_MAX => EncodeError::TooManySubjects(links.len()),
        HeaderError::TooLarge => EncodeError::TooLarge,
        other => EncodeError::Header(other),
    })?;
    Ok(UnsignedEntry::lay_out(header, links, assigned.salt, payload))
}

fn section_len(section: &[u8]) -> Result<u32, EncodeError> {
    let too_large = EncodeError::SectionTooLarge(section.len());
    if section.len() > SECTION_BYTES_MAX {
        return Err(too_large);
    }
    u32::try_from(section.len()).map_err(|_| too_large)
}

/// An entry that lacks only its signature.
pub struct UnsignedEntry {
    bytes: Vec<u8>,
    header: Header,
    links: Vec<SubjectLink>,
    digest: Digest,
}

impl UnsignedEntry {
    fn lay_out(header: Header, links: Vec<SubjectLink>, salt: Salt, payload: &Payload) -> Self {
        // One allocation, with room for the signature that `sign` puts behind the bytes.
        let mut bytes = Vec::with_capacity(header.entry_bytes_len());
        header.write(&mut bytes);
        let mut salts = Salts::new(salt);
        let [meta_salt, client_salt, body_salt] = salts.sections();
        let link_hashes = links.iter().map(|link| hash_link(&salts.next_salt(), link));
        let digest = digest_of(
            &bytes,
            link_hashes,
            [
                hash_section(Section::Meta, &meta_salt, &payload.meta),
                hash_section(Section::Client, &client_salt, &payload.client),
                hash_section(Section::Body, &body_salt, &payload.body),
            ],
        );
        bytes.extend_from_slice(&salt);
        for link in &links {
            bytes.extend_from_slice(&link.to_bytes());
        }
        bytes.extend_from_slice(&payload.meta);
        bytes.extend_from_slice(&payload.client);
        bytes.extend_from_slice(&payload.body);
        Self { bytes, header, links, digest }
    }

    /// The digest that will be signed; the next entry of the log and of each subject links to it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The header as laid out.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The subject links, ascending by subject.
    #[must_use]
    pub fn links(&self) -> &[SubjectLink] {
        &self.links
    }

    /// Signs the digest.
    ///
    /// # Errors
    /// [`SignError`] if the key is not the one named in the header, or the library refuses.
    pub fn sign(self, signer: &EventSigner) -> Result<Entry, SignError> {
        if signer.key_id() != self.header.key_id {
            return Err(SignError::WrongKey { expected: self.header.key_id, actual: signer.key_id() });
        }
        let signature = signer.sign(&self.digest)?;
        Ok(self.with_signature(&signature))
    }

    pub(crate) fn with_signature(self, signature: &[u8; SIGNATURE_BYTES]) -> Entry {
        let mut stored = self.bytes;
        stored.extend_from_slice(signature);
        Entry { stored, header: self.header, links: self.links, digest: self.digest }
    }
}

/// Puts a signature that was made elsewhere behind bytes that were stored apart from it.
impl TryFrom<(&[u8], &[u8; SIGNATURE_BYTES])> for Entry {
    type Error = DecodeError;

    fn try_from((bytes, signature): (&[u8], &[u8; SIGNATURE_BYTES])) -> Result<Self, DecodeError> {
        Self::decode([bytes, signature].concat())
    }
}
