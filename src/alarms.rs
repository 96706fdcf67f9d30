//! What security and privacy officers are told: raised from what stands in the ledger, delivered, and never forgotten.
//!
//! One thread reads the ledger behind the views and raises alerts; each is an event whose id follows from the event that
//! caused it, so reading a stretch twice, after a restart, raises nothing twice. Another thread delivers what the view
//! of alerts says reached nobody yet. Neither holds up an answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use wardbook_events::access::AccessEvent;
use wardbook_events::alerts::AlertKind;
use wardbook_events::break_glass::BreakGlassEvent;
use wardbook_events::{Event, EventId, PatientId, Recorded};
use wardbook_keys::Keys;
use wardbook_ledger::{AppendError, Entry, Ledger, Position, SubscriptionError};
use wardbook_policy::{Obligation, Policies};
use wardbook_projections::{ViewError, Views};

use crate::clock::Clock;
use crate::config;
use crate::notify::Notifier;
use crate::recorded;

mod delivery;
mod raise;
mod rules;

pub use rules::{Alarm, Facts, alarm};

/// What the threads work with.
pub(crate) struct Parts {
    pub ledger: Ledger,
    pub views: Arc<Views>,
    pub policies: Policies,
    pub keys: Keys,
    pub notifier: Notifier,
    pub clock: Clock,
    pub config: config::Alerts,
    /// Where it is written down how far the ledger was read.
    pub dir: PathBuf,
}

/// The two threads.
pub struct Alarms {
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Events read at a time.
const BATCH: usize = 1_024;
/// How often a thread without work looks whether it is to stop, and what is overdue.
const IDLE: Duration = Duration::from_millis(100);
/// Between two looks whether the views have come as far as the ledger was read.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// How far the ledger was read is written down at most so often; what was read since is read again after a crash.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// What is older when it is read raises no alarm any more.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Overdue reviews looked at in one sweep.
const OVERDUE_MAX: usize = 100;

impl Alarms {
    /// Starts the threads.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub(crate) fn start(parts: Parts) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let parts = Arc::new(parts);
        let (reader, ends) = (Reader { parts: Arc::clone(&parts), stop: Arc::clone(&stop) }, Arc::clone(&stop));
        let raising = std::thread::Builder::new().name("alarms".into()).spawn(move || reader.run())?;
        let alarms = Self { stop, threads: Mutex::new(vec![raising]) };
        let delivering =
            std::thread::Builder::new().name("alerts".into()).spawn(move || delivery::run(&parts, &ends))?;
        alarms.threads.lock().push(delivering);
        Ok(alarms)
    }

    /// Ends the threads and waits for them. What is not delivered yet is delivered after the next start.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a thread of the alarms panicked");
            }
        }
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Alarms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alarms(..)")
    }
}

/// Why a stretch was not read to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Encode(#[from] crate::disclosure::Refusal),
}

struct Reader {
    parts: Arc<Parts>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn run(&self) {
        let Parts { ledger, dir, clock, .. } = &*self.parts;
        let mut noted = Noted::load(dir);
        // An older ledger than the one the note was made about: everything that stands in it was read.
        let from = noted.position.min(ledger.head().durable);
        let mut subscription = ledger.subscribe(Position(from));
        let mut judged_up_to = Timestamp::UNIX_EPOCH;
        while !self.stopping() {
            let entries = match subscription.next_batch_blocking(BATCH, IDLE) {
                Ok(entries) => entries,
                Err(SubscriptionError::Stopped) => break,
                Err(error) => {
                    tracing::error!(%error, "alarms are raised no more: the ledger cannot be read");
                    break;
                }
            };
            let to = subscription.position().get();
            // Facts must not be older than the events that are judged by them.
            if !self.wait_for_views(to) || !entries.iter().all(|entry| self.until_done(|| self.judge(entry))) {
                break;
            }
            noted.note(to, false);
            let now = clock.now();
            if self.until_done(|| self.sweep(judged_up_to, now)) {
                judged_up_to = now;
            }
        }
        noted.note(noted.position, true);
    }

    /// Waits without asking the views to hurry: nobody waits for an answer here. `false` if it is time to stop.
    fn wait_for_views(&self, position: u64) -> bool {
        while self.parts.views.position() < position {
            if self.stopping() {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }

    /// Tries until it succeeds; `false` if it is time to stop, or nothing can be written any more.
    fn until_done(&self, work: impl Fn() -> Result<(), Failure>) -> bool {
        loop {
            match work() {
                Ok(()) => return true,
                Err(Failure::Append(AppendError::Stopped { .. })) => return false,
                Err(error) if self.stopping() => {
                    tracing::warn!(%error, "an alarm was not raised: the next start makes up for it");
                    return false;
                }
                Err(error) => {
                    tracing::warn!(%error, "an alarm was not raised: trying again");
                    std::thread::sleep(IDLE);
                }
            }
        }
    }

    fn judge(&self, entry: &Entry) -> Result<(), Failure> {
        let recorded_at = Timestamp::from_microsecond(entry.recorded_at().get()).unwrap_or(Timestamp::UNIX_EPOCH);
        if !rules::may_matter(entry.event_type().as_str())
            || self.parts.clock.now().duration_since(recorded_at) > AGE_MAX
        {
            return Ok(());
        }
        let recorded = match recorded::decode(entry) {
            Ok(Some(recorded)) => recorded,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(%error, "an event raises no alarm because it cannot be read");
                return Ok(());
            }
        };
        match alarm(&recorded, &self.facts(&recorded)?) {
            Some(alarm) => raise::raise(&self.parts.ledger, &alarm),
            None => Ok(()),
        }
    }

    /// What the views and the policies know about an event.
    fn facts(&self, recorded: &Recorded) -> Result<Facts, Failure> {
        let (views, policies) = (&self.parts.views, &self.parts.policies);
        let mut facts = Facts::default();
        for patient in concerned(&recorded.event) {
            let Some(known) = views.patient_facts(*patient)? else { continue };
            facts.watched |= known.facts.vip;
            facts.decoy |= known.facts.decoy;
        }
        facts.obliged =
            grounds(&recorded.event).iter().any(|policy| policies.obliges(policy, Obligation::NotifyPrivacyOfficer));
        if let Event::BreakGlass(BreakGlassEvent::Reviewed(e)) = &recorded.event {
            facts.offender = views.break_glass.get(e.emergency)?.map(|emergency| emergency.user);
        }
        Ok(facts)
    }

    /// Raises alarms about reviews that became overdue since the last sweep; after a start, about all that are.
    fn sweep(&self, since: Timestamp, now: Timestamp) -> Result<(), Failure> {
        let mut since = since;
        loop {
            let overdue = self.parts.views.break_glass.unjudged(since..now, OVERDUE_MAX)?;
            for emergency in &overdue {
                // An emergency has the id of the event that began it.
                let cause = EventId::new(emergency.emergency.uuid());
                let alarm = Alarm {
                    kind: AlertKind::BreakGlassOverdue,
                    severity: rules::OVERDUE,
                    cause,
                    correlation: None,
                    tenant: emergency.tenant,
                    user: Some(emergency.user),
                    patient: Some(emergency.patient),
                };
                if self.parts.views.alerts.get(raise::alert_id(&alarm))?.is_none() {
                    raise::raise(&self.parts.ledger, &alarm)?;
                }
            }
            match overdue.last() {
                Some(last) if overdue.len() == OVERDUE_MAX && last.review_due_at > since => since = last.review_due_at,
                _ => return Ok(()),
            }
        }
    }
}

/// The patients whom somebody looked at, or tried to.
fn concerned(event: &Event) -> &[PatientId] {
    use std::slice::from_ref;
    match event {
        Event::Access(AccessEvent::ChartOpened(e)) => from_ref(&e.patient),
        Event::Access(AccessEvent::RecordsOpened(e)) => from_ref(&e.patient),
        Event::Access(AccessEvent::DocumentOpened(e)) => from_ref(&e.patient),
        Event::Access(AccessEvent::PatientsSearched(e)) => &e.found,
        Event::Access(AccessEvent::Denied(e)) => e.patient.as_slice(),
        Event::BreakGlass(BreakGlassEvent::Started(e)) => from_ref(&e.patient),
        Event::Patient(wardbook_events::patients::PatientEvent::Corrected(e)) => from_ref(&e.patient),
        Event::CareTeam(wardbook_events::care_teams::CareTeamEvent::MemberAssigned(e)) => from_ref(&e.patient),
        _ => &[],
    }
}

/// The policies that had their say.
fn grounds(event: &Event) -> &[String] {
    match event {
        Event::Access(AccessEvent::ChartOpened(e)) => &e.grounds.policies,
        Event::Access(AccessEvent::RecordsOpened(e)) => &e.grounds.policies,
        Event::Access(AccessEvent::DocumentOpened(e)) => &e.grounds.policies,
        Event::Access(AccessEvent::PatientsSearched(e)) => &e.grounds.policies,
        Event::Access(AccessEvent::Denied(e)) => &e.policies,
        _ => &[],
    }
}

/// How far the ledger was read, in a file among the views: it goes where they go, and may be lost.
struct Noted {
    path: PathBuf,
    position: u64,
    written: (u64, Instant),
}

impl Noted {
    fn load(dir: &Path) -> Self {
        let path = dir.join("alarms.position");
        let position = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self { path, position, written: (position, Instant::now()) }
    }
    fn note(&mut self, position: u64, at_once: bool) {
        self.position = position;
        let (written, when) = self.written;
        if written == position || !(at_once || when.elapsed() >= NOTE_EVERY) {
            return;
        }
        // Written beside and moved, so that there is never half a number.
        let draft = self.path.with_extension("new");
        let done = std::fs::write(&draft, format!("{position}\n")).and_then(|()| std::fs::rename(&draft, &self.path));
        match done {
            Ok(()) => self.written = (position, Instant::now()),
            Err(error) => tracing::warn!(%error, "how far alarms were raised was not written down"),
        }
    }
}
