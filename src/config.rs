//! Settings: one struct a section, every field with a default, unknown names refused.
//!
//! The documented defaults are `config/default.toml`; a test holds the two together:
//! ```
//! let text = include_str!("../config/default.toml");
//! let config: wardbook::config::Config = toml::from_str(text)?;
//! assert_eq!(config, wardbook::config::Config::default());
//! # Ok::<(), toml::de::Error>(())
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wardbook_events::TenantId;
use wardbook_events::alerts::Severity;
use wardbook_events::values::Email;

mod backup;
mod care_teams;
mod data_dir;
mod documents;
mod erasure;
mod error;
mod external;
mod keys;
mod rates;
mod search;

pub use backup::Backup;
pub use care_teams::CareTeams;
pub use data_dir::DataDir;
pub use documents::{Documents, Place as DocumentsPlace};
pub use erasure::Erasure;
pub use error::ConfigError;
pub use external::External;
pub use keys::{KeyFile, KeyKms, KeyPkcs11, KeyRotation, KeyUsage, KeyVault, Keys, Provider};
pub use search::Search;

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whose data it is.
    pub organisation: Organisation,
    /// The HTTP server.
    pub server: Server,
    /// Its certificates.
    pub tls: Tls,
    /// What is measured.
    pub metrics: Metrics,
    /// The event ledger.
    pub ledger: Ledger,
    /// Where the root key lives.
    pub keys: Keys,
    /// Who may do what.
    pub policy: Policy,
    /// Access tokens and sessions.
    pub tokens: Tokens,
    /// What a login takes.
    pub login: Login,
    /// How long sessions live, and how many.
    pub sessions: Sessions,
    /// When too many logins have failed.
    pub lockout: Lockout,
    /// Password hashing.
    pub passwords: Passwords,
    /// Messages to people outside.
    pub notify: Notify,
    /// Passkeys, and the name that authenticator apps show.
    pub webauthn: Webauthn,
    /// Organisations whose word is taken for who somebody is.
    pub external: Vec<External>,
    /// Bounds on what one caller can ask.
    pub limits: Limits,
    /// Bounds on how often.
    pub rates: Rates,
    /// Who treats whom.
    pub care_teams: CareTeams,
    /// Opening charts in emergencies.
    pub break_glass: BreakGlass,
    /// Who is told of what is alarming.
    pub alerts: Alerts,
    /// Roles for a short time.
    pub elevations: Elevations,
    /// Forgetting people.
    pub erasure: Erasure,
    /// What somebody is writing.
    pub drafts: Drafts,
    /// How patients are searched for.
    pub search: Search,
    /// Where backups go, and how long they are kept.
    pub backup: Backup,
    /// Documents and images.
    pub documents: Documents,
    /// The read models.
    pub views: Views,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}
pub(crate) use section;

mod tls;

pub use tls::{Pair, PlainHttp, Tls, TlsVersion};

section! {
    /// `[organisation]`
    Organisation {
        /// The organisation to which users made at the console belong.
        id: TenantId = TenantId::new(uuid::uuid!("0190a000-0000-7000-8000-000000000001")),
        /// Its time zone, a name of the IANA database.
        time_zone: String = "UTC".to_owned(),
        /// When it works; empty means always.
        working_hours: String = "08:00-18:00 Mon-Fri".to_owned(),
    }
}

section! {
    /// `[server]`
    Server {
        /// Where to listen.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Leave no image of the process behind, and let no other process look into it.
        harden: bool = true,
        /// Threads that serve requests; 0 means one for each core.
        workers: usize = 0,
        /// Largest request body, in bytes.
        body_bytes_max: usize = 1 << 20,
        /// Time for a client to send its request line and headers.
        header_timeout_ms: u64 = 5_000,
        /// Time for a whole request.
        request_timeout_ms: u64 = 30_000,
        /// How long an idle connection stays open.
        keep_alive_s: u64 = 75,
        /// How long running requests may go on after a stop signal.
        shutdown_timeout_s: u64 = 20,
        /// Believe the last address in `X-Forwarded-For`.
        trust_proxy: bool = false,
        /// Where plain HTTP may be served.
        plain_http: PlainHttp = PlainHttp::Loopback,
        /// Send `Strict-Transport-Security` without `[tls]`.
        hsts: bool = false,
        /// Send `Server-Timing`.
        timing: bool = false,
    }
}

section! {
    /// `[metrics]`
    Metrics {
        /// Where `/metrics` is served; nowhere if not given.
        listen: Option<SocketAddr> = None,
    }
}

section! {
    /// `[ledger]`
    Ledger {
        /// Name of the log in checkpoints and proofs.
        origin: String = "wardbook.example/ledger".to_owned(),
        /// Events that may wait for the next flush.
        queue_events_max: usize = 8192,
        /// A checkpoint is published at the latest so long after an event.
        checkpoint_interval_ms: u64 = 1_000,
        /// A checkpoint is published at the latest after so many events.
        checkpoint_events_max: u64 = 100_000,
    }
}

section! {
    /// `[policy]`
    Policy {
        /// Directory of the Cedar policies; empty means those compiled in.
        dir: PathBuf = PathBuf::new(),
    }
}

section! {
    /// `[tokens]`
    Tokens {
        /// `iss` of access tokens.
        issuer: String = "wardbook".to_owned(),
        /// `aud` of access tokens.
        audience: String = "wardbook-api".to_owned(),
        /// How long an access token is good.
        lifetime_s: u32 = 900,
        /// A new signing key is made every so many hours; 0 means never.
        rotate_every_h: u32 = 168,
        /// Verified tokens remembered at most.
        cache_tokens_max: usize = 10_000,
    }
}

/// Who must prove more than a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondFactor {
    /// Every person (IAM-06).
    Everyone,
    /// Everybody who is more than a patient.
    Workforce,
    /// Only those who enrolled a second factor of their own accord. For tests, and behind a proxy that asks for it.
    Nobody,
}

section! {
    /// `[login]`
    Login {
        /// Who must prove more than a password. Who has enrolled a second factor is always asked for it.
        second_factor: SecondFactor = SecondFactor::Everyone,
        /// How long the next step of a login may take.
        challenge_s: u32 = 300,
    }
}

/// What happens to a login when the user has as many sessions as allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The oldest session ends.
    DropOldest,
    /// The login is refused.
    Refuse,
}

section! {
    /// `[sessions]`
    Sessions {
        /// Sessions of one user at the same time.
        max: u8 = 3,
        /// What happens to a login beyond that.
        when_full: WhenFull = WhenFull::DropOldest,
        /// How long a session, and its refresh tokens, last at most.
        lifetime_s: u32 = 28_800,
        /// Without a request for so long, a session is locked.
        idle_s: u32 = 900,
        /// The same in documentation mode, for those who treat.
        documentation_s: u32 = 2_700,
        /// Locked for so long, a session ends.
        keep_locked_s: u32 = 1_800,
        /// That a session is in use becomes an event at most so often.
        seen_every_s: u32 = 300,
        /// Let a PIN of the device unlock a session (IAM-17).
        pin_unlock: bool = true,
        /// How long a full proof of who it is counts as fresh.
        step_up_s: u32 = 3_600,
        /// Tie a session to the class of its address and to its user agent.
        bind: bool = true,
        /// How often idle sessions are looked for.
        sweep_every_s: u32 = 30,
        /// Sessions whose last request is remembered in memory.
        remembered_max: usize = 100_000,
    }
}

section! {
    /// `[lockout]`
    Lockout {
        /// Failed logins within the window that lock an account.
        failures_max: u8 = 5,
        /// The window.
        window_s: u32 = 1_800,
        /// How long a lock lasts.
        lock_s: u32 = 1_800,
        /// Names that nobody has which are counted in the same way.
        names_max: usize = 10_000,
    }
}

section! {
    /// `[passwords]`
    Passwords {
        /// Characters a password must have.
        length_min: usize = 12,
        /// A password must have upper-case and lower-case letters, digits and others.
        classes: bool = true,
        /// How hard to guess a password must be, on zxcvbn's scale of 0 to 4.
        guess_score_min: u8 = 3,
        /// Names of the house, of its places and so on: a password must not be little more than these.
        words: Vec<String> = Vec::new(),
        /// Have I Been Pwned's passwords, "ordered by hash", as a file: none of them is taken. Empty for the built-in list only.
        breached_file: PathBuf = PathBuf::new(),
        /// How many passwords before may not be used again, up to 24.
        history: usize = 24,
        /// How long a token to set a new password is good.
        reset_lifetime_s: u32 = 1_800,
        /// Stands before that token in the message: the page where the new password is set.
        reset_url: String = String::new(),
        /// Memory of one hash, in KiB.
        memory_kib: u32 = 19_456,
        /// Passes over the memory.
        passes: u32 = 2,
        /// Lanes.
        lanes: u32 = 1,
        /// Hashes computed at the same time.
        concurrent_max: usize = 2,
        /// Hashes waiting at most.
        waiting_max: usize = 64,
    }
}

section! {
    /// `[webauthn]`
    Webauthn {
        /// The domain that passkeys belong to; no passkey works after a change.
        rp_id: String = "localhost".to_owned(),
        /// Where the pages come from that use passkeys: a URL on that domain.
        origin: String = "http://localhost:8080".to_owned(),
        /// What devices and authenticator apps call us.
        name: String = "Wardbook".to_owned(),
    }
}

/// How messages of one kind are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Not at all: what needs them is not offered.
    None,
    /// By the mail server.
    Smtp,
    /// By a signed call to another system.
    Webhook,
}

section! {
    /// `[notify]`
    Notify {
        /// E-mail.
        email: Way = Way::None,
        /// Text messages; by webhook only.
        sms: Way = Way::None,
        /// Sender of e-mail.
        from: String = "Wardbook <wardbook@localhost>".to_owned(),
        /// The mail server, such as `smtps://mail.example.org` or `smtp://mail.example.org:587?tls=required`.
        smtp_url: String = "smtp://localhost:25".to_owned(),
        /// User at the mail server; empty for none.
        smtp_user: String = String::new(),
        /// File with that user's password.
        smtp_password_file: PathBuf = PathBuf::new(),
        /// Where signed calls go; empty for none. Alerts go there too.
        webhook_url: String = String::new(),
        /// File with the secret that calls are signed with, at least 32 characters.
        webhook_secret_file: PathBuf = PathBuf::new(),
        /// Tries until a message is given up.
        tries_max: u32 = 6,
        /// Wait before the second try; it doubles with each, up to a minute.
        backoff_ms: u64 = 1_000,
        /// Time for one try.
        timeout_ms: u64 = 10_000,
        /// Messages waiting at most; beyond that, none is taken.
        queue_max: usize = 1_000,
    }
}

section! {
    /// `[limits]`
    Limits {
        /// Entries on one page of a list, if the caller does not say.
        page_default: u32 = 50,
        /// Entries on one page of a list at most.
        page_max: u32 = 200,
        /// Patients that one search discloses at most.
        search_max: usize = 50,
        /// How long a request waits for the views.
        view_wait_ms: u64 = 2_000,
        /// Failed logins of one user that become events in one minute.
        failed_logins_per_minute: u32 = 10,
        /// User names remembered for that limit at most.
        failed_names_max: usize = 10_000,
    }
}

section! {
    /// `[rates]`: 0 means no limit.
    Rates {
        /// Requests of one user.
        user_per_minute: u32 = 60,
        /// Requests of one session.
        session_per_minute: u32 = 60,
        /// Logins and what belongs to them, from one address.
        auth_per_minute: u32 = 30,
        /// Other requests that change nothing, from one address.
        read_per_minute: u32 = 1_200,
        /// Other requests that may change something, from one address.
        write_per_minute: u32 = 600,
        /// Requests for what is public, from one address.
        public_per_minute: u32 = 600,
        /// What was not used is saved up for so long.
        burst_s: u32 = 60,
        /// Users, sessions or addresses remembered at most for one of these limits.
        keys_max: usize = 100_000,
        /// Different patients disclosed to one user.
        patients_per_hour: u32 = 60,
        /// Sealed values opened for one user (ENC-16).
        opens_per_minute: u32 = 6_000,
    }
}

section! {
    /// `[break_glass]`
    BreakGlass {
        /// How long an emergency lasts.
        lasts_s: u32 = 14_400,
        /// How much longer it lasts when it is extended.
        extension_s: u32 = 7_200,
        /// How soon after its start it must have been reviewed.
        review_s: u32 = 86_400,
        /// Emergencies of one user in a quarter; the monthly report marks who has more.
        quarter_max: u32 = 2,
    }
}

section! {
    /// `[elevations]`
    Elevations {
        /// How long one lasts at most, in minutes.
        minutes_max: u32 = 240,
    }
}

section! {
    /// `[alerts]`
    Alerts {
        /// E-mail addresses that are told besides the officers who left theirs.
        emails: Vec<String> = Vec::new(),
        /// Send to `notify.webhook_url`, if there is one.
        webhook: bool = true,
        /// What hurries less is not sent, only listed.
        least: Severity = Severity::Medium,
    }
}

section! {
    /// `[drafts]`
    Drafts {
        /// How often one draft is kept at most, in seconds.
        every_s: u32 = 10,
        /// Drafts that one user has at most.
        open_max: usize = 50,
    }
}

section! {
    /// `[views]`
    Views {
        /// Events taken in at once.
        batch_events_max: usize = 1_024,
        /// State roots are attested every so many events; 0 means never.
        attest_every_events: u64 = 10_000,
    }
}

impl Limits {
    /// How long a request waits for the views.
    #[must_use]
    pub const fn view_wait(&self) -> Duration {
        Duration::from_millis(self.view_wait_ms)
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, has unknown names, or values that make no sense.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self =
            toml::from_str(&text).map_err(|e| ConfigError::Parse { path: path.to_owned(), message: e.to_string() })?;
        config.check()?;
        Ok(config)
    }

    /// Refuses values that would only fail later, or silently weaken the system.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<(), ConfigError> {
        let rules = [
            (self.tokens.lifetime_s >= 1, "tokens.lifetime_s", "must be at least 1"),
            (
                self.tokens.lifetime_s <= 3_600,
                "tokens.lifetime_s",
                "must be at most 3600: access tokens are short-lived",
            ),
            (self.login.challenge_s >= 10, "login.challenge_s", "must be at least 10"),
            (self.sessions.max >= 1, "sessions.max", "must be at least 1"),
            (
                (60..=604_800).contains(&self.sessions.lifetime_s),
                "sessions.lifetime_s",
                "must be 60 to 604800: no session lasts longer than seven days",
            ),
            (self.sessions.idle_s >= 60, "sessions.idle_s", "must be at least 60"),
            (
                (self.sessions.idle_s..=2_700).contains(&self.sessions.documentation_s),
                "sessions.documentation_s",
                "must be at least sessions.idle_s and at most 2700",
            ),
            (
                self.sessions.step_up_s <= 14_400,
                "sessions.step_up_s",
                "must be at most 14400: a proof goes stale after four hours",
            ),
            (
                self.sessions.seen_every_s < self.sessions.idle_s,
                "sessions.seen_every_s",
                "must be less than sessions.idle_s, or a restart would lock sessions that are in use",
            ),
            (self.sessions.sweep_every_s >= 1, "sessions.sweep_every_s", "must be at least 1"),
            (self.lockout.failures_max >= 1, "lockout.failures_max", "must be at least 1"),
            (self.lockout.lock_s >= 1, "lockout.lock_s", "must be at least 1"),
            (self.passwords.concurrent_max >= 1, "passwords.concurrent_max", "must be at least 1"),
            (self.passwords.length_min >= 12, "passwords.length_min", "must be at least 12"),
            (self.passwords.guess_score_min <= 4, "passwords.guess_score_min", "must be 0 to 4"),
            (self.passwords.history <= 24, "passwords.history", "must be at most 24"),
            (
                (60..=86_400).contains(&self.passwords.reset_lifetime_s),
                "passwords.reset_lifetime_s",
                "must be 60 to 86400",
            ),
            (
                self.external.iter().all(External::is_safe),
                "external",
                "must have names of [a-z0-9-] and issuers that begin with https://",
            ),
            (self.notify.sms != Way::Smtp, "notify.sms", "must be \"none\" or \"webhook\""),
            (self.notify.queue_max >= 1, "notify.queue_max", "must be at least 1"),
            (self.limits.page_default >= 1, "limits.page_default", "must be at least 1"),
            (
                self.limits.page_max >= self.limits.page_default,
                "limits.page_max",
                "must be at least limits.page_default",
            ),
            (self.limits.search_max >= 1, "limits.search_max", "must be at least 1"),
            self.search.rule(),
            ((1..=3_600).contains(&self.rates.burst_s), "rates.burst_s", "must be from 1 to 3600"),
            (
                // A search that finds as many as it may is not turned away for good.
                matches!(self.rates.patients_per_hour as usize, most if most == 0 || most >= self.limits.search_max),
                "rates.patients_per_hour",
                "must be 0 or at least limits.search_max",
            ),
            (self.rates.keys_max >= 1_000, "rates.keys_max", "must be at least 1000"),
            (
                (60..=14_400).contains(&self.break_glass.lasts_s),
                "break_glass.lasts_s",
                "must be 60 to 14400: an emergency lasts four hours at most",
            ),
            (
                self.break_glass.extension_s <= 7_200,
                "break_glass.extension_s",
                "must be at most 7200: an emergency is extended by two hours at most",
            ),
            (
                (60..=86_400).contains(&self.break_glass.review_s),
                "break_glass.review_s",
                "must be 60 to 86400: an emergency is reviewed within a day",
            ),
            (self.alerts.emails.iter().all(|to| Email::new(to).is_ok()), "alerts.emails", "must be e-mail addresses"),
            ((1..=90).contains(&self.erasure.answer_days), "erasure.answer_days", "must be 1 to 90"),
            (self.views.batch_events_max >= 1, "views.batch_events_max", "must be at least 1"),
            (self.server.body_bytes_max >= 1_024, "server.body_bytes_max", "must be at least 1024"),
            (self.server.request_timeout_ms >= 100, "server.request_timeout_ms", "must be at least 100"),
        ];
        let sections = self.tls.rules().into_iter().chain(self.documents.rules());
        match rules.into_iter().chain(sections).find(|(holds, ..)| !holds) {
            Some((_, setting, rule)) => Err(ConfigError::Value { setting, rule }),
            None => self.keys.check().and_then(|()| self.backup.check()),
        }
    }
}

#[cfg(test)]
mod tests;
