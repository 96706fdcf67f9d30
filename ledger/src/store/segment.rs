//! Journal segments: files of frames, each frame one entry.
//!
//! ```text
//! frame    magic u32 "WBF1", length of the entry u32, checksum u32, mark u32, entry (bytes and signature)
//! checksum CRC-32 of length, mark and entry
//! mark     bit 31: last entry of its append; bits 0-30: number of the frame in the group that was flushed as one
//! ```
//! (integers big-endian). The mark tells a torn tail from damage: whatever is unreadable and followed by a frame of a
//! *later* group had been flushed, so it was once readable.

use std::io;

use super::file::DiskFile;

pub(crate) const FRAME_HEADER_BYTES: usize = 16;
const MAGIC: [u8; 4] = *b"WBF1";
const LAST_OF_APPEND: u32 = 1 << 31;
/// Bytes read at once when a segment is scanned.
const CHUNK_BYTES: usize = 1 << 20;

/// What a frame says beside its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub last_of_append: bool,
    pub number_in_group: u32,
}

impl Mark {
    fn to_bits(self) -> u32 {
        let last = if self.last_of_append { LAST_OF_APPEND } else { 0 };
        last | (self.number_in_group & !LAST_OF_APPEND)
    }

    fn from_bits(bits: u32) -> Self {
        Self { last_of_append: bits & LAST_OF_APPEND != 0, number_in_group: bits & !LAST_OF_APPEND }
    }
}

/// Adds a frame to a buffer.
pub(crate) fn write_frame(buffer: &mut Vec<u8>, stored: &[u8], mark: Mark) {
    let len = u32::try_from(stored.len()).unwrap_or(u32::MAX);
    let mark = mark.to_bits().to_be_bytes();
    buffer.extend_from_slice(&MAGIC);
    buffer.extend_from_slice(&len.to_be_bytes());
    buffer.extend_from_slice(&checksum(len, mark, stored).to_be_bytes());
    buffer.extend_from_slice(&mark);
    buffer.extend_from_slice(stored);
}

fn checksum(len: u32, mark: [u8; 4], stored: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len.to_be_bytes());
    hasher.update(&mark);
    hasher.update(stored);
    hasher.finalize()
}

/// Why there is no frame in these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the frame ends too early")]
    Short,
    #[error("the frame does not begin like one")]
    Magic,
    #[error("the frame is longer than any entry")]
    TooLong,
    #[error("the checksum of the frame is wrong")]
    Checksum,
}

struct FrameHeader {
    len: u32,
    checksum: u32,
    mark: [u8; 4],
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(FrameError::Short)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(FrameError::Short)?;
        let (checksum, rest) = rest.split_first_chunk::<4>().ok_or(FrameError::Short)?;
        let (mark, _) = rest.split_first_chunk::<4>().ok_or(FrameError::Short)?;
        if *magic != MAGIC {
            return Err(FrameError::Magic);
        }
        let len = u32::from_be_bytes(*len);
        if len as usize > crate::entry::ENTRY_BYTES_MAX {
            return Err(FrameError::TooLong);
        }
        Ok(Self { len, checksum: u32::from_be_bytes(*checksum), mark: *mark })
    }

    fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.len as usize
    }
}

/// The frame at the front of the bytes: its mark and its entry.
pub(crate) fn parse_frame(bytes: &[u8]) -> Result<(Mark, &[u8]), FrameError> {
    let header = FrameHeader::parse(bytes)?;
    let stored = bytes.get(FRAME_HEADER_BYTES..header.frame_bytes()).ok_or(FrameError::Short)?;
    if checksum(header.len, header.mark, stored) != header.checksum {
        return Err(FrameError::Checksum);
    }
    Ok((Mark::from_bits(u32::from_be_bytes(header.mark)), stored))
}

/// The position that an entry claims, without decoding it.
pub(crate) fn position_of(stored: &[u8]) -> Option<u64> {
    let bytes = stored.get(1..9)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*bytes))
}

/// A frame met while scanning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScannedFrame {
    pub offset: u64,
    pub end: u64,
    pub mark: Mark,
    pub stored: Vec<u8>,
}

/// Reads frames one after the other in large pieces.
pub(crate) struct FrameScan<'a> {
    file: &'a dyn DiskFile,
    /// Where the next frame starts.
    offset: u64,
    /// Bytes of the file from `buffer_offset` on.
    buffer: Vec<u8>,
    buffer_offset: u64,
    limit: u64,
}

/// What stands where a frame should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{error} (at byte {offset} of the segment)")]
    Bad { offset: u64, error: FrameError },
}

impl<'a> FrameScan<'a> {
    /// Scans from a byte offset where a frame starts up to the end of the file as it is now.
    pub(crate) fn new(file: &'a dyn DiskFile, offset: u64) -> io::Result<Self> {
        Ok(Self { limit: file.len()?, file, offset, buffer: Vec::new(), buffer_offset: offset })
    }

    /// The next frame; `None` at the end of the file.
    pub(crate) fn next_frame(&mut self) -> Result<Option<ScannedFrame>, ScanError> {
        if self.offset >= self.limit {
            return Ok(None);
        }
        let offset = self.offset;
        let bad = |error| ScanError::Bad { offset, error };
        let header = self.bytes(FRAME_HEADER_BYTES)?;
        let len = FrameHeader::parse(header).map_err(bad)?.frame_bytes();
        let (mark, stored) = parse_frame(self.bytes(len)?).map_err(bad)?;
        let stored = stored.to_vec();
        self.offset += len as u64;
        Ok(Some(ScannedFrame { offset, end: self.offset, mark, stored }))
    }

    /// Up to `wanted` bytes from the current offset on.
    fn bytes(&mut self, wanted: usize) -> io::Result<&[u8]> {
        let skip = usize::try_from(self.offset - self.buffer_offset).map_err(io::Error::other)?;
        if self.buffer.len() < skip + wanted {
            self.buffer_offset = self.offset;
            self.buffer.resize(wanted.max(CHUNK_BYTES), 0);
            let read = self.file.read_at(&mut self.buffer, self.offset)?;
            self.buffer.truncate(read);
            return Ok(self.buffer.get(..wanted.min(read)).unwrap_or_default());
        }
        Ok(self.buffer.get(skip..skip + wanted).unwrap_or_default())
    }
}

/// Looks behind an unreadable place for a frame that was flushed after it: one of a group that begins behind
/// `position`. Returns the position of that frame.
pub(crate) fn find_later_group(file: &dyn DiskFile, after: u64, position: u64) -> io::Result<Option<u64>> {
    let len = file.len()?.saturating_sub(after);
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let read = file.read_at(&mut bytes, after)?;
    bytes.truncate(read);
    let mut rest = bytes.get(1..).unwrap_or_default();
    while let Some(at) = rest.windows(MAGIC.len()).position(|window| window == MAGIC) {
        rest = rest.get(at..).unwrap_or_default();
        if let Ok((mark, stored)) = parse_frame(rest)
            && let Some(found) = position_of(stored)
            && found.saturating_sub(u64::from(mark.number_in_group)) > position
        {
            return Ok(Some(found));
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    Ok(None)
}

/// Name of the segment whose first entry has this position.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}.seg")
}

/// Name of the offsets sidecar of a segment.
pub(crate) fn offsets_name(first: u64) -> String {
    format!("{first:020}.off")
}

/// First position of the segment with this name; `None` for other files.
pub(crate) fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let canonical = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if canonical { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::{file::Disk as _, memory::MemoryDisk};

    fn stored(position: u64) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&position.to_be_bytes());
        bytes.extend_from_slice(&[7; 300]);
        bytes
    }

    fn mark(number_in_group: u32) -> Mark {
        Mark { last_of_append: true, number_in_group }
    }

    #[test]
    fn every_flipped_byte_of_a_frame_is_noticed() {
        let mut frame = Vec::new();
        write_frame(&mut frame, &stored(3), mark(0));
        assert_eq!(parse_frame(&frame), Ok((mark(0), stored(3).as_slice())));
        for at in 0..frame.len() {
            for bit in 0..8 {
                let mut wrong = frame.clone();
                wrong[at] ^= 1 << bit;
                assert!(parse_frame(&wrong).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_later_group_behind_an_unreadable_place_is_found_and_the_same_group_is_not() {
        let disk = MemoryDisk::new();
        let file = disk.open(Path::new("/s")).unwrap();
        let mut bytes = vec![0; 100];
        // Positions 5 (unreadable), 6 and 7 were flushed as one group.
        write_frame(&mut bytes, &stored(6), mark(1));
        write_frame(&mut bytes, &stored(7), mark(2));
        file.write_at(&bytes, 0).unwrap();
        assert_eq!(find_later_group(&*file, 0, 5).unwrap(), None);
        write_frame(&mut bytes, &stored(8), mark(0));
        file.write_at(&bytes, 0).unwrap();
        assert_eq!(find_later_group(&*file, 0, 5).unwrap(), Some(8));
    }

    #[test]
    fn names_are_read_back_and_strange_files_ignored() {
        assert_eq!(parse_segment_name(&segment_name(42)), Some(42));
        for name in ["42.seg", "0000000000000000004x.seg", &offsets_name(42), "lock"] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }
}
