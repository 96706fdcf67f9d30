//! Logging in with a passkey alone.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{LoginAnswer, step_answer};
use crate::api::answer;
use crate::api::caller::Anyone;
use crate::api::cookies;
use crate::api::problem::{Problem, ProblemBody};
use crate::login::passkey;

/// A question to whatever passkey the device has.
#[derive(Serialize, ToSchema)]
pub struct PasskeyQuestion {
    /// To be sent back with the answer.
    challenge: String,
    /// For the browser: the argument of `navigator.credentials.get`. Add `mediation` as the page wants it.
    #[schema(value_type = Object)]
    passkey: Value,
}

/// What the passkey answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyBody {
    /// From the question.
    challenge: String,
    /// What the browser got: a `PublicKeyCredential` as JSON, with the `userHandle`.
    #[schema(value_type = Object)]
    credential: Value,
    /// What an earlier login gave as `device`.
    #[serde(default)]
    device: Option<String>,
    /// Put the tokens into cookies, for browsers.
    #[serde(default)]
    cookies: bool,
}

/// Begins a login with a passkey alone: no name is given. The question is the same for everybody.
#[utoipa::path(tag = "auth", responses((status = 200, description = "what to ask the device", body = PasskeyQuestion)))]
#[get("/v1/auth/passkey")]
pub async fn ask_passkey(anyone: Anyone) -> Result<HttpResponse, Problem> {
    let passkey::Question { challenge, passkey } = passkey::ask(&anyone.app)?;
    answer::json(StatusCode::OK, &PasskeyQuestion { challenge, passkey })
}

/// Logs in with a passkey alone, which must have seen its owner (a finger, a face, a PIN): it is two factors by itself.
#[utoipa::path(tag = "auth", request_body = PasskeyBody, responses(
    (status = 200, description = "a session has begun", body = LoginAnswer),
    (status = 401, description = "nobody has this passkey, its answer is not good, or the challenge too old or redeemed", body = ProblemBody),
    (status = 409, description = "too many sessions, if the settings refuse a further one", body = ProblemBody),
    (status = 423, description = "too many failures: try again after Retry-After", body = ProblemBody),
))]
#[post("/v1/auth/passkey")]
pub async fn passkey_login(
    anyone: Anyone,
    request: HttpRequest,
    body: web::Json<PasskeyBody>,
) -> Result<HttpResponse, Problem> {
    let PasskeyBody { challenge, credential, device, cookies } = body.into_inner();
    let device = device.as_deref().or_else(|| cookies::find(request.headers(), cookies::DEVICE));
    let visitor = anyone.visitor(device);
    let step = passkey::log_in(&anyone.app, &challenge, credential, &visitor).await?;
    step_answer(&anyone.app, step, cookies)
}
