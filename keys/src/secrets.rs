//! What is secret but not PHI: password hashes, TOTP secrets; and keyed digests of commands.
//!
//! Their keys come from the organisation's key by another derivation than PHI's, so nothing sealed for a patient opens here.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use wardbook_events::{Ciphertext, TenantId};
use zeroize::Zeroizing;

use crate::envelope::{Envelope, Plaintext};
use crate::error::{SecretError, TokenError};
use crate::keys::Keys;

/// What a sealed secret is bound to.
fn context<'a>(tenant: &'a TenantId, stream: &'a str, purpose: &'a str) -> [&'a [u8]; 4] {
    [b"wardbook 2026 sealed secret", tenant.bytes(), stream.as_bytes(), purpose.as_bytes()]
}

/// HMAC-SHA-256 (RFC 2104).
pub fn mac(key: &[u8; 64], parts: &[&[u8]]) -> [u8; 32] {
    // 64 bytes are SHA-256's block, so the key is used as it is.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length fits");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl Keys {
    /// Seals bytes that are secret but say nothing of a patient, bound to organisation, stream and purpose
    /// (such as `password-hash`). Never for PHI: it would outlive the patient's key.
    ///
    /// # Errors
    /// If the key store fails.
    pub fn seal_secret(
        &self,
        tenant: TenantId,
        stream: &str,
        purpose: &str,
        secret: &[u8],
    ) -> Result<Ciphertext, SecretError> {
        let ring = self.tenant_or_new(tenant)?;
        let (version, key) = ring.secrets()?;
        let mut text = Plaintext::new();
        text.push(secret);
        Ok(text.seal(key, version, &context(&tenant, stream, purpose))?)
    }

    /// Opens what [`Keys::seal_secret`] sealed; wiped when dropped.
    ///
    /// # Errors
    /// If it was damaged or moved, its key is not there, or the key store fails.
    pub fn open_secret(
        &self,
        tenant: TenantId,
        stream: &str,
        purpose: &str,
        sealed: &Ciphertext,
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let envelope = Envelope::parse(sealed).ok_or(SecretError::UnknownForm)?;
        let ring = self.tenant(tenant)?.ok_or(SecretError::UnknownKey)?;
        let key = ring.secrets_of(envelope.key_version).ok_or(SecretError::UnknownKey)?;
        let opened = envelope.open(key, &context(&tenant, stream, purpose)).map_err(|_| SecretError::NotAuthentic)?;
        Ok(Zeroizing::new(opened.bytes().to_vec()))
    }

    /// A keyed hash of a command (64 hex digits): tells whether two commands are the same, and nothing else.
    ///
    /// # Errors
    /// If the key store fails.
    pub fn command_digest(&self, tenant: TenantId, command: &[u8]) -> Result<String, TokenError> {
        let ring = self.tenant_or_new(tenant)?;
        Ok(hex::encode(mac(ring.commands().bytes(), &[command])))
    }
}
