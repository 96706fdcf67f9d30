//! New signing keys. The log itself says when an event key changed, under the old key's signature.

use std::{collections::BTreeMap, sync::Arc};

use super::{Ledger, open::append_own};
use crate::{
    appender::Request,
    config::KeySource,
    ids::Position,
    keeper::{Message, PublishError},
    note::VerifierKey,
    recover::OpenError,
    signer::{KeyDir, KeyError, LedgerKeys},
    store::Direction,
};

const KEY_ROTATED: &str = "ledger.key_rotated";

/// Why a key was not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The keys are not kept in a directory.
    #[error("the keys of this ledger are given by its owner: rotate them there")]
    Given,
    /// The key files.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The change could not be recorded. The new key is in place.
    #[error("the change of keys could not be recorded: {0}")]
    Record(String),
    /// The first checkpoint under the new key could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl From<OpenError> for RotateError {
    fn from(error: OpenError) -> Self {
        Self::Record(error.to_string())
    }
}

impl Ledger {
    /// Makes a new event key. The event `ledger.key_rotated` names it under the old key's signature; every later event
    /// is signed with it, and older ones stay verifiable.
    ///
    /// # Errors
    /// [`RotateError`] says how far it came.
    pub fn rotate_event_key(&self) -> Result<VerifierKey, RotateError> {
        let rotation = self.0.rotation.lock();
        let dir = self.key_dir()?;
        let keys = Arc::new(dir.rotate_events()?);
        *self.0.core.ring.write() = keys.ring.clone();
        // The sequencer still has the old key: this is the last event that it signs.
        let new = keys.events.verifier().clone();
        append_own(self, KEY_ROTATED, announcement("events", &new))?;
        self.use_keys(keys)?;
        // Not before: if we had died until here, the next opening would need the old key to record the change.
        dir.remove_past_secrets()?;
        drop(rotation);
        Ok(new)
    }

    /// Makes a new checkpoint key, records that, and publishes a checkpoint under it.
    ///
    /// # Errors
    /// [`RotateError`] says how far it came.
    pub fn rotate_checkpoint_key(&self) -> Result<VerifierKey, RotateError> {
        let rotation = self.0.rotation.lock();
        let dir = self.key_dir()?;
        let keys = Arc::new(dir.rotate_checkpoints()?);
        *self.0.core.ring.write() = keys.ring.clone();
        let new = keys.checkpoints.verifier().clone();
        append_own(self, KEY_ROTATED, announcement("checkpoints", &new))?;
        self.use_keys(keys)?;
        dir.remove_past_secrets()?;
        self.publish()?;
        drop(rotation);
        Ok(new)
    }

    fn key_dir(&self) -> Result<KeyDir, RotateError> {
        match &self.0.keys {
            KeySource::Dir(dir) => Ok(KeyDir::new(dir)),
            KeySource::Generated | KeySource::Given(_) => Err(RotateError::Given),
        }
    }

    fn use_keys(&self, keys: Arc<LedgerKeys>) -> Result<(), RotateError> {
        let record = |error: &dyn std::fmt::Display| RotateError::Record(error.to_string());
        let queued = self.0.core.inbox.push(Request::Keys(Arc::clone(&keys)));
        queued.map_err(|error| record(&error))?;
        let sent = self.0.keeper.send(Message::Keys(keys));
        sent.map_err(|error| record(&error))
    }
}

/// The keys to open a ledger with: after a rotation that was interrupted, the old event key signs until
/// [`finish_rotation`] has recorded the change.
pub(super) fn opening_keys(source: &KeySource, keys: &Arc<LedgerKeys>) -> Result<Arc<LedgerKeys>, KeyError> {
    let KeySource::Dir(dir) = source else {
        return Ok(Arc::clone(keys));
    };
    match KeyDir::new(dir).past_event_signer()? {
        None => Ok(Arc::clone(keys)),
        Some(past) => Ok(Arc::new(LedgerKeys { events: past, ..KeyDir::new(dir).open()? })),
    }
}

/// Records keys that were put in place by a rotation which was interrupted before it could record them, and lets them
/// sign from now on.
pub(super) fn finish_rotation(ledger: &Ledger, keys: &Arc<LedgerKeys>) -> Result<(), OpenError> {
    announce_event_key(ledger, keys.events.verifier())?;
    let KeySource::Dir(dir) = &ledger.0.keys else {
        return Ok(());
    };
    let dir = KeyDir::new(dir);
    if dir.past_event_signer()?.is_some() {
        ledger.use_keys(Arc::clone(keys)).map_err(|error| OpenError::Start(error.to_string()))?;
    }
    if dir.has_past_checkpoint_secret()? {
        announce_once(ledger, "checkpoints", keys.checkpoints.verifier())?;
    }
    Ok(dir.remove_past_secrets()?)
}

fn announce_event_key(ledger: &Ledger, new: &VerifierKey) -> Result<(), OpenError> {
    let Some(newest) = ledger.0.core.durable().checked_sub(1) else { return Ok(()) };
    match ledger.0.core.journal.entry(newest)?.key_id() == new.id() {
        true => Ok(()),
        false => announce_once(ledger, "events", new),
    }
}

fn announce_once(ledger: &Ledger, key_use: &str, new: &VerifierKey) -> Result<(), OpenError> {
    let Some(newest) = ledger.0.core.durable().checked_sub(1) else { return Ok(()) };
    let body = announcement(key_use, new);
    let rotated = KEY_ROTATED.parse().map_err(|_| OpenError::Start(KEY_ROTATED.into()))?;
    let announced = ledger.by_type(&rotated, Position(newest), Direction::Backward, 8)?;
    match announced.iter().any(|entry| entry.body() == body) {
        true => Ok(()),
        false => append_own(ledger, KEY_ROTATED, body),
    }
}

fn announcement(key_use: &str, key: &VerifierKey) -> Vec<u8> {
    let facts = BTreeMap::from([("use", key_use.to_owned()), ("key", key.to_string())]);
    serde_json::to_vec(&facts).unwrap_or_default()
}
