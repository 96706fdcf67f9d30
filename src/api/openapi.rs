//! The OpenAPI document, made from the routes themselves.

use std::sync::LazyLock;

use actix_web::{HttpResponse, get, http::header, web};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::problem::{Kind, Problem};
use crate::api::{audit, auth, care_teams, health, ledger, patients, projections, records, replay, users};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wardbook",
        description = "A healthcare backend whose audit trail is the system of record.\n\nEvery answer that disclosed or changed something carries the receipt of its event in `Wardbook-Position`, `Wardbook-Digest` and `Wardbook-Event`; anyone can check it at `/v1/ledger/proof/{event}`. Send the position back as `If-Ledger-Position` to read what you wrote. `Idempotency-Key` makes a change safe to repeat. `ETag` is the version to send as `If-Match`. `Purpose-Of-Use` says why (HL7 codes). A patient who does not exist and one whom you may not see give the same 404."
    ),
    modifiers(&Bearer),
    paths(
        auth::login, auth::logout, auth::read_session, auth::read_jwks,
        patients::register_patient, patients::read_patient, patients::search_patients, patients::correct_patient, patients::merge_patient, patients::unmerge_patient,
        records::add_record, records::list_records, records::read_record, records::amend_record, records::sign_record, records::add_addendum, records::retract_record,
        care_teams::list_care_team, care_teams::assign_member, care_teams::end_member,
        audit::list_events, audit::list_accesses, audit::prove_accesses,
        users::create_user, users::list_users, users::read_user, users::grant_role, users::revoke_role, users::disable_user, users::enable_user, users::set_password,
        ledger::read_checkpoint, ledger::read_tile, ledger::prove_event, ledger::list_keys,
        projections::list_projections, projections::rebuild_projection,
        replay::replay_trail,
        health::health_live, health::health_ready,
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

static JSON: LazyLock<serde_json::Value> =
    LazyLock::new(|| serde_json::to_value(Document::openapi()).unwrap_or_default());
static TEXT: LazyLock<String> = LazyLock::new(|| JSON.to_string());

/// The document as JSON.
#[must_use]
pub fn json() -> &'static serde_json::Value {
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
                let open =
                    ["/v1/ledger/", "/health/", "/openapi.json", "/problems/", "/.well-known/", "/v1/auth/login"];
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
