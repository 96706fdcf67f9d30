//! Builds views anew from the ledger and swaps them in. Reading and decoding run beside applying.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use wardbook_events::Recorded;
use wardbook_ledger::{Entry, Ledger, Position, Progress};
use wardbook_projections::{Rebuild, RebuildError, Stretch, Swapped, ViewError, ViewName, Views};

use crate::recorded::{self, EntryError};

/// Why a view was not rebuilt. The live one goes on.
#[derive(Debug, thiserror::Error)]
pub enum RebuildFailure {
    /// An event cannot be decoded.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The view cannot take the events in.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The new view did not take the place of the old one.
    #[error(transparent)]
    Swap(#[from] RebuildError),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read: {0}")]
    Ledger(String),
    /// A mistake in the program.
    #[error("a view panicked while taking in events: report this")]
    Panicked,
}

/// Events read and decoded at once.
const BATCH: usize = 4096;

/// Batches read ahead of the slowest view: bounds the memory.
const AHEAD: usize = 4;

/// How the rebuild of each view ended.
pub type Ended = Vec<(ViewName, Result<Swapped, RebuildFailure>)>;

/// Rebuilds one view: see [`several`].
///
/// # Errors
/// Nothing is swapped on an error.
pub fn run(
    ledger: &Ledger,
    views: &Views,
    view: ViewName,
    afresh: bool,
    progress: &dyn Progress,
) -> Result<Swapped, RebuildFailure> {
    let rebuild = views.begin_rebuild(view, afresh)?;
    feed_all(ledger, std::slice::from_ref(&rebuild), view.name(), progress)?;
    finish(ledger, views, rebuild)
}

/// Rebuilds views up to where the live ones stand (or to the end of the log, where there is no live one) and swaps each.
/// The log is read and decoded once for all of them. Blocks. Interrupted rebuilds are resumed unless `afresh`.
///
/// # Errors
/// If the log cannot be read or a view cannot take it in: then nothing is swapped. What became of each view stands in
/// the list, in the order wanted.
pub fn several(
    ledger: &Ledger,
    views: &Views,
    wanted: &[ViewName],
    afresh: bool,
    progress: &dyn Progress,
) -> Result<Ended, RebuildFailure> {
    let rebuilds = wanted.iter().map(|view| views.begin_rebuild(*view, afresh)).collect::<Result<Vec<_>, _>>()?;
    feed_all(ledger, &rebuilds, "views", progress)?;
    Ok(wanted.iter().copied().zip(rebuilds.into_iter().map(|rebuild| finish(ledger, views, rebuild))).collect())
}

fn finish(ledger: &Ledger, views: &Views, rebuild: Rebuild<'_>) -> Result<Swapped, RebuildFailure> {
    Ok(views.finish_rebuild(rebuild, |from, to| {
        let entries = scan(ledger, from, to).collect::<Result<Vec<_>, _>>()?;
        recorded::decode_all(&entries).map_err(|error| error.to_string())
    })?)
}

/// Feeds them until they have caught up. The few events that come meanwhile are taken in by [`finish`], while the live
/// view stands still.
fn feed_all(
    ledger: &Ledger,
    rebuilds: &[Rebuild<'_>],
    step: &'static str,
    progress: &dyn Progress,
) -> Result<(), RebuildFailure> {
    loop {
        let end = ledger.head().durable;
        let targets: Vec<_> = rebuilds.iter().map(|rebuild| rebuild.target().unwrap_or(end)).collect();
        let behind = rebuilds.iter().zip(&targets).filter(|(rebuild, to)| rebuild.position() < **to);
        let from = behind.map(|(rebuild, _)| rebuild.position()).min();
        let (Some(from), Some(to)) = (from, targets.iter().copied().max()) else { return Ok(()) };
        feed_to(ledger, rebuilds, &targets, from, &mut |done| progress.advance(step, done, to))?;
        if ledger.head().durable.saturating_sub(to) < BATCH as u64 {
            return Ok(());
        }
    }
}

/// Reads from `from` on and feeds each view up to its target, on a thread of its own.
fn feed_to(
    ledger: &Ledger,
    rebuilds: &[Rebuild<'_>],
    targets: &[u64],
    from: u64,
    advance: &mut dyn FnMut(u64),
) -> Result<(), RebuildFailure> {
    let end = targets.iter().copied().max().unwrap_or(from);
    std::thread::scope(|scope| {
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for (rebuild, target) in rebuilds.iter().zip(targets) {
            let (sender, batches) = mpsc::sync_channel::<Arc<Batch>>(AHEAD);
            senders.push(sender);
            threads.push(scope.spawn(move || {
                for batch in batches {
                    // The new view must not overtake the live one.
                    let to = batch.to.min(*target);
                    if batch.from < to {
                        rebuild.apply(Stretch::new(batch.from, &batch.events, to))?;
                    }
                }
                Ok::<(), RebuildFailure>(())
            }));
        }
        let read = read(ledger, from, end, |batch| {
            advance(batch.to);
            let batch = Arc::new(batch);
            // A view that failed takes nothing more; why, is told below.
            senders.iter().all(|sender| sender.send(Arc::clone(&batch)).is_ok())
        });
        drop(senders);
        for thread in threads {
            thread.join().map_err(|_| RebuildFailure::Panicked)??;
        }
        read
    })
}

/// A stretch of the log, decoded.
struct Batch {
    from: u64,
    events: Vec<Recorded>,
    to: u64,
}

/// Reads and decodes until the end, or until `take` wants no more.
fn read(ledger: &Ledger, from: u64, to: u64, mut take: impl FnMut(Batch) -> bool) -> Result<(), RebuildFailure> {
    let (mut from, mut entries) = (from, scan(ledger, from, to));
    loop {
        let batch = entries.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>().map_err(RebuildFailure::Ledger)?;
        let to = from + batch.len() as u64;
        if to == from || !take(Batch { from, events: recorded::decode_all(&batch)?, to }) {
            return Ok(());
        }
        from = to;
    }
}

fn scan(ledger: &Ledger, from: u64, to: u64) -> impl Iterator<Item = Result<Entry, String>> {
    let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    ledger.scan(Position(from)).take(count).map(|entry| entry.map_err(|error| error.to_string()))
}

/// How a rebuild stands.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Stage {
    /// Under way.
    Running {
        /// When it began.
        #[schema(value_type = String)]
        since: Timestamp,
        /// Events taken in.
        position: u64,
        /// Events to take in.
        target: u64,
    },
    /// Swapped in.
    Done {
        /// Events taken in.
        position: u64,
        /// State root, hex.
        root: String,
        /// Whether it was compared with the one before: not if that was damaged.
        compared: bool,
    },
    /// Not swapped in.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Rebuilds under way, and how the last one of each view ended.
#[derive(Debug, Default)]
pub struct Rebuilds(Mutex<BTreeMap<ViewName, Stage>>);

impl Rebuilds {
    /// How the last rebuild of a view stands, if there was one since the start.
    #[must_use]
    pub fn stage(&self, view: ViewName) -> Option<Stage> {
        self.0.lock().get(&view).cloned()
    }
    pub(crate) fn begin(&self, view: ViewName, since: Timestamp) -> bool {
        let mut stages = self.0.lock();
        if matches!(stages.get(&view), Some(Stage::Running { .. })) {
            return false;
        }
        stages.insert(view, Stage::Running { since, position: 0, target: 0 });
        true
    }
    pub(crate) fn forget(&self, view: ViewName) {
        self.0.lock().remove(&view);
    }
    pub(crate) fn end(&self, view: ViewName, result: Result<Swapped, RebuildFailure>) {
        let stage = match result {
            Ok(swapped) => Stage::Done {
                position: swapped.standing.position,
                root: swapped.standing.root.to_string(),
                compared: swapped.compared,
            },
            Err(failure) => {
                tracing::error!(view = view.name(), %failure, "a view was not rebuilt");
                Stage::Failed { reason: failure.to_string() }
            }
        };
        self.0.lock().insert(view, stage);
    }
    pub(crate) fn progress(&self, view: ViewName) -> impl Progress + '_ {
        Advance { rebuilds: self, view }
    }
}

struct Advance<'a> {
    rebuilds: &'a Rebuilds,
    view: ViewName,
}

impl Progress for Advance<'_> {
    fn advance(&self, _step: &'static str, done: u64, total: u64) {
        if let Some(Stage::Running { position, target, .. }) = self.rebuilds.0.lock().get_mut(&self.view) {
            (*position, *target) = (done, total);
        }
    }
}
