//! The certificates that are shown now. What is put in is shown from the next handshake on; connections go on as they are.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::{TlsError, files};
use crate::config;

/// A certificate with its key, ready to be shown.
#[derive(Clone)]
pub struct Shown {
    /// What it says.
    pub certificate: Arc<Certificate>,
    certified: Arc<CertifiedKey>,
}

impl Shown {
    /// Reads certificate, chain and key, and checks that they belong together.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(pair: &config::Pair, rsa_bits_min: usize) -> Result<Self, TlsError> {
        let path = || pair.certificate.clone();
        let chain = files::chain(&pair.certificate)?;
        let mut certificates = Vec::with_capacity(chain.len());
        for der in &chain {
            let read = Certificate::of(der);
            certificates.push(read.map_err(|_| TlsError::NotPem { path: path(), what: "X.509 certificates" })?);
        }
        // Some clients do not look for the order themselves (RFC 5246 section 7.4.2).
        if certificates.windows(2).any(|pair| matches!(pair, [of, by] if of.issuer != by.subject)) {
            return Err(TlsError::Chain { path: path() });
        }
        let certificate = certificates.into_iter().next().ok_or(TlsError::Chain { path: path() })?;
        if certificate.names.is_empty() {
            return Err(TlsError::NoNames { path: path() });
        }
        if !certificate.key.is_strong(rsa_bits_min) {
            return Err(TlsError::Weak { path: path(), key: certificate.key.to_string(), rsa_bits_min });
        }
        let key = files::private_key(&pair.key)?;
        let provider = super::server::provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| TlsError::Key {
            path: pair.key.clone(),
            certificate: path(),
            error,
        })?;
        Ok(Self { certificate: Arc::new(certificate), certified: Arc::new(certified) })
    }

    /// The certificate and the one that signed it, if that one is known.
    #[must_use]
    pub fn with_issuer(&self) -> Option<(&CertificateDer<'static>, &CertificateDer<'static>)> {
        self.certified.cert.first().zip(self.certified.cert.get(1))
    }

    /// The stapled answer of the responder.
    #[must_use]
    pub fn staple(&self) -> Option<&[u8]> {
        self.certified.ocsp.as_deref()
    }

    fn stapled(&self, answer: Option<Vec<u8>>) -> Self {
        let mut certified = CertifiedKey::clone(&self.certified);
        certified.ocsp = answer;
        Self { certificate: Arc::clone(&self.certificate), certified: Arc::new(certified) }
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shown({})", self.certificate.names.join(", "))
    }
}

/// Where handshakes look for a certificate.
#[derive(Debug, Default)]
pub struct Slot(RwLock<Vec<Shown>>);

impl Slot {
    /// What is shown, the one for unknown names first.
    #[must_use]
    pub fn all(&self) -> Vec<Shown> {
        self.0.read().clone()
    }

    /// Puts others in the place of those before. A certificate that stays keeps its stapled answer.
    pub fn put(&self, mut shown: Vec<Shown>) {
        let mut all = self.0.write();
        for new in &mut shown {
            if let Some(old) = all.iter().find(|old| old.certificate.sha256 == new.certificate.sha256) {
                *new = new.stapled(old.staple().map(<[u8]>::to_vec));
            }
        }
        *all = shown;
    }

    /// Staples an answer to a certificate, or takes it off.
    pub fn staple(&self, sha256: &[u8; 32], answer: Option<&[u8]>) {
        for shown in self.0.write().iter_mut().filter(|shown| shown.certificate.sha256 == *sha256) {
            *shown = shown.stapled(answer.map(<[u8]>::to_vec));
        }
    }

    /// The first certificate for this name whose key the client can verify; without one, the first that it can.
    fn for_client(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let all = self.0.read();
        let fits = |shown: &&Shown| shown.certified.key.choose_scheme(hello.signature_schemes()).is_some();
        let named =
            hello.server_name().and_then(|name| all.iter().filter(fits).find(|shown| shown.certificate.is_for(name)));
        named.or_else(|| all.iter().find(fits)).map(|shown| Arc::clone(&shown.certified))
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.for_client(&hello)
    }
}
