//! Carrying a command out: load, decide, append with the expected version, and again if somebody was faster.
//!
//! What blocks (reading streams, the key store, sealing) runs on tokio's blocking threads; the wait for the disk is
//! asynchronous, so that many commands share one flush and none holds a thread meanwhile. The methods therefore need a
//! tokio runtime; a tool without one makes a runtime and blocks on it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use wardbook_events::access::AccessEvent;
use wardbook_events::identity::IdentityEvent;
use wardbook_events::{Encoded, Event, Meta, Outcome};
use wardbook_keys::{KeyUse, Keys};
use wardbook_ledger::{
    AppendError, Direction, Draft, Entry, EventId, ExpectedVersion, Ledger, Payload, Receipt, StreamId, SubjectId,
};

use crate::context::{Context, Evolve};
use crate::error::CommandError;
use crate::memory::Memory;
use crate::origin::Origin;
use crate::rejection::Rejection;
use crate::route::route;

/// How often a command is decided anew when somebody was faster. Each time somebody else came through, so as many as
/// this can write to one stream at the same time before the unluckiest is told to try again.
const RETRIES_MAX: u32 = 32;
/// Events read at a time.
const PAGE: usize = 256;
/// Between two looks whether the faster one's events are durable, and how many looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LOOKS_MAX: u32 = 1000;

/// The write side. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Commands(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    keys: Keys,
    memory: Memory,
}

/// A command that was carried out, now or at its first try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done<T> {
    /// What the command gives.
    pub value: T,
    /// Receipts of its events in order; none if nothing had to change.
    pub receipts: Vec<Receipt>,
    /// Version of the stream that the command is about, for `ETag` and `If-Match`.
    pub stream_version: u64,
}

/// What a command is about, besides its own content.
pub(crate) struct Task<T> {
    pub context: Context,
    pub origin: Origin,
    /// The stream whose version the caller gets, and may expect.
    pub stream: String,
    /// `If-Match`.
    pub expected: Option<u64>,
    /// Bytes by which the same command is known again.
    pub bytes: Vec<u8>,
    /// What it gives.
    pub value: T,
}

/// Loads the streams that one attempt decides on, and notes at which version.
pub(crate) struct Desk<'a> {
    pub keys: &'a Keys,
    commands: &'a Commands,
    loaded: BTreeMap<String, u64>,
}

impl Desk<'_> {
    /// The state of a stream as it is now.
    pub(crate) fn load<S: Evolve>(&mut self, stream: &str) -> Result<Arc<S>, CommandError> {
        let (version, state) = self.commands.load(stream)?;
        self.loaded.insert(stream.to_owned(), version);
        Ok(state)
    }
}

/// What an attempt came to.
enum Attempt {
    Append(Vec<Draft>),
    Nothing { stream_version: u64 },
}

impl Commands {
    /// Over an open ledger and key store.
    #[must_use]
    pub fn new(ledger: Ledger, keys: Keys) -> Self {
        Self(Arc::new(Inner { ledger, keys, memory: Memory::default() }))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Carries a task out. `decide` may run several times, each time on the states as they are then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: Task<T>,
        decide: impl Fn(&mut Desk<'_>) -> Result<Vec<Event>, CommandError> + Send + Sync + 'static,
    ) -> Result<Done<T>, CommandError> {
        let Task { context, origin, stream, expected, bytes, value } = task;
        let (job, origin) = (Arc::new((stream, bytes, decide)), Arc::new(origin));
        for _ in 0..=RETRIES_MAX {
            // What is sealed or indexed here is so by the versions of now.
            let using = self.0.keys.use_keys(context.tenant);
            let (commands, from, shared) = (self.clone(), Arc::clone(&origin), Arc::clone(&job));
            let attempt = blocking(move || {
                let (stream, bytes, decide) = &*shared;
                commands.attempt(&context, &from, stream, expected, bytes, decide)
            });
            let drafts = match attempt.await? {
                Attempt::Append(drafts) => drafts,
                Attempt::Nothing { stream_version } => return Ok(Done { value, receipts: Vec::new(), stream_version }),
            };
            match self.append_using(drafts, using).await? {
                Ok(receipts) => {
                    let of_stream = receipts.iter().rev().find(|receipt| receipt.stream().as_str() == job.0);
                    let stream_version = of_stream.map(Receipt::stream_version);
                    let stream_version =
                        stream_version.ok_or(CommandError::Internal("no event in the command's own stream"))?;
                    return Ok(Done { value, receipts, stream_version });
                }
                Err(AppendError::WrongExpectedVersion { stream, actual, .. }) => self.catch_up(stream, actual).await?,
                // The same key at the same time: the other one's events are durable soon, and then this is a retry.
                Err(AppendError::IdConflict { .. }) if origin.idempotency.is_some() => {
                    tokio::time::sleep(LOOK_EVERY).await
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(CommandError::Contended)
    }

    /// Appends in a task of its own: also if nobody waits for the answer any more, the keys are in use until it is durable.
    async fn append_using(
        &self,
        drafts: Vec<Draft>,
        using: KeyUse,
    ) -> Result<Result<Vec<Receipt>, AppendError>, CommandError> {
        let ledger = self.ledger().clone();
        let task = tokio::spawn(async move {
            let appended = ledger.append(drafts).await;
            drop(using);
            appended
        });
        task.await.map_err(|_| CommandError::Internal("an append did not end"))
    }

    fn attempt(
        &self,
        context: &Context,
        origin: &Origin,
        stream: &str,
        expected: Option<u64>,
        bytes: &[u8],
        decide: impl Fn(&mut Desk<'_>) -> Result<Vec<Event>, CommandError>,
    ) -> Result<Attempt, CommandError> {
        if let Some(reason) = self.ledger().stopped() {
            return Err(CommandError::Stopped { reason });
        }
        let command = match origin.idempotency {
            Some(_) => Some(self.0.keys.command_digest(context.tenant, bytes)?),
            None => None,
        };
        if let Some(command) = &command {
            let done = self.done_before(context, origin, command)?;
            if !done.is_empty() {
                return Ok(Attempt::Append(done));
            }
        }
        let attempt = self.decided(context, origin, stream, expected, command.clone(), decide);
        match (&command, &attempt) {
            // The same request may have come through since we looked: then the refusal is of its own events.
            (Some(command), Err(_) | Ok(Attempt::Nothing { .. })) => {
                let done = self.done_before(context, origin, command)?;
                if done.is_empty() { attempt } else { Ok(Attempt::Append(done)) }
            }
            _ => attempt,
        }
    }

    fn decided(
        &self,
        context: &Context,
        origin: &Origin,
        stream: &str,
        expected: Option<u64>,
        command: Option<String>,
        decide: impl Fn(&mut Desk<'_>) -> Result<Vec<Event>, CommandError>,
    ) -> Result<Attempt, CommandError> {
        let mut desk = Desk { keys: &self.0.keys, commands: self, loaded: BTreeMap::new() };
        if let Some(expected) = expected {
            let actual = self.ledger().stream_version(&stream_id(stream)?)?;
            if actual != expected {
                return Err(CommandError::WrongVersion { expected, actual });
            }
        }
        let events = decide(&mut desk)?;
        let loaded = desk.loaded;
        // The caller's version must be the one that was decided on, or a change between the two looks would be lost.
        let version_of = |name: &str| loaded.get(name).copied();
        match (expected, version_of(stream)) {
            (Some(expected), Some(actual)) if actual != expected => {
                return Err(CommandError::WrongVersion { expected, actual });
            }
            (_, actual) if events.is_empty() => {
                return Ok(Attempt::Nothing { stream_version: actual.unwrap_or_default() });
            }
            _ => {}
        }
        let mut drafts = Vec::with_capacity(events.len());
        for (event, index) in events.iter().zip(0..) {
            let version = version_of(&route(event, context.tenant).stream);
            let id = origin.ids(context.tenant).event(index);
            drafts.push(draft(event, id, context, origin, command.clone(), version)?);
        }
        Ok(Attempt::Append(drafts))
    }

    /// The events of the first try under the same idempotency key, as drafts: appending them again gives their receipts.
    fn done_before(&self, context: &Context, origin: &Origin, command: &str) -> Result<Vec<Draft>, CommandError> {
        let ids = origin.ids(context.tenant);
        let Some(first) = self.ledger().find(&EventId::from_bytes(*ids.event(0).bytes()))? else {
            return Ok(Vec::new());
        };
        let meta: Option<Meta> = serde_json::from_slice(first.meta()).ok();
        if meta.and_then(|meta| meta.command).as_deref() != Some(command) {
            return Err(Rejection::KeyReused.into());
        }
        let mut position = first.position();
        let mut drafts = vec![drafted(&first)];
        for index in 1_u32.. {
            position = position.next();
            match self.ledger().read(position)? {
                Some(entry) if entry.id().as_bytes() == ids.event(index).bytes() => drafts.push(drafted(&entry)),
                _ => break,
            }
        }
        Ok(drafts)
    }

    /// The sequencer knows of events that are not durable yet; deciding before they are would only fail again.
    async fn catch_up(&self, stream: StreamId, version: u64) -> Result<(), CommandError> {
        for _ in 0..LOOKS_MAX {
            let (commands, stream) = (self.clone(), stream.clone());
            if blocking(move || Ok(commands.ledger().stream_version(&stream)?)).await? >= version {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(CommandError::Contended)
    }

    fn load<S: Evolve>(&self, stream: &str) -> Result<(u64, Arc<S>), CommandError> {
        let id = stream_id(stream)?;
        let recalled = if S::REMEMBERED { self.0.memory.recall::<S>(stream) } else { None };
        let (known, mut state) = recalled.unwrap_or_default();
        let mut version = known;
        loop {
            let entries = self.ledger().stream(&id, version + 1, Direction::Forward, PAGE)?;
            for entry in &entries {
                let event = Event::decode(entry.event_type().as_str(), entry.schema_version(), entry.body())?;
                let at = jiff::Timestamp::from_microsecond(entry.recorded_at().0).unwrap_or(jiff::Timestamp::MIN);
                state = Arc::new(Arc::unwrap_or_clone(state).evolve_at(&event, at));
                version = entry.stream_version();
            }
            if entries.len() < PAGE {
                break;
            }
        }
        if S::REMEMBERED && version > known {
            self.0.memory.remember(stream, version, Arc::clone(&state));
        }
        Ok((version, state))
    }

    /// The events of these receipts as they stand in the ledger: what a command came to, also at its first try.
    pub(crate) async fn events_of(&self, receipts: &[Receipt]) -> Result<Vec<Event>, CommandError> {
        let (commands, positions) = (self.clone(), receipts.iter().map(Receipt::position).collect::<Vec<_>>());
        blocking(move || {
            let events = positions.into_iter().map(|position| {
                let entry = commands.ledger().read(position)?;
                let entry = entry.ok_or(CommandError::Internal("a receipt without an entry"))?;
                Ok(Event::decode(entry.event_type().as_str(), entry.schema_version(), entry.body())?)
            });
            events.collect()
        })
        .await
    }

    /// Appends one event that rests on no state: no stream is read, no version expected. The hot path.
    pub(crate) async fn append_one(
        &self,
        event: Event,
        id: wardbook_events::EventId,
        context: &Context,
        origin: &Origin,
    ) -> Result<Receipt, CommandError> {
        let draft = draft(&event, id, context, origin, None, None)?;
        let receipts = self.ledger().append(vec![draft]).await?;
        receipts.into_iter().next().ok_or(CommandError::Internal("an append without a receipt"))
    }
}

/// Runs what blocks away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(CommandError::Internal("a blocking task did not end")),
    }
}

fn stream_id(name: &str) -> Result<StreamId, CommandError> {
    name.parse().map_err(|_| CommandError::Internal("a stream's name has a wrong form"))
}

fn draft(
    event: &Event,
    id: wardbook_events::EventId,
    context: &Context,
    origin: &Origin,
    command: Option<String>,
    version: Option<u64>,
) -> Result<Draft, CommandError> {
    let to = route(event, context.tenant);
    let meta = origin.meta(context.tenant, outcome(event), command);
    let encoded =
        Encoded::new(event, &meta, &origin.client).map_err(|_| CommandError::Internal("an event has no json form"))?;
    Ok(Draft {
        id: EventId::from_bytes(*id.bytes()),
        stream: stream_id(&to.stream)?,
        expected: match version {
            Some(0) => ExpectedVersion::NoStream,
            Some(version) => ExpectedVersion::Exact(version),
            None => ExpectedVersion::Any,
        },
        event_type: encoded.kind.parse().map_err(|_| CommandError::Internal("an event type has a wrong form"))?,
        schema_version: encoded.version,
        subjects: to.subjects.iter().map(|patient| SubjectId::from_bytes(*patient.bytes())).collect(),
        payload: Payload { meta: encoded.meta, client: encoded.client, body: encoded.body },
    })
}

/// The draft that an entry was made from. What was expected then no longer counts: the ledger knows the ids.
fn drafted(entry: &Entry) -> Draft {
    Draft {
        id: entry.id(),
        stream: entry.stream().clone(),
        expected: ExpectedVersion::Any,
        event_type: entry.event_type().clone(),
        schema_version: entry.schema_version(),
        subjects: entry.links().iter().map(|link| link.subject).collect(),
        payload: Payload { meta: entry.meta().to_vec(), client: entry.client().to_vec(), body: entry.body().to_vec() },
    }
}

/// How what the event tells of ended.
const fn outcome(event: &Event) -> Outcome {
    match event {
        Event::Access(AccessEvent::Denied(_)) => Outcome::Denied,
        Event::Access(AccessEvent::UnknownPatientRequested(_))
        | Event::Identity(IdentityEvent::LoginFailed(_) | IdentityEvent::StrangersCounted(_)) => Outcome::Failed,
        _ => Outcome::Success,
    }
}

impl<T> Task<T> {
    pub(crate) fn new(context: Context, origin: &Origin, stream: String, bytes: Vec<u8>, value: T) -> Self {
        Self { context, origin: origin.clone(), stream, expected: None, bytes, value }
    }
    pub(crate) fn expecting(self, expected: Option<u64>) -> Self {
        Self { expected, ..self }
    }
}
