//! The text form of sealed bytes: `1.<key version>.<base64url of nonce, authenticator, ciphertext>`. One value has one spelling.

use std::cell::RefCell;
use std::fmt::Write as _;

use base64_simd::{Out, URL_SAFE_NO_PAD};
use wardbook_events::Ciphertext;
use zeroize::optimization_barrier;

use crate::error::StoreError;
use crate::material::{NotAuthentic, SivKey, TAG};

/// Bound into every sealed value, and the first part of its text.
const FORM: u8 = 1;
const NONCE: usize = 16;
/// What stands before the ciphertext.
const HEAD: usize = NONCE + TAG;
/// Longest text before the coded bytes: form, version, two dots.
const PREFIX_MAX: usize = 16;
/// Components of what a value is bound to, the caller's and ours.
const BOUND_MAX: usize = 10;

/// Bytes that are wiped when dropped, all at once.
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        let all = self.0.capacity();
        self.0.clear();
        self.0.resize(all, 0);
        optimization_barrier(self.0.as_slice());
    }
}

/// Bytes to be sealed: grows without leaving copies behind, is wiped in the end.
pub struct Plaintext(Wiped);

impl Plaintext {
    /// Empty, with room for nonce and authenticator.
    pub fn new() -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.resize(HEAD, 0);
        Self(Wiped(bytes))
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.0.len() + bytes.len();
        if needed > self.0.0.capacity() {
            // A plain `Vec` would free the old buffer unwiped.
            let mut larger = Wiped(Vec::with_capacity(needed.next_power_of_two()));
            larger.0.extend_from_slice(&self.0.0);
            self.0 = larger;
        }
        self.0.0.extend_from_slice(bytes);
    }

    /// Pads with spaces to a multiple of `block` bytes, at most 64, so that the length tells little of a short value.
    pub fn pad(&mut self, block: usize) {
        let length = self.0.0.len() - HEAD;
        let missing = length.next_multiple_of(block) - length;
        self.push([b' '; 64].get(..missing).unwrap_or_default());
    }

    /// Seals the bytes under a key of a version, bound to `context` and a fresh nonce.
    pub fn seal(mut self, key: &SivKey, version: u32, context: &[&[u8]]) -> Result<Ciphertext, StoreError> {
        // Cannot happen: HEAD bytes were put there at the start, and the context is short.
        let broken = StoreError::Damaged { what: "the buffer to be sealed" };
        let Some((nonce, rest)) = self.0.0.split_first_chunk_mut::<NONCE>() else { return Err(broken) };
        let Some((tag, text)) = rest.split_first_chunk_mut::<TAG>() else { return Err(broken) };
        *nonce = fresh_nonce()?;
        *tag = bind(context, version.to_be_bytes(), nonce, |bound| key.encrypt(bound, text))
            .map_err(|NotAuthentic| broken)?;
        encode(version, &self.0.0).ok_or(StoreError::Damaged { what: "the length of what was sealed" })
    }
}

/// Writes the text form into a buffer of the right size.
fn encode(version: u32, bytes: &[u8]) -> Option<Ciphertext> {
    let length = URL_SAFE_NO_PAD.encoded_length(bytes.len());
    let mut text = String::with_capacity(PREFIX_MAX + length);
    write!(text, "{FORM}.{version}.").ok()?;
    let begins = text.len();
    let mut coded = text.into_bytes();
    coded.resize(begins + length, 0);
    let _ = URL_SAFE_NO_PAD.encode(bytes, Out::from_slice(coded.get_mut(begins..)?));
    Some(Ciphertext::new(String::from_utf8(coded).ok()?))
}

/// Nonces drawn from the operating system at once: a system call for each would cost as much as sealing a short value.
const NONCES: usize = 32;

/// A nonce that was never given before.
fn fresh_nonce() -> Result<[u8; NONCE], StoreError> {
    thread_local! {
        static DRAWN: RefCell<Vec<[u8; NONCE]>> = const { RefCell::new(Vec::new()) };
    }
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.is_empty() {
            let mut bytes = [0; NONCES * NONCE];
            getrandom::fill(&mut bytes).map_err(|_| StoreError::NoRandomness)?;
            drawn.extend_from_slice(bytes.as_chunks().0);
        }
        drawn.pop().ok_or(StoreError::NoRandomness)
    })
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
fn bind<T>(
    context: &[&[u8]],
    version: [u8; 4],
    nonce: &[u8; NONCE],
    work: impl FnOnce(&[&[u8]]) -> Result<T, NotAuthentic>,
) -> Result<T, NotAuthentic> {
    let mut bound: [&[u8]; BOUND_MAX] = [&[]; BOUND_MAX];
    let ours: [&[u8]; 3] = [&[FORM], &version, nonce];
    let count = context.len() + ours.len();
    let parts = bound.get_mut(..count).ok_or(NotAuthentic)?;
    for (to, from) in parts.iter_mut().zip(context.iter().chain(&ours)) {
        *to = from;
    }
    work(parts)
}

/// Sealed bytes, parsed but not opened.
pub struct Envelope {
    /// Version of the key that seals it.
    pub key_version: u32,
    bytes: Wiped,
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
        let mut bytes = Wiped(vec![0; URL_SAFE_NO_PAD.estimated_decoded_length(coded.len())]);
        let length = URL_SAFE_NO_PAD.decode(coded.as_bytes(), Out::from_slice(&mut bytes.0)).ok()?.len();
        bytes.0.truncate(length);
        (length >= HEAD).then_some(Self { key_version, bytes })
    }

    /// Opens it in place. The plaintext is wiped when the returned value is dropped.
    pub fn open(mut self, key: &SivKey, context: &[&[u8]]) -> Result<Opened, NotAuthentic> {
        let (nonce, rest) = self.bytes.0.split_first_chunk_mut::<NONCE>().ok_or(NotAuthentic)?;
        let (tag, text) = rest.split_first_chunk_mut::<TAG>().ok_or(NotAuthentic)?;
        bind(context, self.key_version.to_be_bytes(), nonce, |bound| key.decrypt(bound, *tag, text))?;
        Ok(Opened(self.bytes))
    }
}

/// Plaintext bytes, wiped when dropped.
pub struct Opened(Wiped);

impl Opened {
    pub fn bytes(&self) -> &[u8] {
        self.0.0.get(HEAD..).unwrap_or_default()
    }
}
