//! Logging in and out.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wardbook_events::identity::Factor;
use wardbook_events::{PatientId, Purpose, Role, SessionId, TenantId, UserId};

use crate::api::answer;
use crate::api::caller::{Anyone, Caller};
use crate::api::problem::{Problem, ProblemBody};
use crate::api::schema;
use crate::app::App;
use crate::login::{Asked, Next, Step, log_in, log_out};

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    /// User name.
    #[schema(example = "dr.osei")]
    username: String,
    /// Password.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    /// What an earlier login gave as `device`.
    #[serde(default)]
    device: Option<String>,
}

/// Tokens of a session that has begun.
#[derive(Serialize, ToSchema)]
pub struct LoginAnswer {
    /// To be sent as `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token must be renewed.
    expires_in: u32,
    /// The session.
    #[schema(value_type = uuid::Uuid)]
    session: SessionId,
    /// By this the device is known again: send it as `device` with the next login.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

/// The next question of a login.
#[derive(Serialize, ToSchema)]
pub struct AskedAnswer {
    /// `second-factor`, or `enrol` if the user has none yet.
    next: &'static str,
    /// To be sent back with the answer.
    challenge: String,
    /// What can be answered with, or what can be enrolled.
    #[schema(value_type = Vec<String>)]
    methods: Vec<Factor>,
    /// What the browser must be told for a passkey.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    passkey: Option<Value>,
}

/// The answer to a step of a login, whichever way it was made.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn step_answer(app: &App, step: Step) -> Result<HttpResponse, Problem> {
    match step {
        Step::Begun(begun) => {
            let answer = LoginAnswer {
                access_token: begun.access,
                token_type: "Bearer",
                expires_in: app.config().tokens.lifetime_s,
                session: begun.session,
                device: begun.device.map(|device| device.text()),
            };
            answer::receipted(StatusCode::OK, &answer, &begun.receipt)
        }
        Step::Asked(asked) => {
            let next = match asked.next {
                Next::SecondFactor => "second-factor",
                Next::Enrol => "enrol",
            };
            let Asked { challenge, methods, passkey, .. } = *asked;
            answer::json(StatusCode::OK, &AskedAnswer { next, challenge, methods, passkey })
        }
    }
}

/// Who is logged in.
#[derive(Serialize, ToSchema)]
pub struct SessionAnswer {
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[schema(value_type = uuid::Uuid)]
    tenant: TenantId,
    #[schema(value_type = uuid::Uuid)]
    session: SessionId,
    #[schema(value_type = Vec<schema::Role>)]
    roles: Vec<Role>,
    /// The role that requests with this purpose are made in.
    #[schema(value_type = schema::Role)]
    role: Role,
    /// Purpose of use of requests that do not say another one.
    #[schema(value_type = String)]
    purpose: Purpose,
    /// The chart that is about this user.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<PatientId>,
}

/// Logs in. A wrong name and a wrong password give the same answer after the same time.
#[utoipa::path(tag = "auth", request_body = LoginBody, responses(
    (status = 200, description = "a session has begun, or the next question (`AskedAnswer`)", body = LoginAnswer),
    (status = 401, description = "name or password is wrong, or the account is disabled", body = ProblemBody),
    (status = 409, description = "too many sessions, if the settings refuse a further one", body = ProblemBody),
    (status = 422, description = "a member is missing", body = ProblemBody),
    (status = 423, description = "too many failures: try again after Retry-After", body = ProblemBody),
    (status = 429, description = "too many requests", body = ProblemBody),
    (status = 503, description = "too many logins at once", body = ProblemBody),
))]
#[post("/v1/auth/login")]
pub async fn login(anyone: Anyone, body: web::Json<LoginBody>) -> Result<HttpResponse, Problem> {
    let LoginBody { username, password, device } = body.into_inner();
    let visitor = anyone.visitor(device.as_deref());
    let step = log_in(&anyone.app, &username, password, &visitor).await?;
    step_answer(&anyone.app, step)
}

/// Logs out: the session ends at once, everywhere.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses(
    (status = 204, description = "the session has ended"),
    (status = 401, description = "there was none", body = ProblemBody),
))]
#[post("/v1/auth/logout")]
pub async fn logout(caller: Caller) -> Result<HttpResponse, Problem> {
    let origin = caller.origin()?;
    let receipt = log_out(&caller.app, &origin, caller.asker.principal(), caller.session).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, receipt.as_ref()))
}

/// Who is logged in, and what requests are made as.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses(
    (status = 200, description = "the live session", body = SessionAnswer),
    (status = 401, description = "there is none", body = ProblemBody),
))]
#[get("/v1/auth/session")]
pub async fn read_session(caller: Caller) -> Result<HttpResponse, Problem> {
    let principal = caller.asker.principal();
    let body = SessionAnswer {
        user: principal.user,
        tenant: principal.tenant,
        session: caller.session,
        roles: principal.roles.iter().copied().collect(),
        role: caller.asker.role,
        purpose: caller.asker.purpose,
        patient: principal.patient,
    };
    answer::json(StatusCode::OK, &body)
}

/// The public keys of access tokens (RFC 7517).
#[utoipa::path(tag = "auth", responses((status = 200, description = "key set", body = Object)))]
#[get("/.well-known/jwks.json")]
pub async fn read_jwks(anyone: Anyone) -> Result<HttpResponse, Problem> {
    answer::json(StatusCode::OK, &anyone.app.tokens().jwks())
}
