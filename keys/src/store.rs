//! The key store: wrapped keys in SQLite. It must neither lose nor remember.
//!
//! - *Not lose*: `synchronous=FULL`, so a key is on disk before anything is sealed under it; one process at a time
//!   (`locking_mode=EXCLUSIVE`), so no other handle changes keys behind the cache.
//! - *Not remember*: no WAL, because it keeps old page images for as long as it likes. The rollback journal is kept in
//!   place (`journal_mode=PERSIST`; deleting it would leave its blocks readable on the disk), and after a key is
//!   destroyed we overwrite it with zeros. A key is destroyed by overwriting its bytes where they stand, at the same length:
//!   no row is ever deleted or moved, so SQLite leaves no copy in a gap of a page. `secure_delete` stays on all the same.
//!
//! Version, age, state and uses of a key stand in tables of their own (`*_facts`), which hold no key and may be moved as
//! SQLite likes.
//!
//! What lies below the file system (SSD wear levelling, snapshots, backups) is out of reach here; such a trace is
//! still wrapped under the organisation's key, and becomes useless when that key is rotated and destroyed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::error::StoreError;

mod changes;
mod counts;
mod dump;
mod schema;
mod tables;
#[cfg(test)]
mod tests;

pub use changes::{Moved, ROOT_SINCE};
pub use counts::{Due, VersionCount};
pub use dump::{KeyDump, Standing};
#[cfg(test)]
use schema::V1_SCHEMA;

/// What a version of a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyState {
    /// The newest: seals and wraps, opens and unwraps.
    Active,
    /// Only opens and unwraps.
    Retired,
    /// Opens nothing: it is below the minimum decryption version. The key is still there.
    Disabled,
    /// Overwritten with zeros.
    Destroyed,
}

impl KeyState {
    /// As it is shown and told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Disabled => "disabled",
            Self::Destroyed => "destroyed",
        }
    }
    const fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Active),
            1 => Some(Self::Retired),
            2 => Some(Self::Disabled),
            3 => Some(Self::Destroyed),
            _ => None,
        }
    }
}

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// From 1, gapless.
    pub version: u32,
    /// Version of the tenant key that wraps it; 0 where the root key does.
    pub under: u32,
    /// Authenticated ciphertext. All zero: destroyed.
    pub bytes: Vec<u8>,
    /// What it is good for.
    pub state: KeyState,
    /// When it was made, in seconds of Unix time.
    pub made_at: u64,
}

impl Wrapped {
    /// A new key.
    pub const fn new(version: u32, under: u32, bytes: Vec<u8>, made_at: u64) -> Self {
        Self { version, under, bytes, state: KeyState::Active, made_at }
    }
    /// Whether the key was destroyed. A living one has a random authenticator and is never all zero; nothing at all is damage.
    pub fn is_destroyed(&self) -> bool {
        !self.bytes.is_empty() && self.bytes.iter().all(|byte| *byte == 0)
    }
}

/// The database handle. Callers serialise access to it.
pub struct Store {
    connection: Connection,
    journal: Option<PathBuf>,
}

impl Store {
    /// Opens or makes the store that belongs to the root key with this id.
    /// `now` is the age that keys of a store of the first schema are given, in seconds of Unix time.
    pub fn open(path: &Path, root_key: &str, now: u64) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        let mut journal = path.as_os_str().to_owned();
        journal.push("-journal");
        Self::prepare(connection, Some(journal.into()), root_key, now)
    }

    /// A store that lives in memory only.
    pub fn in_memory(root_key: &str) -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, None, root_key, 0)
    }

    fn prepare(connection: Connection, journal: Option<PathBuf>, root_key: &str, now: u64) -> Result<Self, StoreError> {
        let mut store = Self { connection, journal };
        store.configure().map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse,
            Some(ErrorCode::NotADatabase) => StoreError::NotAKeyStore,
            _ => StoreError::Sqlite(error),
        })?;
        let application: i32 = store.connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        let version: i32 = store.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = store.connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        match (application, version) {
            (0, 0) if tables == 0 => schema::create(&mut store.connection, root_key)?,
            (schema::APPLICATION_ID, 1) => schema::migrate_from_1(&mut store.connection, now)?,
            (schema::APPLICATION_ID, schema::VERSION) => {}
            _ => return Err(StoreError::NotAKeyStore),
        }
        let needed: Option<String> =
            store.connection.query_row("SELECT root_key FROM store", [], |row| row.get(0)).optional()?;
        match needed {
            Some(needed) if needed == root_key => {
                // A crash between destroying and wiping left the old page there; recovery is behind us now.
                store.wipe_journal().map_err(StoreError::Wipe)?;
                Ok(store)
            }
            Some(needed) => Err(StoreError::WrongRootKey { needed, given: root_key.to_owned() }),
            None => Err(StoreError::Damaged { what: "the name of its root key" }),
        }
    }

    /// For queries that stand beside what they are for.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    fn configure(&self) -> Result<(), rusqlite::Error> {
        self.connection.busy_timeout(std::time::Duration::ZERO)?;
        for (name, value) in [
            ("locking_mode", "EXCLUSIVE"),
            ("journal_mode", "PERSIST"),
            ("synchronous", "FULL"),
            ("secure_delete", "ON"),
            ("temp_store", "MEMORY"),
            // Damaged pages are told as damage, not read as something else.
            ("cell_size_check", "ON"),
            ("trusted_schema", "OFF"),
        ] {
            self.connection.pragma_update(None, name, value)?;
        }
        // Takes the lock now, and keeps it until we close: a second process is told at its start, not later.
        self.connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")
    }

    /// The journal still holds the page as it was before. It is idle now (its header is zero and we hold the lock),
    /// so its content may be overwritten.
    fn wipe_journal(&self) -> io::Result<()> {
        let Some(path) = &self.journal else { return Ok(()) };
        let mut file = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let zeros = [0u8; 4096];
        let mut left = file.metadata()?.len();
        while left > 0 {
            let piece = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            file.write_all(zeros.get(..piece).unwrap_or(&zeros))?;
            left -= piece as u64;
        }
        file.sync_data()
    }
}
