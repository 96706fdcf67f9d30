//! Key bytes in memory: in locked pages, where a move leaves no copy behind; wiped when dropped, silent in `Debug`.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::error::StoreError;
use crate::locked::{Locked, Pool, Pooled};
use crate::siv::Siv;

/// Room for the longest secret: a patient's key with its salts.
const LONGEST: usize = 288;

/// Bytes in a slot.
pub struct Bytes([u8; LONGEST]);

impl Pooled for Bytes {
    fn empty() -> Self {
        Self([0; LONGEST])
    }
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Bytes> = Pool::new();
        &POOL
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Bytes that nobody may see; at most 288.
pub struct Secret<const N: usize>(Locked<Bytes>);

impl<const N: usize> Secret<N> {
    /// All zero, to be filled in place.
    pub fn zero() -> Self {
        const { assert!(N <= LONGEST) }
        Self(Locked::empty())
    }
    /// Fresh from the operating system.
    pub fn random() -> Result<Self, StoreError> {
        let mut secret = Self::zero();
        getrandom::fill(secret.bytes_mut()).map_err(|_| StoreError::NoRandomness)?;
        Ok(secret)
    }
    /// A copy of exactly `N` bytes.
    pub fn copy_of(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::zero();
        (bytes.len() == N).then(|| {
            secret.bytes_mut().copy_from_slice(bytes);
            secret
        })
    }
    #[expect(clippy::expect_used, reason = "a slot has room for as many")]
    pub fn bytes(&self) -> &[u8; N] {
        self.0.0.first_chunk().expect("room")
    }
    #[expect(clippy::expect_used, reason = "a slot has room for as many")]
    pub fn bytes_mut(&mut self) -> &mut [u8; N] {
        self.0.0.first_chunk_mut().expect("room")
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// HKDF-SHA256 (RFC 5869): one secret in, independent keys out, one for each `info`.
pub fn derive(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Secret<64> {
    let mut key = Secret::zero();
    #[expect(clippy::expect_used, reason = "64 bytes is below HKDF's limit of 255 blocks of 32")]
    Hkdf::<Sha256>::new(Some(salt), secret).expand_multi_info(info, key.bytes_mut()).expect("64 bytes can be derived");
    key
}

/// Bytes that did not authenticate: damaged, or offered in another context than the one they were sealed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAuthentic;

/// An AES-256-SIV key (RFC 5297: 64 bytes, the first half authenticates), expanded.
pub struct SivKey(Locked<Siv>);

/// Strings of a context.
const CONTEXT_MAX: usize = 126;
/// Bytes of the authenticator that AES-SIV puts before the ciphertext.
pub const TAG: usize = 16;

impl SivKey {
    #[expect(clippy::needless_pass_by_value, reason = "the key is wiped here; it goes on only as it is expanded")]
    pub fn new(key: Secret<64>) -> Self {
        Self(Locked::new(Siv::new(key.bytes())))
    }
    /// Encrypts in place; the context is a vector of strings, so no two contexts run into each other.
    pub fn encrypt(&self, context: &[&[u8]], text: &mut [u8]) -> Result<[u8; TAG], NotAuthentic> {
        // More would not be authenticated as they should (RFC 5297 section 7); we have fewer than ten.
        if context.len() > CONTEXT_MAX { Err(NotAuthentic) } else { Ok(self.0.encrypt(context, text)) }
    }
    /// Decrypts in place; on failure the ciphertext stands there again.
    pub fn decrypt(&self, context: &[&[u8]], tag: [u8; TAG], text: &mut [u8]) -> Result<(), NotAuthentic> {
        if context.len() <= CONTEXT_MAX && self.0.decrypt(context, tag, text) { Ok(()) } else { Err(NotAuthentic) }
    }
    /// Wraps a key under this one. Keys are random, so SIV needs no nonce here (RFC 5297 section 1.3.1).
    pub fn wrap(&self, context: &[&[u8]], key: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
        let mut text = Zeroizing::new(key.to_vec());
        let tag = self.encrypt(context, &mut text)?;
        Ok([tag.as_slice(), text.as_slice()].concat())
    }
    /// Undoes [`SivKey::wrap`].
    pub fn unwrap<const N: usize>(&self, context: &[&[u8]], wrapped: &[u8]) -> Result<Secret<N>, NotAuthentic> {
        let (tag, text) = wrapped.split_first_chunk::<TAG>().ok_or(NotAuthentic)?;
        let mut key = Secret::copy_of(text).ok_or(NotAuthentic)?;
        self.decrypt(context, *tag, key.bytes_mut())?;
        Ok(key)
    }
}

impl fmt::Debug for SivKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SivKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_nothing_of_a_key() {
        let key = Secret::<32>::random().unwrap();
        assert_eq!(format!("{key:?}"), "Secret(..)");
        assert_eq!(format!("{:?}", SivKey::new(Secret::zero())), "SivKey(..)");
    }

    #[test]
    fn derive_agrees_with_rfc_5869_test_case_1() {
        let salt = hex::decode("000102030405060708090a0b0c").unwrap();
        let info = hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap();
        let key = derive(&[0x0b; 22], &salt, &[&info]);
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(hex::encode(&key.bytes()[..42]), expected);
    }

    #[test]
    fn a_wrapped_key_unwraps_only_in_its_context() {
        let (outer, inner) = (SivKey::new(Secret::random().unwrap()), Secret::<32>::random().unwrap());
        let wrapped = outer.wrap(&[b"a", b"bc"], inner.bytes()).unwrap();
        assert_eq!(outer.unwrap::<32>(&[b"a", b"bc"], &wrapped).unwrap().bytes(), inner.bytes());
        assert_eq!(outer.unwrap::<32>(&[b"ab", b"c"], &wrapped).err(), Some(NotAuthentic));
        assert_eq!(outer.unwrap::<32>(&[b"a"], &wrapped).err(), Some(NotAuthentic));
        assert_eq!(outer.unwrap::<64>(&[b"a", b"bc"], &wrapped).err(), Some(NotAuthentic));
        for bit in 0..wrapped.len() * 8 {
            let mut damaged = wrapped.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(outer.unwrap::<32>(&[b"a", b"bc"], &damaged).is_err(), "bit {bit}");
        }
    }
}
