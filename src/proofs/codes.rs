//! Codes by e-mail and text message: six characters, five minutes, three tries (IAM-08).

use crate::clock::{Chance, NoChance};
use crate::proofs::digest;

/// How long a code is good, in seconds.
pub const LIFETIME_S: i64 = 300;
/// Characters of a code.
pub const LENGTH: usize = 6;
/// What codes are made of, after Crockford: no I, L, O, U. 32 signs, so each takes five random bits.
const SIGNS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new code: 30 random bits.
///
/// # Errors
/// If the operating system has no random bytes to give.
pub fn new_code(chance: &Chance) -> Result<String, NoChance> {
    let bytes: [u8; LENGTH] = chance.bytes()?;
    Ok(bytes.iter().filter_map(|byte| SIGNS.get(usize::from(byte % 32)).copied()).map(char::from).collect())
}

/// What is kept of a code: SHA-256 in hex, sealed besides.
#[must_use]
pub fn hash(code: &str) -> String {
    let normal: String =
        code.chars().filter(|sign| !sign.is_whitespace()).map(|sign| sign.to_ascii_uppercase()).collect();
    digest::sha256_hex(normal.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_six_signs_that_nobody_mistakes() {
        let chance = Chance::seeded(5);
        for _ in 0..200 {
            let code = new_code(&chance).unwrap();
            assert_eq!(code.len(), 6);
            assert!(code.bytes().all(|sign| SIGNS.contains(&sign)), "{code}");
            assert_eq!(hash(&code), hash(&format!(" {} ", code.to_lowercase())));
        }
        assert_ne!(new_code(&chance).unwrap(), new_code(&chance).unwrap());
    }
}
