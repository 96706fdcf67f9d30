//! What is being done with keys in this process: progress for who asks, one hand at a time, and an end when the program ends.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_events::{TenantId, UserId};

use super::KeyringError;
use crate::app::App;

/// Whose keys: an organisation's, or those of all under the root key.
pub type Scope = Option<TenantId>;

/// What is being done, or was done last since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KeyJob)]
pub struct Job {
    /// `rewrap`, `rotate-patients`, `reindex` or `contain`.
    pub what: &'static str,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// Keys through.
    pub done: u64,
    /// Keys left, as far as was known when it began.
    pub left: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The work on keys in this process.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    jobs: Mutex<BTreeMap<Scope, Job>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Whoever wraps anew holds this: two would only be in each other's way.
    alone: Mutex<()>,
    counted_from: Mutex<Timestamp>,
    /// Who had values opened from outside the networks of the settings since then.
    outside: Mutex<HashSet<UserId>>,
    stop: AtomicBool,
}

impl Keyring {
    /// Nothing is being done; uses count from now.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Inner {
            jobs: Mutex::default(),
            threads: Mutex::default(),
            alone: Mutex::default(),
            counted_from: Mutex::new(now),
            outside: Mutex::default(),
            stop: AtomicBool::new(false),
        }))
    }

    /// What is being done in a scope, or was done last.
    #[must_use]
    pub fn job(&self, scope: Scope) -> Option<Job> {
        self.0.jobs.lock().get(&scope).cloned()
    }

    /// Whether it is time to come to an end. Asked between two batches.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.stop.load(Ordering::Acquire)
    }

    /// Ends what is being done, after the batch it is at, and waits for it.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        let threads = std::mem::take(&mut *self.0.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that looked after keys panicked");
            }
        }
    }

    /// Does something in a scope and keeps its progress.
    ///
    /// # Errors
    /// [`KeyringError::Busy`], or what went wrong.
    pub fn within<T>(
        &self,
        scope: Scope,
        what: &'static str,
        work: impl FnOnce(&Progress) -> Result<T, KeyringError>,
    ) -> Result<T, KeyringError> {
        self.begin(scope, what)?;
        self.work(scope, work)
    }

    /// Begins something on a thread of its own.
    ///
    /// # Errors
    /// [`KeyringError::Busy`] if something is being done in this scope; if there is no thread to be had.
    pub fn start(
        &self,
        app: &App,
        scope: Scope,
        what: &'static str,
        work: impl FnOnce(&App, &Progress) -> Result<(), KeyringError> + Send + 'static,
    ) -> Result<(), KeyringError> {
        self.begin(scope, what)?;
        let (keyring, app) = (self.clone(), app.clone());
        let run = move || match keyring.work(scope, |progress| work(&app, progress)) {
            Ok(()) | Err(KeyringError::Stopping) => {}
            Err(error) => tracing::error!(what, %error, "keys are not through yet: it is tried again"),
        };
        match std::thread::Builder::new().name("keyring".into()).spawn(run) {
            Ok(thread) => {
                let mut threads = self.0.threads.lock();
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                Ok(())
            }
            Err(error) => {
                self.0.jobs.lock().remove(&scope);
                Err(error.into())
            }
        }
    }

    fn begin(&self, scope: Scope, what: &'static str) -> Result<(), KeyringError> {
        if self.is_stopping() {
            return Err(KeyringError::Stopping);
        }
        let mut jobs = self.0.jobs.lock();
        if jobs.get(&scope).is_some_and(|job| job.state == "running") {
            return Err(KeyringError::Busy);
        }
        jobs.insert(scope, Job { what, state: "running", ..Job::default() });
        Ok(())
    }

    fn work<T>(
        &self,
        scope: Scope,
        work: impl FnOnce(&Progress) -> Result<T, KeyringError>,
    ) -> Result<T, KeyringError> {
        let progress = Progress { keyring: self.clone(), scope };
        let result = work(&progress);
        progress.end(result.as_ref().err());
        result
    }

    /// Held while keys are wrapped anew.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.0.alone.lock()
    }

    /// As [`Self::alone`], if nobody else holds it.
    pub(super) fn try_alone(&self) -> Option<MutexGuard<'_, ()>> {
        self.0.alone.try_lock()
    }

    /// Since when uses were not counted.
    pub(super) fn counted_from(&self) -> &Mutex<Timestamp> {
        &self.0.counted_from
    }

    /// Values were opened for a user who is where nobody of the house is.
    pub(crate) fn came_from_outside(&self, user: UserId) {
        self.0.outside.lock().insert(user);
    }

    /// Who did since the last time.
    pub(super) fn take_outside(&self) -> HashSet<UserId> {
        std::mem::take(&mut *self.0.outside.lock())
    }
}

/// How far something is.
pub struct Progress {
    keyring: Keyring,
    scope: Scope,
}

impl Progress {
    /// So many keys are to be done.
    pub(super) fn left(&self, left: u64) {
        self.change(|job| job.left = left);
    }
    /// So many more are done.
    pub(super) fn advance(&self, count: u64) {
        self.change(|job| {
            job.done += count;
            job.left = job.left.saturating_sub(count);
        });
    }
    /// Whether to come to an end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.keyring.is_stopping()
    }

    fn end(&self, error: Option<&KeyringError>) {
        self.change(|job| {
            (job.state, job.why) = match error {
                None => ("done", None),
                Some(error) => ("failed", Some(error.to_string())),
            }
        });
    }

    fn change(&self, edit: impl FnOnce(&mut Job)) {
        if let Some(job) = self.keyring.0.jobs.lock().get_mut(&self.scope) {
            edit(job);
        }
    }
}

impl Drop for Progress {
    /// Whatever becomes of the thread, nobody waits for it for ever.
    fn drop(&mut self) {
        self.change(|job| {
            if job.state == "running" {
                (job.state, job.why) = ("failed", Some("it ended unexpectedly: report this".to_owned()));
            }
        });
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(..)")
    }
}
