//! TLS as OpenSSL and curl see it, with certificates of `scripts/dev-ca`.

mod authority;
mod check;
mod clients;
mod ends;
mod handshakes;
mod redirect;
mod reload;
mod stapling;

use std::process::{Command, Stdio};

use wardbook::clock::Clock;
use wardbook::config::Config;

use crate::helpers::{Client, TestApp, quick_config};
use authority::Authority;

/// Settings of a server on a free port of the loopback address, with this certificate.
fn config(authority: &Authority, name: &str) -> Config {
    let mut config = quick_config();
    config.tls.certificate = authority.path(&format!("{name}.pem"));
    config.tls.key = authority.path(&format!("{name}.key"));
    config.tls.staple = false;
    config
}

/// A server whose clock stands at what is now: OpenSSL has no other.
fn start(config: Config) -> TestApp {
    TestApp::at(Clock::system().now(), config, tempfile::tempdir().unwrap())
}

/// What `openssl s_client` said of a request, and whether it took the server.
struct Said {
    text: String,
    ok: bool,
}

impl Said {
    #[track_caller]
    fn has(&self, words: &str) -> &Self {
        assert!(self.text.contains(words), "no {words:?} in: {}", self.text);
        self
    }
    #[track_caller]
    fn has_not(&self, words: &str) -> &Self {
        assert!(!self.text.contains(words), "{words:?} in: {}", self.text);
        self
    }
}

/// Asks for the server's health with `openssl s_client`.
fn s_client(authority: &Authority, address: impl ToString, more: &[&str]) -> Said {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string(), "-servername", "localhost", "-ign_eof"]);
    command.arg("-CAfile").arg(authority.path("ca.pem")).args(["-verify_return_error"]).args(more);
    let ended = crate::program::raw_with_input(
        command,
        "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    let text = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    Said { ok: text.contains("HTTP/1.1 200 OK"), text }
}

/// Calls with curl; what it printed, or its exit code.
fn curl(authority: &Authority, more: &[&str]) -> Result<String, i32> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]).arg(authority.path("ca.pem"));
    let ended = command.args(more).stdin(Stdio::null()).output().unwrap();
    match ended.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        code => Err(code.unwrap()),
    }
}

/// A client that trusts the authority, with a certificate of its own if one is named.
fn client(authority: &Authority, base: &str, name: Option<&str>) -> Client {
    use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
    let certificates = |name: &str| -> Vec<Certificate<'static>> {
        let pem = std::fs::read(authority.path(name)).unwrap();
        let items = parse_pem(&pem).filter_map(|item| match item.unwrap() {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        });
        items.collect()
    };
    let own = name.map(|name| {
        let key = std::fs::read(authority.path(&format!("{name}.key"))).unwrap();
        ClientCert::new_with_certs(&certificates(&format!("{name}.pem")), PrivateKey::from_pem(&key).unwrap())
    });
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(certificates("ca.pem")))
        .client_cert(own)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let agent = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().new_agent();
    // The name in the certificate.
    Client::through(&base.replace("127.0.0.1", "localhost"), agent)
}
