//! The Merkle tree of RFC 6962 section 2.1: SHA-256, leaves behind 0x00, nodes behind 0x01.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

/// A hash of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash([u8; Hash::BYTES]);

impl Hash {
    /// Bytes of a hash.
    pub const BYTES: usize = 32;

    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The base64 of notes, checkpoints and proofs.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Parses the one base64 of a hash.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// Root of the tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// Hash of a leaf entry.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let hasher = Sha256::new_with_prefix([0x00]).chain_update(leaf);
    Hash(hasher.finalize().into())
}

/// Hash of a node over its two children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let hasher = Sha256::new_with_prefix([0x01]).chain_update(left.0).chain_update(right.0);
    Hash(hasher.finalize().into())
}

/// The complete subtrees that make up the leaves `start..end` of a tree, from left to right, as (level, index):
/// a subtree of level `l` and index `i` holds the leaves `i * 2^l .. (i + 1) * 2^l`.
/// With `start` 0 these are the parts of a compact range.
pub fn subtrees(start: u64, end: u64) -> impl Iterator<Item = (u8, u64)> {
    let mut at = start;
    std::iter::from_fn(move || {
        let left = end.checked_sub(at).filter(|left| *left > 0)?;
        // As high as the alignment of `at` and the room before `end` allow.
        let level = at.trailing_zeros().min(left.ilog2());
        let subtree = (u8::try_from(level).ok()?, at >> level);
        at += 1 << level;
        Some(subtree)
    })
}

/// Joins the parts of a compact range, given from left to right, into the root over them.
fn join(parts: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    parts.rev().reduce(|right, left| node_hash(&left, &right))
}

/// Where the hashes of complete subtrees come from: tiles, memory, a remote log.
pub trait HashSource {
    /// Why a hash could not be had.
    type Error;

    /// Hash of the complete subtree of `2^level` leaves that starts at leaf `index * 2^level`.
    ///
    /// # Errors
    /// The source's own: it could not be read, or the tree is not that large yet.
    fn hash(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

impl<S: HashSource + ?Sized> HashSource for &S {
    type Error = S::Error;

    fn hash(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        (**self).hash(level, index)
    }
}

/// Root over the leaves `start..end` of a source, as if they were a tree of their own.
/// `start` must be a multiple of a power of two at least as large as `end - start`, as it is in every proof.
///
/// # Errors
/// Those of the source.
pub fn range_root<S: HashSource>(source: &S, start: u64, end: u64) -> Result<Hash, S::Error> {
    let parts = subtrees(start, end).map(|(level, index)| source.hash(level, index)).collect::<Result<Vec<_>, _>>()?;
    Ok(join(parts.into_iter()).unwrap_or_else(empty_root))
}

/// Root of the tree of the first `size` leaves of a source.
///
/// # Errors
/// Those of the source.
pub fn root_at<S: HashSource>(source: &S, size: u64) -> Result<Hash, S::Error> {
    range_root(source, 0, size)
}

/// The right edge of a growing tree: all that is needed to append to it and to know its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, the largest first: one for each bit that is set in `size`.
    parts: Vec<Hash>,
}

/// The parts are not those of a tree of that size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {expected} complete subtrees on its edge, not {actual}")]
pub struct FrontierError {
    size: u64,
    expected: usize,
    actual: usize,
}

impl Frontier {
    /// The edge of the tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge as [`Frontier::parts`] gave it.
    ///
    /// # Errors
    /// [`FrontierError`] if a tree of that size has another number of parts.
    pub fn from_parts(size: u64, parts: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones() as usize;
        if parts.len() != expected {
            let actual = parts.len();
            return Err(FrontierError { size, expected, actual });
        }
        Ok(Self { size, parts })
    }

    /// The edge of the first `size` leaves of a source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn from_source<S: HashSource>(source: &S, size: u64) -> Result<Self, S::Error> {
        let parts = subtrees(0, size).map(|(level, index)| source.hash(level, index)).collect::<Result<_, _>>()?;
        Ok(Self { size, parts })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees on the edge, the largest first.
    #[must_use]
    pub fn parts(&self) -> &[Hash] {
        &self.parts
    }

    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _, _| ());
    }

    /// Adds the hash of the next leaf and tells of every complete subtree that it finishes, the leaf itself
    /// (level 0) first, as (level, index, hash): what a writer of tiles needs.
    pub fn push_with(&mut self, leaf: Hash, mut finished: impl FnMut(u8, u64, Hash)) {
        let mut hash = leaf;
        let mut level: u8 = 0;
        finished(level, self.size, hash);
        // Every set bit at the low end is a finished left neighbour of what we hold.
        while self.size >> level & 1 == 1 {
            let Some(left) = self.parts.pop() else { break };
            hash = node_hash(&left, &hash);
            level += 1;
            finished(level, self.size >> level, hash);
        }
        self.parts.push(hash);
        self.size += 1;
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        join(self.parts.iter().copied()).unwrap_or_else(empty_root)
    }
}

/// A whole tree in memory, for tests and small logs.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    frontier: Frontier,
    levels: Vec<Vec<Hash>>,
}

/// The tree in memory has no such hash yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tree has no complete subtree {index} at level {level} yet")]
pub struct NotInTree {
    /// Level of the subtree: it holds `2^level` leaves.
    pub level: u8,
    /// Index among the subtrees of that level.
    pub index: u64,
}

impl MemoryTree {
    /// The tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        self.frontier.push_with(leaf, |level, _, hash| match levels.get_mut(usize::from(level)) {
            Some(hashes) => hashes.push(hash),
            None => levels.push(vec![hash]),
        });
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}

impl HashSource for MemoryTree {
    type Error = NotInTree;

    fn hash(&self, level: u8, index: u64) -> Result<Hash, NotInTree> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let hashes = self.levels.get(usize::from(level));
        hashes.and_then(|hashes| hashes.get(at)).copied().ok_or(NotInTree { level, index })
    }
}

#[cfg(test)]
pub(crate) mod tests;
