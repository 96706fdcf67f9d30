//! The PIN of a device.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, put, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use wardbook_commands::identity::PasswordHash;
use wardbook_policy::{Action, Target};

use crate::api::answer;
use crate::api::caller::Caller;
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::disclosure::allow;
use crate::passwords::pin;

/// A new PIN.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinBody {
    /// 6 to 12 digits, neither counting nor repeating.
    #[schema(value_type = String, format = Password, example = "749205")]
    pin: SecretString,
}

/// Sets the PIN of this device, in the place of the one before: it unlocks the caller's locked sessions here, three tries at most,
/// and does nothing else. Taken away at `/v1/auth/factors/pin`, for all devices.
#[utoipa::path(tag = "auth", security(("bearer" = [])), request_body = PinBody, responses(
    (status = 204, description = "set"),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 403, description = "an API key has no session", body = ProblemBody),
    (status = 409, description = "the settings allow no PINs, or this device is not known again", body = ProblemBody),
    (status = 422, description = "not a PIN, or one that anybody would try first", body = ProblemBody),
))]
#[put("/v1/auth/pin")]
pub async fn set_pin(caller: Caller, body: web::Json<PinBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    caller.session()?;
    let (app, pin) = (&caller.app, body.into_inner().pin);
    if !app.config().sessions.pin_unlock {
        return Err(Problem::new(
            Kind::Conflict,
            "the settings allow no PINs: unlock with the password or another factor",
        ));
    }
    if !pin::is_good(&pin) {
        return Err(Problem::new(Kind::Invalid, "pin must be 6 to 12 digits that neither count nor repeat"));
    }
    let target = Target::User(caller.asker.principal().user);
    let (permit, _) = allow(app, &caller.asker, Action::ChangeOwnCredentials, target).await?;
    let phc = app.passwords().rehash(pin).await?;
    let hash =
        PasswordHash::new(&phc).ok_or_else(|| Problem::internal("a hash of our own was refused", &"not argon2id"))?;
    let done = app.commands().set_pin(&permit, &caller.origin()?, hash).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
