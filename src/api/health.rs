//! Is it alive, is it ready. No PHI, no secrets, for anyone who can reach the port.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::answer;
use crate::api::caller::Anyone;
use crate::api::problem::Problem;

/// Health of the service.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `not-ready`.
    pub status: &'static str,
    /// What is in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Version of the program.
    pub version: &'static str,
}

/// Whether the process answers at all.
#[utoipa::path(tag = "health", responses((status = 200, description = "it answers", body = Health)))]
#[get("/health/live")]
pub async fn health_live() -> Result<HttpResponse, Problem> {
    answer::json(StatusCode::OK, &Health { status: "ok", reasons: Vec::new(), version: env!("CARGO_PKG_VERSION") })
}

/// Whether it takes requests: ledger open, views whole and following.
#[utoipa::path(tag = "health", responses(
    (status = 200, description = "it takes requests", body = Health),
    (status = 503, description = "it does not, and why", body = Health),
))]
#[get("/health/ready")]
pub async fn health_ready(anyone: Anyone) -> Result<HttpResponse, Problem> {
    let app = &anyone.app;
    let mut reasons = Vec::new();
    reasons.extend(app.ledger().stopped().map(|reason| format!("the ledger has stopped: {reason}")));
    reasons.extend(app.follower().failure().map(|reason| format!("the views do not follow: {reason}")));
    reasons.extend(app.views().ailing().into_iter().map(|ailing| ailing.reason.to_string()));
    let (code, status) = match reasons.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not-ready"),
    };
    answer::json(code, &Health { status, reasons, version: env!("CARGO_PKG_VERSION") })
}
