//! Logging in and out, renewing tokens, and proving once more who one is.

mod answers;
mod passkey;
mod pin;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wardbook_events::identity::Factor;
use wardbook_policy::{Action, Target};

use crate::api::answer;
use crate::api::caller::{Anyone, Caller, IDEMPOTENCY_KEY, LockedCaller};
use crate::api::cookies::{self, Jar};
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::challenge::Wish;
use crate::disclosure::allow;
use crate::login::again::{self, Answer};
use crate::login::{LoginError, log_in, log_out};
use crate::proofs::Presented;
use crate::sessions::secrets::RefreshToken;
use crate::token_keys::{self, TokenKeysError};

pub use passkey::*;
pub use pin::*;

pub use answers::{AskedAnswer, LoginAnswer, SessionAnswer, StepUpAnswer, step_answer, step_answer_with};

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
    /// Put the tokens into cookies, for browsers.
    #[serde(default)]
    cookies: bool,
}

/// The answer to a question of an earlier step.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofBody {
    /// What the earlier step gave. To unlock with a password or a code of an authenticator app, none is needed.
    #[serde(default)]
    challenge: Option<String>,
    /// One of the methods that the earlier step gave.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "totp")]
    method: Option<Factor>,
    /// The code, for all methods with one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    code: Option<SecretString>,
    /// What the browser got from a passkey.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    credential: Option<Value>,
    /// The password, where that is one of the methods.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<SecretString>,
    /// Put the tokens into cookies, for browsers.
    #[serde(default)]
    cookies: bool,
}

impl ProofBody {
    /// The challenge, where there must be one.
    fn challenge(&self) -> Result<&str, Problem> {
        let missing = || Problem::new(Kind::Malformed, "send the challenge that the earlier step gave");
        self.challenge.as_deref().ok_or_else(missing)
    }
    /// The challenge, if there is one.
    pub(crate) fn maybe_challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }
    /// What was given.
    pub(crate) fn answer(&mut self) -> Result<Answer, Problem> {
        let given = match self.method {
            Some(Factor::Password) => self.password.take().map(Answer::Password),
            Some(Factor::Pin) => self.code.take().map(Answer::Pin),
            Some(Factor::Totp) => self.code.take().map(|code| Answer::Factor(Presented::Totp { code })),
            Some(Factor::RecoveryCode) => self.code.take().map(|code| Answer::Factor(Presented::RecoveryCode { code })),
            Some(Factor::EmailCode) => self.code.take().map(|code| Answer::Factor(Presented::EmailCode { code })),
            Some(Factor::SmsCode) => self.code.take().map(|code| Answer::Factor(Presented::SmsCode { code })),
            Some(Factor::Passkey) => {
                self.credential.take().map(|credential| Answer::Factor(Presented::Passkey { credential }))
            }
            None | Some(Factor::External | Factor::Assertion | Factor::Certificate | Factor::ApiKey) => None,
        };
        given.ok_or_else(|| {
            Problem::new(
                Kind::Malformed,
                "the MFA code is missing: send method, and code (for a passkey, credential; for a password, password)",
            )
        })
    }
}

/// Logs in. A wrong name and a wrong password give the same answer after the same time. The answer is either the tokens of
/// a session, or the next question.
#[utoipa::path(tag = "auth", request_body = LoginBody, responses(
    (status = 200, description = "a session has begun, or the next question (`AskedAnswer`)", body = LoginAnswer),
    (status = 401, description = "name or password is wrong, or the account is disabled", body = ProblemBody),
    (status = 409, description = "too many sessions, if the settings refuse a further one", body = ProblemBody),
    (status = 422, description = "a member is missing", body = ProblemBody),
    (status = 423, description = "too many failures: try again after Retry-After", body = ProblemBody),
    (status = 503, description = "too many logins at once", body = ProblemBody),
))]
#[post("/v1/auth/login")]
pub async fn login(anyone: Anyone, request: HttpRequest, body: web::Json<LoginBody>) -> Result<HttpResponse, Problem> {
    let LoginBody { username, password, device, cookies } = body.into_inner();
    let device = device.as_deref().or_else(|| cookies::find(request.headers(), cookies::DEVICE));
    let visitor = anyone.visitor(device);
    let step = log_in(&anyone.app, &username, password, &visitor).await?;
    step_answer(&anyone.app, step, cookies)
}

/// Takes the second factor of a login.
#[utoipa::path(tag = "auth", request_body = ProofBody, responses(
    (status = 200, description = "a session has begun", body = LoginAnswer),
    (status = 400, description = "the MFA code is missing", body = ProblemBody),
    (status = 401, description = "the code is wrong, or the challenge too old or redeemed", body = ProblemBody),
    (status = 409, description = "too many sessions, or codes cannot be sent this way", body = ProblemBody),
    (status = 423, description = "too many failures: try again after Retry-After", body = ProblemBody),
))]
#[post("/v1/auth/second-factor")]
pub async fn second_factor(anyone: Anyone, body: web::Json<ProofBody>) -> Result<HttpResponse, Problem> {
    let mut body = body.into_inner();
    let Answer::Factor(presented) = body.answer()? else {
        return Err(Problem::new(
            Kind::Malformed,
            "the password was given already, and a PIN only unlocks: send the MFA code",
        ));
    };
    let step = crate::login::second_factor(&anyone.app, body.challenge()?, presented, &anyone.visitor(None)).await?;
    step_answer(&anyone.app, step, body.cookies)
}

/// What renews a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshBody {
    /// What the last login or refresh gave; without one, the cookie is taken.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    refresh_token: Option<SecretString>,
}

/// Renews the tokens of a session. A refresh token is good once: the second use of one ends all sessions of its user. Send
/// an Idempotency-Key, and a request whose answer was lost can be repeated.
#[utoipa::path(tag = "auth", request_body = RefreshBody, params(("Idempotency-Key" = Option<String>, Header)), responses(
    (status = 200, description = "new tokens", body = LoginAnswer),
    (status = 401, description = "the token is not good, or the session has ended", body = ProblemBody),
    (status = 403, description = "with a cookie: X-CSRF-Token is missing", body = ProblemBody),
))]
#[post("/v1/auth/refresh")]
pub async fn refresh(
    anyone: Anyone,
    request: HttpRequest,
    body: web::Json<RefreshBody>,
) -> Result<HttpResponse, Problem> {
    use secrecy::ExposeSecret as _;
    let headers = request.headers();
    let given = body.into_inner().refresh_token;
    let by_cookie = given.is_none();
    let text = given.as_ref().map(|token| token.expose_secret()).or_else(|| cookies::find(headers, cookies::REFRESH));
    let token = text.and_then(RefreshToken::parse).ok_or_else(Problem::unauthenticated)?;
    let app = &anyone.app;
    if by_cookie {
        // Whose token of a user who is not there is asked for makes no difference: the answer is the same.
        let tenant = app.views().principal(token.user)?.map(|user| user.principal.tenant);
        let tenant = tenant.ok_or_else(Problem::unauthenticated)?;
        if !cookies::has_csrf_token(app, headers, tenant, token.session)? {
            return Err(Problem::new(Kind::Csrf, "send the csrf_token of the login as X-CSRF-Token"));
        }
    }
    let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
    match crate::login::refresh(app, &token, key, &anyone.visitor(None)).await {
        Ok(refreshed) => answers::refreshed(app, refreshed, by_cookie),
        Err(LoginError::Wrong) => Err(Problem::unauthenticated()),
        Err(error) => Err(error.into()),
    }
}

/// Logs out: the session ends at once, everywhere.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses(
    (status = 204, description = "the session has ended"),
    (status = 401, description = "there was none", body = ProblemBody),
    (status = 403, description = "an API key has no session", body = ProblemBody),
))]
#[post("/v1/auth/logout")]
pub async fn logout(LockedCaller(caller): LockedCaller) -> Result<HttpResponse, Problem> {
    let origin = caller.origin()?;
    let receipt = log_out(&caller.app, &origin, caller.asker.principal(), caller.session()?).await?;
    let mut answer = answer::empty(StatusCode::NO_CONTENT, receipt.as_ref());
    if caller.by_cookie {
        let mut jar = Jar::default();
        jar.clear();
        jar.put(answer.headers_mut());
    }
    Ok(answer)
}

/// Who is logged in, and what requests are made as. Answered for a locked session too.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses(
    (status = 200, description = "the live session", body = SessionAnswer),
    (status = 401, description = "there is none", body = ProblemBody),
))]
#[get("/v1/auth/session")]
pub async fn read_session(LockedCaller(caller): LockedCaller) -> Result<HttpResponse, Problem> {
    answer::json(StatusCode::OK, &SessionAnswer::of(&caller)?)
}

/// Asks for a fresh proof of who one is: for what takes one (RFC 9470), or, if the session is locked, to unlock it.
#[utoipa::path(tag = "auth", security(("bearer" = [])), responses(
    (status = 200, description = "what can be answered with", body = AskedAnswer),
    (status = 401, description = "there is no live session", body = ProblemBody),
    (status = 403, description = "an API key has no session", body = ProblemBody),
))]
#[post("/v1/auth/step-up")]
pub async fn step_up(LockedCaller(caller): LockedCaller) -> Result<HttpResponse, Problem> {
    let wish = if caller.is_locked() { Wish::Unlock } else { Wish::StepUp };
    let (user, session) = caller.account()?;
    let asked = again::ask(&caller.app, &user, &session, wish)?;
    answer::json(StatusCode::OK, &AskedAnswer::from(asked))
}

/// Takes the fresh proof.
#[utoipa::path(tag = "auth", security(("bearer" = [])), request_body = ProofBody, responses(
    (status = 200, description = "it counts as fresh until then", body = StepUpAnswer),
    (status = 400, description = "the MFA code is missing", body = ProblemBody),
    (status = 401, description = "the code is wrong, or the challenge too old or redeemed", body = ProblemBody),
    (status = 403, description = "an API key has no session", body = ProblemBody),
    (status = 409, description = "codes cannot be sent this way", body = ProblemBody),
    (status = 423, description = "too many failures: try again after Retry-After", body = ProblemBody),
))]
#[post("/v1/auth/step-up/confirm")]
pub async fn confirm_step_up(caller: Caller, body: web::Json<ProofBody>) -> Result<HttpResponse, Problem> {
    let mut body = body.into_inner();
    let answer = body.answer()?;
    let (user, session) = caller.account()?;
    let visitor = caller.visitor();
    let done = again::step_up(&caller.app, &user, &session, body.challenge()?, answer, &visitor).await?;
    let (fresh_until, receipt) = done;
    let mut answer = answer::json(StatusCode::OK, &StepUpAnswer { fresh_until: fresh_until.to_string() })?;
    if let Some(receipt) = &receipt {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// The public keys of access tokens (RFC 7517).
#[utoipa::path(tag = "auth", responses((status = 200, description = "key set", body = Object)))]
#[get("/.well-known/jwks.json")]
pub async fn read_jwks(anyone: Anyone) -> Result<HttpResponse, Problem> {
    answer::json(StatusCode::OK, &anyone.app.tokens().jwks())
}

/// How the keys are changed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenKeysBody {
    /// The older keys are good no more, at once: somebody else may have one. Everybody must renew or log in.
    #[serde(default)]
    drop_old: bool,
}

/// The keys after a change.
#[derive(Serialize, ToSchema)]
pub struct TokenKeysAnswer {
    /// How many there are.
    keys: usize,
}

/// Makes a new key that signs access tokens from now on.
#[utoipa::path(tag = "auth", security(("bearer" = [])), request_body = TokenKeysBody, responses(
    (status = 200, description = "done", body = TokenKeysAnswer),
    (status = 401, description = "there is no live session, or a fresh proof is needed", body = ProblemBody),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
))]
#[post("/v1/auth/keys/rotate")]
pub async fn rotate_keys(caller: Caller, body: web::Json<TokenKeysBody>) -> Result<HttpResponse, Problem> {
    let app = &caller.app;
    allow(app, &caller.asker, Action::ManageSessions, Target::Tenant).await?;
    let (changing, asker, drop_old) = (app.clone(), caller.asker.clone(), body.drop_old);
    let changed = web::block(move || token_keys::change(&changing, &asker, drop_old)).await?;
    changed.map_err(|e| match e {
        TokenKeysError::Untold(refusal) => refusal.into(),
        other => Problem::internal("a token key was not changed", &other),
    })?;
    answer::json(StatusCode::OK, &TokenKeysAnswer { keys: app.tokens().jwks().keys.len() })
}
