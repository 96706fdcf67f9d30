//! What long work on many patients has in common: some at a time, each a command of its own, until nothing is left.

use std::time::Duration;

use tokio::task::JoinSet;
use wardbook_commands::{CommandError, Origin};
use wardbook_events::{Client, PatientId, TenantId};

use super::KeyringError;
use super::jobs::Progress;
use crate::app::App;
use crate::by::By;
use crate::sessions::ending::own_origin;

/// Commands that are carried out at the same time: they share a flush, and leave the ledger to others.
const AT_ONCE: usize = 16;
/// Between two looks whether others are done.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// How long to wait before a busy ledger is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the views may take to see what was done.
const VIEWS: Duration = Duration::from_secs(60);
/// How often a command is tried that others came before.
const TRIES: u32 = 200;

/// What asynchronous commands run on when a thread of ours carries them out.
pub fn runtime() -> Result<tokio::runtime::Runtime, KeyringError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Where a command of this work comes from.
pub fn origin(app: &App, by: &By) -> Result<Origin, KeyringError> {
    Ok(own_origin(app, Client::default(), Some(by.meta().correlation))?)
}

/// Waits until the views have everything that is durable now.
pub async fn seen(app: &App) -> Result<(), KeyringError> {
    match app.ledger().head().durable.checked_sub(1) {
        Some(newest) => Ok(app.views().wait_for(newest, VIEWS).await?),
        None => Ok(()),
    }
}

/// Waits until nobody works with versions of before any more, and the views have seen what came of it.
pub async fn settled(app: &App, tenant: TenantId, progress: &Progress) -> Result<(), KeyringError> {
    while !app.keys().is_settled(tenant) {
        if progress.is_stopping() {
            return Err(KeyringError::Stopping);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    seen(app).await
}

/// Does something for each of these patients; what became of it, in any order. Others who are faster, and a busy ledger, are
/// waited for.
pub async fn each<T, F>(
    patients: &[PatientId],
    work: impl Fn(PatientId) -> F + Clone + Send + Sync + 'static,
) -> Result<Vec<(PatientId, Result<T, CommandError>)>, KeyringError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CommandError>> + Send,
{
    let mut outcomes = Vec::with_capacity(patients.len());
    for some in patients.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for patient in some.iter().copied() {
            let work = work.clone();
            tasks.spawn(async move { (patient, patiently(|| work(patient)).await) });
        }
        while let Some(outcome) = tasks.join_next().await {
            outcomes.push(outcome.map_err(|_| KeyringError::Unfinished("a task was lost".to_owned()))?);
        }
    }
    Ok(outcomes)
}

/// Tries again while others come before.
async fn patiently<T, F: Future<Output = Result<T, CommandError>>>(work: impl Fn() -> F) -> Result<T, CommandError> {
    let mut tries = 0;
    loop {
        match work().await {
            Err(CommandError::Contended | CommandError::Busy { .. }) if tries < TRIES => tries += 1,
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
