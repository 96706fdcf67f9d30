//! The one way from sealed PHI to plaintext: no receipt, no plaintext (promise 1), durable before disclosure (promise 2).

use serde::de::DeserializeOwned;
use wardbook_events::Sealed;
use wardbook_ledger::{Receipt, SubjectId};
use wardbook_policy::Permit;

use crate::error::OpenError;
use crate::keys::Keys;

impl Keys {
    /// Opens a sealed value for the holder of a permit, once the event that tells of it is durable.
    ///
    /// Only policy makes a [`Permit`] and only the ledger makes a [`Receipt`], after its flush; so whoever calls this has
    /// asked policy and has recorded the access (45 CFR 164.312(a)(1) and (b)). Both must be of the same event, and both
    /// must be about this patient; the permit must cover the field.
    ///
    /// # Errors
    /// One variant of [`OpenError`] for each reason to refuse; nothing is decrypted before all checks are passed.
    pub fn open<T: DeserializeOwned>(
        &self,
        permit: &Permit,
        receipt: &Receipt,
        sealed: &Sealed<T>,
    ) -> Result<T, OpenError> {
        check(permit, receipt, sealed)?;
        self.0.uses.opened(permit.tenant(), permit.user(), sealed.field().class());
        self.unseal(sealed)
    }
}

/// Whether the permit is for this organisation and patient.
pub fn check_place<T>(permit: &Permit, sealed: &Sealed<T>) -> Result<(), OpenError> {
    let patient = sealed.subject();
    if permit.tenant() != sealed.tenant() {
        return Err(OpenError::WrongTenant);
    }
    if permit.patient() != Some(patient) { Err(OpenError::WrongPatient { patient }) } else { Ok(()) }
}

fn check<T>(permit: &Permit, receipt: &Receipt, sealed: &Sealed<T>) -> Result<(), OpenError> {
    let (patient, field) = (sealed.subject(), sealed.field());
    if receipt.event_id().as_bytes() != permit.event().bytes() {
        return Err(OpenError::WrongEvent);
    }
    check_place(permit, sealed)?;
    if !receipt.covers(&SubjectId::from_bytes(*patient.bytes())) {
        return Err(OpenError::NotCovered { patient });
    }
    if !permit.groups().contains(field.group()) {
        return Err(OpenError::WrongGroup { group: field.group() });
    }
    // What remains is policy's to say: a permit for one entry, a field that an obligation withholds.
    if !permit.covers(sealed) {
        return Err(OpenError::Withheld { field });
    }
    Ok(())
}
