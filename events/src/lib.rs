//! The vocabulary of Wardbook: ids, value types, field classes, and every event that may stand in the ledger.
//!
//! No I/O, no clock, no randomness, no keys. PHI appears in an event only as a [`Ciphertext`]; which field it is,
//! how sensitive that field is and which group of fields it belongs to is stated by [`Field`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

#[macro_use]
mod area;

pub mod access;
pub mod access_reviews;
pub mod alerts;
pub mod backups;
pub mod break_glass;
pub mod care_teams;
pub mod consent;
pub mod documents;
pub mod elevations;
pub mod envelope;
pub mod erasure;
pub mod field;
pub mod forms;
pub mod governance;
pub mod identity;
pub mod ids;
pub mod keys;
pub mod meta;
pub mod network;
pub mod patients;
pub mod records;
pub mod sealed;
pub mod token;
pub mod values;

pub use envelope::{DecodeError, Encoded, Event, Recorded};
pub use field::{Class, Field, Group, GroupSet};
pub use ids::{
    AlertId, ApiKeyId, BackupId, ChallengeId, CorrelationId, ElevationId, EmergencyId, ErasureId, EventId, HoldId,
    PasskeyId, PatientId, RecordId, ReviewId, SessionId, TenantId, UserId,
};
pub use meta::{Actor, ActorKind, Client, Meta, Outcome, Purpose, Role};
pub use network::Network;
pub use sealed::{Ciphertext, Sealed, SealedFields};
pub use token::{Token, TokenKind};
