//! Putting a backup back into an empty directory: to its end, to a position, or to an instant.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wardbook_events::backups::{BackupsRestored, RestoredTo};
use wardbook_events::patients::PatientEvent;
use wardbook_events::{BackupId, Event, PatientId, TenantId};
use wardbook_keys::Standing;
use wardbook_ledger::checkpoint::SignedCheckpoint;
use wardbook_ledger::{CopyError, Frame, JournalWriter, Progress, keep_published};

use super::catalog::{Catalog, ChainError, Found, Setup};
use super::key_backups::{Bundle, RefreshError};
use super::notes;
use super::place::Place;
use super::verify::{Finding, through};
use crate::config::{self, DataDir};
use crate::documents::StoreError;
use crate::recorded;

mod documents;

pub use documents::DocumentsFound;
use documents::Objects;

/// Where things are put until all of them are there.
const STAGING: &str = "restoring";

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All there is.
    End,
    /// So many events, or fewer, so that no append is torn apart.
    Position(u64),
    /// What was recorded at this instant or before.
    Time(Timestamp),
}

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is there.
    #[error("{0} is not empty: restore into a new directory (only `published` may be there, which tells of rollbacks)")]
    NotEmpty(PathBuf),
    /// The backup.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It reaches less far.
    #[error("no backup reaches that far: the newest has {events} events, the last recorded at {newest_at}")]
    Short {
        /// Events of the newest.
        events: u64,
        /// When its last event was recorded.
        newest_at: Timestamp,
    },
    /// Nothing is that old.
    #[error("nothing was recorded by then")]
    Nothing,
    /// It is not as it was written.
    #[error("the backup is damaged: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Damaged(Vec<Finding>),
    /// Writing the journal.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] RefreshError),
    /// Where the objects of documents are to go.
    #[error(transparent)]
    Documents(#[from] StoreError),
    /// The disk.
    #[error("{path}: {source}")]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is to be put back, and where.
#[derive(Debug)]
pub struct Restore<'a> {
    /// Where the backups are, and their key.
    pub setup: &'a Setup,
    /// Which; the newest that reaches far enough if not given.
    pub backup: Option<BackupId>,
    /// How far.
    pub reach: Reach,
    /// An empty directory, or one that is not there yet.
    pub target: DataDir,
    /// Where the objects of documents go: below that directory, or into a bucket. What is there as it was stays.
    pub documents: &'a config::Documents,
}

/// What was put back.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What the first start writes into the ledger.
    pub told: BackupsRestored,
    /// Bytes read.
    pub bytes: u64,
    /// Patients who were registered.
    pub patients: BTreeSet<(TenantId, PatientId)>,
    /// When the backup's last event was recorded.
    pub newest_at: Timestamp,
    /// What became of the keys.
    pub keys: KeysFound,
    /// What became of the objects of documents.
    pub documents: DocumentsFound,
}

/// What became of the keys. They have a backup of their own, which may be newer or older than the data: it decides who
/// is erased.
#[derive(Debug, Clone, Default)]
pub struct KeysFound {
    /// Whether there was a backup of the keys at all.
    pub found: bool,
    /// Whether the root key's file came with it.
    pub root_file: bool,
    /// Patients in the data who have no key: registered after the keys were backed up, so their charts stay shut.
    pub missing: Vec<PatientId>,
    /// Patients who stay erased.
    pub erased: u64,
    /// What is wrong with backups of the keys that were found.
    pub wrong: Vec<String>,
}

impl Restore<'_> {
    /// Puts it back. Interrupted, nothing stands there that looks complete; done again, it begins again.
    ///
    /// # Errors
    /// Nothing is left in the directory but what was there before.
    pub fn run(&self, progress: &dyn Progress) -> Result<Restored, RestoreError> {
        let root = self.target.root();
        self.prepare()?;
        let staging = root.join(STAGING);
        let done = self.stage(&staging, progress).and_then(|restored| {
            let left = notes::leave(root, &restored.told.clone().into());
            left.map_err(|source| RestoreError::Disk { path: root.join(notes::FOLDER), source })?;
            // The ledger comes last: without it nobody takes the directory for a system.
            for (name, to) in [
                ("keys", self.target.keys()),
                ("tokens", self.target.tokens()),
                ("documents", self.target.documents()),
                ("ledger", self.target.ledger()),
            ] {
                let from = staging.join(name);
                if from.exists() {
                    fs::rename(&from, &to).map_err(|source| RestoreError::Disk { path: to, source })?;
                }
            }
            sync(root)?;
            Ok(restored)
        });
        let removed = fs::remove_dir_all(&staging);
        let restored = done?;
        removed.map_err(|source| RestoreError::Disk { path: staging, source })?;
        Ok(restored)
    }

    fn prepare(&self) -> Result<(), RestoreError> {
        let root = self.target.root();
        let disk = |source| RestoreError::Disk { path: root.to_owned(), source };
        private_dir(root)?;
        for entry in fs::read_dir(root).map_err(disk)? {
            let name = entry.map_err(disk)?.file_name();
            match name.to_str() {
                Some(STAGING) => fs::remove_dir_all(root.join(STAGING)).map_err(disk)?,
                Some("published" | notes::FOLDER) => {}
                _ => return Err(RestoreError::NotEmpty(root.to_owned())),
            }
        }
        Ok(())
    }

    fn stage(&self, staging: &Path, progress: &dyn Progress) -> Result<Restored, RestoreError> {
        let catalog = Catalog::read(&self.setup.places, &self.setup.key);
        let chain = self.choose(&catalog)?;
        let last = chain.last().ok_or(ChainError::None)?;
        let places: Vec<&Place> = last.at.iter().filter_map(|at| self.setup.places.get(*at)).collect();
        let ledger = staging.join("ledger");
        private_dir(&ledger)?;
        let mut writer = JournalWriter::create(&ledger)?;
        let mut cut = Cut { reach: self.reach, over: false };
        let mut patients = BTreeSet::new();
        let (bundle, wrong) = Bundle::find(&self.setup.places, &self.setup.key);
        let mut documents = Objects::open(self, staging, bundle.as_ref())?;
        let mut take = |_: &_, frames: &[Frame]| {
            let wanted = frames.get(..cut.of(frames)?).unwrap_or_default();
            registered(wanted, &mut patients)?;
            writer.append(wanted).map_err(|error| error.to_string())?;
            documents.put_back(wanted)
        };
        let read = through(&places, &self.setup.key, &chain, &mut take, progress);
        if !read.is_whole() {
            return Err(RestoreError::Damaged(read.findings));
        }
        let events = writer.events();
        if events == 0 {
            return Err(RestoreError::Nothing);
        }
        let proofs: Vec<_> = chain.iter().filter_map(|found| found.manifest.proof().ok()).collect();
        let own = proofs.iter().map(|(checkpoint, _)| checkpoint).rfind(|one| one.unverified().size <= events);
        writer.finish(own)?;
        let published = self.keep_published(&catalog)?;
        let keys = keys(bundle, wrong, staging, &patients)?;
        let documents = documents.found;
        let place = places.first().map_or_else(String::new, |place| place.name().to_owned());
        let told = BackupsRestored {
            backup: last.manifest.backup,
            place,
            reach: match self.reach {
                Reach::End => RestoredTo::End,
                Reach::Position(_) => RestoredTo::Position,
                Reach::Time(_) => RestoredTo::Time,
            },
            from: last.manifest.to,
            to: events,
            published,
            keys_missing: keys.missing.len() as u64,
            erased: keys.erased,
            documents: documents.count,
            documents_missing: documents.missing,
        };
        let newest_at = last.manifest.newest_at;
        Ok(Restored { told, bytes: read.bytes, patients, newest_at, keys, documents })
    }

    /// The chain of the backup that is wanted, or of the newest one that is there, or of the first that reaches so far.
    fn choose<'c>(&self, catalog: &'c Catalog) -> Result<Vec<&'c Found>, RestoreError> {
        if let Some(backup) = self.backup {
            return Ok(catalog.chain(backup)?);
        }
        let newest = catalog.newest().ok_or(ChainError::None)?;
        let reaches = |found: &&Found| match self.reach {
            Reach::End => found.manifest.backup == newest.manifest.backup,
            Reach::Position(events) => found.manifest.to >= events,
            Reach::Time(at) => found.manifest.newest_at >= at,
        };
        let usable = |found: &&Found| catalog.chain(found.manifest.backup).is_ok();
        let least = catalog.backups.values().filter(reaches).filter(usable).min_by_key(|found| found.manifest.to);
        match (least, self.reach) {
            (Some(found), _) => Ok(catalog.chain(found.manifest.backup)?),
            // An instant behind the last event is a wish for everything.
            (None, Reach::Time(_) | Reach::End) => Ok(catalog.chain(newest.manifest.backup)?),
            (None, Reach::Position(_)) => {
                Err(RestoreError::Short { events: newest.manifest.to, newest_at: newest.manifest.newest_at })
            }
        }
    }

    /// Every place knows what the log has published: the newest of it is kept where the first start looks, so that going back
    /// behind it is refused until somebody answers for it.
    fn keep_published(&self, catalog: &Catalog) -> Result<u64, RestoreError> {
        let newest = catalog.backups.values().max_by_key(|found| found.manifest.to).ok_or(ChainError::None)?;
        let (checkpoint, keys): (SignedCheckpoint, _) = newest.manifest.proof().map_err(|error| {
            let finding =
                Finding { backup: newest.manifest.backup, object: "checkpoint".into(), what: error.to_string() };
            RestoreError::Damaged(vec![finding])
        })?;
        private_dir(&self.target.published())?;
        Ok(keep_published(&self.target.published(), &keys, &checkpoint)?)
    }
}

/// Puts the keys beside the data and compares the two.
fn keys(
    bundle: Option<Bundle>,
    wrong: Vec<String>,
    staging: &Path,
    patients: &BTreeSet<(TenantId, PatientId)>,
) -> Result<KeysFound, RestoreError> {
    let Some(bundle) = bundle else {
        let missing = patients.iter().map(|(_, one)| *one).collect();
        return Ok(KeysFound { wrong, missing, ..KeysFound::default() });
    };
    bundle.write(&DataDir::new(staging))?;
    let standing = bundle.dump.patients().map_err(RefreshError::from)?;
    let of = |one: &(TenantId, PatientId)| standing.get(one).copied();
    let missing = patients.iter().filter(|one| of(one).is_none()).map(|(_, patient)| *patient).collect();
    let erased = patients.iter().filter(|one| of(one) == Some(Standing::Destroyed)).count() as u64;
    Ok(KeysFound { found: true, root_file: bundle.has_root_file(), missing, erased, wrong })
}

/// Adds the patients whom these events register.
fn registered(frames: &[Frame], patients: &mut BTreeSet<(TenantId, PatientId)>) -> Result<(), String> {
    for frame in frames {
        let entry = frame.entry().map_err(|error| error.to_string())?;
        if entry.event_type().as_str() == "patients.registered"
            && let Some(recorded) = recorded::decode(&entry).map_err(|error| error.to_string())?
            && let Event::Patient(PatientEvent::Registered(event)) = &recorded.event
        {
            patients.insert((recorded.meta.tenant, event.patient));
        }
    }
    Ok(())
}

/// Where the log is cut.
struct Cut {
    reach: Reach,
    /// Everything from here on is left out.
    over: bool,
}

impl Cut {
    /// How many of the frames are put back: whole appends only.
    fn of(&mut self, frames: &[Frame]) -> Result<usize, String> {
        if self.over {
            return Ok(0);
        }
        let inside = match self.reach {
            Reach::End => return Ok(frames.len()),
            Reach::Position(events) => {
                frames.partition_point(|frame| frame.position().is_some_and(|at| at.get() < events))
            }
            Reach::Time(until) => {
                let until = until.as_microsecond();
                let times: Result<Vec<_>, _> =
                    frames.iter().map(|frame| frame.entry().map(|entry| entry.recorded_at().get())).collect();
                let times = times.map_err(|error| error.to_string())?;
                times.partition_point(|at| *at <= until)
            }
        };
        self.over = inside < frames.len();
        let front = frames.get(..inside).unwrap_or_default();
        Ok(front.iter().rposition(Frame::ends_append).map_or(0, |last| last + 1))
    }
}

fn private_dir(path: &Path) -> Result<(), RestoreError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| RestoreError::Disk { path: path.to_owned(), source })
}

fn sync(dir: &Path) -> Result<(), RestoreError> {
    let synced = fs::File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| RestoreError::Disk { path: dir.to_owned(), source })
}
