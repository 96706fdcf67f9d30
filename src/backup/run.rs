//! A backup with all that belongs to it, and the events that tell of it. Everything here blocks.

use jiff::SignedDuration;
use wardbook_events::backups::{BackupEvent, BackupStep, BackupVerified, BackupsFailed, BackupsRemoved};
use wardbook_events::{BackupId, EventId, Meta, Outcome};
use wardbook_ledger::Progress;

use super::catalog::{Catalog, ChainError, Setup, SetupError};
use super::create::{Asked, CreateError, Made, Source, create, remove};
use super::key_backups;
use super::place::Place;
use super::tiers::{dated, removable};
use super::verify::{Verified, verify};
use crate::app::App;
use crate::by::By;
use crate::clock::NoChance;
use crate::disclosure::Refusal;

/// Why there is no new backup.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Settings, key or places.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Making it.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Finding it.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Telling of it.
    #[error("the ledger could not take in what was done: {0}")]
    Tell(#[from] Refusal),
    /// An id.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// Something else is being done.
    #[error("another backup, verification or drill is under way: GET /v1/backups tells how far it is")]
    Busy,
    /// The view of backups.
    #[error("{0}")]
    View(String),
    /// Trying out a restore.
    #[error("the restore that was tried out failed: {0}")]
    Drill(String),
    /// A place that the settings do not name.
    #[error("{0} is none of backup.places, or cannot be used now")]
    NoSuchPlace(String),
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The backup.
    pub made: Made,
    /// Backups that nobody need keep any more, removed.
    pub removed: Vec<BackupId>,
    /// What else went wrong: the backup of the keys, what was to be removed.
    pub wrong: Vec<String>,
}

/// When a full backup is due.
#[must_use]
pub fn full_after(app: &App) -> Asked {
    Asked::FullAfter(SignedDuration::from_hours(i64::from(app.config().backup.full_every_h)))
}

/// Makes a backup and writes down what came of it, good or bad.
///
/// # Errors
/// If no place has it in the end; that is an event too.
pub fn run(app: &App, by: &By, asked: Asked, progress: &dyn Progress) -> Result<Ran, RunError> {
    let made = attempt(app, asked, progress);
    match &made {
        Err(error) => failed(app, by, BackupStep::Create, None, None, error)?,
        Ok(made) => {
            for (place, cause) in &made.failed {
                failed(app, by, BackupStep::Create, Some(made.created.backup), Some(place.clone()), cause)?;
            }
            if let Some(lost) = lost(made) {
                failed(app, by, BackupStep::Create, Some(made.created.backup), None, &lost)?;
            }
            tell(app, by, made.created.clone())?;
        }
    }
    let made = made?;
    let mut wrong: Vec<_> = lost(&made).into_iter().collect();
    if let Err(error) = key_backups::refresh_by(app, by) {
        wrong.push(error.to_string());
    }
    // While a place is away, what others have may be what it needs to catch up.
    let removed = if made.failed.is_empty() { prune(app, by, &mut wrong)? } else { Vec::new() };
    Ok(Ran { made, removed, wrong })
}

/// What is to be said of objects of documents that no backup has.
fn lost(made: &Made) -> Option<String> {
    let ((known, cause), count) = (made.documents.lost.first()?, made.documents.lost.len());
    let (document, name) = (known.document, &known.name);
    Some(format!(
        "{count} objects of documents are not in the backup, first {name} of the document {document}: {cause}; \
         `wardbook documents verify` names all"
    ))
}

/// Removes what need not be kept any more.
fn prune(app: &App, by: &By, wrong: &mut Vec<String>) -> Result<Vec<BackupId>, RunError> {
    let setup = Setup::open(&app.config().backup)?;
    let catalog = Catalog::read(&setup.places, &setup.key);
    let removable = removable(&dated(&catalog), &app.config().backup, app.now());
    if removable.is_empty() {
        return Ok(Vec::new());
    }
    for place in &setup.places {
        // The newest first: at no moment is there one whose base is gone.
        for backup in removable.iter().rev() {
            if let Err(error) = remove(place, *backup) {
                failed(app, by, BackupStep::Remove, Some(*backup), Some(place.name().to_owned()), &error)?;
                wrong.push(error.to_string());
            }
        }
    }
    let removed: Vec<_> = removable.into_iter().collect();
    let places = setup.places.iter().map(|place| place.name().to_owned()).collect();
    tell(app, by, BackupsRemoved { backups: removed.clone(), places })?;
    Ok(removed)
}

fn attempt(app: &App, asked: Asked, progress: &dyn Progress) -> Result<Made, RunError> {
    let setup = Setup::open(&app.config().backup)?;
    let id = BackupId::new(app.new_id()?);
    Ok(create(Source::of(app), &setup, id, app.now(), asked, progress)?)
}

/// Verifies a backup (the newest if none is named) at one place (the first if none is named) and writes down what came of it.
///
/// # Errors
/// If it is not there, or the settings name no such place.
pub fn verify_and_tell(
    app: &App,
    by: &By,
    place: Option<&str>,
    backup: Option<BackupId>,
    progress: &dyn Progress,
) -> Result<(BackupId, String, Verified), RunError> {
    let setup = Setup::open(&app.config().backup)?;
    let place = place_of(&setup, place)?;
    let name = place.name().to_owned();
    match verify(place, &setup.key, backup, progress) {
        Ok((backup, verified)) => {
            match verified.findings.first() {
                None => {
                    let root = verified.root.clone();
                    let (events, bytes, documents) = (verified.events, verified.bytes, verified.documents);
                    tell(app, by, BackupVerified { backup, place: name.clone(), events, root, bytes, documents })?;
                }
                Some(first) => failed(app, by, BackupStep::Verify, Some(backup), Some(name.clone()), first)?,
            }
            Ok((backup, name, verified))
        }
        Err(error) => {
            failed(app, by, BackupStep::Verify, backup, Some(name), &error)?;
            Err(error.into())
        }
    }
}

/// A place of the settings by its name, or the first.
///
/// # Errors
/// If there is none of that name that can be used.
pub fn place_of<'s>(setup: &'s Setup, name: Option<&str>) -> Result<&'s Place, RunError> {
    let wanted = |place: &&Place| name.is_none_or(|name| place.name() == name.trim_end_matches('/'));
    let found = setup.places.iter().find(wanted);
    found.ok_or_else(|| RunError::NoSuchPlace(name.unwrap_or("every place").to_owned()))
}

/// Writes down that something went wrong.
pub(super) fn failed(
    app: &App,
    by: &By,
    step: BackupStep,
    backup: Option<BackupId>,
    place: Option<String>,
    cause: &dyn std::fmt::Display,
) -> Result<(), RunError> {
    tracing::error!(?step, place, %cause, "a backup failed");
    tell_as(app, by, BackupsFailed { step, backup, place, cause: cause.to_string() }.into(), Outcome::Failed)
}

/// Writes down what was done.
pub(super) fn tell(app: &App, by: &By, fact: impl Into<BackupEvent>) -> Result<(), RunError> {
    tell_as(app, by, fact.into(), Outcome::Success)
}

fn tell_as(app: &App, by: &By, fact: BackupEvent, outcome: Outcome) -> Result<(), RunError> {
    let id = EventId::new(app.new_id()?);
    app.tell_blocking(id, fact.into(), &Meta { outcome, ..by.meta().clone() }, by.client())?;
    Ok(())
}
