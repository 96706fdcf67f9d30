//! Factors besides the password: enrolling them, within a login that cannot go on without or later, and taking them away.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, web};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use wardbook_commands::Origin;
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{Factor, Removed};
use wardbook_events::{PasskeyId, UserId};
use wardbook_policy::{Action, Target};
use wardbook_projections::identity::User;

use crate::api::answer;
use crate::api::auth::step_answer_with;
use crate::api::caller::{Anyone, Caller};
use crate::api::patients::seen;
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::app::App;
use crate::challenge::{Challenge, Wish};
use crate::disclosure::allow;
use crate::login::{demands_second, failed, proved, settle};
use crate::proofs::enrolment::{self, Enrolled, Enrolling, Given, Offer, Wanted};
use crate::proofs::{self, ProofError, send};

/// What is to be enrolled.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// An authenticator app.
    Totp,
    /// A passkey.
    Passkey,
    /// Codes by e-mail.
    EmailCode,
    /// Codes by text message.
    SmsCode,
}

/// A factor to be enrolled.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorBody {
    /// From the login that asks for it; without one, the caller's own session counts, freshly proved.
    #[serde(default)]
    challenge: Option<String>,
    method: Method,
    /// What a passkey is to be called.
    #[serde(default)]
    name: Option<String>,
}

/// How to go on.
#[derive(Serialize, ToSchema)]
pub struct BeginAnswer {
    /// To be sent back with the proof that the factor works.
    challenge: String,
    /// For the authenticator app, by hand: Base32.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// For the authenticator app, as a QR code.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    /// For the browser: the argument of `navigator.credentials.create`.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    passkey: Option<Value>,
}

/// The proof that a new factor works.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmBody {
    challenge: String,
    /// The app's code, or the one that was sent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    code: Option<SecretString>,
    /// What the browser got from the new passkey.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    credential: Option<Value>,
    /// Give the tokens as cookies.
    #[serde(default)]
    cookies: bool,
}

/// New recovery codes.
#[derive(Serialize, ToSchema)]
pub struct RecoveryAnswer {
    /// Each counts once. Shown this once.
    recovery_codes: Vec<String>,
}

/// A code to be sent within a login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendBody {
    challenge: String,
    /// `email-code` or `sms-code`.
    method: Method,
}

/// A passkey.
#[derive(Serialize, ToSchema)]
pub struct PasskeyAnswer {
    #[schema(value_type = uuid::Uuid)]
    passkey: PasskeyId,
    name: String,
    #[schema(value_type = String)]
    enrolled_at: Timestamp,
}

/// What the user can prove who it is with.
#[derive(Serialize, ToSchema)]
pub struct FactorsAnswer {
    /// An authenticator app is enrolled.
    totp: bool,
    passkeys: Vec<PasskeyAnswer>,
    /// This device has a PIN that unlocks sessions here.
    pin: bool,
    /// Ways that codes are sent.
    #[schema(value_type = Vec<String>)]
    channels: Vec<Channel>,
    /// Recovery codes that were not used yet.
    recovery_codes_left: usize,
    /// What can be enrolled.
    #[schema(value_type = Vec<String>)]
    enrollable: Vec<Factor>,
}

/// Who enrols: within a login, or within a session.
async fn enroller(
    anyone: &Anyone,
    caller: Option<&Caller>,
    text: Option<&str>,
) -> Result<(Challenge, User, Origin), Problem> {
    let app = &anyone.app;
    if let Some(text) = text {
        let challenge = open(app, text, Wish::Enrol)?;
        let user = user_of(app, &challenge)?;
        let origin = anyone.visitor(None).origin(app, &user)?;
        return Ok((challenge, user, origin));
    }
    let caller = caller.ok_or_else(Problem::unauthenticated)?;
    caller.must_be_fresh()?;
    let principal = caller.asker.principal();
    let challenge = Challenge::within(app, principal.tenant, principal.user, caller.session()?, Wish::Enrol)?;
    let user = user_of(app, &challenge)?;
    Ok((challenge, user, caller.origin()?))
}

fn open(app: &App, text: &str, wish: Wish) -> Result<Challenge, Problem> {
    let challenge = Challenge::open(app, text)?;
    if challenge.wish == wish { Ok(challenge) } else { Err(stale()) }
}

fn stale() -> Problem {
    Problem::new(Kind::LoginFailed, "the challenge is not good for this: log in again")
}

/// The user of a challenge; a disabled one proves nothing.
fn user_of(app: &App, challenge: &Challenge) -> Result<User, Problem> {
    let user = app.views().identity.user(challenge.user)?;
    user.filter(|user| user.active && user.tenant == challenge.tenant).ok_or_else(stale)
}

/// Begins the enrolment of a factor. When the answer came back to `/v1/auth/factors/confirm`, it counts.
#[utoipa::path(tag = "factors", security((), ("bearer" = [])), request_body = FactorBody, responses(
    (status = 200, description = "how to go on", body = BeginAnswer),
    (status = 401, description = "no good challenge, and no freshly proved session", body = ProblemBody),
    (status = 409, description = "codes cannot be sent this way", body = ProblemBody),
    (status = 422, description = "a value breaks a rule", body = ProblemBody),
    (status = 429, description = "too many codes were sent", body = ProblemBody),
))]
#[post("/v1/auth/factors")]
pub async fn enrol_factor(
    anyone: Anyone,
    caller: Option<Caller>,
    body: web::Json<FactorBody>,
) -> Result<HttpResponse, Problem> {
    let FactorBody { challenge, method, name } = body.into_inner();
    let (mut challenge, user, origin) = enroller(&anyone, caller.as_ref(), challenge.as_deref()).await?;
    let wanted = match method {
        Method::Totp => Wanted::Totp,
        Method::Passkey => Wanted::Passkey(label(name)?),
        Method::EmailCode => Wanted::Codes(Channel::Email),
        Method::SmsCode => Wanted::Codes(Channel::Sms),
    };
    let app = &anyone.app;
    let offer = enrolment::begin(app, &user, &mut challenge, wanted, &origin).await?;
    let challenge = challenge.seal(app).map_err(ProofError::from)?;
    let mut body = BeginAnswer { challenge, secret: None, uri: None, passkey: None };
    match offer {
        Offer::Totp(provision) => {
            body.secret = Some(provision.secret.expose_secret().to_owned());
            body.uri = Some(provision.uri.expose_secret().to_owned());
        }
        Offer::Passkey(options) => body.passkey = Some(options),
        Offer::CodeSent => {}
    }
    answer::json(StatusCode::OK, &body)
}

/// What a passkey is called, if its owner does not say.
fn label(name: Option<String>) -> Result<String, Problem> {
    let name = name.unwrap_or_else(|| "passkey".to_owned());
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(Problem::new(Kind::Invalid, "name must be 1 to 64 characters, none of control")) }
}

/// Finishes an enrolment. Within a login, the login goes on: the answer is that of a login, with the recovery codes.
#[utoipa::path(tag = "factors", request_body = ConfirmBody, responses(
    (status = 200, description = "enrolled; within a login, a session has begun (members of a login's answer besides)", body = RecoveryAnswer),
    (status = 401, description = "the proof is wrong, or the challenge no longer good", body = ProblemBody),
    (status = 409, description = "too many sessions or factors", body = ProblemBody),
    (status = 422, description = "a value breaks a rule", body = ProblemBody),
    (status = 423, description = "too many failures", body = ProblemBody),
))]
#[post("/v1/auth/factors/confirm")]
pub async fn confirm_factor(anyone: Anyone, body: web::Json<ConfirmBody>) -> Result<HttpResponse, Problem> {
    let began = Instant::now();
    let ConfirmBody { challenge, code, credential, cookies } = body.into_inner();
    let app = &anyone.app;
    let mut challenge = open(app, &challenge, Wish::Enrol)?;
    let user = user_of(app, &challenge)?;
    let visitor = anyone.visitor(None);
    let origin = visitor.origin(app, &user)?;
    let given = match (code, credential) {
        (Some(code), None) => Given::Code(code),
        (None, Some(credential)) => Given::Credential(credential),
        _ => return Err(Problem::new(Kind::Invalid, "send either code or credential")),
    };
    let factor = match &challenge.enrolling {
        Some(Enrolling::Totp { .. }) => Factor::Totp,
        Some(Enrolling::Codes { channel }) => proofs::factor_of(*channel).unwrap_or(Factor::EmailCode),
        Some(Enrolling::Passkey { .. }) | None => Factor::Passkey,
    };
    let Enrolled { proof, recovery, receipt } = match enrolment::confirm(app, &user, &challenge, given, &origin).await {
        Err(ProofError::Wrong) => {
            // Tries are counted: a code of six signs must not be found by trying.
            let error = failed(app, &user, factor, challenge.known_device(), &visitor).await;
            settle(began).await;
            return Err(error.into());
        }
        other => other?,
    };
    if challenge.proofs.is_empty() {
        // In a session, which goes on as it was.
        let mut answer =
            answer::json(StatusCode::OK, &RecoveryAnswer { recovery_codes: recovery.unwrap_or_default() })?;
        if let Some(receipt) = &receipt {
            answer::add_receipt(answer.headers_mut(), receipt);
        }
        return Ok(answer);
    }
    challenge.wish = Wish::LogIn;
    challenge.enrolling = None;
    challenge.proofs.push(proof);
    let user = user_of(app, &challenge)?;
    let step = proved(app, &user, challenge, &visitor).await?;
    step_answer_with(app, step, cookies, recovery)
}

/// Sends a code that answers a login's challenge: at most three in ten minutes.
#[utoipa::path(tag = "factors", request_body = SendBody, responses(
    (status = 202, description = "it is on its way"),
    (status = 401, description = "the challenge is no longer good", body = ProblemBody),
    (status = 409, description = "codes cannot be sent this way", body = ProblemBody),
    (status = 422, description = "not a way to send codes", body = ProblemBody),
    (status = 429, description = "too many codes were sent", body = ProblemBody),
))]
#[post("/v1/auth/second-factor/code")]
pub async fn send_code(anyone: Anyone, body: web::Json<SendBody>) -> Result<HttpResponse, Problem> {
    let SendBody { challenge, method } = body.into_inner();
    let app = &anyone.app;
    let challenge = Challenge::open(app, &challenge)?;
    let user = user_of(app, &challenge)?;
    let channel = match method {
        Method::EmailCode => Channel::Email,
        Method::SmsCode => Channel::Sms,
        Method::Totp | Method::Passkey => {
            return Err(Problem::new(Kind::Invalid, "method must be email-code or sms-code"));
        }
    };
    if challenge.wish == Wish::Enrol || !user.channels.contains(&channel) {
        return Err(ProofError::NotOffered.into());
    }
    let origin = anyone.visitor(None).origin(app, &user)?;
    send::send_code(app, &user, challenge.id, channel, &origin).await?;
    Ok(answer::empty(StatusCode::ACCEPTED, None))
}

fn own_account(caller: &Caller) -> Result<User, Problem> {
    let found = caller.app.views().identity.user(caller.asker.principal().user)?;
    found.ok_or_else(Problem::unauthenticated)
}

/// What the caller can prove who it is with.
#[utoipa::path(tag = "factors", security(("bearer" = [])), responses((status = 200, description = "the factors", body = FactorsAnswer)))]
#[get("/v1/auth/factors")]
pub async fn list_factors(caller: Caller) -> Result<HttpResponse, Problem> {
    let user = own_account(&caller)?;
    let enrollable = proofs::enrollable(&caller.app, &user);
    let session = caller.asker.session.map(|session| caller.app.views().identity.session(session)).transpose()?;
    let device = session.flatten().and_then(|session| session.device);
    let left = usize::from(user.recovery_count);
    let body = FactorsAnswer {
        totp: user.totp.is_some(),
        pin: device.is_some_and(|device| user.pins.contains_key(&device)),
        channels: user.channels.iter().copied().collect(),
        recovery_codes_left: left.saturating_sub(user.recovery_used.len()),
        enrollable,
        passkeys: user
            .passkeys
            .into_iter()
            .map(|passkey| PasskeyAnswer {
                passkey: passkey.passkey,
                name: passkey.name,
                enrolled_at: passkey.enrolled_at,
            })
            .collect(),
    };
    answer::json(StatusCode::OK, &body)
}

/// Makes new recovery codes; those before are void.
#[utoipa::path(tag = "factors", security(("bearer" = [])), responses(
    (status = 200, description = "ten codes, shown this once", body = RecoveryAnswer),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
))]
#[post("/v1/auth/recovery-codes")]
pub async fn renew_recovery_codes(caller: Caller) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let user = own_account(&caller)?;
    let (recovery_codes, receipt) = enrolment::issue_recovery_codes(&caller.app, &user, &caller.origin()?).await?;
    let mut answer = answer::json(StatusCode::OK, &RecoveryAnswer { recovery_codes })?;
    if let Some(receipt) = &receipt {
        caller.app.seen(receipt).await?;
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Takes one of the caller's factors away; never the last one while the settings demand one.
#[utoipa::path(tag = "factors", security(("bearer" = [])), params(("factor" = String, Path, description = "`totp`, `email-code`, `sms-code`, `pin` (of all devices), or the id of a passkey")), responses(
    (status = 204, description = "taken away"),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 404, description = "no such factor", body = ProblemBody),
    (status = 409, description = "it is the last one", body = ProblemBody),
))]
#[delete("/v1/auth/factors/{factor}")]
pub async fn remove_factor(caller: Caller, factor: web::Path<String>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let app = &caller.app;
    let user = own_account(&caller)?;
    let (removed, has) = match factor.as_str() {
        "totp" => (Removed::Totp, user.totp.is_some()),
        "pin" => (Removed::Pins, !user.pins.is_empty()),
        "email-code" => (Removed::Channel(Channel::Email), user.channels.contains(&Channel::Email)),
        "sms-code" => (Removed::Channel(Channel::Sms), user.channels.contains(&Channel::Sms)),
        passkey => {
            let passkey: PasskeyId = passkey.parse().map_err(|_| Problem::not_found())?;
            (Removed::Passkey(passkey), user.passkeys.iter().any(|known| known.passkey == passkey))
        }
    };
    if !has {
        return Err(Problem::not_found());
    }
    let factors = usize::from(user.totp.is_some()) + user.passkeys.len() + user.channels.len();
    if removed != Removed::Pins && factors == 1 && demands_second(app.config().login.second_factor, &user.roles) {
        return Err(Problem::new(
            Kind::Conflict,
            "it is the last factor, and one is demanded: enrol another one first",
        ));
    }
    let target = Target::User(user.user);
    let (permit, _) = allow(app, &caller.asker, Action::ChangeOwnCredentials, target).await?;
    let done = app.commands().remove_factor(&permit, &caller.origin()?, user.user, removed).await?;
    seen(&caller, &done).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}

/// Takes all factors of a user away: who lost them enrols anew at the next login. All sessions end.
#[utoipa::path(tag = "users", security(("bearer" = [])), params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "taken away"),
    (status = 401, description = "it takes a fresh proof", body = ProblemBody),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[delete("/v1/users/{user}/factors")]
pub async fn reset_factors(caller: Caller, user: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    caller.must_be_fresh()?;
    let app = &caller.app;
    let (permit, _) = allow(app, &caller.asker, Action::ManageUsers, Target::User(*user)).await?;
    let done = app.commands().remove_factor(&permit, &caller.origin()?, *user, Removed::All).await?;
    app.ended().end_user(*user, app.now());
    seen(&caller, &done).await?;
    app.ended().forget_user(*user);
    Ok(answer::empty(StatusCode::NO_CONTENT, done.receipts.last()))
}
