//! Answers that carry their receipt.
//!
//! `Wardbook-Position`, `Wardbook-Digest` and `Wardbook-Event` name the event that tells of this very answer. Anyone can
//! hold it against the ledger: `GET /v1/ledger/proof/{position}`. The position, sent back as `If-Ledger-Position`, makes
//! the next request see what this one wrote.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use wardbook_events::EventId;
use wardbook_ledger::Receipt;

use crate::api::problem::Problem;

/// Position of the event in the whole log.
pub const POSITION: HeaderName = HeaderName::from_static("wardbook-position");
/// BLAKE3 digest of the event, hex.
pub const DIGEST: HeaderName = HeaderName::from_static("wardbook-digest");
/// Id of the event.
pub const EVENT: HeaderName = HeaderName::from_static("wardbook-event");

/// An answer with a JSON body.
///
/// # Errors
/// If the body cannot be written as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<HttpResponse, Problem> {
    let text = serde_json::to_vec(body).map_err(|e| Problem::internal("an answer has no JSON form", &e))?;
    Ok(HttpResponse::build(status).insert_header((header::CONTENT_TYPE, "application/json")).body(text))
}

/// An answer with a JSON body that tells what this event tells.
///
/// # Errors
/// If the body cannot be written as JSON.
pub fn receipted(status: StatusCode, body: &impl Serialize, receipt: &Receipt) -> Result<HttpResponse, Problem> {
    let mut answer = json(status, body)?;
    add_receipt(answer.headers_mut(), receipt);
    Ok(answer)
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode, receipt: Option<&Receipt>) -> HttpResponse {
    let mut answer = HttpResponse::new(status);
    if let Some(receipt) = receipt {
        add_receipt(answer.headers_mut(), receipt);
    }
    answer
}

/// Adds the headers that name an event.
pub fn add_receipt(headers: &mut HeaderMap, receipt: &Receipt) {
    let event = EventId::from_bytes(*receipt.event_id().as_bytes());
    set(headers, POSITION, &receipt.position().get().to_string());
    set(headers, DIGEST, &receipt.digest().to_string());
    set(headers, EVENT, &event.to_string());
}

/// Adds the version of what is answered, to be sent back as `If-Match`.
pub fn add_version(headers: &mut HeaderMap, version: u64) {
    set(headers, header::ETAG, &format!("\"{version}\""));
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Digits, hex and hyphens always fit.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
