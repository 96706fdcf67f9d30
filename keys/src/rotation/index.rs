//! The index key made anew: the key by whose tokens patients are found.
//!
//! Tokens cannot be wrapped anew as keys can; each patient must be re-indexed. Until that is done, tokens are made and
//! looked up under every version in use, so a patient is found, and a second registration refused, whether he was
//! re-indexed already or not. That holds only if nobody still works with the versions of before: wait until
//! [`Keys::is_settled`] before the first patient is re-indexed, and before older versions are destroyed.

use wardbook_events::TenantId;

use crate::error::StoreError;
use crate::keys::Keys;
use crate::rotation::{VersionStatus, version_status};

impl Keys {
    /// The newest version of an organisation's index key; 0 if it has no keys.
    ///
    /// # Errors
    /// If the store fails.
    pub fn newest_index(&self, tenant: TenantId) -> Result<u32, StoreError> {
        Ok(self.0.store.lock().index_keys(tenant)?.last().map_or(0, |key| key.version))
    }

    /// All versions of an organisation's index key, oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub fn index_versions(&self, tenant: TenantId) -> Result<Vec<VersionStatus>, StoreError> {
        Ok(self.0.store.lock().index_keys(tenant)?.iter().map(|key| version_status(key, &[])).collect())
    }

    /// Makes a new version of an organisation's index key. From now on tokens are made under it too; those of the older
    /// versions stay good until [`Self::retire_index_keys`].
    ///
    /// # Errors
    /// If the organisation has no key, the root key's provider does not answer, or the store fails.
    pub fn rotate_index_key(&self, tenant: TenantId) -> Result<u32, StoreError> {
        let gate = self.0.tenants.gate(tenant);
        let _alone = gate.lock();
        let ring = self.tenant_alone(tenant)?.ok_or(StoreError::Damaged { what: "an organisation's key" })?;
        let (index, commands) = ring.next_index(self.0.clock.unix_s())?;
        self.0.store.lock().add_index_key(tenant, &index, commands.as_ref())?;
        self.index_changed(tenant)?;
        Ok(index.version)
    }

    /// Takes all versions of the index key but the newest out of use: no tokens are made or looked up under them. Only when
    /// every patient has tokens of the newest, which the caller says is `newest`. Returns how many were in use.
    ///
    /// # Errors
    /// [`StoreError::Contended`] if there is a newer one; if the store or the provider fails.
    pub fn retire_index_keys(&self, tenant: TenantId, newest: u32) -> Result<usize, StoreError> {
        let gate = self.0.tenants.gate(tenant);
        let _alone = gate.lock();
        if self.newest_index(tenant)? != newest {
            return Err(StoreError::Contended);
        }
        let count = self.0.store.lock().retire_index_keys(tenant, newest)?;
        if count > 0 {
            self.index_changed(tenant)?;
        }
        Ok(count)
    }

    /// Destroys the versions of the index key that are out of use: overwritten where they stand. Only when nothing carries
    /// their tokens. Returns which.
    ///
    /// # Errors
    /// If the store fails; after [`StoreError::Wipe`], do it again.
    pub fn destroy_index_keys(&self, tenant: TenantId) -> Result<Vec<u32>, StoreError> {
        let gate = self.0.tenants.gate(tenant);
        let _alone = gate.lock();
        let destroyed = self.0.store.lock().destroy_index_keys(tenant)?;
        if !destroyed.is_empty() {
            self.0.tenants.forget(tenant);
        }
        Ok(destroyed)
    }

    /// For who is alone with the organisation: from the end of this on nobody begins with the versions of before.
    fn index_changed(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.0.tenants.forget(tenant);
        let loaded = self.load_tenant(tenant);
        // Also if the provider does not answer: what is loaded later has the new version.
        self.0.tenants.using.turn(tenant);
        loaded.map(drop)
    }
}

#[cfg(test)]
mod tests;
