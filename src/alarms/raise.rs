//! An alarm as an event. Its ids follow from its cause, so that the ledger knows it again.

use uuid::Uuid;
use wardbook_events::alerts::{AlertDelivered, AlertRaised, Channel};
use wardbook_events::{Actor, AlertId, Client, CorrelationId, Event, EventId, Meta, Outcome, Purpose, TenantId};
use wardbook_ledger::{AppendError, Draft, Ledger};
use wardbook_projections::alerts::Alert;

use super::{Alarm, Failure};
use crate::disclosure::Refusal;

/// The alert that an alarm becomes: one for each event and kind.
pub fn alert_id(alarm: &Alarm) -> AlertId {
    AlertId::new(derived("alert", alarm.cause.bytes(), &name(alarm.kind)))
}

/// Raises an alert; does nothing if it was raised before. Blocks until it is durable.
pub fn raise(ledger: &Ledger, alarm: &Alarm) -> Result<(), Failure> {
    let alert = alert_id(alarm);
    let Alarm { kind, severity, cause, user, patient, .. } = *alarm;
    let raised = AlertRaised { alert, kind, severity, cause, user, patient };
    let id = EventId::new(derived("raised", alert.bytes(), ""));
    let correlation = alarm.correlation.unwrap_or(CorrelationId::new(alert.uuid()));
    let draft = draft(id, raised, alarm.tenant, correlation, cause)?;
    match ledger.append_blocking(vec![draft]) {
        // What is known of the patient may have changed since it was raised: the first word counts.
        Ok(_) | Err(AppendError::IdConflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The event that an alert reached a channel.
pub fn delivered(alert: &Alert, channel: Channel) -> Result<Draft, Refusal> {
    let id = EventId::new(derived("delivered", alert.alert.bytes(), &name(channel)));
    let correlation = CorrelationId::new(alert.alert.uuid());
    draft(id, AlertDelivered { alert: alert.alert, channel }, alert.tenant, correlation, alert.cause)
}

fn draft(
    id: EventId,
    event: impl Into<Event>,
    tenant: TenantId,
    correlation: CorrelationId,
    cause: EventId,
) -> Result<Draft, Refusal> {
    let meta = Meta {
        tenant,
        actor: Actor::SYSTEM,
        purpose: Purpose::Compliance,
        outcome: Outcome::Success,
        correlation,
        causation: Some(cause),
        command: None,
    };
    crate::app::draft(id, &event.into(), &meta, &Client::default(), &[])
}

/// An id that is the same each time it is made.
pub fn derived(what: &str, from: &[u8; 16], name: &str) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("wardbook 2026 alert ids v1");
    // Of fixed length but for the last part.
    hasher.update(from).update(what.as_bytes()).update(b"/").update(name.as_bytes());
    let bytes = hasher.finalize().as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The name of a kind, severity or channel in events and messages, such as `break-glass-started`.
pub fn name(of: impl serde::Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}
