//! Reading: entries by position, id, stream, subject and type.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    copy::Frames,
    entry::Entry,
    ids::{Digest, EventId, EventType, Position, StreamId, SubjectId},
    ledger::Core,
    store::{
        Direction, ReadError,
        file::RealDisk,
        journal::{Journal, JournalScan, decode},
        run::Key,
        segment::{FrameScan, ScanError, position_of},
    },
};

impl Core {
    /// Entries of a thing, those that are durable, in the order of its sequence from `from` on.
    pub(crate) fn entries_of(
        &self,
        key: Key<'_>,
        from: u64,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        let durable = self.durable();
        let mut entries = Vec::new();
        let mut from = from;
        while entries.len() < limit {
            let wanted = limit - entries.len();
            let rows = self.index_rows(key, from, direction, wanted)?;
            let (count, last) = (rows.len(), rows.last().map(|row| row.sequence));
            for row in rows.into_iter().filter(|row| row.position < durable) {
                let entry = self.journal.entry(row.position)?;
                if key.is_of(&entry) {
                    entries.push(entry);
                }
            }
            let next = match direction {
                Direction::Forward => last.and_then(|last| last.checked_add(1)),
                Direction::Backward => last.and_then(|last| last.checked_sub(1)),
            };
            match next {
                // All are there, unless another thing with the same hash or an event in flight took some places.
                Some(next) if count == wanted && entries.len() < limit => from = next,
                _ => break,
            }
        }
        Ok(entries)
    }

    pub(crate) fn find(&self, id: &EventId) -> Result<Option<Entry>, ReadError> {
        let durable = self.durable();
        let key = Key::Id(id);
        for row in self.index_rows(key, 0, Direction::Forward, usize::MAX)? {
            if row.position < durable {
                let entry = self.journal.entry(row.position)?;
                if key.is_of(&entry) {
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    pub(crate) fn stream_version(&self, stream: &StreamId) -> Result<u64, ReadError> {
        let newest = self.entries_of(Key::Stream(stream), u64::MAX, Direction::Backward, 1)?;
        Ok(newest.first().map_or(0, Entry::stream_version))
    }

    pub(crate) fn subject_head(&self, subject: &SubjectId) -> Result<Option<(u64, Digest)>, ReadError> {
        let newest = self.entries_of(Key::Subject(subject), u64::MAX, Direction::Backward, 1)?;
        let newest = newest.first();
        Ok(newest.and_then(|entry| Some((entry.link(subject)?.count, entry.digest()))))
    }

    pub(crate) fn by_type(
        &self,
        event_type: &EventType,
        from: Position,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.entries_of(Key::Type(event_type), from.get(), direction, limit)
    }
}

/// Entries in the order of the log. Ends after the first error.
pub struct Scan(JournalScan);

impl Scan {
    pub(crate) fn new(scan: JournalScan) -> Self {
        Self(scan)
    }
}

impl Iterator for Scan {
    type Item = Result<Entry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.0.position();
        let stored = self.0.next()?;
        Some(stored.and_then(|stored| decode(position, stored)))
    }
}

/// Reads the journal of a ledger, open elsewhere or closed, without its lock and without its index: for verification,
/// replay and backup. It sees a prefix that ends with a whole append, as it was when [`LogReader::refresh`] was called.
pub struct LogReader {
    journal: Arc<Journal>,
    dir: PathBuf,
    size: u64,
}

impl LogReader {
    /// Opens the ledger in a directory for reading.
    ///
    /// # Errors
    /// [`ReadError`] if the files cannot be read.
    pub fn open(dir: &Path) -> Result<Self, ReadError> {
        let journal = Journal::open(Arc::new(RealDisk), &dir.join(crate::ledger::JOURNAL_DIR));
        let journal = journal.map_err(|error| ReadError::io(0, error))?;
        let mut reader = Self { journal: Arc::new(journal), dir: dir.to_owned(), size: 0 };
        reader.refresh()?;
        Ok(reader)
    }

    /// Looks how far the log has grown.
    ///
    /// # Errors
    /// [`ReadError`] if the files cannot be read.
    pub fn refresh(&mut self) -> Result<u64, ReadError> {
        let io = |error: io::Error| ReadError::io(self.size, error);
        self.journal.find_segments().map_err(io)?;
        self.journal.forget_newest();
        let Some(first) = self.journal.firsts().last().copied() else {
            return Ok(0);
        };
        let file = self.journal.file(first).map_err(io)?;
        let mut scan = FrameScan::new(&*file, 0).map_err(io)?;
        let mut size = first;
        loop {
            match scan.next_frame() {
                Ok(Some(frame)) => match position_of(&frame.stored) {
                    Some(position) if frame.mark.last_of_append => size = position + 1,
                    _ => {}
                },
                Ok(None) | Err(ScanError::Bad { .. }) => break,
                Err(ScanError::Io(error)) => return Err(io(error)),
            }
        }
        self.size = self.size.max(size);
        Ok(self.size)
    }

    /// Number of events that can be read. Damage at the end makes it smaller than the checkpoint says.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The newest checkpoint, as it stands in the ledger's directory; not verified.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn checkpoint(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.dir.join(crate::ledger::CHECKPOINT_FILE)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The entry at a position; `None` behind the end.
    ///
    /// # Errors
    /// [`ReadError`] names the position if it cannot be read.
    pub fn read(&self, position: Position) -> Result<Option<Entry>, ReadError> {
        if position.get() >= self.size {
            return Ok(None);
        }
        self.journal.entry(position.get()).map(Some)
    }

    /// The entries from a position on.
    #[must_use]
    pub fn scan(&self, from: Position) -> Scan {
        Scan::new(self.journal.scan(from.get(), self.size))
    }

    /// The frames of the journal from a position on: what a backup is made of.
    #[must_use]
    pub fn frames(&self, from: Position) -> Frames {
        Frames::new(self.journal.scan(from.get(), self.size))
    }

    /// The stored bytes (entry and signature) from a position on, undecoded: what a parallel verifier spreads itself.
    pub fn scan_stored(&self, from: Position) -> impl Iterator<Item = Result<Vec<u8>, ReadError>> + use<> {
        self.journal.scan(from.get(), self.size)
    }
}
