//! What backups ask of the keys: every row as it is, and whether a key still unwraps. No plaintext and no key leaves.

use wardbook_events::{PatientId, TenantId};

use crate::error::{KeyError, StoreError};
use crate::keys::Keys;
use crate::store::KeyDump;

impl Keys {
    /// Every row of the key store, as it stands at one moment.
    ///
    /// # Errors
    /// If the store fails.
    pub fn dump(&self) -> Result<KeyDump, StoreError> {
        self.0.store.lock().dump()
    }

    /// Unwraps a patient's key, from the root key down, and forgets it again: what a restore that is tried out must be able to do.
    ///
    /// # Errors
    /// If there is no such key, it was destroyed, the root key is another, or what is stored does not authenticate.
    pub fn try_unwrap(&self, tenant: TenantId, patient: PatientId) -> Result<(), KeyError> {
        self.patient(tenant, patient).map(|_| ())
    }
}
