//! A proof has one text, and no hashes make its verification panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook_ledger::{
    proof::{TlogProof, verify_consistency, verify_inclusion},
    tree::Hash,
};

fuzz_target!(|input: (&str, u64, u64, Vec<[u8; 32]>)| {
    let (text, index, size, hashes) = input;
    if let Ok(proof) = TlogProof::parse(text) {
        assert_eq!(proof.to_string(), text);
    }
    let hashes: Vec<_> = hashes.into_iter().map(Hash::from_bytes).collect();
    let root = Hash::default();
    let _ = verify_inclusion(index, size, root, &hashes, root);
    let _ = verify_consistency((index, root), (size, root), &hashes);
});
