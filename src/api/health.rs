//! Is it alive, is it ready. No PHI, no secrets, for anyone who can reach the port.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::answer;
use crate::api::caller::Anyone;
use crate::api::problem::Problem;
use crate::tls::{Pins, Tls};

/// Health of the service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `not-ready`.
    pub status: &'static str,
    /// What is in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Where the root key lives, and whether that place answered when it was last asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_key: Option<RootKeyHealth>,
    /// Version of the program.
    pub version: &'static str,
    /// The certificates, if the server speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
}

/// Health of the certificates. None of it makes a server unready: it serves as long as clients take what it shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Certificates {
    /// Whole days until the first of them ends; negative if one has ended.
    pub days_left: i64,
    /// Newer files lie there that cannot be used; the log says why.
    pub refused: bool,
}

/// Health of the place where the root key lives. While it does not answer, keys in memory serve for some minutes, and what
/// needs none goes on: so this alone does not make the service unready.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootKeyHealth {
    /// `file`, `vault`, `aws-kms` or `pkcs11`.
    pub provider: &'static str,
    /// `reachable`, `refusing` (our credentials or the key), `unreachable`, or `unknown` before it was asked.
    pub state: &'static str,
}

/// Whether the process answers at all.
#[utoipa::path(tag = "health", responses((status = 200, description = "it answers", body = Health)))]
#[get("/health/live")]
pub async fn health_live() -> Result<HttpResponse, Problem> {
    answer::json(StatusCode::OK, &health("ok", Vec::new(), None, None))
}

/// Whether it takes requests: ledger open, views whole and following.
#[utoipa::path(tag = "health", responses(
    (status = 200, description = "it takes requests", body = Health),
    (status = 503, description = "it does not, and why", body = Health),
))]
#[get("/health/ready")]
pub async fn health_ready(anyone: Anyone, tls: Option<web::Data<Tls>>) -> Result<HttpResponse, Problem> {
    let app = &anyone.app;
    let mut reasons = Vec::new();
    reasons.extend(app.ledger().stopped().map(|reason| format!("the ledger has stopped: {reason}")));
    reasons.extend(app.follower().failure().map(|reason| format!("the views do not follow: {reason}")));
    reasons.extend(app.views().ailing().into_iter().map(|ailing| ailing.reason.to_string()));
    let (code, status) = match reasons.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not-ready"),
    };
    let certificates = tls.and_then(|tls| {
        let days_left = tls.certificates().iter().map(|one| one.days_left(app.now())).min()?;
        Some(Certificates { days_left, refused: tls.refused().is_some() })
    });
    let root = app.root();
    let root_key = RootKeyHealth { provider: root.name(), state: root.state().name() };
    answer::json(code, &health(status, reasons, Some(root_key), certificates))
}

const fn health(
    status: &'static str,
    reasons: Vec<String>,
    root_key: Option<RootKeyHealth>,
    certificates: Option<Certificates>,
) -> Health {
    Health { status, reasons, root_key, version: env!("CARGO_PKG_VERSION"), certificates }
}

/// Public keys that clients may pin, now and next (ENC-20); none if TLS ends in front of this server.
#[utoipa::path(tag = "health", responses((status = 200, description = "the keys", body = Pins)))]
#[get("/.well-known/wardbook-pins.json")]
pub async fn read_pins(tls: Option<web::Data<Tls>>) -> Result<HttpResponse, Problem> {
    answer::json(StatusCode::OK, &tls.map(|tls| tls.pins()).unwrap_or_default())
}
