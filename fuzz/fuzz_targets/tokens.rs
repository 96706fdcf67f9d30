//! Tokens, keys and challenges that clients send: no text makes reading them panic, and each has one text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardbook::sessions::secrets::{DeviceToken, RefreshToken};
use wardbook::{challenge, passwords, proofs};

fuzz_target!(|text: &str| {
    if let Some(token) = RefreshToken::parse(text) {
        assert_eq!(token.text(), text);
    }
    if let Some(token) = DeviceToken::parse(text) {
        assert_eq!(token.text(), text);
    }
    if let Some(key) = proofs::api_keys::parse(text) {
        assert_eq!(format!("{}{}_{}", proofs::api_keys::PREFIX, key.id.uuid().simple(), key.secret), text);
    }
    if let Some((user, _)) = passwords::reset::parse(text) {
        assert!(text.contains(&user.uuid().simple().to_string()));
    }
    if let Some((tenant, sealed)) = challenge::parse(text) {
        assert!(text.ends_with(&format!("{}_{}", tenant.uuid().simple(), sealed.as_str())));
    }
    let _ = proofs::assertions::claimed_user(text);
    if let Some(value) = wardbook::api::cookies::parse(text, "__Host-wardbook") {
        assert!(text.contains(&format!("__Host-wardbook={value}")));
    }
});
