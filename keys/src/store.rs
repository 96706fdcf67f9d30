//! The key store: wrapped keys in SQLite. It must neither lose nor remember.
//!
//! - *Not lose*: `synchronous=FULL`, so a key is on disk before anything is sealed under it; one process at a time
//!   (`locking_mode=EXCLUSIVE`), so no other handle changes keys behind the cache.
//! - *Not remember*: no WAL, because it keeps old page images for as long as it likes. The rollback journal is kept in
//!   place (`journal_mode=PERSIST`; deleting it would leave its blocks readable on the disk), and after a key is
//!   destroyed we overwrite it with zeros. A key is destroyed by overwriting its bytes where they stand, at the same length:
//!   no row is ever deleted or moved, so SQLite leaves no copy in a gap of a page. `secure_delete` stays on all the same.
//!
//! What lies below the file system (SSD wear levelling, snapshots, backups) is out of reach here; such a trace is
//! still wrapped under the organisation's key, and becomes useless when that key is rotated and destroyed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use wardbook_events::{PatientId, TenantId};

use crate::error::StoreError;

mod dump;

pub use dump::{KeyDump, Standing};

/// "wbks": tells a key store from other SQLite files.
const APPLICATION_ID: i32 = 0x7762_6b73;
const SCHEMA_VERSION: i32 = 1;

const SCHEMA: &str = "
    CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 1), root_key TEXT NOT NULL) STRICT;
    CREATE TABLE tenant_keys (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, version INTEGER NOT NULL, wrapped BLOB NOT NULL,
        UNIQUE (tenant, version)) STRICT;
    CREATE TABLE index_keys (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, version INTEGER NOT NULL, tenant_version INTEGER NOT NULL,
        wrapped BLOB NOT NULL, UNIQUE (tenant, version)) STRICT;
    CREATE TABLE patient_keys (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, patient BLOB NOT NULL, version INTEGER NOT NULL,
        tenant_version INTEGER NOT NULL, wrapped BLOB NOT NULL, UNIQUE (tenant, patient, version)) STRICT;";

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// From 1, gapless.
    pub version: u32,
    /// Version of the tenant key that wraps it; 0 where the root key does.
    pub under: u32,
    /// Authenticated ciphertext. All zero: destroyed.
    pub bytes: Vec<u8>,
}

impl Wrapped {
    /// Whether the key was destroyed. A living one has a random authenticator and is never all zero.
    pub fn is_destroyed(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }
}

/// The database handle. Callers serialise access to it.
pub struct Store {
    connection: Connection,
    journal: Option<PathBuf>,
}

impl Store {
    /// Opens or makes the store that belongs to the root key with this id.
    pub fn open(path: &Path, root_key: &str) -> Result<Self, StoreError> {
        let connection = Connection::open(path)?;
        let mut journal = path.as_os_str().to_owned();
        journal.push("-journal");
        Self::prepare(connection, Some(journal.into()), root_key)
    }

    /// A store that lives in memory only.
    pub fn in_memory(root_key: &str) -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, None, root_key)
    }

    fn prepare(connection: Connection, journal: Option<PathBuf>, root_key: &str) -> Result<Self, StoreError> {
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
            (0, 0) if tables == 0 => store.create(root_key)?,
            (APPLICATION_ID, SCHEMA_VERSION) => {}
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

    fn create(&mut self, root_key: &str) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.execute("INSERT INTO store (id, root_key) VALUES (1, ?1)", [root_key])?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        Ok(transaction.commit()?)
    }

    /// All versions of a tenant's key, oldest first.
    pub fn tenant_keys(&self, tenant: TenantId) -> Result<Vec<Wrapped>, StoreError> {
        let sql = "SELECT version, 0, wrapped FROM tenant_keys WHERE tenant = ?1 ORDER BY version";
        self.wrapped(sql, params![tenant.bytes()])
    }

    /// All versions of a tenant's index key, oldest first.
    pub fn index_keys(&self, tenant: TenantId) -> Result<Vec<Wrapped>, StoreError> {
        let sql = "SELECT version, tenant_version, wrapped FROM index_keys WHERE tenant = ?1 ORDER BY version";
        self.wrapped(sql, params![tenant.bytes()])
    }

    /// All versions of a patient's key, oldest first.
    pub fn patient_keys(&self, tenant: TenantId, patient: PatientId) -> Result<Vec<Wrapped>, StoreError> {
        let sql = "SELECT version, tenant_version, wrapped FROM patient_keys WHERE tenant = ?1 AND patient = ?2 ORDER BY version";
        self.wrapped(sql, params![tenant.bytes(), patient.bytes()])
    }

    fn wrapped(&self, sql: &str, bound: &[&dyn rusqlite::ToSql]) -> Result<Vec<Wrapped>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(bound, |row| Ok(Wrapped { version: row.get(0)?, under: row.get(1)?, bytes: row.get(2)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a tenant with its first key and its first index key.
    pub fn add_tenant(&mut self, tenant: TenantId, key: &Wrapped, index: &Wrapped) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO tenant_keys (tenant, version, wrapped) VALUES (?1, ?2, ?3)",
            params![tenant.bytes(), key.version, key.bytes],
        )?;
        transaction.execute(
            "INSERT INTO index_keys (tenant, version, tenant_version, wrapped) VALUES (?1, ?2, ?3, ?4)",
            params![tenant.bytes(), index.version, index.under, index.bytes],
        )?;
        Ok(transaction.commit()?)
    }

    /// Adds patients' keys, all or none.
    pub fn add_patient_keys(&mut self, keys: &[(TenantId, PatientId, Wrapped)]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO patient_keys (tenant, patient, version, tenant_version, wrapped) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for (tenant, patient, key) in keys {
                insert.execute(params![tenant.bytes(), patient.bytes(), key.version, key.under, key.bytes])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Overwrites every version of a patient's key with zeros; the row stays as the mark of the destruction.
    pub fn destroy_patient_keys(&mut self, tenant: TenantId, patient: PatientId) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "UPDATE patient_keys SET wrapped = zeroblob(length(wrapped)) WHERE tenant = ?1 AND patient = ?2",
            params![tenant.bytes(), patient.bytes()],
        )?;
        transaction.commit()?;
        self.wipe_journal().map_err(StoreError::Wipe)
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
