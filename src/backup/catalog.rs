//! Which backups there are, where, and what each builds on.

use std::collections::{BTreeMap, BTreeSet};

use wardbook_events::BackupId;
use wardbook_events::backups::BackupKind;
use wardbook_keys::{BackupKey, BackupKeyError};

use super::manifest::{Manifest, sha256};
use super::place::{Place, PlaceError};
use crate::config;

/// Why backups cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The settings name no place.
    #[error("no place is named in the settings: set backup.places and backup.key_file")]
    Off,
    /// The backup key.
    #[error("{path}: {source}")]
    Key {
        /// Its file.
        path: std::path::PathBuf,
        /// Why.
        source: BackupKeyError,
    },
    /// Two names lead to one place.
    #[error("the places {0} and {1} are one and the same: a second copy must lie elsewhere")]
    SamePlace(String, String),
}

/// Open places and the key.
#[derive(Debug)]
pub struct Setup {
    /// Places that can be used.
    pub places: Vec<Place>,
    /// Those that cannot.
    pub away: Vec<PlaceError>,
    /// The backup key.
    pub key: BackupKey,
}

impl Setup {
    /// Opens what the settings name.
    ///
    /// # Errors
    /// If backups are off, the key cannot be used, or two places are one.
    pub fn open(config: &config::Backup) -> Result<Self, SetupError> {
        if !config.is_on() {
            return Err(SetupError::Off);
        }
        let key = BackupKey::load(&config.key_file)
            .map_err(|source| SetupError::Key { path: config.key_file.clone(), source })?;
        Self::of(&config.places, key)
    }

    /// Opens the places of these names.
    ///
    /// # Errors
    /// If two are one.
    pub fn of(names: &[String], key: BackupKey) -> Result<Self, SetupError> {
        let (mut places, mut away): (Vec<Place>, _) = (Vec::new(), Vec::new());
        for name in names {
            match Place::open(name) {
                Ok(place) => {
                    if let Some(twin) = places.iter().find(|one| one.identity() == place.identity()) {
                        return Err(SetupError::SamePlace(twin.name().to_owned(), place.name().to_owned()));
                    }
                    places.push(place);
                }
                Err(error) => away.push(error),
            }
        }
        Ok(Self { places, away, key })
    }
}

/// A backup whose manifest can be believed.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The manifest's object.
    pub text: Vec<u8>,
    /// SHA-256 of that, hex.
    pub digest: String,
    /// Where it is: numbers of places.
    pub at: BTreeSet<usize>,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Number of the place.
    pub place: usize,
    /// Which backup.
    pub backup: Option<BackupId>,
    /// What is wrong.
    pub cause: String,
}

/// Why a backup cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It is not there.
    #[error("there is no backup {0}: `wardbook backup list` shows all")]
    Unknown(BackupId),
    /// What it builds on is not there.
    #[error("the backup {backup} builds on {base}, which is not there")]
    BaseMissing {
        /// Which one.
        backup: BackupId,
        /// What it builds on.
        base: BackupId,
    },
    /// What it builds on is another than it was.
    #[error("the backup {backup} builds on {base}, which is not what it was when this one was made")]
    BaseChanged {
        /// Which one.
        backup: BackupId,
        /// What it builds on.
        base: BackupId,
    },
    /// There is none at all.
    #[error("there is no backup at these places")]
    None,
}

/// All backups at some places.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By id, which is their order in time.
    pub backups: BTreeMap<BackupId, Found>,
    /// Begun and not finished: place and backup.
    pub unfinished: Vec<(usize, BackupId)>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Places that cannot be read.
    pub away: BTreeSet<usize>,
}

impl Catalog {
    /// Reads every manifest.
    #[must_use]
    pub fn read(places: &[Place], key: &BackupKey) -> Self {
        let mut catalog = Self::default();
        for (number, place) in places.iter().enumerate() {
            match place.list("backups") {
                Ok(names) => {
                    // What does not have the name of a backup is not ours to judge.
                    let ids = names.iter().filter_map(|name| name.parse::<BackupId>().ok());
                    ids.for_each(|backup| catalog.look(number, place, backup, key));
                }
                Err(error) => {
                    catalog.away.insert(number);
                    catalog.faults.push(Fault { place: number, backup: None, cause: error.to_string() });
                }
            }
        }
        catalog
    }

    fn look(&mut self, number: usize, place: &Place, backup: BackupId, key: &BackupKey) {
        let fault = |cause: String| Fault { place: number, backup: Some(backup), cause };
        let text = match place.find(&manifest_name(backup)) {
            Ok(Some(text)) => text,
            Ok(None) => return self.unfinished.push((number, backup)),
            Err(error) => return self.faults.push(fault(error.to_string())),
        };
        let digest = sha256(&text);
        match self.backups.get_mut(&backup) {
            Some(found) if found.digest == digest => {
                found.at.insert(number);
            }
            Some(_) => self.faults.push(fault("its manifest is another than at the other places".into())),
            None => match Manifest::read(&text, backup, key) {
                Ok(manifest) => {
                    let found = Found { manifest, text, digest, at: BTreeSet::from([number]) };
                    self.backups.insert(backup, found);
                }
                Err(error) => self.faults.push(fault(error.to_string())),
            },
        }
    }

    /// The newest backup: the last that was begun.
    #[must_use]
    pub fn newest(&self) -> Option<&Found> {
        self.backups.values().max_by_key(|found| (found.manifest.made_at, found.manifest.to))
    }

    /// A backup with all that it builds on, the full one first.
    ///
    /// # Errors
    /// What is not there.
    pub fn chain(&self, backup: BackupId) -> Result<Vec<&Found>, ChainError> {
        let mut found = self.backups.get(&backup).ok_or(ChainError::Unknown(backup))?;
        let mut chain = vec![found];
        while let Some(base) = &found.manifest.base {
            let (backup, missing) = (found.manifest.backup, base.backup);
            let next = self.backups.get(&missing).ok_or(ChainError::BaseMissing { backup, base: missing })?;
            let fits = next.digest == base.manifest
                && next.manifest.to == found.manifest.from
                && next.manifest.origin == found.manifest.origin
                && chain.len() <= self.backups.len();
            if !fits {
                return Err(ChainError::BaseChanged { backup, base: missing });
            }
            found = next;
            chain.push(found);
        }
        match found.manifest.kind == BackupKind::Full && found.manifest.from == 0 {
            true => {
                chain.reverse();
                Ok(chain)
            }
            false => Err(ChainError::BaseMissing { backup, base: found.manifest.backup }),
        }
    }
}

/// The object of a backup's manifest.
pub(super) fn manifest_name(backup: BackupId) -> String {
    object(backup, "manifest")
}

/// The object of a backup's plan.
pub(super) fn plan_name(backup: BackupId) -> String {
    object(backup, "plan")
}

/// An object of a backup.
pub(super) fn object(backup: BackupId, name: &str) -> String {
    format!("backups/{backup}/{name}")
}
