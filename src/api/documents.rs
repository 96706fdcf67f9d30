//! Documents and images of a chart: list, download, retract. Sending them is in `uploads.rs`.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_events::access::RecordsOpened;
use wardbook_events::documents::{DocumentBody, Fault, MediaType};
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::values::Line;
use wardbook_events::{Group, GroupSet, Outcome, PatientId, RecordId, UserId};
use wardbook_policy::{Action, RecordFacts, Target};
use wardbook_projections::documents::Document;

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::{Case, Opening};
use crate::documents::{Requested, known_to, open};

/// Which documents.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Retracted documents too.
    #[serde(default)]
    retracted: bool,
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    /// How many at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// A document without its content.
#[derive(Serialize, ToSchema)]
pub struct DocumentAnswer {
    #[schema(value_type = uuid::Uuid)]
    document: RecordId,
    /// In whose chart it was put.
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[serde(rename = "type")]
    #[schema(value_type = schema::RecordKind)]
    kind: RecordKind,
    #[schema(value_type = Vec<schema::Sensitivity>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sensitivity: Vec<Sensitivity>,
    /// The year it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    year: Option<i16>,
    /// What it is, in words.
    #[schema(value_type = String)]
    title: Line,
    /// The name of the file that it came from.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<Line>,
    #[schema(value_type = schema::MediaType)]
    media_type: MediaType,
    size_bytes: u64,
    /// SHA-256 of the content, hex.
    sha256: String,
    /// BLAKE3 of the content, hex.
    blake3: String,
    /// Who uploaded it.
    #[schema(value_type = uuid::Uuid)]
    author: UserId,
    /// When it was added.
    #[schema(value_type = String)]
    added_at: Timestamp,
    /// It turned out to be wrong and counts no more.
    retracted: bool,
    /// Its content was found lost or damaged: `missing`, `cut`, `too-long`, `misplaced` or `damaged`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<Fault>,
    /// Version, to be sent back as `If-Match`.
    version: u64,
}

impl DocumentAnswer {
    fn new(known: Document, body: DocumentBody) -> Self {
        Self {
            document: known.document,
            patient: known.patient,
            kind: known.kind,
            sensitivity: known.sensitivity,
            year: known.year,
            title: body.title,
            file_name: body.file_name,
            media_type: known.media_type,
            size_bytes: known.size_bytes,
            sha256: body.content.sha256,
            blake3: body.content.blake3,
            author: known.author,
            added_at: known.added_at,
            retracted: known.retracted.is_some(),
            damaged: known.damaged.map(|(fault, _)| fault),
            version: known.version,
        }
    }
}

/// One page of documents, newest first.
#[derive(Serialize, ToSchema)]
pub struct DocumentsAnswer {
    documents: Vec<DocumentAnswer>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A document was changed.
#[derive(Serialize, ToSchema)]
pub struct ChangedAnswer {
    #[schema(value_type = uuid::Uuid)]
    document: RecordId,
    /// Version now, to be sent back as `If-Match`.
    version: u64,
}

/// Lists the documents of a chart, newest first, without their content. Those that the caller may not see are not on it.
#[utoipa::path(tag = "documents", security(("bearer" = [])), params(("patient" = uuid::Uuid, Path), ListQuery), responses(
    (status = 200, description = "a page of documents", body = DocumentsAnswer),
    (status = 404, description = "no such patient, or not for you", body = ProblemBody),
))]
#[get("/v1/patients/{patient}/documents")]
pub async fn list_documents(
    caller: Caller,
    patient: web::Path<PatientId>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let ListQuery { retracted, cursor, limit: wanted } = query.into_inner();
    let wanted = limit(caller.app.config(), wanted)?;
    let case = Case::to_read(&caller.app, &caller.asker, *patient)?;
    let permit = case.read(GroupSet::EMPTY.with(Group::Clinical), Action::ReadRecords).await?;
    let page = caller.app.views().documents.list(case.family(), retracted, cursor, wanted)?;
    let mut permitted = Vec::with_capacity(page.items.len());
    for known in page.items {
        permitted.extend(case.read_entry(known.patient, &known.facts())?.map(|permit| (known, permit)));
    }
    let groups = permitted.iter().flat_map(|(_, permit)| permit.groups().iter()).fold(permit.groups(), GroupSet::with);
    let fact = RecordsOpened {
        patient: case.id(),
        records: permitted.iter().map(|(known, _)| known.document).collect(),
        kind: None,
        groups,
        grounds: permit.grounds(),
    };
    let others: Vec<_> = permitted.iter().map(|(known, _)| known.patient).filter(|of| *of != case.id()).collect();
    let opening = Opening::new(&caller.app, &caller.asker, case.tell(fact, Outcome::Success, &others).await?);
    let mut documents = Vec::with_capacity(permitted.len());
    for (known, permit) in permitted {
        let body = opening.open(&permit, &known.sealed_body())?;
        documents.push(DocumentAnswer::new(known, body));
    }
    answer::receipted(StatusCode::OK, &DocumentsAnswer { documents, next: page.next }, &opening.into_receipt())
}

/// Downloads a document, or the part of it that `Range` names. Each download is an event first.
#[utoipa::path(tag = "documents", security(("bearer" = [])),
    params(("document" = uuid::Uuid, Path), ("Range" = Option<String>, Header), ("If-Range" = Option<String>, Header)),
    responses(
        (status = 200, description = "the document", body = String, content_type = "application/octet-stream"),
        (status = 206, description = "the part asked for", body = String, content_type = "application/octet-stream"),
        (status = 404, description = "no such document, or not for you", body = ProblemBody),
        (status = 416, description = "it has none of these bytes", body = ProblemBody),
        (status = 500, description = "its object is lost or damaged", body = ProblemBody),
    ))]
#[get("/v1/documents/{document}/content")]
pub async fn read_content(
    caller: Caller,
    document: web::Path<RecordId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let given = |name: header::HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    // An object never changes, so whoever has another tag has another document: then all of it is sent.
    let tag = format!("\"{}\"", *document);
    let range = given(header::RANGE).filter(|_| given(header::IF_RANGE).is_none_or(|known| known == tag));
    let opened = open(&caller.app, &caller.asker, *document, Requested::parse(range)).await?;
    let size = opened.document.size_bytes;
    let (Some(range), Some(content)) = (opened.range, opened.content) else {
        let mut answer =
            Problem::new(Kind::RangeNotSatisfiable, "ask for other bytes, or for all of it").error_response();
        set(&mut answer, header::CONTENT_RANGE, &format!("bytes */{size}"));
        answer::add_receipt(answer.headers_mut(), &opened.receipt);
        return Ok(answer);
    };
    let mut answer = HttpResponse::build(if opened.is_part { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    let mut answer = answer.body(content);
    if opened.is_part {
        set(&mut answer, header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    set(&mut answer, header::CONTENT_TYPE, opened.document.media_type.name());
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    set(&mut answer, header::ETAG, &tag);
    set(&mut answer, header::CACHE_CONTROL, "private, no-store");
    set(&mut answer, header::CONTENT_DISPOSITION, &disposition(opened.body.file_name.as_ref()));
    answer::add_receipt(answer.headers_mut(), &opened.receipt);
    Ok(answer)
}

fn set(answer: &mut HttpResponse, name: header::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        answer.headers_mut().insert(name, value);
    }
}

/// Never shown within a page of ours; saved under its own name (RFC 6266, RFC 8187).
fn disposition(name: Option<&Line>) -> String {
    let Some(name) = name else { return "attachment".to_owned() };
    let mut text = "attachment; filename*=UTF-8''".to_owned();
    for byte in name.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// Declares a document wrong; it stays in the ledger, can still be downloaded, and counts no more.
#[utoipa::path(tag = "documents", security(("bearer" = [])), params(("document" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)), responses(
    (status = 200, description = "retracted", body = ChangedAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such document, or not for you", body = ProblemBody),
    (status = 409, description = "retracted already", body = ProblemBody),
    (status = 412, description = "changed in the meantime", body = ProblemBody),
))]
#[post("/v1/documents/{document}/retract")]
pub async fn retract_document(caller: Caller, document: web::Path<RecordId>) -> Result<HttpResponse, Problem> {
    let document = *document;
    let known = known_to(&caller.app, &caller.asker, document)?;
    let patient = known.as_ref().map_or_else(|| PatientId::from_bytes(*document.bytes()), |known| known.patient);
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let target = |facts| Target::Record(case.facts(), facts);
    let permit = match known.map(|known| known.facts()) {
        // The path names no patient, so who may not read the document is not even told that it is there.
        Some(facts) if case.read_entry(patient, &facts)?.is_none() => {
            return Err(case.hidden(Action::RetractRecord).await.into());
        }
        Some(facts) => case.act_on(Action::RetractRecord, target(&facts)).await?,
        None => {
            case.act_on(Action::RetractRecord, target(&nothing(document))).await?;
            return Err(case.hidden(Action::RetractRecord).await.into());
        }
    };
    let (commands, origin) = (caller.app.commands(), caller.origin()?);
    let done = commands.retract_document(&permit, &origin, (patient, document), caller.if_match).await?;
    seen(&caller, &done).await?;
    let mut answer = answer::json(StatusCode::OK, &ChangedAnswer { document, version: done.stream_version })?;
    answer::add_version(answer.headers_mut(), done.stream_version);
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// A document that could be there.
fn nothing(document: RecordId) -> RecordFacts {
    RecordFacts { record: document, kind: RecordKind::Document, sensitivity: Vec::new(), author: None, signed: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_end_the_header() {
        let name = Line::new("Befund \"Ä\"; x=1.pdf").unwrap();
        let text = disposition(Some(&name));
        assert_eq!(text, "attachment; filename*=UTF-8''Befund%20%22%C3%84%22%3B%20x%3D1.pdf");
        assert_eq!(disposition(None), "attachment");
    }
}
