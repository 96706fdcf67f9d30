//! Verification of a log by someone who trusts nothing but the published keys. It shares the formats with the writer
//! and none of its shortcuts: every entry is read from its bytes, every rule is checked again.
//!
//! Checked of every entry: its bytes; its position (no gaps); the digest of the entry before it; the version in its
//! stream; the link and count of each subject; that time and signing keys never go back; its signature. And of the
//! whole: that the tree over the entries has the root of each checkpoint, and the log does not end before one.
//! Not checked is that no event id stands twice, as that would need memory for every id of the log.
//!
//! Signatures and digests are computed on all cores while the next entries are read and the last ones are chained.
//! Memory holds a few batches of entries and one record for each stream and subject.

mod batch;
mod chain;
mod report;

use std::{collections::VecDeque, fmt::Display, sync::mpsc};

use batch::{in_flight_max, read_batch};
use chain::Chain;
pub use report::{FINDINGS_MAX, Fault, Finding, Report};

use crate::{
    checkpoint::SignedCheckpoint,
    ids::{Digest, Position},
    signer::KeyRing,
    tree::Frontier,
};

/// Where verification begins, and what is known of what lies before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    position: Position,
    previous: Option<Digest>,
    frontier: Option<Frontier>,
}

impl Start {
    /// The first entry: everything can be checked.
    #[must_use]
    pub fn genesis() -> Self {
        Self { position: Position(0), previous: Some(Digest::ZERO), frontier: Some(Frontier::new()) }
    }

    /// An entry within the log. Streams and subjects are checked from where they are first met; with the digest of the
    /// entry before it the chain is too.
    #[must_use]
    pub fn at(position: Position, previous: Option<Digest>) -> Self {
        match position {
            Position(0) => Self::genesis(),
            _ => Self { position, previous, frontier: None },
        }
    }

    /// The entry after a tree whose edge is known (from tiles): roots can be checked too. If the edge was wrong, the
    /// first checkpoint tells.
    #[must_use]
    pub fn after(frontier: Frontier, previous: Option<Digest>) -> Self {
        let mut start = Self::at(Position(frontier.size()), previous);
        start.frontier = Some(frontier);
        start
    }
}

/// What to verify, and against what.
pub struct Verification<'a> {
    /// Every key that the log ever signed with.
    pub keys: &'a KeyRing,
    /// Where to begin.
    pub start: Start,
    /// The position before which to end; None for the end of the log. At the end of the log a checkpoint of a larger
    /// tree is a fault: entries are missing.
    pub until: Option<Position>,
    /// Checkpoints that the log published, in any order.
    pub checkpoints: &'a [SignedCheckpoint],
    /// Told the number of entries looked at so far, some times a second.
    pub progress: &'a (dyn Fn(u64) + Sync),
}

impl Verification<'_> {
    /// Verifies stored entries ([`crate::Entry::stored`]) in the order of the log.
    pub fn run<E: Display>(&self, entries: impl Iterator<Item = Result<Vec<u8>, E>> + Send) -> Report {
        let mut chain = Chain::new(self);
        let span = self.until.map(|until| until.get().saturating_sub(self.start.position.get()));
        let limit = usize::try_from(span.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let mut entries = entries.map(|entry| entry.map_err(|error| error.to_string())).take(limit);
        let keys = self.keys;
        rayon::in_place_scope(|scope| {
            let (mut in_flight, mut is_last) = (VecDeque::new(), false);
            while !chain.is_stopped() {
                while !is_last && in_flight.len() < in_flight_max() {
                    let batch = read_batch(&mut entries);
                    is_last = batch.is_last;
                    let (checked, result) = mpsc::sync_channel(1);
                    // Nobody waits for it only if verification has stopped.
                    scope.spawn(move |_| drop(checked.send(batch.check(keys))));
                    in_flight.push_back(result);
                }
                let Some(checked) = in_flight.pop_front().and_then(wait) else { break };
                chain.apply(checked);
                (self.progress)(chain.count());
            }
        });
        (self.progress)(chain.count());
        chain.finish()
    }
}

/// Waits for a result. Whoever is called on a thread of the pool helps meanwhile, or a pool of one would wait for ever.
fn wait<T>(result: mpsc::Receiver<T>) -> Option<T> {
    loop {
        match result.try_recv() {
            Ok(value) => return Some(value),
            Err(mpsc::TryRecvError::Disconnected) => return None,
            Err(mpsc::TryRecvError::Empty) => match rayon::yield_now() {
                None => return result.recv().ok(),
                Some(rayon::Yield::Executed) => {}
                Some(rayon::Yield::Idle) => std::thread::yield_now(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
