//! Every public key that a ledger ever signed with, so that old events stay verifiable for ever.

use super::key_file::KeyUse;
use crate::{
    ids::KeyId,
    note::{VerifierKey, VerifierKeyError},
};

const TITLE: &str = "wardbook public keys v1";

/// Why keys are not a ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// A line is not `events` or `checkpoints` and a verifier key.
    #[error("line {0} of the public keys is malformed")]
    Line(usize),
    /// A key is unsound.
    #[error("line {line} of the public keys: {source}")]
    Key {
        /// The line, from 1.
        line: usize,
        /// What is wrong with the key.
        source: VerifierKeyError,
    },
    /// Two keys with one id: signatures would not say whose they are.
    #[error("two public keys have the id {0}: make the newer one again")]
    Duplicate(KeyId),
    /// There is no key for a use.
    #[error("there is no public key for {0}")]
    Missing(&'static str),
    /// Checkpoint keys with different names: a log has one origin.
    #[error("the checkpoint keys have different names")]
    Origin,
}

/// The event keys and the checkpoint keys of a ledger, oldest first; the last of each signs now.
///
/// As text it is a title line and a line `events KEY` or `checkpoints KEY` for each, KEY in the form of C2SP
/// signed-note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    events: Vec<VerifierKey>,
    checkpoints: Vec<VerifierKey>,
}

impl KeyRing {
    /// The ring of a new ledger.
    ///
    /// # Errors
    /// [`KeyRingError::Duplicate`] if the two keys have one id.
    pub fn new(events: VerifierKey, checkpoints: VerifierKey) -> Result<Self, KeyRingError> {
        let mut ring = Self { events: vec![events], checkpoints: Vec::new() };
        ring.add_checkpoint_key(checkpoints)?;
        Ok(ring)
    }

    /// Adds the event key that signs from now on.
    ///
    /// # Errors
    /// [`KeyRingError::Duplicate`] if its id is taken.
    pub fn add_event_key(&mut self, key: VerifierKey) -> Result<(), KeyRingError> {
        self.check_new(&key)?;
        self.events.push(key);
        Ok(())
    }

    /// Adds the checkpoint key that signs from now on.
    ///
    /// # Errors
    /// [`KeyRingError`] if its id is taken or its name is not the log's.
    pub fn add_checkpoint_key(&mut self, key: VerifierKey) -> Result<(), KeyRingError> {
        self.check_new(&key)?;
        if self.checkpoints.iter().any(|one| one.name() != key.name()) {
            return Err(KeyRingError::Origin);
        }
        self.checkpoints.push(key);
        Ok(())
    }

    fn check_new(&self, key: &VerifierKey) -> Result<(), KeyRingError> {
        let mut keys = self.events.iter().chain(&self.checkpoints);
        match keys.any(|one| one.id() == key.id()) {
            true => Err(KeyRingError::Duplicate(key.id())),
            false => Ok(()),
        }
    }

    /// The event keys, oldest first.
    #[must_use]
    pub fn event_keys(&self) -> &[VerifierKey] {
        &self.events
    }

    /// The checkpoint keys, oldest first.
    #[must_use]
    pub fn checkpoint_keys(&self) -> &[VerifierKey] {
        &self.checkpoints
    }

    /// The event key of an id.
    #[must_use]
    pub fn event_key(&self, id: KeyId) -> Option<&VerifierKey> {
        self.events.iter().find(|key| key.id() == id)
    }

    /// How many event keys came before that one: rotation never goes back, so this never falls along a log.
    pub(crate) fn event_generation(&self, id: KeyId) -> Option<usize> {
        self.events.iter().position(|key| key.id() == id)
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.checkpoints.first().map_or("", VerifierKey::name)
    }

    /// Parses what `to_string` wrote.
    ///
    /// # Errors
    /// [`KeyRingError`] names the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut ring = Self { events: Vec::new(), checkpoints: Vec::new() };
        let lines = text.strip_suffix('\n').ok_or(KeyRingError::Line(1))?;
        for (number, line) in (1..).zip(lines.split('\n')) {
            if number == 1 {
                match line {
                    TITLE => continue,
                    _ => return Err(KeyRingError::Line(1)),
                }
            }
            let (key_use, key) = line.split_once(' ').ok_or(KeyRingError::Line(number))?;
            let key: VerifierKey = key.parse().map_err(|source| KeyRingError::Key { line: number, source })?;
            match KeyUse::parse(key_use) {
                Some(KeyUse::Events) => ring.add_event_key(key)?,
                Some(KeyUse::Checkpoints) => ring.add_checkpoint_key(key)?,
                None => return Err(KeyRingError::Line(number)),
            }
        }
        if ring.events.is_empty() {
            return Err(KeyRingError::Missing(KeyUse::Events.as_str()));
        }
        if ring.checkpoints.is_empty() {
            return Err(KeyRingError::Missing(KeyUse::Checkpoints.as_str()));
        }
        Ok(ring)
    }
}

impl std::fmt::Display for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{TITLE}")?;
        for key in &self.events {
            writeln!(f, "{} {key}", KeyUse::Events.as_str())?;
        }
        for key in &self.checkpoints {
            writeln!(f, "{} {key}", KeyUse::Checkpoints.as_str())?;
        }
        Ok(())
    }
}
