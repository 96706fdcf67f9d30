//! Inclusion and consistency proofs (RFC 6962 sections 2.1.1 and 2.1.2; verified as RFC 9162 sections 2.1.3 and 2.1.4
//! lay out), built from any [`HashSource`].

mod tlog_proof;

pub use tlog_proof::{ParseProofError, TlogProof, VerifyProofError};

use crate::tree::{Hash, HashSource, empty_root, node_hash, range_root};

/// The most hashes of a proof: one for each level of the tree.
pub const PROOF_HASHES_MAX: usize = 63;

/// Why there is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E> {
    /// The tree has no such leaf.
    #[error("a tree of {size} leaves has no leaf {index}")]
    NoSuchLeaf {
        /// The leaf asked for.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A tree does not grow from a larger one.
    #[error("a tree of {new} leaves cannot have grown from one of {old}")]
    Shrunk {
        /// Size of the earlier tree.
        old: u64,
        /// Size of the later tree.
        new: u64,
    },
    /// The hashes could not be had.
    #[error("a hash of the tree could not be read: {0}")]
    Source(E),
}

/// A proof that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// The tree has no such leaf, or the sizes are in the wrong order.
    #[error("the proof is for a place outside the tree")]
    OutOfRange,
    /// A proof of this place has another number of hashes.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root: the log was changed, or the proof belongs to another entry")]
    Root,
}

/// The hashes that lead from leaf `index` to the root of the first `size` leaves.
///
/// # Errors
/// [`ProofError`] if there is no such leaf, or the source cannot be read.
pub fn prove_inclusion<S: HashSource>(source: &S, index: u64, size: u64) -> Result<Vec<Hash>, ProofError<S::Error>> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let root = |start, end| range_root(source, start, end).map_err(ProofError::Source);
    let (mut start, mut end) = (0, size);
    let mut hashes = Vec::new();
    while end - start > 1 {
        let middle = start + left_size(end - start);
        if index < middle {
            hashes.push(root(middle, end)?);
            end = middle;
        } else {
            hashes.push(root(start, middle)?);
            start = middle;
        }
    }
    hashes.reverse();
    Ok(hashes)
}

/// The hashes that show that the tree of `new` leaves begins with the tree of `old` leaves. Empty from size 0 and
/// between equal sizes.
///
/// # Errors
/// [`ProofError`] if the sizes are in the wrong order, or the source cannot be read.
pub fn prove_consistency<S: HashSource>(source: &S, old: u64, new: u64) -> Result<Vec<Hash>, ProofError<S::Error>> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let root = |start, end| range_root(source, start, end).map_err(ProofError::Source);
    let (mut start, mut end) = (0, new);
    let mut hashes = Vec::new();
    while end != old {
        let middle = start + left_size(end - start);
        if old <= middle {
            hashes.push(root(middle, end)?);
            end = middle;
        } else {
            hashes.push(root(start, middle)?);
            start = middle;
        }
    }
    // From the very left it is the old root itself, which whoever verifies has already.
    if start != 0 {
        hashes.push(root(start, end)?);
    }
    hashes.reverse();
    Ok(hashes)
}

/// Leaves of the left subtree of a tree of `size` > 1 leaves: the largest power of two below it.
fn left_size(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root to which an inclusion proof leads.
///
/// # Errors
/// [`InvalidProof`] if the tree has no such leaf, or its path has another length.
pub fn root_of_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash]) -> Result<Hash, InvalidProof> {
    if index >= size {
        return Err(InvalidProof::OutOfRange);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut root = leaf;
    for hash in proof {
        if last == 0 {
            return Err(InvalidProof::Length);
        }
        if node & 1 == 1 || node == last {
            root = node_hash(hash, &root);
            skip_missing(&mut node, &mut last);
        } else {
            root = node_hash(&root, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    match last {
        0 => Ok(root),
        _ => Err(InvalidProof::Length),
    }
}

/// A node on the right edge without a right sibling is its own parent: go up to where it is a right child.
fn skip_missing(node: &mut u64, last: &mut u64) {
    if *node & 1 == 0 {
        let levels = node.trailing_zeros().min(63);
        *node >>= levels;
        *last >>= levels;
    }
}

/// Checks that `leaf` is leaf `index` of the tree with `root`.
///
/// # Errors
/// [`InvalidProof`] if it does not follow.
pub fn verify_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash], root: Hash) -> Result<(), InvalidProof> {
    match root_of_inclusion(index, size, leaf, proof)? == root {
        true => Ok(()),
        false => Err(InvalidProof::Root),
    }
}

/// Checks that the tree of `new` begins with the tree of `old`; each is (size, root).
///
/// # Errors
/// [`InvalidProof`] if it does not follow.
pub fn verify_consistency(
    (old, old_root): (u64, Hash),
    (new, new_root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), InvalidProof> {
    let when = |holds: bool, error| if holds { Ok(()) } else { Err(error) };
    if old > new {
        return Err(InvalidProof::OutOfRange);
    }
    if old == new || old == 0 {
        when(proof.is_empty(), InvalidProof::Length)?;
        let expected = if old == 0 { empty_root() } else { new_root };
        return when(old_root == expected, InvalidProof::Root);
    }
    // A complete tree is a subtree of the new one, so its root is the first hash and is left out.
    let (first, rest) = match old.is_power_of_two() {
        true => (&old_root, proof),
        false => proof.split_first().ok_or(InvalidProof::Length)?,
    };
    let (mut node, mut last) = (old - 1, new - 1);
    let levels = node.trailing_ones();
    node >>= levels;
    last >>= levels;
    let (mut from_old, mut from_new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return Err(InvalidProof::Length);
        }
        if node & 1 == 1 || node == last {
            from_old = node_hash(hash, &from_old);
            from_new = node_hash(hash, &from_new);
            skip_missing(&mut node, &mut last);
        } else {
            from_new = node_hash(&from_new, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    when(last == 0, InvalidProof::Length)?;
    when(from_old == old_root && from_new == new_root, InvalidProof::Root)
}

#[cfg(test)]
mod tests;
