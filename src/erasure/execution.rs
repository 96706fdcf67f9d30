//! Carrying an erasure out, in an order in which a crash at any point leaves nothing that cannot be gone on with.
//!
//! Before the first step `erasure.executed` is durable, and with it that the patient is erased and the claims are free. Each
//! step may be done again; the last one tells that all were done, and what is not told is done again at the next start.

use std::time::{Duration, Instant};

use wardbook_commands::CommandError;
use wardbook_commands::erasure::Certificate;
use wardbook_events::erasure::{Destroyed, Place, Scope};
use wardbook_events::{Client, PatientId, TenantId, UserId};
use wardbook_keys::KeyError;
use wardbook_ledger::PublishError;
use wardbook_projections::ViewError;
use wardbook_projections::erasure::{Erasure, Execution, Stage};

use crate::app::App;
use crate::backup::key_backups::{RefreshError, refresh};
use crate::backup::{ForgetError, forget_objects_of};
use crate::clock::NoChance;
use crate::documents::{DocumentError, delete_objects_of};
use crate::sessions::ending::own_origin;

/// Users looked through at a time for those who are a patient.
const USERS: usize = 500;

/// Why an erasure was not carried out to its end. Nothing of the patient opens all the same; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// A key could not be destroyed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An event could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A view could not be read, or is behind.
    #[error(transparent)]
    View(#[from] ViewError),
    /// A copy of the key store may still have the key.
    #[error(transparent)]
    KeyBackups(#[from] RefreshError),
    /// An object could not be deleted.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// A place of backups may still have an object.
    #[error(transparent)]
    Backups(#[from] ForgetError),
    /// No checkpoint could be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// A thread was lost.
    #[error("a blocking task did not end")]
    Lost,
}

/// What those who carry erasures out have in common.
#[derive(Debug, Default)]
pub struct Erasing {
    /// One at a time: a second hand must not destroy what was written after the first was done.
    alone: tokio::sync::Mutex<()>,
    last: parking_lot::Mutex<Option<Instant>>,
}

impl Erasing {
    /// Whether a connection that is answered now may have carried something of somebody who was erased since: the HTTP
    /// library keeps what it read and wrote in buffers of the connection, and only closing it gives them back. After the
    /// time that an idle connection stays open there is none left from before.
    #[must_use]
    pub fn is_recent(&self, keep_alive: Duration) -> bool {
        self.last.lock().is_some_and(|last| last.elapsed() <= keep_alive)
    }
}

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Every version of the data keys is destroyed: in the store, in its journal, in memory.
    Keys,
    /// Every copy of the key store is made anew without the key.
    KeyBackups,
    /// The objects of documents are deleted, in the store and in backups, and uploads that nobody finished.
    Documents,
    /// The views have dropped what they had.
    Views,
    /// The patient's account is ended.
    Accounts,
    /// It is told that all of it was done.
    Certificate,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Keys, Self::KeyBackups, Self::Documents, Self::Views, Self::Accounts, Self::Certificate];
}

/// Carries an erasure out that was begun; nothing happens if it was carried out before. `last` is the step to end with:
/// the certificate, but for who tries what a crash leaves behind.
///
/// # Errors
/// The step that failed; the next try goes on with it.
pub async fn carry_out(app: &App, erasure: &Erasure, last: Step) -> Result<(), ExecutionError> {
    let _alone = app.erasing().alone.lock().await;
    let now = app.views().erasure.get(erasure.erasure)?;
    let Some(Erasure { stage: Stage::Executing, execution: Some(execution), .. }) = now else { return Ok(()) };
    let mut destroyed = Vec::new();
    for step in Step::ALL.into_iter().filter(|step| *step <= last) {
        match step {
            Step::Keys => {
                destroyed.push(keys(app, erasure.tenant, &execution).await?);
                *app.erasing().last.lock() = Some(Instant::now());
            }
            Step::KeyBackups => destroyed.push(key_backups(app).await?),
            // Of a category that went, the keys are gone; of the others the objects are still needed.
            Step::Documents if execution.scope == Scope::Whole => {
                destroyed.push(documents(app, &execution.patients).await?);
            }
            Step::Documents => {}
            Step::Views => {
                app.views().wait_for(execution.position, app.config().limits.view_wait()).await?;
                destroyed.push(counted(Place::Views, execution.patients.len()));
            }
            Step::Accounts if execution.scope == Scope::Whole => {
                destroyed.push(accounts(app, erasure.tenant, &execution.patients).await?);
            }
            Step::Accounts => {}
            Step::Certificate => certify(app, erasure, &execution, std::mem::take(&mut destroyed)).await?,
        }
    }
    Ok(())
}

/// Goes on with what was begun and not certified: after a start, and now and then, as a step may have failed.
pub async fn finish(app: &App) {
    let unfinished = match app.views().erasure.unfinished() {
        Ok(unfinished) => unfinished,
        Err(error) => return tracing::warn!(%error, "unfinished erasures were not looked for"),
    };
    for erasure in unfinished {
        match carry_out(app, &erasure, Step::Certificate).await {
            Ok(()) => tracing::info!(erasure = %erasure.erasure, "an erasure that was begun before is carried out"),
            Err(error) => tracing::error!(erasure = %erasure.erasure, %error, "an erasure is not carried out yet"),
        }
    }
}

async fn keys(app: &App, tenant: TenantId, execution: &Execution) -> Result<Destroyed, ExecutionError> {
    let (keys, scope, patients) = (app.keys().clone(), execution.scope, execution.patients.clone());
    let done = tokio::task::spawn_blocking(move || {
        let mut count = 0;
        for patient in patients {
            let done = match scope {
                Scope::Whole => keys.destroy_patient_key(tenant, patient),
                Scope::Groups(groups) => keys.erase_groups(tenant, patient, groups),
            };
            match done {
                Ok(()) => count += 1,
                // There is nothing to destroy.
                Err(KeyError::UnknownKey { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(counted(Place::KeyStore, count))
    });
    Ok(done.await.map_err(|_| ExecutionError::Lost)??)
}

async fn key_backups(app: &App) -> Result<Destroyed, ExecutionError> {
    let app = app.clone();
    let refreshed = tokio::task::spawn_blocking(move || refresh(&app));
    let names = refreshed.await.map_err(|_| ExecutionError::Lost)??.places;
    Ok(Destroyed { place: Place::KeyBackups, count: names.len() as u64, names })
}

async fn documents(app: &App, patients: &[PatientId]) -> Result<Destroyed, ExecutionError> {
    let mut count = 0;
    for patient in patients {
        let deleted = delete_objects_of(app, *patient).await?;
        count += deleted.objects + deleted.uploads;
    }
    let (of_backups, patients) = (app.clone(), patients.to_vec());
    let forgotten = tokio::task::spawn_blocking(move || forget_objects_of(&of_backups, &patients));
    let names = forgotten.await.map_err(|_| ExecutionError::Lost)??;
    Ok(Destroyed { place: Place::Documents, count, names })
}

async fn accounts(app: &App, tenant: TenantId, patients: &[PatientId]) -> Result<Destroyed, ExecutionError> {
    let (mut after, mut names) = (None, Vec::new());
    loop {
        let users = app.views().identity.users(after, USERS)?;
        let Some(last) = users.last() else { break };
        after = Some(last.user);
        let theirs = |patient: Option<PatientId>| patient.is_some_and(|patient| patients.contains(&patient));
        for user in users.into_iter().filter(|user| user.tenant == tenant && theirs(user.patient)) {
            forget(app, tenant, user.user).await?;
            names.push(user.user.to_string());
        }
    }
    Ok(Destroyed { place: Place::Accounts, count: names.len() as u64, names })
}

async fn forget(app: &App, tenant: TenantId, user: UserId) -> Result<(), ExecutionError> {
    let origin = own_origin(app, Client::default(), None)?;
    let done = app.commands().forget_account(tenant, &origin, user).await?;
    if let Some(receipt) = done.receipts.last() {
        app.seen(receipt).await?;
    }
    Ok(())
}

async fn certify(
    app: &App,
    erasure: &Erasure,
    execution: &Execution,
    destroyed: Vec<Destroyed>,
) -> Result<(), ExecutionError> {
    let ledger = app.ledger().clone();
    let published = tokio::task::spawn_blocking(move || ledger.publish());
    let checkpoint = published.await.map_err(|_| ExecutionError::Lost)??;
    let (log_size, root) = (checkpoint.unverified().size, checkpoint.unverified().root);
    let certificate =
        Certificate { executed_at: execution.position, destroyed, log_size, log_root: hex::encode(root.as_bytes()) };
    let origin = own_origin(app, Client::default(), None)?;
    let about = (erasure.patient, erasure.erasure);
    let done = app.commands().certify_erasure(erasure.tenant, &origin, about, certificate).await?;
    match done.receipts.last() {
        Some(receipt) => Ok(app.seen(receipt).await?),
        None => Ok(()),
    }
}

fn counted(place: Place, count: usize) -> Destroyed {
    Destroyed { place, count: count as u64, names: Vec::new() }
}
