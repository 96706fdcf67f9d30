//! Certificates that clients show, and answers about them: no bytes make reading them panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook::tls::{certificate::Certificate, ocsp};

fuzz_target!(|input: (&[u8], &[u8], &str)| {
    let (one, other, host) = input;
    let now = jiff::Timestamp::UNIX_EPOCH;
    if let Ok(certificate) = Certificate::of(one) {
        let _ = (certificate.fingerprint(), certificate.thumbprint(), certificate.is_for(host), certificate.days_left(now));
    }
    assert!(ocsp::check(one, other, other, now).is_err());
});
