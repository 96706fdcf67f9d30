//! The index: from event id, stream, subject and type to positions. It can always be made anew from the journal.
//!
//! The newest events are in blocks in memory. A full, durable block becomes a run of pages; eight runs of a size are
//! merged into one, a little at a time. One row, the manifest, names every run with the checksum of its description,
//! which names every page with its checksum: nothing can be lost or altered without being noticed, and what is noticed
//! costs a rebuild, never a wrong answer.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{
    manifest::{MANIFEST_KEY, Manifest, Run, load_manifest},
    merge::Merge,
    pages::{Pages, PagesError},
    run::{BLOCK_EVENTS, Block, Row},
    run_writer::store_rows,
};
use crate::ids::Digest;

/// Runs of one size that are merged into the next.
pub(crate) const FANOUT: usize = 8;
/// Which way a sequence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Oldest first.
    #[default]
    Forward,
    /// Newest first.
    Backward,
}

/// See the module.
pub(crate) struct Index {
    recent: RwLock<VecDeque<Block>>,
    stored: RwLock<Option<Stored>>,
    merge: Mutex<Option<Merge>>,
    /// First position that is not in the runs.
    boundary: AtomicU64,
}

#[derive(Clone)]
struct Stored {
    pages: Arc<dyn Pages>,
    manifest: Arc<Manifest>,
}

impl Index {
    /// An index whose runs are those that the pages hold. Gives back how far they reach.
    pub(crate) fn open(pages: Arc<dyn Pages>) -> Result<(Self, u64, Digest), PagesError> {
        let manifest = load_manifest(&*pages)?;
        let (events, digest) = (manifest.events, manifest.digest);
        let index = Self {
            recent: RwLock::new(VecDeque::from([Block::new(events)])),
            stored: RwLock::new(Some(Stored { pages, manifest: Arc::new(manifest) })),
            merge: Mutex::new(None),
            boundary: AtomicU64::new(events),
        };
        Ok((index, events, digest))
    }

    /// Adds the rows of the next event. Whether it is durable yet is for the reader to say.
    pub(crate) fn add(&self, position: u64, rows: &[Row]) {
        let mut recent = self.recent.write();
        if recent.back().is_none_or(Block::is_full) {
            let rows = recent.back().map_or(0, Block::rows_len);
            recent.push_back(Block::with_capacity(position, rows));
        }
        if let Some(block) = recent.back_mut() {
            for row in rows {
                block.add(*row);
            }
            block.events += 1;
        }
    }

    /// Number of events that are in memory only.
    pub(crate) fn lag(&self) -> u64 {
        let recent = self.recent.read();
        recent.iter().map(|block| block.events).sum()
    }

    /// Number of events in the runs.
    pub(crate) fn stored_events(&self) -> u64 {
        self.stored.read().as_ref().map_or(0, |stored| stored.manifest.events)
    }

    /// Up to `limit` rows with this hash whose place in the sequence is `from` or behind it in that direction.
    pub(crate) fn rows(
        &self,
        hash: u64,
        from: u64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, PagesError> {
        // Memory first: a block that is stored meanwhile is then met twice, never missed.
        let newest = self.recent_rows(hash, from, direction);
        let enough = |rows: &Vec<Row>| direction == Direction::Backward && rows.len() >= limit;
        let mut rows = newest;
        if !enough(&rows) {
            rows.extend(self.stored_rows(hash, from, direction, limit)?);
        }
        rows.sort_unstable();
        rows.dedup();
        if direction == Direction::Backward {
            rows.reverse();
        }
        rows.truncate(limit);
        Ok(rows)
    }

    fn recent_rows(&self, hash: u64, from: u64, direction: Direction) -> Vec<Row> {
        let recent = self.recent.read();
        let blocks = recent.iter().rev();
        let rows = blocks.flat_map(|block| block.newest_first(hash));
        rows.filter(|row| match direction {
            Direction::Forward => row.sequence >= from,
            Direction::Backward => row.sequence <= from,
        })
        .collect()
    }

    fn stored_rows(&self, hash: u64, from: u64, direction: Direction, limit: usize) -> Result<Vec<Row>, PagesError> {
        loop {
            let stored = self.stored()?;
            let error = match stored.rows(hash, from, direction, limit) {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            // A run that was merged meanwhile is no damage.
            let newest = self.stored()?;
            if Arc::ptr_eq(&newest.manifest, &stored.manifest) {
                return Err(error);
            }
        }
    }

    fn stored(&self) -> Result<Stored, PagesError> {
        let stored = self.stored.read().clone();
        stored.ok_or_else(|| PagesError("the index is being rebuilt".into()))
    }

    /// Takes the pages away: every question is refused until [`Index::replace`].
    pub(crate) fn close(&self) {
        *self.stored.write() = None;
        *self.merge.lock() = None;
    }

    /// Puts new, empty pages in place. The blocks in memory stay; what is before them must be stored first.
    pub(crate) fn replace(&self, pages: Arc<dyn Pages>, manifest: Manifest) {
        *self.stored.write() = Some(Stored { pages, manifest: Arc::new(manifest) });
    }

    /// First position that is in no run, even while the pages are away.
    pub(crate) fn boundary(&self) -> u64 {
        self.boundary.load(Ordering::Acquire)
    }

    /// Stores the oldest block if it is full and all its events are durable; `digest_of` reads the digest of the last.
    /// True if a block was stored.
    pub(crate) fn store_block(
        &self,
        durable: u64,
        digest_of: impl FnOnce(u64) -> Option<Digest>,
    ) -> Result<bool, PagesError> {
        let (first, rows) = {
            let recent = self.recent.read();
            let ready = recent.front().filter(|block| block.is_full() && block.first + block.events <= durable);
            let Some(block) = ready else { return Ok(false) };
            (block.first, block.sorted())
        };
        let last = first + BLOCK_EVENTS - 1;
        let digest = digest_of(last).ok_or_else(|| PagesError(format!("position {last} is unreadable")))?;
        let stored = self.stored()?;
        let manifest = store_rows(&*stored.pages, &stored.manifest, first, &rows, digest)?;
        self.publish(manifest);
        self.boundary.store(first + BLOCK_EVENTS, Ordering::Release);
        self.recent.write().pop_front();
        Ok(true)
    }

    /// Merges a little, if there is something to merge. True if there was.
    pub(crate) fn merge_a_little(&self) -> Result<bool, PagesError> {
        let stored = self.stored()?;
        let mut merge = self.merge.lock();
        if merge.is_none() {
            *merge = Merge::begin(&stored.manifest.runs);
        }
        let Some(job) = merge.as_mut() else {
            return Ok(false);
        };
        if let Some(merged) = job.step(&*stored.pages)? {
            let mut manifest = Manifest::clone(&stored.manifest);
            let sources = job.sources();
            let at = manifest.runs.iter().position(|run| run.first == merged.first).unwrap_or(0);
            manifest.runs.splice(at..at + sources.len(), [Arc::new(merged)]);
            let named = vec![(MANIFEST_KEY.to_vec(), Some(manifest.to_bytes()))];
            stored.pages.apply(named)?;
            self.publish(manifest);
            // Only now: a reader who still has the older manifest looks again in the newer one.
            let unused = sources.iter().flat_map(|run| run.keys().map(|key| (key, None)));
            stored.pages.apply(unused.collect())?;
            *merge = None;
        }
        Ok(true)
    }

    fn publish(&self, manifest: Manifest) {
        if let Some(stored) = self.stored.write().as_mut() {
            stored.manifest = Arc::new(manifest);
        }
    }

    /// Makes what is stored durable.
    pub(crate) fn sync(&self) -> Result<(), PagesError> {
        self.stored()?.pages.sync()
    }
}

impl Stored {
    fn rows(&self, hash: u64, from: u64, direction: Direction, limit: usize) -> Result<Vec<Row>, PagesError> {
        let runs = &self.manifest.runs;
        let ordered: Vec<&Arc<Run>> = match direction {
            Direction::Forward => runs.iter().collect(),
            Direction::Backward => runs.iter().rev().collect(),
        };
        let mut found = Vec::new();
        for run in ordered.into_iter().filter(|run| run.meta.bloom.may_hold(hash)) {
            let wanted = limit - found.len();
            found.extend(self.run_rows(run, hash, from, direction, wanted)?);
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    fn run_rows(
        &self,
        run: &Run,
        hash: u64,
        from: u64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, PagesError> {
        let fences = &run.meta.fences;
        let mut found = Vec::new();
        // The page in which (hash, from) stands or would stand.
        let behind = fences.partition_point(|fence| match direction {
            Direction::Forward => (fence.hash, fence.sequence) < (hash, from),
            Direction::Backward => (fence.hash, fence.sequence) <= (hash, from),
        });
        let mut number = behind.saturating_sub(1);
        while found.len() < limit && number < fences.len() {
            let mut rows = run.page(&*self.pages, number)?;
            let begins_before = rows.first().is_some_and(|row| row.hash < hash);
            let ends_behind = rows.last().is_some_and(|row| row.hash > hash);
            rows.retain(|row| {
                row.hash == hash
                    && match direction {
                        Direction::Forward => row.sequence >= from,
                        Direction::Backward => row.sequence <= from,
                    }
            });
            match direction {
                Direction::Forward => {
                    found.extend(rows);
                    if ends_behind {
                        break;
                    }
                    number += 1;
                }
                Direction::Backward => {
                    found.extend(rows.into_iter().rev());
                    if begins_before || number == 0 {
                        break;
                    }
                    number -= 1;
                }
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}
