//! A ledger's keys on disk: a secret file for each key that signs now, and the list of all public keys.
//!
//! ```text
//! public-keys            every public key, oldest first; the last of each use signs now
//! events-KEYID.key       its secret
//! checkpoints-KEYID.key
//! ```
//! The list decides: a rotation first writes the new secret, then replaces the list, so that a crash at any moment
//! leaves the keys before or the keys after. The old secret is removed only when the log has recorded the change, which
//! the old key must sign: while it is there, the rotation is not finished.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{
    CheckpointSigner, EventSigner, KeyError, KeyRing,
    key_file::KeyFile,
    key_file::{KeyUse, io_error, sync_parent},
    random_seed,
};
use crate::{ids::KeyId, note::VerifierKey};

const LIST: &str = "public-keys";

/// The directory of a ledger's keys.
#[derive(Debug, Clone)]
pub struct KeyDir {
    dir: PathBuf,
}

/// The keys that sign now, and all that ever did.
#[derive(Debug)]
pub struct LedgerKeys {
    /// Signs events.
    pub events: EventSigner,
    /// Signs checkpoints.
    pub checkpoints: CheckpointSigner,
    /// Every public key, past ones included.
    pub ring: KeyRing,
}

impl LedgerKeys {
    /// Fresh keys that are kept nowhere, for tests and ledgers in memory.
    ///
    /// # Errors
    /// [`KeyError`] if the origin is unsound or there is no randomness.
    pub fn generate(origin: &str) -> Result<Self, KeyError> {
        let events = EventSigner::generate(&event_key_name(origin))?;
        let checkpoints = CheckpointSigner::generate(origin)?;
        let ring = KeyRing::new(events.verifier().clone(), checkpoints.verifier().clone())?;
        Ok(Self { events, checkpoints, ring })
    }
}

impl KeyDir {
    /// The keys in that directory; nothing is read yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Loads the keys, or makes them if the directory has none.
    ///
    /// # Errors
    /// [`KeyError`] if the keys cannot be read or written, or are those of another log.
    pub fn open_or_create(&self, origin: &str) -> Result<LedgerKeys, KeyError> {
        if !self.list().try_exists().map_err(|e| io_error(&self.list(), e))? {
            self.create(origin)?;
        }
        let keys = self.open()?;
        match keys.ring.origin() == origin {
            true => Ok(keys),
            false => Err(KeyError::Origin { expected: origin.to_owned(), actual: keys.ring.origin().to_owned() }),
        }
    }

    /// Loads the keys.
    ///
    /// # Errors
    /// [`KeyError`] if one is missing, damaged, readable by others or not the one that the list names.
    pub fn open(&self) -> Result<LedgerKeys, KeyError> {
        let ring = self.public_keys()?;
        let current = |keys: &[VerifierKey]| keys.last().map_or(KeyId(0), VerifierKey::id);
        let events = self.secret(KeyUse::Events, current(ring.event_keys()));
        let checkpoints = self.secret(KeyUse::Checkpoints, current(ring.checkpoint_keys()));
        let keys = LedgerKeys {
            events: EventSigner::load(&events)?,
            checkpoints: CheckpointSigner::load(&checkpoints)?,
            ring,
        };
        let signers = [keys.events.verifier(), keys.checkpoints.verifier()];
        let listed = [keys.ring.event_keys().last(), keys.ring.checkpoint_keys().last()];
        for ((signer, listed), path) in signers.into_iter().zip(listed).zip([&events, &checkpoints]) {
            if listed != Some(signer) {
                return Err(super::KeyFileError::Damaged { path: path.clone() }.into());
            }
        }
        Ok(keys)
    }

    /// Every public key, for those who only verify.
    ///
    /// # Errors
    /// [`KeyError`] if the list cannot be read.
    pub fn public_keys(&self) -> Result<KeyRing, KeyError> {
        let path = self.list();
        let text = fs::read_to_string(&path).map_err(|source| io_error(&path, source))?;
        Ok(KeyRing::parse(&text)?)
    }

    /// Makes a new event key; the old one stays in the list, and its secret until [`KeyDir::remove_past_secrets`].
    ///
    /// # Errors
    /// [`KeyError`] if a file cannot be read or written; then the old key still signs.
    pub fn rotate_events(&self) -> Result<LedgerKeys, KeyError> {
        let mut ring = self.public_keys()?;
        let key = self.create_secret(KeyUse::Events, &event_key_name(ring.origin()))?;
        ring.add_event_key(key)?;
        self.switch_to(&ring)
    }

    /// Makes a new checkpoint key; the old one stays in the list, and its secret until [`KeyDir::remove_past_secrets`].
    ///
    /// # Errors
    /// [`KeyError`] if a file cannot be read or written; then the old key still signs.
    pub fn rotate_checkpoints(&self) -> Result<LedgerKeys, KeyError> {
        let mut ring = self.public_keys()?;
        let key = self.create_secret(KeyUse::Checkpoints, ring.origin())?;
        ring.add_checkpoint_key(key)?;
        self.switch_to(&ring)
    }

    fn create(&self, origin: &str) -> Result<(), KeyError> {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|source| io_error(&self.dir, source))?;
        let events = self.create_secret(KeyUse::Events, &event_key_name(origin))?;
        let checkpoints = self.create_secret(KeyUse::Checkpoints, origin)?;
        self.write_list(&KeyRing::new(events, checkpoints)?)
    }

    fn create_secret(&self, key_use: KeyUse, name: &str) -> Result<VerifierKey, KeyError> {
        let seed = random_seed()?;
        let verifier = super::Signer::from_seed(name, &seed)?.verifier;
        let path = self.secret(key_use, verifier.id());
        KeyFile::new(key_use, &verifier, seed).create(&path)?;
        Ok(verifier)
    }

    fn switch_to(&self, ring: &KeyRing) -> Result<LedgerKeys, KeyError> {
        self.write_list(ring)?;
        self.open()
    }

    /// The event key before the one that signs now, if its secret is still there: a rotation was not finished.
    ///
    /// # Errors
    /// [`KeyError`] if the file is there and cannot be read.
    pub fn past_event_signer(&self) -> Result<Option<EventSigner>, KeyError> {
        let ring = self.public_keys()?;
        let Some(past) = ring.event_keys().iter().rev().nth(1) else {
            return Ok(None);
        };
        let path = self.secret(KeyUse::Events, past.id());
        if !path.try_exists().map_err(|source| io_error(&path, source))? {
            return Ok(None);
        }
        let signer = EventSigner::load(&path)?;
        match signer.verifier() == past {
            true => Ok(Some(signer)),
            false => Err(super::KeyFileError::Damaged { path }.into()),
        }
    }

    /// True if the secret of a checkpoint key that signs no more is still there: a rotation was not finished.
    ///
    /// # Errors
    /// [`KeyError`] if the directory cannot be read.
    pub fn has_past_checkpoint_secret(&self) -> Result<bool, KeyError> {
        let ring = self.public_keys()?;
        let mut paths =
            ring.checkpoint_keys().iter().rev().skip(1).map(|key| self.secret(KeyUse::Checkpoints, key.id()));
        Ok(paths.any(|path| path.exists()))
    }

    /// Removes every secret that signs no more. To be called when the log has recorded the change.
    ///
    /// # Errors
    /// [`KeyError`] if a file cannot be removed.
    pub fn remove_past_secrets(&self) -> Result<(), KeyError> {
        let ring = self.public_keys()?;
        for (key_use, keys) in [(KeyUse::Events, ring.event_keys()), (KeyUse::Checkpoints, ring.checkpoint_keys())] {
            for key in keys.iter().rev().skip(1) {
                remove_if_there(&self.secret(key_use, key.id()))?;
            }
        }
        Ok(())
    }

    /// Replaces the list as a whole: whoever reads sees the old one or the new one.
    fn write_list(&self, ring: &KeyRing) -> Result<(), KeyError> {
        let (path, new) = (self.list(), self.dir.join("public-keys.new"));
        let write = || -> io::Result<()> {
            let mut file = fs::File::create(&new)?;
            file.write_all(ring.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_parent(&path)
        };
        Ok(write().map_err(|source| io_error(&path, source))?)
    }

    fn list(&self) -> PathBuf {
        self.dir.join(LIST)
    }

    fn secret(&self, key_use: KeyUse, id: KeyId) -> PathBuf {
        self.dir.join(format!("{}-{id}.key", key_use.as_str()))
    }
}

/// Event keys are named after the log too, but never the same as its checkpoint keys.
fn event_key_name(origin: &str) -> String {
    format!("{origin}/events")
}

fn remove_if_there(path: &Path) -> Result<(), KeyError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(io_error(path, source).into()),
        _ => Ok(()),
    }
}
