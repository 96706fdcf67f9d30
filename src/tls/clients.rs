//! Programs that show a certificate of their own (ENC-20, RFC 8705).

use std::any::Any;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::certificate::Certificate;
use super::{TlsError, server};

/// Authorities and what they took back: decides whom a certificate proves.
pub struct Vouching(Arc<dyn ClientCertVerifier>);

impl Vouching {
    /// A list that has run out says nothing: then nobody comes in until a newer one is there.
    pub fn new(roots: RootCertStore, lists: Vec<CertificateRevocationListDer<'static>>) -> Result<Self, TlsError> {
        let listed = !lists.is_empty();
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), server::provider());
        let builder = if listed { builder.with_crls(lists).enforce_revocation_expiration() } else { builder };
        Ok(Self(builder.build().map_err(TlsError::Clients)?))
    }
}

/// Who vouches for clients now.
pub struct Clients {
    now: RwLock<Arc<dyn ClientCertVerifier>>,
    /// What clients are told of whose certificates are taken. A new authority counts at once; that it is told of takes a restart.
    hints: Vec<DistinguishedName>,
}

impl Clients {
    /// These from now on.
    #[must_use]
    pub fn new(Vouching(verifier): Vouching) -> Self {
        let hints = verifier.root_hint_subjects().to_vec();
        Self { now: RwLock::new(verifier), hints }
    }

    /// These in the place of those before.
    pub fn put(&self, Vouching(verifier): Vouching) {
        *self.now.write() = verifier;
    }

    fn now(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.now.read())
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clients(..)")
    }
}

/// One address's question for a certificate.
#[derive(Debug)]
pub struct Gate {
    clients: Arc<Clients>,
    required: bool,
}

impl Gate {
    /// Clients without one come in too.
    #[must_use]
    pub const fn optional(clients: Arc<Clients>) -> Self {
        Self { clients, required: false }
    }
    /// Nobody comes in without one.
    #[must_use]
    pub const fn required(clients: Arc<Clients>) -> Self {
        Self { clients, required: true }
    }
}

impl ClientCertVerifier for Gate {
    fn offer_client_auth(&self) -> bool {
        true
    }
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.clients.hints
    }
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.clients.now().verify_client_cert(end_entity, intermediates, now)
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.now().verify_tls12_signature(message, cert, dss)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.clients.now().verify_tls13_signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients.now().supported_verify_schemes()
    }
}

/// Keeps the certificate that a client proved to hold, for all requests of its connection.
pub fn keep(connection: &dyn Any, data: &mut Extensions) {
    let shown = connection
        .downcast_ref::<TlsStream<TcpStream>>()
        .and_then(|stream| stream.get_ref().1.peer_certificates())
        .and_then(<[_]>::first)
        .and_then(|der| Certificate::of(der).ok());
    if let Some(certificate) = shown {
        data.insert(Arc::new(certificate));
    }
}

/// The certificate that the client of this request proved to hold.
#[must_use]
pub fn shown(request: &HttpRequest) -> Option<Arc<Certificate>> {
    request.conn_data::<Arc<Certificate>>().cloned()
}
