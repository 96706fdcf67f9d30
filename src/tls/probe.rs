//! How a server speaks TLS, seen from outside: what it speaks, what it must not, and what it shows (ENC-19 to ENC-21).

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};
use serde::Serialize;

use super::certificate::Certificate;
use super::{TlsError, files, hello, ocsp, server};

/// What to look at, and by which measure.
pub struct Asked {
    /// Host and port.
    pub address: (String, u16),
    /// The name that the certificate must be for; the host, if not given.
    pub name: Option<String>,
    /// Authorities (PEM); those of this machine, if not given.
    pub authorities: Option<std::path::PathBuf>,
    /// Bits that an RSA key must have.
    pub rsa_bits_min: usize,
    /// Days that the certificate must still have.
    pub days_min: i64,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
}

/// Why nothing could be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody is there.
    #[error("cannot reach {host}:{port}: {source}")]
    Unreachable {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// Not a name of a host.
    #[error("{0} is neither the name nor the address of a host")]
    Name(String),
    /// The authorities.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// Those of the machine, or the provider.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Each connection, and each wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// More of an answer is not looked at.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Looks at a server. Blocks.
///
/// # Errors
/// If it cannot be reached at all.
pub fn probe(asked: &Asked, now: Timestamp) -> Result<Vec<Finding>, ProbeError> {
    connect(asked)?; // whoever is not there is not told to have refused
    let mut findings = Vec::new();
    let mut found = |what, ok, seen: String| findings.push(Finding { what, ok, seen });
    let watched = Arc::new(Watching::new(asked)?);
    let modern = shake_hands(asked, &watched, &TLS13)?;
    found("TLS 1.3", modern.is_ok(), described(&modern));
    let older = shake_hands(asked, &watched, &TLS12)?;
    found("TLS 1.2", true, described(&older));
    for (what, hello) in [
        ("TLS 1.1", hello::with_version(0x0302)),
        ("TLS 1.0", hello::with_version(0x0301)),
        ("SSL 3.0", hello::with_version(0x0300)),
        ("no forward secrecy, or CBC", hello::with_version(0x0303)),
    ] {
        let name = asked.name.as_ref().unwrap_or(&asked.address.0);
        let taken = say(asked, &hello.bytes(name))?.is_some_and(|answer| hello.is_taken_by(&answer));
        found(what, !taken, if taken { "is spoken" } else { "is refused" }.to_owned());
    }
    if let Ok(seen) = modern.or(older) {
        found(
            "resumption",
            !seen.resumed,
            if seen.resumed { "sessions are resumed" } else { "every connection is new" }.to_owned(),
        );
        judge_headers(&seen.answer, &mut found);
    }
    judge_certificate(asked, &watched.seen.lock(), now, &mut found);
    Ok(findings)
}

fn judge_headers(answer: &str, found: &mut impl FnMut(&'static str, bool, String)) {
    let header = |name: &str| {
        let line = answer.lines().skip(1).take_while(|line| !line.is_empty());
        let mut values = line.filter_map(|line| line.split_once(':')).filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim().to_ascii_lowercase()).unwrap_or_default()
    };
    let hsts = header("strict-transport-security");
    let parts: Vec<_> = hsts.split(';').map(str::trim).collect();
    let age = parts.iter().find_map(|part| part.strip_prefix("max-age=")?.parse::<u64>().ok());
    let lasting = age.is_some_and(|age| age >= 63_072_000) && parts.contains(&"includesubdomains");
    for (what, ok, seen) in [
        ("Strict-Transport-Security", lasting, &hsts),
        ("X-Content-Type-Options", header("x-content-type-options") == "nosniff", &header("x-content-type-options")),
        ("X-Frame-Options", header("x-frame-options") == "deny", &header("x-frame-options")),
    ] {
        found(what, ok, if seen.is_empty() { "is not sent".to_owned() } else { seen.clone() });
    }
}

fn judge_certificate(asked: &Asked, seen: &Shown, now: Timestamp, found: &mut impl FnMut(&'static str, bool, String)) {
    let chain = &seen.chain;
    let Some(certificate) = chain.first().and_then(|der| Certificate::of(der).ok()) else {
        return found("certificate", false, "none was shown".to_owned());
    };
    let distrust = seen.distrust.clone();
    found(
        "trust",
        distrust.is_none(),
        distrust.unwrap_or_else(|| format!("{}, issued by {}", certificate.subject, certificate.issuer)),
    );
    found("chain", true, format!("{} certificates, SHA-256 {}", chain.len(), certificate.fingerprint()));
    found(
        "key",
        certificate.key.is_strong(asked.rsa_bits_min),
        format!("{}, pin {}", certificate.key, certificate.pin),
    );
    let days = certificate.days_left(now);
    found("end", days >= asked.days_min, format!("{} ({days} days)", certificate.not_after));
    let staple = &seen.staple;
    let (ok, said) = match (staple.is_empty(), certificate.ocsp_url.is_some(), chain.as_slice()) {
        (true, named, _) => (
            !named,
            if named {
                "nothing, though the certificate names a responder"
            } else {
                "nothing, and no responder is named"
            }
            .to_owned(),
        ),
        (false, _, [leaf, issuer, ..]) => match ocsp::check(staple, leaf, issuer, now) {
            Ok(staple) => (true, format!("good until {}", staple.good_until)),
            Err(error) => (false, error.to_string()),
        },
        (false, ..) => (true, "an answer that cannot be checked without the issuer's certificate".to_owned()),
    };
    found("stapled status", ok, said);
}

/// What one version of TLS gave.
struct Seen {
    suite: String,
    resumed: bool,
    answer: String,
}

fn described(outcome: &Result<Seen, String>) -> String {
    outcome.as_ref().map_or_else(|why| format!("is refused ({why})"), |seen| format!("is spoken: {}", seen.suite))
}

/// Asks for the health twice, so that whoever resumes sessions shows it.
fn shake_hands(
    asked: &Asked,
    watching: &Arc<Watching>,
    version: &'static SupportedProtocolVersion,
) -> Result<Result<Seen, String>, ProbeError> {
    let setup = |error: Error| ProbeError::Setup(error.to_string());
    let mut config = ClientConfig::builder_with_provider(server::provider())
        .with_protocol_versions(&[version])
        .map_err(setup)?
        .dangerous() // nothing is sent that matters, and what is not trusted is what we are here to tell
        .with_custom_certificate_verifier(Arc::clone(watching) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    if let Err(error) = once(asked, &config)? {
        return Ok(Err(error.to_string()));
    }
    Ok(once(asked, &config)?.map_err(|error| error.to_string()))
}

fn once(asked: &Asked, config: &Arc<ClientConfig>) -> Result<io::Result<Seen>, ProbeError> {
    let name = asked.name.as_ref().unwrap_or(&asked.address.0);
    let server = ServerName::try_from(name.clone()).map_err(|_| ProbeError::Name(name.clone()))?;
    let socket = connect(asked)?;
    let connection = ClientConnection::new(Arc::clone(config), server).map_err(|e| ProbeError::Setup(e.to_string()))?;
    Ok(exchange(StreamOwned::new(connection, socket), name))
}

fn exchange(mut stream: StreamOwned<ClientConnection, TcpStream>, name: &str) -> io::Result<Seen> {
    let request = format!("GET /health/live HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    // A server that closes without saying goodbye has answered all the same.
    let read = io::Read::by_ref(&mut stream).take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    let suite = stream.conn.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    let group = stream.conn.negotiated_key_exchange_group().map(|group| format!(", {:?}", group.name()));
    Ok(Seen {
        suite: suite + &group.unwrap_or_default(),
        resumed: stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
        answer: String::from_utf8_lossy(&answer).into_owned(),
    })
}

fn connect(asked: &Asked) -> Result<TcpStream, ProbeError> {
    let (host, port) = &asked.address;
    let reach = || {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (host.as_str(), *port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    reach().map_err(|source| ProbeError::Unreachable { host: host.clone(), port: *port, source })
}

/// Says a few bytes and gives the beginning of the answer, if there is one.
fn say(asked: &Asked, bytes: &[u8]) -> Result<Option<Vec<u8>>, ProbeError> {
    let mut stream = connect(asked)?;
    let mut answer = Vec::new();
    let heard = stream.write_all(bytes).and_then(|()| stream.take(hello::ANSWER_BYTES).read_to_end(&mut answer));
    Ok(heard.ok().map(|_| answer))
}

/// What was shown last.
#[derive(Debug, Default)]
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    staple: Vec<u8>,
    distrust: Option<String>,
}

/// Takes every certificate, and keeps whether it should have been taken.
#[derive(Debug)]
struct Watching {
    judge: Arc<dyn ServerCertVerifier>,
    seen: Mutex<Shown>,
}

impl Watching {
    fn new(asked: &Asked) -> Result<Self, ProbeError> {
        let setup = |error: &dyn std::fmt::Display| ProbeError::Setup(error.to_string());
        let judge: Arc<dyn ServerCertVerifier> = match &asked.authorities {
            Some(path) => {
                let roots = Arc::new(files::roots(path)?);
                WebPkiServerVerifier::builder_with_provider(roots, server::provider()).build().map_err(|e| setup(&e))?
            }
            None => Arc::new(rustls_platform_verifier::Verifier::new(server::provider()).map_err(|e| setup(&e))?),
        };
        Ok(Self { judge, seen: Mutex::default() })
    }
}

impl ServerCertVerifier for Watching {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let chain = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned()).collect();
        let distrust = judged.err().map(|error| error.to_string());
        *self.seen.lock() = Shown { chain, staple: ocsp_response.to_vec(), distrust };
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
