//! Listening, serving, and stopping without losing anybody's request.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};

use crate::api::{configure, edge};
use crate::app::App;
use crate::config::PlainHttp;
use crate::keyring::{KeyringError, schedule};
use crate::telemetry;
use crate::tls::{self, Tls, TlsError};

/// A server that listens.
pub struct Serving {
    /// Where it listens: the port, if any was asked for.
    pub address: SocketAddr,
    /// Where only clients with a certificate come in.
    pub client_address: Option<SocketAddr>,
    /// Where browsers are sent on to HTTPS.
    pub redirect_address: Option<SocketAddr>,
    /// Where metrics are collected.
    pub metrics_address: Option<SocketAddr>,
    /// To stop it.
    pub handle: ServerHandle,
    /// Its certificates, if it speaks TLS.
    pub tls: Option<Tls>,
    server: actix_web::dev::Server,
    /// Servers beside it, and what each is for.
    beside: Vec<(&'static str, actix_web::dev::Server)>,
}

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}; is another server running there?")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Everybody on the way could read along.
    #[error(
        "{0} can be reached from outside: set tls.certificate and tls.key, or server.plain_http = \"behind-proxy\" if a proxy \
         in front of it speaks TLS"
    )]
    Plain(SocketAddr),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What is measured.
    #[error("metrics cannot be collected: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Starts to listen. Must be called within an actix system.
///
/// # Errors
/// If an address is taken or not ours, would serve strangers in plain text, or the certificates cannot be used.
pub fn listen(app: &App) -> Result<Serving, ListenError> {
    let (config, tls_config) = (&app.config().server, &app.config().tls);
    let tls = Tls::load(tls_config, app.clock())?;
    if tls.is_none() && !config.listen.ip().is_loopback() && config.plain_http == PlainHttp::Loopback {
        return Err(ListenError::Plain(config.listen));
    }
    let (listener, address) = bind(config.listen)?;
    let (data, certificates) = (web::Data::new(app.clone()), tls.clone().map(web::Data::new));
    let routes = app.clone();
    let mut server = HttpServer::new(move || {
        let service = actix_web::App::new().app_data(data.clone()).configure(configure(routes.config()));
        let service = match &certificates {
            Some(certificates) => service.app_data(certificates.clone()),
            None => service,
        };
        // Innermost first: the edge sees every answer, those of unknown paths too.
        service.wrap(from_fn(edge::edge))
    })
    .keep_alive(Duration::from_secs(config.keep_alive_s))
    .client_request_timeout(Duration::from_millis(config.header_timeout_ms))
    .tls_handshake_timeout(Duration::from_millis(tls_config.handshake_timeout_ms))
    .max_connection_rate(tls_config.handshakes_max)
    .on_connect(tls::clients::keep)
    .shutdown_timeout(config.shutdown_timeout_s)
    .disable_signals();
    if config.workers > 0 {
        server = server.workers(config.workers);
    }
    let fail = |address| move |source| ListenError::Bind { address, source };
    let (mut client_address, mut redirect_address, mut metrics_address) = (None, None, None);
    let mut beside = Vec::new();
    server = match &tls {
        None => server.listen(listener).map_err(fail(address))?,
        Some(tls) => {
            server = server.listen_rustls_0_23(listener, tls.for_everyone()?).map_err(fail(address))?;
            if let Some((place, speaks)) = tls_config.client_listen.zip(tls.for_clients()?) {
                let (listener, place) = bind(place)?;
                client_address = Some(place);
                server = server.listen_rustls_0_23(listener, speaks).map_err(fail(place))?;
            }
            if let Some(place) = tls_config.redirect_listen {
                let (listener, place) = bind(place)?;
                redirect_address = Some(place);
                let port = Some(tls_config.redirect_port).filter(|port| *port != 0).unwrap_or(address.port());
                let patience = Duration::from_millis(config.header_timeout_ms);
                let serving = tls::redirect::serve(listener, tls.clone(), port, patience);
                beside.push(("nobody is sent on to HTTPS", serving.map_err(fail(place))?));
            }
            server
        }
    };
    if let Some(place) = app.config().metrics.listen {
        let (listener, place) = bind(place)?;
        metrics_address = Some(place);
        let serving = telemetry::serve(listener, app, telemetry::install()?);
        beside.push(("nobody collects metrics", serving.map_err(fail(place))?));
    }
    let server = server.run();
    let handle = server.handle();
    Ok(Serving { address, client_address, redirect_address, metrics_address, handle, tls, server, beside })
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let bound = TcpListener::bind(address).and_then(|listener| listener.local_addr().map(|at| (listener, at)));
    bound.map_err(|source| ListenError::Bind { address, source })
}

impl Serving {
    /// Serves until stopped through the handle, or by SIGINT or SIGTERM if `signals` is set: then no new connections,
    /// running requests end, and it returns; SIGHUP makes it read its certificates again. Writes down what strangers tried,
    /// looks for idle sessions and changes the keys of access tokens meanwhile.
    ///
    /// # Errors
    /// If the server fails.
    pub async fn run(self, app: &App, signals: bool) -> std::io::Result<()> {
        let handle = self.handle.clone();
        let stopper = signals.then(|| {
            actix_web::rt::spawn(async move {
                wait_for_signal().await;
                tracing::info!("stopping: running requests may end");
                handle.stop(true).await;
            })
        });
        let mut tasks = vec![
            actix_web::rt::spawn(count_strangers(app.clone())),
            actix_web::rt::spawn(sweep_sessions(app.clone())),
            actix_web::rt::spawn(tend_tokens(app.clone())),
            actix_web::rt::spawn(tend_backups(app.clone())),
            actix_web::rt::spawn(tend_keyring(app.clone())),
            actix_web::rt::spawn(crate::root::watch(app.clone())),
            actix_web::rt::spawn(sweep_uploads(app.clone())),
            actix_web::rt::spawn(finish_erasures(app.clone())),
        ];
        if let Some(address) = self.metrics_address {
            tracing::info!(%address, "metrics are served");
            tasks.push(actix_web::rt::spawn(telemetry::tend()));
        }
        if let Some(tls) = &self.tls {
            tasks.push(actix_web::rt::spawn(tend_certificates(app.clone(), tls.clone(), signals)));
        }
        let beside: Vec<_> = self.beside.into_iter().map(|(without, server)| run_beside(without, server)).collect();
        let served = self.server.await;
        for handle in beside {
            handle.stop(false).await;
        }
        tasks.iter().for_each(|task| task.abort());
        // What is at work on many keys is not waited for until it is through.
        app.keyring().stop();
        if let Some(stopper) = stopper {
            stopper.abort();
        }
        served
    }
}

/// Lets a server run beside the one that matters; `without` is what its end means.
fn run_beside(without: &'static str, server: actix_web::dev::Server) -> ServerHandle {
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "{without} any more");
        }
    });
    handle
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        tracing::warn!("signals cannot be caught here: stop the process by other means");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn count_strangers(app: App) {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let app = app.clone();
        match web::block(move || crate::strangers::write(&app, false)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the count of failed logins was not written"),
            Err(error) => tracing::warn!(%error, "the count of failed logins was not written"),
        }
    }
}

async fn sweep_sessions(app: App) {
    loop {
        tokio::time::sleep(Duration::from_secs(u64::from(app.config().sessions.sweep_every_s))).await;
        match crate::sessions::sweep(&app).await {
            Ok(swept) if swept == crate::sessions::Swept::default() => {}
            Ok(swept) => tracing::info!(locked = swept.locked, ended = swept.ended, "idle sessions"),
            Err(error) => tracing::warn!(%error, "idle sessions were not looked for"),
        }
    }
}

async fn sweep_uploads(app: App) {
    loop {
        tokio::time::sleep(Duration::from_secs(u64::from(app.config().documents.sweep_every_s))).await;
        match crate::documents::sweep(&app).await {
            Ok(0) => {}
            Ok(uploads) => tracing::info!(uploads, "uploads that nobody finished were thrown away"),
            Err(error) => tracing::warn!(%error, "uploads that nobody finished were not looked for"),
        }
    }
}

async fn finish_erasures(app: App) {
    loop {
        crate::erasure::finish(&app).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

async fn tend_tokens(app: App) {
    loop {
        let tended = app.clone();
        match web::block(move || crate::token_keys::tend(&tended)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!("a new key signs access tokens"),
            Ok(Err(error)) => tracing::error!(%error, "the keys of access tokens were not looked after"),
            Err(error) => tracing::warn!(%error, "the keys of access tokens were not looked after"),
        }
        tokio::time::sleep(Duration::from_secs(300)).await;
    }
}

/// Reads certificates that have changed each minute, and at once on SIGHUP.
async fn tend_certificates(app: App, tls: Tls, signals: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signals.then(|| signal(SignalKind::hangup()).ok()).flatten();
    let mut asked = false;
    loop {
        let (app, tls) = (app.clone(), tls.clone());
        let work = move || if asked { tls::tending::reload(&app, &tls) } else { tls::tending::tend(&app, &tls) };
        match web::block(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what became of the certificates was not written"),
            Err(error) => tracing::warn!(%error, "the certificates were not looked after"),
        }
        let minute = tokio::time::sleep(Duration::from_secs(60));
        asked = match &mut hangup {
            Some(hangup) => tokio::select! {
                heard = hangup.recv() => heard.is_some(),
                () = minute => false,
            },
            None => {
                minute.await;
                false
            }
        };
    }
}

async fn tend_backups(app: App) {
    loop {
        // A start has enough to do.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let due = app.clone();
        match web::block(move || crate::backup::schedule::tick(&due)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "a backup that was due was not made"),
            Err(error) => tracing::warn!(%error, "backups were not looked after"),
        }
    }
}

async fn tend_keyring(app: App) {
    let mut work: fn(&App) -> Result<(), KeyringError> = schedule::begin;
    loop {
        let due = app.clone();
        match web::block(move || work(&due)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "keys were not looked after: it is tried again"),
            Err(error) => tracing::warn!(%error, "keys were not looked after"),
        }
        // A start has enough to do.
        tokio::time::sleep(Duration::from_secs(60)).await;
        work = schedule::tick;
    }
}
