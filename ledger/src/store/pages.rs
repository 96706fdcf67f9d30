//! Where the index keeps its pages: sled on disk, or a map in memory.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs, io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Once},
    thread,
};

use parking_lot::Mutex;

/// The pages are damaged, gone or cannot be reached: the index is to be made anew from the journal.
#[derive(Debug, thiserror::Error)]
#[error("the index pages are unusable: {0}")]
pub(crate) struct PagesError(pub String);

/// Keyed pages that are written in batches, each as a whole or not at all.
pub(crate) trait Pages: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PagesError>;
    /// Puts (`Some`) and removes (`None`).
    fn apply(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), PagesError>;
    /// Makes everything applied so far durable.
    fn sync(&self) -> Result<(), PagesError>;
}

/// Pages in memory.
#[derive(Default)]
pub(crate) struct MemoryPages(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Pages for MemoryPages {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PagesError> {
        Ok(self.0.lock().get(key).cloned())
    }

    fn apply(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), PagesError> {
        let mut pages = self.0.lock();
        for (key, value) in changes {
            match value {
                Some(value) => pages.insert(key, value),
                None => pages.remove(&key),
            };
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), PagesError> {
        Ok(())
    }
}

/// Pages in sled. It may panic on damaged files, so every call is guarded.
pub(crate) struct SledPages {
    db: sled::Db,
    dir: PathBuf,
}

/// Most of the working set is in the kernel's page cache anyway.
const CACHE_BYTES: u64 = 64 << 20;

impl SledPages {
    /// Opens or makes the database.
    pub(crate) fn open(dir: &Path) -> Result<Arc<Self>, PagesError> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        // On a thread of its own: a panic there cannot poison what this thread holds.
        let opened = thread::Builder::new()
            .name(format!("{QUIET_THREADS}-open"))
            .spawn(move || guarded(|| config.open()))
            .map_err(|error| PagesError(error.to_string()))?
            .join();
        let db = opened.map_err(|_| PagesError("sled panicked while opening".into()))??;
        Ok(Arc::new(Self { db, dir: dir.to_owned() }))
    }

    /// Removes the database from the disk.
    pub(crate) fn remove(dir: &Path) -> io::Result<()> {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Pages for SledPages {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PagesError> {
        guarded(|| self.db.get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    fn apply(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), PagesError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        guarded(|| self.db.apply_batch(batch))
    }

    /// sled's own flush starts the writing and does not wait for the disk, so its files are flushed by us.
    fn sync(&self) -> Result<(), PagesError> {
        guarded(|| self.db.flush())?;
        let error = |error: io::Error| PagesError(error.to_string());
        let mut dirs = vec![self.dir.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(&dir).map_err(error)? {
                let entry = entry.map_err(error)?;
                if entry.file_type().map_err(error)?.is_dir() {
                    dirs.push(entry.path());
                } else if let Ok(file) = fs::File::open(entry.path()) {
                    file.sync_data().map_err(error)?;
                }
            }
            fs::File::open(&dir).and_then(|dir| dir.sync_all()).map_err(error)?;
        }
        Ok(())
    }
}

/// Threads whose panics are answers, not accidents, begin with this name.
const QUIET_THREADS: &str = "wardbook-index";

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call into sled; a panic becomes an error and prints no trace.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, PagesError> {
    silence_guarded_panics();
    let before = QUIET.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(before);
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(PagesError(error.to_string())),
        Err(_) => Err(PagesError("sled panicked".into())),
    }
}

/// sled also panics on threads of its own, which carry its name.
fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let current = thread::current();
            let name = current.name().unwrap_or_default();
            let quiet = QUIET.try_with(Cell::get).unwrap_or(false);
            if !quiet && !name.starts_with("sled") && !name.starts_with(QUIET_THREADS) {
                before(info);
            }
        }));
    });
}
