//! The tiles of the tree, as files in the layout of C2SP tlog-tiles.
//!
//! Tiles are made from the journal and can be made again, so they are written without a flush. Whoever reads one checks
//! it against the tree above it; what a power loss tore is then written anew.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::file::{Disk, read_all};
use crate::{
    entry::LEAF_BYTES,
    tile::{TILE_WIDTH, TileKind, TilePath, TileSource, encode_entries, encode_hashes},
    tree::{Frontier, Hash, leaf_hash},
};

/// Levels of the tree in one level of tiles.
const TILE_HEIGHT: u8 = 8;

/// A finished or partial tile.
pub(crate) type NamedTile = (TilePath, Vec<u8>);

/// The growing tree: its right edge and the tiles that are not full yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    frontier: Frontier,
    /// For each level of tiles the hashes of the tile that is not full.
    open: Vec<Vec<Hash>>,
    open_leaves: Vec<[u8; LEAF_BYTES]>,
    finished: Vec<NamedTile>,
}

impl Tree {
    /// Number of leaves.
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Root over them.
    pub(crate) fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Adds a leaf entry.
    pub(crate) fn push(&mut self, leaf: [u8; LEAF_BYTES]) {
        let (open, finished) = (&mut self.open, &mut self.finished);
        self.frontier.push_with(leaf_hash(&leaf), |level, index, hash| {
            if !level.is_multiple_of(TILE_HEIGHT) {
                return;
            }
            let tile_level = usize::from(level / TILE_HEIGHT);
            if open.len() <= tile_level {
                open.resize(tile_level + 1, Vec::new());
            }
            let Some(hashes) = open.get_mut(tile_level) else {
                return;
            };
            hashes.push(hash);
            if hashes.len() >= usize::from(TILE_WIDTH) {
                let kind = TileKind::Hashes { level: level / TILE_HEIGHT };
                let tile = TilePath::new(kind, index / u64::from(TILE_WIDTH), TILE_WIDTH);
                finished.extend(tile.map(|path| (path, encode_hashes(hashes))));
                hashes.clear();
            }
        });
        self.open_leaves.push(leaf);
        if self.open_leaves.len() >= usize::from(TILE_WIDTH) {
            let index = (self.frontier.size() - 1) / u64::from(TILE_WIDTH);
            let path = TilePath::new(TileKind::Entries, index, TILE_WIDTH);
            let bytes = encode_entries(&self.open_leaves).ok();
            self.finished.extend(path.zip(bytes));
            self.open_leaves.clear();
        }
    }

    /// The tiles that became full since the last call.
    pub(crate) fn take_finished(&mut self) -> Vec<NamedTile> {
        std::mem::take(&mut self.finished)
    }

    /// The tiles that are not full, as wide as they are now.
    pub(crate) fn partial(&self) -> Vec<NamedTile> {
        let size = self.size();
        let mut tiles = Vec::new();
        let mut add = |kind, below: u64, len: usize, bytes: Vec<u8>| {
            let width = u16::try_from(len).unwrap_or(TILE_WIDTH);
            let path = TilePath::new(kind, below / u64::from(TILE_WIDTH), width);
            tiles.extend(path.map(|path| (path, bytes)));
        };
        for (level, hashes) in (0_u8..).zip(&self.open) {
            let below = size.checked_shr(u32::from(level * TILE_HEIGHT)).unwrap_or(0);
            add(TileKind::Hashes { level }, below, hashes.len(), encode_hashes(hashes));
        }
        if let Ok(bytes) = encode_entries(&self.open_leaves) {
            add(TileKind::Entries, size, self.open_leaves.len(), bytes);
        }
        tiles
    }
}

/// The tile files of a ledger.
#[derive(Debug, Clone)]
pub(crate) struct TileFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl TileFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_owned() }
    }

    fn file(&self, path: &TilePath) -> PathBuf {
        self.dir.join(path.to_string())
    }

    pub(crate) fn write(&self, (path, bytes): &NamedTile) -> io::Result<()> {
        let file = self.file(path);
        if let Some(dir) = file.parent() {
            self.disk.create_dirs(dir)?;
        }
        let opened = self.disk.open(&file)?;
        opened.set_len(bytes.len() as u64)?;
        opened.write_at(bytes, 0)
    }

    pub(crate) fn remove(&self, path: &TilePath) -> io::Result<()> {
        self.disk.remove(&self.file(path))
    }

    /// The bytes of a tile as the disk has them; `None` when it is not there.
    pub(crate) fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        read_all(&*self.disk, &self.file(path))
    }

    /// The hashes of the tree of `size` leaves. A full tile serves for a narrower one too.
    pub(crate) fn source(&self, size: u64) -> TileSource<impl Fn(&TilePath) -> io::Result<Vec<u8>> + '_> {
        TileSource::new(size, |path: &TilePath| self.read_front(path))
    }

    /// The bytes of a tile, cut from the full one if only that is there.
    pub(crate) fn read_front(&self, path: &TilePath) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.read(path)? {
            return Ok(bytes);
        }
        let full = TilePath::new(path.kind(), path.index(), TILE_WIDTH);
        let bytes = full.map(|full| self.read(&full)).transpose()?.flatten();
        let mut bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        bytes.truncate(usize::from(path.width()) * Hash::BYTES);
        Ok(bytes)
    }

    /// The growing tree of the first `size` leaves from the tiles; `None` if they are not all there or do not have that
    /// root. `leaves` are the leaf entries of the last entries tile, which the journal gives.
    pub(crate) fn load(&self, size: u64, root: Hash, leaves: Vec<[u8; LEAF_BYTES]>) -> Option<Tree> {
        let frontier = Frontier::from_source(&self.source(size), size).ok()?;
        if frontier.root() != root {
            return None;
        }
        let mut open = Vec::new();
        let mut level = 0;
        while size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).is_some_and(|n| n > 0) {
            let count = size >> (level * TILE_HEIGHT);
            let path = TilePath::hashes_at(size, level, count / u64::from(TILE_WIDTH));
            let partial = match path {
                Some(path) => {
                    let bytes = self.read_front(&path).ok()?;
                    crate::tile::decode_hashes(&bytes, path.width()).ok()?
                }
                None => Vec::new(),
            };
            open.push(partial);
            level += 1;
        }
        let tree = Tree { frontier, open, open_leaves: leaves, finished: Vec::new() };
        tree.is_consistent().then_some(tree)
    }
}

impl Tree {
    /// The open tiles must give the parts of the edge, or they would finish as wrong tiles.
    fn is_consistent(&self) -> bool {
        let size = self.size();
        let parts = crate::tree::subtrees(0, size).zip(self.frontier.parts());
        let mut leaves = self.open_leaves.iter().map(|leaf| leaf_hash(leaf));
        let open_matches = leaves.len() == self.open.first().map_or(0, Vec::len)
            && self.open.first().is_none_or(|open| open.iter().copied().eq(&mut leaves));
        open_matches
            && parts.into_iter().all(|((level, index), part)| {
                let (tile_level, above) = (usize::from(level / TILE_HEIGHT), level % TILE_HEIGHT);
                let Some(open) = self.open.get(tile_level) else {
                    return false;
                };
                let start = usize::try_from((index << above) % u64::from(TILE_WIDTH)).unwrap_or(0);
                let Some(hashes) = open.get(start..start + (1 << above)) else {
                    return false;
                };
                let mut frontier = Frontier::new();
                for hash in hashes {
                    frontier.push(*hash);
                }
                frontier.root() == *part
            })
    }
}
