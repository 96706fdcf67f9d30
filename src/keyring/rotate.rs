//! Keys made anew: of each level, because it is due or because somebody asks.

use wardbook_events::keys::{KeyReason, PATIENTS_MAX, PatientKeysRotated, PatientVersion};
use wardbook_events::{PatientId, TenantId};
use wardbook_keys::Due;

use super::jobs::Progress;
use super::tell;
use super::{KeyringError, Scope, reindex, rewrap};
use crate::app::App;
use crate::by::By;

/// What is to be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The root key, at its provider.
    Root,
    /// An organisation's key.
    Tenant(TenantId),
    /// The key that an organisation's patients are searched by.
    Index(TenantId),
    /// One patient's key.
    Patient(TenantId, PatientId),
    /// The keys of all patients of an organisation; those made within this second are new enough.
    Patients(TenantId),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// A new version is there; what the old one wraps is wrapped anew in the background.
    Version(String),
    /// Many keys are made anew in the background.
    Begun,
}

/// Makes keys anew because somebody asked for it, and begins with what follows from it.
///
/// # Errors
/// If nothing was made; or the rest could not be begun: then the next tick does it.
pub fn rotate(app: &App, by: &By, asked: Asked) -> Result<Rotated, KeyringError> {
    let reason = KeyReason::Requested;
    let rotated = match asked {
        Asked::Root => {
            let version = root(app, by, reason)?;
            rewrap::start(app, by, None)?;
            Rotated::Version(version)
        }
        Asked::Tenant(id) => {
            let version = tenant(app, by, id, reason)?;
            rewrap::start(app, by, Some(id))?;
            Rotated::Version(version.to_string())
        }
        Asked::Index(tenant) => {
            let version = reindex::rotate(app, by, tenant, reason)?;
            reindex::start(app, by, tenant)?;
            Rotated::Version(version.to_string())
        }
        Asked::Patient(tenant, id) => Rotated::Version(patient(app, by, tenant, id, reason)?.to_string()),
        Asked::Patients(tenant) => {
            let (scope, by): (Scope, By) = (Some(tenant), by.clone());
            app.keyring().start(app, scope, "rotate-patients", move |app, progress| {
                let due = Due::MadeBefore(now_s(app));
                progress.left(app.keys().status(tenant)?.patients);
                patients(app, &by, tenant, due, reason, progress).map(drop)
            })?;
            Rotated::Begun
        }
    };
    Ok(rotated)
}

pub(super) fn now_s(app: &App) -> u64 {
    u64::try_from(app.now().as_second()).unwrap_or(0)
}

/// A new version of the root key at its provider.
///
/// # Errors
/// If the provider does not answer or does not allow it, or the event was not written.
pub fn root(app: &App, by: &By, reason: KeyReason) -> Result<String, KeyringError> {
    let version = app.keys().rotate_root_key()?;
    tracing::warn!(%version, ?reason, "the root key has a new version");
    tell::root_rotated(app, by, version.as_str(), reason)?;
    Ok(version.as_str().to_owned())
}

/// A new version of an organisation's key.
///
/// # Errors
/// If the root key's provider does not answer, the store fails, or the event was not written.
pub fn tenant(app: &App, by: &By, tenant: TenantId, reason: KeyReason) -> Result<u32, KeyringError> {
    let version = app.keys().rotate_tenant_key(tenant)?;
    tracing::warn!(%tenant, version, ?reason, "an organisation's key has a new version");
    tell::tenant_rotated(app, by, tenant, version, reason)?;
    Ok(version)
}

/// A new version of one patient's key.
///
/// # Errors
/// If there is no such patient or the key was destroyed, the store fails, or the event was not written.
pub fn patient(
    app: &App,
    by: &By,
    tenant: TenantId,
    patient: PatientId,
    reason: KeyReason,
) -> Result<u32, KeyringError> {
    let version = app.keys().rotate_patient_key(tenant, patient)?;
    tell::tell(app, by, tenant, PatientKeysRotated { patients: vec![PatientVersion { patient, version }], reason })?;
    Ok(version)
}

/// New versions of the keys of all patients for whom it is due, some at a time; returns how many.
///
/// # Errors
/// If the store fails or an event was not written; [`KeyringError::Stopping`]. What was done until then stays.
pub fn patients(
    app: &App,
    by: &By,
    tenant: TenantId,
    due: Due,
    reason: KeyReason,
    progress: &Progress,
) -> Result<u64, KeyringError> {
    let mut count = 0;
    loop {
        if progress.is_stopping() {
            return Err(KeyringError::Stopping);
        }
        let some = app.keys().patient_keys_due(tenant, due, PATIENTS_MAX)?;
        let rotated = app.keys().rotate_patient_keys(tenant, &some)?;
        if rotated.is_empty() {
            return Ok(count);
        }
        let through = rotated.len() as u64;
        let patients = rotated.into_iter().map(|(patient, version)| PatientVersion { patient, version }).collect();
        tell::tell(app, by, tenant, PatientKeysRotated { patients, reason })?;
        count += through;
        progress.advance(through);
    }
}
