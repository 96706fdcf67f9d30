//! Completeness bundles: all that a patient needs to check, offline and with nothing but the log's published keys,
//! that a list of events about them is whole.
//!
//! Each event of a subject carries its number (1, 2, 3, ...) and the digest of that subject's event before it, under
//! the log's signature, in a tree that a checkpoint commits to. So from a list that runs from 1 to n without a gap
//! nothing before n can have been left out. The last event is normally the access that asked for this very bundle, so
//! that nothing before the asking is missing. That the log holds no second event with the same number is for those to
//! check who read the whole log ([`crate::verify`]).
//!
//! Of each event the header, the subject's own link and the meta section are opened. Other subjects, the client's
//! address and the body stay hashes, and salts of their own keep these from being guessed.

mod json;

pub use json::ParseBundleError;

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint, VerifyCheckpointError},
    entry::{
        Entry, Header, HeaderError, SIGNATURE_BYTES, Salt, Salts, Section, SubjectLink, digest_of, hash_link,
        hash_section, leaf,
    },
    ids::{Digest, KeyId, Position, SubjectId},
    proof::{InvalidProof, ProofError, prove_inclusion, verify_inclusion},
    signer::KeyRing,
    tree::{Hash, HashSource, leaf_hash},
};

/// Every event of one subject up to the last that is shown, and the proof that none is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectBundle {
    subject: SubjectId,
    checkpoint: SignedCheckpoint,
    events: Vec<Disclosed>,
}

/// One entry, opened as far as its subject may see it.
#[derive(Clone, PartialEq, Eq)]
struct Disclosed {
    header: Vec<u8>,
    /// Place of the subject's own link among the links.
    link_at: usize,
    link_salt: Salt,
    previous: Digest,
    count: u64,
    /// Hashes of the other links, in their order.
    other_links: Vec<[u8; 32]>,
    meta_salt: Salt,
    meta: Vec<u8>,
    client: [u8; 32],
    body: [u8; 32],
    signature: [u8; SIGNATURE_BYTES],
    proof: Vec<Hash>,
}

/// The count only: who did what to a patient is not for logs.
impl std::fmt::Debug for Disclosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Disclosed");
        shown.field("count", &self.count).finish_non_exhaustive()
    }
}

/// Why a bundle could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildBundleError<E> {
    /// An entry does not name the subject.
    #[error("entry {0} is not about the subject")]
    Stranger(Position),
    /// An entry is not in the tree of the checkpoint yet, or the tree could not be read.
    #[error("entry {position} cannot be proven: {source}")]
    Proof {
        /// The entry.
        position: Position,
        /// Why not.
        source: ProofError<E>,
    },
}

/// Why a bundle is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyBundleError {
    /// The checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] VerifyCheckpointError),
    /// No events: that proves nothing.
    #[error("the bundle holds no events and so proves nothing")]
    Empty,
    /// One of the events does not hold.
    #[error("event {count} of the bundle: {fault}")]
    Event {
        /// Its place in the bundle, from 1.
        count: u64,
        /// What is wrong with it.
        fault: EventFault,
    },
}

/// What is wrong with an event of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// The header is not one.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Not as many links, or another length of the meta section, than the header says.
    #[error("the parts are not those that the header names")]
    Parts,
    /// The count is not the next: an event is left out or stands twice.
    #[error("it says that it is event {0}: an event is missing or stands twice")]
    Count(u64),
    /// It does not follow the event before it.
    #[error("it does not follow the event before it")]
    Previous,
    /// Its position or time is before that of the event before it.
    #[error("it is older than the event before it")]
    Order,
    /// The key is none of the log's.
    #[error("its signing key {0} is none of the log's")]
    UnknownKey(KeyId),
    /// Something in it was changed.
    #[error("its signature is wrong: something in it was changed")]
    Signature,
    /// It is not in the log that the checkpoint commits to.
    #[error("it is not in the log: {0}")]
    Inclusion(#[from] InvalidProof),
}

/// What a verified bundle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    /// Whom it is about.
    pub subject: SubjectId,
    /// What the log had committed to.
    pub checkpoint: Checkpoint,
    /// Every event from the first, without a gap.
    pub events: Vec<VerifiedEvent>,
}

/// An event that a bundle proves.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedEvent {
    /// Position, type, time and so on.
    pub header: Header,
    /// Its digest, as in receipts.
    pub digest: Digest,
    /// Its number among the subject's events.
    pub link: SubjectLink,
    /// Who and why.
    pub meta: Vec<u8>,
}

/// Without the meta section.
impl std::fmt::Debug for VerifiedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedEvent")
            .field("position", &self.header.position)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl SubjectBundle {
    /// Opens a subject's entries, from its first on, as far as the subject may see them, and proves each against the
    /// checkpoint.
    ///
    /// # Errors
    /// [`BuildBundleError`] if an entry is not about the subject or not in the tree of the checkpoint.
    pub fn build<'e, S: HashSource>(
        subject: SubjectId,
        entries: impl IntoIterator<Item = &'e Entry>,
        checkpoint: SignedCheckpoint,
        source: &S,
    ) -> Result<Self, BuildBundleError<S::Error>> {
        let size = checkpoint.unverified().size;
        let disclose = |entry: &Entry| {
            let position = entry.position();
            let proof = prove_inclusion(source, position.get(), size)
                .map_err(|source| BuildBundleError::Proof { position, source })?;
            disclose(entry, &subject, proof).ok_or(BuildBundleError::Stranger(position))
        };
        let events = entries.into_iter().map(disclose).collect::<Result<_, _>>()?;
        Ok(Self { subject, checkpoint, events })
    }

    /// Whom it is about.
    #[must_use]
    pub fn subject(&self) -> SubjectId {
        self.subject
    }

    /// Checks that every event is the log's, unchanged, and that from the first to the last none is missing.
    ///
    /// # Errors
    /// [`VerifyBundleError`] names the first event that does not hold.
    pub fn verify(&self, keys: &KeyRing) -> Result<VerifiedBundle, VerifyBundleError> {
        let checkpoint = self.checkpoint.verify(keys.checkpoint_keys())?;
        let mut events: Vec<VerifiedEvent> = Vec::with_capacity(self.events.len());
        for (count, disclosed) in (1..).zip(&self.events) {
            let event = disclosed
                .verify(self.subject, keys, checkpoint)
                .and_then(|event| event.check_follows(count, events.last()).map(|()| event))
                .map_err(|fault| VerifyBundleError::Event { count, fault })?;
            events.push(event);
        }
        if events.is_empty() {
            return Err(VerifyBundleError::Empty);
        }
        Ok(VerifiedBundle { subject: self.subject, checkpoint: checkpoint.clone(), events })
    }
}

fn disclose(entry: &Entry, subject: &SubjectId, proof: Vec<Hash>) -> Option<Disclosed> {
    let mut salts = Salts::new(entry.salt());
    let [meta_salt, client_salt, body_salt] = salts.sections();
    let mut own = None;
    let mut other_links = Vec::with_capacity(entry.links().len());
    for (at, link) in entry.links().iter().enumerate() {
        let salt = salts.next_salt();
        match link.subject == *subject {
            true => own = Some((at, salt, link)),
            false => other_links.push(hash_link(&salt, link)),
        }
    }
    let (link_at, link_salt, link) = own?;
    Some(Disclosed {
        header: entry.header_bytes().to_vec(),
        link_at,
        link_salt,
        previous: link.previous,
        count: link.count,
        other_links,
        meta_salt,
        meta: entry.meta().to_vec(),
        client: hash_section(Section::Client, &client_salt, entry.client()),
        body: hash_section(Section::Body, &body_salt, entry.body()),
        signature: *entry.signature(),
        proof,
    })
}

impl Disclosed {
    /// Checks all that depends on this event alone.
    fn verify(&self, subject: SubjectId, keys: &KeyRing, checkpoint: &Checkpoint) -> Result<VerifiedEvent, EventFault> {
        let header = Header::decode(&self.header)?;
        let link = SubjectLink { subject, previous: self.previous, count: self.count };
        let (before, after) = self.other_links.split_at_checked(self.link_at).ok_or(EventFault::Parts)?;
        let parts_fit =
            usize::from(header.link_count) == self.other_links.len() + 1 && header.meta_len as usize == self.meta.len();
        if !parts_fit {
            return Err(EventFault::Parts);
        }
        let own = [hash_link(&self.link_salt, &link)];
        let links = before.iter().chain(&own).chain(after).copied();
        let meta = hash_section(Section::Meta, &self.meta_salt, &self.meta);
        let digest = digest_of(&self.header, links, [meta, self.client, self.body]);
        let key = keys.event_key(header.key_id).ok_or(EventFault::UnknownKey(header.key_id))?;
        if !key.verify(digest.as_bytes(), &self.signature) {
            return Err(EventFault::Signature);
        }
        let leaf = leaf_hash(&leaf(&digest, &self.signature));
        let (position, size) = (header.position.get(), checkpoint.size);
        verify_inclusion(position, size, leaf, &self.proof, checkpoint.root)?;
        Ok(VerifiedEvent { header, digest, link, meta: self.meta.clone() })
    }
}

impl VerifiedEvent {
    /// Checks that it is the event right behind `before` in the subject's own chain.
    fn check_follows(&self, count: u64, before: Option<&Self>) -> Result<(), EventFault> {
        if self.link.count != count {
            return Err(EventFault::Count(self.link.count));
        }
        let previous = before.map_or(Digest::ZERO, |event| event.digest);
        if self.link.previous != previous {
            return Err(EventFault::Previous);
        }
        let is_later = before.is_none_or(|before| {
            before.header.position < self.header.position && before.header.recorded_at <= self.header.recorded_at
        });
        match is_later {
            true => Ok(()),
            false => Err(EventFault::Order),
        }
    }
}

#[cfg(test)]
mod tests;
