//! Work on sealed values that nobody asked to see: from sealed to tokens. No plaintext leaves this crate, so it takes neither permit
//! nor receipt; the event that comes of it tells what was done.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use wardbook_events::{Field, PatientId, SealedFields, TenantId, Token, patients};

use crate::error::{OpenError, StoreError};
use crate::forms::SearchValues;
use crate::keys::Keys;

/// Tokens could not be made from sealed values.
#[derive(Debug, thiserror::Error)]
pub enum RetokenError {
    /// A value did not open.
    #[error("the patient cannot be indexed: {0}")]
    Open(#[from] OpenError),
    /// The key store failed.
    #[error(transparent)]
    KeyStore(#[from] StoreError),
}

impl Keys {
    /// The tokens of a patient whose fields are sealed, as [`Keys::tokens`] makes them of plaintext. A field whose category was erased
    /// gives none.
    ///
    /// # Errors
    /// [`OpenError::Destroyed`] if the patient was erased; if a value does not open, or the key store fails.
    pub fn retoken(
        &self,
        tenant: TenantId,
        patient: PatientId,
        fields: &SealedFields,
    ) -> Result<BTreeSet<Token>, RetokenError> {
        let opener = Opener { keys: self, tenant, patient, stream: patients::stream(patient), fields };
        // Asked before, so that "erased" is told from "nothing to be found by".
        self.patient(tenant, patient).map_err(OpenError::from)?;
        let values = SearchValues {
            name: opener.value(Field::Name)?,
            birth_date: opener.value(Field::BirthDate)?,
            ssn: opener.value(Field::Ssn)?,
            mrn: opener.value(Field::Mrn)?,
            emails: opener.value(Field::Emails)?.unwrap_or_default(),
            phones: opener.value(Field::Phones)?.unwrap_or_default(),
        };
        let ring = self.tenant_or_new(tenant)?;
        Ok(ring.indexes().into_iter().flat_map(|index| index.tokens(&values, self.forms())).collect())
    }
}

struct Opener<'a> {
    keys: &'a Keys,
    tenant: TenantId,
    patient: PatientId,
    stream: String,
    fields: &'a SealedFields,
}

impl Opener<'_> {
    fn value<T: DeserializeOwned>(&self, field: Field) -> Result<Option<T>, OpenError> {
        let Some(sealed) = self.fields.get(self.tenant, self.patient, &self.stream, field) else { return Ok(None) };
        match self.keys.unseal(&sealed) {
            Ok(value) => Ok(Some(value)),
            // The category was erased; the patient was not, or we would not be here.
            Err(OpenError::Destroyed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
