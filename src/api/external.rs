//! Logging in with an account of another organisation, and linking such accounts to users.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, put, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_events::UserId;
use wardbook_events::identity::Proof;
use wardbook_policy::{Action, Permit, Target};

use crate::api::answer;
use crate::api::auth::step_answer;
use crate::api::caller::{Anyone, Caller};
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::challenge::Challenge;
use crate::disclosure::allow;
use crate::login::proved;
use crate::proofs::external::{self, ExternalError};

/// A login elsewhere that begins.
#[derive(Serialize, ToSchema)]
pub struct ExternalAnswer {
    /// Where the browser goes.
    authorization_url: String,
    /// To be kept by the page that began, and sent back with what the provider gave.
    challenge: String,
}

/// What the provider gave.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackBody {
    challenge: String,
    state: String,
    #[schema(value_type = String)]
    code: SecretString,
    /// What an earlier login gave as `device`.
    #[serde(default)]
    device: Option<String>,
    /// Give the tokens as cookies.
    #[serde(default)]
    cookies: bool,
}

/// An account elsewhere.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkBody {
    /// As the settings name it.
    provider: String,
    /// The `sub` of the account there. Kept as a keyed hash only.
    #[schema(value_type = String)]
    subject: SecretString,
}

/// Begins a login with an account elsewhere.
#[utoipa::path(tag = "auth", params(("provider" = String, Path, description = "as the settings name it")), responses(
    (status = 200, description = "where the browser goes", body = ExternalAnswer),
    (status = 404, description = "no such provider", body = ProblemBody),
    (status = 503, description = "the provider cannot be used now", body = ProblemBody),
))]
#[get("/v1/auth/external/{provider}")]
pub async fn begin_external(anyone: Anyone, provider: web::Path<String>) -> Result<HttpResponse, Problem> {
    let begun = external::begin(&anyone.app, &provider).await?;
    answer::json(StatusCode::OK, &ExternalAnswer { authorization_url: begun.url, challenge: begun.challenge })
}

/// Ends a login with an account elsewhere, if it is linked to a user.
#[utoipa::path(tag = "auth", request_body = CallbackBody, responses(
    (status = 200, description = "a session has begun, or the next question (`AskedAnswer`)", body = crate::api::auth::LoginAnswer),
    (status = 401, description = "not good, or linked to nobody", body = ProblemBody),
    (status = 409, description = "too many sessions", body = ProblemBody),
    (status = 423, description = "the account is locked", body = ProblemBody),
    (status = 503, description = "the provider cannot be used now", body = ProblemBody),
))]
#[post("/v1/auth/external/callback")]
pub async fn end_external(anyone: Anyone, body: web::Json<CallbackBody>) -> Result<HttpResponse, Problem> {
    let app = &anyone.app;
    let CallbackBody { challenge, state, code, device, cookies } = body.into_inner();
    let recognised = external::finish(app, &challenge, &state, code).await?;
    let user = app.views().identity.user_by_external(&recognised.subject)?.filter(|user| user.active);
    let Some(user) = user else {
        app.failed().of_stranger(app.now());
        return Err(ExternalError::Wrong.into());
    };
    let visitor = anyone.visitor(device.as_deref());
    let mut challenge = Challenge::log_in(app, &user, &visitor)?;
    challenge.proofs.push(Proof::External { provider: recognised.provider, mfa: recognised.mfa });
    let step = proved(app, &user, challenge, &visitor).await?;
    step_answer(app, step, cookies)
}

async fn about(caller: &Caller, user: UserId, body: &LinkBody) -> Result<(Permit, String), Problem> {
    use secrecy::ExposeSecret as _;
    caller.must_be_fresh()?;
    let (permit, _) = allow(&caller.app, &caller.asker, Action::ManageUsers, Target::User(user)).await?;
    let length = body.subject.expose_secret().len();
    if !(1..=255).contains(&length) {
        return Err(Problem::new(Kind::Invalid, "subject must be 1 to 255 bytes"));
    }
    external::settings(&caller.app, &body.provider)
        .map_err(|_| Problem::new(Kind::Invalid, "provider must be one of the configuration"))?;
    let tenant = caller.asker.principal().tenant;
    let hash = external::subject_hash(&caller.app, tenant, &body.provider, body.subject.expose_secret())?;
    Ok((permit, hash))
}

/// Links an account elsewhere to a user, who can log in with it from then on.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = LinkBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "linked"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
    (status = 409, description = "it is linked to another user", body = ProblemBody),
    (status = 422, description = "no such provider", body = ProblemBody),
))]
#[put("/v1/users/{user}/external")]
pub async fn link_external(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<LinkBody>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let (permit, hash) = about(&caller, *user, &body).await?;
    let done = caller.app.commands().link_external(&permit, &caller.origin()?, *user, body.provider, hash).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Unlinks an account elsewhere. All sessions of the user end.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = LinkBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "unlinked"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "not linked to this user", body = ProblemBody),
    (status = 422, description = "no such provider", body = ProblemBody),
))]
#[delete("/v1/users/{user}/external")]
pub async fn unlink_external(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<LinkBody>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let (permit, hash) = about(&caller, *user, &body).await?;
    let done = caller.app.commands().unlink_external(&permit, &caller.origin()?, *user, body.provider, hash).await?;
    caller.app.ended().end_user(*user, caller.app.now());
    seen(&caller, &done).await?;
    caller.app.ended().forget_user(*user);
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
