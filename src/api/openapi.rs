//! The OpenAPI document, made from the routes themselves.

use std::sync::LazyLock;

use actix_web::{HttpResponse, get, http::header, web};
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::problem::{Kind, Problem};
use crate::api::{
    access_reviews, alerts, audit, auth, backups, break_glass, care_teams, compromise, consent, documents, drafts,
    elevations, erasure, external, factors, health, keys, ledger, passwords, patients, places, policy, projections,
    records, replay, services, sessions, uploads, users,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wardbook",
        description = "A healthcare backend whose audit trail is the system of record.\n\nEvery answer that disclosed or changed something carries the receipt of its event in `Wardbook-Position`, `Wardbook-Digest` and `Wardbook-Event`; anyone can check it at `/v1/ledger/proof/{event}`. Send the position back as `If-Ledger-Position` to read what you wrote. `Idempotency-Key` makes a change safe to repeat. `ETag` is the version to send as `If-Match`. `Purpose-Of-Use` says why (HL7 codes). A patient who does not exist and one whom you may not see give the same 404."
    ),
    modifiers(&Bearer),
    paths(
        auth::login, auth::logout, auth::read_session, auth::read_jwks,
        auth::ask_passkey, auth::passkey_login, auth::set_pin,
        auth::second_factor, auth::refresh, auth::step_up, auth::confirm_step_up, auth::rotate_keys,
        sessions::list_sessions, sessions::end_session, sessions::end_other_sessions, sessions::lock_session, sessions::unlock_session,
        sessions::set_documentation_mode, sessions::list_sessions_of, sessions::end_sessions_of, sessions::end_session_of, sessions::unlock_user,
        patients::register_patient, patients::read_patient, patients::search_patients, patients::correct_patient, patients::flag_patient, places::place_patient, patients::merge_patient, patients::unmerge_patient,
        records::add_record, records::list_records, records::read_record, records::amend_record, records::sign_record, records::add_addendum, records::retract_record,
        documents::list_documents, documents::read_content, documents::retract_document,
        uploads::begin_upload, uploads::read_upload, uploads::append_upload, uploads::finish_upload, uploads::discard_upload,
        drafts::save_draft, drafts::list_drafts, drafts::read_draft, drafts::discard_draft,
        consent::list_consents, consent::restrict_access, consent::lift_restriction, consent::permit_disclosure, consent::withdraw_disclosure, consent::grant_proxy, consent::end_proxy,
        elevations::request_elevation, elevations::list_elevations, elevations::approve_elevation, elevations::refuse_elevation, elevations::end_elevation, elevations::review_elevation,
        erasure::request_erasure, erasure::list_erasures, erasure::read_erasure, erasure::approve_erasure, erasure::refuse_erasure, erasure::read_certificate, erasure::place_hold, erasure::list_holds, erasure::lift_hold,
        access_reviews::open_review, access_reviews::list_reviews, access_reviews::read_review, access_reviews::decide_holding, access_reviews::close_review, access_reviews::read_evidence,
        care_teams::list_care_team, care_teams::assign_member, care_teams::end_member,
        break_glass::start_emergency, break_glass::list_emergencies, break_glass::read_emergency, break_glass::extend_emergency, break_glass::end_emergency, break_glass::review_emergency, break_glass::report_emergencies,
        alerts::list_alerts, alerts::acknowledge_alert,
        backups::list_backups, backups::create_backup, backups::verify_backup, backups::drill_backup,
        keys::read_keys, keys::rotate_key, keys::rewrap_keys,
        compromise::declare_compromise, compromise::read_compromise,
        audit::list_events, audit::list_accesses, audit::prove_accesses,
        users::create_user, users::list_users, users::read_user, users::grant_role, users::revoke_role, users::disable_user, users::enable_user, users::set_password,
        places::set_places, places::set_hours, places::set_networks,
        factors::enrol_factor, factors::confirm_factor, factors::send_code, factors::list_factors, factors::renew_recovery_codes, factors::remove_factor, factors::reset_factors,
        passwords::change_password, passwords::forgot_password, passwords::reset_password, passwords::set_own_contact, passwords::set_contact,
        external::end_external, external::begin_external, external::link_external, external::unlink_external,
        services::create_service, services::set_service_key, services::set_service_certificate, services::token, services::issue_own_key, services::list_own_keys, services::revoke_own_key, services::issue_service_key, services::list_service_keys, services::revoke_service_key,
        ledger::read_checkpoint, ledger::read_tile, ledger::prove_event, ledger::list_keys,
        projections::list_projections, projections::rebuild_projection,
        policy::list_policies, policy::explain_denial, policy::explain_decision,
        replay::replay_trail,
        health::health_live, health::health_ready, health::read_pins,
        read_openapi, read_problem,
    )
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

static JSON: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let operations = paths.into_iter().flat_map(|paths| paths.values_mut());
    for operation in operations.filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut()) {
        complete(operation);
    }
    document
});

/// What every route can answer besides what it says itself: whether the request has the part that can be wrong, and what
/// is answered then.
type Common = (fn(&Value) -> bool, &'static str, &'static str);
const COMMON: [Common; 9] = [
    (|_| true, "400", "the request is not well-formed"),
    (
        |operation| operation.get("security").is_some(),
        "401",
        "a valid access token is needed, or a fresh proof of who you are",
    ),
    (
        |operation| operation.get("security").is_some(),
        "412",
        "If-Match names another version, or If-Ledger-Position an event that is not there",
    ),
    (|_| true, "408", "the request took too long"),
    (|operation| operation.get("requestBody").is_some(), "413", "the body is too large"),
    (|operation| operation.get("requestBody").is_some(), "415", "the body is of another type than the route takes"),
    (
        |operation| operation.get("requestBody").is_some() || operation.get("parameters").is_some(),
        "422",
        "a value breaks a rule",
    ),
    (|_| true, "429", "too many requests: try again after Retry-After"),
    (|_| true, "503", "overloaded, stopping, or the views have not caught up: try again after Retry-After"),
];

/// Adds the answers that are the same for many routes, and says of all errors that they are problem documents (RFC 9457).
fn complete(operation: &mut Value) {
    let common = COMMON.map(|(can_be, status, description)| (can_be(operation), status, description));
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    let Some(responses) = responses else { return };
    for (_, status, description) in common.into_iter().filter(|(can_be, ..)| *can_be) {
        let problem = serde_json::json!({ "$ref": PROBLEM_SCHEMA });
        let answer =
            serde_json::json!({ "description": description, "content": { PROBLEM_JSON: { "schema": problem } } });
        responses.entry(status).or_insert(answer);
    }
    for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { continue };
        // OAuth 2.0 has an error format of its own (RFC 6749 section 5.2), which is plain JSON.
        let ours = |schema: &Value| schema.pointer("/schema/$ref").is_some_and(|schema| schema == PROBLEM_SCHEMA);
        if let Some(schema) = content.get("application/json").filter(|schema| ours(schema)).cloned() {
            content.remove("application/json");
            content.insert(PROBLEM_JSON.to_owned(), schema);
        }
    }
}

const PROBLEM_JSON: &str = "application/problem+json";
const PROBLEM_SCHEMA: &str = "#/components/schemas/ProblemBody";
static TEXT: LazyLock<String> = LazyLock::new(|| JSON.to_string());

/// The document as JSON.
#[must_use]
pub fn json() -> &'static Value {
    &JSON
}

/// The methods of a path, as `Allow` lists them; `None` if there is no such path.
#[must_use]
pub fn methods_at(path: &str) -> Option<String> {
    let paths = JSON.get("paths")?.as_object()?;
    let (_, operations) = paths.iter().find(|(pattern, _)| fits(pattern, path))?;
    let methods: Vec<_> = operations.as_object()?.keys().map(|method| method.to_ascii_uppercase()).collect();
    Some(methods.join(", "))
}

/// Whether a path is one of a pattern such as `/v1/patients/{patient}`. The path of a tile has several segments.
fn fits(pattern: &str, path: &str) -> bool {
    if let Some(start) = pattern.strip_suffix("{path}") {
        return path.starts_with(start);
    }
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

/// This document.
#[utoipa::path(tag = "about", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
#[get("/openapi.json")]
pub async fn read_openapi() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(TEXT.as_str())
}

/// What a kind of problem means: the page behind the `type` of an error.
#[utoipa::path(tag = "about", params(("kind" = String, Path, description = "such as `not-found`")), responses(
    (status = 200, description = "what it means", body = Object),
    (status = 404, description = "no such kind", body = crate::api::problem::ProblemBody),
))]
#[get("/problems/{kind}")]
pub async fn read_problem(kind: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = Kind::ALL.iter().find(|known| known.slug() == kind.as_str());
    let kind = kind.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such kind of problem"))?;
    let body = serde_json::json!({ "type": format!("/problems/{}", kind.slug()), "title": kind.title(), "status": kind.status() });
    Ok(HttpResponse::Ok().json(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_says_how_it_can_fail_and_what_it_needs() {
        let paths = json()["paths"].as_object().unwrap();
        assert!(paths.len() > 25);
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                assert!(!responses.is_empty(), "{method} {path}");
                let open = [
                    "/v1/ledger/",
                    "/health/",
                    "/openapi.json",
                    "/problems/",
                    "/.well-known/",
                    "/v1/auth/login",
                    "/v1/auth/passkey",
                    "/v1/auth/second-factor",
                    "/v1/auth/refresh",
                    "/v1/auth/factors/confirm",
                    "/v1/auth/password/",
                    "/v1/auth/external/",
                    "/v1/auth/token",
                ];
                let is_open = open.iter().any(|prefix| path.starts_with(prefix));
                assert_eq!(operation.get("security").is_none(), is_open, "{method} {path}");
            }
        }
    }

    #[test]
    fn methods_are_found_by_path() {
        assert_eq!(methods_at("/v1/ledger/tile/0/x001/067").as_deref(), Some("GET"));
        let mut both: Vec<_> = methods_at("/v1/patients/x").unwrap().split(", ").map(str::to_owned).collect();
        both.sort();
        assert_eq!(both, ["GET", "PATCH"]);
        assert_eq!(methods_at("/v1/patients/"), None);
        assert_eq!(methods_at("/v1/patients/x/y/z/w"), None);
    }
}
