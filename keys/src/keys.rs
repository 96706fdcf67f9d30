//! The handle: finds, rotates and destroys keys. Making them is in `making.rs`.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use wardbook_events::{PatientId, TenantId};

use crate::cache::{Cache, CacheLimits, Clock, MonotonicClock};
use crate::error::{KeyError, StoreError};
use crate::forms::Forms;
use crate::making::Wanted;
use crate::providers::file::RootKey;
use crate::ring::{PatientRing, TenantRing};
use crate::root::RootKeyProvider;
use crate::store::Store;

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
    root: Box<dyn RootKeyProvider>,
    clock: Box<dyn Clock>,
    forms: Forms,
    /// Also orders loading into the cache against destroying: whoever inserts or removes a cached key holds this.
    pub(crate) store: Mutex<Store>,
    /// Keys that somebody waits for.
    pub(crate) wanted: Wanted,
    tenants: RwLock<HashMap<TenantId, Arc<TenantRing>>>,
    patients: Cache,
}

impl Keys {
    /// Opens the key store, or makes it.
    ///
    /// # Errors
    /// If another process has it, it is not a key store, it was made under another root key, or the disk fails.
    pub fn open_store(config: KeysConfig) -> Result<Self, StoreError> {
        let store = Store::open(&config.path, &config.root.id())?;
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
            tenants: RwLock::default(),
            patients: Cache::new(config.cache),
        }))
    }

    /// Makes a new version of a patient's key; what was sealed under older ones still opens.
    ///
    /// # Errors
    /// If there is no key, it was destroyed, or the store fails.
    pub fn rotate_patient_key(&self, tenant: TenantId, patient: PatientId) -> Result<u32, KeyError> {
        let ring = self.tenant(tenant)?.ok_or(KeyError::UnknownKey { patient })?;
        let mut store = self.0.store.lock();
        let stored = store.patient_keys(tenant, patient)?;
        let newest = stored.last().ok_or(KeyError::UnknownKey { patient })?;
        if newest.is_destroyed() {
            return Err(KeyError::Destroyed { patient });
        }
        let version = newest.version.checked_add(1).ok_or(StoreError::Damaged { what: "a key's version" })?;
        let wrapped = ring.create_patient_key(patient, version)?;
        store.add_patient_keys(&[(tenant, patient, wrapped)])?;
        self.0.patients.remove((tenant, patient));
        Ok(version)
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
        self.0.patients.sweep(self.0.clock.elapsed());
    }

    pub(crate) fn forms(&self) -> &Forms {
        &self.0.forms
    }

    /// The organisation's keys, if it has any.
    pub(crate) fn tenant(&self, tenant: TenantId) -> Result<Option<Arc<TenantRing>>, StoreError> {
        if let Some(ring) = self.0.tenants.read().get(&tenant) {
            return Ok(Some(Arc::clone(ring)));
        }
        self.load_tenant(&self.0.store.lock(), tenant)
    }

    /// The organisation's keys, made now if it has none.
    pub(crate) fn tenant_or_new(&self, tenant: TenantId) -> Result<Arc<TenantRing>, StoreError> {
        if let Some(ring) = self.tenant(tenant)? {
            return Ok(ring);
        }
        let mut store = self.0.store.lock();
        // Asked again under the lock: two first requests must not make two keys.
        if let Some(ring) = self.load_tenant(&store, tenant)? {
            return Ok(ring);
        }
        let (key, index) = TenantRing::create(tenant, self.0.root.as_ref())?;
        store.add_tenant(tenant, &key, &index)?;
        self.load_tenant(&store, tenant)?.ok_or(StoreError::Damaged { what: "an organisation's key" })
    }

    fn load_tenant(&self, store: &Store, tenant: TenantId) -> Result<Option<Arc<TenantRing>>, StoreError> {
        let keys = store.tenant_keys(tenant)?;
        if keys.is_empty() {
            return Ok(None);
        }
        let ring = TenantRing::unwrap(tenant, &keys, &store.index_keys(tenant)?, self.0.root.as_ref())?;
        let ring = Arc::new(ring);
        self.0.tenants.write().insert(tenant, Arc::clone(&ring));
        Ok(Some(ring))
    }

    /// The patient's keys: from the cache, or unwrapped from the store.
    pub(crate) fn patient(&self, tenant: TenantId, patient: PatientId) -> Result<Arc<PatientRing>, KeyError> {
        let now = self.0.clock.elapsed();
        if let Some(ring) = self.0.patients.get((tenant, patient), now) {
            return Ok(ring);
        }
        let tenant_ring = self.tenant(tenant)?.ok_or(KeyError::UnknownKey { patient })?;
        let store = self.0.store.lock();
        let stored = store.patient_keys(tenant, patient)?;
        if stored.is_empty() {
            return Err(KeyError::UnknownKey { patient });
        }
        if stored.iter().any(crate::store::Wrapped::is_destroyed) {
            return Err(KeyError::Destroyed { patient });
        }
        let ring = Arc::new(tenant_ring.unwrap_patient_keys(patient, &stored)?);
        self.0.patients.insert((tenant, patient), Arc::clone(&ring), now);
        Ok(ring)
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
