//! Which backups need not be kept any more (OPS-04: 30, 90, 365 and 2,190 days).

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use wardbook_events::BackupId;
use wardbook_events::backups::BackupKind;

use super::catalog::Catalog;
use crate::config;

const DAY_S: i64 = 86_400;

/// As much of a backup as decides how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    /// Which one.
    pub backup: BackupId,
    /// Whether it stands alone.
    pub kind: BackupKind,
    /// What it builds on.
    pub base: Option<BackupId>,
    /// When it was begun.
    pub made_at: Timestamp,
}

/// Those of a catalog.
#[must_use]
pub fn dated(catalog: &Catalog) -> Vec<Dated> {
    let dated = catalog.backups.values().map(|found| &found.manifest).map(|manifest| Dated {
        backup: manifest.backup,
        kind: manifest.kind,
        base: manifest.base.as_ref().map(|base| base.backup),
        made_at: manifest.made_at,
    });
    dated.collect()
}

/// Says what may be removed. Kept are: every backup of `keep_all_d` days, the last of each day for `keep_daily_d`, the last full
/// one of each week for `keep_weekly_d`, the last full one of each year for `keep_yearly_d`, the newest and the newest full
/// one however old they are; and whatever a kept one builds on.
#[must_use]
pub fn removable(backups: &[Dated], tiers: &config::Backup, now: Timestamp) -> BTreeSet<BackupId> {
    let within =
        |one: &Dated, days: u32| now.duration_since(one.made_at) <= SignedDuration::from_hours(24 * i64::from(days));
    let mut kept = BTreeSet::new();
    // The last of each period, by a number of the period.
    let mut last = |days: u32, full: bool, period: &dyn Fn(Timestamp) -> i64| {
        let mut of_period: BTreeMap<i64, &Dated> = BTreeMap::new();
        for one in backups.iter().filter(|one| within(one, days) && (!full || one.kind == BackupKind::Full)) {
            let best = of_period.entry(period(one.made_at)).or_insert(one);
            if (one.made_at, one.backup) > (best.made_at, best.backup) {
                *best = one;
            }
        }
        kept.extend(of_period.into_values().map(|one| one.backup));
    };
    last(tiers.keep_daily_d, false, &|at| at.as_second().div_euclid(DAY_S));
    last(tiers.keep_weekly_d, true, &|at| at.as_second().div_euclid(7 * DAY_S));
    last(tiers.keep_yearly_d, true, &|at| i64::from(at.to_zoned(TimeZone::UTC).year()));
    kept.extend(backups.iter().filter(|one| within(one, tiers.keep_all_d)).map(|one| one.backup));
    let newest = |full: bool| {
        let of_kind = backups.iter().filter(|one| !full || one.kind == BackupKind::Full);
        of_kind.max_by_key(|one| (one.made_at, one.backup)).map(|one| one.backup)
    };
    kept.extend(newest(false).into_iter().chain(newest(true)));
    let by_id: BTreeMap<_, _> = backups.iter().map(|one| (one.backup, one)).collect();
    let mut waiting: Vec<_> = kept.iter().copied().collect();
    while let Some(base) = waiting.pop().and_then(|backup| by_id.get(&backup)).map(|one| one.base) {
        if let Some(base) = base.filter(|base| kept.insert(*base)) {
            waiting.push(base);
        }
    }
    by_id.into_keys().filter(|backup| !kept.contains(backup)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(day: i64, hour: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + day * DAY_S + hour * 3_600).unwrap()
    }

    /// Full backups at some hours, incremental ones at others, each building on the one before.
    fn chain(steps: &[(u32, bool)]) -> Vec<Dated> {
        let (mut all, mut hour): (Vec<Dated>, i64) = (Vec::new(), 0);
        for (number, (gap_h, full)) in steps.iter().enumerate() {
            hour += i64::from(*gap_h);
            let base = all.last().map(|one| one.backup).filter(|_| !full);
            let backup = BackupId::from_bytes((number as u128 + 1).to_be_bytes());
            let kind = if base.is_some() { BackupKind::Incremental } else { BackupKind::Full };
            all.push(Dated { backup, kind, base, made_at: at(0, hour) });
        }
        all
    }

    fn tiers() -> config::Backup {
        config::Backup::default()
    }

    proptest! {
        #[test]
        fn nothing_that_a_kept_backup_builds_on_is_removed_and_no_tier_is_left_out(
            steps in prop::collection::vec((1_u32..400, prop::bool::weighted(0.2)), 1..200),
            later_d in 0_i64..2_500,
        ) {
            let backups = chain(&steps);
            let now = backups.last().unwrap().made_at + SignedDuration::from_hours(24 * later_d);
            let removed = removable(&backups, &tiers(), now);
            let age_d = |one: &Dated| now.duration_since(one.made_at).as_secs() as f64 / DAY_S as f64;
            let kept: Vec<_> = backups.iter().filter(|one| !removed.contains(&one.backup)).collect();
            for one in &kept {
                prop_assert!(one.base.is_none_or(|base| !removed.contains(&base)), "{one:?} builds on a removed one");
            }
            for one in &backups {
                prop_assert!(age_d(one) > 30.0 || !removed.contains(&one.backup), "{one:?} is in the first tier");
                let year = |one: &Dated| one.made_at.to_zoned(TimeZone::UTC).year();
                if one.kind == BackupKind::Full && age_d(one) <= 2_190.0 {
                    let stays = kept.iter().any(|other| other.kind == BackupKind::Full && year(other) == year(one));
                    prop_assert!(stays, "no full backup of the year of {one:?} is left");
                }
                let day = |one: &Dated| one.made_at.as_second().div_euclid(DAY_S);
                let stays = || kept.iter().any(|other| day(other) == day(one));
                prop_assert!(age_d(one) > 90.0 || stays(), "no backup of the day of {one:?} is left");
            }
            prop_assert!(!removed.contains(&backups.last().unwrap().backup), "the newest is gone");
            let rest: Vec<_> = kept.into_iter().copied().collect();
            prop_assert!(removable(&rest, &tiers(), now).is_empty(), "removing twice removes more");
        }
    }

    #[test]
    fn eight_years_of_hourly_backups_pruned_each_day_keep_every_tier() {
        let (mut kept, mut number): (Vec<Dated>, u128) = (Vec::new(), 0);
        let mut most = 0;
        for day in 0..8 * 365 {
            for hour in [0, 6, 12, 18] {
                number += 1;
                let full = day % 7 == 0 && hour == 0;
                let base = kept.iter().max_by_key(|one| one.made_at).map(|one| one.backup).filter(|_| !full);
                let kind = if base.is_some() { BackupKind::Incremental } else { BackupKind::Full };
                kept.push(Dated {
                    backup: BackupId::from_bytes(number.to_be_bytes()),
                    kind,
                    base,
                    made_at: at(day, hour),
                });
            }
            let removed = removable(&kept, &tiers(), at(day, 23));
            kept.retain(|one| !removed.contains(&one.backup));
            most = most.max(kept.len());
        }
        let now = at(8 * 365 - 1, 23);
        let years: BTreeSet<_> = kept.iter().map(|one| one.made_at.to_zoned(TimeZone::UTC).year()).collect();
        assert!(years.len() >= 6, "one for each of six years: {years:?}");
        let age = |one: &Dated| now.duration_since(one.made_at).as_hours() / 24;
        assert!(kept.iter().all(|one| age(one) <= 2_190 + 7), "nothing is kept longer than it must");
        let weekly = kept.iter().filter(|one| one.kind == BackupKind::Full && (90..365).contains(&age(one))).count();
        assert!((37..=41).contains(&weekly), "{weekly} of the weeks");
        assert!(most < 600, "{most} at a time");
    }
}
