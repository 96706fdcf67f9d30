//! Messages to people outside: codes, links, alerts. By e-mail, or by a signed call to another system that sends them on.
//!
//! A message never holds up an answer: it goes into a bounded queue, and a thread of its own tries until it is delivered or
//! has been tried often enough. Messages carry no PHI: who reads along learns that something happened, not to whom.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Semaphore, mpsc, oneshot};
use uuid::Uuid;
use wardbook_events::alerts::Channel;

use crate::clock::Clock;
use crate::config::{self, Way};

mod smtp;
mod webhook;

/// A message to one person or system.
#[derive(Clone)]
pub struct Message {
    /// The same at every try, so that the other side can tell a repetition.
    pub id: Uuid,
    /// How it goes.
    pub channel: Channel,
    /// Address or telephone number; empty for [`Channel::Webhook`], which goes where the settings say.
    pub to: SecretString,
    /// What it is about, in a few words.
    pub subject: String,
    /// All of it. May hold a code or a token.
    pub text: SecretString,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({:?})", self.channel)
    }
}

/// Why a message was not delivered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotifyError {
    /// The settings have no way for it.
    #[error("messages by this channel are turned off in the configuration: see [notify]")]
    NotOffered,
    /// Too many are waiting.
    #[error("too many messages are waiting to be sent")]
    Full,
    /// The other side said no, for good.
    #[error("the message was refused: {0}")]
    Refused(String),
    /// The other side was not reached, or is overloaded: it may work later.
    #[error("the message could not be delivered: {0}")]
    Failed(String),
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopped,
}

/// Why nothing can be sent with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file with a secret.
    #[error("cannot read {path}, which the configuration names: {source}")]
    Secret {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A setting.
    #[error("{setting} in the configuration {rule}")]
    Value {
        /// Which one.
        setting: &'static str,
        /// What is wrong.
        rule: String,
    },
    /// The thread.
    #[error("the thread that sends messages could not be started: {0}")]
    Thread(std::io::Error),
}

type Carried<'a> = Pin<Box<dyn Future<Output = Result<(), NotifyError>> + Send + 'a>>;

/// Takes one message to the other side, once.
trait Carrier: Send + Sync {
    fn carry<'a>(&'a self, message: &'a Message) -> Carried<'a>;
}

struct Job {
    message: Message,
    carrier: Arc<dyn Carrier>,
    told: oneshot::Sender<Result<(), NotifyError>>,
}

/// Sends messages. A cheap handle; the thread behind it ends with the last of them.
#[derive(Clone)]
pub struct Notifier {
    carriers: Arc<BTreeMap<Channel, Arc<dyn Carrier>>>,
    queue: mpsc::Sender<Job>,
}

/// Messages on their way at the same time.
const AT_ONCE: usize = 8;
/// Waits never grow longer than this.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

impl Notifier {
    /// Sets up what the settings say, and starts the thread.
    ///
    /// # Errors
    /// The setting that cannot be used.
    pub fn start(config: &config::Notify, clock: &Clock) -> Result<Self, SetupError> {
        let mut carriers: BTreeMap<Channel, Arc<dyn Carrier>> = BTreeMap::new();
        let has_webhook = !config.webhook_url.is_empty();
        let webhook: Option<Arc<dyn Carrier>> = match has_webhook {
            true => Some(Arc::new(webhook::Webhook::new(config, clock.clone())?)),
            false => None,
        };
        let needs_url =
            || SetupError::Value { setting: "notify.webhook_url", rule: "is needed to send by webhook".into() };
        for (channel, way) in [(Channel::Email, config.email), (Channel::Sms, config.sms)] {
            let carrier: Arc<dyn Carrier> = match way {
                Way::None => continue,
                Way::Smtp => Arc::new(smtp::Smtp::new(config)?),
                Way::Webhook => webhook.clone().ok_or_else(needs_url)?,
            };
            carriers.insert(channel, carrier);
        }
        carriers.extend(webhook.map(|webhook| (Channel::Webhook, webhook)));
        let (queue, jobs) = mpsc::channel(config.queue_max);
        let (tries_max, backoff) = (config.tries_max, Duration::from_millis(config.backoff_ms));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SetupError::Thread)?;
        let thread = std::thread::Builder::new().name("notify".to_owned());
        thread.spawn(move || runtime.block_on(work(jobs, tries_max, backoff))).map_err(SetupError::Thread)?;
        Ok(Self { carriers: Arc::new(carriers), queue })
    }

    /// Whether messages can go this way.
    #[must_use]
    pub fn offers(&self, channel: Channel) -> bool {
        self.carriers.contains_key(&channel)
    }

    /// Sends, and does not wait for it. What fails is logged.
    ///
    /// # Errors
    /// If it cannot even be queued.
    pub fn post(&self, message: Message) -> Result<(), NotifyError> {
        self.queue(message).map(|_| ())
    }

    /// Sends, and waits until it is delivered or was tried often enough: for what runs beside requests, never within one.
    ///
    /// # Errors
    /// If it was not delivered.
    pub async fn send(&self, message: Message) -> Result<(), NotifyError> {
        self.queue(message)?.await.unwrap_or(Err(NotifyError::Stopped))
    }

    /// Blocking twin of [`Self::send`], for threads.
    ///
    /// # Errors
    /// As there.
    pub fn send_blocking(&self, message: Message) -> Result<(), NotifyError> {
        self.queue(message)?.blocking_recv().unwrap_or(Err(NotifyError::Stopped))
    }

    fn queue(&self, message: Message) -> Result<oneshot::Receiver<Result<(), NotifyError>>, NotifyError> {
        let carrier = Arc::clone(self.carriers.get(&message.channel).ok_or(NotifyError::NotOffered)?);
        let (told, outcome) = oneshot::channel();
        self.queue.try_send(Job { message, carrier, told }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NotifyError::Full,
            mpsc::error::TrySendError::Closed(_) => NotifyError::Stopped,
        })?;
        Ok(outcome)
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Notifier({:?})", self.carriers.keys())
    }
}

async fn work(mut jobs: mpsc::Receiver<Job>, tries_max: u32, backoff: Duration) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(job) = jobs.recv().await {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        tokio::spawn(async move {
            let outcome = deliver(&job, tries_max, backoff).await;
            drop(place);
            if let Err(error) = &outcome {
                tracing::warn!(channel = ?job.message.channel, %error, "a message was not delivered");
            }
            _ = job.told.send(outcome); // nobody may wait for it
        });
    }
}

async fn deliver(job: &Job, tries_max: u32, backoff: Duration) -> Result<(), NotifyError> {
    let mut wait = backoff;
    let mut tries = 1;
    loop {
        match job.carrier.carry(&job.message).await {
            Err(NotifyError::Failed(why)) if tries < tries_max => {
                tracing::debug!(why, tries, "a message will be tried again");
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(BACKOFF_MAX);
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// A secret from a file, without the line's end.
fn secret(path: &std::path::Path) -> Result<SecretString, SetupError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|source| SetupError::Secret { path: path.to_owned(), source })?;
    Ok(text.trim_end().into())
}

#[cfg(test)]
mod tests;
