//! Sealing PHI under its patient's key. Opening is in `open.rs`, which asks for a permit and a receipt.

use serde::{Serialize, de::DeserializeOwned};
use wardbook_events::{Field, PatientId, Sealed, TenantId};

use crate::envelope::{Envelope, Opened, Plaintext};
use crate::error::{OpenError, SealError};
use crate::keys::Keys;
use crate::ring::PatientRing;
use crate::store::KeyState;

/// JSON is padded with spaces to a multiple of this, or the length would tell `"male"` from `"female"`.
const PAD: usize = 32;

/// What a sealed value is bound to.
pub(crate) fn context<'a>(
    tenant: &'a TenantId,
    patient: &'a PatientId,
    stream: &'a str,
    field: Field,
) -> [&'a [u8]; 5] {
    [b"wardbook 2026 sealed field", tenant.bytes(), patient.bytes(), stream.as_bytes(), field.name().as_bytes()]
}

impl Keys {
    /// Seals a value under the newest version of the patient's key. It opens only for this organisation, patient,
    /// stream and field.
    ///
    /// # Errors
    /// If the patient has no key, it was destroyed, the value has no JSON form, or the key store fails.
    pub fn seal<T: Serialize>(
        &self,
        tenant: TenantId,
        patient: PatientId,
        stream: &str,
        field: Field,
        value: &T,
    ) -> Result<Sealed<T>, SealError> {
        let ring = self.patient(tenant, patient)?;
        let key = ring.newest().ok_or(SealError::UnknownKey { patient })?;
        let field_key = key.for_field(field).ok_or(SealError::Destroyed { patient })?;
        key.count();
        self.0.uses.sealed(tenant);
        let mut text = Plaintext::new();
        serde_json::to_writer(&mut text, value).map_err(|_| SealError::NoJson)?;
        text.pad(PAD);
        let ciphertext = text.seal(field_key, key.version, &context(&tenant, &patient, stream, field))?;
        Ok(Sealed::new(tenant, patient, stream.to_owned(), field, ciphertext))
    }

    /// Opens a sealed value. Private to this crate: the way in from outside is [`Keys::open`], which checks first.
    pub(crate) fn unseal<T: DeserializeOwned>(&self, sealed: &Sealed<T>) -> Result<T, OpenError> {
        let envelope = Envelope::parse(sealed.ciphertext()).ok_or(OpenError::UnknownForm)?;
        let ring = self.patient(sealed.tenant(), sealed.subject())?;
        let opened = Self::opened(&ring, envelope, sealed)?;
        serde_json::from_slice(opened.bytes()).map_err(|_| OpenError::WrongType)
    }

    /// The bytes of a sealed value, wiped when dropped.
    pub(crate) fn opened<T>(ring: &PatientRing, envelope: Envelope, sealed: &Sealed<T>) -> Result<Opened, OpenError> {
        let (tenant, patient) = (sealed.tenant(), sealed.subject());
        let key = ring.version(envelope.key_version).ok_or(OpenError::UnknownKey { patient })?;
        if key.state == KeyState::Disabled {
            return Err(OpenError::VersionDisabled { patient, version: key.version });
        }
        let field_key = key.for_field(sealed.field()).ok_or(OpenError::Destroyed { patient })?;
        key.count();
        envelope
            .open(field_key, &context(&tenant, &patient, sealed.stream(), sealed.field()))
            .map_err(|_| OpenError::NotAuthentic)
    }
}
