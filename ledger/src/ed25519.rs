//! Ed25519 verification that leaves no room for opinion.
//!
//! Verifiers differ on malformed keys and signatures (encodings that are not the shortest, points of small order), and
//! a batch may accept what a single check refuses. We refuse all of these before any arithmetic, so that every path
//! gives one answer. What remains is a signature whose nonce point the *holder of the key* moved by a point of small
//! order on purpose: a batch may take it with chance 1/8 or more, a single check never does. It gains nobody anything.

use std::sync::LazyLock;

use curve25519_dalek::{constants::EIGHT_TORSION, edwards::CompressedEdwardsY, scalar::Scalar, traits::IsIdentity};
use ed25519_dalek::{Signature, VerifyingKey};

/// A public key that is safe to verify with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicKey(VerifyingKey);

impl PublicKey {
    /// None if the bytes are no point, not its one encoding, or a point outside the prime-order group.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let encoded = CompressedEdwardsY(*bytes);
        let point = encoded.decompress()?;
        let is_good = point.compress() == encoded && point.is_torsion_free() && !point.is_identity();
        if !is_good {
            return None;
        }
        VerifyingKey::from_bytes(bytes).ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn dalek(&self) -> VerifyingKey {
        self.0
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        parse_signature(signature).is_some_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// None if the scalar or the point is not in its one encoding, or the point has small order. Whether the point lies on
/// the curve is seen when the signature is verified.
pub(crate) fn parse_signature(bytes: &[u8; 64]) -> Option<Signature> {
    let signature = Signature::from_bytes(bytes);
    let scalar_fits = bool::from(Scalar::from_canonical_bytes(*signature.s_bytes()).is_some());
    let y = without_sign(signature.r_bytes());
    (scalar_fits && is_reduced(&y) && !SMALL_ORDER.contains(&y)).then_some(signature)
}

/// The y coordinates of the eight points of small order.
static SMALL_ORDER: LazyLock<Vec<[u8; 32]>> = LazyLock::new(|| {
    let points = EIGHT_TORSION.iter().map(|point| point.compress());
    points.map(|point| without_sign(&point.0)).collect()
});

/// The top bit of an encoded point is the sign of x.
fn without_sign(point: &[u8; 32]) -> [u8; 32] {
    let mut y = *point;
    if let Some(top) = y.last_mut() {
        *top &= 0x7f;
    }
    y
}

/// True if the little-endian number is below 2^255 - 19: only its 19 largest values, that begin with 0xed or more
/// and are all ones behind it, are not.
fn is_reduced(y: &[u8; 32]) -> bool {
    match y {
        [low, middle @ .., 0x7f] => *low < 0xed || middle.iter().any(|byte| *byte != 0xff),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    fn signed() -> (PublicKey, [u8; 64]) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let signature = pair.sign(b"message").as_ref().try_into().unwrap();
        (PublicKey::from_bytes(&public).unwrap(), signature)
    }

    #[test]
    fn a_signature_of_the_signing_library_verifies() {
        let (key, signature) = signed();
        assert!(key.verify(b"message", &signature));
        assert!(!key.verify(b"other", &signature));
    }

    #[test]
    fn a_second_encoding_of_the_scalar_is_refused() {
        let (key, signature) = signed();
        // S + L is the same scalar to a verifier that reduces it.
        let order = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10u8,
        ];
        let mut other = signature;
        let mut carry = 0u16;
        for (byte, add) in other[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        assert!(parse_signature(&other).is_none());
        assert!(!key.verify(b"message", &other));
    }

    #[test]
    fn points_of_small_order_and_unreduced_points_are_refused() {
        for point in EIGHT_TORSION {
            let bytes = point.compress().0;
            assert!(PublicKey::from_bytes(&bytes).is_none());
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&bytes);
            assert!(parse_signature(&signature).is_none());
        }
        let mut unreduced = [0xff; 32];
        unreduced[0] = 0xed;
        unreduced[31] = 0x7f;
        assert!(!is_reduced(&unreduced));
        unreduced[0] = 0xec;
        assert!(is_reduced(&unreduced));
        // y = p + 4 decompresses to the point with y = 4.
        let mut second = [0xff; 32];
        second[0] = 0xf1;
        second[31] = 0x7f;
        assert!(CompressedEdwardsY(second).decompress().is_some());
        assert!(PublicKey::from_bytes(&second).is_none());
    }

    #[test]
    fn a_key_with_a_part_of_small_order_is_refused() {
        let (key, _) = signed();
        let point = CompressedEdwardsY(*key.as_bytes()).decompress().unwrap();
        let mixed = (point + EIGHT_TORSION[1]).compress();
        assert!(PublicKey::from_bytes(&mixed.0).is_none());
    }
}
