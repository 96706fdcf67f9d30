//! Making a backup, while the ledger is being written to.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use wardbook_events::backups::{BackupCreated, BackupKind};
use wardbook_events::{BackupId, RecordId};
use wardbook_keys::Keys;
use wardbook_ledger::{Ledger, Position, Progress, PublishError, ReadError};

use super::catalog::{Catalog, Found, Setup, manifest_name, object, plan_name};
use super::chain::part_key;
use super::manifest::{Base, Manifest, ManifestError, Objects, Part, PartKind, sha256};
use super::objects::{Known, told_by};
use super::place::{Place, PlaceError};
use crate::app::App;
use crate::documents::Store;

mod objects;

/// Plaintext of one part: what is in memory at once, several times.
const PART_BYTES: usize = 16 << 20;
/// So many objects may be missing in a backup; if more are, the store is gone rather than some objects.
const MISSING_MAX: usize = 1_000;

/// What is backed up.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Events.
    pub ledger: &'a Ledger,
    /// The objects of documents.
    pub documents: &'a Store,
    /// Who is erased; no key is read.
    pub keys: &'a Keys,
}

impl<'a> Source<'a> {
    /// All of an application.
    #[must_use]
    pub fn of(app: &'a App) -> Self {
        Self { ledger: app.ledger(), documents: app.documents().store(), keys: app.keys() }
    }
}

/// Which kind of backup is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// One of this kind; what there is nothing to build on becomes a full one.
    Kind(BackupKind),
    /// A full one if the last is older than this, else an incremental one.
    FullAfter(SignedDuration),
}

/// Why a backup was not made. What was begun is gone on with the next time.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// No place took it.
    #[error("no place could take the backup: {0}")]
    NoPlace(String),
    /// Backups of another log are there.
    #[error("{place} holds backups of the log {origin}: give this log places of its own")]
    OtherLog {
        /// Which place.
        place: String,
        /// Whose backups.
        origin: String,
    },
    /// No checkpoint.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The journal.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The ledger is empty.
    #[error("the ledger is empty: there is nothing to back up")]
    Empty,
    /// Sealing.
    #[error("a part could not be sealed")]
    Seal,
    /// An event.
    #[error("an event cannot be read: {0}")]
    Event(String),
    /// The store of documents is not to be had.
    #[error(
        "more than {MISSING_MAX} objects of documents are not to be had; the last, of the document {document}: {cause}"
    )]
    Documents {
        /// Which document.
        document: RecordId,
        /// What is wrong with its object.
        cause: String,
    },
}

/// What became of the objects of documents.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    /// Copies that were made, at all places together.
    pub copied: u64,
    /// Copies that were there already.
    pub kept: u64,
    /// Objects of patients who are erased: at no place.
    pub erased: u64,
    /// Objects that were nowhere to be had as they were, though the last backup had them or did not know of them.
    pub lost: Vec<(Known, String)>,
}

/// A backup that is complete at one place or more.
#[derive(Debug, Clone)]
pub struct Made {
    /// What is to be told of it.
    pub created: BackupCreated,
    /// Whether an interrupted one was gone on with.
    pub resumed: bool,
    /// Parts that were there already.
    pub kept: usize,
    /// The objects of documents.
    pub documents: Documents,
    /// Places that did not take it, and why.
    pub failed: BTreeMap<String, String>,
}

/// Makes a backup at every place that can be used. Each place then has all that it builds on.
///
/// # Errors
/// If no place has it in the end.
pub fn create(
    source: Source<'_>,
    setup: &Setup,
    id: BackupId,
    now: Timestamp,
    asked: Asked,
    progress: &dyn Progress,
) -> Result<Made, CreateError> {
    let catalog = Catalog::read(&setup.places, &setup.key);
    let documents = Documents::default();
    let mut work = Work { setup, failed: BTreeMap::new(), source, documents, progress };
    for away in &setup.away {
        work.failed.insert(away.place.clone(), away.to_string());
    }
    for fault in catalog.faults.iter().filter(|fault| catalog.away.contains(&fault.place)) {
        work.fail(fault.place, fault.cause.clone());
    }
    let origin = source.ledger.keys().origin().to_owned();
    if let Some(other) = catalog.backups.values().find(|found| found.manifest.origin != origin) {
        let place = other.at.first().and_then(|at| setup.places.get(*at)).map_or("a place", Place::name);
        return Err(CreateError::OtherLog { place: place.to_owned(), origin: other.manifest.origin.clone() });
    }
    let base = base(&catalog, asked, now);
    let (plan, resumed) = match work.unfinished(&catalog, base) {
        Some(plan) => (plan, true),
        None => (work.plan(id, base, now)?, false),
    };
    work.copy_missing(&catalog, base);
    work.each(|place| place.put(&plan_name(plan.backup), plan.signed(&setup.key).unwrap_or_default().into_bytes()));
    let missing = |found: &Found| found.manifest.documents.clone().map(|known| known.missing).unwrap_or_default();
    let before = catalog.newest().map(missing).unwrap_or_default();
    let (mut manifest, kept) = work.write(plan, resumed)?;
    // A full backup has come by all of them again.
    let again = base.map(missing).unwrap_or_default();
    work.look_again(&again, &mut manifest)?;
    work.documents.lost.retain(|(known, _)| before.iter().all(|old| old.name != known.name));
    let text = manifest.signed(&setup.key)?.into_bytes();
    let digest = sha256(&text);
    // Only now is it a backup.
    let places = work.each(|place| place.put(&manifest_name(manifest.backup), text.clone()));
    work.each(|place| place.remove(&plan_name(manifest.backup)));
    if places.is_empty() {
        return Err(work.no_place());
    }
    let root = manifest.proof()?.0.unverified().root.to_string();
    let created = BackupCreated {
        backup: manifest.backup,
        kind: manifest.kind,
        base: manifest.base.as_ref().map(|base| base.backup),
        from: manifest.from,
        to: manifest.to,
        root,
        key: manifest.key.clone(),
        manifest: digest,
        parts: u32::try_from(manifest.parts.len()).unwrap_or(u32::MAX),
        bytes: manifest.bytes(),
        documents: manifest.documents.as_ref().map_or(0, |known| known.count),
        document_bytes: manifest.documents.as_ref().map_or(0, |known| known.bytes),
        documents_missing: manifest.documents.as_ref().map_or(0, |known| known.missing.len() as u64),
        places,
    };
    Ok(Made { created, resumed, kept, documents: work.documents, failed: work.failed })
}

/// What an incremental backup builds on; `None` if a full one is wanted or must be made.
fn base(catalog: &Catalog, asked: Asked, now: Timestamp) -> Option<&Found> {
    let newest = catalog.newest()?;
    let chain = catalog.chain(newest.manifest.backup).ok()?;
    let full_at = chain.first()?.manifest.made_at;
    // What has no documents is nothing to build on for one that has them.
    if chain.iter().any(|found| found.manifest.documents.is_none()) {
        return None;
    }
    match asked {
        Asked::Kind(BackupKind::Full) => None,
        Asked::Kind(BackupKind::Incremental) => Some(newest),
        Asked::FullAfter(age) => (now.duration_since(full_at) < age).then_some(newest),
    }
}

struct Work<'a> {
    setup: &'a Setup,
    /// By the place's name.
    failed: BTreeMap<String, String>,
    source: Source<'a>,
    documents: Documents,
    progress: &'a dyn Progress,
}

impl Work<'_> {
    fn fail(&mut self, place: usize, cause: String) {
        if let Some(place) = self.setup.places.get(place) {
            self.failed.insert(place.name().to_owned(), cause);
        }
    }

    fn no_place(&self) -> CreateError {
        CreateError::NoPlace(self.failed.values().cloned().collect::<Vec<_>>().join("; "))
    }

    /// Does something at every place that has not failed; the names of those where it could be done.
    fn each(&mut self, mut work: impl FnMut(&Place) -> Result<(), PlaceError>) -> Vec<String> {
        let mut done = Vec::new();
        for place in &self.setup.places {
            if self.failed.contains_key(place.name()) {
                continue;
            }
            match work(place) {
                Ok(()) => done.push(place.name().to_owned()),
                Err(error) => {
                    self.failed.insert(place.name().to_owned(), error.to_string());
                }
            }
        }
        done
    }

    /// The plan of an interrupted backup that would be made now too. What else was begun is removed.
    fn unfinished(&self, catalog: &Catalog, base: Option<&Found>) -> Option<Manifest> {
        let mut found: Option<Manifest> = None;
        for (number, backup) in &catalog.unfinished {
            let Some(place) = self.setup.places.get(*number) else { continue };
            // A backup that is complete elsewhere is copied later.
            if catalog.backups.contains_key(backup) {
                continue;
            }
            let plan = place.find(&plan_name(*backup)).ok().flatten();
            let plan = plan.and_then(|text| Manifest::read(&text, *backup, &self.setup.key).ok());
            let fits = |plan: &Manifest| {
                plan.base == base.map(as_base) && plan.to <= self.source.ledger.head().durable && plan.proof().is_ok()
            };
            match (plan.filter(fits), &found) {
                (Some(plan), None) => found = Some(plan),
                (Some(plan), Some(other)) if plan == *other => {}
                _ => {
                    if let Err(error) = remove(place, *backup) {
                        tracing::warn!(%backup, %error, "what is left of a backup was not removed");
                    }
                }
            }
        }
        found
    }

    fn plan(&self, id: BackupId, base: Option<&Found>, now: Timestamp) -> Result<Manifest, CreateError> {
        let checkpoint = self.source.ledger.publish()?;
        let to = checkpoint.unverified().size;
        let last = to.checked_sub(1).ok_or(CreateError::Empty)?;
        let last = self.source.ledger.read(Position(last))?.ok_or(CreateError::Empty)?;
        let newest_at = Timestamp::from_microsecond(last.recorded_at().get()).unwrap_or(now);
        let from = base.map_or(0, |found| found.manifest.to);
        let keys = self.source.ledger.keys();
        Ok(Manifest::plan(id, base.map(as_base), now, from, newest_at, &checkpoint, &keys, &self.setup.key))
    }

    /// Brings each place what the new backup builds on. What else is missing there is brought as well: a place that was
    /// away has everything again.
    fn copy_missing(&mut self, catalog: &Catalog, base: Option<&Found>) {
        let chain = base.and_then(|found| catalog.chain(found.manifest.backup).ok()).unwrap_or_default();
        for (number, place) in self.setup.places.iter().enumerate() {
            if self.failed.contains_key(place.name()) {
                continue;
            }
            for found in catalog.backups.values().filter(|found| !found.at.contains(&number)) {
                let from: Vec<_> = found.at.iter().filter_map(|at| self.setup.places.get(*at)).collect();
                let needed = chain.iter().any(|one| one.manifest.backup == found.manifest.backup);
                match copy(found, &from, place).and_then(|()| self.objects_of(found, &from, place)) {
                    Ok(()) => {}
                    Err(error) if needed => {
                        self.failed.insert(place.name().to_owned(), error);
                        break;
                    }
                    Err(error) => tracing::warn!(backup = %found.manifest.backup, %error, "a backup was not copied"),
                }
            }
        }
    }

    /// Writes every part of the plan at every place; the manifest, and how many parts were there already.
    fn write(&mut self, plan: Manifest, resumed: bool) -> Result<(Manifest, usize), CreateError> {
        let mut manifest = plan;
        let mut documents = Objects::default();
        let (from, to) = (manifest.from, manifest.to);
        let mut frames =
            self.source.ledger.frames(Position(from)).take(usize::try_from(to - from).unwrap_or(usize::MAX));
        let (mut first, mut kept) = (from, 0);
        while first < to {
            let (mut content, mut events) = (Vec::with_capacity(PART_BYTES + (64 << 10)), 0_u64);
            let mut known = Vec::new();
            for frame in frames.by_ref() {
                let frame = frame?;
                known.extend(told_by(&frame).map_err(CreateError::Event)?);
                frame.write_to(&mut content);
                events += 1;
                if content.len() >= PART_BYTES && frame.ends_append() {
                    break;
                }
            }
            if events == 0 {
                return Err(CreateError::Empty);
            }
            let name = format!("ledger-{first:020}");
            let sealed =
                part_key(&self.setup.key, manifest.backup, &name).seal(&content).map_err(|_| CreateError::Seal)?;
            let part = Part {
                kind: PartKind::Ledger,
                first,
                events,
                bytes: sealed.len() as u64,
                sha256: sha256(&sealed),
                name,
            };
            let path = object(manifest.backup, &part.name);
            self.each(|place| {
                if resumed && place.find(&path)?.is_some_and(|there| sha256(&there) == part.sha256) {
                    kept += 1;
                    return Ok(());
                }
                place.put(&path, sealed.clone())?;
                // Read back: what a place took is not yet what it has.
                match place.get(&path)? == sealed {
                    true => Ok(()),
                    false => Err(PlaceError {
                        place: place.name().to_owned(),
                        fault: super::PlaceFault::Unreachable(format!("{} is not what was written", part.name)),
                    }),
                }
            });
            self.bring_all(&known, &mut documents)?;
            if self.failed.len() == self.setup.places.len() + self.setup.away.len() {
                return Err(self.no_place());
            }
            first += events;
            manifest.parts.push(part);
            self.progress.advance("backup", first - from, to - from);
        }
        manifest.documents = Some(documents);
        Ok((manifest, kept))
    }
}

fn as_base(found: &Found) -> Base {
    Base { backup: found.manifest.backup, manifest: found.digest.clone() }
}

/// Copies a backup from one of the places that have it: parts first, the manifest last.
fn copy(found: &Found, from: &[&Place], to: &Place) -> Result<(), String> {
    let backup = found.manifest.backup;
    for part in &found.manifest.parts {
        let name = object(backup, &part.name);
        if to.find(&name).map_err(|error| error.to_string())?.is_some_and(|there| sha256(&there) == part.sha256) {
            continue;
        }
        let whole = |place: &&Place| super::chain::as_listed(part, place.get(&name).ok()?).ok();
        let sealed = from.iter().find_map(whole).ok_or_else(|| format!("{name} is nowhere as it was"))?;
        to.put(&name, sealed).map_err(|error| error.to_string())?;
    }
    to.put(&manifest_name(backup), found.text.clone()).map_err(|error| error.to_string())
}

/// Removes a backup from a place: the manifest first, so that it is none any more whatever happens next.
pub(super) fn remove(place: &Place, backup: BackupId) -> Result<(), PlaceError> {
    place.remove(&manifest_name(backup))?;
    place.list(&format!("backups/{backup}"))?.iter().try_for_each(|name| place.remove(&object(backup, name)))
}
