//! Roles for a short time: asked for, agreed to by somebody else, over by themselves (ACC-06).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_commands::elevations::{Command, RequestElevation};
use wardbook_events::break_glass::ReviewOutcome;
use wardbook_events::{ElevationId, EventId, Role, UserId};
use wardbook_policy::{Action, Ask, Target};
use wardbook_projections::elevations::{Elevation, Stage};

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::allow;

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ElevationBody {
    /// `admin`, `security-admin`, `system-admin` or `database-admin`.
    #[schema(value_type = schema::Role)]
    role: Role,
    /// For how long.
    #[schema(minimum = 1)]
    minutes: u32,
    /// What for, such as the number of a ticket; 1 to 500 characters, never about a patient.
    reason: String,
    /// Ask nobody: the role is there at once, for an hour at most, and somebody else judges it afterwards.
    #[serde(default)]
    emergency: bool,
}

/// What was found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeBody {
    #[schema(value_type = schema::ReviewOutcome)]
    outcome: ReviewOutcome,
}

/// The request that was made.
#[derive(Serialize, ToSchema)]
pub struct RequestedAnswer {
    #[schema(value_type = uuid::Uuid)]
    elevation: ElevationId,
}

/// One request.
#[derive(Serialize, ToSchema)]
pub struct ElevationAnswer {
    #[schema(value_type = uuid::Uuid)]
    elevation: ElevationId,
    /// Who asked.
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[schema(value_type = schema::Role)]
    role: Role,
    minutes: u32,
    reason: String,
    #[schema(value_type = String)]
    requested_at: Timestamp,
    /// `asked`, `unanswered`, `refused`, `granted`, `ended` before its time, or `over`.
    status: &'static str,
    /// Nobody was asked.
    emergency: bool,
    /// Who agreed, refused or ended it.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<UserId>,
    /// Until when somebody can agree.
    #[schema(value_type = String)]
    answer_until: Timestamp,
    /// Until when the user has, or had, the role.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    /// When somebody must have judged it, if nobody had agreed.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    review_due_at: Option<Timestamp>,
    /// Nobody has judged it in time.
    review_overdue: bool,
    /// Who judged it.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewed_by: Option<UserId>,
    /// What was found.
    #[schema(value_type = Option<schema::ReviewOutcome>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<ReviewOutcome>,
}

impl ElevationAnswer {
    fn at(now: Timestamp, found: Elevation) -> Self {
        let grant = found.grant;
        let (status, by) = match found.stage {
            Stage::Asked if now < found.answer_until => ("asked", None),
            Stage::Asked => ("unanswered", None),
            Stage::Refused { by, .. } => ("refused", Some(by)),
            Stage::Ended { by, .. } => ("ended", Some(by)),
            Stage::Granted => {
                let live = grant.is_some_and(|grant| now < grant.until);
                (if live { "granted" } else { "over" }, grant.and_then(|grant| grant.by))
            }
        };
        let settled = found.judgement.is_some_and(|said| said.outcome != ReviewOutcome::UnderInvestigation);
        let due = grant.and_then(|grant| grant.review_due_at);
        Self {
            elevation: found.elevation,
            user: found.user,
            role: found.role,
            minutes: found.lasts_s.div_ceil(60),
            reason: found.reason,
            requested_at: found.requested_at,
            status,
            emergency: due.is_some(),
            by,
            answer_until: found.answer_until,
            until: grant.map(|grant| grant.until),
            review_due_at: due,
            review_overdue: !settled && due.is_some_and(|due| due <= now),
            reviewed_by: found.judgement.map(|said| said.by),
            outcome: found.judgement.map(|said| said.outcome),
        }
    }
}

/// One page of requests, newest first. With `all` a page may hold fewer than `limit` although there are more.
#[derive(Serialize, ToSchema)]
pub struct ElevationsAnswer {
    elevations: Vec<ElevationAnswer>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Which requests.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ElevationsQuery {
    /// Those of others too, as far as one may decide about them.
    #[serde(default)]
    all: bool,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
}

/// Asks for a role for a short time. With `emergency` it is there when this answers.
#[utoipa::path(tag = "elevations", security(("bearer" = [])), request_body = ElevationBody, responses(
    (status = 201, description = "asked for, or in an emergency granted", body = RequestedAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 409, description = "held already, still open, or to be kept apart from a role held", body = ProblemBody),
    (status = 422, description = "not a role for a short time, too long, or no reason", body = ProblemBody),
))]
#[post("/v1/elevations")]
pub async fn request_elevation(caller: Caller, body: web::Json<ElevationBody>) -> Result<HttpResponse, Problem> {
    let (permit, _) = allow(&caller.app, &caller.asker, Action::RequestElevation, Target::Tenant).await?;
    let ElevationBody { role, minutes, reason, emergency } = body.into_inner();
    let request = RequestElevation { role, lasts_s: minutes.saturating_mul(60), reason, emergency };
    let lasts_max_s = caller.app.config().elevations.minutes_max.saturating_mul(60);
    let done = caller.app.commands().request_elevation(&permit, &caller.origin()?, request, lasts_max_s).await?;
    seen(&caller, &done).await?;
    let mut answer = answer::json(StatusCode::CREATED, &RequestedAnswer { elevation: done.value })?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Lists requests: one's own, or all that one may decide about.
#[utoipa::path(tag = "elevations", security(("bearer" = [])), params(ElevationsQuery), responses(
    (status = 200, description = "a page of requests", body = ElevationsAnswer),
))]
#[get("/v1/elevations")]
pub async fn list_elevations(caller: Caller, query: web::Query<ElevationsQuery>) -> Result<HttpResponse, Problem> {
    let ElevationsQuery { all, cursor, limit: wanted } = query.into_inner();
    let (app, principal, now) = (&caller.app, caller.asker.principal(), caller.app.now());
    let of = if all { None } else { Some(principal.user) };
    let page = app.views().elevations.list(principal.tenant, of, cursor, limit(app.config(), wanted)?)?;
    let ask = Ask::new(now, caller.asker.purpose, EventId::new(app.new_id()?));
    let may_see = |found: &Elevation| {
        found.user == principal.user
            || app.policies().act(principal, Action::DecideElevation, Target::User(found.user), &ask).is_ok()
    };
    let elevations = page.items.into_iter().filter(may_see).map(|found| ElevationAnswer::at(now, found)).collect();
    answer::json(StatusCode::OK, &ElevationsAnswer { elevations, next: page.next })
}

fn find(caller: &Caller, elevation: ElevationId) -> Result<Elevation, Problem> {
    let tenant = caller.asker.principal().tenant;
    let found = caller.app.views().elevations.get(elevation)?.filter(|found| found.tenant == tenant);
    found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such request: see GET /v1/elevations"))
}

async fn answered(caller: &Caller, elevation: ElevationId, command: Command) -> Result<HttpResponse, Problem> {
    if command != Command::End {
        caller.must_be_fresh()?;
    }
    let found = find(caller, elevation)?;
    let (app, asker) = (&caller.app, &caller.asker);
    let own = command == Command::End && found.user == asker.principal().user;
    let (permit, _) = match own {
        true => allow(app, asker, Action::RequestElevation, Target::Tenant).await?,
        false => allow(app, asker, Action::DecideElevation, Target::User(found.user)).await?,
    };
    let about = (found.user, elevation);
    let done = app.commands().answer_elevation(&permit, &caller.origin()?, about, command).await?;
    seen(caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Agrees to a request of somebody else: the role is there when this answers.
#[utoipa::path(tag = "elevations", security(("bearer" = [])), params(("elevation" = uuid::Uuid, Path)), responses(
    (status = 204, description = "granted"),
    (status = 403, description = "your roles do not allow this, or it is your own", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
    (status = 409, description = "it does not wait for an answer, or the roles must be kept apart", body = ProblemBody),
))]
#[post("/v1/elevations/{elevation}/approve")]
pub async fn approve_elevation(caller: Caller, elevation: web::Path<ElevationId>) -> Result<HttpResponse, Problem> {
    answered(&caller, *elevation, Command::Approve).await
}

/// Refuses a request of somebody else.
#[utoipa::path(tag = "elevations", security(("bearer" = [])), params(("elevation" = uuid::Uuid, Path)), responses(
    (status = 204, description = "refused"),
    (status = 403, description = "your roles do not allow this, or it is your own", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
    (status = 409, description = "it does not wait for an answer", body = ProblemBody),
))]
#[post("/v1/elevations/{elevation}/refuse")]
pub async fn refuse_elevation(caller: Caller, elevation: web::Path<ElevationId>) -> Result<HttpResponse, Problem> {
    answered(&caller, *elevation, Command::Refuse).await
}

/// Ends an elevation before its time, or takes the request back: one's own, or any that one may decide about.
#[utoipa::path(tag = "elevations", security(("bearer" = [])), params(("elevation" = uuid::Uuid, Path)), responses(
    (status = 204, description = "ended"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
    (status = 409, description = "it is over already", body = ProblemBody),
))]
#[post("/v1/elevations/{elevation}/end")]
pub async fn end_elevation(caller: Caller, elevation: web::Path<ElevationId>) -> Result<HttpResponse, Problem> {
    answered(&caller, *elevation, Command::End).await
}

/// Judges an elevation of somebody else that nobody had agreed to. `under-investigation` takes one more outcome.
#[utoipa::path(tag = "elevations", security(("bearer" = [])), request_body = JudgeBody, params(("elevation" = uuid::Uuid, Path)), responses(
    (status = 204, description = "judged"),
    (status = 403, description = "your roles do not allow this, or it is your own", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
    (status = 409, description = "there is nothing to judge, or it was judged", body = ProblemBody),
))]
#[post("/v1/elevations/{elevation}/review")]
pub async fn review_elevation(
    caller: Caller,
    elevation: web::Path<ElevationId>,
    body: web::Json<JudgeBody>,
) -> Result<HttpResponse, Problem> {
    answered(&caller, *elevation, Command::Judge(body.outcome)).await
}
