//! Failed logins of people we do not know, written as one event a minute: nobody can flood the log by guessing.

use uuid::Uuid;
use wardbook_events::identity::{IdentityEvent, StrangersCounted};
use wardbook_events::{Actor, Client, CorrelationId, Event, EventId, Meta, Outcome, Purpose, TenantId};

use crate::app::App;
use crate::disclosure::Refusal;

/// The organisation named in events of the system itself, which belong to none.
pub const SYSTEM_TENANT: TenantId = TenantId::new(Uuid::nil());

/// The `meta` section of an event of the system itself.
#[must_use]
pub const fn system_meta(actor: Actor, outcome: Outcome, correlation: CorrelationId) -> Meta {
    Meta {
        tenant: SYSTEM_TENANT,
        actor,
        purpose: Purpose::SystemAdministration,
        outcome,
        correlation,
        causation: None,
        command: None,
    }
}

/// Writes the count of the last minute, if there is one and the minute is over (or `at_once`). Blocks for the append.
///
/// # Errors
/// If it could not be appended; the count is lost then, and the log is stopped or overloaded.
pub fn write(app: &App, at_once: bool) -> Result<(), Refusal> {
    let Some(counted) = app.failed().take(app.now(), at_once) else { return Ok(()) };
    let id = app.new_id()?;
    let event = Event::from(IdentityEvent::from(StrangersCounted { minute: counted.minute, tries: counted.tries }));
    let meta = system_meta(Actor::STRANGER, Outcome::Failed, CorrelationId::new(id));
    app.tell_blocking(EventId::new(id), event, &meta, &Client::default()).map(|_| ())
}
