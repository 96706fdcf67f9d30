//! An entry: one event as it is stored, hashed and signed.
//!
//! # Bytes (all integers big-endian)
//! ```text
//! header   version u8 = 1, position u64, stream version u64, event id [16], recorded at i64, key id u32,
//!          schema version u16, previous digest [32], lengths of meta, client and body u32 each, number of links u16,
//!          length of stream id u8, length of event type u8, stream id, event type
//! salt     [16]
//! links    (subject id [16], previous digest [32], count u64) each, ascending by subject id
//! sections meta, client, body
//! ```
//! An entry is stored as these bytes and the 64-byte signature behind them, and never written anew from its fields.
//!
//! # Digest
//! `H(context, data)` is BLAKE3 in its key-derivation mode with that context, and salt `i` is bytes `16 i .. 16 i + 16` of
//! the extended output of `H("wardbook 2026 entry salts v1", salt)`.
//! ```text
//! meta    = H("wardbook 2026 meta section v1",   salt 0 ‖ bytes)
//! client  = H("wardbook 2026 client section v1", salt 1 ‖ bytes)
//! body    = H("wardbook 2026 body section v1",   salt 2 ‖ bytes)
//! link i  = H("wardbook 2026 subject link v1",   salt 3 + i ‖ bytes of the link)
//! digest  = H("wardbook 2026 ledger entry v1",   header ‖ link 0 ‖ link 1 ‖ ... ‖ meta ‖ client ‖ body)
//! ```
//! Two levels on purpose: whoever is shown the header and *some* parts can still compute the digest from the hashes
//! of the others. So a patient's completeness bundle opens that patient's link and the meta section and withholds
//! other patients' ids, client addresses and sealed bodies. Every part is hashed behind a secret salt of its own
//! (derived from the entry's), because a hash alone would not hide an address that can be guessed.
//!
//! The signature is Ed25519 over the 32 bytes of the digest. The leaf entry of the tree is `digest ‖ signature`.

mod draft;
mod hash;
mod header;

pub use draft::{Assigned, Draft, EncodeError, ExpectedVersion, Payload, SignError, UnsignedEntry, encode};
pub(crate) use hash::{SALT_BYTES, Salt, Salts, Section, digest_of, hash_link, hash_section};
pub use header::{Header, HeaderError};

use crate::{
    codec::{Cursor, Short},
    ids::{Digest, EventId, EventType, KeyId, Micros, Position, StreamId, SubjectId},
};

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of a leaf entry: the digest and the signature.
pub const LEAF_BYTES: usize = 32 + SIGNATURE_BYTES;
/// The most subjects one event may name.
pub const SUBJECTS_MAX: usize = 1000;
/// The most bytes of one section.
pub const SECTION_BYTES_MAX: usize = 1 << 20;
/// The most bytes of an entry with its signature.
pub const ENTRY_BYTES_MAX: usize = (2 << 20) - 1;

const LINK_BYTES: usize = 16 + 32 + 8;

/// Ties an event to one of its subjects: the next link of that subject's own chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectLink {
    /// Whom the event is about.
    pub subject: SubjectId,
    /// Digest of this subject's previous event, [`Digest::ZERO`] for the first.
    pub previous: Digest,
    /// Which event of this subject it is, from 1.
    pub count: u64,
}

impl SubjectLink {
    /// The link of the first event of a subject.
    #[must_use]
    pub const fn first(subject: SubjectId) -> Self {
        Self { subject, previous: Digest::ZERO, count: 1 }
    }

    pub(crate) fn to_bytes(self) -> [u8; LINK_BYTES] {
        let mut bytes = [0; LINK_BYTES];
        let (subject, rest) = bytes.split_at_mut(16);
        let (previous, count) = rest.split_at_mut(32);
        subject.copy_from_slice(self.subject.as_bytes());
        previous.copy_from_slice(self.previous.as_bytes());
        count.copy_from_slice(&self.count.to_be_bytes());
        bytes
    }

    /// The first of a chain has count 1 and no previous digest, and only the first has.
    pub(crate) fn is_plausible(&self) -> bool {
        self.count > 0 && (self.count == 1) == (self.previous == Digest::ZERO)
    }
}

/// Why bytes are not an entry. None of these is a matter of keys: see [`crate::verify`] for signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than the entry says it has.
    #[error("the entry ends too early")]
    Short,
    /// More bytes than the entry says it has.
    #[error("{0} bytes follow the end of the entry")]
    Trailing(usize),
    /// The header is not one.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A subject link cannot be as it is.
    #[error("subject link {0} has a count that does not fit its previous digest")]
    Link(usize),
    /// The subject links are not in their one order, or a subject stands twice.
    #[error("subject link {0} is out of order")]
    LinkOrder(usize),
    /// Longer than any entry that a ledger would write.
    #[error("an entry of {0} bytes is longer than {ENTRY_BYTES_MAX}")]
    TooLarge(usize),
}

impl From<Short> for DecodeError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

/// A signed event, exactly as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    stored: Vec<u8>,
    header: Header,
    links: Vec<SubjectLink>,
    digest: Digest,
}

impl Entry {
    /// Parses what [`Entry::stored`] gave and computes the digest. Strict: no byte may be missing, left over or
    /// written in a second way. Says nothing about whether the signature is right.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes.
    pub fn decode(stored: Vec<u8>) -> Result<Self, DecodeError> {
        if stored.len() > ENTRY_BYTES_MAX {
            return Err(DecodeError::TooLarge(stored.len()));
        }
        let mut cursor = Cursor::new(&stored);
        let header = Header::read(&mut cursor)?;
        let header_bytes = stored.get(..header.bytes_len()).ok_or(DecodeError::Short)?;
        let mut salts = Salts::new(cursor.array()?);
        let section_salts = salts.sections();
        let links = read_links(&mut cursor, header.link_count)?;
        let links_hashed = links.iter().map(|link| hash_link(&salts.next_salt(), link));
        let meta = cursor.take(header.meta_len as usize)?;
        let client = cursor.take(header.client_len as usize)?;
        let body = cursor.take(header.body_len as usize)?;
        let [meta_salt, client_salt, body_salt] = section_salts;
        let digest = digest_of(
            header_bytes,
            links_hashed,
            [
                hash_section(Section::Meta, &meta_salt, meta),
                hash_section(Section::Client, &client_salt, client),
                hash_section(Section::Body, &body_salt, body),
            ],
        );
        cursor.array::<SIGNATURE_BYTES>()?;
        if !cursor.rest().is_empty() {
            return Err(DecodeError::Trailing(cursor.rest().len()));
        }
        Ok(Self { header, links, digest, stored })
    }

    /// What the ledger keeps: the bytes that were hashed, then the signature.
    #[must_use]
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }

    /// The bytes that were hashed, without the signature.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let (bytes, _) = self.split_signature();
        bytes
    }

    /// The Ed25519 signature over the digest.
    #[must_use]
    pub fn signature(&self) -> &[u8; SIGNATURE_BYTES] {
        let (_, signature) = self.split_signature();
        signature
    }

    fn split_signature(&self) -> (&[u8], &[u8; SIGNATURE_BYTES]) {
        #[expect(clippy::expect_used, reason = "every constructor puts the signature behind the bytes")]
        self.stored.split_last_chunk().expect("an entry holds its signature")
    }

    /// What the tree commits to: digest and signature, and nothing that tells of the payload.
    #[must_use]
    pub fn leaf(&self) -> [u8; LEAF_BYTES] {
        leaf(&self.digest, self.signature())
    }

    /// The digest that the signature covers.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The part that every reader of the log may see.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Place in the log, from 0.
    #[must_use]
    pub fn position(&self) -> Position {
        self.header.position
    }

    /// The stream it belongs to.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.header.stream
    }

    /// Its place in the stream, from 1.
    #[must_use]
    pub fn stream_version(&self) -> u64 {
        self.header.stream_version
    }

    /// Its name for ever.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.header.event_id
    }

    /// What kind of event it is.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.header.event_type
    }

    /// Version of the payload's schema.
    #[must_use]
    pub fn schema_version(&self) -> u16 {
        self.header.schema_version
    }

    /// When the ledger took it.
    #[must_use]
    pub fn recorded_at(&self) -> Micros {
        self.header.recorded_at
    }

    /// The key that signed it.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.header.key_id
    }

    /// Digest of the entry before it in the log, [`Digest::ZERO`] for the first.
    #[must_use]
    pub fn previous(&self) -> Digest {
        self.header.previous
    }

    /// Its subjects, ascending by id.
    #[must_use]
    pub fn links(&self) -> &[SubjectLink] {
        &self.links
    }

    /// The link of one subject.
    #[must_use]
    pub fn link(&self, subject: &SubjectId) -> Option<&SubjectLink> {
        let at = self.links.binary_search_by(|link| link.subject.cmp(subject));
        at.ok().and_then(|at| self.links.get(at))
    }

    /// Who and why.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        self.section(0, self.header.meta_len)
    }

    /// From where: address, agent, session, device.
    #[must_use]
    pub fn client(&self) -> &[u8] {
        self.section(self.header.meta_len as usize, self.header.client_len)
    }

    /// The facts.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        let before = self.header.meta_len as usize + self.header.client_len as usize;
        self.section(before, self.header.body_len)
    }

    /// True if this is what appending that draft gives: everything the caller decides is the same. Tells a retry from
    /// another event that took the same id.
    #[must_use]
    pub fn records(&self, draft: &Draft) -> bool {
        let mut subjects = draft.subjects.clone();
        subjects.sort_unstable();
        self.id() == draft.id
            && *self.stream() == draft.stream
            && *self.event_type() == draft.event_type
            && self.schema_version() == draft.schema_version
            && self.meta() == draft.payload.meta
            && self.client() == draft.payload.client
            && self.body() == draft.payload.body
            && self.links.iter().map(|link| link.subject).eq(subjects)
    }

    pub(crate) fn salt(&self) -> Salt {
        let at = self.header.bytes_len();
        let salt = self.stored.get(at..).and_then(<[u8]>::first_chunk);
        salt.copied().unwrap_or_default()
    }

    pub(crate) fn header_bytes(&self) -> &[u8] {
        self.stored.get(..self.header.bytes_len()).unwrap_or_default()
    }

    fn section(&self, before: usize, len: u32) -> &[u8] {
        let links = self.links.len() * LINK_BYTES;
        let start = self.header.bytes_len() + SALT_BYTES + links + before;
        self.stored.get(start..start + len as usize).unwrap_or_default()
    }
}

/// Names the entry and tells nothing of its payload.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("position", &self.position())
            .field("stream", &self.stream())
            .field("stream_version", &self.stream_version())
            .field("event_type", &self.event_type())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// The leaf entry of a digest and its signature.
#[must_use]
pub fn leaf(digest: &Digest, signature: &[u8; SIGNATURE_BYTES]) -> [u8; LEAF_BYTES] {
    let mut leaf = [0; LEAF_BYTES];
    let (head, tail) = leaf.split_at_mut(32);
    head.copy_from_slice(digest.as_bytes());
    tail.copy_from_slice(signature);
    leaf
}

fn read_links(cursor: &mut Cursor<'_>, count: u16) -> Result<Vec<SubjectLink>, DecodeError> {
    let mut links = Vec::with_capacity(usize::from(count));
    for at in 0..usize::from(count) {
        let link = SubjectLink {
            subject: SubjectId::from_bytes(cursor.array()?),
            previous: Digest::from_bytes(cursor.array()?),
            count: cursor.u64()?,
        };
        if !link.is_plausible() {
            return Err(DecodeError::Link(at));
        }
        if links.last().is_some_and(|before: &SubjectLink| before.subject >= link.subject) {
            return Err(DecodeError::LinkOrder(at));
        }
        links.push(link);
    }
    Ok(links)
}

#[cfg(test)]
pub(crate) mod tests;
