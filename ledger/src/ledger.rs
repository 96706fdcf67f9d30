//! The ledger: opens the stores, starts the threads, and is what callers hold.

mod open;
mod proofs;
mod rotation;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{oneshot, watch};

pub use proofs::ProveError;
pub use rotation::RotateError;

use crate::{
    appender::{self, AppendError, Inbox, Request},
    checkpoint::SignedCheckpoint,
    config::{Clock, LedgerConfig},
    copy::Frames,
    entry::{Draft, Entry},
    ids::{Digest, EventId, EventType, Position, StreamId, SubjectId},
    keeper::{Message, PublishError},
    reader::Scan,
    receipt::Receipt,
    recover::{OpenError, OpenReport, Progress},
    signer::KeyRing,
    store::{
        Direction, ReadError,
        file::Disk,
        index::Index,
        journal::Journal,
        run::{Key, Row},
        tiles::TileFiles,
    },
    subscription::Subscription,
};

pub(crate) const JOURNAL_DIR: &str = "journal";
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";

/// Events that the index or the tree may be behind before appends wait for them.
const LAG_EVENTS_MAX: u64 = 64 << 10;
/// Subscribers that block look again after this time at the latest.
const SIGNAL_WAIT_MAX: Duration = Duration::from_millis(500);

/// What the threads of a ledger share.
pub(crate) struct Core {
    pub disk: Arc<dyn Disk>,
    pub journal: Arc<Journal>,
    pub index: Index,
    pub tiles: TileFiles,
    pub inbox: Inbox,
    pub clock: Clock,
    pub ring: RwLock<KeyRing>,
    pub checkpoint: RwLock<Option<SignedCheckpoint>>,
    pub durable_watch: watch::Sender<u64>,
    durable: AtomicU64,
    pub integrated: AtomicU64,
    pub published: AtomicU64,
    pub index_damaged: AtomicBool,
    /// The index is to store what it can and end.
    pub closing: AtomicBool,
    signal: Mutex<()>,
    durable_grew: Condvar,
    block_full: Condvar,
}

impl Core {
    /// Number of durable events.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_durable(&self, durable: u64) {
        let before = self.durable.swap(durable, Ordering::AcqRel);
        self.durable_watch.send_replace(durable);
        let block = crate::store::run::BLOCK_EVENTS;
        drop(self.signal.lock());
        self.durable_grew.notify_all();
        if before / block != durable / block {
            self.block_full.notify_all();
        }
    }

    /// Waits until there are more durable events than `above`, or the time is over; the number of durable events.
    pub(crate) fn wait_durable_above(&self, above: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        let mut guard = self.signal.lock();
        loop {
            let durable = self.durable();
            let now = Instant::now();
            if durable > above || now >= deadline || self.inbox.stopped().is_some() {
                return durable;
            }
            let until = deadline.min(now + SIGNAL_WAIT_MAX);
            self.durable_grew.wait_until(&mut guard, until);
        }
    }

    /// Waits until a block may be full.
    pub(crate) fn wait_for_block(&self, timeout: Duration) {
        let mut guard = self.signal.lock();
        if !self.closing.load(Ordering::Acquire) {
            self.block_full.wait_for(&mut guard, timeout);
        }
    }

    /// Holds the sequencer back while the index or the tree is too far behind.
    pub(crate) fn wait_for_followers(&self) {
        loop {
            let behind = self.durable() - self.integrated.load(Ordering::Acquire).min(self.durable());
            let lag = self.index.lag().max(behind);
            if lag < LAG_EVENTS_MAX || self.inbox.stopped().is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops the ledger for good.
    pub(crate) fn stop(&self, reason: &str) {
        tracing::error!(reason, "the ledger has stopped");
        self.inbox.stop(reason);
        // Wakes those who wait for more events: there will be none.
        self.durable_watch.send_replace(self.durable());
        self.durable_grew.notify_all();
    }

    /// Rows of the index; damage that is met makes it be rebuilt.
    pub(crate) fn index_rows(
        &self,
        key: Key<'_>,
        from: u64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, ReadError> {
        if self.index_damaged.load(Ordering::Acquire) {
            return Err(ReadError::IndexUnavailable);
        }
        self.index.rows(key.hash(), from, direction, limit).map_err(|error| {
            tracing::error!(%error, "the index is damaged and will be rebuilt");
            self.index_damaged.store(true, Ordering::Release);
            ReadError::IndexUnavailable
        })
    }
}

/// How far the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Events on disk.
    pub durable: u64,
    /// Events in the tree.
    pub integrated: u64,
    /// Events that the newest published checkpoint covers.
    pub published: u64,
}

/// A handle of an open ledger. Clones are cheap and share it; the last one to go closes it.
#[derive(Clone)]
pub struct Ledger(Arc<Running>);

struct Running {
    core: Arc<Core>,
    keeper: mpsc::Sender<Message>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    keeper_thread: Mutex<Option<JoinHandle<()>>>,
    follower_thread: Mutex<Option<JoinHandle<()>>>,
    keys: crate::config::KeySource,
    rotation: Mutex<()>,
    report: OpenReport,
    _lock: crate::store::file::LockGuard,
}

impl Ledger {
    /// Opens the ledger, or makes a new one where there is none. Verifies what follows the newest checkpoint, cuts a
    /// torn tail that was never acknowledged, and brings the index up to date.
    ///
    /// # Errors
    /// [`OpenError`] names the first position that is wrong, or says what else is in the way.
    pub fn open(config: LedgerConfig, progress: &dyn Progress) -> Result<Self, OpenError> {
        open::open(config, progress)
    }

    /// A ledger in memory with fresh keys, gone when it is dropped.
    ///
    /// # Errors
    /// [`OpenError`] if there is no randomness or no thread to be had.
    pub fn in_memory(origin: &str) -> Result<Self, OpenError> {
        Self::open(LedgerConfig::in_memory(origin), &())
    }

    /// What opening found and did.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.0.report
    }

    /// Appends events: all, next to each other and durable, or none. `expected` counts for the first draft of each
    /// stream. An append that was made before (the same ids and contents) gives the receipts of then.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended, except that after [`AppendError::Stopped`] nobody can know.
    pub async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, AppendError> {
        let reply = self.queue(drafts)?;
        reply.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// [`Ledger::append`] for threads that may block; not to be called from async code.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_blocking(&self, drafts: Vec<Draft>) -> Result<Vec<Receipt>, AppendError> {
        let reply = self.queue(drafts)?;
        reply.blocking_recv().unwrap_or_else(|_| Err(self.gone()))
    }

    fn queue(&self, drafts: Vec<Draft>) -> Result<oneshot::Receiver<Result<Vec<Receipt>, AppendError>>, AppendError> {
        let bytes = appender::check(&drafts)?;
        let (reply, answer) = oneshot::channel();
        self.0.core.inbox.push(Request::Append { drafts, bytes, reply })?;
        Ok(answer)
    }

    fn gone(&self) -> AppendError {
        let reason = self.0.core.inbox.stopped();
        AppendError::Stopped { reason: reason.unwrap_or_else(|| "the sequencer has gone".into()) }
    }

    /// The entry at a position; `None` behind the end of the log.
    ///
    /// # Errors
    /// [`ReadError`] if it cannot be read.
    pub fn read(&self, position: Position) -> Result<Option<Entry>, ReadError> {
        if position.get() >= self.0.core.durable() {
            return Ok(None);
        }
        self.0.core.journal.entry(position.get()).map(Some)
    }

    /// The entry of an event.
    ///
    /// # Errors
    /// [`ReadError`] if it cannot be read.
    pub fn find(&self, id: &EventId) -> Result<Option<Entry>, ReadError> {
        self.0.core.find(id)
    }

    /// Events of a stream from the version `from` on, forward or backward, at most `limit`. For the newest first, give
    /// `u64::MAX`.
    ///
    /// # Errors
    /// [`ReadError`] if one cannot be read.
    pub fn stream(
        &self,
        stream: &StreamId,
        from: u64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.0.core.entries_of(Key::Stream(stream), from, direction, limit)
    }

    /// Events of a subject from its `from`-th on (from 1), forward or backward, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if one cannot be read.
    pub fn subject(
        &self,
        subject: &SubjectId,
        from: u64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.0.core.entries_of(Key::Subject(subject), from, direction, limit)
    }

    /// Events of a type from a position on, forward or backward, at most `limit`.
    ///
    /// # Errors
    /// [`ReadError`] if one cannot be read.
    pub fn by_type(
        &self,
        event_type: &EventType,
        from: Position,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.0.core.by_type(event_type, from, direction, limit)
    }

    /// Number of events of a stream.
    ///
    /// # Errors
    /// [`ReadError`] if the newest cannot be read.
    pub fn stream_version(&self, stream: &StreamId) -> Result<u64, ReadError> {
        self.0.core.stream_version(stream)
    }

    /// Number of a subject's events and digest of the newest; `None` if there is none.
    ///
    /// # Errors
    /// [`ReadError`] if the newest cannot be read.
    pub fn subject_head(&self, subject: &SubjectId) -> Result<Option<(u64, Digest)>, ReadError> {
        self.0.core.subject_head(subject)
    }

    /// The entries from a position on, up to those that are durable now.
    #[must_use]
    pub fn scan(&self, from: Position) -> Scan {
        Scan::new(self.0.core.journal.scan(from.get(), self.0.core.durable()))
    }

    /// The frames of the journal from a position on, up to those that are durable now: what a backup is made of.
    #[must_use]
    pub fn frames(&self, from: Position) -> Frames {
        Frames::new(self.0.core.journal.scan(from.get(), self.0.core.durable()))
    }

    /// Every event from a position on, also those to come.
    #[must_use]
    pub fn subscribe(&self, from: Position) -> Subscription {
        Subscription::new(Arc::clone(&self.0.core), from)
    }

    /// How far the log is.
    #[must_use]
    pub fn head(&self) -> Head {
        // Read from the smallest on, so that each is at most the next.
        let published = self.0.core.published.load(Ordering::Acquire);
        let integrated = self.0.core.integrated.load(Ordering::Acquire);
        Head { durable: self.0.core.durable(), integrated, published }
    }

    /// Why the ledger takes no more events, if it has stopped or was closed.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        self.0.core.inbox.stopped()
    }

    /// The newest published checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<SignedCheckpoint> {
        self.0.core.checkpoint.read().clone()
    }

    /// Publishes a checkpoint that covers everything durable now. Waits for the disk: in async code call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// [`PublishError`] if it could not be made durable.
    pub fn publish(&self) -> Result<SignedCheckpoint, PublishError> {
        let (reply, answer) = mpsc::channel();
        let stopped = || PublishError::Stopped {
            reason: self.stopped().unwrap_or_else(|| "the keeper of the tree has gone".into()),
        };
        let durable = self.0.core.durable();
        while self.0.core.integrated.load(Ordering::Acquire) < durable {
            // The writer hands the leaves over right after the flush.
            if self.stopped().is_some() {
                return Err(stopped());
            }
            thread::sleep(Duration::from_micros(200));
        }
        self.0.keeper.send(Message::Publish(reply)).map_err(|_| stopped())?;
        answer.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Every public key, past ones included.
    #[must_use]
    pub fn keys(&self) -> KeyRing {
        self.0.core.ring.read().clone()
    }

    /// Takes no more events, makes durable what is queued, publishes a last checkpoint and flushes the index.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Running {
    fn close(&self) {
        self.core.inbox.close();
        let join = |thread: JoinHandle<()>| {
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the ledger panicked");
            }
        };
        // The sequencer ends first, then the writer; then nothing more becomes durable.
        std::mem::take(&mut *self.threads.lock()).into_iter().for_each(join);
        // If it has gone already, it said why when it stopped.
        let _ = self.keeper.send(Message::Close);
        self.keeper_thread.lock().take().into_iter().for_each(join);
        self.core.closing.store(true, Ordering::Release);
        drop(self.core.signal.lock());
        self.core.block_full.notify_all();
        self.follower_thread.lock().take().into_iter().for_each(join);
        self.core.durable_watch.send_replace(self.core.durable());
        self.core.durable_grew.notify_all();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}
