//! Changing keys where they stand: wrapped anew, disabled, overwritten.

use rusqlite::{Connection, params};
use wardbook_events::{PatientId, TenantId};

use super::tables::{read, signed};
use super::{KeyState, Store, Wrapped};
use crate::error::StoreError;

/// What wraps a patient's key anew, at the same length.
pub type Rewrap<'a> = &'a dyn Fn(PatientId, &Wrapped) -> Result<Vec<u8>, StoreError>;
/// What wraps another key of an organisation anew, at the same length.
pub type RewrapOwn<'a> = &'a dyn Fn(&Wrapped) -> Result<Vec<u8>, StoreError>;

/// The note of when a version of the root key was first seen: `<seconds> <version>`.
pub const ROOT_SINCE: &str = "root-version-since";

const OTHER_LENGTH: StoreError = StoreError::Damaged { what: "the length of a key wrapped anew" };

impl Store {
    /// Wraps up to `max` of a tenant's patient keys under version `newest` that are under an older one, in one durable
    /// write; returns how many. None: it is done.
    pub fn rewrap_patient_keys(
        &mut self,
        tenant: TenantId,
        newest: u32,
        max: usize,
        rewrap: Rewrap<'_>,
    ) -> Result<usize, StoreError> {
        let transaction = self.connection.transaction()?;
        let old: Vec<(i64, PatientId, Wrapped)> = {
            let mut select = transaction.prepare_cached(
                "SELECT k.version, f.under, k.wrapped, f.state, f.made_at, k.id, k.patient
                 FROM patient_key_facts f JOIN patient_keys k ON k.id = f.id
                 WHERE f.tenant = ?1 AND f.under < ?2 AND f.state <> 3 LIMIT ?3",
            )?;
            let rows = select.query_map(params![tenant.bytes(), newest, signed(max as u64)], |row| {
                Ok((row.get(5)?, PatientId::from_bytes(row.get(6)?), read(row)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        {
            let mut wrapped = transaction.prepare_cached(
                "UPDATE patient_keys SET wrapped = ?2 WHERE id = ?1 AND length(wrapped) = length(?2)",
            )?;
            let mut under = transaction.prepare_cached("UPDATE patient_key_facts SET under = ?2 WHERE id = ?1")?;
            for (id, patient, key) in &old {
                if wrapped.execute(params![id, rewrap(*patient, key)?])? != 1 {
                    return Err(OTHER_LENGTH);
                }
                under.execute(params![id, newest])?;
            }
        }
        transaction.commit()?;
        Ok(old.len())
    }

    /// Wraps a tenant's index keys and keys of secrets under version `newest`; returns how many there were to wrap.
    pub fn rewrap_own_keys(
        &mut self,
        tenant: TenantId,
        newest: u32,
        index: RewrapOwn<'_>,
        secrets: RewrapOwn<'_>,
    ) -> Result<usize, StoreError> {
        let indexes: Vec<_> = self.index_keys(tenant)?.into_iter().filter(|key| !key.is_destroyed()).collect();
        let secret_keys = self.secret_keys(tenant)?;
        let mut count = 0;
        let transaction = self.connection.transaction()?;
        for (table, keys, rewrap) in [("index", indexes, index), ("secret", secret_keys, secrets)] {
            for key in keys.iter().filter(|key| key.under < newest) {
                let wrapped = transaction.execute(
                    &format!(
                        "UPDATE {table}_keys SET wrapped = ?3
                         WHERE tenant = ?1 AND version = ?2 AND length(wrapped) = length(?3)"
                    ),
                    params![tenant.bytes(), key.version, rewrap(key)?],
                )?;
                if wrapped != 1 {
                    return Err(OTHER_LENGTH);
                }
                transaction.execute(
                    &format!(
                        "UPDATE {table}_key_facts SET under = ?3
                         WHERE id = (SELECT id FROM {table}_keys WHERE tenant = ?1 AND version = ?2)"
                    ),
                    params![tenant.bytes(), key.version, newest],
                )?;
                count += 1;
            }
        }
        transaction.commit()?;
        Ok(count)
    }

    /// Puts a new wrapping of a version of a tenant's key in the place of the old, if that is still there; says whether
    /// it was. One of another length stands in a row of its own, and the old one is overwritten.
    pub fn tenant_key_rewrapped(
        &mut self,
        tenant: TenantId,
        version: u32,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool, StoreError> {
        let current = self.tenant_keys(tenant)?.into_iter().find(|key| key.version == version);
        if current.is_none_or(|key| key.bytes != old) {
            return Ok(false);
        }
        let transaction = self.connection.transaction()?;
        put_wrapping(&transaction, tenant, version, old, new)?;
        transaction.commit()?;
        self.wipe_journal().map_err(StoreError::Wipe)?;
        Ok(true)
    }

    /// Once nothing is left under a tenant's older versions, they are retired, and all but the newest `keep` destroyed;
    /// returns those that are destroyed by this call. What something is still wrapped under is left as it is.
    pub fn retire_tenant_keys(&mut self, tenant: TenantId, keep: usize) -> Result<Vec<u32>, StoreError> {
        let keys = self.tenant_keys(tenant)?;
        let Some((newest, older)) = keys.split_last() else { return Ok(Vec::new()) };
        let kept_from = newest.version.saturating_sub(u32::try_from(keep.max(1) - 1).unwrap_or(u32::MAX));
        let mut destroyed = Vec::new();
        let transaction = self.connection.transaction()?;
        for key in older.iter().filter(|key| !key.is_destroyed()) {
            if under(&transaction, tenant, key.version)? > 0 {
                continue;
            }
            let of = "SELECT id FROM tenant_keys WHERE tenant = ?1 AND version = ?2";
            let bound = params![tenant.bytes(), key.version];
            let state = if key.version < kept_from {
                for place in [
                    "tenant_wraps SET wrapped = zeroblob(length(wrapped)) WHERE key",
                    "tenant_keys SET wrapped = zeroblob(length(wrapped)) WHERE id",
                ] {
                    transaction.execute(&format!("UPDATE {place} = ({of})"), bound)?;
                }
                destroyed.push(key.version);
                3
            } else {
                1
            };
            transaction.execute(&format!("UPDATE tenant_key_facts SET state = {state} WHERE id = ({of})"), bound)?;
        }
        transaction.commit()?;
        self.wipe_journal().map_err(StoreError::Wipe)?;
        Ok(destroyed)
    }

    /// Takes versions of a tenant's index key that are older than `newest` out of use: nobody is found by their tokens any
    /// more. Returns how many.
    pub fn retire_index_keys(&mut self, tenant: TenantId, newest: u32) -> Result<usize, StoreError> {
        Ok(self.connection.execute(
            "UPDATE index_key_facts SET state = 1 WHERE state = 0
             AND id IN (SELECT id FROM index_keys WHERE tenant = ?1 AND version < ?2)",
            params![tenant.bytes(), newest],
        )?)
    }

    /// Overwrites the versions of a tenant's index key that are out of use with zeros; returns which.
    pub fn destroy_index_keys(&mut self, tenant: TenantId) -> Result<Vec<u32>, StoreError> {
        let retired: Vec<u32> = {
            let keys = self.index_keys(tenant)?.into_iter();
            keys.filter(|key| key.state == KeyState::Retired).map(|key| key.version).collect()
        };
        let transaction = self.connection.transaction()?;
        for version in &retired {
            let of = "SELECT id FROM index_keys WHERE tenant = ?1 AND version = ?2";
            for change in [
                "UPDATE index_keys SET wrapped = zeroblob(length(wrapped)) WHERE id",
                "UPDATE index_key_facts SET state = 3 WHERE id",
            ] {
                transaction.execute(&format!("{change} = ({of})"), params![tenant.bytes(), version])?;
            }
        }
        transaction.commit()?;
        self.wipe_journal().map_err(StoreError::Wipe)?;
        Ok(retired)
    }

    /// Disables the versions of patients' keys that are older than the one named, all or none; returns how many.
    pub fn disable_patient_keys(&mut self, tenant: TenantId, oldest: &[(PatientId, u32)]) -> Result<usize, StoreError> {
        let transaction = self.connection.transaction()?;
        let mut count = 0;
        {
            let mut disable = transaction.prepare_cached(
                "UPDATE patient_key_facts SET state = 2 WHERE state IN (0, 1)
                 AND id IN (SELECT id FROM patient_keys WHERE tenant = ?1 AND patient = ?2 AND version < ?3)",
            )?;
            for (patient, version) in oldest {
                count += disable.execute(params![tenant.bytes(), patient.bytes(), version])?;
            }
        }
        transaction.commit()?;
        Ok(count)
    }

    /// Overwrites every version of a patient's key with zeros; the row stays as the mark of the destruction.
    pub fn destroy_patient_keys(&mut self, tenant: TenantId, patient: PatientId) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        let bound = params![tenant.bytes(), patient.bytes()];
        transaction.execute(
            "UPDATE patient_keys SET wrapped = zeroblob(length(wrapped)) WHERE tenant = ?1 AND patient = ?2",
            bound,
        )?;
        transaction.execute(
            "UPDATE patient_key_facts SET state = 3
             WHERE id IN (SELECT id FROM patient_keys WHERE tenant = ?1 AND patient = ?2)",
            bound,
        )?;
        transaction.commit()?;
        self.wipe_journal().map_err(StoreError::Wipe)
    }

    /// Overwrites versions of a patient's key with other bytes of the same length, all or none, and leaves no trace of
    /// what stood there.
    pub fn overwrite_patient_keys(
        &mut self,
        tenant: TenantId,
        patient: PatientId,
        new: &[(u32, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        for (version, bytes) in new {
            let written = transaction.execute(
                "UPDATE patient_keys SET wrapped = ?4
                 WHERE tenant = ?1 AND patient = ?2 AND version = ?3 AND length(wrapped) = length(?4)",
                params![tenant.bytes(), patient.bytes(), version, bytes],
            )?;
            if written != 1 {
                return Err(OTHER_LENGTH);
            }
        }
        transaction.commit()?;
        self.wipe_journal().map_err(StoreError::Wipe)
    }
}

/// A tenant's key wrapped under another root key.
pub struct Moved {
    pub tenant: TenantId,
    pub version: u32,
    pub old: Vec<u8>,
    pub new: Vec<u8>,
}

impl Store {
    /// Puts every tenant's key under another root key, all or none, and leaves no trace of the old wrappings.
    pub fn move_root(&mut self, moved: &[Moved], from: &str, to: &str) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        let there: i64 = transaction.query_row(
            "SELECT count(*) FROM tenant_keys k JOIN tenant_key_facts f ON f.id = k.id WHERE f.state <> 3",
            [],
            |row| row.get(0),
        )?;
        // A key that came in between would be under neither.
        if there != signed(moved.len() as u64) {
            return Err(StoreError::Contended);
        }
        for Moved { tenant, version, old, new } in moved {
            put_wrapping(&transaction, *tenant, *version, old, new)?;
        }
        let renamed = transaction.execute("UPDATE store SET root_key = ?2 WHERE root_key = ?1", [from, to])?;
        if renamed != 1 {
            return Err(StoreError::Contended);
        }
        // The other key may call its version the same.
        transaction.execute("DELETE FROM notes WHERE name = ?1", [ROOT_SINCE])?;
        transaction.commit()?;
        self.wipe_journal().map_err(StoreError::Wipe)
    }
}

/// How many keys are wrapped under a version of a tenant's key.
pub(super) fn under(connection: &Connection, tenant: TenantId, version: u32) -> rusqlite::Result<i64> {
    connection.query_row(
        "SELECT (SELECT count(*) FROM patient_key_facts WHERE tenant = ?1 AND under = ?2 AND state <> 3)
            + (SELECT count(*) FROM index_keys k JOIN index_key_facts f ON f.id = k.id
               WHERE k.tenant = ?1 AND f.under = ?2 AND f.state <> 3)
            + (SELECT count(*) FROM secret_keys k JOIN secret_key_facts f ON f.id = k.id
               WHERE k.tenant = ?1 AND f.under = ?2)",
        params![tenant.bytes(), version],
        |row| row.get(0),
    )
}

/// Puts a new wrapping of a version of a tenant's key in the place of the old.
pub(super) fn put_wrapping(
    connection: &Connection,
    tenant: TenantId,
    version: u32,
    old: &[u8],
    new: &[u8],
) -> rusqlite::Result<()> {
    let of = "SELECT id FROM tenant_keys WHERE tenant = ?1 AND version = ?2";
    let zeros = vec![0; old.len()];
    let in_place = if new.len() == old.len() { new } else { &zeros };
    // One of the two holds the old bytes; the other has zeros or is not there.
    for place in [
        format!("UPDATE tenant_wraps SET wrapped = ?4 WHERE key = ({of}) AND wrapped = ?3"),
        format!("UPDATE tenant_keys SET wrapped = ?4 WHERE id = ({of}) AND wrapped = ?3"),
    ] {
        connection.execute(&place, params![tenant.bytes(), version, old, in_place])?;
    }
    if new.len() != old.len() {
        connection.execute(
            &format!("INSERT INTO tenant_wraps (key, wrapped) VALUES (({of}), ?3)"),
            params![tenant.bytes(), version, new],
        )?;
    }
    Ok(())
}
