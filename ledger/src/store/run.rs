//! Runs: the sorted, immutable pieces of the index, and the block in memory that becomes the next one.
//!
//! A row says: the thing with this hash has, at this place of its sequence, that position. Things are event ids,
//! streams, subjects and event types. sled costs 15-20 us a row when every row is a key of its own (measured), so rows
//! are kept sorted in pages of 32 KiB and sled holds the pages: 1-2 us an event with five rows.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::{
    entry::Entry,
    ids::{EventId, EventType, StreamId, SubjectId},
};

/// Events of a block: the smallest run.
pub(crate) const BLOCK_EVENTS: u64 = 4096;
/// Rows of a page.
pub(crate) const PAGE_ROWS: usize = 1600;
const ROW_BYTES: usize = 20;

/// One row of the index, ordered by hash and then by place in the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub hash: u64,
    /// Stream version, subject count, position for a type, 0 for an id.
    pub sequence: u64,
    pub position: u64,
}

/// What rows are looked up by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    Id(&'a EventId),
    Stream(&'a StreamId),
    Subject(&'a SubjectId),
    Type(&'a EventType),
}

impl Key<'_> {
    /// 64 bits: two things may share them, so what is found is compared with the entry itself.
    pub(crate) fn hash(self) -> u64 {
        let mut bytes = [0_u8; 128];
        let (kind, name): (u8, &[u8]) = match self {
            Self::Id(id) => (1, id.as_bytes()),
            Self::Stream(stream) => (2, stream.as_str().as_bytes()),
            Self::Subject(subject) => (3, subject.as_bytes()),
            Self::Type(event_type) => (4, event_type.as_str().as_bytes()),
        };
        if let Some((first, rest)) = bytes.split_first_mut() {
            *first = kind;
            if let Some(place) = rest.get_mut(..name.len()) {
                place.copy_from_slice(name);
            }
        }
        let hash = blake3::hash(bytes.get(..=name.len()).unwrap_or_default());
        hash.as_bytes().first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
    }

    /// True if the entry is about this thing.
    pub(crate) fn is_of(self, entry: &Entry) -> bool {
        match self {
            Self::Id(id) => entry.id() == *id,
            Self::Stream(stream) => entry.stream() == stream,
            Self::Subject(subject) => entry.link(subject).is_some(),
            Self::Type(event_type) => entry.event_type() == event_type,
        }
    }
}

/// The rows of an entry.
pub(crate) fn rows_of(entry: &Entry, mut add: impl FnMut(Row)) {
    let position = entry.position().get();
    let mut row = |key: Key<'_>, sequence| {
        add(Row { hash: key.hash(), sequence, position });
    };
    row(Key::Id(&entry.id()), 0);
    row(Key::Stream(entry.stream()), entry.stream_version());
    row(Key::Type(entry.event_type()), position);
    for link in entry.links() {
        row(Key::Subject(&link.subject), link.count);
    }
}

/// The hashes are already random.
#[derive(Default, Clone, Copy)]
pub(crate) struct NoHash(u64);

impl Hasher for NoHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Rows of up to [`BLOCK_EVENTS`] events in memory, found by hash.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// First position.
    pub first: u64,
    /// Number of events.
    pub events: u64,
    rows: Vec<Row>,
    /// For each row the number of the row before it with the same hash, from 1; 0 for none.
    before: Vec<u32>,
    last: HashMap<u64, u32, BuildHasherDefault<NoHash>>,
}

impl Block {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, ..Self::default() }
    }

    /// With room for as many rows as a block of that many had.
    pub(crate) fn with_capacity(first: u64, rows: usize) -> Self {
        let last = HashMap::with_capacity_and_hasher(rows, BuildHasherDefault::default());
        Self { first, events: 0, rows: Vec::with_capacity(rows), before: Vec::with_capacity(rows), last }
    }

    pub(crate) fn rows_len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.events >= BLOCK_EVENTS
    }

    pub(crate) fn add(&mut self, row: Row) {
        let number = u32::try_from(self.rows.len() + 1).unwrap_or(u32::MAX);
        let before = self.last.insert(row.hash, number);
        self.rows.push(row);
        self.before.push(before.unwrap_or(0));
    }

    /// Rows with this hash, the newest first.
    pub(crate) fn newest_first(&self, hash: u64) -> impl Iterator<Item = Row> + '_ {
        let mut next = self.last.get(&hash).copied().unwrap_or(0);
        std::iter::from_fn(move || {
            let at = (next as usize).checked_sub(1)?;
            next = self.before.get(at).copied().unwrap_or(0);
            self.rows.get(at).copied()
        })
    }

    /// All rows in the order of a run.
    pub(crate) fn sorted(&self) -> Vec<Row> {
        let mut rows = self.rows.clone();
        rows.sort_unstable();
        rows
    }
}

/// Answers "surely not here" for most hashes that are not in a run. Blocked: one cache line a question.
#[derive(Debug, Clone)]
pub(crate) struct Bloom {
    lines: Vec<[u64; 8]>,
}

impl Bloom {
    const BITS_PER_HASH: usize = 12;
    const PROBES: u32 = 6;

    pub(crate) fn new(hashes: usize) -> Self {
        let lines = (hashes * Self::BITS_PER_HASH).div_ceil(512).max(1);
        Self { lines: vec![[0; 8]; lines] }
    }

    fn line(&self, hash: u64) -> usize {
        let scaled = (u128::from(hash) * self.lines.len() as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
        // Other bits than those that chose the line.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..Self::PROBES).map(move |probe| {
            let bit = (mixed >> (probe * 9)) & 511;
            (usize::try_from(bit >> 6).unwrap_or(0), 1 << (bit & 63))
        })
    }

    pub(crate) fn insert(&mut self, hash: u64) {
        let line = self.line(hash);
        let Some(line) = self.lines.get_mut(line) else {
            return;
        };
        for (word, bit) in Self::bits(hash) {
            if let Some(word) = line.get_mut(word) {
                *word |= bit;
            }
        }
    }

    pub(crate) fn may_hold(&self, hash: u64) -> bool {
        let line = self.lines.get(self.line(hash));
        line.is_none_or(|line| Self::bits(hash).all(|(word, bit)| line.get(word).is_none_or(|word| word & bit != 0)))
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence {
    pub hash: u64,
    pub sequence: u64,
    pub checksum: u32,
}

/// What is known of a run without reading its pages.
#[derive(Debug, Clone)]
pub(crate) struct RunMeta {
    pub fences: Vec<Fence>,
    /// Different hashes among its rows.
    pub hashes: u64,
    pub bloom: Bloom,
}

impl RunMeta {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.hashes.to_le_bytes());
        bytes.extend_from_slice(&(self.fences.len() as u64).to_le_bytes());
        for fence in &self.fences {
            bytes.extend_from_slice(&fence.hash.to_le_bytes());
            bytes.extend_from_slice(&fence.sequence.to_le_bytes());
            bytes.extend_from_slice(&fence.checksum.to_le_bytes());
        }
        for word in self.bloom.lines.iter().flatten() {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
        let (fences, blooms) = rest.split_at_checked(count.checked_mul(20)?)?;
        let (fences, _) = fences.as_chunks::<20>();
        let fences = fences.iter().map(Fence::from_bytes).collect::<Option<_>>()?;
        let (words, rest) = blooms.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (lines, over) = words.as_chunks::<8>();
        let whole = rest.is_empty() && over.is_empty() && !lines.is_empty();
        whole.then(|| Self { fences, hashes: u64::from_le_bytes(*hashes), bloom: Bloom { lines: lines.to_vec() } })
    }
}

impl Fence {
    fn from_bytes(bytes: &[u8; 20]) -> Option<Self> {
        let (hash, rest) = bytes.split_first_chunk::<8>()?;
        let (sequence, checksum) = rest.split_first_chunk::<8>()?;
        Some(Self {
            hash: u64::from_le_bytes(*hash),
            sequence: u64::from_le_bytes(*sequence),
            checksum: u32::from_le_bytes(*checksum.first_chunk()?),
        })
    }
}

/// A page: rows of 20 bytes (hash 8, sequence 6, position 6).
pub(crate) fn encode_page(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * ROW_BYTES);
    for row in rows {
        bytes.extend_from_slice(&row.hash.to_be_bytes());
        for number in [row.sequence, row.position] {
            let [_, _, low @ ..] = number.to_be_bytes();
            bytes.extend_from_slice(&low);
        }
    }
    bytes
}

/// The rows of a page whose checksum was right.
pub(crate) fn decode_page(bytes: &[u8]) -> Vec<Row> {
    let (rows, _) = bytes.as_chunks::<ROW_BYTES>();
    rows.iter().map(decode_row).collect()
}

fn decode_row(bytes: &[u8; ROW_BYTES]) -> Row {
    let number = |from: usize, len: usize| {
        let part = bytes.get(from..from + len).unwrap_or_default();
        part.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    Row { hash: number(0, 8), sequence: number(8, 6), position: number(14, 6) }
}
