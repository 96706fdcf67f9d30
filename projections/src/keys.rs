//! Keys as the ledger tells of them: which versions were made, wrapped anew and destroyed, and how often each user has values
//! opened. How keys stand now is the key store's to say; here is what was told of it, and what is usual.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::keys::{CompromiseContained, CompromiseDeclared, KeyEvent, KeyLevel, KeyReason, UserUses};
use wardbook_events::{AlertId, Event, Recorded, TenantId, UserId};

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_number};
use crate::tx::{Tx, decode};

/// What was told of an organisation's keys, one row each.
const TOLD: u8 = 1;
/// By organisation and position: what was made anew.
const HISTORY: u8 = 2;
/// By organisation and user: how often values are opened in an hour.
const NORM: u8 = 3;
/// By organisation and alert: keys that were declared to be known to others.
const COMPROMISE: u8 = 4;

/// Hours after which older ones begin to count less: some three months of working days.
const HOURS_MAX: u32 = 512;

/// The view of keys.
#[derive(Debug)]
pub struct KeysView;

/// What was told last of an organisation's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Versions of the organisation's key that were told to be made. The first of all is not: nothing was rotated.
    pub tenant: BTreeSet<u32>,
    /// Versions of the organisation's key that were told to be destroyed.
    pub destroyed: BTreeSet<u32>,
    /// The root key's name, if it was ever told.
    pub root: Option<String>,
    /// Versions of that root key, oldest first, as its provider names them.
    pub root_versions: Vec<String>,
    /// The newest version of the root key that was told to be destroyed.
    pub root_destroyed: Option<u32>,
    /// The level that wraps, and its version under which everything was told to be.
    pub rewrapped: BTreeMap<KeyLevel, String>,
    /// Patients' keys made anew, all together.
    pub patients: u64,
    /// Until when uses were counted.
    pub counted_until: Option<Timestamp>,
}

/// Something that was made anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Of which level.
    pub level: KeyLevel,
    /// Its new version; none for several patients.
    pub version: Option<String>,
    /// How many keys.
    pub keys: u64,
    /// Why.
    pub reason: KeyReason,
    /// When.
    pub at: Timestamp,
}

/// How often a user had values opened, in the hours in which any were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Norm {
    /// Hours with uses; both numbers are halved when there are many, so that what was long ago fades.
    pub hours: u32,
    /// Values opened in them.
    pub opens: u64,
}

impl Norm {
    /// The mean of an hour, rounded.
    #[must_use]
    pub fn usual(&self) -> u64 {
        let hours = u64::from(self.hours);
        self.opens.saturating_add(hours / 2).checked_div(hours).unwrap_or(0)
    }

    fn add(&mut self, opens: u64) {
        if self.hours >= HOURS_MAX {
            (self.hours, self.opens) = (self.hours / 2, self.opens / 2);
        }
        self.hours = self.hours.saturating_add(1);
        self.opens = self.opens.saturating_add(opens);
    }
}

/// A key that was declared to be known to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compromise {
    /// Which, and why.
    pub declared: CompromiseDeclared,
    /// When.
    pub declared_at: Timestamp,
    /// What was done until it was good for nothing any more, and when that was.
    pub contained: Option<(CompromiseContained, Timestamp)>,
}

fn compromise_key(tenant: TenantId, alert: AlertId) -> Vec<u8> {
    Key::table(COMPROMISE).bytes(tenant.bytes()).bytes(alert.bytes()).done()
}
fn told_key(tenant: TenantId) -> Vec<u8> {
    Key::table(TOLD).bytes(tenant.bytes()).done()
}
fn history_key(tenant: TenantId, position: u64) -> Vec<u8> {
    Key::table(HISTORY).bytes(tenant.bytes()).number(position).done()
}
fn norm_key(tenant: TenantId, user: UserId) -> Vec<u8> {
    Key::table(NORM).bytes(tenant.bytes()).bytes(user.bytes()).done()
}

impl View for KeysView {
    const NAME: &'static str = "keys";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Key(what) = &event.event else { return Ok(()) };
        let tenant = event.meta.tenant;
        match what {
            KeyEvent::TenantKeyRotated(e) => {
                rotated(tx, event, KeyLevel::Tenant, Some(e.version.to_string()), 1, e.reason)?;
                note(tx, tenant, |told| _ = told.tenant.insert(e.version))
            }
            KeyEvent::PatientKeysRotated(e) => {
                let version = match e.patients.as_slice() {
                    [one] => Some(one.version.to_string()),
                    _ => None,
                };
                let count = e.patients.len() as u64;
                rotated(tx, event, KeyLevel::Patient, version, count, e.reason)?;
                note(tx, tenant, |told| told.patients += count)
            }
            KeyEvent::RootKeyRotated(e) => {
                rotated(tx, event, KeyLevel::Root, Some(e.version.clone()), 1, e.reason)?;
                note(tx, tenant, |told| {
                    if told.root.as_ref() != Some(&e.key) {
                        // Another key, another count.
                        told.root = Some(e.key.clone());
                        told.root_versions.clear();
                        told.root_destroyed = None;
                    }
                    told.root_versions.push(e.version.clone());
                })
            }
            KeyEvent::IndexKeyRotated(e) => {
                rotated(tx, event, KeyLevel::Index, Some(e.version.to_string()), 1, e.reason)
            }
            KeyEvent::Rewrapped(e) if e.finished => {
                note(tx, tenant, |told| _ = told.rewrapped.insert(e.level, e.version.clone()))
            }
            KeyEvent::VersionDestroyed(e) => note(tx, tenant, |told| match e.level {
                KeyLevel::Tenant => _ = told.destroyed.insert(e.version),
                KeyLevel::Root => told.root_destroyed = told.root_destroyed.max(Some(e.version)),
                KeyLevel::Patient | KeyLevel::Index => {}
            }),
            KeyEvent::UsesCounted(e) => {
                e.users.iter().filter(|user| user.opens > 0).try_for_each(|user| used(tx, tenant, user))?;
                note(tx, tenant, |told| told.counted_until = Some(e.until))
            }
            KeyEvent::Rewrapped(_)
            | KeyEvent::VersionsDisabled(_)
            | KeyEvent::UnusualUseSeen(_)
            | KeyEvent::ProviderUnreachable(_)
            | KeyEvent::ProviderReachable(_) => Ok(()),
            KeyEvent::CompromiseDeclared(e) => {
                let row = Compromise { declared: e.clone(), declared_at: event.recorded_at, contained: None };
                tx.put_value(compromise_key(tenant, e.alert), &row)
            }
            KeyEvent::CompromiseContained(e) => {
                let key = compromise_key(tenant, e.alert);
                let Some(mut row) = tx.value::<Compromise>(key.clone())? else { return Ok(()) };
                row.contained = Some((e.clone(), event.recorded_at));
                tx.put_value(key, &row)
            }
        }
    }
}

fn rotated(
    tx: &mut Tx<'_>,
    event: &Recorded,
    level: KeyLevel,
    version: Option<String>,
    keys: u64,
    reason: KeyReason,
) -> Result<(), ViewError> {
    let row = Rotation { level, version, keys, reason, at: event.recorded_at };
    tx.put_value(history_key(event.meta.tenant, event.position), &row)
}

fn used(tx: &mut Tx<'_>, tenant: TenantId, user: &UserUses) -> Result<(), ViewError> {
    let key = norm_key(tenant, user.user);
    let mut norm = tx.value::<Norm>(key.clone())?.unwrap_or_default();
    norm.add(user.opens);
    tx.put_value(key, &norm)
}

fn note(tx: &mut Tx<'_>, tenant: TenantId, edit: impl FnOnce(&mut Told)) -> Result<(), ViewError> {
    let mut told = tx.value::<Told>(told_key(tenant))?.unwrap_or_default();
    edit(&mut told);
    tx.put_value(told_key(tenant), &told)
}

impl Projection<KeysView> {
    /// A compromise, by its alert.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn compromise(&self, tenant: TenantId, alert: AlertId) -> Result<Option<Compromise>, ViewError> {
        let row = self.live()?.get(&compromise_key(tenant, alert))?;
        row.map(|row| decode(KeysView::NAME, &row)).transpose()
    }

    /// What was declared in an organisation and is not contained, the oldest first.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn open_compromises(&self, tenant: TenantId) -> Result<Vec<Compromise>, ViewError> {
        let from = Key::table(COMPROMISE).bytes(tenant.bytes());
        let to = from.clone().bytes(&[0xff; 17]).done();
        let mut open = Vec::new();
        self.live()?.walk(&from.done(), &to, false, |_, row| {
            let found: Compromise = decode(KeysView::NAME, row)?;
            open.extend(found.contained.is_none().then_some(found));
            Ok(true)
        })?;
        open.sort_by_key(|one| one.declared_at);
        Ok(open)
    }

    /// What was told last of an organisation's keys.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn told(&self, tenant: TenantId) -> Result<Told, ViewError> {
        let row = self.live()?.get(&told_key(tenant))?;
        Ok(row.map(|row| decode(KeysView::NAME, &row)).transpose()?.unwrap_or_default())
    }

    /// What is usual for a user; nothing is if no hour was counted yet.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn norm(&self, tenant: TenantId, user: UserId) -> Result<Norm, ViewError> {
        let row = self.live()?.get(&norm_key(tenant, user))?;
        Ok(row.map(|row| decode(KeysView::NAME, &row)).transpose()?.unwrap_or_default())
    }

    /// What was made anew in an organisation, newest first. `before` is the `next` of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn history(&self, tenant: TenantId, before: Option<u64>, limit: usize) -> Result<Page<Rotation>, ViewError> {
        let (from, to) = (history_key(tenant, 0), history_key(tenant, before.unwrap_or(u64::MAX)));
        let mut found = Vec::new();
        self.live()?.walk(&from, &to, true, |key, row| {
            let position = trailing_number(key);
            let position =
                position.ok_or_else(|| ViewError::damaged(KeysView::NAME, "a row does not have its shape"))?;
            found.push((position, decode(KeysView::NAME, row)?));
            Ok(found.len() <= limit)
        })?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(position, _)| *position).filter(|_| more);
        Ok(Page { items: found.into_iter().map(|(_, row)| row).collect(), next })
    }
}

#[cfg(test)]
mod tests {
    use wardbook_events::keys::{
        KeyUsesCounted, KeyVersionDestroyed, KeysRewrapped, PatientKeysRotated, PatientVersion, RootKeyRotated,
        TenantKeyRotated, stream,
    };

    use super::*;
    use crate::testing::{Log, at, patient, tenant, user, views};

    fn add(log: &mut Log, event: impl Into<KeyEvent>) -> u64 {
        log.add(stream(tenant(log.tenant)), &[], event.into())
    }

    fn hour(opens: &[(u64, u64)]) -> KeyUsesCounted {
        let users = opens.iter().map(|(who, opens)| UserUses { user: user(*who), opens: *opens, sensitive: 0 });
        let (from, until) = (at(0), at(3_600));
        KeyUsesCounted { from, until, seals: 1, opens: 2, unwraps: 3, users: users.collect() }
    }

    #[test]
    fn what_was_told_is_known_and_the_history_is_paged() {
        let mut log = Log::default();
        let reason = KeyReason::Age;
        let first = add(&mut log, TenantKeyRotated { version: 2, reason });
        add(&mut log, TenantKeyRotated { version: 3, reason });
        let many = (1..=3).map(|number| PatientVersion { patient: patient(number), version: 2 }).collect();
        add(&mut log, PatientKeysRotated { patients: many, reason: KeyReason::Uses });
        for (key, version) in [("a", "2"), ("a", "3"), ("b", "1")] {
            add(&mut log, RootKeyRotated { key: key.into(), version: version.into(), reason });
        }
        let under =
            |level, version: &str, finished| KeysRewrapped { level, version: version.into(), count: 1, finished };
        add(&mut log, under(KeyLevel::Tenant, "2", true));
        add(&mut log, under(KeyLevel::Tenant, "3", false));
        add(&mut log, KeyVersionDestroyed { level: KeyLevel::Tenant, version: 1 });
        log.tenant = 1;
        add(&mut log, TenantKeyRotated { version: 9, reason });
        let (_dir, views) = views(&log);
        let told = views.keys.told(tenant(0)).unwrap();
        assert_eq!((told.tenant, told.destroyed, told.patients), ([2, 3].into(), [1].into(), 3));
        assert_eq!((told.root.as_deref(), told.root_versions), (Some("b"), vec!["1".to_owned()]));
        assert_eq!(told.rewrapped, [(KeyLevel::Tenant, "2".to_owned())].into(), "what is not finished does not count");
        let page = views.keys.history(tenant(0), None, 5).unwrap();
        assert_eq!((page.items.len(), page.items[0].level, page.items[3].keys), (5, KeyLevel::Root, 3));
        let rest = views.keys.history(tenant(0), page.next, 5).unwrap();
        assert_eq!((rest.items.len(), rest.next, rest.items[0].version.as_deref()), (1, None, Some("2")));
        assert_eq!(rest.items[0].at, at(i64::try_from(first).unwrap()));
        assert_eq!(views.keys.history(tenant(1), None, 5).unwrap().items.len(), 1, "of another organisation");
    }

    #[test]
    fn the_norm_is_the_mean_of_hours_with_work_and_the_past_fades() {
        let mut log = Log::default();
        for opens in [10, 21, 0] {
            add(&mut log, hour(&[(1, opens), (2, 4)]));
        }
        let (_dir, views) = views(&log);
        let norm = |who| views.keys.norm(tenant(0), user(who)).unwrap();
        assert_eq!((norm(1), norm(1).usual()), (Norm { hours: 2, opens: 31 }, 16), "an hour without work is none");
        assert_eq!((norm(2).usual(), norm(3)), (4, Norm::default()));
        assert_eq!(views.keys.told(tenant(0)).unwrap().counted_until, Some(at(3_600)));
        let mut norm = Norm::default();
        (0..10_000).for_each(|_| norm.add(100));
        assert_eq!((norm.usual(), norm.hours <= HOURS_MAX), (100, true));
        (0..HOURS_MAX).for_each(|_| norm.add(300));
        assert!(norm.usual() > 200, "{norm:?}");
    }
}
