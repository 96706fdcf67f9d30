//! Ids that a retry finds again.
//!
//! With an idempotency key every id of a request follows from organisation, user and key, so a retry, also after a
//! crash and in another process, meets the events of the first try in the ledger, which knows every event id for ever.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;
use wardbook_events::{
    AlertId, ElevationId, ErasureId, EventId, HoldId, PatientId, RecordId, ReviewId, TenantId, UserId,
};

/// What a client gives to make a request safe to repeat: 1 to 255 visible ASCII characters (`Idempotency-Key`).
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// Text that is not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency key must be 1 to 255 visible ascii characters")]
pub struct BadKey;

impl IdempotencyKey {
    /// Parses a key.
    ///
    /// # Errors
    /// If it is empty, too long or has other characters.
    pub fn new(text: &str) -> Result<Self, BadKey> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(BadKey) }
    }
}

/// A client may put anything into it, so it is not printed.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(..)")
    }
}

/// What an id is for; each purpose has ids of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Event = 1,
    Patient = 2,
    Record = 3,
    User = 4,
    Number = 5,
    Document = 6,
    Elevation = 20,
    Review = 21,
    Erasure = 22,
    Hold = 23,
    Alert = 24,
}

/// All ids of one request.
#[derive(Clone, PartialEq, Eq)]
pub struct Ids {
    root: [u8; 32],
    /// Milliseconds since the epoch, if ids are in order of time (UUIDv7) and not derived from a key (UUIDv8).
    time: Option<u64>,
}

impl Ids {
    /// Ids that are found again by whoever sends the same key for the same user.
    #[must_use]
    pub fn derived(tenant: TenantId, user: Option<UserId>, key: &IdempotencyKey) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("wardbook 2026 idempotent ids v1");
        hasher.update(tenant.bytes());
        hasher.update(&user.map_or([0; 16], |user| *user.bytes()));
        hasher.update(key.0.as_bytes());
        Self { root: *hasher.finalize().as_bytes(), time: None }
    }

    /// Ids in order of time, from 16 random bytes that no other request has.
    #[must_use]
    pub fn fresh(now: Timestamp, seed: [u8; 16]) -> Self {
        let root = blake3::derive_key("wardbook 2026 fresh ids v1", &seed);
        Self { root, time: Some(u64::try_from(now.as_millisecond()).unwrap_or_default()) }
    }

    /// The id of the request's event number `index`, from 0.
    #[must_use]
    pub fn event(&self, index: u32) -> EventId {
        EventId::new(self.id(Purpose::Event, index))
    }
    /// The id of the patient whom the request registers.
    #[must_use]
    pub fn patient(&self) -> PatientId {
        PatientId::new(self.id(Purpose::Patient, 0))
    }
    /// The id of the clinical entry that the request adds.
    #[must_use]
    pub fn record(&self) -> RecordId {
        RecordId::new(self.id(Purpose::Record, 0))
    }
    /// The id of the document that the request begins to upload.
    #[must_use]
    pub fn document(&self) -> RecordId {
        RecordId::new(self.id(Purpose::Document, 0))
    }
    /// The id of the user whom the request creates.
    #[must_use]
    pub fn user(&self) -> UserId {
        UserId::new(self.id(Purpose::User, 0))
    }
    /// The id of the elevation that the request asks for.
    #[must_use]
    pub fn elevation(&self) -> ElevationId {
        ElevationId::new(self.id(Purpose::Elevation, 0))
    }
    /// The id of the access review that the request opens.
    #[must_use]
    pub fn review(&self) -> ReviewId {
        ReviewId::new(self.id(Purpose::Review, 0))
    }
    /// The id of the erasure that the request asks for.
    #[must_use]
    pub fn erasure(&self) -> ErasureId {
        ErasureId::new(self.id(Purpose::Erasure, 0))
    }
    /// The id of the hold that the request places.
    #[must_use]
    pub fn hold(&self) -> HoldId {
        HoldId::new(self.id(Purpose::Hold, 0))
    }
    /// The id of the alert that the request raises.
    #[must_use]
    pub fn alert(&self) -> AlertId {
        AlertId::new(self.id(Purpose::Alert, 0))
    }
    /// Eight bytes for a record number of our own (PAT-01).
    pub(crate) fn number(&self) -> [u8; 8] {
        let bytes = self.hash(Purpose::Number, 0);
        std::array::from_fn(|i| bytes.as_slice().get(i).copied().unwrap_or_default())
    }

    fn hash(&self, purpose: Purpose, index: u32) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.root);
        hasher.update(&[purpose as u8]);
        hasher.update(&index.to_be_bytes());
        *hasher.finalize().as_bytes()
    }

    fn id(&self, purpose: Purpose, index: u32) -> Uuid {
        let hash = self.hash(purpose, index);
        match self.time {
            Some(milliseconds) => {
                let random = hash.first_chunk::<10>().copied().unwrap_or_default();
                uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
            }
            None => uuid::Builder::from_custom_bytes(hash.first_chunk::<16>().copied().unwrap_or_default()).into_uuid(),
        }
    }
}

/// The root gives away the ids of what follows, so it is not printed.
impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{NOW, tenant, user};

    fn key(text: &str) -> IdempotencyKey {
        IdempotencyKey::new(text).unwrap()
    }

    #[test]
    fn the_same_key_gives_the_same_ids_and_nothing_else_does() {
        let ids = |tenant, user, text: &str| Ids::derived(tenant, user, &key(text));
        let one = ids(tenant(), Some(user(1)), "a");
        assert_eq!(one.event(0), ids(tenant(), Some(user(1)), "a").event(0));
        let elsewhere = TenantId::new(Uuid::from_u128(9));
        let mut all = vec![
            one.event(0).uuid(),
            one.event(1).uuid(),
            one.patient().uuid(),
            one.record().uuid(),
            one.user().uuid(),
        ];
        all.push(ids(tenant(), Some(user(2)), "a").event(0).uuid());
        all.push(ids(tenant(), None, "a").event(0).uuid());
        all.push(ids(elsewhere, Some(user(1)), "a").event(0).uuid());
        all.push(ids(tenant(), Some(user(1)), "b").event(0).uuid());
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(one.event(0).uuid().get_version_num(), 8);
    }

    #[test]
    fn fresh_ids_are_in_order_of_time() {
        let now: Timestamp = NOW.parse().unwrap();
        let later = now + jiff::SignedDuration::from_millis(1);
        assert!(Ids::fresh(now, [9; 16]).event(7) < Ids::fresh(later, [1; 16]).event(0));
        assert_ne!(Ids::fresh(now, [1; 16]).event(0), Ids::fresh(now, [2; 16]).event(0));
        assert_eq!(Ids::fresh(now, [1; 16]).event(0).uuid().get_version_num(), 7);
    }

    #[test]
    fn keys_are_bounded_and_not_printed() {
        assert!(IdempotencyKey::new("").is_err() && IdempotencyKey::new(&"x".repeat(256)).is_err());
        assert!(IdempotencyKey::new("a b").is_err() && IdempotencyKey::new("ä").is_err());
        assert_eq!(
            format!("{:?} {:?}", key("secret"), Ids::fresh(Timestamp::UNIX_EPOCH, [7; 16])),
            "IdempotencyKey(..) Ids(..)"
        );
    }
}
