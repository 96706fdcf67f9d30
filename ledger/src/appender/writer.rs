//! The writer: makes a group durable, then answers those who wait for it.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use tokio::sync::oneshot;

use super::{AppendError, inbox::Outcome};
use crate::{entry::LEAF_BYTES, keeper::Message, ledger::Core, receipt::Receipt};

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

/// See the module. There are two: one on a thread of its own, and one of the sequencer, for a producer who is alone and
/// need not pay for waking another thread. Only one of them ever writes: whoever was told that the writer is free.
#[derive(Clone)]
pub(crate) struct Writer {
    pub core: Arc<Core>,
    pub leaves: mpsc::Sender<Message>,
}

impl Writer {
    /// Runs until the sequencer has gone or a write fails.
    pub(crate) fn run(self, groups: &mpsc::Receiver<Group>) {
        while let Ok(group) = groups.recv() {
            if !self.flush(group) {
                return;
            }
        }
    }

    /// Makes a group durable and answers. False if the ledger has stopped.
    pub(crate) fn flush(&self, mut group: Group) -> bool {
        let began = Instant::now();
        let waiting = std::mem::take(&mut group.waiting);
        let appended = self.core.journal.append(group.first, &group.frames, &group.ends);
        if let Err(error) = appended {
            // Never tried again: a second flush that succeeds would prove nothing.
            let reason = format!("an append could not be made durable ({error})");
            self.core.stop(&reason);
            for one in waiting {
                let reason = reason.clone();
                // Whoever has gone does not wait for the answer.
                let _ = one.reply.send(Err(AppendError::Stopped { reason }));
            }
            return false;
        }
        let flush = began.elapsed();
        if group.events() > 0 {
            self.core.set_durable(group.first + group.events());
        }
        let appends = waiting.len();
        for one in waiting {
            let _ = one.reply.send(Ok(one.receipts));
        }
        // Before the writer is free: the next group may be flushed by the other writer, and leaves have an order.
        let leaves = Message::Leaves { first: group.first, leaves: group.leaves };
        let sent = self.leaves.send(leaves);
        if sent.is_err() {
            self.core.stop("the keeper of the tree has gone");
        }
        self.core.inbox.writer_is_free(appends, flush, group.frames);
        sent.is_ok()
    }
}
