//! Tiles (C2SP tlog-tiles): the tree and its leaf entries cut into files that never change once they are full.
//!
//! A hash tile of level L and index N holds up to 256 hashes: those of the complete subtrees of `256^L` leaves with the
//! indices `N * 256 ..`. An entries tile holds up to 256 leaf entries, each behind its length in two bytes.

mod path;

pub use path::{ParsePathError, TileKind, TilePath};

use crate::{
    codec::{Cursor, Short},
    tree::{Hash, HashSource, node_hash},
};

/// Hashes of a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the tree in one level of tiles.
const TILE_HEIGHT: u8 = 8;

/// Why bytes are not a tile of the asked width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Hash tiles have 32 bytes a hash.
    #[error("a hash tile of width {width} has {expected} bytes, not {actual}")]
    HashBytes {
        /// Hashes that the tile should hold.
        width: u16,
        /// Bytes of so many hashes.
        expected: usize,
        /// Bytes that were given.
        actual: usize,
    },
    /// Fewer entries than the width.
    #[error("the entries tile ends too early")]
    Short,
    /// More bytes than so many entries.
    #[error("{0} bytes follow the last entry of the tile")]
    Trailing(usize),
    /// Entries of a tile are at most 65,535 bytes long.
    #[error("an entry of {0} bytes does not fit a tile")]
    EntryTooLong(usize),
}

impl From<Short> for TileError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

/// The bytes of a hash tile.
#[must_use]
pub fn encode_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(Hash::as_bytes).copied().collect()
}

/// The hashes of a hash tile.
///
/// # Errors
/// [`TileError::HashBytes`] if the bytes are not exactly so many hashes.
pub fn decode_hashes(bytes: &[u8], width: u16) -> Result<Vec<Hash>, TileError> {
    let expected = usize::from(width) * Hash::BYTES;
    if bytes.len() != expected {
        let actual = bytes.len();
        return Err(TileError::HashBytes { width, expected, actual });
    }
    let (hashes, _) = bytes.as_chunks();
    Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
}

/// The bytes of an entries tile.
///
/// # Errors
/// [`TileError::EntryTooLong`] if the length of an entry does not fit two bytes.
pub fn encode_entries<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let len = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong(entry.len()))?;
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of an entries tile.
///
/// # Errors
/// [`TileError`] if the bytes are not exactly so many entries.
pub fn decode_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let mut cursor = Cursor::new(bytes);
    let mut entries = Vec::new();
    for _ in 0..width {
        let len = cursor.u16()?;
        entries.push(cursor.take(len.into())?);
    }
    match cursor.rest().len() {
        0 => Ok(entries),
        left => Err(TileError::Trailing(left)),
    }
}

/// Why a hash could not be had from tiles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileSourceError<E> {
    /// The tree is not that large.
    #[error("a tree of {size} leaves has no complete subtree {index} at level {level}")]
    NotInTree {
        /// Level of the subtree.
        level: u8,
        /// Its index at that level.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// The tile is not one.
    #[error("tile {path}: {source}")]
    Tile {
        /// Which tile.
        path: TilePath,
        /// What is wrong with it.
        source: TileError,
    },
    /// The tile could not be read.
    #[error("{0}")]
    Fetch(E),
}

/// The hashes of a tree of `size` leaves, read from its tiles.
pub struct TileSource<F> {
    size: u64,
    fetch: F,
}

impl<F, E> TileSource<F>
where
    F: Fn(&TilePath) -> Result<Vec<u8>, E>,
{
    /// Reads tiles with `fetch`, which must return exactly the width that the path asks for. Whoever has only a wider
    /// tile returns the front of it.
    pub fn new(size: u64, fetch: F) -> Self {
        Self { size, fetch }
    }
}

impl<F, E> HashSource for TileSource<F>
where
    F: Fn(&TilePath) -> Result<Vec<u8>, E>,
{
    type Error = TileSourceError<E>;

    fn hash(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        let not_in_tree = || TileSourceError::NotInTree { level, index, size: self.size };
        // A hash between two levels of tiles is computed from the 2^above hashes of the tile below it.
        let (tile_level, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        if level >= 64 || index >= self.size >> level {
            return Err(not_in_tree());
        }
        let first = index << above;
        let tile = first / u64::from(TILE_WIDTH);
        let path = TilePath::hashes_at(self.size, tile_level, tile).ok_or_else(not_in_tree)?;
        let bytes = (self.fetch)(&path).map_err(TileSourceError::Fetch)?;
        let hashes = decode_hashes(&bytes, path.width()).map_err(|source| {
            let path = path.clone();
            TileSourceError::Tile { path, source }
        })?;
        let offset = usize::try_from(first % u64::from(TILE_WIDTH)).unwrap_or_default();
        let below = hashes.get(offset..offset + (1 << above));
        below.and_then(join_complete).ok_or_else(not_in_tree)
    }
}

/// Root over a complete subtree's lowest hashes: as many as a power of two.
fn join_complete(hashes: &[Hash]) -> Option<Hash> {
    let mut hashes = hashes.to_vec();
    while hashes.len() > 1 {
        let (pairs, _) = hashes.as_chunks::<2>();
        hashes = pairs.iter().map(|[a, b]| node_hash(a, b)).collect();
    }
    hashes.first().copied()
}

#[cfg(test)]
mod tests;
