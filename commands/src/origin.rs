//! Where a command comes from: who, why, which request, which client, when.

use jiff::Timestamp;
use serde::Serialize;
use wardbook_events::{Actor, Client, CorrelationId, EventId, Meta, Outcome, Purpose, TenantId};

use crate::error::CommandError;
use crate::idempotency::{IdempotencyKey, Ids};

/// Everything about a request that is not the command itself.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who acts; must be the permit's user.
    pub actor: Actor,
    /// Why.
    pub purpose: Purpose,
    /// The request.
    pub correlation: CorrelationId,
    /// The event that led to this, if one did.
    pub causation: Option<EventId>,
    /// Where from.
    pub client: Client,
    /// When.
    pub now: Timestamp,
    /// Sixteen random bytes of this request's own; ids come from them when there is no key.
    pub seed: [u8; 16],
    /// Makes the request safe to repeat.
    pub idempotency: Option<IdempotencyKey>,
}

impl Origin {
    /// The ids of this request within an organisation. The same before and after the command is carried out, so that
    /// policy can be asked about the entry that is going to be.
    #[must_use]
    pub fn ids(&self, tenant: TenantId) -> Ids {
        match &self.idempotency {
            Some(key) => Ids::derived(tenant, self.actor.id, key),
            None => Ids::fresh(self.now, self.seed),
        }
    }

    /// Bytes by which a command is known again under its idempotency key; nothing without one.
    pub(crate) fn known_by(&self, name: &str, command: &impl Serialize) -> Result<Vec<u8>, CommandError> {
        match self.idempotency {
            Some(_) => {
                serde_json::to_vec(&(name, command)).map_err(|_| CommandError::Internal("a command has no json form"))
            }
            None => Ok(Vec::new()),
        }
    }

    pub(crate) fn meta(&self, tenant: TenantId, outcome: Outcome, command: Option<String>) -> Meta {
        Meta {
            tenant,
            actor: self.actor.clone(),
            purpose: self.purpose,
            outcome,
            correlation: self.correlation,
            causation: self.causation,
            command,
        }
    }
}
