//! Ages, uses and how far a rewrap has come.

use rusqlite::params;
use wardbook_events::{PatientId, TenantId};

use super::Store;
#[cfg(test)]
use super::changes::under;
use super::tables::signed;
use crate::cache::Used;
use crate::error::StoreError;

/// How many keys are wrapped under a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionCount {
    /// The version.
    pub version: u32,
    /// Keys under it.
    pub keys: u64,
}

/// When a patient's key is due for a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Made before this moment, in seconds of Unix time.
    MadeBefore(u64),
    /// Used at least this often.
    Uses(u64),
}

impl Store {
    /// Patients' newest keys: how many there are, and when the oldest of them was made.
    pub fn patient_keys_in_use(&self, tenant: TenantId) -> Result<(u64, Option<u64>), StoreError> {
        let sql = "SELECT count(*), min(made_at) FROM patient_key_facts WHERE tenant = ?1 AND state = 0";
        let mut statement = self.connection.prepare_cached(sql)?;
        let (count, oldest): (i64, Option<i64>) =
            statement.query_row([tenant.bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((count.max(0).cast_unsigned(), oldest.map(|at| at.max(0).cast_unsigned())))
    }

    /// How many of a tenant's patient keys are wrapped under each version of its key.
    pub fn patient_keys_under(&self, tenant: TenantId) -> Result<Vec<VersionCount>, StoreError> {
        let sql = "SELECT under, count(*) FROM patient_key_facts WHERE tenant = ?1 AND state <> 3 GROUP BY under";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([tenant.bytes()], |row| {
            let keys: i64 = row.get(1)?;
            Ok(VersionCount { version: row.get(0)?, keys: keys.max(0).cast_unsigned() })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether anything is wrapped under a version of a tenant's key that is older than this one.
    #[cfg(test)]
    pub fn anything_before(&self, tenant: TenantId, newest: u32) -> Result<bool, StoreError> {
        let older = self.tenant_keys(tenant)?.into_iter().filter(|key| key.version < newest && !key.is_destroyed());
        for key in older {
            if under(&self.connection, tenant, key.version)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Patients whose newest key is due for a new version; at most `max`, the most urgent first.
    pub fn due(&self, tenant: TenantId, due: Due, max: usize) -> Result<Vec<PatientId>, StoreError> {
        let (condition, bound) = match due {
            Due::MadeBefore(at) => ("f.made_at < ?2 ORDER BY f.made_at", at),
            Due::Uses(uses) => ("f.uses >= ?2 AND f.uses > 0 ORDER BY f.uses DESC", uses.max(1)),
        };
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT k.patient FROM patient_key_facts f JOIN patient_keys k ON k.id = f.id
             WHERE f.tenant = ?1 AND f.state = 0 AND {condition} LIMIT ?3"
        ))?;
        let bound = params![tenant.bytes(), signed(bound), signed(max as u64)];
        let rows = statement.query_map(bound, |row| row.get::<_, [u8; 16]>(0))?;
        Ok(rows.map(|id| id.map(PatientId::from_bytes)).collect::<Result<_, _>>()?)
    }

    /// How often a version of a patient's key was used, roughly; `None` if there is no such version.
    #[cfg(test)]
    pub fn uses(&self, tenant: TenantId, patient: PatientId, version: u32) -> Result<Option<u64>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT f.uses FROM patient_keys k JOIN patient_key_facts f ON f.id = k.id
             WHERE k.tenant = ?1 AND k.patient = ?2 AND k.version = ?3",
        )?;
        let mut rows = statement.query_map(params![tenant.bytes(), patient.bytes(), version], |row| {
            row.get::<_, i64>(0).map(|uses| uses.max(0).cast_unsigned())
        })?;
        Ok(rows.next().transpose()?)
    }

    /// Adds to the counts of uses, in one write.
    pub fn add_uses(&mut self, used: &[Used]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        {
            let mut add = transaction.prepare_cached(
                "UPDATE patient_key_facts SET uses = uses + ?4
                 WHERE id = (SELECT id FROM patient_keys WHERE tenant = ?1 AND patient = ?2 AND version = ?3)",
            )?;
            for (tenant, patient, version, uses) in used {
                add.execute(params![tenant.bytes(), patient.bytes(), version, signed(*uses)])?;
            }
        }
        Ok(transaction.commit()?)
    }
}
