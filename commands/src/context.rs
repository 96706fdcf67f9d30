//! What `decide` is given besides state and command: the domain has no clock and draws no random numbers.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use wardbook_events::{Event, TenantId, UserId};

/// When and for whom a decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Now.
    pub now: Timestamp,
    /// The organisation.
    pub tenant: TenantId,
    /// Who acts; absent for strangers and for Wardbook itself.
    pub user: Option<UserId>,
}

impl Context {
    /// The latest date that it is now anywhere on Earth (UTC+14): a newborn in Riyadh may be "of tomorrow" in UTC.
    #[must_use]
    pub fn latest_date(&self) -> Date {
        let ahead = self.now.checked_add(SignedDuration::from_hours(14)).unwrap_or(self.now);
        ahead.to_zoned(TimeZone::UTC).date()
    }
}

/// State that is nothing but the sum of a stream's events.
pub trait Evolve: Default + Clone + Send + Sync + 'static {
    /// Whether the state is worth remembering between commands: it is asked for often and small.
    const REMEMBERED: bool = false;

    /// The state after one event more. Total: an event that does not belong here changes nothing.
    #[must_use]
    fn evolve(self, event: &Event) -> Self;

    /// As [`Self::evolve`], for states in which it matters when the ledger took the event.
    #[must_use]
    fn evolve_at(self, event: &Event, _at: Timestamp) -> Self {
        self.evolve(event)
    }

    /// The state after many events.
    #[must_use]
    fn after<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        events.into_iter().fold(Self::default(), Self::evolve)
    }
}
