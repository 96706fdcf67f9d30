//! Campaigns in which somebody looks over who may do what (45 CFR 164.308(a)(4)(ii)(C); ACC-22).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_commands::access_reviews::OpenReview;
use wardbook_events::access_reviews::{Holding, Verdict};
use wardbook_events::{ReviewId, Role, UserId};
use wardbook_policy::{Action, Permit, Target};
use wardbook_projections::access_reviews::Review;

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::allow;
use crate::evidence::{self, CampaignAnswer, Evidence, HoldingAnswer};

/// A new campaign.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenBody {
    /// What for, such as a quarter; 1 to 500 characters.
    title: String,
    /// The roles looked over; all if none are named. Those who may read the trail are roles like others.
    #[serde(default)]
    #[schema(value_type = Vec<schema::Role>)]
    roles: Vec<Role>,
    /// When it should be closed (RFC 3339).
    #[schema(value_type = String)]
    due_at: Timestamp,
}

/// What is decided on one holding.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideBody {
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[schema(value_type = schema::Role)]
    role: Role,
    #[schema(value_type = schema::Verdict)]
    verdict: Verdict,
}

/// The campaign that was opened.
#[derive(Serialize, ToSchema)]
pub struct OpenedAnswer {
    #[schema(value_type = uuid::Uuid)]
    review: ReviewId,
}

/// One page of campaigns, newest first.
#[derive(Serialize, ToSchema)]
pub struct ReviewsAnswer {
    reviews: Vec<CampaignAnswer>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A campaign and what is to be decided in it.
#[derive(Serialize, ToSchema)]
pub struct WholeReview {
    #[serde(flatten)]
    campaign: CampaignAnswer,
    decisions: Vec<HoldingAnswer>,
}

/// Part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReviewsQuery {
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
}

async fn may(caller: &Caller) -> Result<Permit, Problem> {
    Ok(allow(&caller.app, &caller.asker, Action::ReviewAccess, Target::Tenant).await?.0)
}

fn find(caller: &Caller, review: ReviewId) -> Result<Review, Problem> {
    let tenant = caller.asker.principal().tenant;
    let found = caller.app.views().access_reviews.get(review)?.filter(|found| found.tenant == tenant);
    found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such campaign: see GET /v1/access-reviews"))
}

/// Opens a campaign over everybody who holds these roles now.
#[utoipa::path(tag = "access-reviews", security(("bearer" = [])), request_body = OpenBody, responses(
    (status = 201, description = "opened", body = OpenedAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 409, description = "the idempotency key was used before", body = ProblemBody),
    (status = 422, description = "no title, an end in the past, nobody or too many to look over", body = ProblemBody),
))]
#[post("/v1/access-reviews")]
pub async fn open_review(caller: Caller, body: web::Json<OpenBody>) -> Result<HttpResponse, Problem> {
    let permit = may(&caller).await?;
    let OpenBody { title, roles, due_at } = body.into_inner();
    let (app, tenant, wanted) = (caller.app.clone(), permit.tenant(), roles.clone());
    let holdings = web::block(move || evidence::snapshot(&app, tenant, &wanted)).await??;
    let command = OpenReview { title, roles, holdings, due_at };
    let done = caller.app.commands().open_access_review(&permit, &caller.origin()?, command).await?;
    seen(&caller, &done).await?;
    let mut answer = answer::json(StatusCode::CREATED, &OpenedAnswer { review: done.value })?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Lists campaigns with how far they have come.
#[utoipa::path(tag = "access-reviews", security(("bearer" = [])), params(ReviewsQuery), responses(
    (status = 200, description = "a page of campaigns", body = ReviewsAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/access-reviews")]
pub async fn list_reviews(caller: Caller, query: web::Query<ReviewsQuery>) -> Result<HttpResponse, Problem> {
    let permit = may(&caller).await?;
    let limit = limit(caller.app.config(), query.limit)?;
    let page = caller.app.views().access_reviews.list(permit.tenant(), query.cursor, limit)?;
    let now = caller.app.now();
    let reviews = page.items.into_iter().map(|review| CampaignAnswer::at(now, review)).collect();
    answer::json(StatusCode::OK, &ReviewsAnswer { reviews, next: page.next })
}

/// Reads one campaign: what was decided and what is left.
#[utoipa::path(tag = "access-reviews", security(("bearer" = [])), params(("review" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the campaign", body = WholeReview),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such campaign", body = ProblemBody),
))]
#[get("/v1/access-reviews/{review}")]
pub async fn read_review(caller: Caller, review: web::Path<ReviewId>) -> Result<HttpResponse, Problem> {
    may(&caller).await?;
    let found = find(&caller, *review)?;
    let app = caller.app.clone();
    let decisions = web::block(move || evidence::holdings(&app, *review, false)).await??;
    let campaign = CampaignAnswer::at(caller.app.now(), found);
    answer::json(StatusCode::OK, &WholeReview { campaign, decisions })
}

/// Decides whether somebody else keeps a role. What is revoked is gone when this answers, and the user's sessions have
/// ended; from somebody who has no other role the account is taken.
#[utoipa::path(tag = "access-reviews", security(("bearer" = [])), request_body = DecideBody, params(("review" = uuid::Uuid, Path)), responses(
    (status = 204, description = "decided and carried out"),
    (status = 403, description = "your roles do not allow this, or it is about yourself", body = ProblemBody),
    (status = 404, description = "no such campaign, or nothing of the kind in it", body = ProblemBody),
    (status = 409, description = "decided already, or closed", body = ProblemBody),
))]
#[post("/v1/access-reviews/{review}/decisions")]
pub async fn decide_holding(
    caller: Caller,
    review: web::Path<ReviewId>,
    body: web::Json<DecideBody>,
) -> Result<HttpResponse, Problem> {
    let permit = may(&caller).await?;
    find(&caller, *review)?;
    let DecideBody { user, role, verdict } = body.into_inner();
    let (commands, origin) = (caller.app.commands(), caller.origin()?);
    let done = commands.decide_holding(&permit, &origin, *review, Holding { user, role }, verdict).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Closes a campaign in which everything is decided.
#[utoipa::path(tag = "access-reviews", security(("bearer" = [])), params(("review" = uuid::Uuid, Path)), responses(
    (status = 204, description = "closed"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such campaign", body = ProblemBody),
    (status = 409, description = "not everything is decided, or closed already", body = ProblemBody),
))]
#[post("/v1/access-reviews/{review}/close")]
pub async fn close_review(caller: Caller, review: web::Path<ReviewId>) -> Result<HttpResponse, Problem> {
    let permit = may(&caller).await?;
    find(&caller, *review)?;
    let done = caller.app.commands().close_access_review(&permit, &caller.origin()?, *review).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// What a campaign came to: each decision with who, when, and the events that prove it.
#[utoipa::path(tag = "access-reviews", security(("bearer" = [])), params(("review" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the evidence", body = Evidence),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such campaign", body = ProblemBody),
))]
#[get("/v1/access-reviews/{review}/evidence")]
pub async fn read_evidence(caller: Caller, review: web::Path<ReviewId>) -> Result<HttpResponse, Problem> {
    may(&caller).await?;
    let found = find(&caller, *review)?;
    let app = caller.app.clone();
    let evidence = web::block(move || evidence::of(&app, found)).await??;
    answer::json(StatusCode::OK, &evidence)
}
