//! Which versions, suites and groups are spoken (ENC-19).

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::UnixTime;
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};

use super::TlsError;
use super::clients::Gate;
use super::slot::Slot;
use crate::clock::Clock;
use crate::config::{self, TlsVersion};

/// AES-GCM and ChaCha20-Poly1305 with ephemeral keys: rustls knows no CBC and no RSA key exchange. The first group also
/// withstands who records today and has a quantum computer later; clients that do not know it take the next.
pub fn provider() -> Arc<CryptoProvider> {
    let kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
        aws_lc_rs::kx_group::SECP384R1,
    ];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

/// One server's side of handshakes.
pub fn config(
    config: &config::Tls,
    slot: Arc<Slot>,
    gate: Option<Gate>,
    clock: &Clock,
) -> Result<ServerConfig, TlsError> {
    let versions: &[_] = match config.version_min {
        TlsVersion::Tls13 => &[&TLS13],
        TlsVersion::Tls12 => &[&TLS13, &TLS12],
    };
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(Time(clock.clone())))
        .with_protocol_versions(versions)
        .map_err(TlsError::Setup)?;
    let builder = match gate {
        Some(gate) => builder.with_client_cert_verifier(Arc::new(gate)),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(slot);
    // Every connection proves anew who it is: no tickets, no remembered sessions, no early data that could be repeated.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    server.max_early_data_size = 0;
    // HTTP/1.1 is what the framework adds by itself; nothing else is spoken.
    server.alpn_protocols = Vec::new();
    Ok(server)
}

/// The application's clock decides whether a client's certificate is good.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}
