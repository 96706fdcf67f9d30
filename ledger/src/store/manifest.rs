//! What names every page of the index with its checksum: the manifest names the runs, a run its pages.

use std::sync::Arc;

use super::{
    pages::{Pages, PagesError},
    run::{Row, RunMeta, decode_page},
};
use crate::ids::Digest;

/// A description longer than this is spread over several rows.
pub(super) const META_PART_BYTES: usize = 32 << 10;
pub(super) const MANIFEST_KEY: &[u8] = b"manifest";
const MANIFEST_VERSION: u8 = 1;

/// A run and what finds its pages.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub first: u64,
    pub events: u64,
    pub meta: RunMeta,
    pub meta_len: u64,
    pub meta_checksum: u32,
}

/// The runs, oldest first and without gaps, and what they reach to.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    /// Number of events in the runs.
    pub events: u64,
    /// Digest of the last of them: ties the index to its log.
    pub digest: Digest,
    pub runs: Vec<Arc<Run>>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self { events: 0, digest: Digest::ZERO, runs: Vec::new() }
    }
}

pub(super) fn page_key(events: u64, first: u64, page: usize) -> Vec<u8> {
    numbered_key(b'p', events, first, page)
}

pub(super) fn meta_key(events: u64, first: u64, part: usize) -> Vec<u8> {
    numbered_key(b'd', events, first, part)
}

fn numbered_key(kind: u8, events: u64, first: u64, number: usize) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&events.to_be_bytes());
    key.extend_from_slice(&first.to_be_bytes());
    key.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    key
}

impl Run {
    /// Every key that the run has put.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let parts = usize::try_from(self.meta_len).unwrap_or(0).div_ceil(META_PART_BYTES);
        let pages = (0..self.meta.fences.len()).map(|page| page_key(self.events, self.first, page));
        pages.chain((0..parts).map(|part| meta_key(self.events, self.first, part)))
    }

    /// The rows of a page, checked against its fence.
    pub(crate) fn page(&self, pages: &dyn Pages, number: usize) -> Result<Vec<Row>, PagesError> {
        let missing = || PagesError(format!("page {number} of run {} is missing", self.first));
        let bytes = pages.get(&page_key(self.events, self.first, number))?.ok_or_else(missing)?;
        let fence = self.meta.fences.get(number).ok_or_else(missing)?;
        if crc32fast::hash(&bytes) != fence.checksum {
            return Err(PagesError(format!("page {number} of run {} is damaged", self.first)));
        }
        Ok(decode_page(&bytes))
    }
}

impl Manifest {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![MANIFEST_VERSION];
        bytes.extend_from_slice(&self.events.to_le_bytes());
        bytes.extend_from_slice(self.digest.as_bytes());
        for run in &self.runs {
            bytes.extend_from_slice(&run.first.to_le_bytes());
            bytes.extend_from_slice(&run.events.to_le_bytes());
            bytes.extend_from_slice(&run.meta_len.to_le_bytes());
            bytes.extend_from_slice(&run.meta_checksum.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

pub(super) fn load_manifest(pages: &dyn Pages) -> Result<Manifest, PagesError> {
    let damaged = || PagesError("the manifest is damaged".into());
    let Some(bytes) = pages.get(MANIFEST_KEY)? else {
        return Ok(Manifest::default());
    };
    let (bytes, checksum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
    if crc32fast::hash(bytes) != u32::from_le_bytes(*checksum) {
        return Err(damaged());
    }
    let (version, rest) = bytes.split_first().ok_or_else(damaged)?;
    let (events, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (digest, rest) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
    let (runs, over) = rest.as_chunks::<28>();
    if *version != MANIFEST_VERSION || !over.is_empty() {
        return Err(damaged());
    }
    let mut manifest = Manifest { events: 0, digest: Digest::from_bytes(*digest), runs: Vec::new() };
    for run in runs {
        let run = load_run(pages, run)?;
        if run.first != manifest.events {
            return Err(damaged());
        }
        manifest.events += run.events;
        manifest.runs.push(Arc::new(run));
    }
    if manifest.events == u64::from_le_bytes(*events) { Ok(manifest) } else { Err(damaged()) }
}

fn load_run(pages: &dyn Pages, named: &[u8; 28]) -> Result<Run, PagesError> {
    let (numbers, checksum) = named.as_chunks::<8>();
    let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
    let mut number = || numbers.next().unwrap_or_default();
    let (first, events, meta_len) = (number(), number(), number());
    let meta_checksum = checksum.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let damaged = || PagesError(format!("the description of run {first} is damaged"));
    let wanted = usize::try_from(meta_len).map_err(|_| damaged())?;
    let mut bytes = Vec::new();
    for part in 0..wanted.div_ceil(META_PART_BYTES) {
        let part = pages.get(&meta_key(events, first, part))?;
        bytes.extend_from_slice(&part.ok_or_else(damaged)?);
    }
    if bytes.len() != wanted || crc32fast::hash(&bytes) != meta_checksum {
        return Err(damaged());
    }
    Ok(Run { first, events, meta: RunMeta::from_bytes(&bytes).ok_or_else(damaged)?, meta_len, meta_checksum })
}
