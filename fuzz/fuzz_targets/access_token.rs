//! No text that we did not sign is an access token.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wardbook::config;
use wardbook::tokens::Tokens;
use wardbook_events::{SessionId, TenantId, UserId};

/// Keys of this run, and a good token.
static GOOD: LazyLock<(Tokens, String)> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let tokens = Tokens::open(dir.path(), config::Tokens::default(), now()).expect("keys");
    let [user, session, tenant] = [[1; 16], [2; 16], [3; 16]];
    let (user, session) = (UserId::from_bytes(user), SessionId::from_bytes(session));
    let tenant = TenantId::from_bytes(tenant);
    let subject = wardbook::tokens::Subject { user, session, tenant, roles: Vec::new(), proven_at: now(), mfa: 0, bound_to: None };
    let token = tokens.issue(&subject, uuid::Uuid::nil(), now()).expect("a token");
    (tokens, token)
});

fn now() -> jiff::Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("an instant")
}

fuzz_target!(|input: (&str, u16, u8)| {
    let (tokens, good) = &*GOOD;
    let (text, at, byte) = input;
    assert!(tokens.verify(text, now()).is_err() || text == good);
    let mut other = good.clone().into_bytes();
    let at = usize::from(at) % other.len();
    other[at] = byte;
    if let Ok(other) = String::from_utf8(other) {
        // The last character of a part carries bits that its bytes do not: the decoder must refuse other spellings.
        assert!(tokens.verify(&other, now()).is_err() || other == *good);
    }
});
