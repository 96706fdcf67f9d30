//! Breaking the glass: opening a chart in an emergency without being on the care team (ACC-14..20).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_commands::Rejection;
use wardbook_commands::break_glass::{EmergencyRules, StartEmergency};
use wardbook_events::break_glass::{EmergencyReason, ReviewOutcome};
use wardbook_events::values::Line;
use wardbook_events::{EmergencyId, PatientId};
use wardbook_policy::{Action, Target};
use wardbook_projections::break_glass::Emergency;

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::{Case, allow};
use crate::emergencies::{self, EmergencyAnswer, Month, MonthAnswer, ReviewState};

/// An emergency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[schema(value_type = schema::EmergencyReason)]
    reason: EmergencyReason,
    /// Why, in at most 500 characters; needed if the reason is `other`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    detail: Option<Line>,
    /// Where, such as a ward: at most 64 letters, digits, spaces, hyphens, dots and slashes. Never about the patient.
    #[serde(default)]
    location: Option<String>,
    /// That this is an emergency, and that somebody else will look into it. Must be `true`.
    #[serde(default)]
    attested: bool,
}

/// A judgement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewBody {
    #[schema(value_type = schema::ReviewOutcome)]
    outcome: ReviewOutcome,
    /// In at most 500 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    note: Option<Line>,
}

/// Which emergencies.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EmergenciesQuery {
    /// Of the whole organisation, for those who review: by how far the review has come. Without it, one's own live ones.
    #[serde(default)]
    #[param(inline)]
    state: Option<ReviewState>,
    /// The last emergency of the page before.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    before: Option<EmergencyId>,
    /// How many at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// Which month.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MonthQuery {
    /// Such as `2026-03`, in UTC.
    month: String,
}

/// Emergencies, newest first.
#[derive(Serialize, ToSchema)]
pub struct EmergenciesAnswer {
    emergencies: Vec<EmergencyAnswer>,
    /// To be sent as `before` for the next page; missing on the last.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<EmergencyId>,
}

fn rules(caller: &Caller) -> EmergencyRules {
    let settings = &caller.app.config().break_glass;
    EmergencyRules { lasts_s: settings.lasts_s, extension_s: settings.extension_s, review_s: settings.review_s }
}

/// An emergency of the caller's own; those of others are not there.
fn own(caller: &Caller, emergency: EmergencyId) -> Result<Emergency, Problem> {
    let known = caller.app.views().break_glass.get(emergency)?;
    let user = caller.asker.principal().user;
    known.filter(|known| known.user == user).ok_or_else(Problem::not_found)
}

/// Breaks the glass: four hours of reading one patient's chart, for those who treat, without asking anybody first. Security
/// and privacy officers are told at once, and somebody else reviews it within a day. When it answers, the chart can be
/// read for `Purpose-Of-Use: ETREAT`.
#[utoipa::path(tag = "break-glass", security(("bearer" = [])), request_body = StartBody,
    params(("Purpose-Of-Use" = Option<String>, Header, description = "must be `ETREAT`, unless your role's usual purpose is")),
    responses(
        (status = 201, description = "the glass is broken; `Location` is set", body = EmergencyAnswer),
        (status = 403, description = "your roles do not allow this", body = ProblemBody),
        (status = 404, description = "no such patient, or not for you", body = ProblemBody),
        (status = 409, description = "you have a live emergency for this patient, or the patient was merged", body = ProblemBody),
        (status = 422, description = "not attested, or a detail is needed", body = ProblemBody),
    ))]
#[post("/v1/break-glass")]
pub async fn start_emergency(caller: Caller, body: web::Json<StartBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let StartBody { patient, reason, detail, location, attested } = body.into_inner();
    if !attested {
        return Err(Problem::new(Kind::Invalid, "attest that this is an emergency: send attested as true"));
    }
    let case = Case::to_read(&caller.app, &caller.asker, patient)?;
    let permit = case.act(Action::StartEmergency).await?;
    // One that began before the patient was merged stands in another stream, which the write side does not read.
    let user = caller.asker.principal().user;
    if let Some(live) = case.facts().emergency(user, case.ask.now)
        && caller.app.views().break_glass.get(live)?.is_some_and(|live| live.patient != case.id())
    {
        return Err(Rejection::EmergencyLive.into());
    }
    let command = StartEmergency { patient: case.id(), reason, detail, location };
    let (commands, origin) = (caller.app.commands(), caller.origin()?);
    let done = commands.start_emergency(&permit, &origin, command, rules(&caller)).await?;
    seen(&caller, &done).await?;
    let started = own(&caller, done.value)?;
    let mut answer = answer::json(StatusCode::CREATED, &EmergencyAnswer::of(&started, caller.app.now()))?;
    if let Ok(place) = format!("/v1/break-glass/{}", done.value).parse() {
        answer.headers_mut().insert(actix_web::http::header::LOCATION, place);
    }
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Takes two hours more, once.
#[utoipa::path(tag = "break-glass", security(("bearer" = [])), params(("emergency" = uuid::Uuid, Path)), responses(
    (status = 200, description = "extended", body = EmergencyAnswer),
    (status = 403, description = "your roles do not allow this any more", body = ProblemBody),
    (status = 404, description = "no such emergency of yours", body = ProblemBody),
    (status = 409, description = "over, or extended before", body = ProblemBody),
))]
#[post("/v1/break-glass/{emergency}/extend")]
pub async fn extend_emergency(caller: Caller, emergency: web::Path<EmergencyId>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let known = own(&caller, *emergency)?;
    let case = Case::exactly(&caller.app, &caller.asker, known.patient)?;
    let permit = case.act(Action::StartEmergency).await?;
    let (commands, origin, rules) = (caller.app.commands(), caller.origin()?, rules(&caller));
    let done = commands.extend_emergency(&permit, &origin, known.patient, known.emergency, rules).await?;
    seen(&caller, &done).await?;
    let extended = own(&caller, known.emergency)?;
    let mut answer = answer::json(StatusCode::OK, &EmergencyAnswer::of(&extended, caller.app.now()))?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Ends an emergency before its time. When it answers, the chart is closed again.
#[utoipa::path(tag = "break-glass", security(("bearer" = [])), params(("emergency" = uuid::Uuid, Path)), responses(
    (status = 204, description = "ended"),
    (status = 404, description = "no such emergency of yours", body = ProblemBody),
    (status = 409, description = "over already", body = ProblemBody),
))]
#[post("/v1/break-glass/{emergency}/end")]
pub async fn end_emergency(caller: Caller, emergency: web::Path<EmergencyId>) -> Result<HttpResponse, Problem> {
    let known = own(&caller, *emergency)?;
    let (commands, origin) = (caller.app.commands(), caller.origin()?);
    let done = commands.end_emergency(known.tenant, &origin, known.patient, known.emergency).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Lists one's own live emergencies; with `state`, those of the organisation, for who reviews them.
#[utoipa::path(tag = "break-glass", security(("bearer" = [])), params(EmergenciesQuery), responses(
    (status = 200, description = "emergencies; that others' were read is an event too", body = EmergenciesAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/break-glass")]
pub async fn list_emergencies(caller: Caller, query: web::Query<EmergenciesQuery>) -> Result<HttpResponse, Problem> {
    let limit = limit(caller.app.config(), query.limit)?;
    let (views, now) = (caller.app.views(), caller.app.now());
    let Some(state) = query.state else {
        let live = views.break_glass.live_of(caller.asker.principal().user, now)?;
        let emergencies = live.iter().map(|one| EmergencyAnswer::of(one, now)).collect();
        return answer::json(StatusCode::OK, &EmergenciesAnswer { emergencies, next: None });
    };
    let (permit, receipt) = emergencies::tell_review(&caller, "break-glass", None, limit).await?;
    let wanted = |one: &Emergency| ReviewState::of(one, now) == state;
    let always = Timestamp::UNIX_EPOCH..Timestamp::MAX;
    let found = views.break_glass.begun(permit.tenant(), always, query.before, limit.saturating_add(1), wanted)?;
    let shown = found.get(..limit).unwrap_or(&found);
    let next = shown.last().map(|one| one.emergency).filter(|_| found.len() > limit);
    let emergencies = shown.iter().map(|one| EmergencyAnswer::of(one, now)).collect();
    answer::receipted(StatusCode::OK, &EmergenciesAnswer { emergencies, next }, &receipt)
}

/// Reads one emergency with what was opened in it: one's own, or as who reviews it.
#[utoipa::path(tag = "break-glass", security(("bearer" = [])), params(("emergency" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the emergency; that somebody else's was read is an event too", body = EmergencyAnswer),
    (status = 403, description = "not yours, and your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such emergency", body = ProblemBody),
))]
#[get("/v1/break-glass/{emergency}")]
pub async fn read_emergency(caller: Caller, emergency: web::Path<EmergencyId>) -> Result<HttpResponse, Problem> {
    let now = caller.app.now();
    if let Ok(known) = own(&caller, *emergency) {
        let touched = emergencies::touched(&caller.app, known.emergency)?;
        return answer::json(StatusCode::OK, &EmergencyAnswer::of(&known, now).with_touched(touched));
    }
    // Who may review is told that there is no such emergency; who may not is told nothing.
    let (permit, _) = allow(&caller.app, &caller.asker, Action::ReviewEmergencies, Target::Tenant).await?;
    let known = caller.app.views().break_glass.get(*emergency)?.filter(|known| known.tenant == permit.tenant());
    let known = known.ok_or_else(Problem::not_found)?;
    let (_, receipt) = emergencies::tell_review(&caller, "break-glass", Some(known.patient), 1).await?;
    let answer = emergencies::for_review(&caller.app, &known, now)?;
    answer::receipted(StatusCode::OK, &answer, &receipt)
}

/// Judges an emergency of somebody else, once; an investigation may still come to an end. One that was inappropriate
/// is told to security and privacy officers at once.
#[utoipa::path(tag = "break-glass", security(("bearer" = [])), request_body = ReviewBody, params(("emergency" = uuid::Uuid, Path)), responses(
    (status = 204, description = "judged"),
    (status = 403, description = "your roles do not allow this, or it was you who broke the glass", body = ProblemBody),
    (status = 404, description = "no such emergency", body = ProblemBody),
    (status = 409, description = "judged before, or still going on and so not to be cleared", body = ProblemBody),
))]
#[post("/v1/break-glass/{emergency}/review")]
pub async fn review_emergency(
    caller: Caller,
    emergency: web::Path<EmergencyId>,
    body: web::Json<ReviewBody>,
) -> Result<HttpResponse, Problem> {
    let (permit, _) = allow(&caller.app, &caller.asker, Action::ReviewEmergencies, Target::Tenant).await?;
    let known = caller.app.views().break_glass.get(*emergency)?.filter(|known| known.tenant == permit.tenant());
    let known = known.ok_or_else(Problem::not_found)?;
    let ReviewBody { outcome, note } = body.into_inner();
    let (commands, origin) = (caller.app.commands(), caller.origin()?);
    let done = commands.review_emergency(&permit, &origin, (known.patient, known.emergency), outcome, note).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// What happened in a month, by user, with what stands out (ACC-20).
#[utoipa::path(tag = "break-glass", security(("bearer" = [])), params(MonthQuery), responses(
    (status = 200, description = "the report; that it was read is an event too", body = MonthAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 422, description = "not a month", body = ProblemBody),
))]
#[get("/v1/break-glass/report")]
pub async fn report_emergencies(caller: Caller, query: web::Query<MonthQuery>) -> Result<HttpResponse, Problem> {
    let month = Month::parse(&query.month)
        .ok_or_else(|| Problem::new(Kind::Invalid, "month must be a year and a month such as 2026-03"))?;
    let (permit, receipt) = emergencies::tell_review(&caller, "break-glass-report", None, usize::MAX).await?;
    let app = caller.app.clone();
    let report = web::block(move || emergencies::report(&app, permit.tenant(), month)).await??;
    answer::receipted(StatusCode::OK, &report, &receipt)
}
