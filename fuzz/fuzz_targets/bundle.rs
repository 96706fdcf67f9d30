//! A bundle that is read is written and read again as the same bundle.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook_ledger::bundle::SubjectBundle;

fuzz_target!(|text: &str| {
    if let Ok(bundle) = SubjectBundle::from_json(text) {
        let again = bundle.to_json().expect("a bundle is written");
        assert_eq!(SubjectBundle::from_json(&again).ok(), Some(bundle));
    }
});
