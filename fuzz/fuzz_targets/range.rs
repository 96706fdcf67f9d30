//! Whatever part of a document is asked for lies within it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook::documents::Requested;

fuzz_target!(|input: (&str, u64)| {
    let (header, size) = input;
    match Requested::parse(Some(header)).within(size) {
        Some(range) => assert!(range.start <= range.end && range.end <= size),
        None => assert!(header.starts_with("bytes=")),
    }
});
