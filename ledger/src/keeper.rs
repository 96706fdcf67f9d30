//! The keeper of the tree: integrates what is durable and publishes checkpoints.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::LEAF_BYTES,
    ledger::Core,
    signer::{LedgerKeys, SignNoteError},
    store::{file::write_whole, history::History, tiles::Tree},
    tile::TilePath,
};

/// Why a checkpoint was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The disk. The ledger has stopped.
    #[error("the checkpoint could not be made durable: {0}")]
    Io(#[from] io::Error),
    /// The signature.
    #[error(transparent)]
    Sign(#[from] SignNoteError),
    /// The ledger has stopped.
    #[error("the ledger has stopped: {reason}; open it again")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// What the keeper is told.
pub(crate) enum Message {
    /// The next leaf entries, durable, from the position `first` on.
    Leaves { first: u64, leaves: Vec<[u8; LEAF_BYTES]> },
    /// Publish now.
    Publish(mpsc::Sender<Result<SignedCheckpoint, PublishError>>),
    /// Sign with these keys from now on.
    Keys(Arc<LedgerKeys>),
    /// Publish what there is and end.
    Close,
}

/// Leaves are integrated after this time at the latest, which is far below any checkpoint interval.
const REST: Duration = Duration::from_millis(2);

/// See the module.
pub(crate) struct Keeper {
    pub core: Arc<Core>,
    pub keys: Arc<LedgerKeys>,
    pub tree: Tree,
    pub history: History,
    pub messages: mpsc::Receiver<Message>,
    pub checkpoint_path: PathBuf,
    pub interval: Duration,
    pub events_max: u64,
    /// Partial tiles of the two newest checkpoints; older ones are removed.
    pub partial: [Vec<TilePath>; 2],
    /// The checkpoint has to be signed anew though the tree has not grown.
    pub due: bool,
}

impl Keeper {
    /// Runs until told to close, or until publishing fails.
    pub(crate) fn run(mut self) {
        let mut published_at = Instant::now();
        loop {
            let next = published_at + self.interval;
            let wait = next.saturating_duration_since(Instant::now());
            let mut requests = Vec::new();
            let mut closing = false;
            match self.messages.recv_timeout(wait) {
                Ok(message) => closing = self.take(message, &mut requests),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => closing = true,
            }
            while let Ok(message) = self.messages.try_recv() {
                closing |= self.take(message, &mut requests);
            }
            let size = self.tree.size();
            self.core.integrated.store(size, Ordering::Release);
            if requests.is_empty() && !closing {
                // Every group sends its leaves: sleeping over some costs a thread switch less for each.
                std::thread::sleep(REST);
            }
            let grown = size - self.core.published.load(Ordering::Acquire);
            let is_time = Instant::now() >= next;
            let wanted =
                (grown > 0 || self.due) && (is_time || closing || grown >= self.events_max || !requests.is_empty());
            if wanted || !requests.is_empty() {
                let outcome = match wanted {
                    true => self.publish(),
                    false => self.newest(),
                };
                published_at = Instant::now();
                if let Err(error) = &outcome {
                    self.core.stop(&error.to_string());
                }
                let failed = outcome.is_err();
                self.answer(requests, outcome);
                if failed {
                    return;
                }
            } else if is_time {
                published_at = Instant::now();
            }
            if closing {
                return;
            }
        }
    }

    /// True if this was the last message.
    fn take(&mut self, message: Message, requests: &mut Vec<Reply>) -> bool {
        match message {
            Message::Leaves { first, leaves } => {
                if !leaves.is_empty() && first != self.tree.size() {
                    // A wrong root must never be signed.
                    self.core.stop("leaves came to the tree out of order");
                    return true;
                }
                for leaf in leaves {
                    self.tree.push(leaf);
                }
            }
            Message::Publish(reply) => requests.push(reply),
            Message::Keys(keys) => {
                self.keys = keys;
                self.due = true;
            }
            Message::Close => return true,
        }
        false
    }

    fn answer(&self, requests: Vec<Reply>, outcome: Result<SignedCheckpoint, PublishError>) {
        let reason = self.core.inbox.stopped().unwrap_or_default();
        let mut outcome = Some(outcome);
        for reply in requests {
            let next = match outcome.take() {
                Some(Ok(checkpoint)) => {
                    outcome = Some(Ok(checkpoint.clone()));
                    Ok(checkpoint)
                }
                Some(Err(error)) => Err(error),
                None => Err(PublishError::Stopped { reason: reason.clone() }),
            };
            // Whoever has gone does not wait for the answer.
            let _ = reply.send(next);
        }
    }

    fn newest(&mut self) -> Result<SignedCheckpoint, PublishError> {
        let newest = self.core.checkpoint.read().clone();
        newest.map_or_else(|| self.publish(), Ok)
    }

    /// Writes the tiles, then the checkpoint, then the history: whoever sees a checkpoint finds its tiles.
    fn publish(&mut self) -> Result<SignedCheckpoint, PublishError> {
        for tile in self.tree.take_finished() {
            self.core.tiles.write(&tile)?;
        }
        let partial = self.tree.partial();
        for tile in &partial {
            self.core.tiles.write(tile)?;
        }
        self.core.journal.save_offsets()?;
        let signed = Checkpoint::sign(&self.keys.checkpoints, self.tree.size(), self.tree.root())?;
        let note = signed.to_string();
        write_whole(&*self.core.disk, &self.checkpoint_path, note.as_bytes())?;
        if let Some(dir) = self.checkpoint_path.parent() {
            self.core.disk.sync_dir(dir)?;
        }
        self.history.add(&note)?;
        *self.core.checkpoint.write() = Some(signed.clone());
        self.core.published.store(self.tree.size(), Ordering::Release);
        self.due = false;
        let paths: Vec<TilePath> = partial.into_iter().map(|(path, _)| path).collect();
        let [newer, older] = std::mem::take(&mut self.partial);
        for path in older.iter().filter(|path| !newer.contains(path) && !paths.contains(path)) {
            self.core.tiles.remove(path)?;
        }
        self.partial = [paths, newer];
        Ok(signed)
    }
}

type Reply = mpsc::Sender<Result<SignedCheckpoint, PublishError>>;
