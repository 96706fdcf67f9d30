//! From an event to stored bytes and back, across schema versions.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::AccessEvent;
use crate::access_reviews::AccessReviewEvent;
use crate::alerts::AlertEvent;
use crate::backups::BackupEvent;
use crate::break_glass::BreakGlassEvent;
use crate::care_teams::CareTeamEvent;
use crate::consent::ConsentEvent;
use crate::documents::DocumentEvent;
use crate::elevations::ElevationEvent;
use crate::erasure::ErasureEvent;
use crate::governance::GovernanceEvent;
use crate::identity::IdentityEvent;
use crate::ids::{EventId, PatientId};
use crate::keys::KeyEvent;
use crate::meta::{Client, Meta};
use crate::patients::PatientEvent;
use crate::records::RecordEvent;

/// Why stored bytes are not an event we know.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The type name is unknown: written by a newer version, or damaged.
    #[error("unknown event type {kind}: written by a newer version of wardbook?")]
    UnknownType {
        /// The type name.
        kind: String,
    },
    /// The schema version is newer than this program.
    #[error("event type {kind} has schema version {version}, this program knows up to {known}: upgrade wardbook")]
    TooNew {
        /// The type name.
        kind: &'static str,
        /// The version stored.
        version: u16,
        /// The newest version known here.
        known: u16,
    },
    /// There is no upcaster for an old version.
    #[error("event type {kind} has schema version {version}, for which there is no upcaster")]
    NoUpcaster {
        /// The type name.
        kind: &'static str,
        /// The version stored.
        version: u16,
    },
    /// The JSON does not have the shape of the type.
    #[error("the {section} of an event of type {kind} is malformed at line {line} column {column}")]
    Malformed {
        /// The type name.
        kind: String,
        /// `meta`, `client` or `body`.
        section: &'static str,
        /// Where the parser stopped.
        line: usize,
        /// Where the parser stopped.
        column: usize,
    },
}

impl DecodeError {
    /// Keeps the place and drops the parser's message, which may quote content.
    fn malformed(kind: &str, section: &'static str, error: &serde_json::Error) -> Self {
        Self::Malformed { kind: kind.to_owned(), section, line: error.line(), column: error.column() }
    }
}

/// Turns the JSON of schema version `from` of the named event into that of version `from + 1`.
pub(crate) type Upcast = fn(kind: &str, from: u16, body: Value) -> Option<Value>;

pub(crate) fn decode_body<T: DeserializeOwned>(
    kind: &'static str,
    version: u16,
    current: u16,
    json: &[u8],
    upcast: Upcast,
) -> Result<T, DecodeError> {
    if version > current {
        return Err(DecodeError::TooNew { kind, version, known: current });
    }
    if version == current {
        return serde_json::from_slice(json).map_err(|e| DecodeError::malformed(kind, "body", &e));
    }
    let mut body: Value = serde_json::from_slice(json).map_err(|e| DecodeError::malformed(kind, "body", &e))?;
    for from in version..current {
        body = upcast(kind, from, body).ok_or(DecodeError::NoUpcaster { kind, version: from })?;
    }
    serde_json::from_value(body).map_err(|e| DecodeError::malformed(kind, "body", &e))
}

macro_rules! event {
    ($($area:literal => $variant:ident($body:ty),)*) => {
        /// Everything that can have happened.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "each area's enum carries the documentation")]
        pub enum Event { $($variant($body),)* }
        impl Event {
            /// Every type name with its current schema version.
            #[must_use]
            pub fn types() -> Vec<(&'static str, u16)> {
                let mut all = Vec::new();
                $(all.extend_from_slice(<$body>::TYPES);)*
                all
            }
            /// The stored type name, `area.what-happened`.
            #[must_use]
            pub const fn type_name(&self) -> &'static str { match self { $(Self::$variant(e) => e.type_name()),* } }
            /// The schema version that is written today.
            #[must_use]
            pub const fn version(&self) -> u16 { match self { $(Self::$variant(e) => e.version()),* } }
            fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> { match self { $(Self::$variant(e) => e.to_json()),* } }
            /// Reads an event's body, upcasting an older version.
            ///
            /// # Errors
            /// An unknown type, a version without upcaster, or malformed JSON.
            pub fn decode(kind: &str, version: u16, json: &[u8]) -> Result<Self, DecodeError> {
                match kind.split_once('.') {
                    $(Some(($area, name)) => <$body>::from_json(name, version, json).map(Self::$variant),)*
                    _ => Err(DecodeError::UnknownType { kind: kind.to_owned() }),
                }
            }
        }
        $(impl From<$body> for Event { fn from(event: $body) -> Self { Self::$variant(event) } })*
    };
}

event! {
    "patients" => Patient(PatientEvent),
    "records" => Record(RecordEvent),
    "documents" => Document(DocumentEvent),
    "care-teams" => CareTeam(CareTeamEvent),
    "access" => Access(AccessEvent),
    "identity" => Identity(IdentityEvent),
    "break-glass" => BreakGlass(BreakGlassEvent),
    "consent" => Consent(ConsentEvent),
    "alerts" => Alert(AlertEvent),
    "elevations" => Elevation(ElevationEvent),
    "erasure" => Erasure(ErasureEvent),
    "access-reviews" => AccessReview(AccessReviewEvent),
    "keys" => Key(KeyEvent),
    "backups" => Backup(BackupEvent),
    "governance" => Governance(GovernanceEvent),
}

/// An event's three sections in stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Type name.
    pub kind: &'static str,
    /// Schema version.
    pub version: u16,
    /// JSON of [`Meta`].
    pub meta: Vec<u8>,
    /// JSON of [`Client`].
    pub client: Vec<u8>,
    /// JSON of the event's struct.
    pub body: Vec<u8>,
}

impl Encoded {
    /// Encodes an event.
    ///
    /// # Errors
    /// Only if a value cannot be written as JSON, which none of our types can cause.
    pub fn new(event: &Event, meta: &Meta, client: &Client) -> Result<Self, serde_json::Error> {
        Ok(Self {
            kind: event.type_name(),
            version: event.version(),
            meta: serde_json::to_vec(meta)?,
            client: serde_json::to_vec(client)?,
            body: event.to_json()?,
        })
    }
}

/// An event as it stands in the ledger, decoded, with the facts that the ledger gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Place in the whole log, from 0.
    pub position: u64,
    /// The stream.
    pub stream: String,
    /// Count of events in the stream up to and with this one.
    pub stream_version: u64,
    /// The event's id.
    pub id: EventId,
    /// When the ledger took it.
    pub recorded_at: jiff::Timestamp,
    /// Patients concerned, with the count of events about each up to and with this one.
    pub subjects: Vec<(PatientId, u64)>,
    /// Who, why, how it ended.
    pub meta: Meta,
    /// Where from.
    pub client: Client,
    /// What happened.
    pub event: Event,
}

/// The sections and ledger facts from which a [`Recorded`] is read.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Type name.
    pub kind: &'a str,
    /// Schema version.
    pub version: u16,
    /// Place in the whole log.
    pub position: u64,
    /// The stream.
    pub stream: &'a str,
    /// Version in the stream.
    pub stream_version: u64,
    /// The event's id.
    pub id: EventId,
    /// When the ledger took it.
    pub recorded_at: jiff::Timestamp,
    /// JSON of [`Meta`].
    pub meta: &'a [u8],
    /// JSON of [`Client`].
    pub client: &'a [u8],
    /// JSON of the event's struct.
    pub body: &'a [u8],
}

impl Stored<'_> {
    /// Decodes all sections.
    ///
    /// # Errors
    /// As [`Event::decode`].
    pub fn decode(&self, subjects: Vec<(PatientId, u64)>) -> Result<Recorded, DecodeError> {
        Ok(Recorded {
            position: self.position,
            stream: self.stream.to_owned(),
            stream_version: self.stream_version,
            id: self.id,
            recorded_at: self.recorded_at,
            subjects,
            meta: serde_json::from_slice(self.meta).map_err(|e| DecodeError::malformed(self.kind, "meta", &e))?,
            client: serde_json::from_slice(self.client).map_err(|e| DecodeError::malformed(self.kind, "client", &e))?,
            event: Event::decode(self.kind, self.version, self.body)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Weighed {
        grams: u64,
        scale: String,
    }

    fn upcast(_: &str, from: u16, mut body: Value) -> Option<Value> {
        match from {
            1 => {
                let kilograms = body.as_object_mut()?.remove("kilograms")?.as_u64()?;
                body["grams"] = (kilograms * 1000).into();
                Some(body)
            }
            2 => {
                body["scale"] = "unknown".into();
                Some(body)
            }
            _ => None,
        }
    }

    #[test]
    fn old_versions_are_lifted_step_by_step() {
        let read = |version, json: &str| decode_body::<Weighed>("test.weighed", version, 3, json.as_bytes(), upcast);
        let expected = Weighed { grams: 4000, scale: "unknown".into() };
        assert_eq!(read(1, r#"{"kilograms":4}"#).unwrap(), expected);
        assert_eq!(read(2, r#"{"grams":4000}"#).unwrap(), expected);
        assert_eq!(read(3, r#"{"grams":4000,"scale":"unknown"}"#).unwrap(), expected);
        assert!(matches!(read(4, "{}"), Err(DecodeError::TooNew { version: 4, known: 3, .. })));
        assert!(matches!(read(0, "{}"), Err(DecodeError::NoUpcaster { version: 0, .. })));
    }

    #[test]
    fn errors_quote_no_content() {
        let error = decode_body::<Weighed>("test.weighed", 3, 3, br#"{"grams":"Jane Doe"}"#, upcast).unwrap_err();
        assert!(!error.to_string().contains("Jane"), "{error}");
    }
}
