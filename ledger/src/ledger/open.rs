//! Opening a ledger: lock, keys, recovery, index, threads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use super::{CHECKPOINT_FILE, Core, JOURNAL_DIR, Ledger, Running};
use crate::{
    appender::{Group, Inbox, Sequencer, Tail, Writer},
    checkpoint::{Checkpoint, SignedCheckpoint},
    config::LedgerConfig,
    entry::{Draft, ExpectedVersion, Payload},
    follower::{Follower, PagesPlace, open_index},
    ids::EventId,
    keeper::{Keeper, Message},
    recover::{OpenError, OpenReport, Progress, Recovered, Recovery, compare_with_published, own_checkpoint},
    signer::LedgerKeys,
    store::{
        file::{LockGuard, read_all},
        history::History,
        journal::Journal,
        tiles::TileFiles,
    },
    tree::Hash,
};

/// A group is prepared while another is flushed; none waits between them.
const GROUPS_WAITING_MAX: usize = 1;

pub(super) fn open(config: LedgerConfig, progress: &dyn Progress) -> Result<Ledger, OpenError> {
    let disk = Arc::clone(&config.disk);
    let journal_dir = config.dir.join(JOURNAL_DIR);
    disk.create_dirs(&journal_dir)?;
    let lock = disk.lock(&config.dir.join("lock"))?.ok_or(OpenError::Locked)?;
    let keys = config.load_keys()?;
    let journal = Arc::new(Journal::open(Arc::clone(&disk), &journal_dir)?);
    let tiles = TileFiles::new(Arc::clone(&disk), &config.dir);
    let checkpoint_path = config.dir.join(CHECKPOINT_FILE);
    let own = own_checkpoint(read_all(&*disk, &checkpoint_path)?, &keys.ring);
    let opened = History::open(&*disk, &config.published_dir, keys.ring.checkpoint_keys(), own.as_ref())?;
    let (history, published, history_damaged) = (opened.history, opened.newest, opened.damaged_at);
    match history_damaged {
        Some(_) if config.accept_rollback => history.cut()?,
        Some(byte) => return Err(OpenError::HistoryDamaged { byte }),
        None => {}
    }
    let covered = newest_covered(own.as_ref(), published.as_ref(), &journal);
    let recovery =
        Recovery { journal: &journal, tiles: &tiles, ring: &keys.ring, checkpoint: covered.clone(), progress };
    let recovered = recovery.run()?;
    let covered_size = covered.as_ref().map_or(0, |checkpoint| checkpoint.size);
    let mut fell_behind = None;
    if let Some(published) = &published {
        fell_behind = compare_with_published(published, &tiles, covered_size, &recovered.tree)?;
        if let Some((published, _)) = fell_behind.filter(|_| !config.accept_rollback) {
            return Err(OpenError::RolledBack { events: recovered.tree.size(), published });
        }
    }
    let place = PagesPlace { kind: config.index, dir: config.dir.join("index") };
    let events = recovered.tree.size();
    let (index, index_rebuilt) =
        open_index(&place, &journal, events, progress).map_err(|error| OpenError::Index(error.to_string()))?;
    let report = OpenReport {
        events,
        checkpoint_events: covered_size,
        tail_cut: recovered.tail_cut,
        tiles_rebuilt: recovered.tiles_rebuilt,
        index_rebuilt,
        rollback_accepted: fell_behind,
    };
    let tree_before = (events, recovered.tree.root());
    let mut parts =
        Parts { covered: own.filter(|own| own.unverified().size == covered_size), keys, history, place, lock, report };
    let core = Arc::new(Core {
        disk,
        journal,
        index,
        tiles,
        inbox: Inbox::new(config.queue_appends_max, config.queue_bytes_max),
        clock: Arc::clone(&config.clock),
        ring: RwLock::new(parts.keys.ring.clone()),
        checkpoint: RwLock::new(parts.covered.clone()),
        durable_watch: watch::Sender::new(events),
        durable: AtomicU64::new(events),
        integrated: AtomicU64::new(events),
        published: AtomicU64::new(parts.covered.as_ref().map_or(0, |own| own.unverified().size)),
        index_damaged: AtomicBool::new(false),
        closing: AtomicBool::new(false),
        signal: Mutex::default(),
        durable_grew: Condvar::new(),
        block_full: Condvar::new(),
    });
    let newest_keys = Arc::clone(&parts.keys);
    parts.keys = super::rotation::opening_keys(&config.keys, &newest_keys)?;
    let ledger = start(core, &config, recovered, parts)?;
    if ledger.checkpoint().is_none() {
        // A new ledger, or one whose checkpoint was damaged: there is one to show from the first moment on.
        ledger.publish().map_err(|error| OpenError::Start(error.to_string()))?;
    }
    super::rotation::finish_rotation(&ledger, &newest_keys)?;
    if fell_behind.is_some() || history_damaged.is_some() {
        record_rollback(&ledger, fell_behind, history_damaged, tree_before)?;
    }
    Ok(ledger)
}

struct Parts {
    covered: Option<SignedCheckpoint>,
    keys: Arc<LedgerKeys>,
    history: History,
    place: PagesPlace,
    lock: LockGuard,
    report: OpenReport,
}

/// The newest checkpoint that the journal is long enough for: the ledger's own or, should that be lost, the one from
/// the history.
fn newest_covered(
    own: Option<&SignedCheckpoint>,
    published: Option<&Checkpoint>,
    journal: &Journal,
) -> Option<Checkpoint> {
    let own = own.map(|own| own.unverified().clone());
    let own_size = own.as_ref().map_or(0, |own| own.size);
    let newer = published.filter(|published| published.size > own_size && journal.read(published.size - 1).is_ok());
    newer.cloned().or(own)
}

fn start(core: Arc<Core>, config: &LedgerConfig, recovered: Recovered, parts: Parts) -> Result<Ledger, OpenError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| OpenError::Start(error.to_string()))?;
    let (groups, waiting_groups) = mpsc::sync_channel::<Group>(GROUPS_WAITING_MAX);
    let (keeper_messages, messages) = mpsc::channel::<Message>();
    let tail = Tail { next: recovered.tree.size(), digest: recovered.digest, recorded_at: recovered.recorded_at };
    let writer = Writer { core: Arc::clone(&core), leaves: keeper_messages.clone() };
    let keys = Arc::clone(&parts.keys);
    let sequencer = Sequencer::new(Arc::clone(&core), keys, &tail, seed, groups, writer.clone());
    let keeper = Keeper {
        core: Arc::clone(&core),
        keys: parts.keys,
        tree: recovered.tree,
        history: parts.history,
        messages,
        checkpoint_path: config.dir.join(CHECKPOINT_FILE),
        interval: config.checkpoint_interval,
        events_max: config.checkpoint_events_max,
        partial: Default::default(),
        due: parts.covered.is_none(),
    };
    let follower = Follower { core: Arc::clone(&core), place: parts.place };
    let (gone_sequencer, gone_writer) = (StopsIfPanicked(Arc::clone(&core)), StopsIfPanicked(Arc::clone(&core)));
    let running = Running {
        core,
        keeper: keeper_messages,
        threads: Mutex::new(vec![
            spawn("ledger-sequencer", move || {
                let _guard = gone_sequencer;
                sequencer.run();
            })?,
            spawn("ledger-writer", move || {
                let _guard = gone_writer;
                writer.run(&waiting_groups);
            })?,
        ]),
        keeper_thread: Mutex::new(Some(spawn("ledger-keeper", move || keeper.run())?)),
        follower_thread: Mutex::new(Some(spawn("ledger-index", move || follower.run())?)),
        keys: config.keys.clone(),
        rotation: Mutex::default(),
        report: parts.report,
        _lock: parts.lock,
    };
    Ok(Ledger(Arc::new(running)))
}

/// Whoever waits for a thread that is no more is told, instead of waiting for ever.
struct StopsIfPanicked(Arc<Core>);

impl Drop for StopsIfPanicked {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop("a thread of the ledger panicked");
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| OpenError::Start(error.to_string()))
}

/// An accepted rollback is itself an event: it says what was published, if that is known, and what was found.
fn record_rollback(
    ledger: &Ledger,
    published: Option<(u64, Hash)>,
    history_damaged: Option<u64>,
    (found, found_root): (u64, Hash),
) -> Result<(), OpenError> {
    let mut facts = BTreeMap::from([("found_events", found.to_string()), ("found_root", found_root.to_string())]);
    if let Some((published, root)) = published {
        facts.insert("published_events", published.to_string());
        facts.insert("published_root", root.to_string());
    }
    if let Some(byte) = history_damaged {
        facts.insert("history_damaged_at", byte.to_string());
    }
    let body = serde_json::to_vec(&facts).unwrap_or_default();
    append_own(ledger, "ledger.rollback_accepted", body)?;
    ledger.publish().map_err(|error| OpenError::Start(error.to_string()))?;
    Ok(())
}

/// Appends an event of the ledger itself.
pub(super) fn append_own(ledger: &Ledger, event_type: &str, body: Vec<u8>) -> Result<(), OpenError> {
    let failed = |error: &dyn std::fmt::Display| OpenError::Start(error.to_string());
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| failed(&error))?;
    let draft = Draft {
        id: EventId::from_bytes(id),
        stream: "ledger".parse().map_err(|error| failed(&error))?,
        expected: ExpectedVersion::Any,
        event_type: event_type.parse().map_err(|error| failed(&error))?,
        schema_version: 1,
        subjects: Vec::new(),
        payload: Payload { body, ..Payload::default() },
    };
    ledger.append_own(draft).map_err(|error| failed(&error))
}

impl Ledger {
    /// Works from sync and async code alike: the wait is spent on a thread of its own.
    fn append_own(&self, draft: Draft) -> Result<(), crate::AppendError> {
        thread::scope(|scope| {
            let appended = scope.spawn(|| self.append_blocking(vec![draft])).join();
            appended.unwrap_or_else(|_| Err(self.gone())).map(|_| ())
        })
    }
}
