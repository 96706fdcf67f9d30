//! The events that tell what was done with keys.

use uuid::Uuid;
use wardbook_events::keys::{
    IndexKeyRotated, KeyEvent, KeyLevel, KeyReason, KeyVersionDestroyed, RootKeyRotated, TenantKeyRotated,
};
use wardbook_events::{EventId, TenantId};
use wardbook_ledger::AppendError;

use super::KeyringError;
use crate::app::App;
use crate::by::By;
use crate::disclosure::Refusal;

/// Tells something in an organisation; durable on return.
pub fn tell(app: &App, by: &By, tenant: TenantId, fact: impl Into<KeyEvent>) -> Result<(), KeyringError> {
    let by = by.within(tenant);
    app.tell_blocking(EventId::new(app.new_id()?), fact.into().into(), by.meta(), by.client())?;
    Ok(())
}

/// Tells something about a version, once: if it was told before, that stands.
fn tell_once(app: &App, by: &By, tenant: TenantId, what: &str, fact: impl Into<KeyEvent>) -> Result<(), KeyringError> {
    let by = by.within(tenant);
    let id = EventId::new(derived(tenant, what));
    match app.tell_blocking(id, fact.into().into(), by.meta(), by.client()) {
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
