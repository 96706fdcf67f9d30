//! Writing runs: sorted rows become pages, a description of them, and a line of the manifest.

use std::sync::Arc;

use super::{
    manifest::{MANIFEST_KEY, META_PART_BYTES, Manifest, Run, meta_key, page_key},
    pages::{Pages, PagesError},
    run::{BLOCK_EVENTS, Bloom, Fence, PAGE_ROWS, Row, RunMeta, encode_page},
};
use crate::ids::Digest;

/// Stores the rows of the next block and the manifest that names it, in one batch.
pub(crate) fn store_rows(
    pages: &dyn Pages,
    manifest: &Manifest,
    first: u64,
    rows: &[Row],
    digest: Digest,
) -> Result<Manifest, PagesError> {
    let mut writer = RunWriter::new(first, BLOCK_EVENTS, rows.len());
    let mut changes = Vec::new();
    for row in rows {
        writer.push(*row, &mut changes);
    }
    let run = writer.finish(&mut changes);
    let mut manifest = manifest.clone();
    manifest.events = first + BLOCK_EVENTS;
    manifest.digest = digest;
    manifest.runs.push(Arc::new(run));
    changes.push((MANIFEST_KEY.to_vec(), Some(manifest.to_bytes())));
    pages.apply(changes)?;
    Ok(manifest)
}

pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Cuts sorted rows into pages.
pub(crate) struct RunWriter {
    first: u64,
    events: u64,
    rows: Vec<Row>,
    fences: Vec<Fence>,
    bloom: Bloom,
    hashes: u64,
    last_hash: Option<u64>,
}

impl RunWriter {
    pub(crate) fn new(first: u64, events: u64, hashes_max: usize) -> Self {
        Self {
            first,
            events,
            rows: Vec::with_capacity(PAGE_ROWS),
            fences: Vec::new(),
            bloom: Bloom::new(hashes_max),
            hashes: 0,
            last_hash: None,
        }
    }

    pub(crate) fn push(&mut self, row: Row, changes: &mut Vec<Change>) {
        if self.last_hash != Some(row.hash) {
            self.last_hash = Some(row.hash);
            self.hashes += 1;
            self.bloom.insert(row.hash);
        }
        self.rows.push(row);
        if self.rows.len() >= PAGE_ROWS {
            self.end_page(changes);
        }
    }

    fn end_page(&mut self, changes: &mut Vec<Change>) {
        let Some(first_row) = self.rows.first() else {
            return;
        };
        let page = encode_page(&self.rows);
        let key = page_key(self.events, self.first, self.fences.len());
        self.fences.push(Fence {
            hash: first_row.hash,
            sequence: first_row.sequence,
            checksum: crc32fast::hash(&page),
        });
        changes.push((key, Some(page)));
        self.rows.clear();
    }

    pub(crate) fn finish(mut self, changes: &mut Vec<Change>) -> Run {
        self.end_page(changes);
        let meta = RunMeta { fences: self.fences, hashes: self.hashes, bloom: self.bloom };
        let bytes = meta.to_bytes();
        for (part, bytes) in bytes.chunks(META_PART_BYTES).enumerate() {
            let key = meta_key(self.events, self.first, part);
            changes.push((key, Some(bytes.to_vec())));
        }
        Run {
            first: self.first,
            events: self.events,
            meta,
            meta_len: bytes.len() as u64,
            meta_checksum: crc32fast::hash(&bytes),
        }
    }
}
