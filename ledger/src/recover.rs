//! Opening: finds the newest checkpoint, verifies everything behind it and cuts a torn tail.
//!
//! Bounded whatever the log's size: what a checkpoint covers is trusted as far as the tree's edge confirms it, and read
//! again (and checked again) when it is used.

use std::{io, sync::Arc};

use rayon::prelude::*;

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::{Entry, LEAF_BYTES},
    ids::{Digest, Micros, Position},
    signer::KeyRing,
    store::{
        ReadError,
        journal::{Journal, decode},
        segment::{FrameScan, ScanError, find_later_group, position_of},
        tiles::{TileFiles, Tree},
    },
    tree::{Hash, HashSource, root_at},
};

/// Entries whose signatures are checked together.
const CHUNK_ENTRIES: usize = 2048;

/// Why a ledger was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle of this one, has it open.
    #[error("the ledger is open elsewhere: stop the other process, or read it without the lock")]
    Locked,
    /// The journal is not what was written.
    #[error("position {position}: {what}; restore the ledger from a backup")]
    Damaged {
        /// The first position that is wrong or missing.
        position: Position,
        /// What is wrong.
        what: String,
    },
    /// The ledger is older than a checkpoint that it once published.
    #[error(
        "this ledger has {events} events, but published a checkpoint of {published}: an old backup was put back or \
         events were lost; if that is known and wanted, open it with accept-rollback"
    )]
    RolledBack {
        /// Events in the journal.
        events: u64,
        /// Events of the newest published checkpoint.
        published: u64,
    },
    /// The newest record of the history of published checkpoints cannot be believed, so an old backup could go unnoticed.
    #[error(
        "the history of published checkpoints is damaged at byte {byte}: restore it from a backup; if this ledger is \
         known to be the newest, open it with accept-rollback"
    )]
    HistoryDamaged {
        /// Where the bytes begin that are no record.
        byte: u64,
    },
    /// The journal is as long as the published checkpoint says, or longer, and says something else.
    #[error(
        "this ledger is not the one that published the checkpoint of {published} events: its tree has another root"
    )]
    Forked {
        /// Events of the published checkpoint.
        published: u64,
    },
    /// The keys.
    #[error(transparent)]
    Keys(#[from] crate::signer::KeyError),
    /// The disk.
    #[error("the ledger's files could not be read or written: {0}")]
    Io(#[from] io::Error),
    /// The index could not be made.
    #[error("the index could not be made: {0}")]
    Index(String),
    /// A thread could not be started, or the first event or checkpoint could not be written.
    #[error("the ledger could not be started: {0}")]
    Start(String),
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { position, what } => Self::Damaged { position, what },
            ReadError::Io { source, .. } => Self::Io(source),
            ReadError::IndexUnavailable => Self::Index("it is being rebuilt".into()),
        }
    }
}

fn damaged(position: u64, what: impl ToString) -> OpenError {
    OpenError::Damaged { position: Position(position), what: what.to_string() }
}

/// What was cut from the end of the journal: bytes that were never acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailCut {
    /// Position that the first cut event would have had.
    pub position: Position,
    /// Bytes cut.
    pub bytes: u64,
}

/// What opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Events in the ledger.
    pub events: u64,
    /// Of these, covered by the checkpoint that was found.
    pub checkpoint_events: u64,
    /// The torn tail that was cut.
    pub tail_cut: Option<TailCut>,
    /// The tiles were made anew.
    pub tiles_rebuilt: bool,
    /// Why the index was made anew.
    pub index_rebuilt: Option<String>,
    /// Size and root of the published checkpoint that the ledger fell behind, if that was accepted.
    pub rollback_accepted: Option<(u64, Hash)>,
}

/// Tells how far a long step is.
pub trait Progress: Sync {
    /// `done` of `total` events are through the step.
    fn advance(&self, step: &'static str, done: u64, total: u64);
}

/// Tells nobody.
impl Progress for () {
    fn advance(&self, _step: &'static str, _done: u64, _total: u64) {}
}

/// The end of the log, verified.
pub(crate) struct Recovered {
    pub tree: Tree,
    pub digest: Digest,
    pub recorded_at: Micros,
    pub tail_cut: Option<TailCut>,
    pub tiles_rebuilt: bool,
}

/// Verifies what follows the checkpoint and makes the journal ready to be appended to.
pub(crate) struct Recovery<'a> {
    pub journal: &'a Arc<Journal>,
    pub tiles: &'a TileFiles,
    pub ring: &'a KeyRing,
    /// The ledger's own checkpoint.
    pub checkpoint: Option<Checkpoint>,
    pub progress: &'a dyn Progress,
}

/// Where the journal is found to end.
struct End {
    segment: u64,
    bytes: u64,
    position: u64,
    file_bytes: u64,
}

struct State {
    tree: Tree,
    digest: Digest,
    recorded_at: Micros,
    key_generation: usize,
}

impl Recovery<'_> {
    pub(crate) fn run(&self) -> Result<Recovered, OpenError> {
        let covered = self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let firsts = self.journal.firsts();
        match firsts.first() {
            None if covered > 0 => return Err(damaged(0, "the journal is missing")),
            Some(first) if *first != 0 => return Err(damaged(0, "the first segment is missing")),
            _ => {}
        }
        let (mut state, tiles_rebuilt) = self.covered_state(covered)?;
        let end = self.verify_from(covered, &firsts, &mut state)?;
        let mut tail_cut = None;
        if let Some(end) = end {
            if end.position < covered {
                return Err(damaged(
                    end.position,
                    format!("missing, though a checkpoint of {covered} events covers it"),
                ));
            }
            self.journal.resume(end.segment, end.bytes)?;
            let bytes = end.file_bytes - end.bytes;
            let position = Position(end.position);
            tail_cut = (bytes > 0).then_some(TailCut { position, bytes });
        }
        Ok(Recovered {
            tree: state.tree,
            digest: state.digest,
            recorded_at: state.recorded_at,
            tail_cut,
            tiles_rebuilt,
        })
    }

    /// The state after the events that the checkpoint covers.
    fn covered_state(&self, covered: u64) -> Result<(State, bool), OpenError> {
        let Some(checkpoint) = self.checkpoint.as_ref().filter(|_| covered > 0) else {
            return Ok((State::new(), false));
        };
        let last = self.journal.entry(covered - 1).map_err(|error| match error {
            ReadError::Damaged { position, what } => {
                damaged(position.get(), format!("{what} (a checkpoint of {covered} events covers it)"))
            }
            other => other.into(),
        })?;
        let mut leaves: Vec<[u8; LEAF_BYTES]> = Vec::new();
        for position in covered - covered % 256..covered {
            leaves.push(self.journal.entry(position)?.leaf());
        }
        let known = self.tiles.load(covered, checkpoint.root, leaves);
        if let Some(tree) = known.filter(|_| self.confirms(covered, &last)) {
            let state = State {
                tree,
                digest: last.digest(),
                recorded_at: last.recorded_at(),
                key_generation: self.ring.event_generation(last.key_id()).unwrap_or(0),
            };
            return Ok((state, false));
        }
        let state = self.rebuild_tiles(covered)?;
        if state.tree.root() != checkpoint.root {
            return Err(damaged(
                0,
                format!("the first {covered} events do not have the root that the checkpoint signed"),
            ));
        }
        Ok((state, true))
    }

    /// The last covered entry must be the leaf that the tree has.
    fn confirms(&self, covered: u64, last: &Entry) -> bool {
        let source = self.tiles.source(covered);
        let leaf = source.hash(0, covered - 1);
        leaf.is_ok_and(|leaf| leaf == crate::tree::leaf_hash(&last.leaf()))
    }

    /// Reads and verifies everything that the checkpoint covers and writes its tiles.
    fn rebuild_tiles(&self, covered: u64) -> Result<State, OpenError> {
        let mut state = State::new();
        let mut chunk = Vec::new();
        for stored in self.journal.scan(0, covered) {
            let position = state.tree.size() + chunk.len() as u64;
            chunk.push(decode(position, stored?)?);
            if chunk.len() >= CHUNK_ENTRIES {
                state.take(&mut chunk, self.ring)?;
                self.write_finished(&mut state.tree)?;
                self.progress.advance("tiles", state.tree.size(), covered);
            }
        }
        state.take(&mut chunk, self.ring)?;
        self.write_finished(&mut state.tree)?;
        for tile in state.tree.partial() {
            self.tiles.write(&tile)?;
        }
        self.progress.advance("tiles", covered, covered);
        Ok(state)
    }

    fn write_finished(&self, tree: &mut Tree) -> io::Result<()> {
        tree.take_finished().iter().try_for_each(|tile| self.tiles.write(tile))
    }

    /// Verifies every frame from `covered` on; `None` if there is no segment yet.
    fn verify_from(&self, covered: u64, firsts: &[u64], state: &mut State) -> Result<Option<End>, OpenError> {
        let start = firsts.partition_point(|first| *first < covered.max(1)).saturating_sub(1);
        let mut end = None;
        let mut position = covered;
        for (at, first) in firsts.iter().enumerate().skip(start) {
            if *first > position {
                return Err(damaged(position, "missing between two segments of the journal"));
            }
            let is_last = at + 1 == firsts.len();
            let found = self.verify_segment(*first, position, is_last, state)?;
            if !is_last && found.bytes != found.file_bytes {
                return Err(damaged(found.position, "an append is not complete, though a later segment follows"));
            }
            position = found.position;
            end = Some(found);
        }
        Ok(end)
    }

    fn verify_segment(&self, first: u64, covered: u64, is_last: bool, state: &mut State) -> Result<End, OpenError> {
        let file = self.journal.file(first)?;
        let file_bytes = file.len()?;
        let hint = if covered > first { covered - 1 } else { first };
        let known = self.journal.confirmed_offset(first, hint)?;
        let (mut position, offset) = known.map_or((first, 0), |offset| (hint, offset));
        let mut scan = FrameScan::new(&*file, offset)?;
        let mut end = End { segment: first, bytes: offset, position, file_bytes };
        let mut append = Vec::new();
        let mut chunk = Vec::new();
        loop {
            match scan.next_frame() {
                Ok(Some(frame)) => {
                    if position_of(&frame.stored) != Some(position) {
                        return Err(damaged(position, "another entry stands in its place"));
                    }
                    if position >= covered {
                        append.push(decode(position, frame.stored)?);
                    }
                    position += 1;
                    if frame.mark.last_of_append {
                        chunk.append(&mut append);
                        (end.bytes, end.position) = (frame.end, position);
                    }
                    if chunk.len() >= CHUNK_ENTRIES {
                        state.take(&mut chunk, self.ring)?;
                        self.write_finished(&mut state.tree)?;
                        self.progress.advance("tail", state.tree.size(), state.tree.size());
                    }
                }
                Ok(None) => break,
                Err(ScanError::Io(error)) => return Err(error.into()),
                Err(ScanError::Bad { offset, error }) => {
                    let later = find_later_group(&*file, offset, position)?;
                    if let Some(later) = later {
                        return Err(damaged(
                            position,
                            format!("{error}, though position {later} was written after it"),
                        ));
                    }
                    if !is_last {
                        return Err(damaged(position, format!("{error}, though a later segment follows")));
                    }
                    break;
                }
            }
        }
        state.take(&mut chunk, self.ring)?;
        Ok(end)
    }
}

impl State {
    fn new() -> Self {
        Self { tree: Tree::default(), digest: Digest::ZERO, recorded_at: Micros(0), key_generation: 0 }
    }

    /// Verifies a chunk of entries that follow the state, and moves behind them.
    fn take(&mut self, chunk: &mut Vec<Entry>, ring: &KeyRing) -> Result<(), OpenError> {
        for entry in chunk.iter() {
            let position = entry.position().get();
            if entry.previous() != self.digest {
                return Err(damaged(position, "it does not link to the entry before it"));
            }
            if entry.recorded_at() < self.recorded_at {
                return Err(damaged(position, "it is recorded before the entry before it"));
            }
            let generation = ring.event_generation(entry.key_id());
            let generation = generation.ok_or_else(|| {
                damaged(position, format!("the key {} that signed it is not among the ledger's keys", entry.key_id()))
            })?;
            if generation < self.key_generation {
                return Err(damaged(position, "it is signed by a key that had been replaced before"));
            }
            self.digest = entry.digest();
            self.recorded_at = entry.recorded_at();
            self.key_generation = generation;
        }
        let wrong = chunk.par_iter().find_first(|entry| !is_signed(entry, ring));
        if let Some(entry) = wrong {
            return Err(damaged(entry.position().get(), "its signature is wrong"));
        }
        for entry in chunk.drain(..) {
            self.tree.push(entry.leaf());
        }
        Ok(())
    }
}

fn is_signed(entry: &Entry, ring: &KeyRing) -> bool {
    let key = ring.event_key(entry.key_id());
    key.is_some_and(|key| key.verify(entry.digest().as_bytes(), entry.signature()))
}

/// The newest checkpoint of the ledger's own directory, if there is one and it is the log's.
pub(crate) fn own_checkpoint(bytes: Option<Vec<u8>>, ring: &KeyRing) -> Option<SignedCheckpoint> {
    let text = String::from_utf8(bytes?).ok()?;
    let signed = SignedCheckpoint::parse(&text).ok()?;
    let believed = signed.verify(ring.checkpoint_keys()).is_ok();
    believed.then_some(signed)
}

/// Holds the published checkpoint against the recovered log. `Some` if the log fell behind it.
pub(crate) fn compare_with_published(
    published: &Checkpoint,
    tiles: &TileFiles,
    covered: u64,
    tree: &Tree,
) -> Result<Option<(u64, Hash)>, OpenError> {
    if published.size > tree.size() {
        return Ok(Some((published.size, published.root)));
    }
    let root = if published.size == tree.size() {
        Some(tree.root())
    } else if published.size <= covered {
        root_at(&tiles.source(covered), published.size).ok()
    } else {
        None
    };
    match root {
        Some(root) if root != published.root => Err(OpenError::Forked { published: published.size }),
        _ => Ok(None),
    }
}
