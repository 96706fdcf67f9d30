//! Clinical entries of a chart: add, list, read, amend, sign, add to, retract.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, put, web};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_commands::Done;
use wardbook_commands::records::AddRecord;
use wardbook_events::records::{RecordBody, RecordKind, Sensitivity};
use wardbook_events::values::Text;
use wardbook_events::{PatientId, RecordId};
use wardbook_policy::{Action, Permit, RecordFacts, Target};
use wardbook_projections::records::RecordFilter;

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::problem::{Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::chart::{self, OpenedRecord, RecordsAsked};
use crate::disclosure::Case;

/// A new entry.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddBody {
    /// What kind of entry.
    #[serde(rename = "type")]
    #[schema(value_type = schema::RecordKind)]
    kind: RecordKind,
    /// Why it is specially protected, if it is.
    #[serde(default)]
    #[schema(value_type = Vec<schema::Sensitivity>)]
    sensitivity: Vec<Sensitivity>,
    #[schema(value_type = schema::RecordBody)]
    body: RecordBody,
    /// A draft of the caller's that the entry was made of: the entry gets its id, and the draft is gone.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    draft: Option<RecordId>,
}

/// What an entry is to hold instead.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendBody {
    #[schema(value_type = schema::RecordBody)]
    body: RecordBody,
}

/// Text added to a signed note.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddendumBody {
    #[schema(value_type = String)]
    text: Text,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only this kind, such as `lab-result`.
    #[serde(default, rename = "type")]
    #[param(value_type = Option<schema::RecordKind>)]
    kind: Option<RecordKind>,
    /// Only from this day on, `YYYY-MM-DD`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    from: Option<Date>,
    /// Only up to this day, `YYYY-MM-DD`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    to: Option<Date>,
    /// Retracted entries too.
    #[serde(default)]
    retracted: bool,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    /// How many at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// One page of entries, newest first. With day filters a page may hold fewer than `limit` although there are more.
#[derive(Serialize, ToSchema)]
pub struct RecordsAnswer {
    records: Vec<OpenedRecord>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// An entry was added or changed.
#[derive(Serialize, ToSchema)]
pub struct RecordAnswer {
    #[schema(value_type = uuid::Uuid)]
    record: RecordId,
    /// Version now, to be sent back as `If-Match`.
    version: u64,
}

fn changed<T>(status: StatusCode, record: RecordId, done: &Done<T>) -> Result<HttpResponse, Problem> {
    let mut answer = answer::json(status, &RecordAnswer { record, version: done.stream_version })?;
    answer::add_version(answer.headers_mut(), done.stream_version);
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Adds an entry to a chart; the caller is its author.
#[utoipa::path(tag = "records", security(("bearer" = [])), request_body = AddBody,
    params(("patient" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "added; `Location` and `ETag` are set", body = RecordAnswer),
        (status = 403, description = "your roles do not allow this", body = ProblemBody),
        (status = 404, description = "no such patient, or not for you", body = ProblemBody),
        (status = 409, description = "the patient was merged, or the idempotency key was used before", body = ProblemBody),
        (status = 422, description = "a value breaks a rule", body = ProblemBody),
    ))]
#[post("/v1/patients/{patient}/records")]
pub async fn add_record(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<AddBody>,
) -> Result<HttpResponse, Problem> {
    let AddBody { kind, sensitivity, body, draft } = body.into_inner();
    let origin = caller.origin()?;
    let principal = caller.asker.principal();
    let record = draft.unwrap_or_else(|| origin.ids(principal.tenant).record());
    let case = Case::exactly(&caller.app, &caller.asker, *patient)?;
    let facts =
        RecordFacts { record, kind, sensitivity: sensitivity.clone(), author: Some(principal.user), signed: false };
    let permit = case.act_on(Action::AddRecord, Target::Record(case.facts(), &facts)).await?;
    let command = AddRecord { patient: *patient, kind, sensitivity, body };
    let commands = caller.app.commands();
    let done = match draft {
        Some(draft) => commands.add_record_of_draft(&permit, &origin, draft, command).await?,
        None => commands.add_record(&permit, &origin, command).await?,
    };
    let mut answer = changed(StatusCode::CREATED, done.value, &done)?;
    if let Ok(place) = format!("/v1/patients/{patient}/records/{}", done.value).parse() {
        answer.headers_mut().insert(actix_web::http::header::LOCATION, place);
    }
    Ok(answer)
}

/// Lists entries, opened, newest first.
#[utoipa::path(tag = "records", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ListQuery), responses(
    (status = 200, description = "a page of entries", body = RecordsAnswer),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/records")]
pub async fn list_records(
    caller: Caller,
    patient: web::Path<PatientId>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let ListQuery { kind, from, to, retracted, cursor, limit: wanted } = query.into_inner();
    let years = match (from, to) {
        (None, None) => None,
        (from, to) => Some(from.map_or(i16::MIN + 1, Date::year)..=to.map_or(i16::MAX, Date::year)),
    };
    let filter = RecordFilter { kind, years, retracted };
    let asked = RecordsAsked { filter, from, to, before: cursor, limit: limit(caller.app.config(), wanted)? };
    let (records, next, receipt) =
        chart::read_records(&caller.app, &caller.asker, *patient, &asked, &caller.context.stages).await?;
    answer::receipted(StatusCode::OK, &RecordsAnswer { records, next }, &receipt)
}

/// Reads one entry.
#[utoipa::path(tag = "records", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ("record" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the entry; `ETag` is set", body = OpenedRecord),
    (status = 404, description = "no such patient or entry, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/records/{record}")]
pub async fn read_record(caller: Caller, path: web::Path<(PatientId, RecordId)>) -> Result<HttpResponse, Problem> {
    let (patient, record) = *path;
    let (opened, receipt) =
        chart::read_record(&caller.app, &caller.asker, patient, record, &caller.context.stages).await?;
    let mut answer = answer::receipted(StatusCode::OK, &opened, &receipt)?;
    answer::add_version(answer.headers_mut(), opened.version);
    Ok(answer)
}

/// The permit to change an entry that is there.
async fn may(caller: &Caller, (patient, record): (PatientId, RecordId), action: Action) -> Result<Permit, Problem> {
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let found = caller.app.views().records.get(record)?.filter(|found| found.patient == patient);
    let Some(found) = found else {
        // Policy is asked about an entry that could be there, so that who may do nothing learns nothing.
        let nothing =
            RecordFacts { record, kind: RecordKind::Note, sensitivity: Vec::new(), author: None, signed: false };
        case.act_on(action, Target::Record(case.facts(), &nothing)).await?;
        return Err(case.hidden(action).await.into());
    };
    Ok(case.act_on(action, Target::Record(case.facts(), &found.facts())).await?)
}

/// Changes an entry that is not signed.
#[utoipa::path(tag = "records", security(("bearer" = [])), request_body = AmendBody,
    params(("patient" = uuid::Uuid, Path), ("record" = uuid::Uuid, Path), ("If-Match" = String, Header)),
    responses(
        (status = 200, description = "amended", body = RecordAnswer),
        (status = 403, description = "your roles do not allow this, or the entry is signed", body = ProblemBody),
        (status = 404, description = "no such patient or entry, or not for you", body = ProblemBody),
        (status = 409, description = "the entry was retracted", body = ProblemBody),
        (status = 412, description = "changed in the meantime", body = ProblemBody),
        (status = 428, description = "If-Match is needed", body = ProblemBody),
    ))]
#[put("/v1/patients/{patient}/records/{record}")]
pub async fn amend_record(
    caller: Caller,
    path: web::Path<(PatientId, RecordId)>,
    body: web::Json<AmendBody>,
) -> Result<HttpResponse, Problem> {
    let expected = caller.must_match()?;
    let permit = may(&caller, *path, Action::AmendRecord).await?;
    let body = body.into_inner().body;
    let done = caller.app.commands().amend_record(&permit, &caller.origin()?, *path, Some(expected), body).await?;
    changed(StatusCode::OK, path.1, &done)
}

/// Signs a note for good: from then on only addenda.
#[utoipa::path(tag = "records", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ("record" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, description = "signed", body = RecordAnswer),
    (status = 403, description = "only the author signs", body = ProblemBody),
    (status = 404, description = "no such patient or entry, or not for you", body = ProblemBody),
    (status = 409, description = "signed or retracted already", body = ProblemBody),
    (status = 412, description = "changed in the meantime", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/records/{record}/sign")]
pub async fn sign_record(caller: Caller, path: web::Path<(PatientId, RecordId)>) -> Result<HttpResponse, Problem> {
    let permit = may(&caller, *path, Action::SignRecord).await?;
    let done = caller.app.commands().sign_record(&permit, &caller.origin()?, *path, caller.if_match).await?;
    changed(StatusCode::OK, path.1, &done)
}

/// Adds text to a signed note.
#[utoipa::path(tag = "records", security(("bearer" = [])), request_body = AddendumBody,
    params(("patient" = uuid::Uuid, Path), ("record" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 201, description = "added", body = RecordAnswer),
        (status = 403, description = "your roles do not allow this", body = ProblemBody),
        (status = 404, description = "no such patient or entry, or not for you", body = ProblemBody),
        (status = 409, description = "not signed yet, or retracted", body = ProblemBody),
    ))]
#[post("/v1/patients/{patient}/records/{record}/addenda")]
pub async fn add_addendum(
    caller: Caller,
    path: web::Path<(PatientId, RecordId)>,
    body: web::Json<AddendumBody>,
) -> Result<HttpResponse, Problem> {
    let permit = may(&caller, *path, Action::AddAddendum).await?;
    let text = body.into_inner().text;
    let done = caller.app.commands().add_addendum(&permit, &caller.origin()?, *path, caller.if_match, text).await?;
    changed(StatusCode::CREATED, path.1, &done)
}

/// Declares an entry wrong; it stays in the ledger and counts no more.
#[utoipa::path(tag = "records", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ("record" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, description = "retracted", body = RecordAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such patient or entry, or not for you", body = ProblemBody),
    (status = 409, description = "retracted already", body = ProblemBody),
))]
#[post("/v1/patients/{patient}/records/{record}/retract")]
pub async fn retract_record(caller: Caller, path: web::Path<(PatientId, RecordId)>) -> Result<HttpResponse, Problem> {
    let permit = may(&caller, *path, Action::RetractRecord).await?;
    let done = caller.app.commands().retract_record(&permit, &caller.origin()?, *path, caller.if_match).await?;
    changed(StatusCode::OK, path.1, &done)
}
