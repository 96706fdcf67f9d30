//! Users and their roles.

use std::collections::BTreeSet;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, put, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wardbook_commands::identity::{CreateUser, PasswordHash};
use wardbook_events::identity::AccountKind;
use wardbook_events::{PatientId, Role, UserId};
use wardbook_policy::{Action, Permit, Target};
use wardbook_projections::identity::User;

use crate::api::caller::Caller;
use crate::api::page::limit;
use crate::api::patients::seen;
use crate::api::problem::{Problem, ProblemBody};
use crate::api::{answer, schema};
use crate::disclosure::allow;
use crate::passwords::of_user::new_password;

/// A new user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserBody {
    /// 3 to 55 characters of `[a-z0-9._@-]`. Never a patient's own name: it stands in clear.
    username: String,
    /// 12 to 256 characters of four classes, hard to guess; without one, the user cannot log in yet.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// At least one.
    #[schema(value_type = Vec<schema::Role>)]
    roles: BTreeSet<Role>,
    #[serde(default)]
    departments: Vec<String>,
    /// The chart that is about this user.
    #[serde(default)]
    #[schema(value_type = Option<uuid::Uuid>)]
    patient: Option<PatientId>,
}

/// A role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    #[schema(value_type = schema::Role)]
    role: Role,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    /// 12 to 256 characters of four classes, hard to guess, and none of the last 24.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// A user, for administrators.
#[derive(Serialize, ToSchema)]
pub struct UserAnswer {
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    username: String,
    #[schema(value_type = Vec<schema::Role>)]
    roles: BTreeSet<Role>,
    departments: BTreeSet<String>,
    /// Facilities; none means all of them.
    facilities: BTreeSet<String>,
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<PatientId>,
    /// Whether the user may log in.
    active: bool,
    /// Whether a password is set.
    has_password: bool,
    version: u64,
}

impl From<User> for UserAnswer {
    fn from(user: User) -> Self {
        Self {
            user: user.user,
            username: user.username,
            roles: user.roles,
            departments: user.departments,
            facilities: user.facilities,
            patient: user.patient,
            active: user.active,
            has_password: !user.passwords.is_empty(),
            version: user.version,
        }
    }
}

/// One page of users.
#[derive(Serialize, ToSchema)]
pub struct UsersAnswer {
    users: Vec<UserAnswer>,
    /// To be sent as `after` for the next page; missing on the last.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<UserId>,
}

/// The new user.
#[derive(Serialize, ToSchema)]
pub struct CreatedAnswer {
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
}

/// Part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsersQuery {
    /// `next` of the page before.
    #[serde(default)]
    #[param(value_type = Option<uuid::Uuid>)]
    after: Option<UserId>,
    #[serde(default)]
    limit: Option<u32>,
}

async fn manage(caller: &Caller, target: Target<'_>) -> Result<Permit, Problem> {
    Ok(allow(&caller.app, &caller.asker, Action::ManageUsers, target).await?.0)
}

async fn hashed(caller: &Caller, password: SecretString, username: &str) -> Result<PasswordHash, Problem> {
    let phc = caller.app.passwords().hash(password, username).await?;
    PasswordHash::new(&phc).ok_or_else(|| Problem::internal("a hash of our own was refused", &"not argon2id"))
}

/// Granting a role takes a fresh proof of who asks (IAM-09).
async fn grant(caller: &Caller, target: Target<'_>) -> Result<Permit, Problem> {
    caller.must_be_fresh()?;
    Ok(allow(&caller.app, &caller.asker, Action::GrantRoles, target).await?.0)
}

/// Creates a user. When it answers, the user can log in.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = UserBody, responses(
    (status = 201, description = "created", body = CreatedAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 409, description = "the name is taken", body = ProblemBody),
    (status = 422, description = "a value breaks a rule", body = ProblemBody),
))]
#[post("/v1/users")]
pub async fn create_user(caller: Caller, body: web::Json<UserBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?; // it grants roles
    let permit = manage(&caller, Target::Tenant).await?;
    let UserBody { username, password, roles, departments, patient } = body.into_inner();
    let password = match password {
        Some(password) => Some(hashed(&caller, password, &username).await?),
        None => None,
    };
    let command = CreateUser { kind: AccountKind::Person, username, roles, departments, patient, password };
    let done = caller.app.commands().create_user(&permit, &caller.origin()?, command).await?;
    seen(&caller, &done).await?;
    let mut answer = answer::json(StatusCode::CREATED, &CreatedAnswer { user: done.value })?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Lists users.
#[utoipa::path(tag = "users", security(("bearer" = [])), params(UsersQuery), responses(
    (status = 200, description = "a page of users", body = UsersAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[get("/v1/users")]
pub async fn list_users(caller: Caller, query: web::Query<UsersQuery>) -> Result<HttpResponse, Problem> {
    manage(&caller, Target::Tenant).await?;
    let limit = limit(caller.app.config(), query.limit)?;
    let tenant = caller.asker.principal().tenant;
    // The view holds the users of every organisation; neither they nor how many there are may show in the pages.
    let (mut users, mut after) = (Vec::new(), query.after);
    while users.len() <= limit {
        let page = caller.app.views().identity.users(after, limit.saturating_add(1))?;
        let Some(last) = page.last() else { break };
        after = Some(last.user);
        users.extend(page.into_iter().filter(|user| user.tenant == tenant));
    }
    let more = users.len() > limit;
    users.truncate(limit);
    let next = users.last().map(|user| user.user).filter(|_| more);
    let users = users.into_iter().map(UserAnswer::from).collect();
    answer::json(StatusCode::OK, &UsersAnswer { users, next })
}

/// Reads one user.
#[utoipa::path(tag = "users", security(("bearer" = [])), params(("user" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the user", body = UserAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[get("/v1/users/{user}")]
pub async fn read_user(caller: Caller, user: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    manage(&caller, Target::Tenant).await?;
    let tenant = caller.asker.principal().tenant;
    let found = caller.app.views().identity.user(*user)?.filter(|user| user.tenant == tenant);
    answer::json(StatusCode::OK, &UserAnswer::from(found.ok_or_else(Problem::not_found)?))
}

/// Grants a role. When it answers, it holds.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = RoleBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "granted"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[post("/v1/users/{user}/roles")]
pub async fn grant_role(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<RoleBody>,
) -> Result<HttpResponse, Problem> {
    let permit = grant(&caller, Target::User(*user)).await?;
    let done = caller.app.commands().grant_role(&permit, &caller.origin()?, *user, body.role).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Takes a role away; never the last one. When it answers, it holds.
#[utoipa::path(tag = "users", security(("bearer" = [])), params(("user" = uuid::Uuid, Path), ("role" = schema::Role, Path)), responses(
    (status = 204, description = "taken away"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
    (status = 409, description = "it is the last one", body = ProblemBody),
))]
#[delete("/v1/users/{user}/roles/{role}")]
pub async fn revoke_role(caller: Caller, path: web::Path<(UserId, Role)>) -> Result<HttpResponse, Problem> {
    let (user, role) = *path;
    let permit = grant(&caller, Target::User(user)).await?;
    let done = caller.app.commands().revoke_role(&permit, &caller.origin()?, user, role).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Lets a user log in no more; all sessions end at once.
#[utoipa::path(tag = "users", security(("bearer" = [])), params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "disabled"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[post("/v1/users/{user}/disable")]
pub async fn disable_user(caller: Caller, user: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, Target::User(*user)).await?;
    let done = caller.app.commands().disable_user(&permit, &caller.origin()?, *user).await?;
    // At once for this process; forgotten again when the view has seen it, so that enabling works.
    caller.app.ended().end_user(*user, caller.app.now());
    seen(&caller, &done).await?;
    caller.app.ended().forget_user(*user);
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Lets a user log in again.
#[utoipa::path(tag = "users", security(("bearer" = [])), params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "enabled"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[post("/v1/users/{user}/enable")]
pub async fn enable_user(caller: Caller, user: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, Target::User(*user)).await?;
    let done = caller.app.commands().enable_user(&permit, &caller.origin()?, *user).await?;
    caller.app.ended().forget_user(*user);
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Sets a password.
#[utoipa::path(tag = "users", security(("bearer" = [])), request_body = PasswordBody, params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "set"),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
    (status = 422, description = "the password is not good enough: the detail says which rule it breaks", body = ProblemBody),
))]
#[put("/v1/users/{user}/password")]
pub async fn set_password(
    caller: Caller,
    user: web::Path<UserId>,
    body: web::Json<PasswordBody>,
) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?; // who has a password can take the account over
    let permit = manage(&caller, Target::User(*user)).await?;
    let tenant = caller.asker.principal().tenant;
    let account = caller.app.views().identity.user(*user)?.filter(|user| user.tenant == tenant);
    let account = account.ok_or_else(Problem::not_found)?;
    let hash = new_password(&caller.app, &account, body.into_inner().password).await?;
    let done = caller.app.commands().set_password(&permit, &caller.origin()?, *user, hash).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
