//! Reading keys, and adding new ones.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use wardbook_events::{PatientId, TenantId};

use super::{KeyState, Store, Wrapped};
use crate::error::StoreError;

/// `version, under, wrapped, state, made_at`.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Wrapped> {
    let state = KeyState::of_code(row.get(3)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, i64::MAX))?;
    let made_at: i64 = row.get(4)?;
    Ok(Wrapped {
        version: row.get(0)?,
        under: row.get(1)?,
        bytes: row.get(2)?,
        state,
        made_at: made_at.max(0).cast_unsigned(),
    })
}

/// SQLite's integers have a sign.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const TENANT_KEYS: &str = "
    SELECT k.version, 0,
        coalesce((SELECT w.wrapped FROM tenant_wraps w WHERE w.key = k.id ORDER BY w.id DESC LIMIT 1), k.wrapped),
        f.state, f.made_at
    FROM tenant_keys k JOIN tenant_key_facts f ON f.id = k.id WHERE k.tenant = ?1 ORDER BY k.version";
const INDEX_KEYS: &str = "
    SELECT k.version, f.under, k.wrapped, f.state, f.made_at
    FROM index_keys k JOIN index_key_facts f ON f.id = k.id WHERE k.tenant = ?1 ORDER BY k.version";
const SECRET_KEYS: &str = "
    SELECT k.version, f.under, k.wrapped, 1, 0
    FROM secret_keys k JOIN secret_key_facts f ON f.id = k.id WHERE k.tenant = ?1 ORDER BY k.version";
const PATIENT_KEYS: &str = "
    SELECT k.version, f.under, k.wrapped, f.state, f.made_at
    FROM patient_keys k JOIN patient_key_facts f ON f.id = k.id WHERE k.tenant = ?1 AND k.patient = ?2 ORDER BY k.version";

impl Store {
    /// All organisations that have keys.
    pub fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT DISTINCT tenant FROM tenant_keys ORDER BY tenant")?;
        let rows = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
        Ok(rows.map(|id| id.map(TenantId::from_bytes)).collect::<Result<_, _>>()?)
    }

    /// All versions of a tenant's key, oldest first.
    pub fn tenant_keys(&self, tenant: TenantId) -> Result<Vec<Wrapped>, StoreError> {
        self.wrapped(TENANT_KEYS, params![tenant.bytes()])
    }

    /// The newest version of a tenant's key; 0 if it has none.
    pub fn newest_tenant_version(&self, tenant: TenantId) -> Result<u32, StoreError> {
        let sql = "SELECT coalesce(max(version), 0) FROM tenant_keys WHERE tenant = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([tenant.bytes()], |row| row.get(0))?)
    }

    /// All versions of a tenant's index key, oldest first.
    pub fn index_keys(&self, tenant: TenantId) -> Result<Vec<Wrapped>, StoreError> {
        self.wrapped(INDEX_KEYS, params![tenant.bytes()])
    }

    /// The keys of secrets of older tenant keys, wrapped under newer ones.
    pub fn secret_keys(&self, tenant: TenantId) -> Result<Vec<Wrapped>, StoreError> {
        self.wrapped(SECRET_KEYS, params![tenant.bytes()])
    }

    /// All versions of a patient's key, oldest first.
    pub fn patient_keys(&self, tenant: TenantId, patient: PatientId) -> Result<Vec<Wrapped>, StoreError> {
        self.wrapped(PATIENT_KEYS, params![tenant.bytes(), patient.bytes()])
    }

    fn wrapped(&self, sql: &str, bound: &[&dyn rusqlite::ToSql]) -> Result<Vec<Wrapped>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(bound, read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a tenant with its first key and its first index key.
    pub fn add_tenant(&mut self, tenant: TenantId, key: &Wrapped, index: &Wrapped) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        insert_tenant_key(&transaction, tenant, key)?;
        insert_index_key(&transaction, tenant, index)?;
        Ok(transaction.commit()?)
    }

    /// Adds a version of a tenant's key, with the key of secrets of the version before, wrapped under it.
    pub fn add_tenant_key(&mut self, tenant: TenantId, key: &Wrapped, secrets: &Wrapped) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        insert_tenant_key(&transaction, tenant, key)?;
        insert_secret_key(&transaction, tenant, secrets)?;
        Ok(transaction.commit()?)
    }

    /// Adds a version of a tenant's index key, and with it the key of digests if that is not there yet. Older versions stay
    /// as they are: patients are found by them until they are re-indexed.
    pub fn add_index_key(
        &mut self,
        tenant: TenantId,
        index: &Wrapped,
        commands: Option<&Wrapped>,
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        insert_index_key(&transaction, tenant, index)?;
        if let Some(commands) = commands {
            insert_secret_key(&transaction, tenant, commands)?;
        }
        Ok(transaction.commit()?)
    }

    /// Adds patients' keys, all or none; a patient's versions before are retired.
    pub fn add_patient_keys(&mut self, keys: &[(TenantId, PatientId, Wrapped)]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut retire = transaction.prepare_cached(
                "UPDATE patient_key_facts SET state = 1 WHERE state = 0
                 AND id IN (SELECT id FROM patient_keys WHERE tenant = ?1 AND patient = ?2 AND version < ?3)",
            )?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO patient_keys (tenant, patient, version, tenant_version, wrapped) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let mut facts = transaction.prepare_cached(
                "INSERT INTO patient_key_facts (id, tenant, under, made_at, state, uses) VALUES (?1, ?2, ?3, ?4, 0, 0)",
            )?;
            for (tenant, patient, key) in keys {
                if key.version > 1 {
                    retire.execute(params![tenant.bytes(), patient.bytes(), key.version])?;
                }
                insert.execute(params![tenant.bytes(), patient.bytes(), key.version, key.under, key.bytes])?;
                let id = transaction.last_insert_rowid();
                facts.execute(params![id, tenant.bytes(), key.under, signed(key.made_at)])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Where long work stands, as [`Self::note`] left it.
    pub fn noted(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM notes WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Notes where long work stands. Nothing secret: it leaves traces.
    pub fn note(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        self.connection.execute(
            "INSERT INTO notes (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [name, value],
        )?;
        Ok(())
    }
}

fn insert_tenant_key(transaction: &Transaction<'_>, tenant: TenantId, key: &Wrapped) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO tenant_keys (tenant, version, wrapped) VALUES (?1, ?2, ?3)",
        params![tenant.bytes(), key.version, key.bytes],
    )?;
    transaction.execute(
        "INSERT INTO tenant_key_facts (id, made_at, state) VALUES (?1, ?2, 0)",
        params![transaction.last_insert_rowid(), signed(key.made_at)],
    )?;
    Ok(())
}

fn insert_secret_key(transaction: &Transaction<'_>, tenant: TenantId, key: &Wrapped) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO secret_keys (tenant, version, wrapped) VALUES (?1, ?2, ?3)",
        params![tenant.bytes(), key.version, key.bytes],
    )?;
    transaction.execute(
        "INSERT INTO secret_key_facts (id, under) VALUES (?1, ?2)",
        params![transaction.last_insert_rowid(), key.under],
    )?;
    Ok(())
}

fn insert_index_key(transaction: &Transaction<'_>, tenant: TenantId, key: &Wrapped) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO index_keys (tenant, version, tenant_version, wrapped) VALUES (?1, ?2, ?3, ?4)",
        params![tenant.bytes(), key.version, key.under, key.bytes],
    )?;
    transaction.execute(
        "INSERT INTO index_key_facts (id, under, made_at, state) VALUES (?1, ?2, ?3, 0)",
        params![transaction.last_insert_rowid(), key.under, signed(key.made_at)],
    )?;
    Ok(())
}
