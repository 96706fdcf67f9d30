//! A view that follows the log: the live generation, its position, and those who wait for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock};
use tokio::sync::watch;
use wardbook_events::Recorded;

use crate::error::ViewError;
use crate::generation::{Generation, Standing};
use crate::seal;
use crate::tx::Tx;

/// How an area's events become rows. Deterministic: the rows depend on the events alone, not on batches, time or chance.
pub trait View: Send + Sync + Sized + 'static {
    /// Name of the view, of its directory and in attestations.
    const NAME: &'static str;
    /// Raised whenever the same events would give other rows: the view is then rebuilt.
    const CODE_VERSION: u32;
    /// Takes in one event.
    ///
    /// # Errors
    /// If the store fails. An event that makes no sense to the view is passed over: the ledger is right.
    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError>;
}

/// A stretch of the log, scanned without a gap: what was recorded in `from..to`. Positions of events outside the
/// vocabulary (the ledger's own) are simply not among the events.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    /// First position scanned.
    pub from: u64,
    /// The events, by position.
    pub events: &'a [Recorded],
    /// First position not scanned.
    pub to: u64,
}

impl<'a> Stretch<'a> {
    /// A stretch.
    #[must_use]
    pub const fn new(from: u64, events: &'a [Recorded], to: u64) -> Self {
        Self { from, events, to }
    }
    /// A stretch from the first to the last of these events, with nothing between them left out.
    #[must_use]
    pub fn of(events: &'a [Recorded]) -> Self {
        let from = events.first().map_or(0, |event| event.position);
        Self { from, events, to: events.last().map_or(from, |event| event.position + 1) }
    }
}

/// Bytes touched by one commit, more or less. sled stops its readers while a batch is written, some 10 us a row.
const COMMIT_BYTES: usize = 512 * 1024;

/// Takes in what the generation has not seen yet.
pub(crate) fn take_in<V: View>(generation: &Generation, stretch: Stretch<'_>) -> Result<(), ViewError> {
    let position = generation.position();
    if stretch.to <= position {
        return Ok(());
    }
    if stretch.from > position {
        return Err(ViewError::Gap { view: V::NAME, position, from: stretch.from });
    }
    let mut tx = Tx::new(generation);
    let mut last = None;
    for event in stretch.events.iter().filter(|event| event.position >= position && event.position < stretch.to) {
        V::apply(&mut tx, event)?;
        last = Some(event.id);
        if tx.size() > COMMIT_BYTES {
            generation.commit(tx.into_changes(), event.position + 1, last)?;
            tx = Tx::new(generation);
        }
    }
    generation.commit(tx.into_changes(), stretch.to, last)
}

/// A view with its queries, which stand in the area's file.
#[derive(Debug)]
pub struct Projection<V: View> {
    dir: PathBuf,
    cache_bytes: u64,
    live: RwLock<Result<Arc<Generation>, ViewError>>,
    applying: Mutex<()>,
    reached: watch::Sender<u64>,
    kind: std::marker::PhantomData<V>,
}

impl<V: View> Projection<V> {
    /// Opens the live generation. One that is damaged or outdated is no error here: the view then answers nothing
    /// until it has been rebuilt.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub(crate) fn open(root: &Path, cache_bytes: u64) -> Result<Self, ViewError> {
        let dir = root.join(V::NAME);
        let storage = |error: std::io::Error| ViewError::storage(V::NAME, &error);
        fs::create_dir_all(&dir).map_err(storage)?;
        let current = match current(&dir).map_err(storage)? {
            Some(number) => number,
            None => {
                write_current(&dir, 1).map_err(storage)?;
                1
            }
        };
        // Older ones are left-overs of a swap; a newer one is a rebuild that can be resumed.
        for number in numbers(&dir).map_err(storage)? {
            if number < current {
                fs::remove_dir_all(dir.join(generation_name(number))).map_err(storage)?;
            }
        }
        let live = match Generation::open(V::NAME, V::CODE_VERSION, &dir.join(generation_name(current)), cache_bytes) {
            Ok(generation) => Ok(Arc::new(generation)),
            Err(error) if error.wants_rebuild() => Err(error),
            Err(error) => return Err(error),
        };
        let position = live.as_ref().map_or(0, |generation| generation.position());
        let reached = watch::Sender::new(position);
        Ok(Self {
            dir,
            cache_bytes,
            live: RwLock::new(live),
            applying: Mutex::new(()),
            reached,
            kind: std::marker::PhantomData,
        })
    }

    pub(crate) fn live(&self) -> Result<Arc<Generation>, ViewError> {
        let live = self.live.read().clone()?;
        live.sound()?;
        Ok(live)
    }
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
    pub(crate) const fn cache_bytes(&self) -> u64 {
        self.cache_bytes
    }
    /// Keeps the live generation where it is while held; queries go on.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.applying.lock()
    }
    /// Makes another generation the live one; the old one is deleted when its last reader is done.
    pub(crate) fn swap(&self, next: Arc<Generation>, number: u64) -> Result<(), ViewError> {
        write_current(&self.dir, number).map_err(|e| ViewError::storage(V::NAME, &e))?;
        let mut live = self.live.write();
        match std::mem::replace(&mut *live, Ok(next)) {
            Ok(old) => old.doom(),
            // A damaged one was never opened, so nobody reads it.
            Err(_) => {
                for old in numbers(&self.dir).unwrap_or_default().into_iter().filter(|old| *old < number) {
                    let _ = fs::remove_dir_all(self.dir.join(generation_name(old)));
                }
            }
        }
        Ok(())
    }

    /// Takes in what the view has not seen yet, without telling those who wait.
    pub(crate) fn take_in(&self, stretch: Stretch<'_>) -> Result<(), ViewError> {
        let _held = self.hold();
        take_in::<V>(&*self.live()?, stretch)
    }
    /// Tells those who wait how far the view has come.
    pub(crate) fn publish(&self) {
        if let Ok(live) = self.live() {
            let position = live.position();
            self.reached.send_if_modified(|reached| std::mem::replace(reached, position) != position);
        }
    }

    /// The next position the view expects.
    ///
    /// # Errors
    /// If the view waits for a rebuild.
    pub fn position(&self) -> Result<u64, ViewError> {
        self.live().map(|live| live.position())
    }
    /// Position, number of rows and state root, all of one moment.
    ///
    /// # Errors
    /// If the view waits for a rebuild.
    pub fn standing(&self) -> Result<Standing, ViewError> {
        self.live().map(|live| live.standing())
    }
    /// Waits until the event at this position has been taken in: read your own writes.
    ///
    /// # Errors
    /// `Late` when the time is over.
    pub async fn wait_for(&self, position: u64, timeout: Duration) -> Result<(), ViewError> {
        let mut reached = self.reached.subscribe();
        match tokio::time::timeout(timeout, reached.wait_for(|reached| *reached > position)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ViewError::Late { view: V::NAME, position }),
        }
    }
}

const CURRENT: &str = "CURRENT";

pub(crate) fn generation_name(number: u64) -> String {
    format!("{number:08}")
}

/// Numbers of the generations that exist, in order.
pub(crate) fn numbers(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().is_dir() {
            numbers.extend(entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok()));
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(crate) fn current(dir: &Path) -> std::io::Result<Option<u64>> {
    match fs::read_to_string(dir.join(CURRENT)) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| std::io::Error::other("the file CURRENT names no generation: delete it")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_current(dir: &Path, number: u64) -> std::io::Result<()> {
    seal::write_whole(&dir.join(CURRENT), format!("{number}\n").as_bytes())
}
