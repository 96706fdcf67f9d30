//! A log for tests, written as the rules say, with a way to break each of them.

use std::collections::HashMap;

use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    entry::{Assigned, Draft, Entry, ExpectedVersion, Payload, SubjectLink, encode},
    ids::{Digest, EventId, Micros, Position, SubjectId},
    signer::{EventSigner, LedgerKeys},
    tree::{MemoryTree, leaf_hash},
};

pub(crate) struct TestLog {
    pub(crate) keys: LedgerKeys,
    pub(crate) entries: Vec<Entry>,
    pub(crate) tree: MemoryTree,
    streams: HashMap<String, u64>,
    subjects: HashMap<SubjectId, (u64, Digest)>,
}

pub(crate) fn subject(n: u8) -> SubjectId {
    SubjectId::from_bytes([n; 16])
}

impl TestLog {
    pub(crate) fn new() -> Self {
        Self::with_keys(LedgerKeys::generate("log.example/ward").unwrap())
    }

    pub(crate) fn with_keys(keys: LedgerKeys) -> Self {
        Self { keys, entries: Vec::new(), tree: MemoryTree::new(), streams: HashMap::new(), subjects: HashMap::new() }
    }

    /// A log of so many events over a few streams and subjects.
    pub(crate) fn of(count: usize) -> Self {
        let mut log = Self::new();
        for n in 0..count {
            let n = u8::try_from(n % 251).unwrap();
            let subjects = [subject(n % 5), subject(100 + n % 3)];
            log.append(&format!("stream-{}", n % 7), &subjects[..usize::from(n % 3)]);
        }
        log
    }

    pub(crate) fn append(&mut self, stream: &str, subjects: &[SubjectId]) {
        self.append_with(stream, subjects, |_| ());
    }

    /// Appends an event after `change` has had its way with what the sequencer would assign.
    pub(crate) fn append_with(&mut self, stream: &str, subjects: &[SubjectId], change: impl FnOnce(&mut Assigned)) {
        let (draft, mut assigned) = self.assign(stream, subjects);
        change(&mut assigned);
        let unsigned = encode(&draft, assigned).unwrap();
        let signer: &EventSigner = &self.keys.events;
        let signature = signer.sign(&unsigned.digest()).unwrap();
        self.push(unsigned.with_signature(&signature));
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        let version = entry.stream_version();
        self.streams.insert(entry.stream().to_string(), version);
        for link in entry.links() {
            let last = (link.count, entry.digest());
            self.subjects.insert(link.subject, last);
        }
        self.tree.push(leaf_hash(&entry.leaf()));
        self.entries.push(entry);
    }

    fn assign(&self, stream: &str, subjects: &[SubjectId]) -> (Draft, Assigned) {
        let position = self.entries.len() as u64;
        let draft = Draft {
            id: EventId::from_bytes(u128::from(position + 1).to_be_bytes()),
            stream: stream.parse().unwrap(),
            expected: ExpectedVersion::Any,
            event_type: "tests.happened".parse().unwrap(),
            schema_version: 1,
            subjects: subjects.to_vec(),
            payload: Payload {
                meta: format!("who and why of {position}").into_bytes(),
                client: format!("from where of {position}").into_bytes(),
                body: format!("the facts of {position}").into_bytes(),
            },
        };
        let link = |subject: &SubjectId| match self.subjects.get(subject) {
            None => SubjectLink::first(*subject),
            Some((count, previous)) => SubjectLink { subject: *subject, previous: *previous, count: count + 1 },
        };
        let assigned = Assigned {
            position: Position(position),
            stream_version: self.streams.get(stream).map_or(1, |version| version + 1),
            recorded_at: Micros(1_000_000 + i64::try_from(position).unwrap()),
            key_id: self.keys.events.key_id(),
            previous: self.entries.last().map_or(Digest::ZERO, Entry::digest),
            links: subjects.iter().map(link).collect(),
            salt: [u8::try_from(position % 256).unwrap() ^ 0xa5; 16],
        };
        (draft, assigned)
    }

    pub(crate) fn checkpoint(&self) -> SignedCheckpoint {
        Checkpoint::sign(&self.keys.checkpoints, self.tree.size(), self.tree.root()).unwrap()
    }

    pub(crate) fn stored(&self) -> Vec<Vec<u8>> {
        let stored = self.entries.iter().map(|entry| entry.stored().to_vec());
        stored.collect()
    }
}
