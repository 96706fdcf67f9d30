//! Proofs and tiles, served from the published tiles.

use std::io;

use super::Ledger;
use crate::{
    bundle::SubjectBundle,
    checkpoint::SignedCheckpoint,
    entry::LEAF_BYTES,
    ids::{Position, SubjectId},
    proof::{self, TlogProof},
    store::{Direction, ReadError, run::Key, tiles::Tree},
    tile::{TILE_WIDTH, TileKind, TilePath},
    tree::{Frontier, Hash, leaf_hash},
};

/// Why there is no proof or no tile.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// No checkpoint covers it yet.
    #[error("no published checkpoint covers this yet: try again within a few seconds")]
    NotPublished,
    /// There is no such place in the tree.
    #[error("the tree has no such place")]
    NoSuchPlace,
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The tiles could not be read.
    #[error("the tiles could not be read: {0}")]
    Io(#[from] io::Error),
    /// The tiles are damaged, and making them anew from the journal did not help.
    #[error("the tiles do not have the root of the checkpoint: verify the ledger")]
    Damaged,
}

impl Ledger {
    /// Proof that the newest checkpoint commits to the event at a position, with the event's digest and signature.
    ///
    /// # Errors
    /// [`ProveError`]; just after an append it is [`ProveError::NotPublished`].
    pub fn prove_inclusion(&self, position: Position) -> Result<TlogProof, ProveError> {
        let checkpoint = self.checkpoint().ok_or(ProveError::NotPublished)?;
        let (size, root) = (checkpoint.unverified().size, checkpoint.unverified().root);
        if position.get() >= size {
            let known = position.get() < self.head().durable;
            return Err(if known { ProveError::NotPublished } else { ProveError::NoSuchPlace });
        }
        let leaf = self.0.core.journal.entry(position.get())?.leaf();
        let hashes = self.proved(size, |ledger| {
            let source = ledger.0.core.tiles.source(size);
            let hashes = proof::prove_inclusion(&source, position.get(), size).ok()?;
            let holds = proof::verify_inclusion(position.get(), size, leaf_hash(&leaf), &hashes, root);
            holds.is_ok().then_some(hashes)
        })?;
        Ok(TlogProof { extra: Some(leaf.to_vec()), index: position.get(), hashes, checkpoint })
    }

    /// Proof that the newest checkpoint's tree is the tree of `old` leaves, grown; with that checkpoint.
    ///
    /// # Errors
    /// [`ProveError`] if the tree is not that large, or the tiles cannot be read.
    pub fn prove_consistency(&self, old: u64) -> Result<(Vec<Hash>, SignedCheckpoint), ProveError> {
        let checkpoint = self.checkpoint().ok_or(ProveError::NotPublished)?;
        let (size, root) = (checkpoint.unverified().size, checkpoint.unverified().root);
        if old > size {
            return Err(ProveError::NoSuchPlace);
        }
        let hashes = self.proved(size, |ledger| {
            let source = ledger.0.core.tiles.source(size);
            let old_root = crate::tree::root_at(&source, old).ok()?;
            let hashes = proof::prove_consistency(&source, old, size).ok()?;
            let holds = proof::verify_consistency((old, old_root), (size, root), &hashes);
            holds.is_ok().then_some(hashes)
        })?;
        Ok((hashes, checkpoint))
    }

    /// Everything that the newest checkpoint covers about a subject, provably complete up to its last event and
    /// verifiable offline with nothing but the published keys.
    ///
    /// # Errors
    /// [`ProveError::NoSuchPlace`] if there is no such event.
    pub fn subject_bundle(&self, subject: &SubjectId) -> Result<SubjectBundle, ProveError> {
        let checkpoint = self.checkpoint().ok_or(ProveError::NotPublished)?;
        let size = checkpoint.unverified().size;
        let key = Key::Subject(subject);
        let mut entries = self.0.core.entries_of(key, 1, Direction::Forward, usize::MAX)?;
        if entries.is_empty() {
            return Err(ProveError::NoSuchPlace);
        }
        entries.retain(|entry| entry.position().get() < size);
        if entries.is_empty() {
            return Err(ProveError::NotPublished);
        }
        let keys = self.keys();
        self.proved(size, |ledger| {
            let source = ledger.0.core.tiles.source(size);
            let bundle = SubjectBundle::build(*subject, &entries, checkpoint.clone(), &source).ok()?;
            bundle.verify(&keys).is_ok().then_some(bundle)
        })
    }

    /// The bytes of a tile: a full one, or a part of one as the newest checkpoint's tree has it or had it.
    ///
    /// # Errors
    /// [`ProveError::NoSuchPlace`] if the published tree has no such tile.
    pub fn tile(&self, path: &TilePath) -> Result<Vec<u8>, ProveError> {
        let checkpoint = self.checkpoint().ok_or(ProveError::NotPublished)?;
        let size = checkpoint.unverified().size;
        let now = match path.kind() {
            TileKind::Hashes { level } => TilePath::hashes_at(size, level, path.index()),
            TileKind::Entries => TilePath::entries_at(size, path.index()),
        };
        let now = now.filter(|now| now.width() >= path.width()).ok_or(ProveError::NoSuchPlace)?;
        let whole = self.proved(size, |ledger| {
            let tiles = &ledger.0.core.tiles;
            let full = TilePath::new(now.kind(), now.index(), TILE_WIDTH)?;
            let bytes = [&now, &full].into_iter().find_map(|path| tiles.read(path).ok().flatten())?;
            front(&bytes, now.kind(), now.width()).filter(|bytes| ledger.is_right(&now, bytes, size))
        })?;
        front(&whole, path.kind(), path.width()).ok_or(ProveError::Damaged)
    }

    /// True if the tile is what the signed root commits to. A full tile is held against the tile above it, and so on up
    /// to the right edge, all of whose hashes the root is computed from.
    fn is_right(&self, path: &TilePath, bytes: &[u8], size: u64) -> bool {
        let (level, hashes) = match path.kind() {
            TileKind::Hashes { level } => (level, crate::tile::decode_hashes(bytes, path.width()).ok()),
            TileKind::Entries => {
                let entries = crate::tile::decode_entries(bytes, path.width()).ok();
                let hashes = |entries: Vec<&[u8]>| entries.into_iter().map(leaf_hash).collect();
                (0, entries.map(hashes))
            }
        };
        let Some(hashes) = hashes else { return false };
        let tiles = &self.0.core.tiles;
        if path.is_full() {
            let mut tree = Frontier::new();
            hashes.into_iter().for_each(|hash| tree.push(hash));
            let above = TilePath::hashes_at(size, level + 1, path.index() / u64::from(TILE_WIDTH));
            let Some(above) = above else { return false };
            let Ok(above_bytes) = tiles.read_front(&above) else {
                return false;
            };
            let named = crate::tile::decode_hashes(&above_bytes, above.width()).ok();
            let at = usize::try_from(path.index() % u64::from(TILE_WIDTH)).unwrap_or(usize::MAX);
            let named = named.and_then(|hashes| hashes.get(at).copied());
            return named == Some(tree.root()) && self.is_right(&above, &above_bytes, size);
        }
        let edge = match path.kind() {
            TileKind::Hashes { .. } => true,
            TileKind::Entries => {
                let same = TilePath::hashes_at(size, 0, path.index());
                let bytes = same.and_then(|path| tiles.read_front(&path).ok());
                let edge = bytes.and_then(|b| crate::tile::decode_hashes(&b, path.width()).ok());
                edge == Some(hashes)
            }
        };
        let root = crate::tree::root_at(&tiles.source(size), size).ok();
        edge && root.is_some() && root == self.checkpoint().map(|signed| signed.unverified().root)
    }

    /// Tries, and tries once more after the tiles have been made anew.
    fn proved<T>(&self, size: u64, prove: impl Fn(&Self) -> Option<T>) -> Result<T, ProveError> {
        if let Some(proved) = prove(self) {
            return Ok(proved);
        }
        self.rebuild_tiles(size)?;
        prove(self).ok_or(ProveError::Damaged)
    }

    fn rebuild_tiles(&self, size: u64) -> Result<(), ProveError> {
        tracing::warn!("tiles are damaged and are made anew from the journal");
        let mut tree = Tree::default();
        for stored in self.0.core.journal.scan(0, size) {
            let stored = stored?;
            let entry = crate::store::journal::decode(tree.size(), stored)?;
            let leaf: [u8; LEAF_BYTES] = entry.leaf();
            tree.push(leaf);
            for tile in tree.take_finished() {
                self.0.core.tiles.write(&tile)?;
            }
        }
        for tile in tree.partial() {
            self.0.core.tiles.write(&tile)?;
        }
        Ok(())
    }
}

fn front(bytes: &[u8], kind: TileKind, width: u16) -> Option<Vec<u8>> {
    let each = match kind {
        TileKind::Hashes { .. } => Hash::BYTES,
        TileKind::Entries => 2 + LEAF_BYTES,
    };
    bytes.get(..usize::from(width) * each).map(<[u8]>::to_vec)
}
