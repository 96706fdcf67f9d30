//! How a ledger is opened.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    ids::Micros,
    signer::{KeyDir, KeyError, LedgerKeys},
    store::file::{Disk, RealDisk},
};

/// Gives the time. Injected, so that tests decide it.
pub type Clock = Arc<dyn Fn() -> Micros + Send + Sync>;

/// Where the signing keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Files in a directory, made when there are none.
    Dir(PathBuf),
    /// Fresh keys that are kept nowhere.
    Generated,
    /// Keys that outlive the ledger in this process; they cannot be rotated.
    Given(Arc<LedgerKeys>),
}

/// Where the index is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKind {
    /// In sled, under the ledger's directory.
    Sled,
    /// In memory, made anew at every open.
    Memory,
}

/// Everything that a ledger needs to know to open.
#[derive(Clone)]
pub struct LedgerConfig {
    /// Directory of the journal, the tiles, the checkpoint and the index.
    pub dir: PathBuf,
    /// Directory of the history of published checkpoints. Keep it on another disk or at least in another backup than
    /// `dir`: it is what gives away that an old `dir` was put back.
    pub published_dir: PathBuf,
    /// The signing keys; keep them apart from both.
    pub keys: KeySource,
    /// Name of the log in its checkpoints: a host name and path such as `ledger.example.org/ward`.
    pub origin: String,
    /// Longest time from an event to a checkpoint that covers it.
    pub checkpoint_interval: Duration,
    /// Most events between two checkpoints.
    pub checkpoint_events_max: u64,
    /// Open a ledger that is older than a checkpoint it once published, and record that.
    pub accept_rollback: bool,
    /// Appends that may wait; one more is refused with [`crate::AppendError::Busy`].
    pub queue_appends_max: usize,
    /// Bytes of drafts that may wait.
    pub queue_bytes_max: usize,
    /// Where the index is kept.
    pub index: IndexKind,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Clock,
}

impl LedgerConfig {
    /// A ledger on the disk of this machine, with keys and published checkpoints in directories of their own.
    #[must_use]
    pub fn new(dir: &Path, published_dir: &Path, keys_dir: &Path, origin: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            published_dir: published_dir.to_owned(),
            keys: KeySource::Dir(keys_dir.to_owned()),
            origin: origin.to_owned(),
            checkpoint_interval: Duration::from_secs(1),
            checkpoint_events_max: 8192,
            accept_rollback: false,
            queue_appends_max: 4096,
            queue_bytes_max: 64 << 20,
            index: IndexKind::Sled,
            disk: Arc::new(RealDisk),
            clock: Arc::new(system_clock),
        }
    }

    /// A ledger in memory with fresh keys.
    #[must_use]
    pub fn in_memory(origin: &str) -> Self {
        Self {
            keys: KeySource::Generated,
            index: IndexKind::Memory,
            disk: Arc::new(crate::store::memory::MemoryDisk::new()),
            ..Self::new(Path::new("/ledger"), Path::new("/published"), Path::new("/keys"), origin)
        }
    }

    pub(crate) fn load_keys(&self) -> Result<Arc<LedgerKeys>, KeyError> {
        match &self.keys {
            KeySource::Dir(dir) => KeyDir::new(dir).open_or_create(&self.origin).map(Arc::new),
            KeySource::Generated => LedgerKeys::generate(&self.origin).map(Arc::new),
            KeySource::Given(keys) => Ok(Arc::clone(keys)),
        }
    }
}

/// Paths only: keys never stand here, but what does not print cannot leak.
impl std::fmt::Debug for LedgerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerConfig")
            .field("dir", &self.dir)
            .field("published_dir", &self.published_dir)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The one place of this crate that reads the machine's clock.
fn system_clock() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
