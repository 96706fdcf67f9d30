//! Keys of the caller's organisation: how they stand, making them anew, wrapping anew. For those who look after them (ENC-10, ENC-11).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_events::PatientId;
use wardbook_policy::{Action, Target};

use crate::api::answer;
use crate::api::caller::Caller;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::by::By;
use crate::disclosure::{allow, allow_server};
use crate::keyring::rewrap;
use crate::keyring::rotate::{Asked, Rotated, rotate};
use crate::keyring::status::{Status, status};

/// Which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The root key, at its provider: for who runs the server.
    Root,
    /// The organisation's.
    Tenant,
    /// The one that the organisation's patients are searched by; they are re-indexed in the background.
    Index,
    /// One patient's, or those of all patients.
    Patient,
}

impl From<Level> for wardbook_events::keys::KeyLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Root => Self::Root,
            Level::Tenant => Self::Tenant,
            Level::Index => Self::Index,
            Level::Patient => Self::Patient,
        }
    }
}

/// What to make anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    level: Level,
    /// Whose, at level `patient`; all patients' if not given.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(default)]
    patient: Option<PatientId>,
}

/// What was made anew.
#[derive(Serialize, ToSchema)]
pub struct RotateAnswer {
    level: Level,
    /// The new version; missing if many keys are made anew in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

/// How keys stand: versions, states, ages, what is left to wrap anew, what is due when. Nothing secret.
#[utoipa::path(tag = "keys", security(("bearer" = [])), responses(
    (status = 200, description = "how keys stand", body = Status),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/keys")]
pub async fn read_keys(caller: Caller) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let app = caller.app.clone();
    allow(&app, &caller.asker, Action::ManageKeys, Target::Tenant).await?;
    let tenant = caller.asker.principal().tenant;
    let is_home = tenant == app.config().organisation.id;
    let found = web::block(move || status(&app, tenant, is_home)).await??;
    answer::json(StatusCode::OK, &found)
}

/// Makes a key anew: what is sealed or wrapped from now on is so under the new version, and what was sealed before still opens.
/// What the old version wraps is wrapped anew in the background; `GET /v1/keys` tells how far it is.
#[utoipa::path(tag = "keys", security(("bearer" = [])), request_body = RotateBody, responses(
    (status = 200, description = "a new version is there", body = RotateAnswer),
    (status = 202, description = "many keys are being made anew", body = RotateAnswer),
    (status = 403, description = "your roles do not allow this, or it is for who runs the server", body = ProblemBody),
    (status = 404, description = "no such patient has a key", body = ProblemBody),
    (status = 409, description = "this is being done already", body = ProblemBody),
))]
#[post("/v1/keys/rotate")]
pub async fn rotate_key(caller: Caller, body: web::Json<RotateBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let RotateBody { level, patient } = body.into_inner();
    let app = caller.app.clone();
    if level == Level::Root {
        allow_server(&app, &caller.asker, Action::ManageKeys).await?;
    } else {
        allow(&app, &caller.asker, Action::ManageKeys, Target::Tenant).await?;
    }
    let tenant = caller.asker.principal().tenant;
    let asked = match (level, patient) {
        (Level::Root, None) => Asked::Root,
        (Level::Tenant, None) => Asked::Tenant(tenant),
        (Level::Index, None) => Asked::Index(tenant),
        (Level::Patient, Some(patient)) => Asked::Patient(tenant, patient),
        (Level::Patient, None) => Asked::Patients(tenant),
        _ => return Err(Problem::new(Kind::Invalid, "a patient is named at level patient only")),
    };
    let by = By::asker(&caller.asker);
    match web::block(move || rotate(&app, &by, asked)).await?? {
        Rotated::Version(version) => answer::json(StatusCode::OK, &RotateAnswer { level, version: Some(version) }),
        Rotated::Begun => answer::json(StatusCode::ACCEPTED, &RotateAnswer { level, version: None }),
    }
}

/// What to wrap anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RewrapBody {
    /// The level of the key that wraps: `tenant` if not given, or `root`.
    #[serde(default)]
    level: Option<Level>,
}

/// Begins to wrap anew what is still wrapped under an older version: patients' keys, or organisations' keys for who runs the
/// server. Done by itself after each rotation and once a minute; this is for who does not want to wait.
#[utoipa::path(tag = "keys", security(("bearer" = [])), request_body = RewrapBody, responses(
    (status = 202, description = "it has begun, or was under way"),
    (status = 403, description = "your roles do not allow this, or it is for who runs the server", body = ProblemBody),
))]
#[post("/v1/keys/rewrap")]
pub async fn rewrap_keys(caller: Caller, body: web::Json<RewrapBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let app = &caller.app;
    let scope = match body.level {
        Some(Level::Root) => {
            allow_server(app, &caller.asker, Action::ManageKeys).await?;
            None
        }
        Some(Level::Tenant) | None => {
            allow(app, &caller.asker, Action::ManageKeys, Target::Tenant).await?;
            Some(caller.asker.principal().tenant)
        }
        Some(Level::Patient | Level::Index) => {
            return Err(Problem::new(Kind::Invalid, "such a key wraps nothing: give tenant or root"));
        }
    };
    rewrap::start(app, &By::asker(&caller.asker), scope)?;
    Ok(answer::empty(StatusCode::ACCEPTED, None))
}
