//! Keys made anew (ENC-10) and wrapped anew (ENC-11).
//!
//! A new version of a key is one durable write. What the old version wraps is wrapped anew in batches: each is one durable
//! write, between them the store is free, and where it stands is in the rows themselves, so it goes on after a kill
//! wherever it was. Only when nothing is left under a version it is retired, and destroyed some versions later. Versions
//! of patients' keys are never destroyed by age: what they sealed stands in the ledger for ever.

mod compromise;
mod index;
mod root;
#[cfg(test)]
mod tests;
mod using;

pub use compromise::Before;
pub use root::RootStatus;
pub use using::KeyUse;
pub(crate) use using::Using;

use parking_lot::MutexGuard;
use wardbook_events::{PatientId, TenantId};

use crate::error::{KeyError, StoreError};
use crate::keys::{Keys, live};
use crate::store::{Due, KeyState, VersionCount, Wrapped};

/// A version of an organisation's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// From 1.
    pub version: u32,
    /// What it is good for.
    pub state: KeyState,
    /// When it was made, in seconds of Unix time.
    pub made_at: u64,
    /// Patients' keys, of whatever version, that are wrapped under it.
    pub patient_keys: u64,
}

/// Keys of an organisation as they stand; nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysStatus {
    /// The organisation's key, oldest version first.
    pub tenant: Vec<VersionStatus>,
    /// The index key, oldest version first.
    pub index: Vec<VersionStatus>,
    /// Patients who have a key.
    pub patients: u64,
    /// When the oldest of their newest keys was made, in seconds of Unix time.
    pub oldest_patient_key: Option<u64>,
}

impl KeysStatus {
    /// Patients' keys that are still wrapped under an older version of the organisation's key than the newest.
    #[must_use]
    pub fn to_rewrap(&self) -> u64 {
        self.tenant.split_last().map_or(0, |(_, older)| older.iter().map(|key| key.patient_keys).sum())
    }
}

fn version_status(key: &Wrapped, under: &[VersionCount]) -> VersionStatus {
    let patient_keys = under.iter().find(|count| count.version == key.version).map_or(0, |count| count.keys);
    VersionStatus { version: key.version, state: key.state, made_at: key.made_at, patient_keys }
}

impl Keys {
    /// Organisations that have keys.
    ///
    /// # Errors
    /// If the store fails.
    pub fn tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        self.0.store.lock().tenants()
    }

    /// Versions, ages and states of an organisation's key, oldest first; what is wrapped under them is not counted, so it
    /// costs little.
    ///
    /// # Errors
    /// If the store fails.
    pub fn tenant_versions(&self, tenant: TenantId) -> Result<Vec<VersionStatus>, StoreError> {
        let keys = self.0.store.lock().tenant_keys(tenant)?;
        Ok(keys.iter().map(|key| version_status(key, &[])).collect())
    }

    /// Versions, ages and states of an organisation's keys. Counts, for which it goes through all of them.
    ///
    /// # Errors
    /// If the store fails.
    pub fn status(&self, tenant: TenantId) -> Result<KeysStatus, StoreError> {
        let store = self.0.store.lock();
        let under = store.patient_keys_under(tenant)?;
        let (patients, oldest_patient_key) = store.patient_keys_in_use(tenant)?;
        Ok(KeysStatus {
            tenant: store.tenant_keys(tenant)?.iter().map(|key| version_status(key, &under)).collect(),
            index: store.index_keys(tenant)?.iter().map(|key| version_status(key, &[])).collect(),
            patients,
            oldest_patient_key,
        })
    }

    /// Makes a new version of an organisation's key. What is made from now on is wrapped under it; the rest follows by
    /// [`Self::rewrap_patient_keys`]. Asks the root key's provider.
    ///
    /// # Errors
    /// If the organisation has no key, the provider does not answer, or the store fails.
    pub fn rotate_tenant_key(&self, tenant: TenantId) -> Result<u32, StoreError> {
        let gate = self.0.tenants.gate(tenant);
        let _alone = gate.lock();
        let ring = self.tenant_alone(tenant)?.ok_or(StoreError::Damaged { what: "an organisation's key" })?;
        let (key, secrets) = ring.next(self.0.root.as_ref(), self.0.clock.unix_s())?;
        self.0.store.lock().add_tenant_key(tenant, &key, &secrets)?;
        // Older rings know nothing of it; whoever makes a key compares versions.
        self.0.tenants.forget(tenant);
        self.load_tenant(tenant)?;
        Ok(key.version)
    }

    /// Wraps up to `max` patients' keys under the newest version of the organisation's key, in one durable write; returns
    /// how many. None: nothing is left, and the organisation's index keys and keys of secrets are under it as well.
    ///
    /// # Errors
    /// If the store or the provider fails; nothing of this batch is changed then.
    pub fn rewrap_patient_keys(&self, tenant: TenantId, max: usize) -> Result<usize, StoreError> {
        let Some(ring) = self.tenant(tenant)? else { return Ok(0) };
        let mut store = self.0.store.lock();
        let newest = store.newest_tenant_version(tenant)?;
        if newest != ring.version() {
            self.0.tenants.forget(tenant);
            return Err(StoreError::Contended);
        }
        let mut count =
            store.rewrap_patient_keys(tenant, newest, max, &|patient, key| ring.rewrap_patient_key(patient, key))?;
        if count == 0 {
            count = store.rewrap_own_keys(tenant, newest, &|key| ring.rewrap_index_key(key), &|key| {
                ring.rewrap_secret_key(key)
            })?;
        }
        // Whoever waits comes before the next batch.
        MutexGuard::unlock_fair(store);
        Ok(count)
    }

    /// Retires the older versions of an organisation's key under which nothing is wrapped any more, and destroys all but
    /// the newest `keep`; returns those destroyed now.
    ///
    /// # Errors
    /// If the store fails.
    pub fn retire_tenant_keys(&self, tenant: TenantId, keep: usize) -> Result<Vec<u32>, StoreError> {
        let mut store = self.0.store.lock();
        let destroyed = store.retire_tenant_keys(tenant, keep)?;
        if !destroyed.is_empty() {
            self.0.tenants.forget(tenant);
        }
        Ok(destroyed)
    }

    /// Makes a new version of a patient's key; what was sealed under older ones still opens.
    ///
    /// # Errors
    /// If there is no key, it was destroyed, or the store fails.
    pub fn rotate_patient_key(&self, tenant: TenantId, patient: PatientId) -> Result<u32, KeyError> {
        match self.rotate_patient_keys(tenant, &[patient])?.as_slice() {
            [(_, version)] => Ok(*version),
            _ => Err(live(&self.0.store.lock(), tenant, patient).err().unwrap_or(KeyError::UnknownKey { patient })),
        }
    }

    /// Makes new versions of patients' keys in one durable write; returns the new version of each. Those who have no key
    /// or whose key was destroyed are left out.
    ///
    /// # Errors
    /// If the store or the provider fails.
    pub fn rotate_patient_keys(
        &self,
        tenant: TenantId,
        patients: &[PatientId],
    ) -> Result<Vec<(PatientId, u32)>, KeyError> {
        let Some(first) = patients.first() else { return Ok(Vec::new()) };
        self.with_current_ring(tenant, *first, |store, ring| {
            let now = self.0.clock.unix_s();
            let mut new = Vec::with_capacity(patients.len());
            for patient in patients {
                let stored = match live(store, tenant, *patient) {
                    Ok(stored) => stored,
                    Err(KeyError::KeyStore(error)) => return Err(error.into()),
                    Err(_) => continue,
                };
                let newest = stored.last().map_or(0, |key| key.version);
                let version = newest.checked_add(1).ok_or(StoreError::Damaged { what: "a key's version" })?;
                if !new.iter().any(|(_, other, _)| other == patient) {
                    new.push((tenant, *patient, ring.create_patient_key(*patient, version, now)?));
                }
            }
            store.add_patient_keys(&new)?;
            for (_, patient, _) in &new {
                self.0.patients.remove((tenant, *patient));
            }
            self.0.tenants.using.turn(tenant);
            Ok(new.into_iter().map(|(_, patient, key)| (patient, key.version)).collect())
        })
    }

    /// Patients whose newest key is due for a new version: at most `max`, the most urgent first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn patient_keys_due(&self, tenant: TenantId, due: Due, max: usize) -> Result<Vec<PatientId>, StoreError> {
        self.0.store.lock().due(tenant, due, max)
    }

    /// Raises patients' minimum decryption version: versions before the named one open nothing any more (ENC-11). Seal what
    /// is current anew first. Returns how many versions were disabled.
    ///
    /// # Errors
    /// If the store fails.
    pub fn disable_versions(&self, tenant: TenantId, oldest: &[(PatientId, u32)]) -> Result<usize, StoreError> {
        let mut store = self.0.store.lock();
        let count = store.disable_patient_keys(tenant, oldest)?;
        for (patient, _) in oldest {
            self.0.patients.remove((tenant, *patient));
        }
        Ok(count)
    }
}
