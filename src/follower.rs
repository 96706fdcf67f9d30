//! Feeds the views from the ledger, on a thread of its own; rebuilds those that are damaged; attests their roots.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use wardbook_events::governance::{GovernanceEvent, ProjectionAttested};
use wardbook_events::{Actor, Client, CorrelationId, Event, EventId, Outcome, Recorded};
use wardbook_ledger::{Entry, Ledger, Position, Progress, Subscription};
use wardbook_projections::{Stretch, ViewError, ViewName, Views};

use crate::clock::{Chance, Clock};
use crate::config;
use crate::rebuild::{self, RebuildFailure, Rebuilds};
use crate::recorded::{self, EntryError};
use crate::strangers::system_meta;

/// Why the views could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowerError {
    /// A damaged view could not be rebuilt.
    #[error(transparent)]
    Rebuild(#[from] RebuildFailure),
    /// No thread.
    #[error("the follower's thread could not be started: {0}")]
    Thread(std::io::Error),
}

/// Why the follower ended, although nobody told it to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error("the ledger cannot be read: {0}")]
    Ledger(String),
}

/// The thread that feeds the views.
pub struct Follower {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    ledger: Ledger,
    views: Arc<Views>,
    chance: Chance,
    clock: Clock,
    stop: AtomicBool,
    failure: Mutex<Option<String>>,
    rebuilds: Rebuilds,
}

/// How often a follower without events looks whether it is to stop, or a view became ill.
const IDLE: Duration = Duration::from_millis(250);
/// How long events are gathered while nobody waits for them.
const GATHER: Duration = Duration::from_millis(4);

impl Follower {
    /// Rebuilds views that need it, brings all up to the end of the ledger, then starts to follow. Blocks until the views
    /// know everything that is durable now: a logout before a crash must hold after it.
    pub(crate) fn start(
        ledger: Ledger,
        views: Arc<Views>,
        config: &config::Views,
        chance: Chance,
        clock: Clock,
        progress: &dyn Progress,
    ) -> Result<Self, FollowerError> {
        let ailing = views.ailing();
        for one in &ailing {
            tracing::warn!(view = one.view.name(), reason = %one.reason, "rebuilding a view");
        }
        let ailing: Vec<_> = ailing.into_iter().map(|one| one.view).collect();
        for (_, swapped) in rebuild::several(&ledger, &views, &ailing, false, progress)? {
            swapped?;
        }
        let shared = Arc::new(Shared {
            ledger,
            views,
            chance,
            clock,
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            rebuilds: Rebuilds::default(),
        });
        if let Err(error) = shared.catch_up(config.batch_events_max, progress) {
            // The thread meets it again, and keeps it for those who ask for the views' health.
            tracing::error!(%error, "the views could not be brought up to the ledger");
        }
        let (follower, config) = (Arc::clone(&shared), config.clone());
        let thread = std::thread::Builder::new().name("follower".into()).spawn(move || follower.run(&config));
        Ok(Self { shared, thread: Mutex::new(Some(thread.map_err(FollowerError::Thread)?)) })
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the follower panicked");
        }
    }

    /// What ended it, if something went wrong: the views do not move any more.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.shared.failure.lock().clone()
    }

    /// Rebuilds under way and done.
    #[must_use]
    pub fn rebuilds(&self) -> &Rebuilds {
        &self.shared.rebuilds
    }

    /// Starts to rebuild a view beside the live one, on a thread of its own. `false` if that view is being rebuilt.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start_rebuild(&self, view: ViewName, afresh: bool) -> std::io::Result<bool> {
        self.shared.start_rebuild(view, afresh)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(self: &Arc<Self>, config: &config::Views) {
        if let Err(failure) = self.follow(config) {
            tracing::error!(%failure, "the views do not follow the ledger any more: restart after mending it");
            *self.failure.lock() = Some(failure.to_string());
        }
    }

    /// Feeds what is durable now.
    fn catch_up(&self, max: usize, progress: &dyn Progress) -> Result<(), Failure> {
        let head = self.ledger.head().durable;
        let from = self.views.position();
        let mut subscription = self.ledger.subscribe(Position(from));
        while subscription.position().get() < head && self.feed(&mut subscription, max)?.is_some() {
            progress.advance("views", subscription.position().get() - from, head - from);
        }
        Ok(())
    }

    fn follow(self: &Arc<Self>, config: &config::Views) -> Result<(), Failure> {
        let mut subscription = self.ledger.subscribe(Position(self.views.position()));
        let mut since_attested = 0;
        while !self.stop.load(Ordering::Acquire) {
            let Some(events) = self.feed(&mut subscription, config.batch_events_max)? else { return Ok(()) };
            // Attestations do not count towards the next one: a quiet log stays quiet.
            since_attested += events.iter().filter(|event| !matches!(event.event, Event::Governance(_))).count() as u64;
            if config.attest_every_events > 0 && since_attested >= config.attest_every_events {
                since_attested = 0;
                self.attest();
            }
            if events.is_empty() {
                self.heal();
            }
        }
        Ok(())
    }

    /// Feeds the next events to the views; `None` when the ledger was closed.
    fn feed(&self, subscription: &mut Subscription, max: usize) -> Result<Option<Vec<Recorded>>, Failure> {
        let from = subscription.position().get();
        let Some(mut entries) = next(subscription, max, IDLE)? else { return Ok(None) };
        if !entries.is_empty() && entries.len() < max {
            self.views.lull(GATHER);
            // That the ledger was closed meanwhile is noticed the next time.
            entries.extend(next(subscription, max - entries.len(), Duration::ZERO)?.unwrap_or_default());
        }
        let to = subscription.position().get();
        let events = recorded::decode_all(&entries)?;
        if to > from {
            self.views.apply(Stretch::new(from, &events, to))?;
        }
        Ok(Some(events))
    }

    /// Writes down the state root of every view: what a later rebuild is held against.
    fn attest(&self) {
        for (view, standing) in self.views.standings() {
            let Ok(standing) = standing else { continue };
            let fact = ProjectionAttested {
                view: view.name().to_owned(),
                log_size: standing.position,
                code_version: view.code_version(),
                root: standing.root.to_string(),
            };
            if let Err(error) = append(&self.ledger, &self.chance, &self.clock, fact.into()) {
                // Nothing is lost: the next attestation says the same and more.
                tracing::warn!(%error, "a view was not attested");
                return;
            }
        }
    }

    /// Views that became ill while running are rebuilt beside the others, which go on.
    fn heal(self: &Arc<Self>) {
        for ailing in self.views.ailing() {
            match self.start_rebuild(ailing.view, true) {
                Ok(true) => tracing::warn!(view = ailing.view.name(), reason = %ailing.reason, "rebuilding a view"),
                Ok(false) => {}
                Err(error) => tracing::error!(view = ailing.view.name(), %error, "a rebuild could not be started"),
            }
        }
    }

    fn start_rebuild(self: &Arc<Self>, view: ViewName, afresh: bool) -> std::io::Result<bool> {
        if !self.rebuilds.begin(view, self.clock.now()) {
            return Ok(false);
        }
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("rebuild-{}", view.name())).spawn(move || {
            let result = rebuild::run(&shared.ledger, &shared.views, view, afresh, &shared.rebuilds.progress(view));
            if let Ok(swapped) = &result {
                let fact = wardbook_events::governance::ProjectionRebuilt {
                    view: swapped.view.to_owned(),
                    log_size: swapped.standing.position,
                    root: swapped.standing.root.to_string(),
                };
                if let Err(error) = append(&shared.ledger, &shared.chance, &shared.clock, fact.into()) {
                    tracing::warn!(%error, "a rebuild was not written into the ledger");
                }
            }
            shared.rebuilds.end(view, result);
        });
        if let Err(error) = thread {
            self.rebuilds.forget(view);
            return Err(error);
        }
        Ok(true)
    }
}

/// The next entries, none if there are none in time; `None` when the ledger was closed.
fn next(subscription: &mut Subscription, max: usize, timeout: Duration) -> Result<Option<Vec<Entry>>, Failure> {
    match subscription.next_batch_blocking(max, timeout) {
        Ok(entries) => Ok(Some(entries)),
        Err(wardbook_ledger::SubscriptionError::Stopped) => Ok(None),
        Err(error) => Err(Failure::Ledger(error.to_string())),
    }
}

fn append(
    ledger: &Ledger,
    chance: &Chance,
    clock: &Clock,
    fact: GovernanceEvent,
) -> Result<(), crate::disclosure::Refusal> {
    let id = chance.uuid(clock.now())?;
    let meta = system_meta(Actor::SYSTEM, Outcome::Success, CorrelationId::new(id));
    let draft = crate::app::draft(EventId::new(id), &Event::from(fact), &meta, &Client::default(), &[])?;
    ledger.append_blocking(vec![draft])?;
    Ok(())
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Follower(..)")
    }
}
