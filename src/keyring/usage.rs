//! How keys are used (ENC-17): counted each hour in every organisation, and held against what is usual.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use wardbook_events::keys::{KeyEvent, KeyUsesCounted, USERS_MAX, Unusual, UnusualUseSeen, UserUses};
use wardbook_events::{Client, EventId, Meta, Role, UserId};
use wardbook_keys::TenantUses;
use wardbook_projections::keys::Norm;

use super::KeyringError;
use crate::app::App;
use crate::by::By;
use crate::config::KeyUsage;

/// Counted for so long, then told.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Roles that administer and treat nobody.
const ADMINS: [Role; 4] = [Role::Admin, Role::SecurityAdmin, Role::SystemAdmin, Role::DatabaseAdmin];

/// What is known of who had values opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habit {
    /// The hours before.
    pub norm: Norm,
    /// Has an administrator's role.
    pub is_admin: bool,
    /// The organisation did not work at any end of this hour.
    pub is_off_hours: bool,
    /// Came from outside the networks of the settings, once at least.
    pub is_outside: bool,
}

/// Whether a user's hour was unusual: the gravest reason. Pure.
#[must_use]
pub fn judge(settings: &KeyUsage, opens: u64, habit: &Habit) -> Option<Unusual> {
    let KeyUsage { hour_max, norm_times, norm_least, norm_hours, admins_off_hours, .. } = *settings;
    let (norm, usual) = (habit.norm, habit.norm.usual());
    if hour_max > 0 && opens > hour_max {
        Some(Unusual::BeyondBound)
    } else if opens > 0 && habit.is_outside {
        Some(Unusual::UnknownNetwork)
    } else if admins_off_hours && opens > 0 && habit.is_admin && habit.is_off_hours {
        Some(Unusual::OffHours)
    } else if norm_times > 0
        && norm.hours >= norm_hours
        && opens >= norm_least
        && opens > usual.saturating_mul(norm_times)
    {
        Some(Unusual::BeyondNorm)
    } else {
        None
    }
}

/// Counts if an hour is over.
///
/// # Errors
/// If the view cannot be read or the events were not written: then the counts are lost, the access events are not.
pub fn hourly(app: &App) -> Result<(), KeyringError> {
    let now = app.now();
    let from = {
        let mut since = app.keyring().counted_from().lock();
        if now.duration_since(*since) < HOUR {
            return Ok(());
        }
        std::mem::replace(&mut *since, now)
    };
    count(app, from, now)
}

/// Counts what was used since the last time, however long ago: for the end of a server.
///
/// # Errors
/// As for [`hourly`].
pub fn last(app: &App) -> Result<(), KeyringError> {
    let now = app.now();
    let from = std::mem::replace(&mut *app.keyring().counted_from().lock(), now);
    count(app, from, now)
}

fn count(app: &App, from: Timestamp, until: Timestamp) -> Result<(), KeyringError> {
    let by = By::system(app)?;
    let outside = app.keyring().take_outside();
    for used in app.keys().take_uses() {
        let by = by.within(used.tenant);
        let mut events = vec![KeyEvent::from(counted(&used, from, until))];
        events.extend(unusual(app, &used, &outside, from, until)?.into_iter().map(KeyEvent::from));
        let mut drafts = Vec::with_capacity(events.len());
        let mut cause = None;
        for event in events {
            let id = EventId::new(app.new_id()?);
            let meta = Meta { causation: cause, ..by.meta().clone() };
            drafts.push(crate::app::draft(id, &event.into(), &meta, &Client::default(), &[])?);
            cause = cause.or(Some(id));
        }
        // Together: what was counted is judged, or neither is told.
        app.ledger().append_blocking(drafts)?;
    }
    Ok(())
}

fn counted(used: &TenantUses, from: Timestamp, until: Timestamp) -> KeyUsesCounted {
    let users = used.callers.iter().take(USERS_MAX);
    let users = users.map(|caller| UserUses { user: caller.user, opens: caller.opens, sensitive: caller.sensitive });
    KeyUsesCounted { from, until, seals: used.seals, opens: used.opens, unwraps: used.unwraps, users: users.collect() }
}

fn unusual(
    app: &App,
    used: &TenantUses,
    outside: &HashSet<UserId>,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<UnusualUseSeen>, KeyringError> {
    let settings = &app.config().keys.usage;
    let is_off_hours = !app.hours().at(from).open && !app.hours().at(until).open;
    // A count that came late covers several hours.
    let hours = u64::try_from(until.duration_since(from).as_hours()).unwrap_or(0).max(1);
    let mut seen = Vec::new();
    for caller in &used.callers {
        let norm = app.views().keys.norm(used.tenant, caller.user)?;
        let known = app.views().principal(caller.user)?;
        let is_admin = known.is_some_and(|known| ADMINS.iter().any(|role| known.principal.roles.contains(role)));
        let habit = Habit { norm, is_admin, is_off_hours, is_outside: outside.contains(&caller.user) };
        if let Some(unusual) = judge(settings, caller.opens / hours, &habit) {
            seen.push(UnusualUseSeen { user: caller.user, opens: caller.opens, usual: norm.usual(), unusual });
        }
        // So many alerts say the same as more.
        if seen.len() >= USERS_MAX {
            break;
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn habit(hours: u32, usual: u64) -> Habit {
        let norm = Norm { hours, opens: usual * u64::from(hours) };
        Habit { norm, is_admin: false, is_off_hours: false, is_outside: false }
    }

    #[test]
    fn far_beyond_the_own_norm_is_unusual_once_there_is_one() {
        let settings = KeyUsage::default();
        assert_eq!(judge(&settings, 1_601, &habit(8, 200)), Some(Unusual::BeyondNorm));
        assert_eq!(judge(&settings, 1_600, &habit(8, 200)), None);
        assert_eq!(judge(&settings, 1_601, &habit(7, 200)), None, "too short to be a norm");
        assert_eq!(judge(&settings, 999, &habit(100, 1)), None, "few are never many");
        assert_eq!(judge(&KeyUsage { norm_times: 0, ..settings }, 19_999, &habit(100, 1)), None);
    }

    #[test]
    fn nobody_opens_more_than_the_bound() {
        let settings = KeyUsage::default();
        assert_eq!(judge(&settings, 20_000, &habit(0, 0)), None);
        assert_eq!(judge(&settings, 20_001, &habit(0, 0)), Some(Unusual::BeyondBound));
        assert_eq!(judge(&settings, 20_001, &habit(99, 19_000)), Some(Unusual::BeyondBound), "whatever is usual");
        assert_eq!(judge(&KeyUsage { hour_max: 0, ..settings }, u64::MAX, &habit(0, 0)), None);
    }

    #[test]
    fn nobody_opens_anything_from_an_unknown_network() {
        let outside = Habit { is_outside: true, ..habit(50, 10) };
        assert_eq!(judge(&KeyUsage::default(), 1, &outside), Some(Unusual::UnknownNetwork));
        assert_eq!(judge(&KeyUsage::default(), 0, &outside), None);
        assert_eq!(judge(&KeyUsage::default(), 20_001, &outside), Some(Unusual::BeyondBound), "the gravest is told");
    }

    #[test]
    fn administrators_open_nothing_at_night() {
        let settings = KeyUsage::default();
        let admin = |is_off_hours| Habit { is_admin: true, is_off_hours, ..habit(50, 10) };
        assert_eq!(judge(&settings, 1, &admin(true)), Some(Unusual::OffHours));
        assert_eq!(judge(&settings, 1, &admin(false)), None);
        assert_eq!(judge(&settings, 0, &admin(true)), None);
        assert_eq!(
            judge(&settings, 1, &Habit { is_off_hours: true, ..habit(50, 10) }),
            None,
            "who treats works at night"
        );
        assert_eq!(judge(&KeyUsage { admins_off_hours: false, ..settings }, 1, &admin(true)), None);
    }
}
