//! The events that tell what was done with keys.

use uuid::Uuid;
use wardbook_events::keys::{
    IndexKeyRotated, KeyEvent, KeyLevel, KeyReason, KeyVersionDestroyed, RootKeyRotated, TenantKeyRotated,
};
use wardbook_events::{Actor, Client, CorrelationId, EventId, Meta, Outcome, Purpose, TenantId};
use wardbook_ledger::AppendError;

use super::KeyringError;
use crate::app::App;
use crate::asker::Asker;
use crate::clock::NoChance;
use crate::disclosure::Refusal;

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

    /// Nobody: it was due.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn system(app: &App) -> Result<Self, NoChance> {
        let meta = system(app.config().organisation.id, app.new_id()?);
        Ok(Self { meta, client: Client::default() })
    }

    /// The same, as it is said in an organisation. Who asked is named in his own only.
    pub(super) fn within(&self, tenant: TenantId) -> Self {
        if self.meta.tenant == tenant {
            return self.clone();
        }
        Self { meta: system(tenant, self.meta.correlation.uuid()), client: Client::default() }
    }

    pub(super) const fn meta(&self) -> &Meta {
        &self.meta
    }
}

fn system(tenant: TenantId, correlation: Uuid) -> Meta {
    Meta {
        tenant,
        actor: Actor::SYSTEM,
        purpose: Purpose::SystemAdministration,
        outcome: Outcome::Success,
        correlation: CorrelationId::new(correlation),
        causation: None,
        command: None,
    }
}

/// Tells something in an organisation; durable on return.
pub fn tell(app: &App, by: &By, tenant: TenantId, fact: impl Into<KeyEvent>) -> Result<(), KeyringError> {
    let By { meta, client } = by.within(tenant);
    app.tell_blocking(EventId::new(app.new_id()?), fact.into().into(), &meta, &client)?;
    Ok(())
}

/// Tells something about a version, once: if it was told before, that stands.
fn tell_once(app: &App, by: &By, tenant: TenantId, what: &str, fact: impl Into<KeyEvent>) -> Result<(), KeyringError> {
    let By { meta, client } = by.within(tenant);
    let id = EventId::new(derived(tenant, what));
    match app.tell_blocking(id, fact.into().into(), &meta, &client) {
        Ok(_) | Err(Refusal::Append(AppendError::IdConflict { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn derived(tenant: TenantId, what: &str) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("wardbook 2026 ids of events of keys v1");
    hasher.update(tenant.bytes()).update(what.as_bytes());
    let bytes = hasher.finalize().as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

pub fn tenant_rotated(
    app: &App,
    by: &By,
    tenant: TenantId,
    version: u32,
    reason: KeyReason,
) -> Result<(), KeyringError> {
    tell_once(app, by, tenant, &format!("tenant rotated {version}"), TenantKeyRotated { version, reason })
}

pub fn index_rotated(
    app: &App,
    by: &By,
    tenant: TenantId,
    version: u32,
    reason: KeyReason,
) -> Result<(), KeyringError> {
    tell_once(app, by, tenant, &format!("index rotated {version}"), IndexKeyRotated { version, reason })
}

/// In every organisation that has keys.
pub fn root_rotated(app: &App, by: &By, version: &str, reason: KeyReason) -> Result<(), KeyringError> {
    let key = app.keys().root_id();
    for tenant in app.keys().tenants()? {
        let fact = RootKeyRotated { key: key.clone(), version: version.to_owned(), reason };
        tell_once(app, by, tenant, &format!("root rotated {key} {version}"), fact)?;
    }
    Ok(())
}

pub fn destroyed(app: &App, by: &By, tenant: TenantId, level: KeyLevel, version: u32) -> Result<(), KeyringError> {
    let what = match level {
        KeyLevel::Index => format!("index destroyed {version}"),
        // Another root key has versions of the same numbers.
        KeyLevel::Root => format!("root destroyed {} {version}", app.keys().root_id()),
        _ => format!("tenant destroyed {version}"),
    };
    tell_once(app, by, tenant, &what, KeyVersionDestroyed { level, version })
}
