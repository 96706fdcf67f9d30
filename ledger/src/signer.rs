//! The two signing keys of a ledger and the public keys that it ever signed with.
//!
//! Events and checkpoints have keys of their own, as types of their own: a checkpoint key can be kept elsewhere and
//! cannot sign an event by mistake. Secrets live in files that only their owner may read.

mod key_dir;
mod key_file;
mod ring;

use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

pub use key_dir::{KeyDir, LedgerKeys};
pub use key_file::KeyFileError;
use key_file::{KeyFile, KeyUse};
pub use ring::{KeyRing, KeyRingError};

use crate::{
    entry::{SIGNATURE_BYTES, SignError},
    ids::{Digest, KeyId},
    note::{NoteError, NoteSignature, SignedNote, VerifierKey, VerifierKeyError},
};

/// Why a key could not be made, stored or loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name of the key cannot stand in a note.
    #[error(transparent)]
    Name(#[from] VerifierKeyError),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
    /// The cryptographic library refused the key.
    #[error("the cryptographic library refused the key")]
    Refused,
    /// A key file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The list of public keys.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The keys of another ledger.
    #[error("the keys are those of {actual}, not of {expected}: give the ledger its own key directory")]
    Origin {
        /// The origin that was asked for.
        expected: String,
        /// The origin that the keys are named after.
        actual: String,
    },
}

/// A key pair; the secret half stays in memory that the library wipes.
struct Signer {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl Signer {
    fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Refused)?;
        let public = pair.public_key().as_ref();
        let public = public.try_into().map_err(|_| KeyError::Refused)?;
        let verifier = VerifierKey::new(name, public)?;
        Ok(Self { pair, verifier })
    }

    fn sign(&self, message: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
        let signature = self.pair.try_sign(message).ok()?;
        signature.as_ref().try_into().ok()
    }
}

fn random_seed() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|_| KeyError::Random)?;
    Ok(seed)
}

/// What both kinds of signers can do; the kinds differ in what they sign.
macro_rules! signer {
    ($(#[$doc:meta])* $name:ident, $use:expr) => {
        $(#[$doc])*
        pub struct $name(Signer);

        impl $name {
            /// A fresh key that is kept nowhere, for tests and ledgers in memory.
            ///
            /// # Errors
            /// [`KeyError`] if the name is unsound or there is no randomness.
            pub fn generate(name: &str) -> Result<Self, KeyError> {
                Self::from_seed(name, &*random_seed()?)
            }

            /// The key of a 32-byte secret.
            ///
            /// # Errors
            /// [`KeyError`] if the name is unsound.
            pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
                Signer::from_seed(name, seed).map(Self)
            }

            /// Makes a fresh key and its file (mode 0600; never overwrites one).
            ///
            /// # Errors
            /// [`KeyError`] if the name is unsound, the file exists or cannot be written.
            pub fn create(path: &Path, name: &str) -> Result<Self, KeyError> {
                let seed = random_seed()?;
                let signer = Self::from_seed(name, &seed)?;
                KeyFile::new($use, &signer.0.verifier, seed).create(path)?;
                Ok(signer)
            }

            /// Loads a key file; refuses one that others may read, that is damaged, or that is for another use.
            ///
            /// # Errors
            /// [`KeyError`] says why it was refused.
            pub fn load(path: &Path) -> Result<Self, KeyError> {
                let file = KeyFile::load(path, $use)?;
                let signer = Self::from_seed(&file.name, &file.seed)?;
                file.check_public(path, &signer.0.verifier)?;
                Ok(signer)
            }

            /// Names the key in what it signs.
            #[must_use]
            pub fn key_id(&self) -> KeyId {
                self.0.verifier.id()
            }

            /// The public half, to publish.
            #[must_use]
            pub fn verifier(&self) -> &VerifierKey {
                &self.0.verifier
            }
        }

        /// The public half only.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0.verifier).finish()
            }
        }
    };
}

signer! {
    /// Signs events: Ed25519 over the 32 bytes of an entry's digest.
    EventSigner, KeyUse::Events
}
signer! {
    /// Signs checkpoints. Its name is the origin of the log, as C2SP tlog-checkpoint has it.
    CheckpointSigner, KeyUse::Checkpoints
}

impl EventSigner {
    /// Signs a digest.
    ///
    /// # Errors
    /// [`SignError::Failed`] if the cryptographic library refuses.
    pub fn sign(&self, digest: &Digest) -> Result<[u8; SIGNATURE_BYTES], SignError> {
        self.0.sign(digest.as_bytes()).ok_or(SignError::Failed)
    }
}

/// Why a note was not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignNoteError {
    /// The text cannot be that of a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The cryptographic library refused.
    #[error("the signature could not be made")]
    Failed,
}

impl CheckpointSigner {
    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.0.verifier.name()
    }

    /// Signs the text of a note, which must end in a newline.
    ///
    /// # Errors
    /// [`SignNoteError`] if the text cannot be that of a note, or the cryptographic library refuses.
    pub fn sign_note(&self, text: String) -> Result<SignedNote, SignNoteError> {
        let bytes = self.0.sign(text.as_bytes()).ok_or(SignNoteError::Failed)?;
        let signature = NoteSignature { name: self.origin().to_owned(), key_id: self.key_id(), bytes: bytes.to_vec() };
        Ok(SignedNote::new(text, vec![signature])?)
    }
}

#[cfg(test)]
mod tests;
