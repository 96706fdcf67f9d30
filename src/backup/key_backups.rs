//! The backup of the keys: one, current, apart from the backups of data, replaced each time (ENC-18).
//!
//! What a person is forgotten by is that no copy of the key is left. So the old copy is overwritten and removed before
//! [`refresh`] says that it is done, at every place; a place that is away is an error by name, and whoever erases waits.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use wardbook_events::backups::{BackupStep, KeyBackupRefreshed};
use wardbook_keys::{BackupKey, KeyDump, StoreError};
use zeroize::Zeroizing;

use super::catalog::{Setup, SetupError};
use super::manifest::sha256;
use super::place::{Place, PlaceError};
use super::run::{RunError, failed, tell};
use crate::app::App;
use crate::by::By;
use crate::clock::NoChance;
use crate::config::{DataDir, Provider};
use crate::root;

const FOLDER: &str = "keys";
const MAGIC: &[u8; 6] = b"WBKB1\n";
/// What is kept under this name is not a file: see [`KeyDump`].
const STORE: &str = "store";
/// And under this one the root key's file, wherever the settings put it.
const ROOT_FILE: &str = "keys/root.key";

/// Two at a time could put an older copy over a newer one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Why the backup of the keys is not current at every place.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Settings or key.
    #[error(transparent)]
    Setup(SetupError),
    /// The key store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of keys.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// These places may still have an older copy.
    #[error("the backup of the keys could not be replaced everywhere: {}", .0.values().cloned().collect::<Vec<_>>().join("; "))]
    Places(BTreeMap<String, String>),
    /// Sealing.
    #[error("the backup of the keys could not be sealed")]
    Seal,
    /// Telling of it.
    #[error("the ledger could not take in what was done: {0}")]
    Tell(String),
    /// An id.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// The one backup of the keys that there is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Where it is; nowhere if the settings name no place.
    pub places: Vec<String>,
    /// SHA-256 of what is kept, hex.
    pub digest: String,
    /// Rows of the key store in it.
    pub rows: u64,
}

/// Replaces the backup of the keys at every place. When this returns, no place has an older one: the key of a patient who was
/// erased before is in none. Blocks.
///
/// # Errors
/// [`RefreshError::Places`] names every place that may still have an older one; the others were done.
pub fn refresh(app: &App) -> Result<Refreshed, RefreshError> {
    let by = By::system(app)?;
    refresh_by(app, &by)
}

pub(super) fn refresh_by(app: &App, by: &By) -> Result<Refreshed, RefreshError> {
    let setup = match Setup::open(&app.config().backup) {
        Ok(setup) => setup,
        Err(SetupError::Off) => return Ok(Refreshed::default()),
        Err(error) => return Err(RefreshError::Setup(error)),
    };
    let _alone = ONE_AT_A_TIME.lock();
    let dump = app.keys().dump()?;
    let bundle = Bundle { files: files(app)?, rows: dump.rows(), dump };
    let id = app.new_id()?.to_string();
    let sealed = key(&setup.key, &id).seal(&bundle.bytes()).map_err(|_| RefreshError::Seal)?;
    let digest = sha256(&sealed);
    let mut wrong: BTreeMap<String, String> =
        setup.away.iter().map(|away| (away.place.clone(), away.to_string())).collect();
    let mut places = Vec::new();
    for place in &setup.places {
        match replace(place, &id, &sealed) {
            Ok(()) => places.push(place.name().to_owned()),
            Err(error) => {
                wrong.insert(place.name().to_owned(), error.to_string());
            }
        }
    }
    let told = |error: RunError| RefreshError::Tell(error.to_string());
    for (place, cause) in &wrong {
        failed(app, by, BackupStep::Keys, None, Some(place.clone()), cause).map_err(told)?;
    }
    let rows = bundle.rows;
    if !places.is_empty() {
        let key = setup.key.id().to_owned();
        let fact = KeyBackupRefreshed { key, digest: digest.clone(), rows, places: places.clone() };
        tell(app, by, fact).map_err(told)?;
    }
    match wrong.is_empty() {
        true => Ok(Refreshed { places, digest, rows }),
        false => Err(RefreshError::Places(wrong)),
    }
}

/// Puts the new one there, reads it back, then overwrites and removes every other.
fn replace(place: &Place, id: &str, sealed: &[u8]) -> Result<(), PlaceError> {
    let name = format!("{FOLDER}/{id}");
    let fault =
        |what: String| PlaceError { place: place.name().to_owned(), fault: super::PlaceFault::Unreachable(what) };
    place.put(&name, sealed.to_vec())?;
    if place.get(&name)? != sealed {
        return Err(fault(format!("{name} is not what was written")));
    }
    for old in place.list(FOLDER)?.iter().filter(|old| *old != id) {
        place.wipe(&format!("{FOLDER}/{old}"))?;
    }
    match place.list(FOLDER)?.as_slice() {
        [only] if only == id => Ok(()),
        others => Err(fault(format!("{} backups of the keys are there instead of one", others.len()))),
    }
}

fn key(key: &BackupKey, id: &str) -> wardbook_keys::PartKey {
    key.part(&["backup of the keys", id])
}

/// Everything that must not be lost beside the data.
pub struct Bundle {
    /// The key store.
    pub dump: KeyDump,
    rows: u64,
    /// Other files, by their place below the data directory.
    files: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({} rows, {:?})", self.rows, self.files.keys())
    }
}

/// The ledger's signing keys, those of access tokens, and the root key's file if the settings say so.
fn files(app: &App) -> Result<BTreeMap<String, Zeroizing<Vec<u8>>>, RefreshError> {
    let data = app.data();
    let mut files = BTreeMap::new();
    let mut add = |name: Option<&str>, path: &Path| {
        let content = fs::read(path).map(Zeroizing::new);
        let content = content.map_err(|source| RefreshError::File { path: path.to_owned(), source })?;
        if let Some(name) = name.or_else(|| path.strip_prefix(data.root()).ok().and_then(Path::to_str)) {
            files.insert(name.to_owned(), content);
        }
        Ok::<_, RefreshError>(())
    };
    for dir in [data.ledger_keys(), data.tokens()] {
        let fail = |source| RefreshError::File { path: dir.clone(), source };
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(fail)?,
        };
        for entry in entries {
            let entry = entry.map_err(fail)?;
            if entry.file_type().map_err(fail)?.is_file() {
                add(None, &entry.path())?;
            }
        }
    }
    // Asked for and not to be had is an error: a backup without it would open nothing.
    let keys = &app.config().keys;
    if app.config().backup.include_root_file && keys.provider == Provider::File {
        add(Some(ROOT_FILE), &root::file_path(&keys.file, data))?;
    }
    Ok(files)
}

impl Bundle {
    /// ```text
    /// "WBKB1\n", then for each: length of the name (u32), name, length (u64), content
    /// ```
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.dump.bytes().len() + (64 << 10)));
        bytes.extend_from_slice(MAGIC);
        let files = self.files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
        for (name, content) in std::iter::once((STORE, self.dump.bytes())).chain(files) {
            bytes.extend_from_slice(&u32::try_from(name.len()).unwrap_or(0).to_be_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&(content.len() as u64).to_be_bytes());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC.as_slice())?;
        let (mut dump, mut files) = (None, BTreeMap::new());
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (name, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            let (length, after) = after.split_first_chunk::<8>()?;
            let (content, after) = after.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
            rest = after;
            match std::str::from_utf8(name).ok()? {
                STORE => dump = Some(KeyDump::from_bytes(content).ok()?),
                name => {
                    files.insert(name.to_owned(), Zeroizing::new(content.to_vec()));
                }
            }
        }
        let dump = dump?;
        Some(Self { rows: dump.rows(), dump, files })
    }

    /// The newest of some places; `None` if none has one. Says what is wrong with those that cannot be used.
    #[must_use]
    pub fn find(places: &[Place], backup_key: &BackupKey) -> (Option<Self>, Vec<String>) {
        let (mut newest, mut wrong): (Option<(String, Self)>, _) = (None, Vec::new());
        for place in places {
            let names = match place.list(FOLDER) {
                Ok(names) => names,
                Err(error) => {
                    wrong.push(error.to_string());
                    continue;
                }
            };
            for id in names {
                let opened =
                    place.get(&format!("{FOLDER}/{id}")).map_err(|error| error.to_string()).and_then(|sealed| {
                        let opened = key(backup_key, &id).open(&sealed).ok();
                        opened.and_then(|bytes| Self::parse(&bytes)).ok_or_else(|| {
                            format!(
                                "the place {}: the backup of the keys {id} is damaged or under another key",
                                place.name()
                            )
                        })
                    });
                match opened {
                    // Ids are by time.
                    Ok(bundle) if newest.as_ref().is_none_or(|(best, _)| *best < id) => newest = Some((id, bundle)),
                    Ok(_) => {}
                    Err(error) => wrong.push(error),
                }
            }
        }
        (newest.map(|(_, bundle)| bundle), wrong)
    }

    /// Whether the root key's file is in it.
    #[must_use]
    pub fn has_root_file(&self) -> bool {
        self.files.contains_key(ROOT_FILE)
    }

    /// Writes everything below an empty directory, readable by nobody else.
    ///
    /// # Errors
    /// If a file is there already, or the disk fails.
    pub(super) fn write(&self, root: &DataDir) -> Result<(), RefreshError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| RefreshError::File { path, source }
        };
        let store = root.keys().join("keys.sqlite");
        private_parent(&store).map_err(fail(&store))?;
        self.dump.write(&store)?;
        for (name, content) in &self.files {
            let ours = ["keys/", "tokens/"].iter().any(|folder| name.starts_with(folder));
            if !ours || name.split('/').any(|part| matches!(part, "" | "." | "..")) {
                continue;
            }
            let path = root.root().join(name);
            private_parent(&path).and_then(|()| write_private(&path, content)).map_err(fail(&path))?;
        }
        Ok(())
    }
}

fn private_parent(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)
}

fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
