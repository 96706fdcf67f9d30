//! Texts that clients send and nobody checked yet: the properties that the fuzz targets look for, in every test run.

use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;
use wardbook::config;
use wardbook::sessions::secrets::{DeviceToken, RefreshToken};
use wardbook::tokens::{Subject, Tokens};
use wardbook::{challenge, passwords, proofs};
use wardbook_events::{SessionId, TenantId, UserId};

/// Text that looks like one of our tokens for some of the way.
fn near_tokens() -> impl Strategy<Value = String> {
    let id = prop_oneof!["[0-9a-f]{32}", "[0-9a-fA-F]{30,34}", "\\PC{0,40}"];
    let secret = prop_oneof!["[A-Za-z0-9_-]{43}", "[A-Za-z0-9_=-]{40,46}", "\\PC{0,60}"];
    let prefix = prop_oneof!["wb[rcd]1_", "wb[kp]_", "\\PC{0,8}"];
    (prefix, prop::collection::vec(id, 0..3), secret).prop_map(|(prefix, ids, secret)| {
        let ids = ids.into_iter().map(|id| id + "_").collect::<String>();
        format!("{prefix}{ids}{secret}")
    })
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

static GOOD: LazyLock<(Tokens, String)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(dir.path(), config::Tokens::default(), now()).unwrap();
    let (user, session) = (UserId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
    let tenant = TenantId::from_bytes([3; 16]);
    let subject = Subject { user, session, tenant, roles: Vec::new(), proven_at: now(), mfa: 0, bound_to: None };
    let token = tokens.issue(&subject, uuid::Uuid::nil(), now()).unwrap();
    (tokens, token)
});

proptest! {
    #[test]
    fn tokens_have_one_text_and_no_text_makes_reading_panic(text in near_tokens()) {
        if let Some(token) = RefreshToken::parse(&text) {
            prop_assert_eq!(token.text(), text.clone());
        }
        if let Some(token) = DeviceToken::parse(&text) {
            prop_assert_eq!(token.text(), text.clone());
        }
        if let Some(key) = proofs::api_keys::parse(&text) {
            let again = format!("{}{}_{}", proofs::api_keys::PREFIX, key.id.uuid().simple(), key.secret);
            prop_assert_eq!(again, text.clone());
        }
        if let Some((user, _)) = passwords::reset::parse(&text) {
            prop_assert!(text.contains(&user.uuid().simple().to_string()));
        }
        if let Some((tenant, sealed)) = challenge::parse(&text) {
            let end = format!("{}_{}", tenant.uuid().simple(), sealed.as_str());
            prop_assert!(text.ends_with(&end));
        }
        prop_assert!(proofs::assertions::claimed_user(&text).is_none());
        prop_assert!(GOOD.0.verify(&text, now()).is_err());
    }

    /// Any change of a good token, the spelling of its base64 too, makes it no token.
    #[test]
    fn no_other_text_than_the_one_we_signed_is_an_access_token(at: prop::sample::Index, with in "[A-Za-z0-9_.=-]", cut: prop::sample::Index) {
        let (tokens, good) = &*GOOD;
        prop_assert!(tokens.verify(good, now()).is_ok());
        let at = at.index(good.len());
        let other = format!("{}{with}{}", &good[..at], &good[at + 1..]);
        prop_assert!(other == *good || tokens.verify(&other, now()).is_err());
        prop_assert!(tokens.verify(&good[..cut.index(good.len())], now()).is_err());
        let longer = format!("{good}{with}");
        prop_assert!(tokens.verify(&longer, now()).is_err());
    }
}
