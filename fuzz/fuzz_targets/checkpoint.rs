//! A checkpoint has one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook_ledger::checkpoint::{Checkpoint, SignedCheckpoint};

fuzz_target!(|text: &str| {
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(checkpoint) = SignedCheckpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
        assert!(checkpoint.verify(&[]).is_err());
    }
});
