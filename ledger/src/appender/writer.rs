//! The writer: makes a group durable, then answers those who wait for it.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use tokio::sync::oneshot;

use super::{AppendError, inbox::Outcome};
use crate::{entry::LEAF_BYTES, ledger::Core, receipt::Receipt};

/// Appends that are flushed as one.
#[derive(Default)]
pub(crate) struct Group {
    /// Position of the first entry.
    pub first: u64,
    pub frames: Vec<u8>,
    /// End of each frame in `frames`.
    pub ends: Vec<u32>,
    pub leaves: Vec<[u8; LEAF_BYTES]>,
    pub waiting: Vec<Waiting>,
}

/// Somebody who waits for a flush.
pub(crate) struct Waiting {
    pub reply: oneshot::Sender<Outcome>,
    pub receipts: Vec<Receipt>,
}

impl Group {
    pub(crate) fn events(&self) -> u64 {
        self.ends.len() as u64
    }
}

/// See the module.
pub(crate) struct Writer {
    pub core: Arc<Core>,
    pub groups: mpsc::Receiver<Group>,
    pub leaves: mpsc::Sender<crate::keeper::Message>,
}

impl Writer {
    /// Runs until the sequencer has gone or a write fails.
    pub(crate) fn run(self) {
        while let Ok(mut group) = self.groups.recv() {
            let began = Instant::now();
            if let Err(error) = self
                .core
                .journal
                .append(group.first, &group.frames, &group.ends)
            {
                // Never tried again: a second flush that succeeds would prove nothing.
                let reason = format!("an append could not be made durable ({error})");
                self.core.stop(&reason);
                for waiting in group.waiting {
                    let reason = reason.clone();
                    let _ = waiting.reply.send(Err(AppendError::Stopped { reason }));
                }
                return;
            }
            let flush = began.elapsed();
            let waiting = std::mem::take(&mut group.waiting);
            if group.events() > 0 {
                self.core.set_durable(group.first + group.events());
            }
            let appends = waiting.len();
            for one in waiting {
                let _ = one.reply.send(Ok(one.receipts));
            }
            self.core.inbox.writer_is_free(appends, flush);
            let message = crate::keeper::Message::Leaves(group.leaves);
            if self.leaves.send(message).is_err() {
                self.core.stop("the keeper of the tree has gone");
                return;
            }
        }
    }
}
