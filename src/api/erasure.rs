//! Forgetting a person: asked for, held up, decided by two officers, carried out, certified (GDPR article 17, PRV-06, PRV-08).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, delete, get, post, web};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use wardbook_commands::Rejection;
use wardbook_commands::erasure::{Asked, Deciding, PlaceHold};
use wardbook_events::access::AuditRead;
use wardbook_events::erasure::{Basis, HoldKind, RefusalReason, Scope};
use wardbook_events::{ErasureId, GroupSet, HoldId, Outcome, PatientId, Purpose, Role};
use wardbook_ledger::Position;
use wardbook_policy::{Action, Target};
use wardbook_projections::erasure::{Erasure, Stage};

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::{Case, allow};
use crate::erasure::{
    CertificateAnswer, ErasureAnswer, ErasuresAnswer, HoldAnswer, HoldsAnswer, Step, carry_out, kept_by_law,
};

/// What is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureBody {
    /// Only these categories; without them the person as a whole.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schema::Group>>)]
    groups: Option<GroupSet>,
    /// On what ground; the patient's own request if absent.
    #[serde(default = "own_request")]
    #[schema(value_type = Option<schema::Basis>)]
    basis: Basis,
}

const fn own_request() -> Basis {
    Basis::PatientRequest
}

/// How an officer agrees.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveBody {
    /// Also if only a part may go now: the rest stays until what keeps it is over.
    #[serde(default)]
    in_part: bool,
}

/// Why an officer refuses.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefuseBody {
    #[schema(value_type = schema::RefusalReason)]
    reason: RefusalReason,
}

/// What forbids to erase a patient.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldBody {
    #[schema(value_type = schema::HoldKind)]
    kind: HoldKind,
    /// What must stay; everything if absent.
    #[serde(default = "GroupSet::all")]
    #[schema(value_type = Option<Vec<schema::Group>>)]
    groups: GroupSet,
    /// Number of the case or order, 1 to 500 characters; never about the patient.
    reference: String,
    /// When it ends by itself.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    until: Option<Timestamp>,
}

/// Which requests.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ErasuresQuery {
    /// Those that are answered and carried out too.
    #[serde(default)]
    all: bool,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
}

/// Nobody decides about himself, also if his chart was merged into this one.
fn about_another(caller: &Caller, case: &Case<'_>) -> Result<(), Problem> {
    let own = caller.asker.principal().patient.is_some_and(|own| case.family().contains(&own));
    match own && caller.asker.purpose != Purpose::PatientRequest {
        true => Err(Rejection::OwnCase.into()),
        false => Ok(()),
    }
}

fn find(caller: &Caller, erasure: ErasureId) -> Result<Erasure, Problem> {
    let tenant = caller.asker.principal().tenant;
    let found = caller.app.views().erasure.get(erasure)?.filter(|found| found.tenant == tenant);
    found.ok_or_else(Problem::not_found)
}

/// A request that the caller may read: an officer, or the patient whom it is about.
async fn may_read(caller: &Caller, erasure: ErasureId) -> Result<Erasure, Problem> {
    if caller.asker.role == Role::Patient {
        let found = find(caller, erasure)?;
        let principal = caller.asker.principal();
        let own = principal.patient.is_some_and(|own| own == found.patient) || found.by == principal.user;
        return if own { Ok(found) } else { Err(Problem::not_found()) };
    }
    officer(caller, 1).await?;
    find(caller, erasure)
}

/// Officers see all requests; that they looked is an event.
async fn officer(caller: &Caller, limit: usize) -> Result<(), Problem> {
    let (app, asker) = (&caller.app, &caller.asker);
    let (permit, ask) = allow(app, asker, Action::ReadAlerts, Target::Tenant).await?;
    let fact = AuditRead {
        patient: None,
        filters: vec!["erasures".to_owned()],
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        grounds: permit.grounds(),
    };
    app.tell(ask.event, fact.into(), &asker.meta(Outcome::Success), &asker.client, &[]).await?;
    Ok(())
}

fn shown(caller: &Caller, found: Erasure) -> Result<ErasureAnswer, Problem> {
    let case = Case::to_read(&caller.app, &caller.asker, found.patient)?;
    Ok(ErasureAnswer::of(&caller.app, &case, found)?)
}

/// Asks that a patient be erased, or categories of what is known of the patient. An officer who asks has agreed as well; the
/// patient asks for `Purpose-Of-Use: PATRQT`. The answer says what may go now and what must be kept, why and until when.
#[utoipa::path(tag = "erasure", security(("bearer" = [])), request_body = ErasureBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 201, description = "asked for; `Location` is set", body = ErasureAnswer),
    (status = 403, description = "your roles do not allow this, or it is your own chart", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 409, description = "another request is open", body = ProblemBody),
    (status = 410, description = "the patient was erased", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/erasure")]
pub async fn request_erasure(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<ErasureBody>,
) -> Result<HttpResponse, Problem> {
    if caller.asker.role != Role::Patient {
        // It is one of the two approvals.
        caller.must_be_fresh()?;
    }
    let app = &caller.app;
    let case = Case::to_read(app, &caller.asker, *patient)?;
    let permit = case.act(Action::RequestErasure).await?;
    about_another(&caller, &case)?;
    let ErasureBody { groups, basis } = body.into_inner();
    let days = SignedDuration::from_hours(24 * i64::from(app.config().erasure.answer_days));
    let due_at = app.now().checked_add(days).unwrap_or(Timestamp::MAX);
    let asked = Asked { scope: groups.map_or(Scope::Whole, Scope::Groups), basis, due_at };
    let done = app.commands().request_erasure(&permit, &caller.origin()?, case.id(), asked).await?;
    seen(&caller, &done).await?;
    let mut answer = answer::json(StatusCode::CREATED, &shown(&caller, find(&caller, done.value)?)?)?;
    if let Ok(place) = format!("/v1/erasures/{}", done.value).parse() {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Lists requests with their deadlines, newest first: those that wait or are being carried out, or all.
#[utoipa::path(tag = "erasure", security(("bearer" = [])), params(ErasuresQuery), responses(
    (status = 200, description = "a page of requests; that they were read is an event too", body = ErasuresAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/erasures")]
pub async fn list_erasures(caller: Caller, query: web::Query<ErasuresQuery>) -> Result<HttpResponse, Problem> {
    let ErasuresQuery { all, cursor, limit: wanted } = query.into_inner();
    let limit = limit(caller.app.config(), wanted)?;
    officer(&caller, limit).await?;
    let page = caller.app.views().erasure.list(caller.asker.principal().tenant, cursor, limit)?;
    let open = |found: &Erasure| all || matches!(found.stage, Stage::Asked | Stage::Executing);
    let items = page.items.into_iter().filter(open).map(|found| shown(&caller, found));
    let erasures = items.collect::<Result<_, _>>()?;
    answer::json(StatusCode::OK, &ErasuresAnswer { erasures, next: page.next })
}

/// Reads one request: as an officer, or as the patient whom it is about.
#[utoipa::path(tag = "erasure", security(("bearer" = [])), params(("erasure" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the request", body = ErasureAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
))]
#[get("/v1/erasures/{erasure}")]
pub async fn read_erasure(caller: Caller, erasure: web::Path<ErasureId>) -> Result<HttpResponse, Problem> {
    let found = may_read(&caller, *erasure).await?;
    answer::json(StatusCode::OK, &shown(&caller, found)?)
}

/// Agrees to a request. When the second officer does, the erasure is carried out: when this answers, nothing of the patient
/// opens any more. If a step has failed, the status is `executing` and it is tried again.
#[utoipa::path(tag = "erasure", security(("bearer" = [])), request_body = ApproveBody, params(("erasure" = uuid::Uuid, Path)), responses(
    (status = 200, description = "agreed, or carried out", body = ErasureAnswer),
    (status = 403, description = "your roles do not allow this, or it is your own chart", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
    (status = 409, description = "not open, you agreed before, or it must be kept for now, as a whole or in part", body = ProblemBody),
))]
#[post("/v1/erasures/{erasure}/approve")]
pub async fn approve_erasure(
    caller: Caller,
    erasure: web::Path<ErasureId>,
    body: web::Json<ApproveBody>,
) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let found = find(&caller, *erasure)?;
    let app = &caller.app;
    let case = Case::exactly(app, &caller.asker, found.patient)?;
    let permit = case.act(Action::DecideErasure).await?;
    about_another(&caller, &case)?;
    let deciding = Deciding::Approve { in_part: body.in_part, retention: kept_by_law(app, &case)? };
    let about = (found.patient, found.erasure);
    let done = app.commands().decide_erasure(&permit, &caller.origin()?, about, deciding).await?;
    seen(&caller, &done).await?;
    let agreed = find(&caller, *erasure)?;
    if agreed.stage == Stage::Executing {
        // On its own: who hangs up does not stop it.
        let (app, begun) = (app.clone(), agreed);
        let carried = actix_web::rt::spawn(async move { carry_out(&app, &begun, Step::Certificate).await });
        match carried.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(erasure = %erasure, %error, "an erasure is not carried out yet"),
            Err(error) => tracing::error!(erasure = %erasure, %error, "an erasure is not carried out yet"),
        }
    }
    let mut answer = answer::json(StatusCode::OK, &shown(&caller, find(&caller, *erasure)?)?)?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Refuses a request.
#[utoipa::path(tag = "erasure", security(("bearer" = [])), request_body = RefuseBody, params(("erasure" = uuid::Uuid, Path)), responses(
    (status = 204, description = "refused"),
    (status = 403, description = "your roles do not allow this, or it is your own chart", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
    (status = 409, description = "it does not wait for an answer", body = ProblemBody),
))]
#[post("/v1/erasures/{erasure}/refuse")]
pub async fn refuse_erasure(
    caller: Caller,
    erasure: web::Path<ErasureId>,
    body: web::Json<RefuseBody>,
) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let found = find(&caller, *erasure)?;
    let case = Case::exactly(&caller.app, &caller.asker, found.patient)?;
    let permit = case.act(Action::DecideErasure).await?;
    about_another(&caller, &case)?;
    let (deciding, about) = (Deciding::Refuse(body.reason), (found.patient, found.erasure));
    let done = caller.app.commands().decide_erasure(&permit, &caller.origin()?, about, deciding).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// What was destroyed, with the proof that this is told in the log. The member `proof`, written into a file, is checked
/// offline by `wardbook verify --proof`.
#[utoipa::path(tag = "erasure", security(("bearer" = [])), params(("erasure" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the certificate", body = CertificateAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such request", body = ProblemBody),
    (status = 409, description = "it is not carried out", body = ProblemBody),
))]
#[get("/v1/erasures/{erasure}/certificate")]
pub async fn read_certificate(caller: Caller, erasure: web::Path<ErasureId>) -> Result<HttpResponse, Problem> {
    let found = may_read(&caller, *erasure).await?;
    let (Stage::Certified(certified), Some(execution)) = (&found.stage, &found.execution) else {
        return Err(Problem::new(Kind::Conflict, "it is not carried out: see the request"));
    };
    let (ledger, position) = (caller.app.ledger().clone(), Position(certified.position));
    let proof = web::block(move || ledger.prove_inclusion(position)).await??;
    answer::json(StatusCode::OK, &CertificateAnswer::of(&found, execution, certified, proof.to_string()))
}

/// Forbids to erase a patient, or some categories, until it is lifted or over (GDPR article 17(3)).
#[utoipa::path(tag = "erasure", security(("bearer" = [])), request_body = HoldBody, params(("patient" = uuid::Uuid, Path)), responses(
    (status = 201, description = "held", body = HoldAnswer),
    (status = 403, description = "your roles do not allow this, or it is your own chart", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
    (status = 410, description = "the patient was erased", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/holds")]
pub async fn place_hold(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<HoldBody>,
) -> Result<HttpResponse, Problem> {
    let case = Case::to_read(&caller.app, &caller.asker, *patient)?;
    let permit = case.act(Action::ManageHolds).await?;
    about_another(&caller, &case)?;
    let HoldBody { kind, groups, reference, until } = body.into_inner();
    let place = PlaceHold { kind, groups, reference, until };
    let done = caller.app.commands().place_hold(&permit, &caller.origin()?, case.id(), place).await?;
    seen(&caller, &done).await?;
    let placed = caller.app.views().erasure.one_hold(done.value)?.ok_or_else(Problem::not_found)?;
    let mut answer = answer::json(StatusCode::CREATED, &HoldAnswer::at(caller.app.now(), placed))?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Lists what forbids to erase a patient, and what once did.
#[utoipa::path(tag = "erasure", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path)), responses(
    (status = 200, description = "holds", body = HoldsAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/holds")]
pub async fn list_holds(caller: Caller, patient: web::Path<PatientId>) -> Result<HttpResponse, Problem> {
    let case = Case::to_read(&caller.app, &caller.asker, *patient)?;
    case.act(Action::ManageHolds).await?;
    let now = caller.app.now();
    let mut holds = Vec::new();
    for member in case.family() {
        let found = caller.app.views().erasure.holds(*member)?;
        holds.extend(found.into_iter().map(|hold| HoldAnswer::at(now, hold)));
    }
    answer::json(StatusCode::OK, &HoldsAnswer { holds })
}

/// Lifts a hold.
#[utoipa::path(tag = "erasure", security(("bearer" = [])),
    params(("patient" = uuid::Uuid, Path), ("hold" = uuid::Uuid, Path)),
    responses(
        (status = 204, description = "lifted"),
        (status = 403, description = "your roles do not allow this, or it is your own chart", body = ProblemBody),
        (status = 404, description = "no such patient or hold, or not for you", body = ProblemBody),
        (status = 409, description = "it is over already", body = ProblemBody),
    ))]
#[delete("/v1/patients/{patient}/holds/{hold}")]
pub async fn lift_hold(caller: Caller, path: web::Path<(PatientId, HoldId)>) -> Result<HttpResponse, Problem> {
    let (patient, hold) = path.into_inner();
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let permit = case.act(Action::ManageHolds).await?;
    about_another(&caller, &case)?;
    let done = caller.app.commands().lift_hold(&permit, &caller.origin()?, patient, hold).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
