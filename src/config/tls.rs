//! Where HTTPS is served, and with what.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where plain HTTP may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlainHttp {
    /// To programs of the same machine.
    Loopback,
    /// On any address: a proxy in front of it speaks TLS.
    BehindProxy,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    Tls13,
}

/// `[[tls.more]]`: a certificate for other names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The certificate, then its chain (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}

section! {
    /// `[tls]`
    Tls {
        /// The certificate, then its chain (PEM); empty means plain HTTP.
        certificate: PathBuf = PathBuf::new(),
        /// Its private key (PEM).
        key: PathBuf = PathBuf::new(),
        /// Certificates for other names (RFC 6066 section 3).
        more: Vec<Pair> = Vec::new(),
        /// Oldest version that is spoken (ENC-19).
        version_min: TlsVersion = TlsVersion::Tls13,
        /// Bits that an RSA key must have (ENC-21).
        rsa_bits_min: usize = 4096,
        /// Time for a handshake.
        handshake_timeout_ms: u64 = 5_000,
        /// Handshakes at the same time, in one worker.
        handshakes_max: usize = 64,
        /// Where browsers are sent on to HTTPS.
        redirect_listen: Option<SocketAddr> = None,
        /// To which port; 0 means that of `server.listen`.
        redirect_port: u16 = 0,
        /// Staple what the authority's responder says (RFC 6066 section 8).
        staple: bool = true,
        /// The responder, if not the one that the certificate names.
        ocsp_url: String = String::new(),
        /// Days before a certificate's end from which on it is warned (ENC-21).
        warn_days: u16 = 30,
        /// The public key (PEM) that follows the present one.
        next_public_key: PathBuf = PathBuf::new(),
        /// Authorities (PEM) of the certificates of programs (ENC-20); empty for none.
        client_ca: PathBuf = PathBuf::new(),
        /// Their revocation lists (PEM); empty for none.
        client_crl: PathBuf = PathBuf::new(),
        /// Ask for a client certificate at `server.listen`, and take clients without one.
        client_optional: bool = false,
        /// Where a client certificate is required.
        client_listen: Option<SocketAddr> = None,
    }
}

impl Tls {
    /// Whether HTTPS is served.
    #[must_use]
    pub fn is_on(&self) -> bool {
        is_set(&self.certificate)
    }

    /// The certificates, the one for unknown names first.
    #[must_use]
    pub fn pairs(&self) -> Vec<Pair> {
        let first = Pair { certificate: self.certificate.clone(), key: self.key.clone() };
        let first = self.is_on().then_some(first);
        first.into_iter().chain(self.more.iter().cloned()).collect()
    }

    /// What must hold, which setting it is about, and what to say if it does not.
    pub(super) fn rules(&self) -> [(bool, &'static str, &'static str); 9] {
        let clients = is_set(&self.client_ca);
        let places = self.client_optional || self.client_listen.is_some();
        [
            (is_set(&self.key) == self.is_on(), "tls.key", "must be set if and only if tls.certificate is"),
            (self.is_on() || self.more.is_empty(), "tls.more", "needs tls.certificate"),
            (
                self.is_on() || (self.redirect_listen.is_none() && !clients),
                "tls.certificate",
                "must be set if tls.redirect_listen or tls.client_ca is",
            ),
            (clients == places, "tls.client_ca", "must be set if and only if tls.client_listen or client_optional is"),
            (clients || !is_set(&self.client_crl), "tls.client_crl", "needs tls.client_ca"),
            ((2048..=16_384).contains(&self.rsa_bits_min), "tls.rsa_bits_min", "must be 2048 to 16384"),
            (
                (100..=60_000).contains(&self.handshake_timeout_ms),
                "tls.handshake_timeout_ms",
                "must be 100 to 60000: whoever does not shake hands holds a place",
            ),
            (self.handshakes_max >= 1, "tls.handshakes_max", "must be at least 1"),
            (
                self.ocsp_url.is_empty()
                    || self.ocsp_url.starts_with("http://")
                    || self.ocsp_url.starts_with("https://"),
                "tls.ocsp_url",
                "must begin with http:// or https://",
            ),
        ]
    }
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}
