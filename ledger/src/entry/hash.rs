//! The two levels of the entry digest. Every context is its own hash function, so no part can be taken for another.

use std::sync::LazyLock;

use blake3::{
    Hasher, OutputReader,
    hazmat::{ContextKey, HasherExt, hash_derive_key_context},
};

use super::SubjectLink;
use crate::ids::Digest;

/// Bytes of the salt of an entry, and of the salts derived from it: 128 bits cannot be guessed.
pub(crate) const SALT_BYTES: usize = 16;

/// Hides what is hashed behind it from whoever has the hash and tries candidates.
pub(crate) type Salt = [u8; SALT_BYTES];

/// An opaque part of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Meta,
    Client,
    Body,
}

/// The context keys, derived once: deriving them anew would cost each hash another compression.
struct Contexts {
    entry: ContextKey,
    salt: ContextKey,
    link: ContextKey,
    meta: ContextKey,
    client: ContextKey,
    body: ContextKey,
}

static CONTEXTS: LazyLock<Contexts> = LazyLock::new(|| Contexts {
    entry: hash_derive_key_context("wardbook 2026 ledger entry v1"),
    salt: hash_derive_key_context("wardbook 2026 entry salts v1"),
    link: hash_derive_key_context("wardbook 2026 subject link v1"),
    meta: hash_derive_key_context("wardbook 2026 meta section v1"),
    client: hash_derive_key_context("wardbook 2026 client section v1"),
    body: hash_derive_key_context("wardbook 2026 body section v1"),
});

/// The salts of the parts, derived from the entry's: meta, client, body, then each link.
pub(crate) struct Salts {
    stream: OutputReader,
    /// One BLAKE3 output block holds four salts; reading them singly would compute it four times.
    block: [Salt; 4],
    used: usize,
}

impl Salts {
    pub(crate) fn new(salt: Salt) -> Self {
        let stream = Hasher::new_from_context_key(&CONTEXTS.salt).update(&salt).finalize_xof();
        Self { stream, block: [[0; SALT_BYTES]; 4], used: 4 }
    }

    /// The salts of meta, client and body; taken first.
    pub(crate) fn sections(&mut self) -> [Salt; 3] {
        [self.next_salt(), self.next_salt(), self.next_salt()]
    }

    /// The salt of the next link.
    pub(crate) fn next_salt(&mut self) -> Salt {
        if self.used == self.block.len() {
            self.stream.fill(self.block.as_flattened_mut());
            self.used = 0;
        }
        let salt = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        salt
    }
}

/// Hash of one section.
pub(crate) fn hash_section(section: Section, salt: &Salt, bytes: &[u8]) -> [u8; 32] {
    let context = match section {
        Section::Meta => &CONTEXTS.meta,
        Section::Client => &CONTEXTS.client,
        Section::Body => &CONTEXTS.body,
    };
    Hasher::new_from_context_key(context).update(salt).update(bytes).finalize().into()
}

/// Hash of one subject link.
pub(crate) fn hash_link(salt: &Salt, link: &SubjectLink) -> [u8; 32] {
    Hasher::new_from_context_key(&CONTEXTS.link).update(salt).update(&link.to_bytes()).finalize().into()
}

/// Digest of an entry. The header says how many links there are, so the parts cannot be read in two ways.
pub(crate) fn digest_of(header: &[u8], links: impl Iterator<Item = [u8; 32]>, sections: [[u8; 32]; 3]) -> Digest {
    let mut hasher = Hasher::new_from_context_key(&CONTEXTS.entry);
    hasher.update(header);
    for link in links {
        hasher.update(&link);
    }
    hasher.update(sections.as_flattened());
    Digest::from_bytes(hasher.finalize().into())
}
