//! The bounded queue before the sequencer, and the signal that the writer is free.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::AppendError;
use crate::{entry::Draft, receipt::Receipt, signer::LedgerKeys};

/// What an append gives back.
pub(crate) type Outcome = Result<Vec<Receipt>, AppendError>;

/// Something for the sequencer to do.
pub(crate) enum Request {
    /// Append drafts.
    Append { drafts: Vec<Draft>, bytes: usize, reply: oneshot::Sender<Outcome> },
    /// Sign with other keys from the next event on.
    Keys(Arc<LedgerKeys>),
}

/// See the module.
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
    appends_max: usize,
    bytes_max: usize,
}

struct State {
    queue: VecDeque<Request>,
    bytes: usize,
    /// Set when the writer waits for a group, with what the last one taught.
    idle: Option<Idle>,
    flush_typical: Duration,
    /// Appends that are worth waking the sequencer for while the writer is at work.
    wake_at: usize,
    spare: Vec<u8>,
    /// Somebody came while the writer was at work.
    crowded: bool,
    closed: bool,
    /// Nothing more is written, not even what is queued.
    broken: bool,
    stopped: Option<String>,
}

/// The writer waits since then.
#[derive(Debug, Clone, Copy)]
struct Idle {
    since: Instant,
    /// Appends in the group that was flushed last.
    appends: usize,
}

/// What the sequencer is to do next.
pub(crate) enum Next {
    /// These requests have come.
    Prepare(Vec<Request>),
    /// The writer is free and the group is worth a flush. `alone`: only one append waits, and none came during the last
    /// flush.
    Write {
        alone: bool,
        /// Memory of the group before, to be used again: fresh memory costs a page fault every 4 KiB.
        spare: Vec<u8>,
    },
    /// Nothing more will come.
    End,
}

/// Share of a flush that a group may wait for those who are about to come back, in percent: waiting that long costs
/// little, and two half groups cost a whole flush more.
const GATHER_PERCENT: u32 = 15;

/// How often the sequencer is woken while the group before is flushed, about: fewer, and preparing would not be done
/// when the flush is.
const WAKES_A_GROUP: usize = 4;
/// The events of so many appends take about as long to prepare as a quick disk takes to flush.
const WAKE_AT_MAX: usize = 32;

impl Inbox {
    pub(crate) fn new(appends_max: usize, bytes_max: usize) -> Self {
        let idle = Idle { since: Instant::now(), appends: 0 };
        Self {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                bytes: 0,
                idle: Some(idle),
                flush_typical: Duration::ZERO,
                wake_at: 1,
                spare: Vec::new(),
                crowded: false,
                closed: false,
                broken: false,
                stopped: None,
            }),
            changed: Condvar::new(),
            appends_max,
            bytes_max,
        }
    }

    /// Queues a request, or refuses at once.
    pub(crate) fn push(&self, request: Request) -> Result<(), AppendError> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.stopped {
            let reason = reason.clone();
            return Err(AppendError::Stopped { reason });
        }
        if let Request::Append { bytes, .. } = &request {
            let full = state.queue.len() >= self.appends_max || state.bytes + bytes > self.bytes_max;
            if full && !state.queue.is_empty() {
                // A group takes about a flush; the queue holds a few.
                let retry_after = (state.flush_typical * 8).max(Duration::from_millis(20));
                return Err(AppendError::Busy { retry_after });
            }
            state.bytes += bytes;
        }
        let flushing = state.idle.is_none();
        state.crowded |= flushing;
        state.queue.push_back(request);
        // Whoever drains takes all, so only the first to come need wake it. While the writer is at work there is time
        // to let a few come: waking a thread costs as much as signing an event.
        let enough = if flushing { state.wake_at } else { 1 };
        let wake = state.queue.len() == enough;
        drop(state);
        if wake {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for something to do; `held` is the number of appends in the group that is being prepared, `room` whether
    /// it may grow.
    pub(crate) fn next(&self, held: usize, room: bool) -> Next {
        let mut state = self.state.lock();
        loop {
            if state.broken {
                return Next::End;
            }
            if room && !state.queue.is_empty() {
                state.bytes = 0;
                return Next::Prepare(state.queue.drain(..).collect());
            }
            let mut deadline = None;
            if held > 0
                && let Some(idle) = state.idle
            {
                let until = idle.since + state.flush_typical * GATHER_PERCENT / 100;
                if !room || held >= idle.appends || Instant::now() >= until || state.closed {
                    state.idle = None;
                    let alone = held == 1 && !state.crowded;
                    state.crowded = false;
                    return Next::Write { alone, spare: std::mem::take(&mut state.spare) };
                }
                deadline = Some(until);
            }
            if state.closed && held == 0 {
                return Next::End;
            }
            match deadline {
                Some(deadline) => {
                    self.changed.wait_until(&mut state, deadline);
                }
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// The writer has flushed a group of so many appends in that time and is free. `spare` is memory that it needs no
    /// more.
    pub(crate) fn writer_is_free(&self, appends: usize, flush: Duration, mut spare: Vec<u8>) {
        spare.clear();
        let mut state = self.state.lock();
        // A moving average that follows within a few flushes.
        let typical = state.flush_typical;
        state.flush_typical = match typical {
            Duration::ZERO => flush,
            typical => (typical * 7 + flush) / 8,
        };
        state.idle = Some(Idle { since: Instant::now(), appends });
        state.spare = spare;
        state.wake_at = (appends / WAKES_A_GROUP).clamp(1, WAKE_AT_MAX);
        drop(state);
        self.changed.notify_one();
    }

    /// No more requests; what is queued is still done.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.stopped.get_or_insert_with(|| "it was closed".into());
        drop(state);
        self.changed.notify_all();
    }

    /// Stops at once, for good: everybody who waits is told.
    pub(crate) fn stop(&self, reason: &str) {
        let mut state = self.state.lock();
        state.closed = true;
        state.broken = true;
        state.stopped = Some(reason.to_owned());
        let waiting: Vec<Request> = state.queue.drain(..).collect();
        drop(state);
        self.changed.notify_all();
        for request in waiting {
            if let Request::Append { reply, .. } = request {
                let reason = reason.to_owned();
                // Whoever has gone does not wait for the answer.
                let _ = reply.send(Err(AppendError::Stopped { reason }));
            }
        }
    }

    /// Why no more can be appended.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.state.lock().stopped.clone()
    }
}
