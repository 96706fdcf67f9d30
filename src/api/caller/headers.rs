//! What callers say in headers besides who they are.

use actix_web::http::header::{self, HeaderMap};
use serde::Deserialize as _;
use serde::de::value::{Error, StrDeserializer};
use wardbook_commands::IdempotencyKey;
use wardbook_events::Purpose;
use wardbook_events::access::AccessReason;

use crate::api::problem::{Kind, Problem};

/// Name of the header with the position that the views must have reached.
pub const IF_LEDGER_POSITION: &str = "if-ledger-position";
/// Name of the header with the purpose of use.
pub const PURPOSE_OF_USE: &str = "purpose-of-use";
/// Name of the header that says more closely why a patient is looked at.
pub const ACCESS_REASON: &str = "access-reason";
/// Name of the header that makes a request safe to repeat.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(super) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(super) fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, Problem> {
    match headers.get(name) {
        None => Ok(None),
        Some(value) => match value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::new(Kind::Malformed, format!("{name} must be a number"))),
        },
    }
}

pub(super) fn purpose(headers: &HeaderMap) -> Result<Option<Purpose>, Problem> {
    let code = text(headers, PURPOSE_OF_USE);
    let purpose = code.map(str::parse::<Purpose>).transpose();
    purpose.map_err(|e| Problem::new(Kind::Malformed, format!("Purpose-Of-Use: {e}")))
}

pub(super) fn reason(headers: &HeaderMap) -> Result<Option<AccessReason>, Problem> {
    let Some(name) = text(headers, ACCESS_REASON) else { return Ok(None) };
    let reason = AccessReason::deserialize(StrDeserializer::<Error>::new(name));
    let reason = reason.map_err(|_| {
        Problem::new(
            Kind::Malformed,
            "Access-Reason must be direct-care, consultation, visit-preparation, emergency, billing, registration, \
             patient-request or inquiry",
        )
    });
    reason.map(Some)
}

pub(super) fn idempotency(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let key = text(headers, IDEMPOTENCY_KEY).map(IdempotencyKey::new).transpose();
    key.map_err(|e| Problem::new(Kind::Malformed, e.to_string()))
}

/// `"7"`, as we give it in `ETag`.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim);
    let version = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    match version {
        Some(version) => Ok(Some(version)),
        None => Err(Problem::new(Kind::Malformed, "If-Match must be an ETag of ours, such as \"7\"")),
    }
}
