//! Backups: which there are, when each was last verified, and when a restore was last tried out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::backups::{BackupCreated, BackupEvent, BackupKind, BackupStep, DrillFinished};
use wardbook_events::{BackupId, Event, Recorded};

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_number};
use crate::tx::{Tx, decode};

/// Backups by id.
const BACKUP: u8 = 1;
/// By position of the event, to their ids.
const ALL: u8 = 2;
/// What was done last, one row.
const LAST: u8 = 3;

/// The view of backups.
#[derive(Debug)]
pub struct BackupsView;

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// What was said of it when it was complete.
    pub created: BackupCreated,
    /// When that was.
    pub created_at: Timestamp,
    /// When it was last verified.
    pub verified_at: Option<Timestamp>,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

/// What was done last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// A backup of either kind.
    pub created: Option<(BackupId, Timestamp)>,
    /// A full backup.
    pub full: Option<(BackupId, Timestamp)>,
    /// The backup of the keys.
    pub keys_refreshed_at: Option<Timestamp>,
    /// A restore that was tried out.
    pub drill: Option<(DrillFinished, Timestamp)>,
    /// The first backup of all.
    pub first_at: Option<Timestamp>,
    /// Making a backup failed.
    pub failed_at: Option<Timestamp>,
    /// It was said that one is late.
    pub late_at: Option<Timestamp>,
    /// A drill failed, or it was said that one is due.
    pub reminded_at: Option<Timestamp>,
}

fn backup_key(backup: BackupId) -> Vec<u8> {
    Key::table(BACKUP).bytes(backup.bytes()).done()
}
fn listed(position: u64) -> Vec<u8> {
    Key::table(ALL).number(position).done()
}
fn last_key() -> Vec<u8> {
    Key::table(LAST).done()
}

impl View for BackupsView {
    const NAME: &'static str = "backups";
    const CODE_VERSION: u32 = 2;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Backup(what) = &event.event else { return Ok(()) };
        let now = event.recorded_at;
        match what {
            BackupEvent::Created(e) => {
                let row = Backup { created: e.clone(), created_at: now, verified_at: None, removed_at: None };
                tx.put_value(backup_key(e.backup), &row)?;
                tx.put(listed(event.position), e.backup.bytes().to_vec())?;
                note(tx, |last| {
                    last.created = Some((e.backup, now));
                    last.first_at = last.first_at.or(Some(now));
                    if e.kind == BackupKind::Full {
                        last.full = last.created;
                    }
                })
            }
            BackupEvent::Verified(e) => change(tx, e.backup, |row| row.verified_at = Some(now)),
            BackupEvent::Removed(e) => {
                e.backups.iter().try_for_each(|id| change(tx, *id, |row| row.removed_at = Some(now)))
            }
            BackupEvent::Failed(e) => note(tx, |last| match e.step {
                BackupStep::Create => last.failed_at = Some(now),
                BackupStep::Late => last.late_at = Some(now),
                BackupStep::Drill => last.reminded_at = Some(now),
                BackupStep::Verify | BackupStep::Keys | BackupStep::Remove => {}
            }),
            BackupEvent::DrillFinished(e) => note(tx, |last| last.drill = Some((e.clone(), now))),
            BackupEvent::KeyBackupRefreshed(_) => note(tx, |last| last.keys_refreshed_at = Some(now)),
            BackupEvent::Restored(_) | BackupEvent::KeysShared(_) | BackupEvent::KeysRecovered(_) => Ok(()),
        }
    }
}

fn change(tx: &mut Tx<'_>, id: BackupId, edit: impl FnOnce(&mut Backup)) -> Result<(), ViewError> {
    let Some(mut row) = tx.value::<Backup>(backup_key(id))? else { return Ok(()) };
    edit(&mut row);
    tx.put_value(backup_key(id), &row)
}

fn note(tx: &mut Tx<'_>, edit: impl FnOnce(&mut Last)) -> Result<(), ViewError> {
    let mut last = tx.value::<Last>(last_key())?.unwrap_or_default();
    edit(&mut last);
    tx.put_value(last_key(), &last)
}

impl Projection<BackupsView> {
    /// One backup.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, backup: BackupId) -> Result<Option<Backup>, ViewError> {
        self.live()?.get(&backup_key(backup))?.map(|row| decode(BackupsView::NAME, &row)).transpose()
    }

    /// What was done last.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn last(&self) -> Result<Last, ViewError> {
        let row = self.live()?.get(&last_key())?;
        Ok(row.map(|row| decode(BackupsView::NAME, &row)).transpose()?.unwrap_or_default())
    }

    /// Backups, newest first, those that were removed included. `before` is the `next` of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn list(&self, before: Option<u64>, limit: usize) -> Result<Page<Backup>, ViewError> {
        let live = self.live()?;
        let mut found = Vec::new();
        live.walk(&listed(0), &listed(before.unwrap_or(u64::MAX)), true, |key, id| {
            let row = <[u8; 16]>::try_from(id).ok().zip(trailing_number(key));
            found.push(row.ok_or_else(|| ViewError::damaged(BackupsView::NAME, "a row does not have its shape"))?);
            Ok(found.len() <= limit)
        })?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(_, position)| *position).filter(|_| more);
        let mut items = Vec::with_capacity(found.len());
        for (id, _) in found {
            items.extend(self.get(BackupId::from_bytes(id))?);
        }
        Ok(Page { items, next })
    }
}
