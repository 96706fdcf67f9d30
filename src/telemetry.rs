//! What is measured, for whoever collects it: counts and times in the text format of Prometheus, never who or whose.
//!
//! Off unless `metrics.listen` is set. It is a place of its own, so that who may collect is decided by the network, as is the
//! custom, and nobody outside sees how busy a hospital is.

use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, HttpServer, get, web};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::app::App;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const REQUESTS: &str = "wardbook_http_requests_total";
const REQUEST_SECONDS: &str = "wardbook_http_request_seconds";
/// From a read whose key is in memory to the end of a request's time.
const BUCKETS_S: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Methods that are told apart; a stranger's inventions are one more.
const METHODS: [Method; 6] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD];

static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();

/// Begins to measure, in this process; once is enough.
///
/// # Errors
/// If something else measures already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    if let Some(handle) = INSTALLED.get() {
        return Ok(handle.clone());
    }
    let seconds = Matcher::Suffix("_seconds".to_owned());
    let handle = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS_S)?.install_recorder()?;
    describe();
    Ok(INSTALLED.get_or_init(|| handle).clone())
}

fn describe() {
    describe_counter!(REQUESTS, "requests answered, by method, route and status");
    describe_histogram!(REQUEST_SECONDS, "time from a request's head to its answer's, by route");
    describe_gauge!("wardbook_ledger_events", "durable events of the ledger");
    describe_gauge!("wardbook_ledger_stopped", "1 if the ledger takes nothing more");
    describe_gauge!("wardbook_view_lag_events", "durable events that a view has not taken in");
    describe_gauge!("wardbook_view_ailing", "1 if a view does not answer");
    describe_counter!("wardbook_key_seals_total", "values sealed");
    describe_counter!("wardbook_key_opens_total", "values opened");
    describe_counter!("wardbook_key_unwraps_total", "patients' keys unwrapped");
    describe_counter!("wardbook_key_provider_unwraps_total", "keys unwrapped by the root key's provider");
    describe_counter!("wardbook_key_cache_hits_total", "keys found in memory");
    describe_counter!("wardbook_key_provider_calls_total", "calls to the root key's provider, by outcome");
    describe_counter!("wardbook_key_provider_retries_total", "calls to the root key's provider that were tried again");
    describe_histogram!("wardbook_key_provider_seconds", "time of calls to the root key's provider, with retries");
    describe_gauge!("wardbook_key_provider_breaker_open", "1 while the root key's provider is left alone");
}

/// An answer went out. Routes are templates, and those of unknown paths are one, so that nobody makes names here.
pub fn answered(method: &Method, route: Option<&str>, status: u16, took: Duration) {
    if INSTALLED.get().is_none() {
        return;
    }
    let route = route.unwrap_or("-").to_owned();
    let method = METHODS.iter().find(|known| *known == method).map_or("other", Method::as_str).to_owned();
    counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status.to_string()).increment(1);
    histogram!(REQUEST_SECONDS, "route" => route).record(took.as_secs_f64());
}

/// Serves `/metrics`, and nothing else.
///
/// # Errors
/// If the listener is of no use.
pub fn serve(listener: TcpListener, app: &App, handle: PrometheusHandle) -> std::io::Result<Server> {
    let patience = Duration::from_millis(app.config().server.header_timeout_ms);
    let (app, handle) = (web::Data::new(app.clone()), web::Data::new(handle));
    let server = HttpServer::new(move || {
        actix_web::App::new().app_data(app.clone()).app_data(handle.clone()).service(read_metrics)
    });
    let server = server.workers(1).disable_signals().client_request_timeout(patience).shutdown_timeout(1);
    Ok(server.listen(listener)?.run())
}

#[get("/metrics")]
async fn read_metrics(app: web::Data<App>, handle: web::Data<PrometheusHandle>) -> HttpResponse {
    look(&app);
    handle.run_upkeep();
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, TEXT))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(handle.render())
}

/// What is not counted as it happens.
#[expect(clippy::cast_precision_loss, reason = "gauges are floats; a ledger of 2^53 events is not in sight")]
fn look(app: &App) {
    let durable = app.ledger().head().durable;
    gauge!("wardbook_ledger_events").set(durable as f64);
    gauge!("wardbook_ledger_stopped").set(f64::from(u8::from(app.ledger().stopped().is_some())));
    for (view, standing) in app.views().standings() {
        let lag = standing.as_ref().map_or(durable, |standing| durable.saturating_sub(standing.position));
        gauge!("wardbook_view_lag_events", "view" => view.name()).set(lag as f64);
        gauge!("wardbook_view_ailing", "view" => view.name()).set(f64::from(u8::from(standing.is_err())));
    }
    app.keys().tell_uses();
}

/// Sorts what was measured into its buckets, so that memory does not grow where nobody collects.
pub async fn tend() {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Some(handle) = INSTALLED.get() {
            handle.run_upkeep();
        }
    }
}
