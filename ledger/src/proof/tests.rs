use proptest::prelude::*;

use super::*;
use crate::{
    checkpoint::Checkpoint,
    entry::{Entry, leaf},
    ids::Digest,
    signer::LedgerKeys,
    tree::{
        MemoryTree, leaf_hash, root_at,
        tests::{leaves, memory_tree, naive_root},
    },
};

/// RFC 6962 section 2.1.1, word for word.
fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return vec![];
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    match index < k {
        true => [naive_path(index, left), vec![naive_root(right)]].concat(),
        false => [naive_path(index - k, right), vec![naive_root(left)]].concat(),
    }
}

/// RFC 6962 section 2.1.2, word for word.
fn naive_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { vec![] } else { vec![naive_root(leaves)] };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    match old <= k {
        true => [naive_subproof(old, left, whole), vec![naive_root(right)]].concat(),
        false => [naive_subproof(old - k, right, false), vec![naive_root(left)]].concat(),
    }
}

#[test]
fn every_proof_of_every_small_tree_is_that_of_the_definition_and_verifies() {
    let leaves = leaves(65);
    let tree = memory_tree(&leaves);
    for size in 1..=leaves.len() {
        let root = naive_root(&leaves[..size]);
        for index in 0..size {
            let proof = prove_inclusion(&tree, index as u64, size as u64).unwrap();
            assert_eq!(proof, naive_path(index, &leaves[..size]));
            verify_inclusion(index as u64, size as u64, leaves[index], &proof, root).unwrap();
        }
        for old in 1..=size {
            let proof = prove_consistency(&tree, old as u64, size as u64).unwrap();
            assert_eq!(proof, naive_subproof(old, &leaves[..size], true));
            let old_root = naive_root(&leaves[..old]);
            verify_consistency((old as u64, old_root), (size as u64, root), &proof).unwrap();
        }
        assert_eq!(prove_consistency(&tree, 0, size as u64), Ok(vec![]));
        verify_consistency((0, empty_root()), (size as u64, root), &[]).unwrap();
    }
    assert!(prove_inclusion(&tree, 65, 65).is_err());
    assert!(prove_consistency(&tree, 65, 64).is_err());
    assert!(matches!(prove_inclusion(&MemoryTree::new(), 0, 2), Err(ProofError::Source(_))));
}

proptest! {
    #[test]
    fn a_proof_proves_nothing_else(
        size in 2u64..200, index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        bit in 0u8..8, other in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(200);
        let tree = memory_tree(&leaves);
        let root = root_at(&tree, size).unwrap();
        let index = index.index(size as usize);
        let leaf = leaves[index];
        let proof = prove_inclusion(&tree, index as u64, size).unwrap();

        let mut changed = proof.clone();
        let which = at.index(proof.len() * 32);
        let mut bytes = *changed[which / 32].as_bytes();
        bytes[which % 32] ^= 1 << bit;
        changed[which / 32] = Hash::from_bytes(bytes);
        prop_assert!(verify_inclusion(index as u64, size, leaf, &changed, root).is_err());

        let shorter = &proof[..proof.len() - 1];
        prop_assert!(verify_inclusion(index as u64, size, leaf, shorter, root).is_err());
        let longer = [&proof[..], &[root]].concat();
        prop_assert!(verify_inclusion(index as u64, size, leaf, &longer, root).is_err());

        let other = other.index(200) as u64;
        if other != index as u64 {
            prop_assert!(verify_inclusion(other, size, leaf, &proof, root).is_err());
        }
    }

    #[test]
    fn a_consistency_proof_proves_nothing_else(
        old in 1u64..200, more in 1u64..100, at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let leaves = leaves(300);
        let tree = memory_tree(&leaves);
        let new = old + more;
        let (old_root, new_root) = (root_at(&tree, old).unwrap(), root_at(&tree, new).unwrap());
        let proof = prove_consistency(&tree, old, new).unwrap();
        verify_consistency((old, old_root), (new, new_root), &proof).unwrap();

        let mut changed = proof.clone();
        let which = at.index(proof.len() * 32);
        let mut bytes = *changed[which / 32].as_bytes();
        bytes[which % 32] ^= 1 << bit;
        changed[which / 32] = Hash::from_bytes(bytes);
        prop_assert!(verify_consistency((old, old_root), (new, new_root), &changed).is_err());
        prop_assert!(verify_consistency((old, new_root), (new, new_root), &proof).is_err());
        prop_assert!(verify_consistency((old, old_root), (new, old_root), &proof).is_err());
        prop_assert!(verify_consistency((new, new_root), (old, old_root), &proof).is_err());
        let shorter = &proof[..proof.len() - 1];
        prop_assert!(verify_consistency((old, old_root), (new, new_root), shorter).is_err());
    }

    #[test]
    fn no_sizes_make_the_verifiers_panic(a in any::<u64>(), b in any::<u64>(), len in 0usize..70) {
        let proof = vec![Hash::default(); len];
        let _ = verify_inclusion(a, b, Hash::default(), &proof, Hash::default());
        let _ = verify_consistency((a, Hash::default()), (b, Hash::default()), &proof);
        let _ = verify_inclusion(u64::MAX - 1, u64::MAX, Hash::default(), &proof, Hash::default());
    }
}

fn text_proof(size: usize, index: u64) -> (LedgerKeys, TlogProof) {
    let keys = LedgerKeys::generate("log.example/ward").unwrap();
    let mut tree = MemoryTree::new();
    let mut own = None;
    for n in 0..size {
        let digest = Digest::from_bytes([u8::try_from(n % 251).unwrap(); 32]);
        let leaf = leaf(&digest, &keys.events.sign(&digest).unwrap());
        tree.push(leaf_hash(&leaf));
        if n as u64 == index {
            own = Some(leaf.to_vec());
        }
    }
    let checkpoint = Checkpoint::sign(&keys.checkpoints, tree.size(), tree.root()).unwrap();
    let hashes = prove_inclusion(&tree, index, tree.size()).unwrap();
    let proof = TlogProof { extra: own, index, hashes, checkpoint };
    (keys, proof)
}

#[test]
fn a_proof_is_verified_from_its_text_alone() {
    for (size, index) in [(1, 0), (2, 1), (7, 6), (100, 42)] {
        let (keys, proof) = text_proof(size, index);
        let text = proof.to_string();
        let again = TlogProof::parse(&text).unwrap();
        assert_eq!(again, proof);
        assert_eq!(again.verify_own_leaf(&keys.ring).unwrap().to_vec(), proof.extra.unwrap());
        assert!(again.verify(b"another leaf", &keys.ring).is_err());
        let strangers = LedgerKeys::generate("log.example/ward").unwrap();
        assert!(again.verify_own_leaf(&strangers.ring).is_err());
    }
}

#[test]
fn a_changed_byte_of_a_proof_text_is_refused() {
    let (keys, proof) = text_proof(6, 3);
    let text = proof.to_string();
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            if let Ok(parsed) = TlogProof::parse(&changed) {
                assert_eq!(parsed.to_string(), changed, "one proof has one text");
                assert!(parsed.verify_own_leaf(&keys.ring).is_err(), "byte {at}: {changed}");
            }
        }
        let _ = TlogProof::parse(text.get(..at).unwrap_or_default());
    }
    assert!(Entry::decode(text.into_bytes()).is_err());
}
