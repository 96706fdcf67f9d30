//! The sequencer: the one thread that decides the order of events.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    AppendError,
    inbox::{Next, Outcome, Request},
    writer::{Group, Waiting, Writer},
};
use crate::{
    entry::{Assigned, Draft, Entry, ExpectedVersion, SignError, SubjectLink, UnsignedEntry, encode},
    heads::Heads,
    ids::{Digest, EventId, Micros, Position, StreamId, SubjectId},
    ledger::Core,
    receipt::Receipt,
    signer::LedgerKeys,
    store::{
        ReadError,
        run::{Key, Row, rows_of},
        segment::{Mark, write_frame},
    },
};

/// A group takes no more once it has so many bytes or events.
const GROUP_BYTES_MAX: usize = 4 << 20;
const GROUP_EVENTS_MAX: usize = 4096;
/// Heads remembered; others are read from the index.
const HEADS_MAX: usize = 1 << 16;
/// More threads would wait for each other more than they sign.
const HELPERS_MAX: usize = 3;
/// Fewer signatures than this are made sooner than another thread is awake: one takes 6 us, waking and waiting 50.
const SHARED_SIGNATURES_MIN: usize = 16;

/// See the module.
pub(crate) struct Sequencer {
    pub(super) core: Arc<Core>,
    keys: Arc<LedgerKeys>,
    next: u64,
    digest: Digest,
    recorded_at: Micros,
    streams: Heads<StreamId, u64>,
    subjects: Heads<SubjectId, (u64, Digest)>,
    salts: blake3::OutputReader,
    /// Decided, not signed yet.
    unsigned: Vec<(UnsignedEntry, bool)>,
    unsigned_ids: HashSet<EventId>,
    /// How often the heads had forgotten a generation when the oldest of them was decided.
    unsigned_since: u64,
    unsigned_waiting: Vec<(oneshot::Sender<Outcome>, usize)>,
    /// Signed, perhaps not durable yet: what a retry is compared with.
    in_flight: VecDeque<Entry>,
    group: Group,
    groups: mpsc::SyncSender<Group>,
    writer: Writer,
    /// Threads that help to sign; none on a single core.
    helpers: Option<rayon::ThreadPool>,
}

/// Where the log stands.
pub(crate) struct Tail {
    pub next: u64,
    pub digest: Digest,
    pub recorded_at: Micros,
}

struct Signed {
    entry: Entry,
    rows: Vec<Row>,
    last_of_append: bool,
}

impl Sequencer {
    pub(crate) fn new(
        core: Arc<Core>,
        keys: Arc<LedgerKeys>,
        tail: &Tail,
        seed: [u8; 32],
        groups: mpsc::SyncSender<Group>,
        writer: Writer,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let helpers = rayon::ThreadPoolBuilder::new()
            .num_threads(cores.saturating_sub(1).min(HELPERS_MAX))
            .thread_name(|number| format!("ledger-sign-{number}"))
            .build();
        Self {
            helpers: helpers.ok().filter(|_| cores > 1),
            core,
            keys,
            next: tail.next,
            digest: tail.digest,
            recorded_at: tail.recorded_at,
            streams: Heads::new(HEADS_MAX),
            subjects: Heads::new(HEADS_MAX),
            salts: blake3::Hasher::new_keyed(&seed).finalize_xof(),
            unsigned: Vec::new(),
            unsigned_ids: HashSet::new(),
            unsigned_since: 0,
            unsigned_waiting: Vec::new(),
            in_flight: VecDeque::new(),
            group: Group::default(),
            groups,
            writer,
        }
    }

    /// Runs until the ledger is closed or stops.
    pub(crate) fn run(mut self) {
        loop {
            let room = self.has_room();
            match self.core.clone().inbox.next(self.group.waiting.len(), room) {
                Next::Prepare(requests) => self.prepare(requests),
                Next::Write { alone, spare } => {
                    let next = Group { frames: spare, ..Group::default() };
                    let group = std::mem::replace(&mut self.group, next);
                    if alone {
                        // What fails is told by the writer; the inbox then says that it is the end.
                        self.writer.flush(group);
                    } else if let Err(refused) = self.groups.send(group) {
                        self.refuse(refused.0.waiting);
                    }
                }
                Next::End => {
                    let group = std::mem::take(&mut self.group);
                    return self.refuse(group.waiting);
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.group.frames.len() < GROUP_BYTES_MAX && self.group.ends.len() < GROUP_EVENTS_MAX
    }

    fn refuse(&self, waiting: Vec<Waiting>) {
        let reason = self.core.inbox.stopped().unwrap_or_default();
        for one in waiting {
            let reason = reason.clone();
            let _ = one.reply.send(Err(AppendError::Stopped { reason }));
        }
    }

    fn prepare(&mut self, requests: Vec<Request>) {
        self.core.wait_for_followers();
        for request in requests {
            match request {
                Request::Append { drafts, reply, .. } => self.decide(drafts, reply),
                Request::Keys(keys) => {
                    self.sign();
                    self.keys = keys;
                }
            }
        }
        self.sign();
        let durable = self.core.durable();
        while self.in_flight.front().is_some_and(|entry| entry.position().get() < durable) {
            self.in_flight.pop_front();
        }
    }

    /// Decides one append: it is assigned as a whole, answered as a retry, or refused.
    fn decide(&mut self, drafts: Vec<Draft>, reply: oneshot::Sender<Outcome>) {
        let outcome = match self.find_retry(&drafts) {
            Ok(Some(receipts)) => {
                // Answered behind everything before it: the original may not be durable yet.
                self.sign();
                self.group.waiting.push(Waiting { reply, receipts });
                return;
            }
            Ok(None) => self.versions(&drafts),
            Err(error) => Err(error),
        };
        let assigned = outcome.and_then(|versions| self.assign(&drafts, versions));
        match assigned {
            Ok(()) => self.unsigned_waiting.push((reply, drafts.len())),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    fn find_retry(&mut self, drafts: &[Draft]) -> Result<Option<Vec<Receipt>>, AppendError> {
        if drafts.iter().any(|draft| self.unsigned_ids.contains(&draft.id)) {
            self.sign();
        }
        let mut receipts = Vec::new();
        let mut missing = None;
        let mut before: Option<Position> = None;
        for draft in drafts {
            match self.find(draft).map_err(busy)? {
                None => missing = missing.or(Some(draft.id)),
                Some(entry) => {
                    let follows = before.is_none_or(|before| before.next() == entry.position());
                    if !entry.records(draft) || !follows {
                        return Err(AppendError::IdConflict { id: draft.id });
                    }
                    before = Some(entry.position());
                    receipts.push(Receipt::of(&entry, true));
                }
            }
        }
        match (missing, before) {
            (Some(id), Some(_)) => Err(AppendError::IdConflict { id }),
            (Some(_), None) => Ok(None),
            (None, _) => Ok(Some(receipts)),
        }
    }

    fn find(&self, draft: &Draft) -> Result<Option<Entry>, ReadError> {
        let key = Key::Id(&draft.id);
        let rows = self.core.index_rows(key, 0, crate::Direction::Forward, usize::MAX)?;
        for row in rows {
            let entry = self.entry(row.position)?;
            if key.is_of(&entry) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// An entry that is durable or in flight.
    fn entry(&self, position: u64) -> Result<Entry, ReadError> {
        let first = self.in_flight.front().map_or(u64::MAX, |entry| entry.position().get());
        let at = position.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.in_flight.get(at)) {
            Some(entry) => Ok(entry.clone()),
            None => self.core.journal.entry(position),
        }
    }

    /// The version of each draft, if every stream is as expected.
    fn versions(&mut self, drafts: &[Draft]) -> Result<Vec<u64>, AppendError> {
        let mut moved: HashMap<&StreamId, u64> = HashMap::new();
        let mut versions = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let version = match moved.get(&draft.stream) {
                Some(version) => *version,
                None => {
                    let actual = self.stream_version(&draft.stream).map_err(busy)?;
                    let fits = match draft.expected {
                        ExpectedVersion::NoStream => actual == 0,
                        ExpectedVersion::Exact(version) => actual == version,
                        ExpectedVersion::Any => true,
                    };
                    if !fits {
                        return Err(AppendError::WrongExpectedVersion {
                            stream: draft.stream.clone(),
                            expected: draft.expected,
                            actual,
                        });
                    }
                    actual
                }
            };
            versions.push(version + 1);
            moved.insert(&draft.stream, version + 1);
        }
        // So that every head is in memory before anything is assigned, and nothing can fail half-way.
        for subject in drafts.iter().flat_map(|draft| &draft.subjects) {
            self.subject_head(subject).map_err(busy)?;
        }
        Ok(versions)
    }

    /// The index knows nothing of what is not signed yet. The heads do: what was set is remembered until they have
    /// forgotten a generation twice, so only then must we sign before we believe the index.
    fn sign_before_lookup(&mut self) {
        let forgotten = self.streams.generation() + self.subjects.generation();
        if forgotten - self.unsigned_since > 1 {
            self.sign();
        }
    }

    fn stream_version(&mut self, stream: &StreamId) -> Result<u64, ReadError> {
        if let Some(version) = self.streams.get(stream) {
            return Ok(version);
        }
        self.sign_before_lookup();
        let newest = self.newest(Key::Stream(stream))?;
        let version = newest.map_or(0, |entry| entry.stream_version());
        self.streams.set(stream, version);
        Ok(version)
    }

    fn subject_head(&mut self, subject: &SubjectId) -> Result<(u64, Digest), ReadError> {
        if let Some(head) = self.subjects.get(subject) {
            return Ok(head);
        }
        self.sign_before_lookup();
        let newest = self.newest(Key::Subject(subject))?;
        let link = newest.as_ref().and_then(|entry| entry.link(subject));
        let head = match (&newest, link) {
            (Some(entry), Some(link)) => (link.count, entry.digest()),
            _ => (0, Digest::ZERO),
        };
        self.subjects.set(subject, head);
        Ok(head)
    }

    fn newest(&self, key: Key<'_>) -> Result<Option<Entry>, ReadError> {
        let mut from = u64::MAX;
        loop {
            let rows = self.core.index_rows(key, from, crate::Direction::Backward, 4)?;
            for row in &rows {
                let entry = self.entry(row.position)?;
                if key.is_of(&entry) {
                    return Ok(Some(entry));
                }
            }
            // Only another thing with the same 64 bits of hash brings us here.
            match rows.last().and_then(|row| row.sequence.checked_sub(1)) {
                Some(next) => from = next,
                None => return Ok(None),
            }
        }
    }

    fn assign(&mut self, drafts: &[Draft], versions: Vec<u64>) -> Result<(), AppendError> {
        let now = (self.core.clock)().max(self.recorded_at);
        let start = self.unsigned.len();
        if start == 0 {
            self.unsigned_since = self.streams.generation() + self.subjects.generation();
        }
        let (next, digest) = (self.next, self.digest);
        let mut undo = Vec::new();
        for (draft, stream_version) in drafts.iter().zip(versions) {
            let mut links = Vec::with_capacity(draft.subjects.len());
            for subject in &draft.subjects {
                let (count, previous) = self.subject_head(subject).map_err(busy)?;
                undo.push((*subject, (count, previous)));
                links.push(SubjectLink { subject: *subject, previous, count: count + 1 });
            }
            let mut salt = [0; 16];
            self.salts.fill(&mut salt);
            let assigned = Assigned {
                position: Position(self.next),
                stream_version,
                recorded_at: now,
                key_id: self.keys.events.key_id(),
                previous: self.digest,
                links,
                salt,
            };
            match encode(draft, assigned) {
                Ok(entry) => {
                    self.digest = entry.digest();
                    self.next += 1;
                    for link in entry.links() {
                        self.subjects.set(&link.subject, (link.count, entry.digest()));
                    }
                    self.unsigned_ids.insert(draft.id);
                    self.unsigned.push((entry, false));
                }
                Err(error) => {
                    for (entry, _) in self.unsigned.drain(start..) {
                        self.unsigned_ids.remove(&entry.header().event_id);
                    }
                    (self.next, self.digest) = (next, digest);
                    for (subject, head) in undo.into_iter().rev() {
                        self.subjects.set(&subject, head);
                    }
                    return Err(error.into());
                }
            }
        }
        self.recorded_at = now;
        for (entry, _) in self.unsigned.iter().skip(start) {
            self.streams.set(&entry.header().stream, entry.header().stream_version);
        }
        if let Some((_, last)) = self.unsigned.last_mut() {
            *last = true;
        }
        Ok(())
    }

    /// Signs what is decided and moves it into the group.
    fn sign(&mut self) {
        if self.unsigned.is_empty() {
            return;
        }
        let unsigned = std::mem::take(&mut self.unsigned);
        self.unsigned_ids.clear();
        let signed = self.sign_shared(unsigned);
        let waiting = std::mem::take(&mut self.unsigned_waiting);
        match signed {
            Ok(signed) => self.add_to_group(signed, waiting),
            Err(error) => {
                // Positions are assigned and cannot be given back.
                let reason = format!("an event could not be signed ({error})");
                self.core.stop(&reason);
                for (reply, _) in waiting {
                    let reason = reason.clone();
                    let _ = reply.send(Err(AppendError::Stopped { reason }));
                }
            }
        }
    }

    /// Signatures are most of the work, so the cores share them. The pool is the sequencer's own: callers may block all
    /// threads of the common one while they wait for us.
    fn sign_shared(&self, unsigned: Vec<(UnsignedEntry, bool)>) -> Result<Vec<Signed>, SignError> {
        let keys = &*self.keys;
        let Some(pool) = self.helpers.as_ref().filter(|_| unsigned.len() >= SHARED_SIGNATURES_MIN) else {
            return unsigned.into_iter().map(|one| sign(one, keys)).collect();
        };
        let share = unsigned.len().div_ceil(pool.current_num_threads() + 1);
        let mut shares = Vec::new();
        let mut unsigned = unsigned.into_iter();
        while unsigned.len() > 0 {
            shares.push((unsigned.by_ref().take(share).collect::<Vec<_>>(), Vec::new()));
        }
        let work = |(from, to): &mut (Vec<(UnsignedEntry, bool)>, Vec<_>)| {
            to.extend(from.drain(..).map(|one| sign(one, keys)));
        };
        if let Some((mine, others)) = shares.split_first_mut() {
            pool.in_place_scope(|scope| {
                for share in others {
                    scope.spawn(move |_| work(share));
                }
                work(mine);
            });
        }
        shares.into_iter().flat_map(|(_, signed)| signed).collect()
    }

    fn add_to_group(&mut self, signed: Vec<Signed>, waiting: Vec<(oneshot::Sender<Outcome>, usize)>) {
        let mut signed = signed.into_iter();
        for (reply, events) in waiting {
            let mut receipts = Vec::with_capacity(events);
            for one in signed.by_ref().take(events) {
                receipts.push(Receipt::of(&one.entry, false));
                self.add_entry(one);
            }
            self.group.waiting.push(Waiting { reply, receipts });
        }
    }

    fn add_entry(&mut self, signed: Signed) {
        let group = &mut self.group;
        let position = signed.entry.position().get();
        if group.ends.is_empty() {
            group.first = position;
        }
        let mark = Mark {
            last_of_append: signed.last_of_append,
            number_in_group: u32::try_from(group.ends.len()).unwrap_or(u32::MAX),
        };
        write_frame(&mut group.frames, signed.entry.stored(), mark);
        group.ends.push(u32::try_from(group.frames.len()).unwrap_or(u32::MAX));
        group.leaves.push(signed.entry.leaf());
        self.core.index.add(position, &signed.rows);
        self.in_flight.push_back(signed.entry);
    }
}

fn sign((entry, last_of_append): (UnsignedEntry, bool), keys: &LedgerKeys) -> Result<Signed, SignError> {
    let entry = entry.sign(&keys.events)?;
    let mut rows = Vec::with_capacity(3 + entry.links().len());
    rows_of(&entry, |row| rows.push(row));
    Ok(Signed { entry, rows, last_of_append })
}

/// An index that cannot answer now is a reason to come back, not to guess.
fn busy(error: ReadError) -> AppendError {
    match error {
        ReadError::IndexUnavailable => AppendError::Busy { retry_after: Duration::from_secs(1) },
        other => AppendError::Stopped { reason: other.to_string() },
    }
}
