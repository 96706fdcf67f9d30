//! Once a minute: keys that are old enough are made anew, what was begun is gone on with, use is written down.

use jiff::SignedDuration;
use wardbook_events::TenantId;
use wardbook_events::keys::KeyReason;
use wardbook_keys::{Due, KeyState, VersionStatus};

use super::{KeyringError, compromise, reindex, rewrap, rotate, usage};
use crate::app::App;
use crate::by::By;
use crate::config::KeyRotation;

/// Whether a key that was made at this second is old enough at that. Pure.
#[must_use]
pub fn is_old(made_at_s: u64, days: u32, now_s: u64) -> bool {
    days > 0 && now_s.saturating_sub(made_at_s) >= seconds(days)
}

/// The first second at which [`is_old`]; `None` if never.
#[must_use]
pub fn due_at(made_at_s: u64, days: u32) -> Option<u64> {
    (days > 0).then(|| made_at_s.saturating_add(seconds(days)))
}

const fn seconds(days: u32) -> u64 {
    days as u64 * SignedDuration::from_hours(24).as_secs().unsigned_abs()
}

/// Does what is due. Blocks, for as long as wrapping anew takes.
///
/// # Errors
/// The first that went wrong; the rest was tried all the same, and all of it is at the next call.
pub fn tick(app: &App) -> Result<(), KeyringError> {
    let keys = app.keys();
    keys.sweep_cache();
    let mut first = Ok(());
    let mut note = |result: Result<(), KeyringError>| {
        if first.is_ok() {
            first = result;
        } else if let Err(error) = result {
            tracing::warn!(%error, "keys were not looked after");
        }
    };
    note(keys.renew().map(drop).map_err(KeyringError::from));
    note(keys.write_uses().map_err(KeyringError::from));
    note(usage::hourly(app));
    // Whoever is at it already does the same.
    let Some(_alone) = app.keyring().try_alone() else { return first };
    note(rewrap::caught_up(app));
    note(root(app));
    match keys.tenants() {
        Ok(tenants) => {
            for tenant in tenants {
                if app.keyring().is_stopping() {
                    break;
                }
                note(of_tenant(app, tenant));
            }
        }
        Err(error) => note(Err(error.into())),
    }
    first
}

/// What a start does not put off until [`tick`]: containing what was declared (ENC-12).
///
/// # Errors
/// As [`tick`].
pub fn begin(app: &App) -> Result<(), KeyringError> {
    for tenant in app.keys().tenants()? {
        if compromise::is_due(app, tenant)? {
            goes_on(compromise::start(app, &By::system(app)?.within(tenant), tenant))?;
        }
    }
    Ok(())
}

fn root(app: &App) -> Result<(), KeyringError> {
    let settings = &app.config().keys.rotation;
    let by = By::system(app)?;
    rewrap::make_up_root(app, &by)?;
    if is_old(app.keys().root_status()?.since, settings.root_days, rotate::now_s(app)) {
        rotate::root(app, &by, KeyReason::Age)?;
        rewrap::caught_up(app)?;
    }
    if rewrap::is_root_due(app)? {
        goes_on(app.keyring().within(None, "rewrap", |progress| rewrap::run(app, &by, None, progress)))?;
    }
    Ok(())
}

fn of_tenant(app: &App, tenant: TenantId) -> Result<(), KeyringError> {
    let settings = &app.config().keys.rotation;
    let by = By::system(app)?;
    rewrap::make_up(app, &by, tenant)?;
    let versions = app.keys().tenant_versions(tenant)?;
    if versions.last().is_some_and(|key| is_old(key.made_at, settings.tenant_days, rotate::now_s(app))) {
        rotate::tenant(app, &by, tenant, KeyReason::Age)?;
    }
    if rewrap::is_due(app, tenant)? {
        goes_on(
            app.keyring().within(Some(tenant), "rewrap", |progress| rewrap::run(app, &by, Some(tenant), progress)),
        )?;
    }
    if only_index(&app.keys().index_versions(tenant)?)
        .is_some_and(|key| is_old(key.made_at, settings.index_days, rotate::now_s(app)))
    {
        reindex::rotate(app, &by, tenant, KeyReason::Age)?;
    }
    // On threads of their own: wrapping anew does not wait for them.
    if compromise::is_due(app, tenant)? {
        goes_on(compromise::start(app, &by.within(tenant), tenant))?;
    } else if reindex::is_due(app, tenant)? {
        goes_on(reindex::start(app, &by.within(tenant), tenant))?;
    }
    for (due, reason) in patients_due(settings, rotate::now_s(app)) {
        if !app.keys().patient_keys_due(tenant, due, 1)?.is_empty() {
            goes_on(app.keyring().within(Some(tenant), "rotate-patients", |progress| {
                rotate::patients(app, &by, tenant, due, reason, progress).map(drop)
            }))?;
        }
    }
    Ok(())
}

/// The newest version of the index key, if no other is left: one rotation at a time.
fn only_index(versions: &[VersionStatus]) -> Option<&VersionStatus> {
    let mut left = versions.iter().filter(|key| key.state != KeyState::Destroyed);
    let newest = left.next_back()?;
    left.next().is_none().then_some(newest)
}

/// That somebody else is at it, or the program ends, is no failure.
fn goes_on(result: Result<(), KeyringError>) -> Result<(), KeyringError> {
    match result {
        Err(KeyringError::Busy | KeyringError::Stopping) => Ok(()),
        result => result,
    }
}

/// Which patients' keys are to be made anew. Pure.
fn patients_due(settings: &KeyRotation, now_s: u64) -> Vec<(Due, KeyReason)> {
    let mut due = Vec::new();
    if settings.patient_days > 0 {
        let oldest = now_s.saturating_sub(seconds(settings.patient_days)).saturating_add(1);
        due.push((Due::MadeBefore(oldest), KeyReason::Age));
    }
    if settings.patient_uses > 0 {
        due.push((Due::Uses(settings.patient_uses), KeyReason::Uses));
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn a_key_is_old_on_its_day_and_never_if_not_wanted() {
        assert!(!is_old(1_000, 365, 1_000 + 365 * DAY - 1));
        assert!(is_old(1_000, 365, 1_000 + 365 * DAY));
        assert!(!is_old(1_000, 0, u64::MAX));
        assert!(!is_old(1_000, 1, 0), "a clock that was set back makes nothing old");
        assert_eq!((due_at(1_000, 2), due_at(1_000, 0)), (Some(1_000 + 2 * DAY), None));
    }

    #[test]
    fn patients_keys_are_due_by_age_and_by_uses() {
        let settings = KeyRotation::default();
        let due = patients_due(&settings, 1_000 * DAY);
        assert_eq!(due, [(Due::MadeBefore(910 * DAY + 1), KeyReason::Age), (Due::Uses(1_000_000), KeyReason::Uses)]);
        assert!(is_old(910 * DAY, settings.patient_days, 1_000 * DAY), "the same rule");
        let never = KeyRotation { patient_days: 0, patient_uses: 0, ..settings };
        assert_eq!(patients_due(&never, 1_000 * DAY), []);
    }
}
