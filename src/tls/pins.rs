//! Public keys for clients that pin (ENC-20): an app that takes only these keys is not fooled by another authority's certificate.

use serde::Serialize;
use utoipa::ToSchema;

use super::certificate::Certificate;
use super::{TlsError, files};
use crate::config;

/// Pins: SHA-256 of the public key with its algorithm, base64 (RFC 7469 section 2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pins {
    /// `sha256`.
    algorithm: &'static str,
    /// Keys of the certificates shown now.
    current: Vec<String>,
    /// The key that comes next; clients that pin should take it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Default for Pins {
    fn default() -> Self {
        Self::new(Vec::new(), None)
    }
}

impl Pins {
    pub(super) fn new(mut current: Vec<String>, next: Option<String>) -> Self {
        current.dedup();
        Self { algorithm: "sha256", current, next }
    }

    /// Those of the files in the settings.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn of(config: &config::Tls) -> Result<Self, TlsError> {
        let mut current = Vec::new();
        for pair in config.pairs() {
            let first = files::chain(&pair.certificate)?.into_iter().next();
            let certificate = first.and_then(|der| Certificate::of(&der).ok());
            let not_pem = || TlsError::NotPem { path: pair.certificate.clone(), what: "X.509 certificates" };
            current.push(certificate.ok_or_else(not_pem)?.pin);
        }
        let next = Some(&config.next_public_key).filter(|path| !path.as_os_str().is_empty());
        Ok(Self::new(current, next.map(|path| files::public_pin(path.as_path())).transpose()?))
    }

    /// Keys of the certificates shown now.
    #[must_use]
    pub fn current(&self) -> &[String] {
        &self.current
    }
    /// The key that comes next.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}
