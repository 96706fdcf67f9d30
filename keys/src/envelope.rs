//! The text form of sealed bytes: `1.<key version>.<base64url of nonce, authenticator, ciphertext>`. One value has one spelling.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wardbook_events::Ciphertext;
use zeroize::{Zeroize, Zeroizing};

use crate::error::StoreError;
use crate::material::{NotAuthentic, SivKey, TAG};

/// Bound into every sealed value, and the first part of its text.
const FORM: u8 = 1;
const NONCE: usize = 16;
/// What stands before the ciphertext.
const HEAD: usize = NONCE + TAG;

/// Bytes to be sealed: grows without leaving copies behind, is wiped in the end.
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Empty, with room for nonce and authenticator.
    pub fn new() -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(512));
        bytes.resize(HEAD, 0);
        Self(bytes)
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            // A plain `Vec` would free the old buffer unwiped.
            let mut larger = Vec::with_capacity(needed.next_power_of_two());
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            *self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// Pads with spaces to a multiple of `block` bytes, so that the length tells little of a short value.
    pub fn pad(&mut self, block: usize) {
        let length = self.0.len() - HEAD;
        for _ in length..length.next_multiple_of(block) {
            self.push(b" ");
        }
    }

    /// Seals the bytes under a key of a version, bound to `context` and a fresh nonce.
    pub fn seal(mut self, key: &SivKey, version: u32, context: &[&[u8]]) -> Result<Ciphertext, StoreError> {
        // Cannot happen: HEAD bytes were put there at the start, and the context is short.
        let broken = StoreError::Damaged { what: "the buffer to be sealed" };
        let Some((nonce, rest)) = self.0.split_first_chunk_mut::<NONCE>() else { return Err(broken) };
        let Some((tag, text)) = rest.split_first_chunk_mut::<TAG>() else { return Err(broken) };
        getrandom::fill(nonce).map_err(|_| StoreError::NoRandomness)?;
        *tag = key.encrypt(&bind(context, &version.to_be_bytes(), nonce), text).map_err(|NotAuthentic| broken)?;
        let mut coded = format!("{FORM}.{version}.");
        URL_SAFE_NO_PAD.encode_string(self.0.as_slice(), &mut coded);
        Ok(Ciphertext::new(coded))
    }
}

impl std::io::Write for Plaintext {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The caller's context, then form and key version, then the nonce as the last component (RFC 5297 section 3).
fn bind<'a>(context: &[&'a [u8]], version: &'a [u8; 4], nonce: &'a [u8; NONCE]) -> Vec<&'a [u8]> {
    let mut bound = Vec::with_capacity(context.len() + 3);
    bound.extend_from_slice(context);
    bound.extend_from_slice(&[&[FORM], version, nonce]);
    bound
}

/// Sealed bytes, parsed but not opened.
pub struct Envelope {
    /// Version of the key that seals it.
    pub key_version: u32,
    bytes: Zeroizing<Vec<u8>>,
}

impl Envelope {
    /// Parses the text form; `None` if it is not exactly as [`Plaintext::seal`] writes it.
    pub fn parse(ciphertext: &Ciphertext) -> Option<Self> {
        let (form, rest) = ciphertext.as_str().split_once('.')?;
        let (version, coded) = rest.split_once('.')?;
        let key_version: u32 = version.parse().ok()?;
        if form != "1" || version.starts_with(['0', '+']) {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(coded).ok()?);
        (bytes.len() >= HEAD).then_some(Self { key_version, bytes })
    }

    /// Opens it in place. The plaintext is wiped when the returned value is dropped.
    pub fn open(mut self, key: &SivKey, context: &[&[u8]]) -> Result<Opened, NotAuthentic> {
        let (nonce, rest) = self.bytes.split_first_chunk_mut::<NONCE>().ok_or(NotAuthentic)?;
        let (tag, text) = rest.split_first_chunk_mut::<TAG>().ok_or(NotAuthentic)?;
        key.decrypt(&bind(context, &self.key_version.to_be_bytes(), nonce), *tag, text)?;
        Ok(Opened(self.bytes))
    }
}

/// Plaintext bytes, wiped when dropped.
pub struct Opened(Zeroizing<Vec<u8>>);

impl Opened {
    pub fn bytes(&self) -> &[u8] {
        self.0.get(HEAD..).unwrap_or_default()
    }
}
