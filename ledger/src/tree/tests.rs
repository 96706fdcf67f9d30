use proptest::prelude::*;

use super::*;

/// The definition of RFC 6962 section 2.1, word for word and as slow.
pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(k);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

pub(crate) fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

pub(crate) fn memory_tree(leaves: &[Hash]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree
}

/// Vectors that every RFC 6962 implementation shares (the log of Certificate Transparency's own tests).
#[test]
fn known_roots() {
    let entries: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
    ];
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    frontier.push(leaf_hash(entries[0]));
    assert_eq!(frontier.root().to_string(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    for entry in &entries[1..] {
        frontier.push(leaf_hash(entry));
    }
    assert_eq!(frontier.root().to_string(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
}

#[test]
fn every_small_tree_has_the_root_of_the_definition() {
    let leaves = leaves(300);
    let tree = memory_tree(&leaves);
    let mut frontier = Frontier::new();
    for (size, leaf) in leaves.iter().enumerate() {
        assert_eq!(frontier.root(), naive_root(&leaves[..size]), "size {size}");
        assert_eq!(root_at(&tree, size as u64), Ok(frontier.root()));
        assert_eq!(Frontier::from_source(&tree, size as u64), Ok(frontier.clone()));
        frontier.push(*leaf);
    }
}

proptest! {
    #[test]
    fn a_frontier_goes_on_from_its_parts(size in 0usize..400, more in 0usize..100) {
        let leaves = leaves(size + more);
        let mut frontier = Frontier::new();
        leaves[..size].iter().for_each(|leaf| frontier.push(*leaf));
        let mut again = Frontier::from_parts(frontier.size(), frontier.parts().to_vec()).unwrap();
        leaves[size..].iter().for_each(|leaf| again.push(*leaf));
        prop_assert_eq!(again.root(), naive_root(&leaves));
    }

    #[test]
    fn subtrees_cover_the_range_without_gap(start in 0u64..1000, len in 0u64..1000) {
        let mut at = start;
        for (level, index) in subtrees(start, start + len) {
            prop_assert_eq!(index << level, at);
            at += 1 << level;
        }
        prop_assert_eq!(at, start + len);
    }

    #[test]
    fn a_complete_subtree_hashes_to_the_definition(level in 0u8..7, index in 0u64..4) {
        let leaves = leaves(512);
        let tree = memory_tree(&leaves);
        let (start, end) = ((index as usize) << level, (index as usize + 1) << level);
        prop_assert_eq!(tree.hash(level, index), Ok(naive_root(&leaves[start..end])));
    }
}

#[test]
fn parts_must_fit_the_size() {
    assert!(Frontier::from_parts(3, vec![Hash::default()]).is_err());
    assert!(Frontier::from_parts(3, vec![Hash::default(); 2]).is_ok());
    assert!(MemoryTree::new().hash(0, 0).is_err());
}
