//! A root key in a hardware security module, by PKCS#11: it never leaves there.
//!
//! Each version is an AES key object of its own, labelled `<key> v<number>`, sensitive and not extractable. What is wrapped is
//! `hsm1`, four bytes of version, twelve of nonce, then AES-256-GCM; head and context are its associated data.
//!
//! Modules may hang and may not be used from several threads as one pleases: one thread of ours talks to it, and whoever asks
//! waits for that thread until the deadline.

mod token;

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use zeroize::Zeroizing;

use self::token::Token;
use crate::root::{RootError, RootKeyProvider, RootVersion};

/// In errors and metrics.
pub const NAME: &str = "pkcs11";
const HEAD: &[u8; 4] = b"hsm1";
const NONCE: usize = 12;
/// Keys that stay in the token at least.
const VERSIONS_MIN: usize = 3;
/// Calls that may wait for the thread.
const WAITING_MAX: usize = 16;

/// Where the key is, and how we get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11Settings {
    /// The module's shared library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: PathBuf,
    /// Label of the token.
    pub token: String,
    /// What the labels of the key's versions begin with.
    pub key: String,
    /// The file with the user's PIN, closed to others.
    pub pin_file: PathBuf,
    /// How long one try may take.
    pub try_for: Duration,
}

type Job = Box<dyn FnOnce(&mut Token) + Send>;

/// A root key in a token.
pub struct Pkcs11 {
    settings: Pkcs11Settings,
    jobs: SyncSender<Job>,
}

impl Pkcs11 {
    /// Does not load the module yet.
    ///
    /// # Errors
    /// If a setting makes no sense, or no thread can be started.
    pub fn new(settings: Pkcs11Settings) -> Result<Self, RootError> {
        if settings.module.as_os_str().is_empty() || settings.token.is_empty() || settings.key.is_empty() {
            return Err(unfit("module, token and key must be set in [keys.pkcs11]"));
        }
        let (jobs, waiting) = sync_channel::<Job>(WAITING_MAX);
        let mut token = Token::new(settings.clone());
        // Ends when the last sender is gone, after what it is doing.
        std::thread::Builder::new().name("wardbook-hsm".to_owned()).spawn(move || {
            while let Ok(job) = waiting.recv() {
                job(&mut token);
            }
        })?;
        Ok(Self { settings, jobs })
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Token) -> Result<T, RootError> + Send + 'static,
    ) -> Result<T, RootError> {
        let (sender, receiver) = sync_channel(1);
        let job: Job = Box::new(move |token| {
            // An error here means that nobody listens any more: whoever asked has given up.
            let _ = sender.send(work(token));
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => unreachable("too many calls wait for it"),
            TrySendError::Disconnected(_) => unreachable("its thread has ended"),
        })?;
        receiver.recv_timeout(self.settings.try_for).unwrap_or_else(|error| {
            Err(unreachable(match error {
                RecvTimeoutError::Timeout => "no answer in time",
                RecvTimeoutError::Disconnected => "its thread has ended",
            }))
        })
    }
}

fn unreachable(why: impl Into<String>) -> RootError {
    RootError::Unreachable { provider: NAME, why: why.into(), retry_after: Duration::from_secs(5) }
}

fn unfit(what: impl Into<String>) -> RootError {
    RootError::Unfit { provider: NAME, what: what.into() }
}

fn version(number: u32) -> RootVersion {
    RootVersion::new(number.to_string())
}

struct Wrapped<'a> {
    version: u32,
    head: [u8; 8],
    nonce: [u8; NONCE],
    text: &'a [u8],
}

fn head(version: u32) -> [u8; 8] {
    let [a, b, c, d] = *HEAD;
    let [e, f, g, h] = version.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

fn parse(wrapped: &[u8]) -> Result<Wrapped<'_>, RootError> {
    let parts = wrapped.strip_prefix(HEAD).and_then(|rest| {
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE>()?;
        let version = u32::from_be_bytes(*version);
        Some(Wrapped { version, head: head(version), nonce: *nonce, text })
    });
    parts.ok_or(RootError::NotAuthentic)
}

/// Head and context; the head is always as long, so no two pairs run into each other.
fn bind(head: [u8; 8], context: &str) -> Vec<u8> {
    [head.as_slice(), context.as_bytes()].concat()
}

impl RootKeyProvider for Pkcs11 {
    fn id(&self) -> String {
        format!("pkcs11:{}/{}", self.settings.token, self.settings.key)
    }

    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        let (context, key) = (context.to_owned(), Zeroizing::new(key.to_vec()));
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| RootError::NoRandomness)?;
        self.ask(move |token| {
            let newest = token.newest()?;
            let head = head(newest);
            let text = token.encrypt(newest, nonce, &bind(head, &context), &key)?;
            Ok([head.as_slice(), &nonce, &text].concat())
        })
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        let Wrapped { version, head, nonce, text } = parse(wrapped)?;
        let (bound, text) = (bind(head, context), text.to_vec());
        self.ask(move |token| token.decrypt(version, nonce, &bound, &text))
    }

    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.ask(|token| token.newest().map(version))
    }

    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        parse(wrapped).map(|wrapped| version(wrapped.version))
    }

    fn rotate(&self) -> Result<RootVersion, RootError> {
        self.ask(|token| {
            let next = token.newest()?.checked_add(1).ok_or_else(|| unfit("there are too many versions"))?;
            token.generate(next)?;
            Ok(version(next))
        })
    }

    /// Destroys the older keys in the token.
    fn retire_before(&self, first: &RootVersion) -> Result<(), RootError> {
        let first: u32 = first.as_str().parse().map_err(|_| unfit("there is no such version"))?;
        self.ask(move |token| {
            let versions = token.versions()?;
            let Some(place) = versions.iter().position(|version| *version == first) else {
                return Err(unfit("there is no such version"));
            };
            if versions.len() - place < VERSIONS_MIN {
                return Err(unfit("three versions at least stay in the token (ENC-10); rotate more often first"));
            }
            versions.iter().take(place).try_for_each(|version| token.destroy(*version))
        })
    }

    fn check(&self) -> Result<(), RootError> {
        self.ask(|token| {
            token.newest()?;
            token.versions()?.into_iter().try_for_each(|version| token.check(version))
        })
    }

    fn create(&self) -> Result<(), RootError> {
        self.ask(|token| match token.versions()?.is_empty() {
            true => token.generate(1),
            false => Ok(()),
        })?;
        self.check()
    }
}

impl fmt::Debug for Pkcs11 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11({})", self.id())
    }
}
