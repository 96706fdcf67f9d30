//! The audit trail as people read it: one entry of the ledger without what is sealed.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wardbook_events::meta::ActorKind;
use wardbook_events::{CorrelationId, Event, EventId, Outcome, PatientId, Purpose, Recorded, Role, TenantId, UserId};
use wardbook_ledger::Entry;

use crate::recorded::{self, EntryError};

/// One event, for auditors.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrailEntry {
    /// Place in the whole log.
    pub position: u64,
    /// The event.
    #[schema(value_type = uuid::Uuid)]
    pub id: EventId,
    /// What happened, such as `access.chart-opened`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Cow<'static, str>,
    /// When the ledger took it.
    #[schema(value_type = String)]
    pub recorded_at: Timestamp,
    /// `user`, `service`, `system` or `stranger`.
    #[schema(value_type = String)]
    pub actor_kind: ActorKind,
    /// Who did it.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<UserId>,
    /// The role acted in.
    #[schema(value_type = Option<crate::api::schema::Role>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Why (HL7 PurposeOfUse).
    #[schema(value_type = String)]
    pub purpose: Purpose,
    /// How it ended: `success`, `denied` or `failed`.
    #[schema(value_type = String)]
    pub outcome: Outcome,
    /// Patients concerned.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub patients: Vec<PatientId>,
    /// The organisation.
    #[schema(value_type = uuid::Uuid)]
    pub tenant: TenantId,
    /// The request.
    #[schema(value_type = uuid::Uuid)]
    pub correlation: CorrelationId,
    /// The first eight characters of the session's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Network address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// User agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The facts, without anything that is sealed.
    pub details: Value,
    /// Digest of the event, hex.
    pub digest: String,
}

/// Reads an entry; `None` if the ledger itself wrote it.
///
/// # Errors
/// If a newer version wrote it, or it is malformed.
pub fn read(entry: &Entry) -> Result<Option<(Recorded, TrailEntry)>, EntryError> {
    let Some(recorded) = recorded::decode(entry)? else { return Ok(None) };
    let trail = TrailEntry {
        position: recorded.position,
        id: recorded.id,
        kind: Cow::Borrowed(recorded.event.type_name()),
        recorded_at: recorded.recorded_at,
        actor_kind: recorded.meta.actor.kind,
        actor: recorded.meta.actor.id,
        role: recorded.meta.actor.role,
        purpose: recorded.meta.purpose,
        outcome: recorded.meta.outcome,
        patients: recorded.subjects.iter().map(|(patient, _)| *patient).collect(),
        tenant: recorded.meta.tenant,
        correlation: recorded.meta.correlation,
        session: recorded.client.session.map(|session| session.short()),
        address: recorded.client.address.clone(),
        agent: recorded.client.agent.clone(),
        details: details(&recorded, entry),
        digest: entry.digest().to_string(),
    };
    Ok(Some((recorded, trail)))
}

/// An entry that the ledger wrote about itself: a key was rotated, an older state was accepted. It concerns no patient and
/// belongs to no organisation.
#[must_use]
pub fn of_the_ledger(entry: &Entry) -> TrailEntry {
    TrailEntry {
        position: entry.position().get(),
        id: EventId::from_bytes(*entry.id().as_bytes()),
        kind: Cow::Owned(entry.event_type().as_str().to_owned()),
        recorded_at: Timestamp::from_microsecond(entry.recorded_at().get()).unwrap_or(Timestamp::UNIX_EPOCH),
        actor_kind: ActorKind::System,
        actor: None,
        role: None,
        purpose: Purpose::SystemAdministration,
        outcome: Outcome::Success,
        patients: Vec::new(),
        tenant: TenantId::from_bytes([0; 16]),
        correlation: CorrelationId::from_bytes(*entry.id().as_bytes()),
        session: None,
        address: None,
        agent: None,
        details: serde_json::from_slice(entry.body()).unwrap_or_default(),
        digest: entry.digest().to_string(),
    }
}

/// Members of bodies whose values are sealed; the tokens, which would let two patients be compared; and which patients
/// are decoys, which is for nobody to know but who made them so (ACC-21).
const SEALED: [&str; 10] = ["old", "new", "body", "object_key", "text", "hash", "tokens", "detail", "note", "decoy"];

/// What an alert is about stands in the list of alerts, for those who answer them: it could say that a patient is a decoy.
const OF_ALERTS: [&str; 2] = ["kind", "severity"];

fn details(recorded: &Recorded, entry: &Entry) -> Value {
    let mut details = serde_json::from_slice(entry.body()).map(unsealed).unwrap_or_default();
    if let (Event::Alert(_), Some(members)) = (&recorded.event, details.as_object_mut()) {
        members.retain(|name, _| !OF_ALERTS.contains(&name.as_str()));
    }
    details
}

/// Leaves out what is sealed; of sealed fields only the names stay.
fn unsealed(body: Value) -> Value {
    match body {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, _)| !SEALED.contains(&name.as_str()) && name != "token")
            .map(|(name, value)| {
                let value = match (name.as_str(), value) {
                    ("fields", Value::Object(fields)) => {
                        fields.into_iter().map(|(field, _)| Value::String(field)).collect()
                    }
                    (_, value) => unsealed(value),
                };
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(unsealed).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_sealed_is_left() {
        let body = json!({
            "patient": "p", "fields": {"patient.name": "1.1.xx"}, "tokens": [{"kind": "ssn", "value": "00"}],
            "changes": [{"field": "patient.ssn", "old": "1.1.xx", "new": "1.1.xx"}], "body": "1.1.xx", "kind": "note",
        });
        let left = unsealed(body);
        assert_eq!(
            left,
            json!({"patient": "p", "fields": ["patient.name"], "changes": [{"field": "patient.ssn"}], "kind": "note"})
        );
    }
}
