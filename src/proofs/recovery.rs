//! Recovery codes: ten of eight hex digits, for who lost everything else. Shown once, kept as sealed hashes (IAM-07).

use std::fmt::Write as _;

use super::digest;
use crate::clock::{Chance, NoChance};

/// Codes in a list.
pub const COUNT: usize = 10;

/// New codes.
///
/// # Errors
/// If the operating system has no random bytes to give.
pub fn new_codes(chance: &Chance) -> Result<Vec<String>, NoChance> {
    let bytes: [u8; 4 * COUNT] = chance.bytes()?;
    Ok(bytes.chunks_exact(4).map(hex::encode).collect())
}

/// What is kept of a code: SHA-256 in hex.
#[must_use]
pub fn hash(code: &str) -> String {
    digest::sha256_hex(normal(code).as_bytes())
}

/// The number of the code whose hash is in the list. Every hash is looked at, in constant time.
#[must_use]
pub fn index_of(hashes: &[String], code: &str) -> Option<u8> {
    let given = hash(code);
    let mut found = None;
    for (index, hash) in hashes.iter().enumerate() {
        if digest::same(hash.as_bytes(), given.as_bytes()) {
            found = u8::try_from(index).ok();
        }
    }
    found
}

/// As people write it down: with capitals, spaces or a hyphen.
fn normal(code: &str) -> String {
    let kept = code.chars().filter(char::is_ascii_hexdigit);
    kept.fold(String::with_capacity(8), |mut text, digit| {
        _ = write!(text, "{}", digit.to_ascii_lowercase());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_codes_each_known_by_its_number() {
        let codes = new_codes(&Chance::seeded(3)).unwrap();
        assert_eq!(codes.len(), 10);
        assert!(codes.iter().all(|code| code.len() == 8 && code.bytes().all(|b| b.is_ascii_hexdigit())));
        let hashes: Vec<_> = codes.iter().map(|code| hash(code)).collect();
        for (index, code) in codes.iter().enumerate() {
            assert_eq!(index_of(&hashes, code), Some(u8::try_from(index).unwrap()));
        }
        let written = format!("{}-{}", codes[4][..4].to_uppercase(), &codes[4][4..]);
        assert_eq!(index_of(&hashes, &written), Some(4));
        for wrong in ["", "00000000", "zzzzzzzz"] {
            assert_eq!(index_of(&hashes, wrong), None, "{wrong}");
        }
    }
}
