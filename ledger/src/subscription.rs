//! Subscriptions: every event from a position on, first those that are there, then each that becomes durable.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::{
    entry::Entry,
    ids::Position,
    ledger::Core,
    store::{
        ReadError,
        journal::{JournalScan, decode},
    },
};

/// Why a subscription gave no more.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger was closed or has stopped, and everything durable has been given.
    #[error("the ledger has stopped: subscribe again after it has been opened")]
    Stopped,
}

/// Gives events in the order of the log, each once, only durable ones.
pub struct Subscription {
    core: Arc<Core>,
    scan: JournalScan,
    durable: watch::Receiver<u64>,
}

impl Subscription {
    pub(crate) fn new(core: Arc<Core>, from: Position) -> Self {
        Self { scan: core.journal.scan(from.get(), from.get()), durable: core.durable_watch.subscribe(), core }
    }

    /// Position of the next event that will be given.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(self.scan.position())
    }

    /// The next events, at least one and at most `max`; waits until there is one.
    ///
    /// # Errors
    /// [`SubscriptionError`] if the journal cannot be read or the ledger has stopped.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Entry>, SubscriptionError> {
        loop {
            // Seen before it is read: what becomes durable meanwhile is a change to wait for.
            let durable = *self.durable.borrow_and_update();
            let batch = self.read(durable, max)?;
            if !batch.is_empty() {
                return Ok(batch);
            }
            if self.core.inbox.stopped().is_some() && self.core.durable() <= self.scan.position() {
                return Err(SubscriptionError::Stopped);
            }
            self.durable.changed().await.map_err(|_| SubscriptionError::Stopped)?;
        }
    }

    /// The next events, at most `max`; none if there is none within `timeout`.
    ///
    /// # Errors
    /// [`SubscriptionError`] if the journal cannot be read or the ledger has stopped.
    pub fn next_batch_blocking(&mut self, max: usize, timeout: Duration) -> Result<Vec<Entry>, SubscriptionError> {
        let durable = self.core.wait_durable_above(self.scan.position(), timeout);
        let batch = self.read(durable, max)?;
        if batch.is_empty() && self.core.inbox.stopped().is_some() {
            return Err(SubscriptionError::Stopped);
        }
        Ok(batch)
    }

    fn read(&mut self, durable: u64, max: usize) -> Result<Vec<Entry>, ReadError> {
        self.scan.extend_to(durable);
        let mut batch = Vec::new();
        while batch.len() < max {
            let position = self.scan.position();
            let Some(stored) = self.scan.next() else {
                break;
            };
            batch.push(decode(position, stored?)?);
        }
        Ok(batch)
    }
}
