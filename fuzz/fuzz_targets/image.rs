//! Images that users send: no bytes make cleaning them panic, what comes out is never more than what went in, and cleaning it
//! again finds nothing left to take out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook::documents::strip;
use wardbook_events::documents::MediaType;
use zeroize::Zeroizing;

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    let kinds = [MediaType::Jpeg, MediaType::Png, MediaType::WebP];
    let kind = kinds[usize::from(kind) % kinds.len()];
    if let Ok(stripped) = strip(kind, Zeroizing::new(bytes.to_vec())) {
        let again = strip(kind, stripped.image.clone()).expect("what was written can be read");
        assert_eq!(*again.image, *stripped.image);
    }
});
