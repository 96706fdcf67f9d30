//! What somebody is writing, kept so that a lock or a crash costs nothing (IAM-18). Nobody but the author sees it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wardbook_commands::records::drafts::SaveDraft;
use wardbook_events::access::{ChartOpened, RecordsOpened};
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{Group, GroupSet, Outcome, PatientId, RecordId};
use wardbook_policy::{Action, RecordFacts, Target};
use wardbook_projections::records::Draft;

use crate::api::caller::Caller;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::{Case, Opening};

/// What was written so far.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftBody {
    /// What kind of entry it is going to be.
    #[serde(rename = "type")]
    #[schema(value_type = schema::RecordKind)]
    kind: RecordKind,
    /// Why it is specially protected, if it is.
    #[serde(default)]
    #[schema(value_type = Vec<schema::Sensitivity>)]
    sensitivity: Vec<Sensitivity>,
    /// The form as it stands: any JSON, 256 KiB at most.
    body: Value,
}

/// A draft without its content.
#[derive(Serialize, ToSchema)]
pub struct DraftAnswer {
    #[schema(value_type = uuid::Uuid)]
    draft: RecordId,
    /// For whose chart.
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[serde(rename = "type")]
    #[schema(value_type = schema::RecordKind)]
    kind: RecordKind,
    #[schema(value_type = Vec<schema::Sensitivity>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sensitivity: Vec<Sensitivity>,
    /// When it was kept last.
    #[schema(value_type = String)]
    saved_at: Timestamp,
    /// What was written so far; not in lists.
    #[schema(value_type = Value, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

impl From<Draft> for DraftAnswer {
    fn from(draft: Draft) -> Self {
        Self {
            draft: draft.draft,
            patient: draft.patient,
            kind: draft.kind,
            sensitivity: draft.sensitivity,
            saved_at: draft.saved_at,
            body: None,
        }
    }
}

/// The caller's drafts for one patient.
#[derive(Serialize, ToSchema)]
pub struct DraftsAnswer {
    drafts: Vec<DraftAnswer>,
}

/// Keeps a draft under an id that the client chose. An entry made of it has the same id.
#[utoipa::path(tag = "records", security(("bearer" = [])), request_body = DraftBody,
    params(("patient" = uuid::Uuid, Path), ("draft" = uuid::Uuid, Path)),
    responses(
        (status = 204, description = "kept"),
        (status = 403, description = "your roles do not allow such an entry", body = ProblemBody),
        (status = 404, description = "no such patient, or not for you", body = ProblemBody),
        (status = 409, description = "thrown away or made into an entry, too many drafts, or the patient was merged", body = ProblemBody),
        (status = 413, description = "too large", body = ProblemBody),
        (status = 429, description = "kept a moment ago: see Retry-After", body = ProblemBody),
    ))]
#[put("/v1/patients/{patient}/drafts/{draft}")]
pub async fn save_draft(
    caller: Caller,
    path: web::Path<(PatientId, RecordId)>,
    body: web::Json<DraftBody>,
) -> Result<HttpResponse, Problem> {
    let (patient, draft) = *path;
    let DraftBody { kind, sensitivity, body } = body.into_inner();
    let author = caller.asker.principal().user;
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let facts =
        RecordFacts { record: draft, kind, sensitivity: sensitivity.clone(), author: Some(author), signed: false };
    let permit = case.act_on(Action::AddRecord, Target::Record(case.facts(), &facts)).await?;
    let settings = &caller.app.config().drafts;
    let open = caller.app.views().records.drafts_of(author, settings.open_max)?;
    if open.len() >= settings.open_max && open.iter().all(|known| known.draft != draft) {
        return Err(Problem::new(Kind::Conflict, "you have too many drafts: add or delete some of them first"));
    }
    let every = jiff::SignedDuration::from_secs(settings.every_s.into());
    let command = SaveDraft { patient, draft, kind, sensitivity, body };
    let done = caller.app.commands().save_draft(&permit, &caller.origin()?, command, every).await;
    let done = done.map_err(|error| {
        let problem = Problem::from(error);
        if problem.kind() == Kind::TooMany { problem.retry_after(settings.every_s) } else { problem }
    })?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Lists the caller's own drafts for a patient, without content.
#[utoipa::path(tag = "records", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the drafts", body = DraftsAnswer),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/drafts")]
pub async fn list_drafts(caller: Caller, patient: web::Path<PatientId>) -> Result<HttpResponse, Problem> {
    let case = Case::to_read(&caller.app, &caller.asker, *patient)?;
    let permit = case.read(GroupSet::EMPTY.with(Group::Clinical), Action::ReadRecords).await?;
    let fact = ChartOpened { patient: case.id(), groups: GroupSet::EMPTY, grounds: permit.grounds(), as_of: None };
    let receipt = case.tell(fact, Outcome::Success, &[]).await?;
    let (author, max) = (caller.asker.principal().user, caller.app.config().drafts.open_max);
    let drafts = caller.app.views().records.drafts_of(author, max)?;
    let here = drafts.into_iter().filter(|draft| case.family().contains(&draft.patient));
    answer::receipted(StatusCode::OK, &DraftsAnswer { drafts: here.map(DraftAnswer::from).collect() }, &receipt)
}

/// Reads one of the caller's own drafts. Like any reading it is an event first.
#[utoipa::path(tag = "records", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ("draft" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the draft", body = DraftAnswer),
    (status = 404, description = "no such patient or draft, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/drafts/{draft}")]
pub async fn read_draft(caller: Caller, path: web::Path<(PatientId, RecordId)>) -> Result<HttpResponse, Problem> {
    let (patient, draft) = *path;
    let case = Case::to_read(&caller.app, &caller.asker, patient)?;
    case.read(GroupSet::all(), Action::ReadRecords).await?;
    let found = caller.app.views().records.draft(caller.asker.principal().user, draft)?;
    let permitted = match found {
        Some(found) => case.read_entry(found.patient, &found.facts())?.map(|permit| (found, permit)),
        None => None,
    };
    let Some((found, permit)) = permitted else { return Err(case.hidden(Action::ReadRecords).await.into()) };
    let fact = RecordsOpened {
        patient: case.id(),
        records: vec![draft],
        kind: None,
        groups: permit.groups(),
        grounds: permit.grounds(),
    };
    let others: Vec<_> = Some(found.patient).filter(|of| *of != case.id()).into_iter().collect();
    let opening = Opening::new(&caller.app, &caller.asker, case.tell(fact, Outcome::Success, &others).await?);
    let body = opening.open(&permit, &found.sealed_body())?;
    let answer = DraftAnswer { body: Some(body), ..DraftAnswer::from(found) };
    answer::receipted(StatusCode::OK, &answer, &opening.into_receipt())
}

/// Throws a draft away.
#[utoipa::path(tag = "records", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ("draft" = uuid::Uuid, Path)), responses(
    (status = 204, description = "thrown away"),
    (status = 403, description = "your roles no longer allow such an entry", body = ProblemBody),
    (status = 404, description = "no such patient or draft, or not for you", body = ProblemBody),
    (status = 409, description = "thrown away or made into an entry already", body = ProblemBody),
))]
#[delete("/v1/patients/{patient}/drafts/{draft}")]
pub async fn discard_draft(caller: Caller, path: web::Path<(PatientId, RecordId)>) -> Result<HttpResponse, Problem> {
    let (patient, draft) = *path;
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let found = caller.app.views().records.draft(caller.asker.principal().user, draft)?;
    let found = found.filter(|found| found.patient == patient);
    let facts = found.as_ref().map_or_else(|| nothing(&caller, draft), Draft::facts);
    let permit = case.act_on(Action::AddRecord, Target::Record(case.facts(), &facts)).await?;
    if found.is_none() {
        return Err(case.hidden(Action::AddRecord).await.into());
    }
    let done = caller.app.commands().discard_draft(&permit, &caller.origin()?, patient, draft).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// A draft that could be there: policy is asked about it, so that who may do nothing learns nothing.
fn nothing(caller: &Caller, draft: RecordId) -> RecordFacts {
    let author = Some(caller.asker.principal().user);
    RecordFacts { record: draft, kind: RecordKind::Note, sensitivity: Vec::new(), author, signed: false }
}
