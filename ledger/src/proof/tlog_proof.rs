//! C2SP tlog-proof: an inclusion proof with its checkpoint, as one text.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra base64          (left out if there is none)
//! index N
//! base64(hash)          (each hash of the path, from the leaf up)
//!
//! the signed checkpoint
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{InvalidProof, PROOF_HASHES_MAX, verify_inclusion};
use crate::{
    checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, VerifyCheckpointError},
    codec::decimal,
    entry::LEAF_BYTES,
    note::NOTE_BYTES_MAX,
    signer::KeyRing,
    tree::{Hash, leaf_hash},
};

const TITLE: &str = "c2sp.org/tlog-proof@v1\n";

/// Why a text is not a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseProofError {
    /// Longer than any proof.
    #[error("the proof is over {NOTE_BYTES_MAX} bytes")]
    TooLarge,
    /// The title line is missing.
    #[error("not a proof: the first line is not c2sp.org/tlog-proof@v1")]
    Title,
    /// The extra line is not base64.
    #[error("the extra line is malformed")]
    Extra,
    /// The index line is missing or no decimal.
    #[error("the index line is malformed")]
    Index,
    /// A line is no hash, or there are too many.
    #[error("hash {0} of the proof is malformed")]
    Hash(usize),
    /// The checkpoint is not one.
    #[error("the proof's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
}

/// Why a proof is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyProofError {
    /// The checkpoint is not signed by the log.
    #[error(transparent)]
    Checkpoint(#[from] VerifyCheckpointError),
    /// The entry is not in the tree of the checkpoint.
    #[error(transparent)]
    Inclusion(#[from] InvalidProof),
    /// The proof does not carry the leaf.
    #[error("the proof carries no leaf entry (digest and signature) in its extra line")]
    NoLeaf,
    /// None of the log's event keys made the signature.
    #[error("the event signature is of none of the log's event keys")]
    Signature,
}

/// An inclusion proof and the checkpoint that it leads to.
///
/// Ours carry the leaf entry (digest and signature of the event) as extra data, so that nothing but the published keys
/// is needed to check them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Data of the application; not authenticated by the proof.
    pub extra: Option<Vec<u8>>,
    /// Position of the entry.
    pub index: u64,
    /// From the leaf up.
    pub hashes: Vec<Hash>,
    /// A checkpoint of a tree that holds the entry.
    pub checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// Parses a proof. Strict, so that what is parsed is written back in the same bytes.
    ///
    /// # Errors
    /// [`ParseProofError`] names the line that is malformed.
    pub fn parse(text: &str) -> Result<Self, ParseProofError> {
        if text.len() > NOTE_BYTES_MAX {
            return Err(ParseProofError::TooLarge);
        }
        let rest = text.strip_prefix(TITLE).ok_or(ParseProofError::Title)?;
        let (head, checkpoint) = rest.split_once("\n\n").ok_or(ParseProofError::Index)?;
        let mut lines = head.split('\n').peekable();
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            None => None,
            Some(encoded) => {
                lines.next();
                Some(STANDARD.decode(encoded).map_err(|_| ParseProofError::Extra)?)
            }
        };
        let index =
            lines.next().and_then(|line| decimal(line.strip_prefix("index ")?)).ok_or(ParseProofError::Index)?;
        let mut hashes = Vec::new();
        for (at, line) in lines.enumerate() {
            if at == PROOF_HASHES_MAX {
                return Err(ParseProofError::Hash(at));
            }
            hashes.push(Hash::from_base64(line).ok_or(ParseProofError::Hash(at))?);
        }
        Ok(Self { extra, index, hashes, checkpoint: SignedCheckpoint::parse(checkpoint)? })
    }

    /// Checks that the log's checkpoint commits to this leaf entry at this index.
    ///
    /// # Errors
    /// [`VerifyProofError`] says what does not hold.
    pub fn verify(&self, leaf: &[u8], keys: &KeyRing) -> Result<&Checkpoint, VerifyProofError> {
        let checkpoint = self.checkpoint.verify(keys.checkpoint_keys())?;
        let (size, root) = (checkpoint.size, checkpoint.root);
        verify_inclusion(self.index, size, leaf_hash(leaf), &self.hashes, root)?;
        Ok(checkpoint)
    }

    /// Checks a proof that carries its leaf entry, and the event signature in it. Returns the leaf entry.
    ///
    /// # Errors
    /// [`VerifyProofError`] says what does not hold.
    pub fn verify_own_leaf(&self, keys: &KeyRing) -> Result<[u8; LEAF_BYTES], VerifyProofError> {
        let extra = self.extra.as_deref().unwrap_or_default();
        let leaf: [u8; LEAF_BYTES] = extra.try_into().map_err(|_| VerifyProofError::NoLeaf)?;
        self.verify(&leaf, keys)?;
        let (digest, signature) = leaf.split_first_chunk::<32>().ok_or(VerifyProofError::NoLeaf)?;
        let signature = signature.try_into().map_err(|_| VerifyProofError::NoLeaf)?;
        let mut keys = keys.event_keys().iter();
        match keys.any(|key| key.verify(digest, signature)) {
            true => Ok(leaf),
            false => Err(VerifyProofError::Signature),
        }
    }
}

impl std::fmt::Display for TlogProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(TITLE)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", hash.to_base64())?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
