//! Checkpoints (C2SP tlog-checkpoint): the log's origin, size and root, signed as a note under the origin's own key.
//!
//! ```text
//! origin
//! size
//! base64(root)
//! ```
//! We write no extension lines and read none: nothing unknown may stand under our signature.

use crate::{
    codec::decimal,
    note::{NoteError, NoteSignature, NoteVerifyError, SignedNote, VerifierKey},
    signer::{CheckpointSigner, SignNoteError},
    tree::{Hash, empty_root},
};

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a signed note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not exactly three lines with an origin.
    #[error("a checkpoint has three lines: origin, size and root hash")]
    Lines,
    /// The size is no plain decimal.
    #[error("the size of the checkpoint is malformed")]
    Size,
    /// The root is no hash, or not that of an empty tree where the size is 0.
    #[error("the root hash of the checkpoint is malformed")]
    Root,
}

/// Why a checkpoint is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyCheckpointError {
    /// A known key's signature is wrong, or there is none of a known key.
    #[error("the checkpoint is not the log's: {0}")]
    Note(#[from] NoteVerifyError),
    /// Signed by a key whose name is not the origin.
    #[error("the checkpoint of {origin} is signed by {signer}, not by the log itself")]
    Origin {
        /// The origin in the checkpoint.
        origin: String,
        /// A key that did sign.
        signer: String,
    },
}

/// What a log commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Parses the body of a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] says what is malformed.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let lines: Vec<&str> = lines.split('\n').collect();
        let [origin, size, root] = *lines.as_slice() else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() {
            return Err(CheckpointError::Lines);
        }
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = Hash::from_base64(root).ok_or(CheckpointError::Root)?;
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::Root);
        }
        let origin = origin.to_owned();
        Ok(Self { origin, size, root })
    }

    /// Signs a checkpoint of the signer's log.
    ///
    /// # Errors
    /// [`SignNoteError`] if the cryptographic library refuses.
    pub fn sign(signer: &CheckpointSigner, size: u64, root: Hash) -> Result<SignedCheckpoint, SignNoteError> {
        let checkpoint = Self { origin: signer.origin().to_owned(), size, root };
        let note = signer.sign_note(checkpoint.to_string())?;
        Ok(SignedCheckpoint { checkpoint, note })
    }
}

impl std::fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = self.root.to_base64();
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

/// A checkpoint with its signatures: the log's own and those of witnesses. Parsing does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Parses a signed checkpoint, without verifying it.
    ///
    /// # Errors
    /// [`CheckpointError`] says what is malformed.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(text)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { checkpoint, note })
    }

    /// The checkpoint, if one of these keys signed it and bears the name of its origin.
    ///
    /// # Errors
    /// [`VerifyCheckpointError`] says why it is not to be believed.
    pub fn verify(&self, log_keys: &[VerifierKey]) -> Result<&Checkpoint, VerifyCheckpointError> {
        let signers = self.note.verify(log_keys)?;
        let origin = &self.checkpoint.origin;
        if let Some(stranger) = signers.iter().find(|key| key.name() != origin) {
            return Err(VerifyCheckpointError::Origin { origin: origin.clone(), signer: stranger.name().to_owned() });
        }
        Ok(&self.checkpoint)
    }

    /// What it says, whether or not the signatures are right: for the log that made it and for messages.
    #[must_use]
    pub fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note that carries it.
    #[must_use]
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Adds a witness's cosignature.
    ///
    /// # Errors
    /// [`NoteError`] if the note would be over a limit or the signature could not be written.
    pub fn with_signature(self, signature: NoteSignature) -> Result<Self, NoteError> {
        let note = self.note.with_signature(signature)?;
        let checkpoint = self.checkpoint;
        Ok(Self { checkpoint, note })
    }
}

impl std::fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests;
