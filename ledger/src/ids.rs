//! Names and numbers of the log. Each is parsed once and cannot hold a bad value afterwards.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// Not a lower-case hyphenated UUID.
    #[error("expected a lower-case hyphenated uuid")]
    Uuid,
    /// Not 64 lower-case hex digits.
    #[error("expected 64 lower-case hex digits")]
    Digest,
    /// Not 8 lower-case hex digits.
    #[error("expected 8 lower-case hex digits")]
    KeyId,
    /// Not a stream id.
    #[error("expected a stream id: 1 to {STREAM_ID_BYTES_MAX} bytes of a-z, 0-9, '.', '_' and '-'")]
    StreamId,
    /// Not an event type.
    #[error("expected an event type: 1 to {EVENT_TYPE_BYTES_MAX} bytes of a-z, 0-9, '.', '_' and '-'")]
    EventType,
}

/// Longest stream id, in bytes.
pub const STREAM_ID_BYTES_MAX: usize = 120;
/// Longest event type, in bytes.
pub const EVENT_TYPE_BYTES_MAX: usize = 64;

/// Text form, hex or uuid, for a type that has `Display` and `FromStr`: shown the same in logs, JSON and errors.
macro_rules! serde_as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with these bytes; any 16 bytes are an id.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl From<[u8; 16]> for $name {
            fn from(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_uuid(text).map(Self).ok_or(ParseIdError::Uuid)
            }
        }

        serde_as_text!($name);
    };
}

uuid_id! {
    /// Names an event for ever. Made by the caller (UUIDv7), and the key of idempotency.
    EventId
}
uuid_id! {
    /// Whom an event is about: a pseudonym, in this product a patient's.
    SubjectId
}

fn write_uuid(bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let parts: [&str; 5] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
    let lengths_fit = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]);
    if !lengths_fit {
        return None;
    }
    parse_hex(&parts.concat())
}

/// Lower case only: one value has one text.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// BLAKE3 digest of an entry; see [`crate::entry`] for what it covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Stands for "there is no previous event".
    pub const ZERO: Self = Self([0; 32]);

    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_hex(text).map(Self).ok_or(ParseIdError::Digest)
    }
}

serde_as_text!(Digest);

/// A name that is shared, not copied: streams and types repeat in every entry.
macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $max:expr, $error:expr, $allowed:pat) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let length_fits = (1..=$max).contains(&text.len());
                if !length_fits || !text.bytes().all(|byte| matches!(byte, $allowed)) {
                    return Err($error);
                }
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = ParseIdError;

            fn try_from(text: &str) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0)
            }
        }

        serde_as_text!($name);
    };
}

name_id! {
    /// A sequence of events with versions of its own, such as `patient-0190...`: 1 to 120 bytes of `[a-z0-9._-]`.
    /// Stands in the clear in the log, so it must never be made from what identifies a person.
    StreamId, STREAM_ID_BYTES_MAX, ParseIdError::StreamId, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'
}
name_id! {
    /// What kind of event it is, such as `patients.registered`: 1 to 64 bytes of `[a-z0-9._-]`.
    EventType, EVENT_TYPE_BYTES_MAX, ParseIdError::EventType, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'
}

/// Place in the whole log, from 0 and without gaps; also the leaf index in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one; stays at the end of the number space, which no log reaches.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a verification key: the C2SP signed-note key id, the first four bytes (big-endian) of
/// `SHA-256(name || 0x0A || 0x01 || public key)`, so that anyone can compute it from the published key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_hex(text).map(|bytes| Self(u32::from_be_bytes(bytes))).ok_or(ParseIdError::KeyId)
    }
}

serde_as_text!(KeyId);

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// The number itself.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_one_text() {
        let id = EventId::from_bytes([0xab; 16]);
        let text = "abababab-abab-abab-abab-abababababab";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse::<EventId>(), Ok(id));
        for wrong in [
            "ABABABAB-abab-abab-abab-abababababab",
            "ababababab-ab-abab-abab-abababababab",
            "abababababababababababababababab",
            "",
        ] {
            assert_eq!(wrong.parse::<EventId>(), Err(ParseIdError::Uuid), "{wrong}");
        }
        let digest = Digest::from_bytes([7; 32]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!(digest.to_string().to_uppercase().replace('0', "A").parse::<Digest>().is_err());
        assert_eq!(KeyId(0x00ab_cdef).to_string(), "00abcdef");
        assert_eq!("00abcdef".parse(), Ok(KeyId(0x00ab_cdef)));
    }

    #[test]
    fn names_are_bounded_and_plain() {
        assert!("patient-0190.a_b".parse::<StreamId>().is_ok());
        assert!("a".repeat(120).parse::<StreamId>().is_ok());
        assert!("care-teams.member-assigned_2".parse::<EventType>().is_ok());
        for wrong in ["", "A", "a b", "a/b", "\u{e9}", &"a".repeat(121)] {
            assert!(wrong.parse::<StreamId>().is_err(), "{wrong}");
        }
        for wrong in ["", "a b", "A", &"a".repeat(65)] {
            assert!(wrong.parse::<EventType>().is_err(), "{wrong}");
        }
    }
}
