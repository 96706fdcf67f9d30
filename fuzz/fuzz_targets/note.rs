//! A note, a verifier key and a list of keys have one text each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook_ledger::{
    KeyRing,
    note::{SignedNote, VerifierKey},
};

fuzz_target!(|text: &str| {
    if let Ok(note) = SignedNote::parse(text) {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    let _ = KeyRing::parse(text);
});
