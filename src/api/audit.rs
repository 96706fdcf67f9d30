//! The audit trail: for those who watch, and for each patient about themselves.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_events::{CorrelationId, Outcome, PatientId, SessionId, UserId};
use wardbook_ledger::SubjectId;

use crate::api::answer;
use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::audit::{self, Look, TrailAsked};
use crate::trail::TrailEntry;

/// Which events. Everything that is given must apply.
#[derive(Deserialize, IntoParams, ToSchema, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrailQuery {
    /// Concerning this patient.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    #[schema(value_type = Option<uuid::Uuid>)]
    patient: Option<PatientId>,
    /// Done by this user.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    #[schema(value_type = Option<uuid::Uuid>)]
    actor: Option<UserId>,
    /// In this session.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    #[schema(value_type = Option<uuid::Uuid>)]
    session: Option<SessionId>,
    /// Of this type, such as `access.chart-opened`, or of this area, such as `access.`
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// `success`, `denied` or `failed`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    outcome: Option<Outcome>,
    /// Caused by this request (`X-Correlation-ID`).
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    #[schema(value_type = Option<uuid::Uuid>)]
    correlation: Option<CorrelationId>,
    /// Recorded at this instant or later (RFC 3339).
    #[serde(default)]
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Recorded before this instant (RFC 3339).
    #[serde(default)]
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    /// How many at most.
    #[serde(default)]
    limit: Option<u32>,
}

impl TrailQuery {
    /// Splits what is asked for from the page.
    pub(crate) fn split(self) -> (TrailAsked, Option<u64>, Option<u32>) {
        let Self { patient, actor, session, kind, outcome, correlation, since, until, cursor, limit } = self;
        (TrailAsked { patient, actor, session, kind, outcome, correlation, since, until }, cursor, limit)
    }
}

/// One page of the trail, newest first.
#[derive(Serialize, ToSchema)]
pub struct TrailAnswer {
    events: Vec<TrailEntry>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    /// How many at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// Who looked, newest first.
#[derive(Serialize, ToSchema)]
pub struct AccessListAnswer {
    events: Vec<Look>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Reads the audit trail.
#[utoipa::path(tag = "audit", security(("bearer" = [])), params(TrailQuery), responses(
    (status = 200, description = "a page of events; that it was read is an event too", body = TrailAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/audit/events")]
pub async fn list_events(caller: Caller, query: web::Query<TrailQuery>) -> Result<HttpResponse, Problem> {
    let (asked, cursor, wanted) = query.into_inner().split();
    let limit = limit(caller.app.config(), wanted)?;
    let (events, next, receipt) = audit::read(&caller.app, &caller.asker, &asked, cursor, limit).await?;
    answer::receipted(StatusCode::OK, &TrailAnswer { events, next }, &receipt)
}

/// Who looked at this patient: for the patient, and for those who answer for compliance.
#[utoipa::path(tag = "audit", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), PageQuery), responses(
    (status = 200, description = "a page of the list; its first entry is this very request", body = AccessListAnswer),
    (status = 403, description = "not your own list", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/access-list")]
pub async fn list_accesses(
    caller: Caller,
    patient: web::Path<PatientId>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = limit(caller.app.config(), query.limit)?;
    let (events, next, receipt) = audit::access_list(&caller.app, &caller.asker, *patient, query.cursor, limit).await?;
    answer::receipted(StatusCode::OK, &AccessListAnswer { events, next }, &receipt)
}

/// The list with a proof that nobody was left out: one completeness bundle a line, the first for the patient, others for
/// patients merged into it. It ends with this very request and can be checked offline: `wardbook verify --bundle`.
#[utoipa::path(tag = "audit", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path)), responses(
    (status = 200, description = "completeness bundles, one a line", body = String, content_type = "application/x-ndjson"),
    (status = 403, description = "not your own list", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/access-proof")]
pub async fn prove_accesses(caller: Caller, patient: web::Path<PatientId>) -> Result<HttpResponse, Problem> {
    let (case, receipt) = audit::tell_access_list(&caller.app, &caller.asker, *patient, true, usize::MAX).await?;
    let ledger = caller.app.ledger().clone();
    let family: Vec<_> = case.family().to_vec();
    let bundles = web::block(move || {
        // The bundle's last event is the request itself, so a checkpoint must cover it.
        ledger.publish().map_err(|e| Problem::internal("a checkpoint was not published", &e))?;
        let mut lines = String::new();
        for patient in family {
            let bundle = ledger.subject_bundle(&SubjectId::from_bytes(*patient.bytes()));
            let bundle = bundle.map_err(|e| Problem::internal("a completeness bundle could not be made", &e))?;
            lines.push_str(&bundle.to_json().map_err(|e| Problem::internal("a bundle has no JSON form", &e))?);
            lines.push('\n');
        }
        Ok::<_, Problem>(lines)
    });
    let mut answer =
        HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/x-ndjson")).body(bundles.await??);
    answer::add_receipt(answer.headers_mut(), &receipt);
    Ok(answer)
}

impl TrailAsked {
    /// Refuses a range of time that ends before it begins.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        match (self.since, self.until) {
            (Some(since), Some(until)) if since > until => {
                Err(Problem::new(Kind::Invalid, "since must not be after until"))
            }
            _ => Ok(()),
        }
    }
}
