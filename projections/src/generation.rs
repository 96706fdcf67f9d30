//! One build of a view: a sled database in a directory of its own, with the position and the state root among its rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use wardbook_events::EventId;

use crate::error::ViewError;
use crate::guard::fenced;
use crate::root::{CheckSum, Root, RowSet, STATE_BYTES};
use crate::seal;
use crate::tx::Change;

/// The header row: moves in the same batch as the rows it speaks of.
const HEADER: [u8; 1] = [0];
/// Positions that a view may move on without writing so.
const IDLE_MAX: u64 = 4096;
const HEADER_BYTES: usize = 8 + 16 + 4 + 8 + STATE_BYTES;

/// Where a view stands. What is attested, and what two builds are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The next position it expects: how much of the log it has taken in.
    pub position: u64,
    /// The last event it took in, zero if none: tells whether the view belongs to this log.
    pub last_event: EventId,
    /// Number of rows.
    pub rows: u64,
    /// State root over all rows.
    pub root: Root,
}

#[derive(Clone)]
struct Header {
    position: u64,
    last_event: EventId,
    code_version: u32,
    rows: u64,
    set: RowSet,
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&self.position.to_be_bytes());
        bytes.extend_from_slice(self.last_event.bytes());
        bytes.extend_from_slice(&self.code_version.to_be_bytes());
        bytes.extend_from_slice(&self.rows.to_be_bytes());
        bytes.extend_from_slice(&self.set.to_bytes());
        bytes
    }
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (position, rest) = bytes.split_first_chunk::<8>()?;
        let (last_event, rest) = rest.split_first_chunk::<16>()?;
        let (code_version, rest) = rest.split_first_chunk::<4>()?;
        let (rows, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            position: u64::from_be_bytes(*position),
            last_event: EventId::from_bytes(*last_event),
            code_version: u32::from_be_bytes(*code_version),
            rows: u64::from_be_bytes(*rows),
            set: RowSet::from_bytes(rest.try_into().ok()?),
        })
    }
}

/// One build of a view.
pub(crate) struct Generation {
    view: &'static str,
    path: PathBuf,
    // Declared before `farewell`: the database must be closed before its files are sealed or deleted.
    db: sled::Db,
    header: Mutex<Header>,
    /// The position that is in the store; the one in memory may be a little ahead where no row changed.
    stored: AtomicU64,
    damage: OnceLock<String>,
    fate: Arc<AtomicU8>,
    _farewell: Farewell,
}

/// What becomes of the files after the database was closed.
struct Farewell {
    path: PathBuf,
    fate: Arc<AtomicU8>,
}

const SEAL: u8 = 0;
const DELETE: u8 = 1;
/// Something was wrong with it: without a seal the next start looks at every row.
const LEAVE: u8 = 2;

impl Drop for Farewell {
    fn drop(&mut self) {
        let result = match self.fate.load(Ordering::Acquire) {
            SEAL => seal::put(&self.path),
            DELETE => fs::remove_dir_all(&self.path),
            _ => Ok(()),
        };
        if let Err(error) = result {
            // Not fatal: without its seal a generation is checked row by row, and a left-over one is deleted at the next start.
            tracing::warn!(path = %self.path.display(), %error, "view files could not be sealed or deleted");
        }
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({} in {})", self.view, self.path.display())
    }
}

impl Generation {
    /// Opens or creates it, and makes sure that no row was lost or changed since it was last written.
    ///
    /// # Errors
    /// `Damaged` if anything is off, `Outdated` if another version of the code built it.
    pub(crate) fn open(
        view: &'static str,
        code_version: u32,
        path: &Path,
        cache_bytes: u64,
    ) -> Result<Self, ViewError> {
        fs::create_dir_all(path).map_err(|e| ViewError::storage(view, &e))?;
        let sealed = seal::take(path).map_err(|e| ViewError::storage(view, &e))?;
        let owned = path.to_owned();
        // A thread of its own, because sled leaves thread-local state behind when it panics half-way.
        let opened = std::thread::Builder::new()
            .name("view-open".into())
            .spawn(move || fenced(move || open_checked(view, code_version, &owned, cache_bytes, sealed)))
            .map_err(|e| ViewError::storage(view, &e))?
            .join();
        let (db, header) = match opened {
            Ok(Ok(result)) => result?,
            _ => return Err(ViewError::damaged(view, "its files cannot be opened")),
        };
        let fate = Arc::new(AtomicU8::new(SEAL));
        let farewell = Farewell { path: path.to_owned(), fate: Arc::clone(&fate) };
        let stored = AtomicU64::new(header.position);
        let (path, header) = (path.to_owned(), Mutex::new(header));
        Ok(Self { view, path, db, header, stored, damage: OnceLock::new(), fate, _farewell: farewell })
    }

    pub(crate) const fn view(&self) -> &'static str {
        self.view
    }
    pub(crate) fn position(&self) -> u64 {
        self.header.lock().position
    }
    pub(crate) fn standing(&self) -> Standing {
        let header = self.header.lock();
        Standing {
            position: header.position,
            last_event: header.last_event,
            rows: header.rows,
            root: header.set.root(),
        }
    }
    /// Delete the files when the last reader is done.
    pub(crate) fn doom(&self) {
        self.fate.store(DELETE, Ordering::Release);
    }

    /// Whether nothing has gone wrong yet.
    pub(crate) fn sound(&self) -> Result<(), ViewError> {
        self.damage.get().map_or(Ok(()), |what| Err(ViewError::damaged(self.view, what.clone())))
    }

    /// Runs a piece of sled; what goes wrong inside puts this generation out of service.
    fn run<T>(&self, work: impl FnOnce(&sled::Db) -> Result<T, sled::Error>) -> Result<T, ViewError> {
        self.sound()?;
        let error = match fenced(|| work(&self.db)) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => ViewError::sled(self.view, &error),
            Err(_) => ViewError::damaged(self.view, "its files cannot be read"),
        };
        if let ViewError::Damaged { what, .. } = &error {
            let _ = self.damage.set(what.clone());
            let _ = self.fate.compare_exchange(SEAL, LEAVE, Ordering::AcqRel, Ordering::Acquire);
        }
        Err(error)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, ViewError> {
        self.run(|db| db.get(key))
    }

    /// Walks over the rows whose keys lie in `from..to`, backwards if told so, until `visit` says stop.
    pub(crate) fn walk(
        &self,
        from: &[u8],
        to: &[u8],
        backwards: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, ViewError>,
    ) -> Result<(), ViewError> {
        if from >= to {
            return Ok(());
        }
        self.run(|db| {
            let mut rows = db.range(from..to);
            while let Some(row) = if backwards { rows.next_back() } else { rows.next() } {
                let (key, value) = row?;
                match visit(&key, &value) {
                    Ok(true) => {}
                    Ok(false) => return Ok(Ok(())),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        })?
    }

    /// Writes the changes, the new position and the new root in one batch.
    pub(crate) fn commit(
        &self,
        changes: Vec<Change>,
        position: u64,
        last_event: Option<EventId>,
    ) -> Result<(), ViewError> {
        let mut header = self.header.lock();
        let mut next = header.clone();
        next.position = position;
        next.last_event = last_event.unwrap_or(next.last_event);
        // Most events concern one or two views. The others write their position now and then only: after a crash they
        // are fed some events again which change nothing.
        if changes.is_empty() && position.saturating_sub(self.stored.load(Ordering::Acquire)) < IDLE_MAX {
            *header = next;
            return Ok(());
        }
        let mut batch = sled::Batch::default();
        for Change { key, before, now } in changes {
            if let Some(before) = &before {
                next.set.remove(&key, before);
                next.rows = next.rows.saturating_sub(1);
            }
            match now {
                Some(now) => {
                    next.set.add(&key, &now);
                    next.rows += 1;
                    batch.insert(key, now);
                }
                None => batch.remove(key),
            }
        }
        batch.insert(&HEADER, next.to_bytes());
        self.run(|db| db.apply_batch(batch))?;
        self.stored.store(position, Ordering::Release);
        *header = next;
        Ok(())
    }

    /// Hands what is in memory to the operating system.
    pub(crate) fn flush(&self) -> Result<(), ViewError> {
        self.store_position()?;
        self.run(|db| db.flush().map(|_| ()))
    }

    fn store_position(&self) -> Result<(), ViewError> {
        let header = self.header.lock();
        if header.position > self.stored.load(Ordering::Acquire) {
            self.run(|db| db.insert(HEADER, header.to_bytes()))?;
            self.stored.store(header.position, Ordering::Release);
        }
        Ok(())
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if let Err(error) = self.store_position() {
            tracing::warn!(view = self.view, %error, "the last position of a view could not be written; it is fed again");
        }
    }
}

type Opened = Result<(sled::Db, Header), ViewError>;

fn open_checked(view: &'static str, code_version: u32, path: &Path, cache_bytes: u64, sealed: seal::Found) -> Opened {
    let db = open_sled(path, cache_bytes).map_err(|e| ViewError::sled(view, &e))?;
    let fail = |e: sled::Error| ViewError::sled(view, &e);
    let Some(stored) = db.get(HEADER).map_err(fail)? else {
        // Nothing but a fresh directory may be without a header: rows without one are a torn file.
        if db.was_recovered() && db.iter().next().is_some() {
            return Err(ViewError::damaged(view, "its header is missing"));
        }
        let header = Header {
            position: 0,
            last_event: EventId::from_bytes([0; 16]),
            code_version,
            rows: 0,
            set: RowSet::empty(),
        };
        return Ok((db, header));
    };
    let header = Header::parse(&stored).ok_or_else(|| ViewError::damaged(view, "its header is malformed"))?;
    if header.code_version != code_version {
        return Err(ViewError::Outdated { view, found: header.code_version, expected: code_version });
    }
    if sealed != seal::Found::Fits {
        check_rows(view, &db, &header, sealed == seal::Found::Broken)?;
    }
    Ok((db, header))
}

/// Reads every row, and compares count and state with the header: its first lanes after a crash. If files were changed
/// from outside, all of it, and every row is looked up by its key as well, as the way to it may be broken though the row
/// is there.
fn check_rows(view: &'static str, db: &sled::Db, header: &Header, changed: bool) -> Result<(), ViewError> {
    let (mut rows, mut sum, mut set) = (0_u64, CheckSum::empty(), RowSet::empty());
    for row in db.iter() {
        let (key, value) = row.map_err(|e| ViewError::sled(view, &e))?;
        if key == HEADER {
            continue;
        }
        if changed {
            if db.get(&key).map_err(|e| ViewError::sled(view, &e))?.as_ref() != Some(&value) {
                return Err(ViewError::damaged(view, "a row is not found by its key"));
            }
            set.add(&key, &value);
        }
        rows += 1;
        sum.add(&key, &value);
    }
    let whole = !changed || set.root() == header.set.root();
    if rows != header.rows || sum != header.set.check_sum() || !whole {
        let what = format!("{rows} rows do not have the state of the {} written", header.rows);
        return Err(ViewError::damaged(view, what));
    }
    Ok(())
}

/// sled gives its lock back a moment after the last handle is gone.
fn open_sled(path: &Path, cache_bytes: u64) -> Result<sled::Db, sled::Error> {
    let mut tries = 0;
    loop {
        let config = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(Some(1000));
        match config.open() {
            Err(sled::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock || is_lock(&error) => {
                tries += 1;
                if tries > 20 {
                    return Err(sled::Error::Io(error));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

/// sled wraps the lock's error into a text of its own.
fn is_lock(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}
