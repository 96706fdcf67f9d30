//! Accounts of programs, their tokens (OAuth 2.0 client credentials with `private_key_jwt` or `tls_client_auth`), and API keys.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wardbook_commands::identity::{CreateUser, IssueApiKey};
use wardbook_events::identity::{AccountKind, KnownBy};
use wardbook_events::{ApiKeyId, Role, UserId};
use wardbook_policy::{Action, Permit, Target};

use crate::api::answer;
use crate::api::caller::{Anyone, Caller};
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::disclosure::allow;
use crate::proofs::service::{Refused, for_assertion, for_certificate};
use crate::proofs::{api_keys, assertions};
use crate::tls;

/// A program's account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceBody {
    /// 3 to 55 characters of `[a-z0-9._@-]`.
    username: String,
}

/// The new account.
#[derive(Serialize, ToSchema)]
pub struct ServiceAnswer {
    /// Also the OAuth client id.
    #[schema(value_type = uuid::Uuid)]
    service: UserId,
}

/// The key that a program signs with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBody {
    /// A JSON Web Key (RFC 7517) for RS256, ES256 or EdDSA, public part only.
    #[schema(value_type = Object)]
    jwk: Value,
    /// What its tokens may be used for: names of actions.
    scopes: Vec<String>,
}

/// The certificate that a program shows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateBody {
    /// `{"sha256": "..."}`, the hash of one certificate (hex), or `{"name": "..."}`, a DNS name or URI in it.
    #[schema(value_type = Object)]
    certificate: KnownBy,
    /// What its tokens may be used for: names of actions.
    scopes: Vec<String>,
}

/// A new API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyBody {
    /// What it is called.
    name: String,
    /// What it may be used for: names of actions.
    scopes: Vec<String>,
    /// When it is good no longer; within a year.
    #[schema(value_type = String)]
    expires_at: Timestamp,
}

/// The new key.
#[derive(Serialize, ToSchema)]
pub struct NewApiKeyAnswer {
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    /// To be sent as `Authorization: Bearer`. Shown this once.
    key: String,
}

/// An API key.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyAnswer {
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    name: String,
    scopes: Vec<String>,
    #[schema(value_type = String)]
    expires_at: Timestamp,
}

/// The API keys of an account.
#[derive(Serialize, ToSchema)]
pub struct ApiKeysAnswer {
    keys: Vec<ApiKeyAnswer>,
}

/// Asks for a token (RFC 6749 section 4.4, RFC 7523 section 2.2).
#[derive(Deserialize, ToSchema)]
pub struct TokenForm {
    /// `client_credentials`.
    grant_type: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    client_assertion_type: Option<String>,
    /// A JWT that the program signed.
    client_assertion: Option<String>,
    /// The program's id; needed with a client certificate instead of an assertion.
    client_id: Option<String>,
}

/// A token for a program.
#[derive(Serialize, ToSchema)]
pub struct TokenAnswer {
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until a new assertion is needed: there is no refresh token.
    expires_in: u32,
    /// What the token may be used for.
    scope: String,
}

/// An error of OAuth 2.0 (RFC 6749 section 5.2).
#[derive(Serialize, ToSchema)]
pub struct OAuthError {
    error: &'static str,
    error_description: &'static str,
}

/// Creates the account of a program. It can do nothing until it has a key.
#[utoipa::path(tag = "services", security(("bearer" = [])), request_body = ServiceBody, responses(
    (status = 201, description = "created", body = ServiceAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 409, description = "the name is taken", body = ProblemBody),
    (status = 422, description = "a value breaks a rule", body = ProblemBody),
))]
#[post("/v1/services")]
pub async fn create_service(caller: Caller, body: web::Json<ServiceBody>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let (permit, _) = allow(&caller.app, &caller.asker, Action::ManageServices, Target::Tenant).await?;
    let command = CreateUser {
        kind: AccountKind::Service,
        username: body.into_inner().username,
        roles: [Role::Service].into(),
        departments: Vec::new(),
        patient: None,
        password: None,
    };
    let done = caller.app.commands().create_user(&permit, &caller.origin()?, command).await?;
    seen(&caller, &done).await?;
    let mut answer = answer::json(StatusCode::CREATED, &ServiceAnswer { service: done.value })?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Sets the key that a program signs with, in the place of the one before.
#[utoipa::path(tag = "services", security(("bearer" = [])), request_body = KeyBody, params(("service" = uuid::Uuid, Path)), responses(
    (status = 204, description = "set"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such account", body = ProblemBody),
    (status = 422, description = "not a program's account, not a public key that we take, or not names of actions", body = ProblemBody),
))]
#[put("/v1/services/{service}/key")]
pub async fn set_service_key(
    caller: Caller,
    service: web::Path<UserId>,
    body: web::Json<KeyBody>,
) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, *service).await?;
    let KeyBody { jwk, scopes } = body.into_inner();
    let jwk = assertions::public_key(&jwk).map_err(|e| Problem::new(Kind::Invalid, e.to_string()))?;
    let done = caller.app.commands().set_service_key(&permit, &caller.origin()?, *service, jwk, scopes).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Sets by what the certificate is known that a program shows (RFC 8705), in the place of the one before.
#[utoipa::path(tag = "services", security(("bearer" = [])), request_body = CertificateBody, params(("service" = uuid::Uuid, Path)), responses(
    (status = 204, description = "set"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such account", body = ProblemBody),
    (status = 422, description = "not a program's account, not a hash or name of a certificate, or not names of actions", body = ProblemBody),
))]
#[put("/v1/services/{service}/certificate")]
pub async fn set_service_certificate(
    caller: Caller,
    service: web::Path<UserId>,
    body: web::Json<CertificateBody>,
) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, *service).await?;
    let CertificateBody { certificate, scopes } = body.into_inner();
    let (commands, origin) = (caller.app.commands(), caller.origin()?);
    let done = commands.set_service_certificate(&permit, &origin, *service, certificate, scopes).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Gives a program a token for an assertion that it signed (RFC 7523), each of which counts once; or for the certificate of
/// this connection, to be used along with that certificate only (RFC 8705).
#[utoipa::path(tag = "services", request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"), responses(
    (status = 200, description = "a token", body = TokenAnswer),
    (status = 400, description = "not a request that we take", body = OAuthError),
    (status = 401, description = "the assertion or the certificate proves nothing", body = OAuthError),
))]
#[post("/v1/auth/token")]
pub async fn token(anyone: Anyone, form: web::Form<TokenForm>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let form = form.into_inner();
    match form.grant_type.as_deref() {
        Some("client_credentials") => {}
        Some(_) => return refuse("unsupported_grant_type", "grant_type must be client_credentials"),
        None => return refuse("invalid_request", "grant_type is needed"),
    }
    let (app, visitor) = (&anyone.app, anyone.visitor(None));
    let shown = tls::clients::shown(&request);
    let outcome = match (form.client_assertion_type.as_deref(), &form.client_assertion, &form.client_id, shown) {
        (Some(TYPE), Some(assertion), id, _) => for_assertion(app, assertion, id.as_deref(), &visitor).await?,
        (None, None, Some(id), Some(certificate)) => for_certificate(app, &certificate, id, &visitor).await?,
        _ => {
            return refuse(
                "invalid_request",
                "client_assertion_type and client_assertion are needed (RFC 7523), or client_id and a client certificate (RFC 8705)",
            );
        }
    };
    match outcome {
        Err(Refused) => refuse("invalid_client", "what was shown is not valid, not yours, too old, or was used before"),
        Ok(given) => {
            let body = TokenAnswer {
                access_token: given.access,
                token_type: "Bearer",
                expires_in: anyone.app.config().tokens.lifetime_s,
                scope: given.scopes.join(" "),
            };
            let mut answer = answer::receipted(StatusCode::OK, &body, &given.receipt)?;
            answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
            Ok(answer)
        }
    }
}

/// In OAuth's own words: programs' libraries know no others.
fn refuse(error: &'static str, error_description: &'static str) -> Result<HttpResponse, Problem> {
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    let mut answer = answer::json(status, &OAuthError { error, error_description })?;
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(answer)
}

async fn manage(caller: &Caller, service: UserId) -> Result<Permit, Problem> {
    caller.must_be_fresh()?;
    Ok(allow(&caller.app, &caller.asker, Action::ManageServices, Target::User(service)).await?.0)
}

async fn own(caller: &Caller) -> Result<(Permit, UserId), Problem> {
    caller.must_be_fresh()?;
    let user = caller.asker.principal().user;
    let (permit, _) = allow(&caller.app, &caller.asker, Action::ChangeOwnCredentials, Target::User(user)).await?;
    Ok((permit, user))
}

async fn issue(caller: &Caller, permit: &Permit, user: UserId, body: ApiKeyBody) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    let ApiKeyBody { name, scopes, expires_at } = body;
    let id = ApiKeyId::new(app.new_id()?);
    let new = api_keys::new_key(app.chance(), id)?;
    let command = IssueApiKey { key: id, name, secret_hash: new.hash, scopes, expires_at };
    let done = app.commands().issue_api_key(permit, &caller.origin()?, user, command).await?;
    seen(caller, &done).await?;
    let body = NewApiKeyAnswer { id, key: new.key.expose_secret().to_owned() };
    let mut answer = answer::json(StatusCode::CREATED, &body)?;
    if let Some(receipt) = done.receipts.last() {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

fn list(caller: &Caller, user: UserId) -> Result<HttpResponse, Problem> {
    let (app, tenant) = (&caller.app, caller.asker.principal().tenant);
    let user = app.views().identity.user(user)?.filter(|user| user.tenant == tenant).ok_or_else(Problem::not_found)?;
    let keys = user.api_keys.into_iter().map(|key| ApiKeyAnswer {
        id: key.key,
        name: key.name,
        scopes: key.scopes.into_iter().collect(),
        expires_at: key.expires_at,
    });
    answer::json(StatusCode::OK, &ApiKeysAnswer { keys: keys.collect() })
}

async fn revoke(caller: &Caller, permit: &Permit, user: UserId, key: ApiKeyId) -> Result<HttpResponse, Problem> {
    let done = caller.app.commands().revoke_api_key(permit, &caller.origin()?, user, key).await?;
    seen(caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Makes an API key of one's own.
#[utoipa::path(tag = "services", security(("bearer" = [])), request_body = ApiKeyBody, responses(
    (status = 201, description = "made; the key is shown this once", body = NewApiKeyAnswer),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 409, description = "too many keys", body = ProblemBody),
    (status = 422, description = "not names of actions, or too long a life", body = ProblemBody),
))]
#[post("/v1/auth/api-keys")]
pub async fn issue_own_key(caller: Caller, body: web::Json<ApiKeyBody>) -> Result<HttpResponse, Problem> {
    let (permit, user) = own(&caller).await?;
    issue(&caller, &permit, user, body.into_inner()).await
}

/// Lists one's own API keys.
#[utoipa::path(tag = "services", security(("bearer" = [])), responses((status = 200, description = "the keys, without their secrets", body = ApiKeysAnswer)))]
#[get("/v1/auth/api-keys")]
pub async fn list_own_keys(caller: Caller) -> Result<HttpResponse, Problem> {
    list(&caller, caller.asker.principal().user)
}

/// Makes an API key of one's own void.
#[utoipa::path(tag = "services", security(("bearer" = [])), params(("key" = uuid::Uuid, Path)), responses(
    (status = 204, description = "void"),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 404, description = "no such key", body = ProblemBody),
))]
#[delete("/v1/auth/api-keys/{key}")]
pub async fn revoke_own_key(caller: Caller, key: web::Path<ApiKeyId>) -> Result<HttpResponse, Problem> {
    let (permit, user) = own(&caller).await?;
    revoke(&caller, &permit, user, *key).await
}

/// Makes an API key of a program.
#[utoipa::path(tag = "services", security(("bearer" = [])), request_body = ApiKeyBody, params(("service" = uuid::Uuid, Path)), responses(
    (status = 201, description = "made; the key is shown this once", body = NewApiKeyAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such account", body = ProblemBody),
    (status = 409, description = "too many keys", body = ProblemBody),
    (status = 422, description = "not names of actions, or too long a life", body = ProblemBody),
))]
#[post("/v1/services/{service}/api-keys")]
pub async fn issue_service_key(
    caller: Caller,
    service: web::Path<UserId>,
    body: web::Json<ApiKeyBody>,
) -> Result<HttpResponse, Problem> {
    let permit = manage(&caller, *service).await?;
    issue(&caller, &permit, *service, body.into_inner()).await
}

/// Lists the API keys of a program.
#[utoipa::path(tag = "services", security(("bearer" = [])), params(("service" = uuid::Uuid, Path)), responses(
    (status = 200, description = "the keys, without their secrets", body = ApiKeysAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such account", body = ProblemBody),
))]
#[get("/v1/services/{service}/api-keys")]
pub async fn list_service_keys(caller: Caller, service: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    manage(&caller, *service).await?;
    list(&caller, *service)
}

/// Makes an API key of a program void.
#[utoipa::path(tag = "services", security(("bearer" = [])), params(("service" = uuid::Uuid, Path), ("key" = uuid::Uuid, Path)), responses(
    (status = 204, description = "void"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such key", body = ProblemBody),
))]
#[delete("/v1/services/{service}/api-keys/{key}")]
pub async fn revoke_service_key(caller: Caller, path: web::Path<(UserId, ApiKeyId)>) -> Result<HttpResponse, Problem> {
    let (service, key) = *path;
    let permit = manage(&caller, service).await?;
    revoke(&caller, &permit, service, key).await
}
