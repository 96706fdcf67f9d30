//! A network has one text, and has its own first address.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook_events::Network;

fuzz_target!(|text: &str| {
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string(), text);
        assert!(text.split_once('/').is_some_and(|(base, _)| base.parse().is_ok_and(|base| network.contains(base))));
    }
});
