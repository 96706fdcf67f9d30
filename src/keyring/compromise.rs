//! A key may be known to others (ENC-12): new versions, everything current sealed anew under them, the old ones good for nothing.
//!
//! Each step asks first whether it is done, so a run that was cut off is gone on with by the next; what is open stands in the
//! ledger, and how keys stood when it was declared is noted in the key store. An incident opens nowhere yet: the alert does.

use std::time::Duration;

use wardbook_events::keys::{
    KeyLevel, KeyReason, KeyVersionsDisabled, PATIENTS_MAX, PatientKeysRotated, PatientVersion,
};
use wardbook_events::{PatientId, TenantId};
use wardbook_keys::{Before, KeyState};
use wardbook_projections::keys::Compromise;

use super::jobs::Progress;
use super::tell;
use super::work::{each, origin, runtime, seen, settled};
use super::{KeyringError, reindex, reseal, rewrap, rotate};
use crate::app::App;
use crate::backup::key_backups::refresh;
use crate::by::By;

/// Between the new values being seen and the old version being disabled: who has read the old ones opens them meanwhile.
const GRACE: Duration = Duration::from_millis(200);

/// Begins to contain what was declared in an organisation, on a thread of its own. If something else is being done with its keys,
/// the next tick begins it.
///
/// # Errors
/// If there is no thread to be had.
pub fn start(app: &App, by: &By, tenant: TenantId) -> Result<(), KeyringError> {
    let by = by.clone();
    let started = app.keyring().start(app, Some(tenant), "contain", move |app, progress| {
        for open in app.views().keys.open_compromises(tenant)? {
            Containing { app, by: &by, tenant, open: &open, progress }.run()?;
        }
        Ok(())
    });
    match started {
        Err(KeyringError::Busy) => Ok(()),
        started => started,
    }
}

/// Whether something that was declared is not contained.
///
/// # Errors
/// If the view cannot answer.
pub fn is_due(app: &App, tenant: TenantId) -> Result<bool, KeyringError> {
    Ok(!app.views().keys.open_compromises(tenant)?.is_empty())
}

/// What was done with patients' keys, also by runs before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    patients: u64,
    values: u64,
}

struct Containing<'a> {
    app: &'a App,
    by: &'a By,
    tenant: TenantId,
    open: &'a Compromise,
    progress: &'a Progress,
}

impl Containing<'_> {
    fn run(&self) -> Result<(), KeyringError> {
        let Self { app, by, tenant, open, progress } = *self;
        let (level, alert) = (open.declared.level, open.declared.alert);
        tracing::warn!(%tenant, %alert, ?level, "a key that may be known to others is made good for nothing");
        let before = app.keys().stood_before(tenant, &alert.to_string())?;
        if level == KeyLevel::Root {
            self.root()?;
        }
        if matches!(level, KeyLevel::Root | KeyLevel::Tenant) {
            self.tenant(&before)?;
        }
        if level != KeyLevel::Index {
            self.patients(&before)?;
        }
        if level != KeyLevel::Patient {
            if app.keys().newest_index(tenant)? == before.index {
                reindex::rotate(app, by, tenant, KeyReason::Compromise)?;
            }
            reindex::run(app, by, tenant, KeyReason::Compromise, progress)?;
        }
        // Copies of the key store still had what was there before.
        refresh(app)?;
        let Counts { patients, values } = self.counts()?;
        let origin = origin(app, by)?;
        runtime()?.block_on(async {
            app.commands().contain_compromise(tenant, &origin, alert, (patients, values)).await?;
            seen(app).await
        })?;
        tracing::warn!(%tenant, %alert, patients, values, "it is contained");
        Ok(())
    }

    fn root(&self) -> Result<(), KeyringError> {
        let Self { app, by, open, progress, .. } = *self;
        let name = format!("root before {}", open.declared.alert);
        let now = app.keys().root_status()?.version;
        let before = match app.keys().noted_work(&name)? {
            Some(before) => before,
            None => {
                app.keys().note_work(&name, now.as_str())?;
                now.as_str().to_owned()
            }
        };
        if before == now.as_str() {
            rotate::root(app, by, KeyReason::Compromise)?;
        } else {
            tell::root_rotated(app, by, now.as_str(), KeyReason::Compromise)?;
        }
        let _alone = app.keyring().alone();
        rewrap::run(app, by, None, progress)?;
        rewrap::retire_root(app, by, 1)
    }

    fn tenant(&self, before: &Before) -> Result<(), KeyringError> {
        let Self { app, by, tenant, progress, .. } = *self;
        let newest = app.keys().tenant_versions(tenant)?.last().map_or(0, |key| key.version);
        if newest == before.tenant {
            rotate::tenant(app, by, tenant, KeyReason::Compromise)?;
        } else {
            // A run before may have ended between making it and telling of it.
            tell::tenant_rotated(app, by, tenant, before.tenant + 1, KeyReason::Compromise)?;
        }
        let _alone = app.keyring().alone();
        rewrap::run(app, by, Some(tenant), progress)?;
        app.keys().retire_tenant_keys(tenant, 1)?;
        for key in app.keys().tenant_versions(tenant)?.iter().filter(|key| key.state == KeyState::Destroyed) {
            tell::destroyed(app, by, tenant, KeyLevel::Tenant, key.version)?;
        }
        Ok(())
    }

    /// New versions of patients' keys, then some patients at a time: sealed anew, seen by the views, old versions disabled.
    fn patients(&self, before: &Before) -> Result<(), KeyringError> {
        let Self { app, by, tenant, open, progress } = *self;
        let (keys, only, runtime) = (app.keys(), open.declared.patient, runtime()?);
        loop {
            let some = keys.not_rotated_since(tenant, only, before, PATIENTS_MAX)?;
            let rotated = keys.rotate_patient_keys(tenant, &some)?;
            if rotated.is_empty() {
                break;
            }
            let patients = rotated.into_iter().map(|(patient, version)| PatientVersion { patient, version }).collect();
            tell::tell(app, by, tenant, PatientKeysRotated { patients, reason: KeyReason::Compromise })?;
        }
        let drafts = runtime.block_on(async {
            settled(app, tenant, progress).await?;
            reseal::drafts(app, by, tenant, only).await
        })?;
        self.count(0, drafts)?;
        progress.left(if only.is_some() { 1 } else { keys.status(tenant)?.patients });
        let (mut after, mut left) = (0, 0);
        while let Some((patients, last)) = keys.not_disabled_since(tenant, only, before, after, PATIENTS_MAX)? {
            if progress.is_stopping() {
                return Err(KeyringError::Stopping);
            }
            after = last;
            let (shared, whose) = (app.clone(), by.clone());
            let outcomes = runtime.block_on(async {
                let outcomes = each(&patients, move |patient| {
                    let (app, by) = (shared.clone(), whose.clone());
                    async move { Ok(reseal::patient(&app, &by, tenant, patient).await) }
                });
                let outcomes = outcomes.await?;
                seen(app).await?;
                tokio::time::sleep(GRACE).await;
                Ok::<_, KeyringError>(outcomes)
            })?;
            let (mut through, mut values) = (Vec::with_capacity(patients.len()), 0);
            for (patient, outcome) in outcomes {
                match outcome? {
                    Ok(count) => {
                        values += count;
                        through.push(patient);
                    }
                    Err(error) => {
                        tracing::error!(%patient, %error, "what is current of a patient was not sealed anew");
                        left += 1;
                    }
                }
            }
            self.disable(before, &through)?;
            self.count(through.len() as u64, values)?;
            progress.advance(through.len() as u64);
        }
        match left {
            0 => Ok(()),
            left => Err(KeyringError::Unfinished(format!("{left} patients could not be sealed anew; see the log"))),
        }
    }

    fn disable(&self, before: &Before, patients: &[PatientId]) -> Result<(), KeyringError> {
        let Self { app, by, tenant, .. } = *self;
        let oldest = app.keys().first_versions_since(tenant, before, patients)?;
        if oldest.is_empty() || app.keys().disable_versions(tenant, &oldest)? == 0 {
            return Ok(());
        }
        let patients = oldest.into_iter().map(|(patient, version)| PatientVersion { patient, version }).collect();
        tell::tell(app, by, tenant, KeyVersionsDisabled { patients, reason: KeyReason::Compromise })
    }

    fn counted(&self) -> String {
        format!("counts {}", self.open.declared.alert)
    }

    fn counts(&self) -> Result<Counts, KeyringError> {
        let noted = self.app.keys().noted_work(&self.counted())?;
        let (patients, values) = noted.as_deref().and_then(|noted| noted.split_once(' ')).unwrap_or_default();
        Ok(Counts { patients: patients.parse().unwrap_or_default(), values: values.parse().unwrap_or_default() })
    }

    fn count(&self, patients: u64, values: u64) -> Result<(), KeyringError> {
        let was = self.counts()?;
        let now = format!("{} {}", was.patients + patients, was.values + values);
        Ok(self.app.keys().note_work(&self.counted(), &now)?)
    }
}
