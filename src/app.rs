//! The application in one handle: ledger, keys, policies, views, commands and tokens, opened in order and closed in order.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use wardbook_commands::Commands;
use wardbook_events::{Client, Encoded, Event, EventId, Meta, PatientId};
use wardbook_keys::{Keys, KeysConfig};
use wardbook_ledger::{Draft, ExpectedVersion, Ledger, LedgerConfig, Micros, Payload, Progress, Receipt, SubjectId};
use wardbook_policy::Policies;
use wardbook_projections::{ViewError, Views, ViewsConfig};
use webauthn_rs::Webauthn;

use crate::alarms::{Alarms, Parts};
use crate::clock::{Chance, Clock, NoChance};
use crate::config::{Config, DataDir};
use crate::disclosure::Refusal;
use crate::documents::Documents;
use crate::erasure::{Erasing, Laws, RetentionError};
use crate::follower::{Follower, FollowerError};
use crate::hours::WorkingHours;
use crate::keyring::Keyring;
use crate::limits::Limits;
use crate::notify::Notifier;
use crate::panels::Assigning;
use crate::passwords::{PasswordError, Passwords};
use crate::proofs::external::Providers;
use crate::proofs::send::SentCodes;
use crate::root::Root;
use crate::sessions::{FailedLogins, InUse, JustEnded, UnknownNames};
use crate::tokens::{TokenKeyError, Tokens};

/// Why the application could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] wardbook_ledger::OpenError),
    /// The root key.
    #[error(transparent)]
    Root(#[from] wardbook_keys::RootError),
    /// The key store.
    #[error(transparent)]
    Keys(#[from] wardbook_keys::StoreError),
    /// The policies.
    #[error(transparent)]
    Policies(#[from] wardbook_policy::PolicyError),
    /// The views.
    #[error(transparent)]
    Views(#[from] ViewError),
    /// The follower.
    #[error(transparent)]
    Follower(#[from] FollowerError),
    /// The keys of access tokens.
    #[error(transparent)]
    Tokens(#[from] TokenKeyError),
    /// The working hours.
    #[error(transparent)]
    Hours(#[from] crate::hours::HoursError),
    /// What the law asks to be kept.
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// The password parameters.
    #[error(transparent)]
    Passwords(#[from] PasswordError),
    /// The settings of passkeys.
    #[error(transparent)]
    Webauthn(#[from] crate::proofs::passkeys::SetupError),
    /// The settings of messages.
    #[error(transparent)]
    Notify(#[from] crate::notify::SetupError),
    /// The object store.
    #[error(transparent)]
    Documents(#[from] crate::documents::StoreError),
    /// The threads that raise and deliver alerts.
    #[error("the threads of the alarms could not be started: {0}")]
    Alarms(std::io::Error),
    /// That the ledger came out of a backup could not be written into it.
    #[error("the ledger could not take in that it came out of a backup: {0}")]
    Restored(Refusal),
    /// A directory cannot be made.
    #[error("cannot make the directory {path}: {source}")]
    Directory {
        /// Which one.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// What decides about a start besides the settings: kept apart, because a person says it once and does not write it down.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Open a ledger that is older than a checkpoint it once published (an old backup), and record that.
    pub accept_rollback: bool,
}

/// A cheap handle of the running application.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    config: Config,
    data: DataDir,
    clock: Clock,
    chance: Chance,
    ledger: Ledger,
    root: Root,
    keys: Keys,
    policies: Policies,
    commands: Commands,
    views: Arc<Views>,
    follower: Follower,
    alarms: Alarms,
    documents: Documents,
    tokens: Tokens,
    passwords: Passwords,
    notifier: Notifier,
    webauthn: Webauthn,
    sent_codes: SentCodes,
    providers: Providers,
    ended: JustEnded,
    failed: FailedLogins,
    unknown_names: UnknownNames,
    in_use: InUse,
    limits: Limits,
    assigning: Assigning,
    hours: WorkingHours,
    backup_jobs: crate::backup::Jobs,
    keyring: Keyring,
    laws: Laws,
    erasing: Erasing,
}

impl App {
    /// Opens everything below the data directory; makes what is not there yet. Blocks, also for a rebuild of views that
    /// need one.
    ///
    /// # Errors
    /// The first part that cannot be used, and what to do about it.
    pub fn open(
        config: Config,
        data: DataDir,
        clock: Clock,
        chance: Chance,
        options: OpenOptions,
        progress: &dyn Progress,
    ) -> Result<Self, OpenError> {
        let hours = WorkingHours::new(&config.organisation.time_zone, &config.organisation.working_hours)?;
        let laws = Laws::load(&config.erasure.retention)?;
        for path in [
            data.root().to_owned(),
            data.ledger(),
            data.published(),
            data.keys(),
            data.views(),
            data.documents(),
            data.uploads(),
        ] {
            private_dir(&path)?;
        }
        let policies = match config.policy.dir.as_os_str().is_empty() {
            true => Policies::shipped()?,
            false => Policies::load(&config.policy.dir)?,
        };
        let key_store = data.keys().join("keys.sqlite");
        let root = crate::root::open(&config.keys, &data, !key_store.exists())?;
        let mut keys = KeysConfig::new(key_store, Arc::clone(&root));
        keys.clock = Box::new(clock.clone());
        keys.forms = config.search.forms();
        let keys = Keys::open_store(keys)?;
        if options.accept_rollback {
            // The views may hold what the ledger lost, and no position in them would show it: they come back from the ledger.
            empty_dir(&data.views())?;
        }
        let ledger = Ledger::open(ledger_config(&config, &data, &clock, options), progress)?;
        let views = Arc::new(Views::open(&ViewsConfig::new(data.views()))?);
        let follower = Follower::start(
            ledger.clone(),
            Arc::clone(&views),
            &config.views,
            chance.clone(),
            clock.clone(),
            progress,
        )?;
        let documents = Documents::open(&config.documents, &data)?;
        let tokens = Tokens::open(&data.tokens(), config.tokens.clone(), clock.now())?;
        let passwords = Passwords::new(&passwords_of(&config), chance.clone())?;
        let webauthn = crate::proofs::passkeys::set_up(&config.webauthn)?;
        let notifier = Notifier::start(&config.notify, &clock)?;
        let parts = Parts {
            ledger: ledger.clone(),
            views: Arc::clone(&views),
            policies: policies.clone(),
            keys: keys.clone(),
            notifier: notifier.clone(),
            clock: clock.clone(),
            config: config.alerts.clone(),
            dir: data.views(),
        };
        let alarms = Alarms::start(parts).map_err(OpenError::Alarms)?;
        let commands = Commands::new(ledger.clone(), keys.clone());
        let failed = FailedLogins::new(config.limits.failed_logins_per_minute, config.limits.failed_names_max);
        let unknown_names = UnknownNames::new(config.lockout.clone(), chance.bytes().map_err(PasswordError::from)?);
        let limits = Limits::new(&config.rates, &clock);
        let keyring = Keyring::new(clock.now());
        let in_use = InUse::new(config.sessions.remembered_max);
        let app = Self(Arc::new(Inner {
            config,
            data,
            clock,
            chance,
            ledger,
            root,
            keys,
            policies,
            commands,
            views,
            follower,
            alarms,
            documents,
            tokens,
            passwords,
            notifier,
            webauthn,
            sent_codes: SentCodes::default(),
            providers: Providers::default(),
            ended: JustEnded::default(),
            failed,
            unknown_names,
            in_use,
            limits,
            assigning: Assigning::default(),
            hours,
            backup_jobs: crate::backup::Jobs::default(),
            keyring,
            laws,
            erasing: Erasing::default(),
        }));
        crate::backup::tell_all(&app).map_err(OpenError::Restored)?;
        Ok(app)
    }

    /// Writes what was only counted, publishes a last checkpoint, and closes views and ledger. Blocks.
    pub fn close(&self) {
        if let Err(error) = crate::strangers::write(self, true) {
            tracing::warn!(%error, "the last count of failed logins was not written");
        }
        self.0.keyring.stop();
        self.0.alarms.stop();
        self.0.ledger.close();
        self.0.follower.stop();
        if let Err(error) = self.0.views.flush() {
            tracing::warn!(%error, "views were not flushed: they will be checked at the next start");
        }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }
    /// Where things are.
    #[must_use]
    pub fn data(&self) -> &DataDir {
        &self.0.data
    }
    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
    /// Random bytes.
    #[must_use]
    pub fn chance(&self) -> &Chance {
        &self.0.chance
    }
    /// A new UUIDv7.
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn new_id(&self) -> Result<Uuid, NoChance> {
        self.0.chance.uuid(self.now())
    }
    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }
    /// Where the root key lives.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.0.root
    }
    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }
    /// When the organisation works.
    #[must_use]
    pub fn hours(&self) -> &WorkingHours {
        &self.0.hours
    }
    /// What the law asks to be kept.
    #[must_use]
    pub fn laws(&self) -> &Laws {
        &self.0.laws
    }
    /// What those who carry erasures out, and the connections of that time, have in common.
    #[must_use]
    pub fn erasing(&self) -> &Erasing {
        &self.0.erasing
    }
    /// The policies.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.0.policies
    }
    /// The write side.
    #[must_use]
    pub fn commands(&self) -> &Commands {
        &self.0.commands
    }
    /// The read side.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.0.views
    }
    /// The objects of documents.
    #[must_use]
    pub fn documents(&self) -> &Documents {
        &self.0.documents
    }
    /// What feeds the views.
    #[must_use]
    pub fn follower(&self) -> &Follower {
        &self.0.follower
    }
    /// Access tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }
    /// Password hashing.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }
    /// Messages to people outside.
    #[must_use]
    pub fn notifier(&self) -> &Notifier {
        &self.0.notifier
    }
    /// Ceremonies of passkeys.
    #[must_use]
    pub fn webauthn(&self) -> &Webauthn {
        &self.0.webauthn
    }
    /// How often codes were sent lately.
    #[must_use]
    pub fn sent_codes(&self) -> &SentCodes {
        &self.0.sent_codes
    }
    /// What other organisations said of themselves lately.
    #[must_use]
    pub fn providers(&self) -> &Providers {
        &self.0.providers
    }
    /// Sessions that have just ended.
    #[must_use]
    pub fn ended(&self) -> &JustEnded {
        &self.0.ended
    }
    /// Failed logins of this minute.
    #[must_use]
    pub fn failed(&self) -> &FailedLogins {
        &self.0.failed
    }
    /// When each session was last used.
    #[must_use]
    pub fn in_use(&self) -> &InUse {
        &self.0.in_use
    }
    /// Names that nobody has and that were tried.
    #[must_use]
    pub fn unknown_names(&self) -> &UnknownNames {
        &self.0.unknown_names
    }

    /// Held while somebody with a bound on patients is assigned.
    #[must_use]
    pub fn assigning(&self) -> &Assigning {
        &self.0.assigning
    }
    /// How often somebody may ask.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What is being done with backups.
    #[must_use]
    pub fn backup_jobs(&self) -> &crate::backup::Jobs {
        &self.0.backup_jobs
    }

    /// What is being done with keys.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// Appends one event. On return it is durable. `besides` are subjects beyond those that the event itself names.
    ///
    /// # Errors
    /// If it could not be made durable.
    pub async fn tell(
        &self,
        id: EventId,
        event: Event,
        meta: &Meta,
        client: &Client,
        besides: &[PatientId],
    ) -> Result<Receipt, Refusal> {
        let draft = draft(id, &event, meta, client, besides)?;
        let receipts = self.0.ledger.append(vec![draft]).await?;
        receipts.into_iter().next().ok_or(Refusal::Encode)
    }

    /// Blocking twin of [`Self::tell`], for threads and the command line.
    ///
    /// # Errors
    /// As there.
    pub fn tell_blocking(&self, id: EventId, event: Event, meta: &Meta, client: &Client) -> Result<Receipt, Refusal> {
        let draft = draft(id, &event, meta, client, &[])?;
        let receipts = self.0.ledger.append_blocking(vec![draft])?;
        receipts.into_iter().next().ok_or(Refusal::Encode)
    }

    /// Waits until the views have taken in an event, as long as `limits.view_wait_ms` says.
    ///
    /// # Errors
    /// If they have not by then.
    pub async fn seen(&self, receipt: &Receipt) -> Result<(), ViewError> {
        self.0.views.wait_for(receipt.position().get(), self.0.config.limits.view_wait()).await
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({})", self.0.data.root().display())
    }
}

/// An event as the ledger takes it, in the stream where it belongs.
///
/// # Errors
/// If it cannot be encoded, which our types cannot cause.
pub fn draft(
    id: EventId,
    event: &Event,
    meta: &Meta,
    client: &Client,
    besides: &[PatientId],
) -> Result<Draft, Refusal> {
    let encoded = Encoded::new(event, meta, client).map_err(|_| Refusal::Encode)?;
    let route = wardbook_commands::route(event, meta.tenant);
    let mut subjects: Vec<_> =
        route.subjects.iter().chain(besides).map(|patient| SubjectId::from_bytes(*patient.bytes())).collect();
    subjects.sort_unstable();
    subjects.dedup();
    Ok(Draft {
        id: wardbook_ledger::EventId::from_bytes(*id.bytes()),
        stream: route.stream.parse().map_err(|_| Refusal::Encode)?,
        expected: ExpectedVersion::Any,
        event_type: encoded.kind.parse().map_err(|_| Refusal::Encode)?,
        schema_version: encoded.version,
        subjects,
        payload: Payload { meta: encoded.meta, client: encoded.client, body: encoded.body },
    })
}

fn ledger_config(config: &Config, data: &DataDir, clock: &Clock, options: OpenOptions) -> LedgerConfig {
    let clock = clock.clone();
    let settings = &config.ledger;
    LedgerConfig {
        checkpoint_interval: Duration::from_millis(settings.checkpoint_interval_ms),
        checkpoint_events_max: settings.checkpoint_events_max,
        queue_appends_max: settings.queue_events_max,
        accept_rollback: options.accept_rollback,
        clock: Arc::new(move || Micros(clock.now().as_microsecond())),
        ..LedgerConfig::new(&data.ledger(), &data.published(), &data.ledger_keys(), &settings.origin)
    }
}

/// Removes what is in a directory. Only for what can be made anew.
fn empty_dir(path: &std::path::Path) -> Result<(), OpenError> {
    let removed = std::fs::remove_dir_all(path);
    removed.map_err(|source| OpenError::Directory { path: path.to_owned(), source })?;
    private_dir(path)
}

/// Readable by nobody else: what stands in them is sealed, but not for strangers to copy.
fn private_dir(path: &std::path::Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| OpenError::Directory { path: path.to_owned(), source })
}

/// The settings of passwords, and what we are called among the words that are no password.
fn passwords_of(config: &Config) -> crate::config::Passwords {
    let mut passwords = config.passwords.clone();
    passwords.words.push(config.webauthn.name.clone());
    passwords
}
