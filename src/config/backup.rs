//! `[backup]`: where backups go, how often they are made, and how long they are kept.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Records must be kept for six years (45 CFR 164.316(b)(2)(i)), so backups must be too (OPS-06).
pub const RETENTION_DAYS_MIN: u32 = 2_190;

/// `[backup]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Directories, or `s3://bucket/prefix`; none means no backups.
    pub places: Vec<String>,
    /// File with the backup key.
    pub key_file: PathBuf,
    /// Put the root key's file, if it is one, into the backup of the keys.
    pub include_root_file: bool,
    /// A full backup is made every so many hours.
    pub full_every_h: u32,
    /// An incremental one is made every so many hours.
    pub incremental_every_h: u32,
    /// Somebody is reminded if no restore was tried out for so many days.
    pub drill_every_d: u32,
    /// Every backup is kept for so many days.
    pub keep_all_d: u32,
    /// The last one of each day is kept for so many days.
    pub keep_daily_d: u32,
    /// The last full one of each week is kept for so many days.
    pub keep_weekly_d: u32,
    /// The last full one of each year is kept for so many days.
    pub keep_yearly_d: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            key_file: PathBuf::new(),
            include_root_file: false,
            full_every_h: 168,
            incremental_every_h: 1,
            drill_every_d: 31,
            keep_all_d: 30,
            keep_daily_d: 90,
            keep_weekly_d: 365,
            keep_yearly_d: RETENTION_DAYS_MIN,
        }
    }
}

impl Backup {
    /// Whether backups are made at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.places.is_empty()
    }

    /// Refuses a policy that would not keep what must be kept (OPS-06).
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let places: std::collections::BTreeSet<_> =
            self.places.iter().map(|place| place.trim_end_matches('/')).collect();
        let in_order = [self.keep_all_d, self.keep_daily_d, self.keep_weekly_d, self.keep_yearly_d].is_sorted();
        let rules = [
            (
                self.keep_yearly_d >= RETENTION_DAYS_MIN,
                "backup.keep_yearly_d",
                "must be at least 2190: records are kept for six years (45 CFR 164.316)",
            ),
            (
                in_order && self.keep_all_d >= 1,
                "backup.keep_all_d",
                "must be at least 1, and no tier shorter than the one before",
            ),
            (self.full_every_h >= 1, "backup.full_every_h", "must be at least 1"),
            (self.incremental_every_h >= 1, "backup.incremental_every_h", "must be at least 1"),
            (self.drill_every_d >= 1, "backup.drill_every_d", "must be at least 1"),
            (places.len() == self.places.len(), "backup.places", "must not name the same place twice"),
            (self.places.len() != 1, "backup.places", "must name a second place: one site can burn"),
            (
                self.places.is_empty() || !self.key_file.as_os_str().is_empty(),
                "backup.key_file",
                "must name the file of the backup key: `wardbook backup keys init` makes one",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, setting, rule)) => Err(ConfigError::Value { setting, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> Backup {
        Backup {
            places: vec!["/srv/backup".into(), "s3://elsewhere/wardbook".into()],
            key_file: "/etc/wardbook/backup.key".into(),
            ..Backup::default()
        }
    }

    fn setting(backup: &Backup) -> &'static str {
        match backup.check() {
            Err(ConfigError::Value { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_backups_and_a_sound_policy_are_taken() {
        assert!(Backup::default().check().is_ok());
        assert!(valid().check().is_ok());
        assert!(!Backup::default().is_on() && valid().is_on());
    }

    #[test]
    fn a_policy_that_keeps_too_little_has_no_key_or_no_second_place_is_refused() {
        assert_eq!(setting(&Backup { keep_yearly_d: 2_189, ..valid() }), "backup.keep_yearly_d");
        assert_eq!(setting(&Backup { key_file: PathBuf::new(), ..valid() }), "backup.key_file");
        assert_eq!(setting(&Backup { places: vec!["/srv/backup".into()], ..valid() }), "backup.places");
        assert_eq!(setting(&Backup { places: vec!["/a".into(), "/a/".into()], ..valid() }), "backup.places");
        assert_eq!(setting(&Backup { keep_daily_d: 400, ..valid() }), "backup.keep_all_d");
        assert_eq!(setting(&Backup { full_every_h: 0, ..valid() }), "backup.full_every_h");
    }
}
