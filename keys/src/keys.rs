//! The handle: finds and destroys keys. Making them is in `making.rs`, making them anew in `rotation.rs`, what belongs to
//! an organisation as a whole in `tenants.rs`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use wardbook_events::{GroupSet, PatientId, TenantId};

use crate::cache::{Cache, CacheLimits, Clock, MonotonicClock};
use crate::error::{KeyError, StoreError};
use crate::forms::Forms;
use crate::making::Wanted;
use crate::providers::file::RootKey;
use crate::ring::PatientRing;
use crate::root::RootKeyProvider;
use crate::store::{KeyState, Store, Wrapped};
use crate::tenants::Tenants;
use crate::uses::Uses;

/// Where keys are kept and what wraps them.
pub struct KeysConfig {
    /// The key store's file (SQLite). Its backups are apart from the ledger's, or nobody is ever forgotten.
    pub path: PathBuf,
    /// What wraps the organisations' keys.
    pub root: Box<dyn RootKeyProvider>,
    /// Bounds of the cache of unwrapped keys.
    pub cache: CacheLimits,
    /// By which cached keys age.
    pub clock: Box<dyn Clock>,
    /// How values become tokens.
    pub forms: Forms,
}

impl KeysConfig {
    /// With the usual cache and the machine's clock.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, root: impl RootKeyProvider + 'static) -> Self {
        Self {
            path: path.into(),
            root: Box::new(root),
            cache: CacheLimits::default(),
            clock: Box::new(MonotonicClock::default()),
            forms: Forms::default(),
        }
    }
}

impl fmt::Debug for KeysConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysConfig").field("path", &self.path).field("cache", &self.cache).finish_non_exhaustive()
    }
}

/// A cheap handle to all keys. Calls block for a query when a key is not cached, and for a durable write (some 10-20 ms)
/// when one is made or destroyed: from async code, make and destroy within `spawn_blocking`.
#[derive(Clone)]
pub struct Keys(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) root: Box<dyn RootKeyProvider>,
    pub(crate) clock: Box<dyn Clock>,
    forms: Forms,
    /// Also orders loading into the cache against destroying: whoever inserts or removes a cached key holds this.
    pub(crate) store: Mutex<Store>,
    /// Keys that somebody waits for.
    pub(crate) wanted: Wanted,
    pub(crate) tenants: Tenants,
    pub(crate) patients: Cache,
    pub(crate) uses: Uses,
}

impl Keys {
    /// Opens the key store, or makes it.
    ///
    /// # Errors
    /// If another process has it, it is not a key store, it was made under another root key, or the disk fails.
    pub fn open_store(config: KeysConfig) -> Result<Self, StoreError> {
        let store = Store::open(&config.path, &config.root.id(), config.clock.unix_s())?;
        Ok(Self::over(store, config))
    }

    /// Keys that live as long as the handle, for tests and throw-away systems.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn in_memory() -> Result<Self, StoreError> {
        let config = KeysConfig::new("", RootKey::ephemeral()?);
        Ok(Self::over(Store::in_memory(&config.root.id())?, config))
    }

    fn over(store: Store, config: KeysConfig) -> Self {
        Self(Arc::new(Inner {
            root: config.root,
            clock: config.clock,
            forms: config.forms,
            store: Mutex::new(store),
            wanted: Wanted::default(),
            tenants: Tenants::new(config.cache.age_max),
            patients: Cache::new(config.cache),
            uses: Uses::default(),
        }))
    }

    /// Destroys every version of a patient's key, for ever. Doing it again is not an error.
    /// On return no copy is left in the store, its journal or the cache.
    ///
    /// # Errors
    /// If there never was a key, or the store fails; after [`StoreError::Wipe`], destroy it again.
    pub fn destroy_patient_key(&self, tenant: TenantId, patient: PatientId) -> Result<(), KeyError> {
        let mut store = self.0.store.lock();
        if store.patient_keys(tenant, patient)?.is_empty() {
            return Err(KeyError::UnknownKey { patient });
        }
        let destroyed = store.destroy_patient_keys(tenant, patient);
        self.0.patients.remove((tenant, patient));
        Ok(destroyed?)
    }

    /// Destroys what seals these groups of fields, in every version of a patient's key, for ever; the rest still opens.
    /// What is sealed from now on, of whatever group, is sealed under a new version. Doing it again is not an error.
    /// On return no copy is left in the store, its journal or the cache.
    ///
    /// # Errors
    /// If there is no key, it was destroyed, or the store fails; after [`StoreError::Wipe`], do it again.
    pub fn erase_groups(&self, tenant: TenantId, patient: PatientId, groups: GroupSet) -> Result<(), KeyError> {
        self.with_current_ring(tenant, patient, |store, ring| {
            let stored = live(store, tenant, patient)?;
            let next = stored.last().map_or(0, |key| key.version).saturating_add(1);
            let mut erased = Vec::with_capacity(stored.len());
            for key in &stored {
                erased.push((key.version, ring.erase_groups(patient, key, groups)?));
            }
            let new = ring.create_patient_key(patient, next, self.0.clock.unix_s())?;
            // First the new one: whatever happens in between, nothing is ever sealed that is about to be erased.
            store.add_patient_keys(&[(tenant, patient, new)])?;
            self.0.patients.remove((tenant, patient));
            Ok(store.overwrite_patient_keys(tenant, patient, &erased)?)
        })
    }

    /// Whether the patient has a key that was not destroyed.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_key(&self, tenant: TenantId, patient: PatientId) -> Result<bool, KeyError> {
        let stored = self.0.store.lock().patient_keys(tenant, patient)?;
        Ok(stored.last().is_some_and(|key| !key.is_destroyed()))
    }

    /// Wipes cached keys that are past their age. Call it now and then, so that an idle system holds none.
    pub fn sweep_cache(&self) {
        let now = self.0.clock.elapsed();
        self.0.patients.sweep(now);
        self.0.tenants.sweep(now);
    }

    pub(crate) fn forms(&self) -> &Forms {
        &self.0.forms
    }

    /// The patient's keys: from the cache, or unwrapped from the store.
    pub(crate) fn patient(&self, tenant: TenantId, patient: PatientId) -> Result<Arc<PatientRing>, KeyError> {
        let now = self.0.clock.elapsed();
        if let Some(ring) = self.0.patients.get((tenant, patient), now) {
            self.0.uses.cache_hits.fetch_add(1, Ordering::Relaxed);
            return Ok(ring);
        }
        let found = self.with_tenant_ring(tenant, patient, |store, ring| {
            let stored = live(store, tenant, patient)?;
            if !stored.iter().all(|key| ring.has(key.under)) {
                return Ok(None);
            }
            let ring = Arc::new(ring.unwrap_patient_keys(patient, &stored)?);
            self.0.patients.insert((tenant, patient), Arc::clone(&ring), now);
            self.0.uses.unwrapped(tenant);
            Ok(Some(ring))
        })?;
        Ok(found)
    }
}

/// All versions of a patient's key, unless it was destroyed.
pub(crate) fn live(store: &Store, tenant: TenantId, patient: PatientId) -> Result<Vec<Wrapped>, KeyError> {
    let stored = store.patient_keys(tenant, patient)?;
    match stored.last() {
        None => Err(KeyError::UnknownKey { patient }),
        Some(_) if stored.iter().any(|key| key.state == KeyState::Destroyed || key.is_destroyed()) => {
            Err(KeyError::Destroyed { patient })
        }
        Some(_) => Ok(stored),
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

#[cfg(test)]
impl Keys {
    pub(crate) fn cached(&self) -> usize {
        self.0.patients.len()
    }
    pub(crate) fn forget_cached(&self) {
        self.0.patients.sweep(std::time::Duration::MAX);
    }
    /// The wrapped forms in the store.
    pub(crate) fn stored(&self, tenant: TenantId, patient: PatientId) -> Vec<Vec<u8>> {
        let stored = self.0.store.lock().patient_keys(tenant, patient).unwrap();
        stored.into_iter().map(|key| key.bytes).collect()
    }
}
