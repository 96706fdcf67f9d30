//! The root key made anew at its provider, and organisations' keys wrapped anew under it.

use wardbook_events::TenantId;

use crate::error::StoreError;
use crate::keys::Keys;
use crate::ring::tenant_context;
use crate::root::{RootKeyProvider, RootVersion};
use crate::store::{Moved, ROOT_SINCE};

/// The root key as it stands; nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootStatus {
    /// Its name.
    pub key: String,
    /// Its newest version.
    pub version: RootVersion,
    /// When that version was first seen, in seconds of Unix time.
    pub since: u64,
}

impl Keys {
    /// The root key's newest version. Asks the provider.
    ///
    /// # Errors
    /// If the provider does not answer, or the store fails.
    pub fn root_status(&self) -> Result<RootStatus, StoreError> {
        let version = self.0.root.newest_version()?;
        let mut store = self.0.store.lock();
        let noted = store.noted(ROOT_SINCE)?;
        let noted = noted.as_deref().and_then(|noted| noted.split_once(' '));
        let since = match noted {
            Some((since, of)) if of == version.as_str() => since.parse().unwrap_or_default(),
            _ => {
                let now = self.0.clock.unix_s();
                store.note(ROOT_SINCE, &format!("{now} {version}"))?;
                now
            }
        };
        Ok(RootStatus { key: self.0.root.id(), version, since })
    }

    /// The root key's name; without asking the provider.
    #[must_use]
    pub fn root_id(&self) -> String {
        self.0.root.id()
    }

    /// Makes a new version of the root key at its provider. Organisations' keys follow by [`Self::rewrap_tenant_keys`].
    ///
    /// # Errors
    /// If the provider does not answer or does not allow it.
    pub fn rotate_root_key(&self) -> Result<RootVersion, StoreError> {
        Ok(self.0.root.rotate()?)
    }

    /// Wraps an organisation's keys under the newest version of the root key, one by one, those that are not yet; returns
    /// how many. What was wrapped stays so, whatever happens to the rest. The store is free while the provider works.
    ///
    /// # Errors
    /// If the provider does not answer, or the store fails.
    pub fn rewrap_tenant_keys(&self, tenant: TenantId) -> Result<usize, StoreError> {
        let newest = self.0.root.newest_version()?;
        let stored = self.0.store.lock().tenant_keys(tenant)?;
        let mut count = 0;
        for key in stored.iter().filter(|key| !key.is_destroyed()) {
            if self.0.root.version_of(&key.bytes)? == newest {
                continue;
            }
            let new = self.0.root.rewrap(&tenant_context(tenant, key.version), &key.bytes)?;
            // Somebody else may have been faster; then theirs stands.
            if self.0.store.lock().tenant_key_rewrapped(tenant, key.version, &key.bytes, &new)? {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Organisations' keys, destroyed ones left out, that are not wrapped under this version of the root key.
    ///
    /// # Errors
    /// If the store fails or holds what the provider did not wrap.
    pub fn tenant_keys_before(&self, version: &RootVersion) -> Result<usize, StoreError> {
        let store = self.0.store.lock();
        let mut count = 0;
        for tenant in store.tenants()? {
            for key in store.tenant_keys(tenant)?.iter().filter(|key| !key.is_destroyed()) {
                if self.0.root.version_of(&key.bytes)? != *version {
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Makes the provider refuse versions of the root key before this one, once everything is wrapped under the newest.
    ///
    /// # Errors
    /// If something still is under an older one, or the provider does not allow it.
    pub fn retire_root_before(&self, version: &RootVersion) -> Result<(), StoreError> {
        let newest = self.0.root.newest_version()?;
        if self.tenant_keys_before(&newest)? > 0 {
            return Err(StoreError::StillNeeded);
        }
        Ok(self.0.root.retire_before(version)?)
    }

    /// Moves to another root key: wraps every organisation's key anew under the newest version of `to`, and commits them and
    /// the root key's name in one durable write. Afterwards this handle is of no use: open the store again with the new
    /// provider. Returns how many keys were wrapped.
    ///
    /// # Errors
    /// If one of the providers does not answer, or the store fails; nothing is changed then, and it can be tried again.
    pub fn move_root(&self, to: &dyn RootKeyProvider) -> Result<usize, StoreError> {
        let tenants = self.0.store.lock().tenants()?;
        let mut moved = Vec::new();
        for tenant in tenants {
            let stored = self.0.store.lock().tenant_keys(tenant)?;
            for key in stored.into_iter().filter(|key| !key.is_destroyed()) {
                let context = tenant_context(tenant, key.version);
                let new = to.wrap(&context, &self.0.root.unwrap(&context, &key.bytes)?)?;
                // Before the old wrapping is lost: what was wrapped must come back.
                to.unwrap(&context, &new)?;
                moved.push(Moved { tenant, version: key.version, old: key.bytes, new });
            }
        }
        self.0.store.lock().move_root(&moved, &self.0.root.id(), &to.id())?;
        Ok(moved.len())
    }
}
