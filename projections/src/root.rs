//! A view's state root: a hash of the *set* of its rows, kept up to date row by row.
//!
//! Each row is hashed to 1,024 lanes of 16 bits (BLAKE3 as an extendable-output function); the state is the sum of
//! all rows, lane by lane modulo 2^16, and the root is the BLAKE3 hash of the state. Sums do not care about order, so
//! neither batches nor the order of rows shows in the root, and replacing a row costs two hashes whatever the size of
//! the view. This is the homomorphic hash LtHash16 of Bellare and Micciancio, as analysed by Lewi et al.
//! (IACR ePrint 2019/227): finding two sets with one root is as hard as a short-vector problem at 200 bits and more.

use std::fmt;

const LANES: usize = 1024;
/// Bytes of a state.
pub(crate) const STATE_BYTES: usize = LANES * 2;
const ROW: &str = "wardbook 2026 view row v1";
const ROOT: &str = "wardbook 2026 view root v1";

/// A view's state root.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Root([u8; 32]);

impl Root {
    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

/// Lanes that tell chance apart: 512 bits, one block of the hash's output, a thirtieth of the work.
const CHECK_LANES: usize = 32;

/// The first lanes of a sum over all rows: enough to notice what a crash or a failing disk did to rows, which do not
/// solve for collisions. Whoever may have meant it is held against all lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckSum([u16; CHECK_LANES]);

impl CheckSum {
    pub(crate) const fn empty() -> Self {
        Self([0; CHECK_LANES])
    }
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut bytes = [0; CHECK_LANES * 2];
        row_hash(key, value).fill(&mut bytes);
        for (lane, pair) in self.0.iter_mut().zip(pairs(&bytes)) {
            *lane = lane.wrapping_add(pair);
        }
    }
}

/// The running sum over all rows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RowSet {
    lanes: Box<[u16; LANES]>,
}

impl RowSet {
    pub(crate) fn empty() -> Self {
        Self { lanes: Box::new([0; LANES]) }
    }
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.each_lane(key, value, u16::wrapping_add);
    }
    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.each_lane(key, value, u16::wrapping_sub);
    }
    fn each_lane(&mut self, key: &[u8], value: &[u8], combine: impl Fn(u16, u16) -> u16) {
        let mut bytes = [0; STATE_BYTES];
        row_hash(key, value).fill(&mut bytes);
        for (lane, pair) in self.lanes.iter_mut().zip(pairs(&bytes)) {
            *lane = combine(*lane, pair);
        }
    }
    pub(crate) fn check_sum(&self) -> CheckSum {
        let mut sum = CheckSum::empty();
        sum.0.iter_mut().zip(self.lanes.iter()).for_each(|(short, lane)| *short = *lane);
        sum
    }
    pub(crate) fn root(&self) -> Root {
        Root(*blake3::Hasher::new_derive_key(ROOT).update(&self.to_bytes()).finalize().as_bytes())
    }
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.lanes.iter().flat_map(|lane| lane.to_le_bytes()).collect()
    }
    pub(crate) fn from_bytes(bytes: &[u8; STATE_BYTES]) -> Self {
        let mut set = Self::empty();
        for (lane, pair) in set.lanes.iter_mut().zip(pairs(bytes)) {
            *lane = pair;
        }
        set
    }
}

fn row_hash(key: &[u8], value: &[u8]) -> blake3::OutputReader {
    let mut hasher = row_hasher();
    // The key's length keeps (ab, c) apart from (a, bc).
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(value);
    hasher.finalize_xof()
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// Deriving the key of the context costs as much as hashing a row, so it is done once.
fn row_hasher() -> blake3::Hasher {
    static HASHER: std::sync::LazyLock<blake3::Hasher> =
        std::sync::LazyLock::new(|| blake3::Hasher::new_derive_key(ROW));
    HASHER.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_boundary_of_key_and_value_counts() {
        let (mut one, mut two) = (RowSet::empty(), RowSet::empty());
        one.add(b"ab", b"c");
        two.add(b"a", b"bc");
        assert_ne!(one.root(), two.root());
        assert_ne!(one.root(), RowSet::empty().root());
    }

    #[test]
    fn the_same_row_twice_is_not_no_row() {
        let mut set = RowSet::empty();
        set.add(b"k", b"v");
        set.add(b"k", b"v");
        assert_ne!(set.root(), RowSet::empty().root());
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_removal_undoes(rows in prop::collection::vec((any::<[u8; 4]>(), any::<[u8; 4]>()), 0..20), more in any::<[u8; 4]>()) {
            let (mut forth, mut back) = (RowSet::empty(), RowSet::empty());
            rows.iter().for_each(|(k, v)| forth.add(k, v));
            back.add(&more, &more);
            rows.iter().rev().for_each(|(k, v)| back.add(k, v));
            back.remove(&more, &more);
            prop_assert_eq!(forth.root(), back.root());
            let mut short = CheckSum::empty();
            rows.iter().for_each(|(k, v)| short.add(k, v));
            prop_assert_eq!(&short, &forth.check_sum());
            short.add(&more, &more);
            prop_assert_ne!(&short, &forth.check_sum());
            let bytes: [u8; STATE_BYTES] = forth.to_bytes().try_into().unwrap();
            prop_assert_eq!(RowSet::from_bytes(&bytes).root(), forth.root());
        }
    }
}
