//! What an older version of a key wraps is wrapped anew under the newest (ENC-11): in batches, between which requests go on.
//! Where it stands is in the rows of the key store; a run that was cut off is gone on with by the next.

use std::time::{Duration, Instant};

use wardbook_events::TenantId;
use wardbook_events::keys::{KeyLevel, KeysRewrapped};
use wardbook_keys::{KeyState, RootError, RootVersion, StoreError};
use wardbook_projections::ViewError;

use super::jobs::Progress;
use super::tell;
use super::{KeyringError, Scope};
use crate::app::App;
use crate::by::By;

/// Keys of one durable write. Requests that need the key store wait for no more than that.
const BATCH: usize = 256;
/// After so many keys the ledger is told how far it is: a crash leaves no more of them untold.
const TELL_EVERY: u64 = 16_384;
/// How often in a row keys may be made anew while they are wrapped anew.
const TRIES: usize = 100;

/// Begins to wrap anew on a thread of its own: an organisation's patients' keys, or all organisations' keys under the root
/// key. If that is being done, it goes on to the newest version by itself.
///
/// # Errors
/// If there is no thread to be had.
pub fn start(app: &App, by: &By, scope: Scope) -> Result<(), KeyringError> {
    let by = by.clone();
    let started = app.keyring().start(app, scope, "rewrap", move |app, progress| {
        let _alone = app.keyring().alone();
        run(app, &by, scope, progress)
    });
    match started {
        Err(KeyringError::Busy) => Ok(()),
        started => started,
    }
}

/// Wraps anew until nothing is left. The caller is alone with it.
pub(super) fn run(app: &App, by: &By, scope: Scope, progress: &Progress) -> Result<(), KeyringError> {
    match scope {
        Some(tenant) => patients(app, by, tenant, progress),
        None => tenants(app, by, progress),
    }
}

/// Patients' keys under an organisation's, until all are under the newest version.
fn patients(app: &App, by: &By, tenant: TenantId, progress: &Progress) -> Result<(), KeyringError> {
    let keys = app.keys();
    progress.left(keys.status(tenant)?.to_rewrap());
    let (mut count, mut contended) = (0, 0);
    loop {
        let version = newest(app, tenant)?;
        let result = match progress.is_stopping() {
            true => Err(KeyringError::Stopping),
            false => keys.rewrap_patient_keys(tenant, BATCH).map_err(KeyringError::from),
        };
        match result {
            // Said only of the version of which it was found: a newer one may have come meanwhile.
            Ok(0) if newest(app, tenant)? == version => {
                for destroyed in keys.retire_tenant_keys(tenant, app.config().keys.rotation.tenant_keep)? {
                    tell::destroyed(app, by, tenant, KeyLevel::Tenant, destroyed)?;
                }
                return tell_patients(app, by, tenant, version, count, true);
            }
            Ok(some) => {
                count += some as u64;
                progress.advance(some as u64);
                contended = 0;
            }
            // A newer version came between: on to that.
            Err(KeyringError::Store(StoreError::Contended)) if contended < TRIES => contended += 1,
            Err(error) => {
                if count > 0 {
                    tell_patients(app, by, tenant, version, count, false)?;
                }
                return Err(error);
            }
        }
        if count >= TELL_EVERY {
            tell_patients(app, by, tenant, version, std::mem::take(&mut count), false)?;
        }
    }
}

fn tell_patients(
    app: &App,
    by: &By,
    tenant: TenantId,
    version: u32,
    count: u64,
    finished: bool,
) -> Result<(), KeyringError> {
    caught_up(app)?;
    let version = version.to_string();
    // Nothing to say: it was told, and there was nothing to do.
    if count == 0 && app.views().keys.told(tenant)?.rewrapped.get(&KeyLevel::Tenant) == Some(&version) {
        return Ok(());
    }
    tell::tell(app, by, tenant, KeysRewrapped { level: KeyLevel::Tenant, version, count, finished })
}

/// The newest version of an organisation's key; 0 if it has none.
fn newest(app: &App, tenant: TenantId) -> Result<u32, KeyringError> {
    Ok(app.keys().tenant_versions(tenant)?.last().map_or(0, |key| key.version))
}

/// Organisations' keys under the root key. The first that fails ends it.
fn tenants(app: &App, by: &By, progress: &Progress) -> Result<(), KeyringError> {
    let keys = app.keys();
    let newest = keys.root_status()?.version;
    progress.left(keys.tenant_keys_before(&newest)? as u64);
    caught_up(app)?;
    for tenant in keys.tenants()? {
        if progress.is_stopping() {
            return Err(KeyringError::Stopping);
        }
        let count = keys.rewrap_tenant_keys(tenant)? as u64;
        progress.advance(count);
        let told = app.views().keys.told(tenant)?;
        let version = newest.as_str().to_owned();
        let is_news = told.rewrapped.get(&KeyLevel::Root) != Some(&version);
        if count > 0 || (is_news && told.root_versions.last() == Some(&version)) {
            tell::tell(app, by, tenant, KeysRewrapped { level: KeyLevel::Root, version, count, finished: true })?;
        }
    }
    retire_root(app, by, app.config().keys.rotation.root_keep)
}

/// Makes the provider refuse versions of the root key that are older than those to be kept, once nothing is under them.
pub(super) fn retire_root(app: &App, by: &By, keep: usize) -> Result<(), KeyringError> {
    let home = app.config().organisation.id;
    caught_up(app)?;
    let told = app.views().keys.told(home)?;
    if told.root != Some(app.keys().root_id()) {
        return Ok(());
    }
    let Some(first_kept) = told.root_versions.iter().rev().nth(keep.saturating_sub(1)) else { return Ok(()) };
    // Only of providers that count their versions: others look after the age of their keys themselves.
    let Ok(number) = first_kept.parse::<u32>() else { return Ok(()) };
    let gone = told.root_destroyed.unwrap_or(0).saturating_add(1)..number;
    if gone.is_empty() {
        return Ok(());
    }
    match app.keys().retire_root_before(&RootVersion::new(first_kept.clone())) {
        Ok(()) => {}
        Err(StoreError::Root(error @ RootError::Unfit { .. })) => {
            tracing::info!(%error, "old versions of the root key stay where they are");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    }
    for version in gone {
        tell::destroyed(app, by, home, KeyLevel::Root, version)?;
    }
    Ok(())
}

/// Whether an organisation's keys wait to be wrapped anew: as long as it is not told that all are under the newest version. Under
/// an older one nothing is made any more.
pub(super) fn is_due(app: &App, tenant: TenantId) -> Result<bool, KeyringError> {
    let newest = newest(app, tenant)?;
    let told = app.views().keys.told(tenant)?;
    Ok(newest > 1 && told.rewrapped.get(&KeyLevel::Tenant) != Some(&newest.to_string()))
}

/// The same of organisations' keys under the root key. Asks the provider.
pub(super) fn is_root_due(app: &App) -> Result<bool, KeyringError> {
    let newest = app.keys().root_status()?.version;
    if app.keys().tenant_keys_before(&newest)? > 0 {
        return Ok(true);
    }
    for tenant in app.keys().tenants()? {
        let told = app.views().keys.told(tenant)?;
        let version = newest.as_str();
        let is_told = told.rewrapped.get(&KeyLevel::Root).is_some_and(|told| told == version);
        if !is_told && told.root_versions.last().is_some_and(|told| told == version) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells what was done and not told, because the program ended in between.
pub(super) fn make_up(app: &App, by: &By, tenant: TenantId) -> Result<(), KeyringError> {
    use wardbook_events::keys::KeyReason::Requested;
    let (versions, told) = (app.keys().tenant_versions(tenant)?, app.views().keys.told(tenant)?);
    for key in versions.iter().filter(|key| key.version > 1 && !told.tenant.contains(&key.version)) {
        tell::tenant_rotated(app, by, tenant, key.version, Requested)?;
    }
    let destroyed = versions.iter().filter(|key| key.state == KeyState::Destroyed);
    for key in destroyed.filter(|key| !told.destroyed.contains(&key.version)) {
        tell::destroyed(app, by, tenant, KeyLevel::Tenant, key.version)?;
    }
    Ok(())
}

/// The same of the root key: whoever runs its provider may have made a version there.
pub(super) fn make_up_root(app: &App, by: &By) -> Result<(), KeyringError> {
    use wardbook_events::keys::KeyReason::Requested;
    let newest = app.keys().root_status()?.version;
    let told = app.views().keys.told(app.config().organisation.id)?;
    if app.keys().tenant_keys_before(&newest)? > 0 && told.root_versions.iter().all(|told| told != newest.as_str()) {
        tell::root_rotated(app, by, newest.as_str(), Requested)?;
    }
    Ok(())
}

/// Waits until the view of keys has taken in what was told: by it is decided what is news.
pub(super) fn caught_up(app: &App) -> Result<(), KeyringError> {
    let position = app.ledger().head().durable;
    let (began, patience) = (Instant::now(), app.config().limits.view_wait());
    while app.views().keys.position()? < position {
        if began.elapsed() > patience {
            return Err(ViewError::Late { view: "keys", position }.into());
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    Ok(())
}
