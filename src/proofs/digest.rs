//! Hashes of what is shown once and kept nowhere.

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::clock::{Chance, NoChance};

/// SHA-256 in hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// Whether two byte strings are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// 256 random bits that fit into a URL. A bare hash of it may be kept: it cannot be guessed.
///
/// # Errors
/// If the operating system has no random bytes to give.
pub fn new_token(chance: &Chance) -> Result<Zeroizing<String>, NoChance> {
    let bytes = Zeroizing::new(chance.bytes::<32>()?);
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}
