//! The sequential half of verification: how each entry follows those before it.

use std::{collections::HashMap, fmt::Display};

use super::{
    FINDINGS_MAX, Fault, Finding, Report, Verification,
    batch::{Batch, Checked, SignatureState},
};
use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::{DecodeError, Entry, SubjectLink},
    ids::{Digest, Micros, Position, StreamId, SubjectId},
    signer::KeyRing,
    tree::Frontier,
};

/// All that is remembered of the entries before.
pub(super) struct Chain<'a> {
    keys: &'a KeyRing,
    /// The next position, by counting.
    next: Position,
    until: Option<Position>,
    /// True if nothing lies before: then what is met for the first time must be a first.
    from_genesis: bool,
    previous: Option<Digest>,
    frontier: Option<Frontier>,
    recorded_at: Option<Micros>,
    key_generation: usize,
    streams: HashMap<StreamId, u64>,
    subjects: HashMap<SubjectId, (u64, Digest)>,
    /// Those still to be reached, the smallest last.
    checkpoints: Vec<Checkpoint>,
    is_stopped: bool,
    report: Report,
}

impl<'a> Chain<'a> {
    pub(super) fn new(verification: &Verification<'a>) -> Self {
        let start = verification.start.clone();
        let mut chain = Self {
            keys: verification.keys,
            next: start.position,
            until: verification.until,
            from_genesis: start.position == Position(0),
            previous: start.previous,
            frontier: start.frontier,
            recorded_at: None,
            key_generation: 0,
            streams: HashMap::new(),
            subjects: HashMap::new(),
            checkpoints: Vec::new(),
            is_stopped: false,
            report: Report {
                start: start.position,
                count: 0,
                verified: 0,
                checkpoints: 0,
                committed: 0,
                errors: Vec::new(),
                warnings: Vec::new(),
            },
        };
        chain.take_checkpoints(verification.checkpoints);
        chain
    }

    fn take_checkpoints(&mut self, signed: &[SignedCheckpoint]) {
        for signed in signed {
            let size = signed.unverified().size;
            match signed.verify(self.keys.checkpoint_keys()) {
                Ok(checkpoint) => self.checkpoints.push(checkpoint.clone()),
                Err(error) => self.find(Finding {
                    position: Position(size),
                    event_id: None,
                    fault: Fault::Checkpoint,
                    expected: "a checkpoint signed by the log".into(),
                    found: error.to_string(),
                }),
            }
        }
        let (start, until) = (self.next.get(), self.until.map(Position::get));
        let all = self.checkpoints.len();
        self.checkpoints
            .retain(|checkpoint| checkpoint.size >= start && until.is_none_or(|until| checkpoint.size <= until));
        match all - self.checkpoints.len() {
            0 => {}
            outside => self.warn(format!("{outside} checkpoints lie outside of the range")),
        }
        if self.frontier.is_none() && !self.checkpoints.is_empty() {
            self.checkpoints.clear();
            self.warn("roots were not checked: the tree before the range is not known".into());
        }
        self.checkpoints.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.size));
        self.compare_roots();
    }

    pub(super) fn count(&self) -> u64 {
        self.report.count
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    pub(super) fn apply(&mut self, batch: Batch<Result<Checked, DecodeError>>) {
        for entry in batch.entries {
            if self.is_stopped {
                return;
            }
            match entry {
                Ok(checked) => self.follow(&checked),
                Err(error) => self.stop(Fault::Malformed, "the bytes of an entry", error),
            }
        }
        if let Some(failure) = batch.failure.filter(|_| !self.is_stopped) {
            self.stop(Fault::Unreadable, "an entry", failure);
        }
    }

    fn follow(&mut self, checked: &Checked) {
        let entry = &checked.entry;
        let errors = self.report.errors.len();
        self.check_signature(entry, checked.signature);
        self.check_log(entry);
        self.check_stream(entry);
        for link in entry.links() {
            self.check_subject(entry, link);
        }
        self.report.count += 1;
        if self.report.errors.len() == errors {
            self.report.verified += 1;
        }
        self.next = self.next.next();
        if let Some(frontier) = &mut self.frontier {
            frontier.push(checked.leaf_hash);
        }
        self.compare_roots();
    }

    fn check_signature(&mut self, entry: &Entry, state: SignatureState) {
        let key = entry.key_id();
        match state {
            SignatureState::UnknownKey => {
                self.fault(entry, Fault::UnknownKey, "a key of the log", key);
            }
            SignatureState::Wrong => {
                let expected = format!("a signature of key {key} over {}", entry.digest());
                self.fault(entry, Fault::Signature, expected, "another");
            }
            SignatureState::Good => {}
        }
        match self.keys.event_generation(key) {
            Some(generation) if generation < self.key_generation => {
                self.fault(entry, Fault::RetiredKey, "the current key", key);
            }
            Some(generation) => self.key_generation = generation,
            None => {}
        }
    }

    fn check_log(&mut self, entry: &Entry) {
        if entry.position() != self.next {
            self.fault(entry, Fault::Position, self.next, entry.position());
        }
        if let Some(previous) = self.previous.filter(|one| *one != entry.previous()) {
            self.fault(entry, Fault::Previous, previous, entry.previous());
        }
        self.previous = Some(entry.digest());
        let time = entry.recorded_at();
        if let Some(before) = self.recorded_at.filter(|before| time < *before) {
            let expected = format!("{} or later", before.get());
            self.fault(entry, Fault::Time, expected, time.get());
        }
        self.recorded_at = self.recorded_at.max(Some(time));
    }

    fn check_stream(&mut self, entry: &Entry) {
        let version = entry.stream_version();
        let before = self.streams.insert(entry.stream().clone(), version);
        let expected = match before {
            Some(before) => before.saturating_add(1),
            None if self.from_genesis => 1,
            None => version,
        };
        if version != expected {
            self.fault(entry, Fault::StreamVersion, expected, version);
        }
    }

    fn check_subject(&mut self, entry: &Entry, link: &SubjectLink) {
        let last = (link.count, entry.digest());
        let before = self.subjects.insert(link.subject, last);
        let expected = match before {
            Some((count, previous)) => (count.saturating_add(1), previous),
            None if self.from_genesis => (1, Digest::ZERO),
            None => (link.count, link.previous),
        };
        if (link.count, link.previous) != expected {
            let shown =
                |(count, previous): (u64, Digest)| format!("event {count} of {} behind {previous}", link.subject);
            let found = shown((link.count, link.previous));
            self.fault(entry, Fault::SubjectLink, shown(expected), found);
        }
    }

    fn compare_roots(&mut self) {
        let size = self.next.get();
        let Some(frontier) = &self.frontier else {
            return;
        };
        let mut found = Vec::new();
        while let Some(checkpoint) = self.checkpoints.pop_if(|one| one.size == size) {
            let root = frontier.root();
            if root == checkpoint.root {
                self.report.checkpoints += 1;
                self.report.committed = size;
            } else {
                found.push(Finding {
                    position: Position(size),
                    event_id: None,
                    fault: Fault::Root,
                    expected: checkpoint.root.to_string(),
                    found: root.to_string(),
                });
            }
        }
        found.into_iter().for_each(|finding| self.find(finding));
    }

    fn fault(&mut self, entry: &Entry, fault: Fault, expected: impl Display, found: impl Display) {
        self.find(Finding {
            position: self.next,
            event_id: Some(entry.id()),
            fault,
            expected: expected.to_string(),
            found: found.to_string(),
        });
    }

    fn stop(&mut self, fault: Fault, expected: &str, found: impl Display) {
        self.find(Finding {
            position: self.next,
            event_id: None,
            fault,
            expected: expected.into(),
            found: found.to_string(),
        });
        self.is_stopped = true;
        self.warn(format!("nothing from position {} on was verified", self.next));
    }

    fn find(&mut self, finding: Finding) {
        if self.report.errors.len() < FINDINGS_MAX {
            self.report.errors.push(finding);
        }
        if self.report.errors.len() == FINDINGS_MAX && !self.is_stopped {
            self.is_stopped = true;
            self.warn(format!("verification stopped after {FINDINGS_MAX} findings"));
        }
    }

    fn warn(&mut self, warning: String) {
        self.report.warnings.push(warning);
    }

    pub(super) fn finish(mut self) -> Report {
        if self.is_stopped {
            return self.report;
        }
        let end = self.next;
        if let Some(until) = self.until.filter(|until| end < *until) {
            self.missing(until.get(), "the range");
        }
        while let Some(checkpoint) = self.checkpoints.pop() {
            self.missing(checkpoint.size, "a checkpoint");
        }
        match end.get().checked_sub(self.report.committed) {
            Some(0) | None => {}
            Some(_) if self.frontier.is_none() => {}
            Some(count) => self.warn(format!("the last {count} entries are not covered by a checkpoint yet")),
        }
        self.report
    }

    fn missing(&mut self, size: u64, by: &str) {
        self.find(Finding {
            position: self.next,
            event_id: None,
            fault: Fault::Missing,
            expected: format!("{size} entries by {by}"),
            found: self.next.to_string(),
        });
    }
}
