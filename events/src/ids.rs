//! Identifiers. Each is its own type, so that a record id cannot be passed where a patient id is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is not one of our identifiers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: expected a UUID such as 0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c")]
pub struct IdError {
    kind: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID made elsewhere (the domain draws no random numbers).
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }
            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
            /// The sixteen bytes, as they stand in ledger headers and keys of views.
            #[must_use]
            pub const fn bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
            /// From sixteen bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // Only the hyphenated form: one id has one spelling.
                match Uuid::try_parse(text) {
                    Ok(uuid) if text.len() == 36 => Ok(Self(uuid)),
                    _ => Err(IdError { kind: $kind }),
                }
            }
        }
    };
}

id!(
    /// A patient, pseudonymous: says nothing of the person. The ledger's subject.
    PatientId, "patient"
);
id!(
    /// One clinical entry in a chart.
    RecordId, "record"
);
id!(
    /// A user of the system, or a service.
    UserId, "user"
);
id!(
    /// A login session.
    SessionId, "session"
);
id!(
    /// An organisation whose data no other organisation can reach.
    TenantId, "tenant"
);
id!(
    /// An event in the ledger (UUIDv7, or derived from an idempotency key).
    EventId, "event"
);
id!(
    /// Ties together all events that one request caused.
    CorrelationId, "correlation"
);

id!(
    /// One time that somebody broke the glass: opened a chart in an emergency without being on the care team.
    EmergencyId, "emergency"
);
id!(
    /// An alert to security or privacy officers.
    AlertId, "alert"
);
id!(
    /// A request for a role for a short time.
    ElevationId, "elevation"
);
id!(
    /// A campaign in which somebody looks over who may do what.
    ReviewId, "access review"
);
id!(
    /// A request to be forgotten.
    ErasureId, "erasure"
);
id!(
    /// Something that forbids to erase a patient.
    HoldId, "hold"
);
id!(
    /// A passkey of a user.
    PasskeyId, "passkey"
);
id!(
    /// An API key of a user or a service.
    ApiKeyId, "api key"
);
id!(
    /// A backup, full or incremental.
    BackupId, "backup"
);
id!(
    /// A question put to somebody who is logging in.
    ChallengeId, "challenge"
);

impl SessionId {
    /// The first eight characters: all of a session id that audit listings may show (IAM-14).
    #[must_use]
    pub fn short(&self) -> String {
        self.0.simple().to_string().chars().take(8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_has_one_spelling() {
        let text = "0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c";
        assert_eq!(text.parse::<PatientId>().unwrap().to_string(), text);
        for wrong in ["", "0190a3c47d107cc2b5c12f3e4d5a6b7c", "{0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c}", "x"] {
            assert!(wrong.parse::<PatientId>().is_err(), "{wrong}");
        }
    }
}
