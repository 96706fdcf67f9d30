//! Copying a log: its frames as they lie in the journal, and a journal written anew from such frames.
//!
//! A frame keeps which entries were appended together, which a copy must not tear apart: the events of one append are all
//! there or none is.

use std::{io, path::Path, sync::Arc};

use crate::{
    checkpoint::SignedCheckpoint,
    entry::{DecodeError, Entry},
    ids::Position,
    ledger::{CHECKPOINT_FILE, JOURNAL_DIR},
    signer::KeyRing,
    store::{
        ReadError,
        file::{Disk as _, RealDisk, write_whole},
        history::History,
        journal::{Journal, JournalScan},
        segment::{FRAME_HEADER_BYTES, FrameError, Mark, parse_frame, position_of, write_frame},
    },
};

/// Why a log was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The bytes are not the frames of a journal.
    #[error("the frame behind position {after} is damaged: {what}")]
    Frame {
        /// Positions before it that were taken.
        after: u64,
        /// What is wrong.
        what: String,
    },
    /// The frames do not follow those before.
    #[error("position {found} stands where {expected} should")]
    Order {
        /// The next position.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The last frame is not the end of an append.
    #[error("the frames end within an append")]
    Torn,
    /// There is a journal already.
    #[error("there is a journal in this directory already")]
    NotEmpty,
    /// The history of published checkpoints cannot be believed.
    #[error("the history of published checkpoints is damaged at byte {byte}")]
    HistoryDamaged {
        /// Where the bytes begin that are no record.
        byte: u64,
    },
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An entry with what its frame says beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    mark: Mark,
    stored: Vec<u8>,
}

impl Frame {
    /// Whether the entry is the last that was appended together: a copy may end here.
    #[must_use]
    pub fn ends_append(&self) -> bool {
        self.mark.last_of_append
    }
    /// The position that the entry claims.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        position_of(&self.stored).map(Position)
    }
    /// The entry and its signature, as they are stored.
    #[must_use]
    pub fn stored(&self) -> &[u8] {
        &self.stored
    }
    /// As [`Frame::stored`], without a copy.
    #[must_use]
    pub fn into_stored(self) -> Vec<u8> {
        self.stored
    }
    /// The entry, decoded.
    ///
    /// # Errors
    /// If its bytes are not an entry.
    pub fn entry(&self) -> Result<Entry, DecodeError> {
        Entry::decode(self.stored.clone())
    }
    /// Bytes of [`Frame::write_to`].
    #[must_use]
    pub fn len(&self) -> usize {
        FRAME_HEADER_BYTES + self.stored.len()
    }
    /// Never: a frame has a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }
    /// Adds the frame as it lies in the journal.
    pub fn write_to(&self, buffer: &mut Vec<u8>) {
        write_frame(buffer, &self.stored, self.mark);
    }
}

/// Frames in the order of the log. Ends after the first error.
pub struct Frames(JournalScan);

impl Frames {
    pub(crate) fn new(scan: JournalScan) -> Self {
        Self(scan)
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_marked().map(|next| next.map(|(mark, stored)| Frame { mark, stored }))
    }
}

/// The frames in some bytes. Ends after the first error; `after` of the error counts from the first.
pub fn frames_in(bytes: &[u8]) -> impl Iterator<Item = Result<Frame, CopyError>> + '_ {
    let (mut rest, mut count) = (bytes, 0);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let parsed = parse_frame(rest).map(|(mark, stored)| Frame { mark, stored: stored.to_vec() });
        rest = parsed.as_ref().ok().and_then(|frame| rest.get(frame.len()..)).unwrap_or_default();
        let after = count;
        count += 1;
        Some(parsed.map_err(|error: FrameError| CopyError::Frame { after, what: error.to_string() }))
    })
}

/// Writes a journal from frames, into a directory that has none.
#[derive(Debug)]
pub struct JournalWriter {
    journal: Journal,
    dir: std::path::PathBuf,
    next: u64,
}

impl JournalWriter {
    /// Begins a journal in the directory of a ledger.
    ///
    /// # Errors
    /// If there is one already, or the disk fails.
    pub fn create(dir: &Path) -> Result<Self, CopyError> {
        let journal_dir = dir.join(JOURNAL_DIR);
        RealDisk.create_dirs(&journal_dir)?;
        let journal = Journal::open(Arc::new(RealDisk), &journal_dir)?;
        if !journal.firsts().is_empty() {
            return Err(CopyError::NotEmpty);
        }
        Ok(Self { journal, dir: dir.to_owned(), next: 0 })
    }

    /// Number of events written.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.next
    }

    /// Adds whole appends. On return they are durable.
    ///
    /// # Errors
    /// If they do not follow, end within an append, or the disk fails: then nothing may be added any more.
    pub fn append(&mut self, frames: &[Frame]) -> Result<(), CopyError> {
        let Some(last) = frames.last() else { return Ok(()) };
        if !last.ends_append() {
            return Err(CopyError::Torn);
        }
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(frames.len()));
        for (expected, frame) in (self.next..).zip(frames) {
            match frame.position() {
                Some(Position(found)) if found == expected => frame.write_to(&mut bytes),
                found => return Err(CopyError::Order { expected, found: found.map_or(u64::MAX, Position::get) }),
            }
            ends.push(u32::try_from(bytes.len()).map_err(io::Error::other)?);
        }
        self.journal.append(self.next, &bytes, &ends)?;
        self.next += frames.len() as u64;
        Ok(())
    }

    /// Ends the journal, and puts a checkpoint beside it that covers a front part of it or all.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn finish(self, checkpoint: Option<&SignedCheckpoint>) -> Result<u64, CopyError> {
        self.journal.save_offsets()?;
        if let Some(checkpoint) = checkpoint {
            write_whole(&RealDisk, &self.dir.join(CHECKPOINT_FILE), checkpoint.to_string().as_bytes())?;
        }
        RealDisk.sync_dir(&self.dir)?;
        Ok(self.next)
    }
}

/// Notes in the history of published checkpoints that the log has published this one, unless a newer one stands there: a
/// ledger that is older is then refused. Returns the size of the newest.
///
/// # Errors
/// If the history cannot be believed, or the disk fails.
pub fn keep_published(dir: &Path, ring: &KeyRing, published: &SignedCheckpoint) -> Result<u64, CopyError> {
    let opened = History::open(&RealDisk, dir, ring.checkpoint_keys(), None)?;
    if let Some(byte) = opened.damaged_at {
        return Err(CopyError::HistoryDamaged { byte });
    }
    let (mut history, size) = (opened.history, published.unverified().size);
    match opened.newest {
        Some(newest) if newest.size >= size => Ok(newest.size),
        _ => {
            history.add(&published.to_string())?;
            Ok(size)
        }
    }
}
