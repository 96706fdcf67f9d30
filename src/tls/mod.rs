//! TLS in the server itself (ENC-19 to ENC-21): what is shown, to whom, and how it is kept fresh without a restart.
//!
//! Everything that may change lies in slots that handshakes look into: certificates with their stapled answers, and who vouches
//! for clients. Files are read into a whole new state first; only one without a fault takes the place of the one before.

pub mod certificate;
pub mod clients;
pub mod expiry;
mod files;
mod hello;
pub mod ocsp;
mod pins;
pub mod probe;
pub mod redirect;
mod server;
mod slot;
pub mod tending;

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;

use crate::clock::Clock;
use crate::config;
use certificate::Certificate;
use clients::{Clients, Gate};
use files::Stamp;
pub use pins::Pins;
use slot::{Shown, Slot};

/// Why TLS cannot be spoken with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path} does not hold {what} in PEM form")]
    NotPem {
        /// Which one.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Others may read the key.
    #[error("{path} may be read by others (mode {mode:o}): run chmod 600 on it, and consider the key known")]
    KeyMode {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Key and certificate do not fit.
    #[error("the key in {path} cannot be used with {certificate}: {error}")]
    Key {
        /// The file of the key.
        path: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// The certificates are not in order.
    #[error("{path} must begin with the certificate of the server, each followed by the one that issued it")]
    Chain {
        /// Which file.
        path: PathBuf,
    },
    /// No client would take it.
    #[error("the certificate in {path} names no host (subjectAltName): have one issued that does")]
    NoNames {
        /// Which file.
        path: PathBuf,
    },
    /// Too short a key.
    #[error("the key of {path} is {key}; RSA needs {rsa_bits_min} bits (tls.rsa_bits_min), EC 256")]
    Weak {
        /// Which file.
        path: PathBuf,
        /// Kind and size.
        key: String,
        /// What RSA keys need.
        rsa_bits_min: usize,
    },
    /// It has ended, or not begun.
    #[error("the certificate in {path} is good from {from} to {to} only")]
    NotGoodNow {
        /// Which file.
        path: PathBuf,
        /// Its begin.
        from: jiff::Timestamp,
        /// Its end.
        to: jiff::Timestamp,
    },
    /// Authorities or revocation lists of clients.
    #[error("the authorities and revocation lists of clients cannot be used: {0}")]
    Clients(rustls::client::VerifierBuilderError),
    /// The versions and suites.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// What was found when files were read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// Nothing that is shown changed.
    Same,
    /// Other certificates are shown.
    Replaced,
}

/// A cheap handle of what TLS works with.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    config: config::Tls,
    clock: Clock,
    slot: Arc<Slot>,
    clients: Option<Arc<Clients>>,
    next_pin: Mutex<Option<String>>,
    stamps: Mutex<Vec<Stamp>>,
    tending: Mutex<tending::State>,
}

/// A whole state as the files have it.
struct Loaded {
    shown: Vec<Shown>,
    vouching: Option<clients::Vouching>,
    next_pin: Option<String>,
}

impl Tls {
    /// Reads all files; `None` if `[tls]` is off. A certificate that has ended is served all the same: whoever relies on
    /// the server is told by an alert, not by its silence.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(config: &config::Tls, clock: &Clock) -> Result<Option<Self>, TlsError> {
        if !config.is_on() {
            return Ok(None);
        }
        // Taken before the files are read: one that changes meanwhile is read again.
        let stamps = Mutex::new(stamps(config));
        let Loaded { shown, vouching, next_pin } = read(config)?;
        for one in shown.iter().filter(|one| !one.certificate.is_good_at(clock.now())) {
            tracing::error!(names = ?one.certificate.names, not_after = %one.certificate.not_after, "this certificate is not good now");
        }
        let slot = Slot::default();
        slot.put(shown);
        Ok(Some(Self(Arc::new(Inner {
            config: config.clone(),
            clock: clock.clone(),
            slot: Arc::new(slot),
            clients: vouching.map(|vouching| Arc::new(Clients::new(vouching))),
            next_pin: Mutex::new(next_pin),
            stamps,
            tending: Mutex::default(),
        }))))
    }

    /// Reads all files again. Nothing changes unless all are in order.
    ///
    /// # Errors
    /// What is wrong with which file; also a certificate that is not good now.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        *self.0.stamps.lock() = stamps(&self.0.config);
        let Loaded { shown, vouching, next_pin } = read(&self.0.config)?;
        let before = self.certificates();
        let now = self.0.clock.now();
        for (pair, new) in self.0.config.pairs().into_iter().zip(&shown) {
            let Certificate { not_before: from, not_after: to, .. } = *new.certificate;
            let known = before.iter().any(|old| old.sha256 == new.certificate.sha256);
            if !known && !new.certificate.is_good_at(now) {
                return Err(TlsError::NotGoodNow { path: pair.certificate, from, to });
            }
        }
        self.0.slot.put(shown);
        if let Some((clients, vouching)) = self.0.clients.as_ref().zip(vouching) {
            clients.put(vouching);
        }
        *self.0.next_pin.lock() = next_pin;
        Ok(if self.certificates() == before { Reloaded::Same } else { Reloaded::Replaced })
    }

    /// Whether a file has changed since it was read.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        *self.0.stamps.lock() != stamps(&self.0.config)
    }

    /// The certificates that are shown, the one for unknown names first.
    #[must_use]
    pub fn certificates(&self) -> Vec<Arc<Certificate>> {
        self.0.slot.all().into_iter().map(|shown| shown.certificate).collect()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &config::Tls {
        &self.0.config
    }

    /// Public keys that clients may pin.
    #[must_use]
    pub fn pins(&self) -> Pins {
        let current = self.certificates().iter().map(|certificate| certificate.pin.clone()).collect();
        Pins::new(current, self.0.next_pin.lock().clone())
    }

    /// How the main address speaks.
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub fn for_everyone(&self) -> Result<ServerConfig, TlsError> {
        let asked = self.0.clients.as_ref().filter(|_| self.0.config.client_optional);
        let gate = asked.map(|clients| Gate::optional(Arc::clone(clients)));
        server::config(&self.0.config, Arc::clone(&self.0.slot), gate, &self.0.clock)
    }

    /// How the address speaks where a client certificate is required.
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub fn for_clients(&self) -> Result<Option<ServerConfig>, TlsError> {
        let gate = self.0.clients.as_ref().map(|clients| Gate::required(Arc::clone(clients)));
        gate.map(|gate| server::config(&self.0.config, Arc::clone(&self.0.slot), Some(gate), &self.0.clock)).transpose()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.0.slot)
    }
}

fn read(config: &config::Tls) -> Result<Loaded, TlsError> {
    let shown: Result<Vec<_>, _> = config.pairs().iter().map(|pair| Shown::load(pair, config.rsa_bits_min)).collect();
    let set = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
    let lists = set(&config.client_crl).map(|path| files::revocation_lists(&path)).transpose()?;
    let vouching = set(&config.client_ca)
        .map(|path| clients::Vouching::new(files::roots(&path)?, lists.unwrap_or_default()))
        .transpose()?;
    let next_pin = set(&config.next_public_key).map(|path| files::public_pin(&path)).transpose()?;
    Ok(Loaded { shown: shown?, vouching, next_pin })
}

fn stamps(config: &config::Tls) -> Vec<Stamp> {
    let pairs = config.pairs();
    let of_pairs = pairs.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    let all = of_pairs.chain([&config.client_ca, &config.client_crl, &config.next_public_key]);
    all.map(|path| Stamp::of(path)).collect()
}
