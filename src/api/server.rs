//! Listening, serving, and stopping without losing anybody's request.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};

use crate::api::{configure, edge};
use crate::app::App;

/// A server that listens.
pub struct Serving {
    /// Where it listens: the port, if any was asked for.
    pub address: SocketAddr,
    /// To stop it.
    pub handle: ServerHandle,
    server: actix_web::dev::Server,
}

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; is another server running there?")]
pub struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Starts to listen. Must be called within an actix system.
///
/// # Errors
/// If the address is taken or not ours.
pub fn listen(app: &App) -> Result<Serving, ListenError> {
    let config = &app.config().server;
    let fail = |source| ListenError { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let data = web::Data::new(app.clone());
    let routes = app.clone();
    let mut server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(data.clone())
            .configure(configure(routes.config()))
            // Innermost first: the edge sees every answer, those of unknown paths too.
            .wrap(from_fn(edge::edge))
    })
    .keep_alive(Duration::from_secs(config.keep_alive_s))
    .client_request_timeout(Duration::from_millis(config.header_timeout_ms))
    .shutdown_timeout(config.shutdown_timeout_s)
    .disable_signals();
    if config.workers > 0 {
        server = server.workers(config.workers);
    }
    let server = server.listen(listener).map_err(fail)?.run();
    Ok(Serving { address, handle: server.handle(), server })
}

impl Serving {
    /// Serves until stopped through the handle, or by SIGINT or SIGTERM if `signals` is set: then no new connections,
    /// running requests end, and it returns. Writes down what strangers tried, looks for idle sessions and changes the keys
    /// of access tokens meanwhile.
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
        let tasks = [
            actix_web::rt::spawn(count_strangers(app.clone())),
            actix_web::rt::spawn(sweep_sessions(app.clone())),
            actix_web::rt::spawn(tend_keys(app.clone())),
        ];
        let served = self.server.await;
        tasks.iter().for_each(|task| task.abort());
        if let Some(stopper) = stopper {
            stopper.abort();
        }
        served
    }
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

async fn tend_keys(app: App) {
    loop {
        let (tokens, now) = (app.tokens().clone(), app.now());
        match web::block(move || tokens.tend(now)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!("a new key signs access tokens"),
            Ok(Err(error)) => tracing::error!(%error, "the keys of access tokens were not looked after"),
            Err(error) => tracing::warn!(%error, "the keys of access tokens were not looked after"),
        }
        tokio::time::sleep(Duration::from_secs(300)).await;
    }
}
