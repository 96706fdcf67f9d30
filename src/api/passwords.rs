//! Passwords and contact of one's own, and a new password for who forgot it.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, put, web};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use wardbook_events::UserId;
use wardbook_events::identity::Factor;
use wardbook_events::values::{Email, Phone};
use wardbook_policy::{Action, Target};

use crate::api::answer;
use crate::api::caller::{Anyone, Caller};
use crate::api::patients::seen;
use crate::api::problem::{Problem, ProblemBody};
use crate::disclosure::allow;
use crate::login::{failed, find, has_password, settle};
use crate::passwords::of_user::new_password;
use crate::passwords::reset;

/// The present password and a new one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeBody {
    #[schema(value_type = String, format = Password)]
    current: SecretString,
    /// 12 to 256 characters of four classes, hard to guess, and none of the last 24.
    #[schema(value_type = String, format = Password)]
    new: SecretString,
}

/// Who forgot the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgotBody {
    username: String,
}

/// The token that was sent, and a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetBody {
    #[schema(value_type = String)]
    token: SecretString,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Where somebody is told of things and sent codes. What is left out is taken away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactBody {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    email: Option<Email>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    phone: Option<Phone>,
}

/// Changes the caller's password. All other sessions end.
#[utoipa::path(tag = "auth", security(("bearer" = [])), request_body = ChangeBody, responses(
    (status = 204, description = "changed"),
    (status = 401, description = "it takes a fresh proof, or the present password is wrong", body = ProblemBody),
    (status = 422, description = "the new one is not good enough: the detail says which rule it breaks", body = ProblemBody),
))]
#[put("/v1/auth/password")]
pub async fn change_password(caller: Caller, body: web::Json<ChangeBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let app = &caller.app;
    let ChangeBody { current, new } = body.into_inner();
    let user = app.views().identity.user(caller.asker.principal().user)?.ok_or_else(Problem::unauthenticated)?;
    let (permit, _) = allow(app, &caller.asker, Action::ChangeOwnCredentials, Target::User(user.user)).await?;
    if !has_password(app, &user, current).await? {
        // Whoever found an open session must not learn the password by trying: it counts like a failed login.
        return Err(failed(app, &user, Factor::Password, true, &caller.visitor()).await.into());
    }
    let hash = new_password(app, &user, new).await?;
    let done = app.commands().change_password(&permit, &caller.origin()?, hash).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Sends a token to set a new password with, if there is such a user with an e-mail address: the answer does not say.
#[utoipa::path(tag = "auth", request_body = ForgotBody, responses(
    (status = 202, description = "if there is such a user with an address, a message is on its way"),
    (status = 422, description = "a member is missing", body = ProblemBody),
))]
#[post("/v1/auth/password/forgot")]
pub async fn forgot_password(anyone: Anyone, body: web::Json<ForgotBody>) -> Result<HttpResponse, Problem> {
    let began = Instant::now();
    let app = &anyone.app;
    let user = find(app, &body.username.to_ascii_lowercase())?.filter(|user| user.active);
    if let Some(user) = user {
        let origin = anyone.visitor(None).origin(app, &user)?;
        if let Err(error) = reset::request(app, &user, &origin).await {
            // Told to the operators only: an error would say that there is such a user.
            tracing::error!(%error, "a password reset could not be begun");
        }
    }
    settle(began).await;
    Ok(answer::empty(StatusCode::ACCEPTED, None))
}

/// Sets a new password with the token that was sent. All sessions end.
#[utoipa::path(tag = "auth", request_body = ResetBody, responses(
    (status = 204, description = "set: log in with it"),
    (status = 409, description = "the token is unknown, used or too old", body = ProblemBody),
    (status = 422, description = "the password is not good enough: the detail says which rule it breaks", body = ProblemBody),
))]
#[post("/v1/auth/password/reset")]
pub async fn reset_password(anyone: Anyone, body: web::Json<ResetBody>) -> Result<HttpResponse, Problem> {
    let app = &anyone.app;
    let ResetBody { token, password } = body.into_inner();
    let (user, hash) = reset::user_of(app, &token)?;
    let origin = anyone.visitor(None).origin(app, &user)?;
    let done = reset::reset(app, (&user, hash), password, &origin).await?;
    app.ended().end_user(user.user, app.now());
    if let Some(receipt) = done.receipts.last() {
        app.seen(receipt).await?;
    }
    app.ended().forget_user(user.user);
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

async fn set(caller: &Caller, user: UserId, action: Action, body: ContactBody) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let (permit, _) = allow(&caller.app, &caller.asker, action, Target::User(user)).await?;
    let ContactBody { email, phone } = body;
    let done = caller.app.commands().set_contact(&permit, &caller.origin()?, user, email, phone).await?;
    seen(caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Sets where the caller is told of things. Codes are sent to a new address only after it was enrolled anew.
#[utoipa::path(tag = "auth", security(("bearer" = [])), request_body = ContactBody, responses(
    (status = 204, description = "set"),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 422, description = "not an address or number", body = ProblemBody),
))]
#[put("/v1/auth/contact")]
pub async fn set_own_contact(caller: Caller, body: web::Json<ContactBody>) -> Result<HttpResponse, Problem> {
    let user = caller.asker.principal().user;
    set(&caller, user, Action::ChangeOwnCredentials, body.into_inner()).await
}

/// Sets where a user is told of things.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = ContactBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "set"),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
    (status = 422, description = "not an address or number", body = ProblemBody),
))]
#[put("/v1/users/{user}/contact")]
pub async fn set_contact(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<ContactBody>,
) -> Result<HttpResponse, Problem> {
    set(&caller, *user, Action::ManageUsers, body.into_inner()).await
}
