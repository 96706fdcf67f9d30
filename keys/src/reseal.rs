//! Work on sealed values that nobody asked to see: from sealed to tokens, from sealed to sealed anew. No plaintext leaves this crate,
//! so it takes neither permit nor receipt; the event that comes of it tells what was done.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use wardbook_events::{Ciphertext, Field, PatientId, Sealed, SealedFields, TenantId, Token, patients};

use crate::envelope::{Envelope, Plaintext};
use crate::error::{OpenError, SealError, StoreError};
use crate::forms::SearchValues;
use crate::keys::Keys;
use crate::sealing;

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

/// A value could not be sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// It did not open.
    #[error("the value cannot be sealed anew: {0}")]
    Open(#[from] OpenError),
    /// It did not seal.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Keys {
    /// As [`Self::reseal`], but what does not open, for another reason than that no key can be had now, is left as it is: there
    /// is nothing in it that a new seal could save.
    ///
    /// # Errors
    /// If the key store or the root key's provider fails, or sealing does.
    pub fn reseal_or_leave<T>(&self, sealed: &Sealed<T>) -> Result<Option<Ciphertext>, ResealError> {
        match self.reseal(sealed) {
            Err(ResealError::Open(OpenError::KeyStore(error))) => Err(OpenError::KeyStore(error).into()),
            Err(ResealError::Open(_)) => Ok(None),
            anew => anew,
        }
    }

    /// Seals a value anew under the newest version of its patient's key, bound to what it was bound to; `None` if that is how it is
    /// sealed already.
    ///
    /// # Errors
    /// [`OpenError::Destroyed`] if the patient or the field's category was erased; if the value does not open, or the key store fails.
    pub fn reseal<T>(&self, sealed: &Sealed<T>) -> Result<Option<Ciphertext>, ResealError> {
        let (tenant, patient) = (sealed.tenant(), sealed.subject());
        let envelope = Envelope::parse(sealed.ciphertext()).ok_or(OpenError::UnknownForm)?;
        let ring = self.patient(tenant, patient).map_err(OpenError::from)?;
        let newest = ring.newest().ok_or(SealError::UnknownKey { patient })?;
        if envelope.key_version == newest.version {
            return Ok(None);
        }
        let context = sealing::context(&tenant, &patient, sealed.stream(), sealed.field());
        let opened = Self::opened(&ring, envelope, sealed)?;
        let key = newest.for_field(sealed.field()).ok_or(SealError::Destroyed { patient })?;
        newest.count();
        self.0.uses.sealed(tenant);
        let mut text = Plaintext::new();
        // As it was, padding and all.
        text.push(opened.bytes());
        Ok(Some(text.seal(key, newest.version, &context).map_err(SealError::from)?))
    }

    /// As [`Self::retoken`], under the newest version of the index key alone: what a patient is to be found by from now on.
    ///
    /// # Errors
    /// As [`Self::retoken`].
    pub fn reindex(
        &self,
        tenant: TenantId,
        patient: PatientId,
        fields: &SealedFields,
    ) -> Result<BTreeSet<Token>, RetokenError> {
        let mut tokens = self.retoken(tenant, patient, fields)?;
        let newest = tokens.iter().map(|token| token.index).max().unwrap_or_default();
        tokens.retain(|token| token.index == newest);
        Ok(tokens)
    }

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
