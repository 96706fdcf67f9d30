//! Builds a view anew from the ledger and swaps it in. Reading and decoding run beside applying.

use std::collections::BTreeMap;
use std::sync::mpsc;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use wardbook_events::Recorded;
use wardbook_ledger::{Entry, Ledger, Position, Progress};
use wardbook_projections::{RebuildError, Stretch, Swapped, ViewError, ViewName, Views};

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
}

/// Events read and decoded at once.
const BATCH: usize = 4096;

/// Rebuilds one view up to where the live one stands (or to the end of the log, if there is no live one) and swaps.
/// Blocks. An interrupted rebuild is resumed unless `afresh`.
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
    loop {
        let (from, to) = (rebuild.position(), rebuild.target().unwrap_or_else(|| ledger.head().durable));
        if from >= to {
            break;
        }
        std::thread::scope(|scope| {
            let (sender, batches) = mpsc::sync_channel(4);
            scope.spawn(move || read(ledger, from, to, &sender));
            for batch in batches {
                let (from, events, end) = batch?;
                rebuild.apply(Stretch::new(from, &events, end))?;
                progress.advance(view.name(), end, to);
            }
            Ok::<(), RebuildFailure>(())
        })?;
        // Once caught up, the few events that came meanwhile are taken in by `finish`, while the live view stands still.
        if ledger.head().durable.saturating_sub(to) < BATCH as u64 {
            break;
        }
    }
    Ok(views.finish_rebuild(rebuild, |from, to| {
        let entries = scan(ledger, from, to).collect::<Result<Vec<_>, _>>()?;
        recorded::decode_all(&entries).map_err(|error| error.to_string())
    })?)
}

type Batch = Result<(u64, Vec<Recorded>, u64), RebuildFailure>;

fn read(ledger: &Ledger, from: u64, to: u64, sender: &mpsc::SyncSender<Batch>) {
    let (mut from, mut entries) = (from, scan(ledger, from, to).peekable());
    while entries.peek().is_some() {
        let batch = entries.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>().map_err(RebuildFailure::Ledger);
        let batch = batch.and_then(|entries| {
            let end = from + entries.len() as u64;
            Ok((from, recorded::decode_all(&entries)?, end))
        });
        let failed = batch.is_err();
        if let Ok((.., end)) = &batch {
            from = *end;
        }
        if sender.send(batch).is_err() || failed {
            return; // the other side has given up
        }
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
