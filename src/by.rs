//! In whose name something is done that may also be done because it is due: with keys, with backups.

use uuid::Uuid;
use wardbook_events::{Actor, Client, CorrelationId, Meta, Outcome, Purpose, TenantId};

use crate::app::App;
use crate::asker::Asker;
use crate::clock::NoChance;

/// In whose name.
#[derive(Debug, Clone)]
pub struct By {
    meta: Meta,
    client: Client,
}

impl By {
    /// Somebody who was permitted to.
    #[must_use]
    pub fn asker(asker: &Asker) -> Self {
        Self { meta: asker.meta(Outcome::Success), client: asker.client.clone() }
    }

    /// Nobody: it was due. Told to the organisation of the settings, whose officers answer for the server.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn system(app: &App) -> Result<Self, NoChance> {
        Ok(Self::due(app.config().organisation.id, app.new_id()?))
    }

    /// Nobody, in an organisation; what belongs together has one `correlation`.
    pub(crate) fn due(tenant: TenantId, correlation: Uuid) -> Self {
        let meta = Meta {
            tenant,
            actor: Actor::SYSTEM,
            purpose: Purpose::SystemAdministration,
            outcome: Outcome::Success,
            correlation: CorrelationId::new(correlation),
            causation: None,
            command: None,
        };
        Self { meta, client: Client::default() }
    }

    /// The same, as it is said in an organisation. Who asked is named in his own only.
    pub(crate) fn within(&self, tenant: TenantId) -> Self {
        if self.meta.tenant == tenant { self.clone() } else { Self::due(tenant, self.meta.correlation.uuid()) }
    }

    pub(crate) const fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }
}
