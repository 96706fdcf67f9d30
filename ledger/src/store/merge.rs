//! Merging runs of the index a little at a time, so that it never holds up what is new.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use super::{
    index::FANOUT,
    manifest::Run,
    pages::{Pages, PagesError},
    run::{PAGE_ROWS, Row},
    run_writer::RunWriter,
};

/// Pages written in one step: some milliseconds of work.
const STEP_PAGES: usize = 32;

/// Eight neighbouring runs of one size on their way into one.
pub(crate) struct Merge {
    sources: Vec<Arc<Run>>,
    cursors: Vec<Cursor>,
    /// The next row of each source that has one.
    next: BinaryHeap<Reverse<(Row, usize)>>,
    writer: Option<RunWriter>,
}

struct Cursor {
    run: Arc<Run>,
    page: usize,
    rows: VecDeque<Row>,
}

impl Cursor {
    fn next(&mut self, pages: &dyn Pages) -> Result<Option<Row>, PagesError> {
        if self.rows.is_empty() && self.page < self.run.meta.fences.len() {
            self.rows = self.run.page(pages, self.page)?.into();
            self.page += 1;
        }
        Ok(self.rows.pop_front())
    }
}

impl Merge {
    /// Finds the smallest runs that are to be merged.
    pub(crate) fn begin(runs: &[Arc<Run>]) -> Option<Self> {
        let mut groups = runs.chunk_by(|a, b| a.events == b.events).collect::<Vec<_>>();
        groups.sort_by_key(|group| group.first().map(|run| run.events));
        let group = groups.into_iter().find(|group| group.len() >= FANOUT)?;
        let sources: Vec<Arc<Run>> = group.iter().take(FANOUT).cloned().collect();
        let first = sources.first()?.first;
        let events = sources.iter().map(|run| run.events).sum();
        let hashes: u64 = sources.iter().map(|run| run.meta.hashes).sum();
        let cursors = sources.iter().map(|run| Cursor { run: Arc::clone(run), page: 0, rows: VecDeque::new() });
        Some(Self {
            cursors: cursors.collect(),
            next: BinaryHeap::new(),
            writer: Some(RunWriter::new(first, events, usize::try_from(hashes).unwrap_or(usize::MAX))),
            sources,
        })
    }

    /// The runs that the merged one replaces.
    pub(crate) fn sources(&self) -> &[Arc<Run>] {
        &self.sources
    }

    /// Writes the next pages; the merged run once all are written. Pages that no manifest names are no harm.
    pub(crate) fn step(&mut self, pages: &dyn Pages) -> Result<Option<Run>, PagesError> {
        if self.next.is_empty() {
            for (at, cursor) in self.cursors.iter_mut().enumerate() {
                self.next.extend(cursor.next(pages)?.map(|row| Reverse((row, at))));
            }
        }
        let mut changes = Vec::new();
        for _ in 0..STEP_PAGES * PAGE_ROWS {
            let Some(Reverse((row, at))) = self.next.pop() else {
                break;
            };
            if let Some(writer) = &mut self.writer {
                writer.push(row, &mut changes);
            }
            if let Some(cursor) = self.cursors.get_mut(at) {
                self.next.extend(cursor.next(pages)?.map(|row| Reverse((row, at))));
            }
        }
        let merged = match self.next.is_empty() {
            true => self.writer.take().map(|writer| writer.finish(&mut changes)),
            false => None,
        };
        pages.apply(changes)?;
        Ok(merged)
    }
}
