//! Whatever is read as an entry is written in exactly these bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook_ledger::{Entry, entry::Header};

fuzz_target!(|bytes: &[u8]| {
    let _ = Header::decode(bytes);
    if let Ok(entry) = Entry::decode(bytes.to_vec()) {
        assert_eq!(entry.stored(), bytes);
        let sections = entry.meta().len() + entry.client().len() + entry.body().len();
        assert!(sections < bytes.len());
        assert_eq!(entry.links().len(), usize::from(entry.header().link_count));
        for link in entry.links() {
            assert_eq!(entry.link(&link.subject), Some(link));
        }
    }
});
