//! Backups when they are due, and word of those that are late (OPS-04, OPS-05).

use jiff::{SignedDuration, Timestamp};
use wardbook_events::backups::BackupStep;
use wardbook_projections::backups::Last;

use super::run::{RunError, failed, full_after, run};
use crate::app::App;
use crate::by::By;
use crate::config;

/// What failed is tried again after so long.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// Somebody is reminded of a drill at most so often.
const REMIND: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is to be done now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    /// Make a backup.
    pub backup: bool,
    /// Say that there is none where there should be.
    pub late: bool,
    /// Say that no restore was tried out.
    pub drill: bool,
}

/// What is due, from what was done last. Pure.
#[must_use]
pub fn due(last: &Last, settings: &config::Backup, now: Timestamp) -> Due {
    let every = SignedDuration::from_hours(i64::from(settings.incremental_every_h));
    let older = |at: Option<Timestamp>, than: SignedDuration| at.is_none_or(|at| now.duration_since(at) >= than);
    let created_at = last.created.map(|(_, at)| at);
    let due = older(created_at, every);
    let rested = older(last.failed_at, AGAIN);
    let late = created_at.is_some_and(|at| now.duration_since(at) >= every * 2) && older(last.late_at, every * 2);
    let tried = SignedDuration::from_hours(24 * i64::from(settings.drill_every_d));
    // Who has just begun is not late with the first drill.
    let since = last.drill.as_ref().map(|(_, at)| *at).or(last.first_at);
    let drill = since.is_some_and(|at| now.duration_since(at) >= tried) && older(last.reminded_at, REMIND);
    Due { backup: due && rested, late, drill }
}

/// Does what is due. Blocks.
///
/// # Errors
/// If a backup that was due failed; that is an event too.
pub fn tick(app: &App) -> Result<Due, RunError> {
    super::notes::tell_all(app)?;
    let settings = &app.config().backup;
    if !settings.is_on() {
        return Ok(Due::default());
    }
    let last = app.views().backups.last().map_err(|error| RunError::View(error.to_string()))?;
    let due = due(&last, settings, app.now());
    let by = By::system(app)?;
    if due.late {
        failed(app, &by, BackupStep::Late, None, None, &"no backup was made in twice the time that is set")?;
    }
    if due.drill {
        failed(
            app,
            &by,
            BackupStep::Drill,
            None,
            None,
            &"no restore was tried out for as long as is set: run `wardbook backup drill`",
        )?;
    }
    if due.backup && app.backup_jobs().is_idle() {
        app.backup_jobs().within("create", |progress| run(app, &by, full_after(app), progress))?;
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use wardbook_events::BackupId;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + hour * 3_600).unwrap()
    }

    fn settings() -> config::Backup {
        config::Backup::default()
    }

    #[test]
    fn the_first_backup_is_due_at_once_and_the_next_after_an_hour() {
        assert!(due(&Last::default(), &settings(), at(0)).backup);
        let last =
            Last { created: Some((BackupId::from_bytes([1; 16]), at(0))), first_at: Some(at(0)), ..Last::default() };
        assert_eq!(due(&last, &settings(), at(0)), Due::default());
        assert_eq!(due(&last, &settings(), at(1)), Due { backup: true, ..Due::default() });
    }

    #[test]
    fn what_failed_is_left_alone_for_a_while_and_told_once_when_it_is_late() {
        let created = Some((BackupId::from_bytes([1; 16]), at(0)));
        let failed = Last { created, first_at: Some(at(0)), failed_at: Some(at(2)), ..Last::default() };
        assert_eq!(due(&failed, &settings(), at(2)), Due { late: true, ..Due::default() });
        let told = Last { late_at: Some(at(2)), ..failed };
        assert_eq!(due(&told, &settings(), at(3)), Due { backup: true, ..Due::default() });
        assert!(due(&told, &settings(), at(4)).late, "again after as long");
    }

    #[test]
    fn a_drill_is_due_once_a_month_and_the_reminder_does_not_nag() {
        let created = Some((BackupId::from_bytes([1; 16]), at(31 * 24)));
        let last = Last { created, first_at: Some(at(0)), ..Last::default() };
        assert!(!due(&last, &settings(), at(31 * 24 - 1)).drill);
        assert!(due(&last, &settings(), at(31 * 24)).drill);
        let reminded = Last { reminded_at: Some(at(31 * 24)), ..last };
        assert!(!due(&reminded, &settings(), at(32 * 24)).drill);
        assert!(due(&reminded, &settings(), at(38 * 24)).drill);
    }
}
