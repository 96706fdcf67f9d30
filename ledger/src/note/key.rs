//! Published verifier keys: `name+hex(key id)+base64(0x01 ‖ public key)`.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{ed25519::PublicKey, ids::KeyId};

/// Ed25519 in C2SP signed-note.
const ALGORITHM: u8 = 0x01;

/// Why a text is not a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not three parts joined by '+'.
    #[error("expected name+keyid+key")]
    Form,
    /// Empty, or with a space, a control character or a '+'.
    #[error("a key name must not be empty nor hold spaces, control characters or '+'")]
    Name,
    /// Not Ed25519.
    #[error("only ed25519 verifier keys are known (algorithm 1)")]
    Algorithm,
    /// Not a point, not its one encoding, or a point with which signatures mean nothing.
    #[error("the public key is not a sound ed25519 key")]
    Key,
    /// The id does not follow from name and key.
    #[error("the key id does not match the name and the key: part of the text was changed")]
    Id,
}

/// A named public key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    key: PublicKey,
}

impl VerifierKey {
    /// The verifier key of a public key.
    ///
    /// # Errors
    /// [`VerifierKeyError`] if the name or the key is unsound.
    pub fn new(name: &str, public: &[u8; 32]) -> Result<Self, VerifierKeyError> {
        if !is_name(name) {
            return Err(VerifierKeyError::Name);
        }
        let key = PublicKey::from_bytes(public).ok_or(VerifierKeyError::Key)?;
        Ok(Self { name: name.to_owned(), id: key_id(name, public), key })
    }

    /// The name that stands in signature lines.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Follows from name and key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The bare Ed25519 public key.
    #[must_use]
    pub fn public_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// True if the signature over the message is this key's, in its one encoding.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify(message, signature)
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ALGORITHM];
        key.extend_from_slice(self.public_bytes());
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        // Base64 may hold '+' too, so only the first two part the text.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Form);
        };
        let id: KeyId = id.parse().map_err(|_| VerifierKeyError::Form)?;
        let bytes = STANDARD.decode(key).map_err(|_| VerifierKeyError::Form)?;
        let (algorithm, public) = bytes.split_first().ok_or(VerifierKeyError::Form)?;
        if *algorithm != ALGORITHM {
            return Err(VerifierKeyError::Algorithm);
        }
        let public = public.try_into().map_err(|_| VerifierKeyError::Key)?;
        let key = Self::new(name, public)?;
        if key.id != id {
            return Err(VerifierKeyError::Id);
        }
        Ok(key)
    }
}

/// What may stand as a name in a signature line.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    !name.is_empty() && name.chars().all(plain)
}

fn key_id(name: &str, public: &[u8; 32]) -> KeyId {
    let hash: [u8; 32] =
        Sha256::new().chain_update(name).chain_update([b'\n', ALGORITHM]).chain_update(public).finalize().into();
    let [a, b, c, d, ..] = hash;
    KeyId(u32::from_be_bytes([a, b, c, d]))
}
