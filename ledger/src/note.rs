//! Signed notes (C2SP signed-note): a text, a blank line, and a line for each signature.
//!
//! ```text
//! the text, lines ended by \n
//!
//! — name base64(key id [4] ‖ signature)
//! ```

mod key;

pub use key::{VerifierKey, VerifierKeyError};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::ids::KeyId;

/// The most bytes of a note. Checkpoints have a few hundred.
pub const NOTE_BYTES_MAX: usize = 1 << 20;
/// The most signatures of a note.
pub const NOTE_SIGNATURES_MAX: usize = 100;

/// Why a text is not a signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Over the limit in bytes or signatures.
    #[error("the note is over {NOTE_BYTES_MAX} bytes or {NOTE_SIGNATURES_MAX} signatures")]
    TooLarge,
    /// A control character other than the newline.
    #[error("the note holds a control character")]
    Control,
    /// The signed text is empty or does not end in a newline.
    #[error("the text of the note is empty or does not end in a newline")]
    Text,
    /// No blank line, or no signature behind it.
    #[error("the note has no signatures")]
    NoSignatures,
    /// A line behind the blank line is not a signature.
    #[error("signature line {0} is malformed")]
    Signature(usize),
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteVerifyError {
    /// A key that we know did not make the signature that bears its name.
    #[error("the signature of {name} is wrong")]
    Wrong {
        /// Name of the key.
        name: String,
    },
    /// Nobody whom we know has signed.
    #[error("no known key has signed the note")]
    Unverified,
}

/// One signature of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub key_id: KeyId,
    /// What follows the key id: 64 bytes of Ed25519 for a log's own key.
    pub bytes: Vec<u8>,
}

/// A text and who signed it. Parsing does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// A note from its parts.
    ///
    /// # Errors
    /// [`NoteError`] if they could not be written so that they are read again.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_text(&text)?;
        if signatures.is_empty() {
            return Err(NoteError::NoSignatures);
        }
        let named = |signature: &NoteSignature| key::is_name(&signature.name) && !signature.bytes.is_empty();
        if let Some(at) = signatures.iter().position(|signature| !named(signature)) {
            return Err(NoteError::Signature(at));
        }
        let note = Self { text, signatures };
        if note.signatures.len() > NOTE_SIGNATURES_MAX || note.to_string().len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        Ok(note)
    }

    /// Parses a note. Strict, so that what is parsed is written back in the same bytes.
    ///
    /// # Errors
    /// [`NoteError`] says what is malformed.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLarge);
        }
        // The last blank line, as the text may hold blank lines of its own.
        let split = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, tail) = note.split_at_checked(split + 1).ok_or(NoteError::Text)?;
        check_text(text)?;
        let lines =
            tail.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n')).ok_or(NoteError::NoSignatures)?;
        if lines.split('\n').count() > NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooLarge);
        }
        let signatures = lines
            .split('\n')
            .enumerate()
            .map(|(at, line)| parse_signature(line).ok_or(NoteError::Signature(at)))
            .collect::<Result<_, _>>()?;
        let text = text.to_owned();
        Ok(Self { text, signatures })
    }

    /// The signed text, with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in their order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature, such as a witness's.
    ///
    /// # Errors
    /// [`NoteError`] if the note would be over a limit or the signature could not be written.
    pub fn with_signature(mut self, signature: NoteSignature) -> Result<Self, NoteError> {
        self.signatures.push(signature);
        Self::new(self.text, self.signatures)
    }

    /// The known keys that signed. Signatures of unknown keys are ignored, so that witnesses can be added freely.
    ///
    /// # Errors
    /// [`NoteVerifyError`] if a known key's signature is wrong, or no known key has signed.
    pub fn verify<'k>(
        &self,
        known: impl IntoIterator<Item = &'k VerifierKey> + Clone,
    ) -> Result<Vec<&'k VerifierKey>, NoteVerifyError> {
        let mut verified: Vec<&VerifierKey> = Vec::new();
        for signature in &self.signatures {
            let mut keys = known.clone().into_iter();
            let is_named = |key: &&VerifierKey| key.id() == signature.key_id && key.name() == signature.name;
            let Some(key) = keys.find(is_named) else {
                continue;
            };
            let bytes = signature.bytes.as_slice().try_into();
            if !bytes.is_ok_and(|bytes| key.verify(self.text.as_bytes(), bytes)) {
                let name = signature.name.clone();
                return Err(NoteVerifyError::Wrong { name });
            }
            if !verified.contains(&key) {
                verified.push(key);
            }
        }
        if verified.is_empty() {
            return Err(NoteVerifyError::Unverified);
        }
        Ok(verified)
    }
}

impl std::fmt::Display for SignedNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let mut bytes = signature.key_id.0.to_be_bytes().to_vec();
            bytes.extend_from_slice(&signature.bytes);
            writeln!(f, "\u{2014} {} {}", signature.name, STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.chars().any(|c| c.is_ascii_control() && c != '\n') {
        return Err(NoteError::Control);
    }
    if text.len() < 2 || !text.ends_with('\n') {
        return Err(NoteError::Text);
    }
    Ok(())
}

fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (key_id, signature) = bytes.split_first_chunk()?;
    if !key::is_name(name) || signature.is_empty() {
        return None;
    }
    Some(NoteSignature { name: name.to_owned(), key_id: KeyId(u32::from_be_bytes(*key_id)), bytes: signature.to_vec() })
}

#[cfg(test)]
mod tests;
