//! The journal: the truth. Segments of frames that are appended to and flushed, and found again by position.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use super::{
    file::{Disk, DiskFile, read_all},
    segment::{
        FrameScan, Mark, ScanError, ScannedFrame, offsets_name, parse_frame, parse_segment_name, position_of,
        segment_name,
    },
};
use crate::{entry::Entry, ids::Position};

/// A new segment is begun when this one has reached so many bytes.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;
/// Segments whose files and offsets are held open for readers.
const LOADED_MAX: usize = 64;

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes that are stored for a position are not the entry that was written there.
    #[error("position {position} is damaged: {what}; restore the journal from a backup")]
    Damaged {
        /// The first position that cannot be read.
        position: Position,
        /// What is wrong.
        what: String,
    },
    /// The disk could not be read.
    #[error("position {position} could not be read: {source}")]
    Io {
        /// The position that was wanted.
        position: Position,
        /// The error of the file layer.
        source: io::Error,
    },
    /// The index is damaged and being made anew from the journal.
    #[error("the index is being rebuilt: try again later")]
    IndexUnavailable,
}

impl ReadError {
    pub(crate) fn damaged(position: u64, what: impl ToString) -> Self {
        Self::Damaged { position: Position(position), what: what.to_string() }
    }

    pub(crate) fn io(position: u64, source: io::Error) -> Self {
        Self::Io { position: Position(position), source }
    }
}

/// The files of the journal and where each entry stands in them.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// First positions of the segments, ascending.
    firsts: RwLock<Vec<u64>>,
    loaded: Mutex<VecDeque<(u64, Arc<Segment>)>>,
    /// The segment that is appended to; never evicted.
    active: RwLock<Option<(u64, Arc<Segment>)>>,
}

#[derive(Debug)]
struct Segment {
    file: Arc<dyn DiskFile>,
    offsets: RwLock<Offsets>,
}

#[derive(Debug, Clone, Default)]
struct Offsets {
    /// Where each frame starts.
    starts: Vec<u32>,
    /// Where the last of them ends.
    end: u32,
    /// Came from the sidecar and may be wrong.
    unproven: bool,
}

impl Offsets {
    fn push(&mut self, frame: &ScannedFrame) {
        self.starts.push(u32::try_from(frame.offset).unwrap_or(u32::MAX));
        self.end = u32::try_from(frame.end).unwrap_or(u32::MAX);
    }

    fn range(&self, at: usize) -> Option<(u32, u32)> {
        let start = *self.starts.get(at)?;
        Some((start, self.starts.get(at + 1).copied().unwrap_or(self.end)))
    }

    /// The sidecar's bytes: every start, then the end.
    fn to_bytes(&self) -> Vec<u8> {
        let all = self.starts.iter().chain([&self.end]);
        all.flat_map(|offset| offset.to_le_bytes()).collect()
    }

    /// Believes a sidecar only so far as it is ascending.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let mut starts: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let end = starts.pop()?;
        let ascending = starts.iter().chain([&end]).is_sorted_by(|a, b| a < b);
        let begins = starts.first().is_none_or(|first| *first == 0);
        (rest.is_empty() && ascending && begins).then_some(Self { starts, end, unproven: true })
    }
}

impl Journal {
    /// Finds the segments of a directory. Nothing is verified here: see [`super::super::recover`].
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<Self> {
        let journal = Self {
            disk,
            dir: dir.to_owned(),
            firsts: RwLock::default(),
            loaded: Mutex::default(),
            active: RwLock::default(),
        };
        journal.find_segments()?;
        Ok(journal)
    }

    /// Looks for segments that another process has begun since.
    pub(crate) fn find_segments(&self) -> io::Result<()> {
        let names = self.disk.list(&self.dir)?;
        *self.firsts.write() = names.iter().filter_map(|name| parse_segment_name(name)).collect();
        Ok(())
    }

    /// Forgets what is known of the newest segment, which another process may have made longer.
    pub(crate) fn forget_newest(&self) {
        if let Some(newest) = self.firsts.read().last() {
            self.loaded.lock().retain(|(first, _)| first != newest);
        }
    }

    /// First positions of the segments, ascending.
    pub(crate) fn firsts(&self) -> Vec<u64> {
        self.firsts.read().clone()
    }

    /// The stored bytes of an entry that is known to be in the journal.
    pub(crate) fn read(&self, position: u64) -> Result<Vec<u8>, ReadError> {
        let (first, next) = self.segment_of(position)?;
        let segment = self.segment(first, next).map_err(|e| ReadError::io(position, e))?;
        let at = usize::try_from(position - first).unwrap_or(usize::MAX);
        match segment.read(at, position) {
            Err(ReadError::Damaged { .. }) if segment.offsets.read().unproven => {
                // The sidecar may be what is wrong: it can always be made anew.
                let scanned = scan_offsets(&*segment.file).map_err(|e| ReadError::io(position, e))?;
                *segment.offsets.write() = scanned;
                segment.read(at, position)
            }
            outcome => outcome,
        }
    }

    /// The entry at a position that is known to be in the journal, with its digest computed anew.
    pub(crate) fn entry(&self, position: u64) -> Result<Entry, ReadError> {
        decode(position, self.read(position)?)
    }

    fn segment_of(&self, position: u64) -> Result<(u64, Option<u64>), ReadError> {
        let firsts = self.firsts.read();
        let after = firsts.partition_point(|first| *first <= position);
        let first = after.checked_sub(1).and_then(|at| firsts.get(at));
        let first = first.ok_or_else(|| ReadError::damaged(position, "its segment is missing"))?;
        Ok((*first, firsts.get(after).copied()))
    }

    /// The open segment; `next` is the first position of the one after it.
    fn segment(&self, first: u64, next: Option<u64>) -> io::Result<Arc<Segment>> {
        if let Some((active, segment)) = &*self.active.read()
            && *active == first
        {
            return Ok(Arc::clone(segment));
        }
        if let Some((_, segment)) = self.loaded.lock().iter().find(|(at, _)| *at == first) {
            return Ok(Arc::clone(segment));
        }
        let segment = Arc::new(self.load(first, next)?);
        let mut loaded = self.loaded.lock();
        if loaded.len() >= LOADED_MAX {
            loaded.pop_front();
        }
        loaded.push_back((first, Arc::clone(&segment)));
        Ok(segment)
    }

    fn load(&self, first: u64, next: Option<u64>) -> io::Result<Segment> {
        let file = self.file(first)?;
        let sidecar = read_all(&*self.disk, &self.dir.join(offsets_name(first)))?;
        let sidecar = sidecar.as_deref().and_then(Offsets::from_bytes);
        let whole = sidecar.filter(|offsets| next.is_some_and(|next| first + offsets.starts.len() as u64 == next));
        let offsets = match whole {
            Some(offsets) => offsets,
            None => scan_offsets(&*file)?,
        };
        Ok(Segment { file, offsets: RwLock::new(offsets) })
    }

    /// The file of a segment.
    pub(crate) fn file(&self, first: u64) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.dir.join(segment_name(first));
        let file = self.disk.open_existing(&path)?;
        file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// The byte offset of a position in its segment, if the sidecar knows it and the frame there confirms it.
    pub(crate) fn confirmed_offset(&self, first: u64, position: u64) -> io::Result<Option<u64>> {
        let Some(bytes) = read_all(&*self.disk, &self.dir.join(offsets_name(first)))? else {
            return Ok(None);
        };
        let at = usize::try_from(position - first).unwrap_or(usize::MAX);
        let offsets = Offsets::from_bytes(&bytes);
        let offset = offsets.and_then(|offsets| offsets.range(at).map(|(start, _)| start));
        let Some(offset) = offset.map(u64::from) else {
            return Ok(None);
        };
        let file = self.file(first)?;
        let confirmed = match FrameScan::new(&*file, offset)?.next_frame() {
            Ok(Some(frame)) => position_of(&frame.stored) == Some(position),
            Ok(None) | Err(ScanError::Bad { .. }) => false,
            Err(ScanError::Io(error)) => return Err(error),
        };
        Ok(confirmed.then_some(offset))
    }

    /// Declares the newest segment, cut to `end` bytes by the recovery, the one to append to.
    pub(crate) fn resume(&self, first: u64, end: u64) -> io::Result<()> {
        let file = self.disk.open(&self.dir.join(segment_name(first)))?;
        if file.len()? != end {
            file.set_len(end)?;
        }
        // After a kill the pages may be in memory only; nothing before this line counts as durable.
        file.sync()?;
        self.disk.sync_dir(&self.dir)?;
        let known = read_all(&*self.disk, &self.dir.join(offsets_name(first)))?;
        let known = known.as_deref().and_then(Offsets::from_bytes);
        let known = known.filter(|known| u64::from(known.end) <= end).unwrap_or_default();
        let offsets = extend_offsets(&*file, known.clone())?;
        let offsets = if u64::from(offsets.end) == end { offsets } else { scan_offsets(&*file)? };
        self.begin(first, file, offsets);
        Ok(())
    }

    fn begin(&self, first: u64, file: Arc<dyn DiskFile>, offsets: Offsets) {
        let segment = Arc::new(Segment { file, offsets: RwLock::new(offsets) });
        self.loaded.lock().retain(|(at, _)| *at != first);
        *self.active.write() = Some((first, segment));
        let mut firsts = self.firsts.write();
        if !firsts.contains(&first) {
            firsts.push(first);
        }
    }

    /// Appends the frames of one group, the first at `position`, and flushes them. `ends` are the ends of the frames in
    /// `frames`. After an error nothing may be appended any more.
    pub(crate) fn append(&self, position: u64, frames: &[u8], ends: &[u32]) -> io::Result<()> {
        if ends.is_empty() {
            return Ok(());
        }
        let segment = self.segment_for_append(position)?;
        let end = segment.offsets.read().end;
        segment.file.write_at(frames, u64::from(end))?;
        segment.file.sync()?;
        let mut offsets = segment.offsets.write();
        for frame_end in ends {
            let start = offsets.end;
            offsets.starts.push(start);
            offsets.end = end.checked_add(*frame_end).ok_or_else(|| io::Error::other("segment too large"))?;
        }
        Ok(())
    }

    fn segment_for_append(&self, position: u64) -> io::Result<Arc<Segment>> {
        let active = self.active.read().clone();
        if let Some((first, segment)) = active {
            if u64::from(segment.offsets.read().end) < SEGMENT_BYTES {
                return Ok(segment);
            }
            self.save_offsets_of(first, &segment)?;
        }
        let file = self.disk.open(&self.dir.join(segment_name(position)))?;
        self.disk.sync_dir(&self.dir)?;
        self.begin(position, file, Offsets::default());
        match &*self.active.read() {
            Some((_, segment)) => Ok(Arc::clone(segment)),
            None => Err(io::Error::other("the new segment was not begun")),
        }
    }

    /// Writes the sidecar of the active segment. It is a shortcut, never the truth, so it is not flushed.
    pub(crate) fn save_offsets(&self) -> io::Result<()> {
        let active = self.active.read().clone();
        match active {
            Some((first, segment)) => self.save_offsets_of(first, &segment),
            None => Ok(()),
        }
    }

    fn save_offsets_of(&self, first: u64, segment: &Segment) -> io::Result<()> {
        let bytes = segment.offsets.read().to_bytes();
        let file = self.disk.open(&self.dir.join(offsets_name(first)))?;
        file.set_len(bytes.len() as u64)?;
        file.write_at(&bytes, 0)
    }

    /// Reads the entries from `from` up to but not including `until`, in large pieces.
    pub(crate) fn scan(self: &Arc<Self>, from: u64, until: u64) -> JournalScan {
        JournalScan { journal: Arc::clone(self), next: from, until, place: None, failed: false }
    }

    fn place_of(&self, position: u64) -> Result<(Arc<dyn DiskFile>, u64), ReadError> {
        let (first, next) = self.segment_of(position)?;
        // The first `read` proves or repairs the offsets.
        self.read(position)?;
        let segment = self.segment(first, next).map_err(|e| ReadError::io(position, e))?;
        let at = usize::try_from(position - first).unwrap_or(usize::MAX);
        let range = segment.offsets.read().range(at);
        let (offset, _) = range.ok_or_else(|| ReadError::damaged(position, "it is missing"))?;
        Ok((Arc::clone(&segment.file), u64::from(offset)))
    }
}

impl Segment {
    fn read(&self, at: usize, position: u64) -> Result<Vec<u8>, ReadError> {
        let range = self.offsets.read().range(at);
        let (start, end) = range.ok_or_else(|| ReadError::damaged(position, "it is missing"))?;
        let len = end.saturating_sub(start) as usize;
        if len > super::segment::FRAME_HEADER_BYTES + crate::entry::ENTRY_BYTES_MAX {
            return Err(ReadError::damaged(position, "its offset is wrong"));
        }
        let mut bytes = vec![0; len];
        let read = self.file.read_at(&mut bytes, u64::from(start)).map_err(|e| ReadError::io(position, e))?;
        bytes.truncate(read);
        let (_, stored) = parse_frame(&bytes).map_err(|e| ReadError::damaged(position, e))?;
        match position_of(stored) {
            Some(found) if found == position => Ok(stored.to_vec()),
            _ => Err(ReadError::damaged(position, "another entry stands in its place")),
        }
    }
}

pub(crate) fn decode(position: u64, stored: Vec<u8>) -> Result<Entry, ReadError> {
    let entry = Entry::decode(stored).map_err(|e| ReadError::damaged(position, e))?;
    if entry.position() != Position(position) {
        return Err(ReadError::damaged(position, "another entry stands in its place"));
    }
    Ok(entry)
}

fn scan_offsets(file: &dyn DiskFile) -> io::Result<Offsets> {
    extend_offsets(file, Offsets::default())
}

/// Adds what follows the known offsets, up to the end of the file or the first unreadable frame.
fn extend_offsets(file: &dyn DiskFile, mut offsets: Offsets) -> io::Result<Offsets> {
    let mut scan = FrameScan::new(file, u64::from(offsets.end))?;
    loop {
        match scan.next_frame() {
            Ok(Some(frame)) => offsets.push(&frame),
            Ok(None) | Err(ScanError::Bad { .. }) => return Ok(offsets),
            Err(ScanError::Io(error)) => return Err(error),
        }
    }
}

/// Entries of the journal in order. Ends after the first error.
pub(crate) struct JournalScan {
    journal: Arc<Journal>,
    next: u64,
    until: u64,
    place: Option<ScanPlace>,
    failed: bool,
}

struct ScanPlace {
    /// First position of the segment.
    first: u64,
    file: Arc<dyn DiskFile>,
    offset: u64,
    buffer: Vec<u8>,
    buffer_offset: u64,
}

impl ScanPlace {
    const CHUNK_BYTES: usize = 1 << 20;

    /// The next frame's entry. A short or wrong frame is read once more from the file: it may have been behind the
    /// buffer's end.
    fn next(&mut self, position: u64) -> Result<(Mark, Vec<u8>), ReadError> {
        for fresh in [false, true] {
            if fresh {
                self.fill().map_err(|e| ReadError::io(position, e))?;
            }
            let skip = usize::try_from(self.offset - self.buffer_offset).unwrap_or(usize::MAX);
            let bytes = self.buffer.get(skip..).unwrap_or_default();
            match parse_frame(bytes) {
                Ok((mark, stored)) => {
                    let stored = stored.to_vec();
                    self.offset += (super::segment::FRAME_HEADER_BYTES + stored.len()) as u64;
                    return Ok((mark, stored));
                }
                Err(error) if fresh => return Err(ReadError::damaged(position, error)),
                Err(_) => {}
            }
        }
        Err(ReadError::damaged(position, "it is missing"))
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut wanted = Self::CHUNK_BYTES;
        loop {
            self.buffer.resize(wanted, 0);
            let read = self.file.read_at(&mut self.buffer, self.offset)?;
            self.buffer.truncate(read);
            self.buffer_offset = self.offset;
            let too_short = matches!(parse_frame(&self.buffer), Err(super::segment::FrameError::Short));
            if !too_short || read < wanted {
                return Ok(());
            }
            wanted *= 2;
        }
    }
}

impl JournalScan {
    /// Continues up to another end.
    pub(crate) fn extend_to(&mut self, until: u64) {
        self.until = self.until.max(until);
    }

    /// The next position that will be read.
    pub(crate) fn position(&self) -> u64 {
        self.next
    }

    fn read_next(&mut self) -> Result<(Mark, Vec<u8>), ReadError> {
        let position = self.next;
        let (first, _) = self.journal.segment_of(position)?;
        if self.place.as_ref().is_none_or(|place| place.first != first) {
            let (file, offset) = self.journal.place_of(position)?;
            self.place = Some(ScanPlace { first, file, offset, buffer: Vec::new(), buffer_offset: offset });
        }
        let Some(place) = &mut self.place else {
            return Err(ReadError::damaged(position, "it is missing"));
        };
        let (mark, stored) = place.next(position)?;
        if position_of(&stored) != Some(position) {
            return Err(ReadError::damaged(position, "another entry stands in its place"));
        }
        self.next += 1;
        Ok((mark, stored))
    }

    /// The next entry with what its frame says beside it.
    pub(crate) fn next_marked(&mut self) -> Option<Result<(Mark, Vec<u8>), ReadError>> {
        if self.failed || self.next >= self.until {
            return None;
        }
        let outcome = self.read_next();
        self.failed = outcome.is_err();
        Some(outcome)
    }
}

impl Iterator for JournalScan {
    type Item = Result<Vec<u8>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_marked().map(|outcome| outcome.map(|(_, stored)| stored))
    }
}
