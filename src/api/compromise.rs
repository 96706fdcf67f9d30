//! Keys that may be known to others: declaring it, and how far it is contained. For those who look after keys (ENC-12).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_commands::compromise::Declare;
use wardbook_events::keys::{CompromiseReason, KeyLevel};
use wardbook_events::{AlertId, PatientId, UserId};
use wardbook_policy::{Action, Target};
use wardbook_projections::keys::Compromise;

use crate::api::answer;
use crate::api::caller::Caller;
use crate::api::keys::Level;
use crate::api::patients::seen;
use crate::api::problem::{Problem, ProblemBody};
use crate::by::By;
use crate::disclosure::{allow, allow_server};
use crate::keyring::{Job, compromise};

/// Why a key may be known to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It stood where it should not: in a log, a message, a repository.
    KeyExposed,
    /// The key store was copied.
    StoreCopied,
    /// A machine was broken into.
    MachineBroken,
    /// A backup was lost.
    BackupLost,
    /// Somebody who could reach it is no longer trusted.
    Insider,
    /// Keys were used as nobody uses them.
    UnusualUse,
    /// The provider of the root key says so.
    Provider,
    /// To try it out.
    Drill,
}

impl From<Reason> for CompromiseReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::KeyExposed => Self::KeyExposed,
            Reason::StoreCopied => Self::StoreCopied,
            Reason::MachineBroken => Self::MachineBroken,
            Reason::BackupLost => Self::BackupLost,
            Reason::Insider => Self::Insider,
            Reason::UnusualUse => Self::UnusualUse,
            Reason::Provider => Self::Provider,
            Reason::Drill => Self::Drill,
        }
    }
}

/// Which key, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompromiseBody {
    /// The highest level that is concerned; all below it are too.
    level: Level,
    /// Whose, at level `patient`; all patients' if not given.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(default)]
    patient: Option<PatientId>,
    reason: Reason,
}

/// What was declared, and how far it is contained.
#[derive(Serialize, ToSchema)]
pub struct CompromiseAnswer {
    /// The alert that was raised: under it it is worked on.
    #[schema(value_type = uuid::Uuid)]
    alert: AlertId,
    #[schema(value_type = Level)]
    level: KeyLevel,
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<PatientId>,
    #[schema(value_type = Reason)]
    reason: CompromiseReason,
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_by: Option<UserId>,
    #[schema(value_type = String)]
    declared_at: Timestamp,
    /// `open`, or `contained`: everything current is under new keys, and the old ones open nothing.
    state: &'static str,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    contained_at: Option<Timestamp>,
    /// Patients whose values were sealed anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    patients: Option<u64>,
    /// Values sealed anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<u64>,
    /// What is being done with this organisation's keys, or was done last since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Job>,
}

impl CompromiseAnswer {
    fn new(found: Compromise, job: Option<Job>) -> Self {
        let Compromise { declared, declared_at, contained } = found;
        let (contained, contained_at) = contained.unzip();
        Self {
            alert: declared.alert,
            level: declared.level,
            patient: declared.patient,
            reason: declared.reason,
            declared_by: declared.by,
            declared_at,
            state: if contained.is_some() { "contained" } else { "open" },
            contained_at,
            patients: contained.as_ref().map(|done| done.patients),
            values: contained.as_ref().map(|done| done.values),
            job: job.filter(|_| contained.is_none()),
        }
    }
}

/// Says that a key may be known to others. An alert is raised with it; then, in the background, all keys of that level and below
/// are made anew, everything current is sealed anew under them, and the old ones open nothing any more: neither does history
/// that is sealed under them. One person can do this, with a fresh proof: waiting for a second would help the thief.
#[utoipa::path(tag = "keys", security(("bearer" = [])), request_body = CompromiseBody, responses(
    (status = 202, description = "declared; it is being contained", body = CompromiseAnswer),
    (status = 403, description = "your roles do not allow this, or it is for who runs the server", body = ProblemBody),
    (status = 404, description = "no such patient", body = ProblemBody),
    (status = 422, description = "a patient is named at another level", body = ProblemBody),
))]
#[post("/v1/keys/compromise")]
pub async fn declare_compromise(caller: Caller, body: web::Json<CompromiseBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let CompromiseBody { level, patient, reason } = body.into_inner();
    if patient.is_some() && level != Level::Patient {
        return Err(Problem::new(crate::api::problem::Kind::Invalid, "a patient is named at level patient only"));
    }
    let app = &caller.app;
    let (permit, _) = match level {
        Level::Root => allow_server(app, &caller.asker, Action::ManageKeys).await?,
        _ => allow(app, &caller.asker, Action::ManageKeys, Target::Tenant).await?,
    };
    let tenant = caller.asker.principal().tenant;
    if let Some(patient) = patient {
        let known = app.views().patients.get(patient)?.filter(|known| known.tenant == tenant);
        known.filter(|known| known.erased_at.is_none()).ok_or_else(Problem::not_found)?;
    }
    let what = Declare { level: level.into(), patient, reason: reason.into() };
    let done = app.commands().declare_compromise(&permit, &caller.origin()?, what).await?;
    seen(&caller, &done).await?;
    compromise::start(app, &By::asker(&caller.asker), tenant)?;
    answered(&caller, StatusCode::ACCEPTED, done.value)
}

/// How far a compromise is contained.
#[utoipa::path(tag = "keys", security(("bearer" = [])), params(("alert" = uuid::Uuid, Path)), responses(
    (status = 200, description = "what was declared, and how far it is", body = CompromiseAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such compromise was declared", body = ProblemBody),
))]
#[get("/v1/keys/compromise/{alert}")]
pub async fn read_compromise(caller: Caller, alert: web::Path<AlertId>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    allow(&caller.app, &caller.asker, Action::ManageKeys, Target::Tenant).await?;
    answered(&caller, StatusCode::OK, *alert)
}

fn answered(caller: &Caller, status: StatusCode, alert: AlertId) -> Result<HttpResponse, Problem> {
    let tenant = caller.asker.principal().tenant;
    let found = caller.app.views().keys.compromise(tenant, alert)?.ok_or_else(Problem::not_found)?;
    answer::json(status, &CompromiseAnswer::new(found, caller.app.keyring().job(Some(tenant))))
}
