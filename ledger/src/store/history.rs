//! The history of published checkpoints, kept away from the ledger, so that a ledger that was put back from an old
//! backup is noticed.
//!
//! ```text
//! record   length u32, checksum u32 (CRC-32 of the note), note, length u32
//! ```

use std::{io, path::Path, sync::Arc};

use super::file::{Disk, DiskFile};
use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    note::VerifierKey,
};

/// Both lengths and the checksum.
const RECORD_FRAME_BYTES: usize = 12;
/// Longest note that is looked for.
const NOTE_BYTES_MAX: u64 = 64 << 10;
const FILE_NAME: &str = "published-checkpoints";

/// The open history.
#[derive(Debug)]
pub(crate) struct History {
    file: Arc<dyn DiskFile>,
    end: u64,
}

/// What opening found.
pub(crate) struct Opened {
    pub history: History,
    /// The newest checkpoint that can be believed.
    pub newest: Option<Checkpoint>,
    /// Where bytes begin that may have been a newer one.
    pub damaged_at: Option<u64>,
}

impl History {
    /// Opens or makes the history and finds its newest checkpoint that one of the keys signed. `own` is the ledger's
    /// checkpoint, which is always written just before its record here.
    ///
    /// Bytes behind the newest record that can be believed are a record that a crash tore, or damage that hides what
    /// was published. They are torn only if they can be the record of `own` and that one is not there yet; then it is
    /// written anew. Everything else is left as it is and told, with the byte where it begins.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        keys: &[VerifierKey],
        own: Option<&SignedCheckpoint>,
    ) -> io::Result<Opened> {
        disk.create_dirs(dir)?;
        let file = disk.open(&dir.join(FILE_NAME))?;
        disk.sync_dir(dir)?;
        let len = file.len()?;
        let start = len.saturating_sub(2 * NOTE_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(len - start).map_err(io::Error::other)?];
        let read = file.read_at(&mut bytes, start)?;
        bytes.truncate(read);
        let newest = (1..=bytes.len()).rev().find_map(|end| {
            let note = bytes.get(..end).and_then(note_before)?;
            Some((start + end as u64, note, believed(note, keys)?))
        });
        let (end, note, newest) = match newest {
            Some((end, note, checkpoint)) => (end, Some(note), Some(checkpoint)),
            None => (start, None, None),
        };
        let mut history = Self { file, end };
        if end == len {
            return Ok(Opened { history, newest, damaged_at: None });
        }
        let size = newest.as_ref().map_or(0, |newest| newest.size);
        let torn = own.filter(|own| own.unverified().size >= size).map(ToString::to_string).filter(|own| {
            let fits = len - end <= (own.len() + RECORD_FRAME_BYTES) as u64;
            fits && note != Some(own.as_str())
        });
        let Some(own) = torn else {
            return Ok(Opened { history, newest, damaged_at: Some(end) });
        };
        history.file.set_len(end)?;
        history.add(&own)?;
        let newest = believed(&own, keys);
        Ok(Opened { history, newest, damaged_at: None })
    }

    /// Gives up what could not be believed: the next record is written in its place.
    pub(crate) fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.sync()
    }

    /// Adds a checkpoint and flushes it.
    pub(crate) fn add(&mut self, note: &str) -> io::Result<()> {
        let len = u32::try_from(note.len()).map_err(io::Error::other)?.to_be_bytes();
        let checksum = crc32fast::hash(note.as_bytes()).to_be_bytes();
        let record = [&len, &checksum, note.as_bytes(), &len].concat();
        self.file.write_at(&record, self.end)?;
        self.file.sync()?;
        self.end += record.len() as u64;
        Ok(())
    }
}

/// The note of the record that ends where the bytes end.
fn note_before(bytes: &[u8]) -> Option<&str> {
    let (rest, len) = bytes.split_last_chunk::<4>()?;
    let note_len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (rest, note) = rest.split_at_checked(rest.len().checked_sub(note_len)?)?;
    let (rest, checksum) = rest.split_last_chunk::<4>()?;
    let (_, front_len) = rest.split_last_chunk::<4>()?;
    let whole = front_len == len && crc32fast::hash(note).to_be_bytes() == *checksum;
    if whole { std::str::from_utf8(note).ok() } else { None }
}

fn believed(note: &str, keys: &[VerifierKey]) -> Option<Checkpoint> {
    let signed = SignedCheckpoint::parse(note).ok()?;
    signed.verify(keys).ok().cloned()
}
