//! Patients are re-indexed after the index key was made anew, while everything goes on: who was is found by the new tokens, who
//! was not by the old, and of both no second one can be registered. Where it stands is what the view of patients says; a run
//! that was cut off is gone on with by the next. Why this is safe: decision 14.

use std::collections::HashSet;

use wardbook_commands::CommandError;
use wardbook_events::TenantId;
use wardbook_events::keys::{KeyLevel, KeyReason};
use wardbook_keys::{KeyState, StoreError};

use super::KeyringError;
use super::jobs::Progress;
use super::tell;
use super::work::{each, origin, runtime, seen, settled};
use crate::app::App;
use crate::by::By;

/// Patients looked up at a time.
const BATCH: usize = 256;

/// A new version of the key that patients are searched by. They are re-indexed by [`start`].
///
/// # Errors
/// If the root key's provider does not answer, the store fails, or the event was not written.
pub fn rotate(app: &App, by: &By, tenant: TenantId, reason: KeyReason) -> Result<u32, KeyringError> {
    let version = app.keys().rotate_index_key(tenant)?;
    tracing::warn!(%tenant, version, ?reason, "the key that patients are searched by has a new version");
    tell::index_rotated(app, by, tenant, version, reason)?;
    Ok(version)
}

/// Begins to re-index an organisation's patients on a thread of its own. If something else is being done with its keys, the next
/// tick begins it.
///
/// # Errors
/// If there is no thread to be had.
pub fn start(app: &App, by: &By, tenant: TenantId) -> Result<(), KeyringError> {
    let by = by.clone();
    let started = app.keyring().start(app, Some(tenant), "reindex", move |app, progress| {
        run(app, &by, tenant, KeyReason::Requested, progress).map(drop)
    });
    match started {
        Err(KeyringError::Busy) => Ok(()),
        started => started,
    }
}

/// Whether patients are to be re-indexed, or a version of the index key is left to be destroyed.
///
/// # Errors
/// If the key store or the view cannot answer.
pub fn is_due(app: &App, tenant: TenantId) -> Result<bool, KeyringError> {
    let versions = app.keys().index_versions(tenant)?;
    let left = versions.iter().filter(|key| key.state != KeyState::Destroyed).count();
    let newest = versions.last().map_or(0, |key| key.version);
    Ok(left > 1 || !app.views().patients.indexed_before(tenant, newest, false, &HashSet::new(), 1)?.is_empty())
}

/// Re-indexes until every patient is found by the newest version alone, and destroys the others. Returns how many patients were
/// re-indexed.
pub(super) fn run(
    app: &App,
    by: &By,
    tenant: TenantId,
    reason: KeyReason,
    progress: &Progress,
) -> Result<u64, KeyringError> {
    let (runtime, keys, mut count) = (runtime()?, app.keys(), 0);
    loop {
        let newest = keys.newest_index(tenant)?;
        if newest > 1 {
            // A crash may have come between the key and its event.
            tell::index_rotated(app, by, tenant, newest, reason)?;
        }
        let mut pass = Pass { app, by, tenant, newest, only_lacking: true, progress };
        // Those who are found by older tokens only come first; nobody is registered so any more.
        count += runtime.block_on(pass.run())?;
        match keys.retire_index_keys(tenant, newest) {
            // A newer version came between: on to that.
            Err(StoreError::Contended) => continue,
            retired => _ = retired?,
        }
        // From here on no older tokens are made: what is left of them goes.
        pass.only_lacking = false;
        count += runtime.block_on(pass.run())?;
        if keys.newest_index(tenant)? == newest {
            break;
        }
    }
    for version in keys.destroy_index_keys(tenant)? {
        tell::destroyed(app, by, tenant, KeyLevel::Index, version)?;
    }
    Ok(count)
}

struct Pass<'a> {
    app: &'a App,
    by: &'a By,
    tenant: TenantId,
    newest: u32,
    only_lacking: bool,
    progress: &'a Progress,
}

impl Pass<'_> {
    async fn run(&self) -> Result<u64, KeyringError> {
        let Self { app, tenant, newest, progress, .. } = *self;
        settled(app, tenant, progress).await?;
        let indexed = app.views().patients.indexed(tenant, newest)?;
        progress.left(indexed.older_only + if self.only_lacking { 0 } else { indexed.both });
        let (mut over, mut count) = (HashSet::new(), 0);
        loop {
            if progress.is_stopping() {
                return Err(KeyringError::Stopping);
            }
            let found = app.views().patients.indexed_before(tenant, newest, self.only_lacking, &over, BATCH)?;
            if found.is_empty() {
                break;
            }
            let (shared, by) = (app.clone(), self.by.clone());
            let outcomes = each(&found, move |patient| {
                let (app, origin) = (shared.clone(), origin(&shared, &by));
                async move {
                    let origin = origin.map_err(|_| CommandError::Internal("no random bytes"))?;
                    app.commands().reindex_patient(tenant, &origin, patient).await
                }
            });
            let mut done = 0;
            for (patient, outcome) in outcomes.await? {
                match outcome {
                    Ok(outcome) if !outcome.receipts.is_empty() => done += 1,
                    // Somebody else was faster, or there is nobody any more: looked at again in the end.
                    Ok(_) => _ = over.insert(patient),
                    Err(error @ CommandError::Stopped { .. }) => return Err(error.into()),
                    Err(error) => {
                        tracing::error!(%patient, %error, "a patient was not re-indexed");
                        over.insert(patient);
                    }
                }
            }
            // By the view is decided who is next.
            seen(app).await?;
            count += done;
            progress.advance(done);
        }
        match self.app.views().patients.indexed_before(tenant, newest, self.only_lacking, &HashSet::new(), BATCH)?.len()
        {
            0 => Ok(count),
            left => {
                Err(KeyringError::Unfinished(format!("{left} patients or more could not be re-indexed; see the log")))
            }
        }
    }
}
