//! What the routes of logins answer.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wardbook_events::identity::Factor;
use wardbook_events::{PatientId, Purpose, Role, SessionId, TenantId, UserId};

use crate::api::caller::Caller;
use crate::api::cookies::{Jar, csrf_token};
use crate::api::problem::Problem;
use crate::api::{answer, schema};
use crate::app::App;
use crate::login::{Asked, Next, Refreshed, Step};
use crate::sessions::secrets::{DeviceToken, RefreshToken};

/// Tokens of a session. In cookies, they are not in the body.
#[derive(Serialize, ToSchema)]
pub struct LoginAnswer {
    /// To be sent as `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    /// `Bearer`, or `Cookie`.
    token_type: &'static str,
    /// Seconds until the access token must be renewed.
    expires_in: u32,
    /// What it is renewed with, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// The session.
    #[schema(value_type = uuid::Uuid)]
    session: SessionId,
    /// By this the device is known again: send it as `device` with the next login.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// With cookies: to be sent as `X-CSRF-Token` with every request that changes something.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    /// If a first factor was enrolled in this login: each counts once, and they are shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// The next question.
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

impl From<Asked> for AskedAnswer {
    fn from(Asked { next, challenge, methods, passkey }: Asked) -> Self {
        let next = match next {
            Next::SecondFactor => "second-factor",
            Next::Enrol => "enrol",
        };
        Self { next, challenge, methods, passkey }
    }
}

/// How long a proof counts.
#[derive(Serialize, ToSchema)]
pub struct StepUpAnswer {
    /// Until when it counts as fresh, RFC 3339.
    pub(super) fresh_until: String,
}

struct Tokens {
    access: String,
    refresh: Option<RefreshToken>,
    device: Option<DeviceToken>,
    session: SessionId,
    tenant: TenantId,
    /// Until when cookies are of any use.
    lasts_s: u32,
    recovery: Option<Vec<String>>,
}

/// The answer to a step of a login, whichever way it was made.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn step_answer(app: &App, step: Step, cookies: bool) -> Result<HttpResponse, Problem> {
    step_answer_with(app, step, cookies, None)
}

/// As [`step_answer`], with the recovery codes that were made on the way.
///
/// # Errors
/// As there.
pub fn step_answer_with(
    app: &App,
    step: Step,
    cookies: bool,
    recovery: Option<Vec<String>>,
) -> Result<HttpResponse, Problem> {
    let begun = match step {
        Step::Begun(begun) => *begun,
        Step::Asked(asked) => return answer::json(StatusCode::OK, &AskedAnswer::from(*asked)),
    };
    let tokens = Tokens {
        lasts_s: seconds_until(app, begun.expires_at),
        access: begun.access,
        refresh: begun.refresh,
        device: begun.device,
        session: begun.session,
        tenant: begun.tenant,
        recovery,
    };
    let mut answer = token_answer(app, tokens, cookies)?;
    answer::add_receipt(answer.headers_mut(), &begun.receipt);
    Ok(answer)
}

/// The answer to a refresh.
pub(super) fn refreshed(app: &App, refreshed: Refreshed, cookies: bool) -> Result<HttpResponse, Problem> {
    let tokens = Tokens {
        access: refreshed.access,
        refresh: Some(refreshed.refresh),
        device: None,
        session: refreshed.session.session,
        tenant: refreshed.tenant,
        recovery: None,
        lasts_s: seconds_until(app, refreshed.session.expires_at),
    };
    token_answer(app, tokens, cookies)
}

fn token_answer(app: &App, tokens: Tokens, cookies: bool) -> Result<HttpResponse, Problem> {
    let refresh = tokens.refresh.map(|token| token.text());
    let device = tokens.device.map(|token| token.text());
    let mut body = LoginAnswer {
        access_token: Some(tokens.access),
        token_type: "Bearer",
        expires_in: app.config().tokens.lifetime_s,
        refresh_token: refresh,
        session: tokens.session,
        device,
        csrf_token: None,
        recovery_codes: tokens.recovery,
    };
    if !cookies {
        return answer::json(StatusCode::OK, &body);
    }
    let mut jar = Jar::default();
    if let Some(token) = body.access_token.take() {
        jar.access(&token, tokens.lasts_s);
    }
    if let Some(token) = body.refresh_token.take() {
        jar.refresh(&token, tokens.lasts_s);
    }
    if let Some(token) = body.device.take() {
        jar.device(&token);
    }
    body.token_type = "Cookie";
    body.csrf_token = Some(csrf_token(app, tokens.tenant, tokens.session)?);
    let mut answer = answer::json(StatusCode::OK, &body)?;
    jar.put(answer.headers_mut());
    Ok(answer)
}

fn seconds_until(app: &App, at: jiff::Timestamp) -> u32 {
    u32::try_from(at.duration_since(app.now()).as_secs()).unwrap_or(0)
}

/// Who is logged in.
#[derive(Serialize, ToSchema)]
pub struct SessionAnswer {
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[schema(value_type = uuid::Uuid)]
    tenant: TenantId,
    /// Absent for an API key.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
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
    /// Strength of the login: 0 password only, 1 one-time code, 2 resists phishing.
    mfa: u8,
    /// Until when the last full proof counts as fresh, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    fresh_until: Option<String>,
    /// The session must be unlocked before it can be used.
    locked: bool,
    /// With cookies: to be sent as `X-CSRF-Token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
}

impl SessionAnswer {
    pub(super) fn of(caller: &Caller) -> Result<Self, Problem> {
        let (principal, session) = (caller.asker.principal(), caller.asker.session);
        let csrf = session.filter(|_| caller.by_cookie).map(|id| csrf_token(&caller.app, principal.tenant, id));
        Ok(Self {
            user: principal.user,
            tenant: principal.tenant,
            session,
            roles: principal.roles_at(caller.app.now()).into_iter().collect(),
            role: caller.asker.role,
            purpose: caller.asker.purpose,
            patient: principal.patient,
            mfa: principal.mfa,
            fresh_until: principal.fresh_until.map(|until| until.to_string()),
            locked: caller.is_locked(),
            csrf_token: csrf.transpose()?,
        })
    }
}
