//! The follower that keeps the index: stores full blocks, merges runs, and makes everything anew when it is damaged.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    config::IndexKind,
    ids::Digest,
    ledger::Core,
    recover::Progress,
    store::{
        ReadError,
        index::Index,
        journal::{Journal, decode},
        manifest::Manifest,
        pages::{MemoryPages, Pages, PagesError, SledPages},
        run::{BLOCK_EVENTS, rows_of},
        run_writer::store_rows,
    },
};

/// The index loses at most so much when the process or the power fails; it is indexed again when the ledger is opened,
/// which must not take long.
const SYNC_INTERVAL: Duration = Duration::from_secs(2);
const SYNC_EVENTS_MAX: u64 = 8 * BLOCK_EVENTS;
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// Where the pages are.
#[derive(Debug, Clone)]
pub(crate) struct PagesPlace {
    pub kind: IndexKind,
    pub dir: PathBuf,
}

impl PagesPlace {
    pub(crate) fn open(&self) -> Result<Arc<dyn Pages>, PagesError> {
        match self.kind {
            IndexKind::Memory => Ok(Arc::new(MemoryPages::default())),
            IndexKind::Sled => Ok(SledPages::open(&self.dir)?),
        }
    }

    /// Opens an empty place. Whoever still reads the old one is waited for.
    pub(crate) fn open_empty(&self) -> Result<Arc<dyn Pages>, PagesError> {
        let mut tries = 0;
        loop {
            let removed = match self.kind {
                IndexKind::Memory => Ok(()),
                IndexKind::Sled => SledPages::remove(&self.dir),
            };
            let opened = removed.map_err(|e| PagesError(e.to_string())).and_then(|()| self.open());
            tries += 1;
            if opened.is_ok() || tries >= 50 {
                return opened;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Opens the index and brings it up to the end of the journal; says why if it had to be made anew.
pub(crate) fn open_index(
    place: &PagesPlace,
    journal: &Arc<Journal>,
    events: u64,
    progress: &dyn Progress,
) -> Result<(Index, Option<String>), IndexOpenError> {
    let opened = place.open().and_then(|pages| {
        let (index, stored, digest) = Index::open(pages)?;
        check_end(journal, events, stored, digest)?;
        Ok(index)
    });
    let (index, rebuilt) = match opened {
        Ok(index) => {
            let missing = place.kind == IndexKind::Sled && index.stored_events() == 0 && events >= BLOCK_EVENTS;
            (index, missing.then(|| "it was missing".to_owned()))
        }
        Err(error) => {
            let (index, ..) = Index::open(place.open_empty()?)?;
            (index, Some(error.to_string()))
        }
    };
    fill(&index, journal, events, progress)?;
    Ok((index, rebuilt))
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexOpenError {
    #[error(transparent)]
    Pages(#[from] PagesError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The index must be that of this log, and not reach beyond it.
fn check_end(journal: &Journal, events: u64, stored: u64, digest: Digest) -> Result<(), PagesError> {
    if stored == 0 {
        return Ok(());
    }
    if stored > events {
        return Err(PagesError(format!("it covers {stored} events of a log of {events}")));
    }
    match journal.entry(stored - 1) {
        Ok(entry) if entry.digest() == digest => Ok(()),
        _ => Err(PagesError("it belongs to another log".into())),
    }
}

fn fill(index: &Index, journal: &Arc<Journal>, events: u64, progress: &dyn Progress) -> Result<(), IndexOpenError> {
    let from = index.stored_events();
    let mut rows = Vec::new();
    for (position, stored) in (from..).zip(journal.scan(from, events)) {
        let entry = decode(position, stored?)?;
        let digest = entry.digest();
        rows.clear();
        rows_of(&entry, |row| rows.push(row));
        index.add(position, &rows);
        if (position + 1).is_multiple_of(BLOCK_EVENTS) {
            index.store_block(position + 1, |_| Some(digest))?;
            while index.merge_a_little()? {}
            progress.advance("index", position + 1, events);
        }
    }
    Ok(())
}

/// See the module.
pub(crate) struct Follower {
    pub core: Arc<Core>,
    pub place: PagesPlace,
}

impl Follower {
    /// Runs until the ledger is closed.
    pub(crate) fn run(self) {
        let mut synced = Instant::now();
        let mut synced_events = self.core.index.boundary();
        let mut unsynced = false;
        loop {
            let closing = self.core.closing.load(Ordering::Acquire);
            match self.work(closing) {
                Ok(worked) => unsynced |= worked,
                Err(error) => {
                    tracing::error!(%error, "the index is damaged and will be rebuilt");
                    self.core.index_damaged.store(true, Ordering::Release);
                }
            }
            if self.core.index_damaged.load(Ordering::Acquire) && !closing {
                match self.rebuild() {
                    Ok(()) => self.core.index_damaged.store(false, Ordering::Release),
                    Err(error) => {
                        tracing::error!(%error, "the index could not be rebuilt");
                        std::thread::sleep(Duration::from_secs(1));
                    }
                }
            }
            let events = self.core.index.boundary();
            let many = events - synced_events.min(events) >= SYNC_EVENTS_MAX;
            if unsynced && (closing || many || synced.elapsed() >= SYNC_INTERVAL) {
                if let Err(error) = self.core.index.sync() {
                    tracing::error!(%error, "the index could not be flushed");
                    self.core.index_damaged.store(true, Ordering::Release);
                }
                synced = Instant::now();
                synced_events = events;
                unsynced = false;
            }
            if closing {
                self.core.index.close();
                return;
            }
            self.core.wait_for_block(IDLE_WAIT);
        }
    }

    /// Stores every full block, and merges as long as no other is full. True if anything was written.
    fn work(&self, closing: bool) -> Result<bool, PagesError> {
        let mut worked = false;
        loop {
            let durable = self.core.durable();
            let digest_of = |position| self.core.journal.entry(position).ok().map(|e| e.digest());
            if self.core.index.store_block(durable, digest_of)? {
                worked = true;
                continue;
            }
            if closing || !self.core.index.merge_a_little()? {
                return Ok(worked);
            }
            worked = true;
        }
    }

    fn rebuild(&self) -> Result<(), IndexOpenError> {
        let index = &self.core.index;
        index.close();
        let pages = self.place.open_empty()?;
        let until = index.boundary();
        let mut manifest = Manifest::default();
        let mut rows = Vec::new();
        for (position, stored) in (0..).zip(self.core.journal.scan(0, until)) {
            let entry = decode(position, stored?)?;
            rows_of(&entry, |row| rows.push(row));
            if (position + 1).is_multiple_of(BLOCK_EVENTS) {
                rows.sort_unstable();
                let first = position + 1 - BLOCK_EVENTS;
                manifest = store_rows(&*pages, &manifest, first, &rows, entry.digest())?;
                rows.clear();
            }
        }
        index.replace(pages, manifest);
        tracing::info!(events = until, "the index was rebuilt");
        Ok(())
    }
}
