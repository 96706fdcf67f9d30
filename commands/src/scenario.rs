//! Given these events, when this is commanded, then these events follow: how decisions are tested.

use uuid::Uuid;
use wardbook_events::{Ciphertext, Event, PatientId, RecordId, SessionId, TenantId, Token, TokenKind, UserId};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

pub(crate) const NOW: &str = "2026-03-01T12:00:00Z";

pub(crate) fn context() -> Context {
    Context { now: NOW.parse().unwrap(), tenant: tenant(), user: Some(user(1)) }
}
pub(crate) fn tenant() -> TenantId {
    TenantId::new(Uuid::from_u128(0x7e))
}
pub(crate) fn patient(n: u128) -> PatientId {
    PatientId::new(Uuid::from_u128(0xa0_00 + n))
}
pub(crate) fn record(n: u128) -> RecordId {
    RecordId::new(Uuid::from_u128(0xb0_00 + n))
}
pub(crate) fn user(n: u128) -> UserId {
    UserId::new(Uuid::from_u128(0xc0_00 + n))
}
pub(crate) fn session(n: u128) -> SessionId {
    SessionId::new(Uuid::from_u128(0xd0_00 + n))
}
pub(crate) fn sealed(text: &str) -> Ciphertext {
    Ciphertext::new(text.to_owned())
}
pub(crate) fn token(kind: TokenKind, value: &str) -> Token {
    Token { kind, index: 1, value: value.to_owned() }
}

pub(crate) struct Given<S>(pub S);

/// Starts a scenario.
pub(crate) fn given<S: Evolve>(events: &[Event]) -> Given<S> {
    Given(S::after(events))
}

impl<S> Given<S> {
    pub(crate) fn when(self, decide: impl FnOnce(&S) -> Result<Vec<Event>, Rejection>) -> Outcome {
        Outcome(decide(&self.0))
    }
}

pub(crate) struct Outcome(Result<Vec<Event>, Rejection>);

impl Outcome {
    #[track_caller]
    pub(crate) fn then(self, events: impl IntoIterator<Item = Event>) {
        assert_eq!(self.0, Ok(events.into_iter().collect()));
    }
    #[track_caller]
    pub(crate) fn then_nothing(self) {
        self.then([]);
    }
    #[track_caller]
    pub(crate) fn rejected(self, why: Rejection) {
        assert_eq!(self.0, Err(why));
    }
}
