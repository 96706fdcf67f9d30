//! A tile has one path and one sequence of bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook_ledger::tile::{TilePath, decode_entries, decode_hashes, encode_entries, encode_hashes};

fuzz_target!(|input: (&str, u16, &[u8])| {
    let (text, width, bytes) = input;
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text);
    }
    if let Ok(hashes) = decode_hashes(bytes, width) {
        assert_eq!(encode_hashes(&hashes), bytes);
    }
    if let Ok(entries) = decode_entries(bytes, width) {
        assert_eq!(encode_entries(&entries).as_deref(), Ok(bytes));
    }
});
