//! Backups of the server: which there are, making one, checking one, trying out a restore. For those who run it (OPS-04, OPS-05).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_events::BackupId;
use wardbook_events::backups::BackupKind;
use wardbook_policy::Action;
use wardbook_projections::backups::Backup;

use crate::api::answer;
use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::backup::{self, Asked, Job};
use crate::by::By;
use crate::disclosure::allow_server;

/// Whether a backup stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kinds {
    /// Everything from the first event on.
    Full,
    /// What came since the last one.
    Incremental,
}

/// Which backup to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupBody {
    /// Full if one is due, else incremental, if not given.
    #[serde(default)]
    kind: Option<Kinds>,
}

/// Where to look.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceBody {
    /// A place of the settings; the first if not given.
    #[serde(default)]
    place: Option<String>,
}

/// A backup that was made.
#[derive(Serialize, ToSchema)]
pub struct BackupAnswer {
    #[schema(value_type = uuid::Uuid)]
    backup: BackupId,
    kind: Kinds,
    /// The one that it builds on.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<BackupId>,
    /// The first position in it.
    from: u64,
    /// The position behind the last.
    to: u64,
    /// Root of the tree over `to` events, hex.
    root: String,
    /// SHA-256 of its manifest, hex.
    manifest: String,
    /// The backup key that seals it.
    key: String,
    parts: u32,
    bytes: u64,
    /// Documents that were added between `from` and `to`.
    documents: u64,
    /// Objects of documents that were nowhere to be had.
    documents_missing: u64,
    places: Vec<String>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<Timestamp>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_at: Option<Timestamp>,
}

impl From<Backup> for BackupAnswer {
    fn from(backup: Backup) -> Self {
        let Backup { created, created_at, verified_at, removed_at } = backup;
        let kind = match created.kind {
            BackupKind::Full => Kinds::Full,
            BackupKind::Incremental => Kinds::Incremental,
        };
        Self {
            backup: created.backup,
            kind,
            base: created.base,
            from: created.from,
            to: created.to,
            root: created.root,
            manifest: created.manifest,
            key: created.key,
            parts: created.parts,
            bytes: created.bytes,
            documents: created.documents,
            documents_missing: created.documents_missing,
            places: created.places,
            created_at,
            verified_at,
            removed_at,
        }
    }
}

/// A restore that was tried out.
#[derive(Serialize, ToSchema)]
pub struct DrillAnswer {
    #[schema(value_type = uuid::Uuid)]
    backup: BackupId,
    place: String,
    passed: bool,
    events: u64,
    patients: u64,
    /// Views whose state root was the one attested in the ledger.
    views: u32,
    keys_missing: u64,
    /// Objects of documents that came back, and that did not.
    documents: u64,
    documents_missing: u64,
    /// Time until the system could have served (RTO).
    recovery_ms: u64,
    /// Age of the oldest loss (RPO).
    lost_s: u64,
    lost_events: u64,
    #[schema(value_type = String)]
    at: Timestamp,
}

/// One page of backups, newest first, and what is being done.
#[derive(Serialize, ToSchema)]
pub struct BackupsAnswer {
    backups: Vec<BackupAnswer>,
    /// To be sent as `cursor` for the next page; missing on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    /// Whether the settings name places.
    is_on: bool,
    /// What is being done, or was done last since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Job>,
    /// The last restore that was tried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    drill: Option<DrillAnswer>,
    /// When the backup of the keys was last replaced.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_refreshed_at: Option<Timestamp>,
}

/// Part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BackupsQuery {
    /// `next` of the page before.
    #[serde(default)]
    cursor: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
}

/// Lists backups, those that were removed included.
#[utoipa::path(tag = "backups", security(("bearer" = [])), params(BackupsQuery), responses(
    (status = 200, description = "a page of backups", body = BackupsAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/backups")]
pub async fn list_backups(caller: Caller, query: web::Query<BackupsQuery>) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    allow_server(app, &caller.asker, Action::ManageBackups).await?;
    let limit = limit(app.config(), query.limit)?;
    let page = app.views().backups.list(query.cursor, limit)?;
    let last = app.views().backups.last()?;
    let drill = last.drill.map(|(drill, at)| DrillAnswer {
        backup: drill.backup,
        place: drill.place,
        passed: drill.passed,
        events: drill.events,
        patients: drill.patients,
        views: drill.views,
        keys_missing: drill.keys_missing,
        documents: drill.documents,
        documents_missing: drill.documents_missing,
        recovery_ms: drill.recovery_ms,
        lost_s: drill.lost_s,
        lost_events: drill.lost_events,
        at,
    });
    let answer = BackupsAnswer {
        backups: page.items.into_iter().map(BackupAnswer::from).collect(),
        next: page.next,
        is_on: app.config().backup.is_on(),
        job: app.backup_jobs().last(),
        drill,
        keys_refreshed_at: last.keys_refreshed_at,
    };
    answer::json(StatusCode::OK, &answer)
}

/// Begins to make a backup; requests go on meanwhile. `GET /v1/backups` tells how far it is.
#[utoipa::path(tag = "backups", security(("bearer" = [])), request_body = BackupBody, responses(
    (status = 202, description = "it has begun"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 409, description = "the settings name no place, or something else is being done", body = ProblemBody),
))]
#[post("/v1/backups")]
pub async fn create_backup(caller: Caller, body: web::Json<BackupBody>) -> Result<HttpResponse, Problem> {
    let by = may(&caller).await?;
    let app = caller.app.clone();
    let asked = match body.kind {
        None => backup::full_after(&app),
        Some(Kinds::Full) => Asked::Kind(BackupKind::Full),
        Some(Kinds::Incremental) => Asked::Kind(BackupKind::Incremental),
    };
    let started = caller.app.backup_jobs().start(
        "create",
        move |progress| backup::run(&app, &by, asked, progress),
        |ran| ran.made.created.backup.to_string(),
    );
    accepted(started)
}

/// Begins to read a backup and hold it against its checkpoint. `GET /v1/backups` tells what came of it.
#[utoipa::path(tag = "backups", security(("bearer" = [])), request_body = PlaceBody, params(("backup" = uuid::Uuid, Path)), responses(
    (status = 202, description = "it has begun"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such backup", body = ProblemBody),
    (status = 409, description = "the settings name no place, or something else is being done", body = ProblemBody),
))]
#[post("/v1/backups/{backup}/verify")]
pub async fn verify_backup(
    caller: Caller,
    id: web::Path<BackupId>,
    body: web::Json<PlaceBody>,
) -> Result<HttpResponse, Problem> {
    let by = may(&caller).await?;
    let (app, id) = (caller.app.clone(), *id);
    if app.views().backups.get(id)?.is_none() {
        return Err(Problem::new(Kind::NotFound, "there is no such backup: see GET /v1/backups"));
    }
    let place = body.into_inner().place;
    let started = caller.app.backup_jobs().start(
        "verify",
        move |progress| backup::verify_and_tell(&app, &by, place.as_deref(), Some(id), progress),
        |(_, place, verified)| match verified.findings.as_slice() {
            [] => format!("verified at {place}: {} events, {} documents", verified.events, verified.documents),
            [first, rest @ ..] => format!("does NOT verify at {place}: {first}, and {} more", rest.len()),
        },
    );
    accepted(started)
}

/// Begins to try out a restore of the newest backup of a place. `GET /v1/backups` tells what came of it.
#[utoipa::path(tag = "backups", security(("bearer" = [])), request_body = PlaceBody, responses(
    (status = 202, description = "it has begun"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 409, description = "the settings name no place, or something else is being done", body = ProblemBody),
))]
#[post("/v1/backups/drills")]
pub async fn drill_backup(caller: Caller, body: web::Json<PlaceBody>) -> Result<HttpResponse, Problem> {
    let by = may(&caller).await?;
    let (app, place) = (caller.app.clone(), body.into_inner().place);
    let started = caller.app.backup_jobs().start(
        "drill",
        move |progress| backup::drill(&app, &by, place.as_deref(), progress),
        |drill| if drill.passed { "passed".to_owned() } else { "did NOT pass".to_owned() },
    );
    accepted(started)
}

/// Permitted, and there is something to work with.
async fn may(caller: &Caller) -> Result<By, Problem> {
    allow_server(&caller.app, &caller.asker, Action::ManageBackups).await?;
    match caller.app.config().backup.is_on() {
        true => Ok(By::asker(&caller.asker)),
        false => Err(Problem::new(Kind::Conflict, "the settings name no place for backups: set backup.places")),
    }
}

fn accepted(started: std::io::Result<bool>) -> Result<HttpResponse, Problem> {
    match started {
        Ok(true) => Ok(answer::empty(StatusCode::ACCEPTED, None)),
        Ok(false) => Err(Problem::new(
            Kind::Conflict,
            "another backup, verification or drill is under way: GET /v1/backups tells how far it is",
        )),
        Err(error) => Err(Problem::internal("a backup could not be begun", &error)),
    }
}
