//! The texts that clients hold: refresh tokens and device tokens. Parsing is strict and pure.
//!
//! The ledger and the views hold only hashes of them. The secret part has 256 random bits, so a plain SHA-256 is enough:
//! there is nothing to guess.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use wardbook_events::{SessionId, UserId};

const REFRESH_PREFIX: &str = "wbr1_";
const DEVICE_PREFIX: &str = "wbd1_";

/// The secret part of a token; wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// From random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// SHA-256 in hex: what is kept.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(digest(&SHA256, &self.0))
    }
    /// Base64url without padding, 43 characters; one secret has one spelling.
    fn parse(text: &str) -> Option<Self> {
        let bytes = zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        Some(Self(<[u8; 32]>::try_from(bytes.as_slice()).ok()?))
    }
    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an access token is renewed with: `wbr1_<user>_<session>_<secret>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Whose.
    pub user: UserId,
    /// Of which session.
    pub session: SessionId,
    /// What only the client has.
    pub secret: Secret,
}

impl RefreshToken {
    /// Reads one; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(REFRESH_PREFIX)?;
        // The secret may hold the separator, the ids cannot.
        let (user, rest) = rest.split_once('_')?;
        let (session, secret) = rest.split_once('_')?;
        Some(Self {
            user: UserId::new(simple_id(user)?),
            session: SessionId::new(simple_id(session)?),
            secret: Secret::parse(secret)?,
        })
    }
    /// For the client, and nobody else.
    #[must_use]
    pub fn text(&self) -> String {
        let (user, session) = (self.user.uuid().simple(), self.session.uuid().simple());
        format!("{REFRESH_PREFIX}{user}_{session}_{}", self.secret.text())
    }
}

/// By what a device is known again: `wbd1_<secret>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceToken(pub Secret);

impl DeviceToken {
    /// Reads one; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(Secret::parse(text.strip_prefix(DEVICE_PREFIX)?)?))
    }
    /// For the client, and nobody else.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{DEVICE_PREFIX}{}", self.0.text())
    }
}

/// A UUID of 32 lower-case hex digits: one id has one spelling.
#[must_use]
pub fn simple_id(text: &str) -> Option<Uuid> {
    let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() == 32 && text.bytes().all(lower) { Uuid::try_parse(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_is_read_back_and_no_other_spelling_is(user: u128, session: u128, secret: [u8; 32], at in 0_usize..110, with in 32_u8..127) {
            let token = RefreshToken {
                user: UserId::new(Uuid::from_u128(user)),
                session: SessionId::new(Uuid::from_u128(session)),
                secret: Secret::new(secret),
            };
            let text = token.text();
            prop_assert_eq!(RefreshToken::parse(&text), Some(token));
            let mut other = text.clone().into_bytes();
            if let Some(place) = other.get_mut(at) {
                *place = with;
            }
            let other = String::from_utf8(other).unwrap();
            if let Some(read) = RefreshToken::parse(&other) {
                prop_assert_eq!(read.text(), other);
            }
            let device = DeviceToken(Secret::new(secret));
            prop_assert_eq!(DeviceToken::parse(&device.text()), Some(device));
        }
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = (RefreshToken::parse(&text), DeviceToken::parse(&text), simple_id(&text));
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let token = DeviceToken(Secret::new([7; 32]));
        assert_eq!(format!("{token:?}"), "DeviceToken(Secret(..))");
    }
}
