//! One thing at a time: what is being done with backups now, and what came of the last.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_ledger::Progress;

use super::run::RunError;

/// What is being done, or was done last.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = BackupJob)]
pub struct Job {
    /// `create`, `verify` or `drill`.
    pub what: &'static str,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// The step it is at.
    pub step: &'static str,
    /// Events through the step.
    pub position: u64,
    /// Events of the step.
    pub target: u64,
    /// What came of it, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// The work on backups in this process.
#[derive(Debug, Clone, Default)]
pub struct Jobs(Arc<Mutex<Option<Job>>>);

impl Jobs {
    /// What is being done, or was done last since the start.
    #[must_use]
    pub fn last(&self) -> Option<Job> {
        self.0.lock().clone()
    }

    /// Whether nothing is being done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.lock().as_ref().is_none_or(|job| job.state != "running")
    }

    /// Does something, if nothing else is being done.
    ///
    /// # Errors
    /// [`RunError::Busy`], or what went wrong.
    pub fn within<T: std::fmt::Debug>(
        &self,
        what: &'static str,
        work: impl FnOnce(&dyn Progress) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        if !self.begin(what) {
            return Err(RunError::Busy);
        }
        self.work(work, |_| "done".to_owned())
    }

    /// Begins something on a thread of its own; `false` if something else is being done.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&dyn Progress) -> Result<T, RunError> + Send + 'static,
        tell: impl FnOnce(&T) -> String + Send + 'static,
    ) -> std::io::Result<bool> {
        if !self.begin(what) {
            return Ok(false);
        }
        let jobs = self.clone();
        let thread = std::thread::Builder::new().name(format!("backup-{what}")).spawn(move || {
            // What went wrong stands in the job and in the ledger.
            let _ = jobs.work(work, tell);
        });
        if let Err(error) = thread {
            *self.0.lock() = None;
            return Err(error);
        }
        Ok(true)
    }

    fn begin(&self, what: &'static str) -> bool {
        let mut job = self.0.lock();
        if job.as_ref().is_some_and(|job| job.state == "running") {
            return false;
        }
        *job = Some(Job { what, state: "running", ..Job::default() });
        true
    }

    fn work<T>(
        &self,
        work: impl FnOnce(&dyn Progress) -> Result<T, RunError>,
        tell: impl FnOnce(&T) -> String,
    ) -> Result<T, RunError> {
        let guard = Ends(self);
        let result = work(self);
        let (state, outcome) = match &result {
            Ok(done) => ("done", tell(done)),
            Err(error) => ("failed", error.to_string()),
        };
        guard.end(state, outcome);
        result
    }
}

/// Whatever becomes of the thread, nobody waits for it for ever.
struct Ends<'j>(&'j Jobs);

impl Ends<'_> {
    fn end(&self, state: &'static str, outcome: String) {
        if let Some(job) = &mut *self.0.0.lock() {
            (job.state, job.outcome) = (state, Some(outcome));
        }
    }
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if !self.0.is_idle() {
            self.end("failed", "it ended unexpectedly: report this".to_owned());
        }
    }
}

impl Progress for Jobs {
    fn advance(&self, step: &'static str, done: u64, total: u64) {
        if let Some(job) = &mut *self.0.lock() {
            (job.step, job.position, job.target) = (step, done, total);
        }
    }
}
