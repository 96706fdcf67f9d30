//! Uploads of documents, in pieces and over interruptions: begin, send, ask how far it came, finish or throw away.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, delete, patch, post, route, web};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_commands::Origin;
use wardbook_events::documents::MediaType;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::values::Line;
use wardbook_events::{Ciphertext, PatientId, RecordId};
use wardbook_policy::{Action, Permit, RecordFacts, Target};

use crate::api::caller::Caller;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::Case;
use crate::documents::{
    About, Appender, ContentError, DocumentError, Finished, Store, Upload, Words, finish, known_to,
};

/// How far an upload came.
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// How many bytes it is going to have.
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// What a piece is sent as (tus 1.0).
const PIECE: &str = "application/offset+octet-stream";

/// A document that is going to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UploadBody {
    /// What it is, in words.
    #[schema(value_type = String)]
    title: Line,
    /// The name of the file.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    file_name: Option<Line>,
    /// What kind of entry.
    #[serde(default = "document", rename = "type")]
    #[schema(value_type = Option<schema::RecordKind>)]
    kind: RecordKind,
    /// Why it is specially protected, if it is.
    #[serde(default)]
    #[schema(value_type = Vec<schema::Sensitivity>)]
    sensitivity: Vec<Sensitivity>,
    /// The year it belongs to.
    #[serde(default)]
    year: Option<i16>,
    /// What its bytes are.
    #[schema(value_type = schema::MediaType)]
    media_type: MediaType,
    /// How many bytes it has.
    #[schema(minimum = 1)]
    size_bytes: u64,
}

const fn document() -> RecordKind {
    RecordKind::Document
}

/// An upload.
#[derive(Serialize, ToSchema)]
pub struct UploadAnswer {
    /// The upload; the document will have the same id.
    #[schema(value_type = uuid::Uuid)]
    upload: RecordId,
    /// Bytes that are there.
    offset: u64,
    /// Bytes announced.
    size_bytes: u64,
    /// When it is thrown away, unless it is finished.
    #[schema(value_type = String)]
    expires_at: Timestamp,
}

/// What was sent, as the client knows it.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishBody {
    /// SHA-256 of all that was sent, hex: what arrived must have the same.
    #[serde(default)]
    sha256: Option<String>,
}

/// The document that an upload became.
#[derive(Serialize, ToSchema)]
pub struct FinishAnswer {
    #[schema(value_type = uuid::Uuid)]
    document: RecordId,
    /// Version, to be sent back as `If-Match`.
    version: u64,
    #[schema(value_type = schema::MediaType)]
    media_type: MediaType,
    /// Bytes as they are kept: an image may have lost some.
    size_bytes: u64,
    /// What was taken out of an image, such as `exif`.
    #[schema(value_type = Vec<String>)]
    removed: Vec<&'static str>,
}

/// Announces a document and gives the upload to send it to.
#[utoipa::path(tag = "documents", security(("bearer" = [])), request_body = UploadBody,
    params(("patient" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "begun; `Location` is set", body = UploadAnswer),
        (status = 403, description = "your roles do not allow this", body = ProblemBody),
        (status = 404, description = "no such patient, or not for you", body = ProblemBody),
        (status = 409, description = "you have too many uploads that are not finished", body = ProblemBody),
        (status = 413, description = "too large for its type", body = ProblemBody),
        (status = 415, description = "not a type that is taken here", body = ProblemBody),
        (status = 422, description = "a value breaks a rule", body = ProblemBody),
    ))]
#[post("/v1/patients/{patient}/documents")]
pub async fn begin_upload(
    caller: Caller,
    patient: web::Path<PatientId>,
    body: web::Json<UploadBody>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let origin = caller.origin()?;
    let principal = caller.asker.principal();
    let about = About {
        tenant: principal.tenant,
        patient: *patient,
        document: origin.ids(principal.tenant).document(),
        user: principal.user,
        kind: body.kind,
        sensitivity: body.sensitivity,
        year: body.year,
        media_type: body.media_type,
        size_bytes: body.size_bytes,
        object: Store::new_name(caller.app.chance())?,
        key: Ciphertext::new(String::new()),
        words: String::new(),
        begun_at: caller.app.now(),
    };
    let case = Case::exactly(&caller.app, &caller.asker, *patient)?;
    case.act_on(Action::AddRecord, Target::Record(case.facts(), &about.facts())).await?;
    fits(&caller, &about)?;
    let words = Words { title: body.title, file_name: body.file_name };
    let app = caller.app.clone();
    let (about, offset) = web::block(move || {
        let uploads = app.documents().uploads();
        let open =
            uploads.all()?.iter().filter(|open| open.user == about.user && open.document != about.document).count();
        if open >= app.config().documents.uploads_max {
            return Ok(None);
        }
        let about = uploads.begin(app.keys(), about, &words)?;
        let offset = uploads.take(about.clone())?.offset()?;
        Ok::<_, DocumentError>(Some((about, offset)))
    })
    .await??
    .ok_or_else(|| Problem::new(Kind::Conflict, "you have too many uploads: finish or delete some of them first"))?;
    let mut answer = told(&caller, StatusCode::CREATED, &about, offset)?;
    if let Ok(place) = format!("/v1/uploads/{}", about.document).parse() {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

/// Whether such a document is taken here at all.
fn fits(caller: &Caller, about: &About) -> Result<(), Problem> {
    let settings = &caller.app.config().documents;
    if !settings.media_types.contains(&about.media_type) {
        return Err(DocumentError::from(ContentError::NotTaken(about.media_type.name())).into());
    }
    let max = settings.bytes_max(about.media_type);
    if about.size_bytes > max {
        return Err(DocumentError::from(ContentError::TooLarge { max }).into());
    }
    if about.size_bytes == 0 {
        return Err(Problem::new(Kind::Invalid, "size_bytes must be at least 1"));
    }
    Ok(())
}

fn told(caller: &Caller, status: StatusCode, about: &About, offset: u64) -> Result<HttpResponse, Problem> {
    let lifetime = jiff::SignedDuration::from_secs(caller.app.config().documents.upload_lifetime_s.into());
    let expires_at = about.begun_at.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
    let body = UploadAnswer { upload: about.document, offset, size_bytes: about.size_bytes, expires_at };
    let mut answer = answer::json(status, &body)?;
    at(&mut answer, offset, about.size_bytes);
    Ok(answer)
}

fn at(answer: &mut HttpResponse, offset: u64, size: u64) {
    answer.headers_mut().insert(OFFSET, HeaderValue::from(offset));
    answer.headers_mut().insert(LENGTH, HeaderValue::from(size));
}

/// The caller's upload and the permit to make its document. One that nobody has, and one that is another user's, take the
/// way of a patient whom nobody knows.
async fn may(caller: &Caller, upload: RecordId) -> Result<(About, Permit), Problem> {
    let (app, user) = (caller.app.clone(), caller.asker.principal().user);
    let tenant = caller.asker.principal().tenant;
    let found = web::block(move || app.documents().uploads().about(upload)).await??;
    let found = found.filter(|about| about.user == user && about.tenant == tenant);
    let patient = found.as_ref().map_or_else(|| PatientId::from_bytes(*upload.bytes()), |about| about.patient);
    let facts = found.as_ref().map_or_else(|| nothing(upload), About::facts);
    let case = Case::exactly(&caller.app, &caller.asker, patient)?;
    let permit = case.act_on(Action::AddRecord, Target::Record(case.facts(), &facts)).await?;
    match found {
        Some(about) => Ok((about, permit)),
        None => Err(case.hidden(Action::AddRecord).await.into()),
    }
}

fn nothing(upload: RecordId) -> RecordFacts {
    RecordFacts { record: upload, kind: RecordKind::Document, sensitivity: Vec::new(), author: None, signed: false }
}

/// Tells how far an upload came. `HEAD` tells it in the headers alone.
#[utoipa::path(method(get), tag = "documents", security(("bearer" = [])), params(("upload" = uuid::Uuid, Path)), responses(
    (status = 200, description = "`Upload-Offset` and `Upload-Length` are set", body = UploadAnswer),
    (status = 403, description = "your roles do not allow this any more", body = ProblemBody),
    (status = 404, description = "no such upload of yours", body = ProblemBody),
    (status = 409, description = "another request works on it", body = ProblemBody),
))]
#[route("/v1/uploads/{upload}", method = "GET", method = "HEAD")]
pub async fn read_upload(caller: Caller, upload: web::Path<RecordId>) -> Result<HttpResponse, Problem> {
    let (about, _) = may(&caller, *upload).await?;
    let taken = caller.app.documents().uploads().take(about.clone())?;
    let offset = web::block(move || taken.offset()).await??;
    told(&caller, StatusCode::OK, &about, offset)
}

/// Sends a piece. It must begin where the upload ends; what came of a piece that broke off stays.
#[utoipa::path(tag = "documents", security(("bearer" = [])),
    request_body(content = String, content_type = "application/offset+octet-stream", description = "the bytes"),
    params(("upload" = uuid::Uuid, Path), ("Upload-Offset" = u64, Header)),
    responses(
        (status = 204, description = "kept; `Upload-Offset` says how far it came"),
        (status = 403, description = "your roles do not allow this any more", body = ProblemBody),
        (status = 404, description = "no such upload of yours", body = ProblemBody),
        (status = 409, description = "it does not begin where the upload ends, or another request works on it", body = ProblemBody),
        (status = 413, description = "more than was announced", body = ProblemBody),
        (status = 415, description = "not sent as application/offset+octet-stream, or the document is not what it was said to be", body = ProblemBody),
    ))]
#[patch("/v1/uploads/{upload}")]
pub async fn append_upload(
    caller: Caller,
    upload: web::Path<RecordId>,
    request: HttpRequest,
    mut piece: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (about, permit) = may(&caller, *upload).await?;
    let given = |name: &HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    if given(&header::CONTENT_TYPE) != Some(PIECE) {
        return Err(Problem::new(Kind::UnsupportedMediaType, format!("send the bytes as Content-Type: {PIECE}")));
    }
    let offset = given(&OFFSET).and_then(|text| text.parse::<u64>().ok());
    let offset = offset.ok_or_else(|| Problem::new(Kind::Malformed, "say in Upload-Offset where the piece begins"))?;
    let mut appender = resume(&caller, about, &permit).await?;
    if appender.start() != offset {
        return Err(DocumentError::WrongOffset { offset: appender.start() }.into());
    }
    let size = appender.about().size_bytes;
    let broken = loop {
        let bytes = match piece.next().await {
            None => break None,
            Some(Err(_)) => break Some(Problem::new(Kind::Malformed, "the piece broke off: what came of it was kept")),
            Some(Ok(bytes)) => bytes,
        };
        // The appender goes along, so that nobody else gets the upload while this is being written.
        let (back, pushed) = web::block(move || {
            let pushed = appender.push(&bytes);
            (appender, pushed)
        })
        .await?;
        appender = back;
        if let Err(error) = pushed {
            break Some(error.into());
        }
    };
    let offset = web::block(move || appender.finish()).await??;
    if let Some(problem) = broken {
        return Err(problem);
    }
    let mut answer = answer::empty(StatusCode::NO_CONTENT, None);
    at(&mut answer, offset, size);
    Ok(answer)
}

async fn resume(caller: &Caller, about: About, permit: &Permit) -> Result<Appender, Problem> {
    let staging = caller.app.keys().open_staging(permit, about.id(), &about.sealed_key())?;
    let upload = caller.app.documents().uploads().take(about)?;
    Ok(web::block(move || upload.append(staging)).await??)
}

/// Makes the document: its type is checked, an image is cleaned, it is sealed and stored, and stands in the chart. Sent
/// again after it was done, it answers the same.
#[utoipa::path(tag = "documents", security(("bearer" = [])), request_body = FinishBody, params(("upload" = uuid::Uuid, Path)), responses(
    (status = 201, description = "the document is in the chart; `Location` and `ETag` are set", body = FinishAnswer),
    (status = 200, description = "it was there already", body = FinishAnswer),
    (status = 403, description = "your roles do not allow this any more", body = ProblemBody),
    (status = 404, description = "no such upload of yours", body = ProblemBody),
    (status = 409, description = "not complete, another request works on it, or the patient was merged", body = ProblemBody),
    (status = 415, description = "not what it was said to be", body = ProblemBody),
    (status = 422, description = "another SHA-256, or a damaged image", body = ProblemBody),
))]
#[post("/v1/uploads/{upload}/finish")]
pub async fn finish_upload(
    caller: Caller,
    upload: web::Path<RecordId>,
    body: Option<web::Json<FinishBody>>,
) -> Result<HttpResponse, Problem> {
    let upload = *upload;
    if let Some(before) = finished_before(&caller, upload)? {
        return before.answer(StatusCode::OK, None);
    }
    let (about, permit) = may(&caller, upload).await?;
    let sha256 = body.and_then(|body| body.into_inner().sha256);
    let taken: Upload = caller.app.documents().uploads().take(about)?;
    let (app, origin): (_, Origin) = (caller.app.clone(), caller.origin()?);
    // Spawned: a client that goes away, or a request that takes too long, does not end it half-way.
    let work = actix_web::rt::spawn(finish(app, permit, origin, taken, sha256));
    let Finished { done, media_type, size_bytes, removed } = match work.await.unwrap_or(Err(DocumentError::Lost)) {
        // Another request has just finished it.
        Err(DocumentError::NoUpload) => {
            let before = finished_before(&caller, upload)?.ok_or_else(Problem::not_found)?;
            return before.answer(StatusCode::OK, None);
        }
        finished => finished?,
    };
    let answer = FinishAnswer {
        document: done.value,
        version: done.stream_version,
        media_type,
        size_bytes,
        removed: removed.into_iter().collect(),
    };
    answer.answer(StatusCode::CREATED, done.receipts.last())
}

/// The document that the caller's upload became by an earlier request.
fn finished_before(caller: &Caller, upload: RecordId) -> Result<Option<FinishAnswer>, Problem> {
    let principal = caller.asker.principal();
    let known = known_to(&caller.app, &caller.asker, upload)?.filter(|known| known.author == principal.user);
    Ok(known.map(|known| FinishAnswer {
        document: known.document,
        version: known.version,
        media_type: known.media_type,
        size_bytes: known.size_bytes,
        removed: Vec::new(),
    }))
}

impl FinishAnswer {
    fn answer(&self, status: StatusCode, receipt: Option<&wardbook_ledger::Receipt>) -> Result<HttpResponse, Problem> {
        let mut answer = answer::json(status, self)?;
        answer::add_version(answer.headers_mut(), self.version);
        if let Ok(place) = format!("/v1/documents/{}/content", self.document).parse() {
            answer.headers_mut().insert(header::LOCATION, place);
        }
        if let Some(receipt) = receipt {
            answer::add_receipt(answer.headers_mut(), receipt);
        }
        Ok(answer)
    }
}

/// Throws an upload away.
#[utoipa::path(tag = "documents", security(("bearer" = [])), params(("upload" = uuid::Uuid, Path)), responses(
    (status = 204, description = "thrown away"),
    (status = 403, description = "your roles do not allow this any more", body = ProblemBody),
    (status = 404, description = "no such upload of yours", body = ProblemBody),
    (status = 409, description = "another request works on it", body = ProblemBody),
))]
#[delete("/v1/uploads/{upload}")]
pub async fn discard_upload(caller: Caller, upload: web::Path<RecordId>) -> Result<HttpResponse, Problem> {
    let (about, _) = may(&caller, *upload).await?;
    let taken = caller.app.documents().uploads().take(about)?;
    web::block(move || taken.discard()).await??;
    Ok(answer::empty(StatusCode::NO_CONTENT, None))
}
