//! Organisations' unwrapped keys: held for minutes like patients', and renewed before they age out, so that no request waits
//! for the root key's provider while it answers, and none is refused within those minutes when it does not.
//!
//! The provider is never asked while the store is locked: a slow one would hold up everybody. Who asks for an organisation
//! is alone with it (its gate), so a crowd makes one call.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use wardbook_events::{PatientId, TenantId};

use crate::error::{KeyError, StoreError};
use crate::keys::Keys;
use crate::ring::{TenantKeys, TenantRing};
use crate::rotation::Using;
use crate::store::Store;

/// How often something is tried anew because keys were changed meanwhile.
pub const TRIES: usize = 8;

struct Held {
    ring: Arc<TenantRing>,
    loaded: Duration,
}

/// What is held of each organisation.
pub struct Tenants {
    rings: RwLock<HashMap<TenantId, Held>>,
    gates: Mutex<HashMap<TenantId, Arc<Mutex<()>>>>,
    /// Who works with which versions of the index key.
    pub using: Using,
    age_max: Duration,
}

impl Tenants {
    pub fn new(age_max: Duration) -> Self {
        Self { rings: RwLock::default(), gates: Mutex::default(), using: Using::default(), age_max }
    }

    fn get(&self, tenant: TenantId, now: Duration) -> Option<Arc<TenantRing>> {
        let rings = self.rings.read();
        let held = rings.get(&tenant).filter(|held| now.saturating_sub(held.loaded) < self.age_max)?;
        Some(Arc::clone(&held.ring))
    }

    /// Called with the store locked, so that an older ring never takes the place of a newer.
    fn insert(&self, tenant: TenantId, ring: Arc<TenantRing>, now: Duration) {
        self.rings.write().insert(tenant, Held { ring, loaded: now });
    }

    pub fn forget(&self, tenant: TenantId) {
        self.rings.write().remove(&tenant);
    }

    pub fn sweep(&self, now: Duration) {
        self.rings.write().retain(|_, held| now.saturating_sub(held.loaded) < self.age_max);
    }

    /// Organisations whose keys are past half of their age.
    fn ageing(&self, now: Duration) -> Vec<TenantId> {
        let rings = self.rings.read();
        let old = rings.iter().filter(|(_, held)| now.saturating_sub(held.loaded) >= self.age_max / 2);
        old.map(|(tenant, _)| *tenant).collect()
    }

    pub fn gate(&self, tenant: TenantId) -> Arc<Mutex<()>> {
        Arc::clone(self.gates.lock().entry(tenant).or_default())
    }
}

impl Keys {
    /// The organisation's keys, if it has any.
    pub(crate) fn tenant(&self, tenant: TenantId) -> Result<Option<Arc<TenantRing>>, StoreError> {
        if let Some(ring) = self.0.tenants.get(tenant, self.0.clock.elapsed()) {
            return Ok(Some(ring));
        }
        let gate = self.0.tenants.gate(tenant);
        let _alone = gate.lock();
        self.tenant_alone(tenant)
    }

    /// As [`Self::tenant`], for who is alone with it.
    pub(crate) fn tenant_alone(&self, tenant: TenantId) -> Result<Option<Arc<TenantRing>>, StoreError> {
        match self.0.tenants.get(tenant, self.0.clock.elapsed()) {
            Some(ring) => Ok(Some(ring)),
            None => self.load_tenant(tenant),
        }
    }

    /// The organisation's keys, made now if it has none.
    pub(crate) fn tenant_or_new(&self, tenant: TenantId) -> Result<Arc<TenantRing>, StoreError> {
        if let Some(ring) = self.0.tenants.get(tenant, self.0.clock.elapsed()) {
            return Ok(ring);
        }
        // Two first requests must not make two keys.
        let gate = self.0.tenants.gate(tenant);
        let _alone = gate.lock();
        if let Some(ring) = self.tenant_alone(tenant)? {
            return Ok(ring);
        }
        let (key, index) = TenantRing::create(tenant, self.0.root.as_ref(), self.0.clock.unix_s())?;
        self.0.store.lock().add_tenant(tenant, &key, &index)?;
        self.load_tenant(tenant)?.ok_or(StoreError::Damaged { what: "an organisation's key" })
    }

    /// Asks the provider, for who is alone with the organisation.
    pub(crate) fn load_tenant(&self, tenant: TenantId) -> Result<Option<Arc<TenantRing>>, StoreError> {
        let mut stored = stored(&self.0.store.lock(), tenant)?;
        for _ in 0..TRIES {
            if stored.keys.is_empty() {
                return Ok(None);
            }
            let ring = Arc::new(TenantRing::unwrap(tenant, &stored, self.0.root.as_ref())?);
            self.0.uses.provider_unwraps.fetch_add(1, Ordering::Relaxed);
            let store = self.0.store.lock();
            let now_stored = self::stored(&store, tenant)?;
            if now_stored == stored {
                self.0.tenants.insert(tenant, Arc::clone(&ring), self.0.clock.elapsed());
                return Ok(Some(ring));
            }
            // A rewrap or an index key came between.
            stored = now_stored;
        }
        Err(StoreError::Contended)
    }

    /// Loads anew the keys of organisations that are past half of their age, so that no request has to. Call it every
    /// minute. Returns how many were loaded.
    ///
    /// # Errors
    /// Those of the first organisation that fails; it is tried again at the next call, and goes on with what it has until
    /// that ages out.
    pub fn renew(&self) -> Result<usize, StoreError> {
        let ageing = self.0.tenants.ageing(self.0.clock.elapsed());
        for tenant in &ageing {
            let gate = self.0.tenants.gate(*tenant);
            let _alone = gate.lock();
            self.load_tenant(*tenant)?;
        }
        Ok(ageing.len())
    }

    /// Works on a patient's keys with the organisation's, the store locked; `work` is called again when it gives `None`
    /// because the ring it was given is older than what is stored.
    pub(crate) fn with_tenant_ring<T>(
        &self,
        tenant: TenantId,
        patient: PatientId,
        work: impl Fn(&mut Store, &TenantRing) -> Result<Option<T>, KeyError>,
    ) -> Result<T, KeyError> {
        for _ in 0..TRIES {
            let ring = self.tenant(tenant)?.ok_or(KeyError::UnknownKey { patient })?;
            if let Some(done) = work(&mut self.0.store.lock(), &ring)? {
                return Ok(done);
            }
            self.0.tenants.forget(tenant);
        }
        Err(StoreError::Contended.into())
    }

    /// As [`Self::with_tenant_ring`], with a ring that has the newest version of the organisation's key: what is made under
    /// an older one might be lost when that is destroyed.
    pub(crate) fn with_current_ring<T>(
        &self,
        tenant: TenantId,
        patient: PatientId,
        work: impl Fn(&mut Store, &TenantRing) -> Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        self.with_tenant_ring(tenant, patient, |store, ring| {
            if store.newest_tenant_version(tenant)? != ring.version() {
                return Ok(None);
            }
            work(store, ring).map(Some)
        })
    }
}

fn stored(store: &Store, tenant: TenantId) -> Result<TenantKeys, StoreError> {
    Ok(TenantKeys {
        keys: store.tenant_keys(tenant)?,
        indexes: store.index_keys(tenant)?,
        secrets: store.secret_keys(tenant)?,
    })
}
