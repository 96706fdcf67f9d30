//! Sessions: one's own, and, for those who watch over them, other people's.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, delete, get, post, web};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wardbook_commands::identity::Which;
use wardbook_events::identity::EndReason;
use wardbook_events::{Role, SessionId, UserId};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit, Target};
use wardbook_projections::identity::{Session, User};

use crate::api::answer;
use crate::api::auth::ProofBody;
use crate::api::caller::{Caller, LockedCaller};
use crate::api::problem::{Kind, Problem, ProblemBody};
use crate::app::App;
use crate::disclosure::allow;
use crate::login::again;
use crate::sessions::ending;
use crate::sessions::standing::{Standing, standing};

/// A session.
#[derive(Serialize, ToSchema)]
pub struct SessionItem {
    /// One's own whole; of others the first eight digits (IAM-14).
    session: String,
    started_at: String,
    /// When it ends at the latest.
    expires_at: String,
    /// When it was last in use.
    seen_at: String,
    /// Strength of what was proved in it: 0 password only, 1 one-time code, 2 resists phishing.
    mfa: u8,
    /// When something was last proved.
    proven_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    locked: bool,
    /// Until when it may be idle for longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation_until: Option<String>,
    /// The one that asks.
    current: bool,
}

/// Sessions, oldest first.
#[derive(Serialize, ToSchema)]
pub struct SessionsAnswer {
    sessions: Vec<SessionItem>,
}

/// The first digits of a session's id: as much as people get to see of other people's.
const SHOWN: usize = 8;

fn items(app: &App, user: UserId, current: Option<SessionId>, whole: bool) -> Result<SessionsAnswer, Problem> {
    let now = app.now();
    let item = |session: Session| {
        let last_call = app.in_use().called_at(session.session).unwrap_or(session.seen_at).max(session.seen_at);
        let mut id = session.session.to_string();
        if !whole {
            id.truncate(SHOWN);
        }
        SessionItem {
            session: id,
            started_at: session.started_at.to_string(),
            expires_at: session.expires_at.to_string(),
            seen_at: last_call.to_string(),
            mfa: session.mfa,
            proven_at: session.proven_at.to_string(),
            locked: standing(&session, last_call, now, &app.config().sessions) != Standing::Active,
            documentation_until: session
                .documentation_until
                .filter(|until| now < *until)
                .map(|until| until.to_string()),
            current: current == Some(session.session),
            address: session.address,
            agent: session.agent,
        }
    };
    let live = app.views().identity.sessions_of(user, now)?;
    Ok(SessionsAnswer { sessions: live.into_iter().map(item).collect() })
}

/// Lists one's own sessions.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, description = "live sessions", body = SessionsAnswer),
))]
#[get("/v1/sessions")]
pub async fn list_sessions(caller: Caller) -> Result<HttpResponse, Problem> {
    let user = caller.asker.principal().user;
    answer::json(StatusCode::OK, &items(&caller.app, user, caller.asker.session, true)?)
}

/// Ends one of one's own sessions.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), params(("session" = uuid::Uuid, Path)), responses(
    (status = 204, description = "it has ended"),
    (status = 404, description = "there is no such live session of yours", body = ProblemBody),
))]
#[delete("/v1/sessions/{session}")]
pub async fn end_session(caller: Caller, session: web::Path<SessionId>) -> Result<HttpResponse, Problem> {
    let (ended, receipt) = end_own(&caller, Which::These(vec![*session])).await?;
    if ended == 0 { Err(Problem::not_found()) } else { Ok(answer::empty(StatusCode::NO_CONTENT, receipt.as_ref())) }
}

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub struct EndedAnswer {
    ended: usize,
}

fn ended_answer(ended: usize, receipt: Option<&Receipt>) -> Result<HttpResponse, Problem> {
    let mut answer = answer::json(StatusCode::OK, &EndedAnswer { ended })?;
    if let Some(receipt) = receipt {
        answer::add_receipt(answer.headers_mut(), receipt);
    }
    Ok(answer)
}

/// Ends all of one's own sessions but this one.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), responses(
    (status = 200, description = "they have ended", body = EndedAnswer),
    (status = 403, description = "an API key has no session", body = ProblemBody),
))]
#[delete("/v1/sessions")]
pub async fn end_other_sessions(caller: Caller) -> Result<HttpResponse, Problem> {
    let (ended, receipt) = end_own(&caller, Which::AllBut(caller.session()?)).await?;
    ended_answer(ended, receipt.as_ref())
}

async fn end_own(caller: &Caller, which: Which) -> Result<(usize, Option<Receipt>), Problem> {
    let principal = caller.asker.principal();
    if let Which::These(these) = &which {
        // What is not one's own is not even remembered as ended.
        let own = caller.app.views().identity.sessions_of(principal.user, caller.app.now())?;
        if !these.iter().all(|id| own.iter().any(|session| session.session == *id)) {
            return Ok((0, None));
        }
    }
    let origin = caller.origin()?;
    let (app, tenant) = (&caller.app, principal.tenant);
    let (ended, receipt) = ending::end(app, tenant, &origin, principal.user, which, EndReason::User).await?;
    Ok((ended.len(), receipt))
}

async fn watched(caller: &Caller, user: UserId) -> Result<(Permit, User), Problem> {
    let (permit, _) = allow(&caller.app, &caller.asker, Action::ManageSessions, Target::User(user)).await?;
    let tenant = caller.asker.principal().tenant;
    let found = caller.app.views().identity.user(user)?.filter(|user| user.tenant == tenant);
    Ok((permit, found.ok_or_else(Problem::not_found)?))
}

/// Lists the sessions of a user.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), params(("user" = uuid::Uuid, Path)), responses(
    (status = 200, description = "live sessions", body = SessionsAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[get("/v1/users/{user}/sessions")]
pub async fn list_sessions_of(caller: Caller, user: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    let (_, user) = watched(&caller, *user).await?;
    answer::json(StatusCode::OK, &items(&caller.app, user.user, caller.asker.session, false)?)
}

/// Ends all sessions of a user.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), params(("user" = uuid::Uuid, Path)), responses(
    (status = 200, description = "they have ended", body = EndedAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[delete("/v1/users/{user}/sessions")]
pub async fn end_sessions_of(caller: Caller, user: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    let (permit, user) = watched(&caller, *user).await?;
    end_watched(&caller, &permit, &user, Which::All).await
}

/// Ends the sessions of a user whose id begins so.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), params(("user" = uuid::Uuid, Path), ("session" = String, Path, description = "the eight digits of the list")), responses(
    (status = 200, description = "it has ended", body = EndedAnswer),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user, or no such live session", body = ProblemBody),
))]
#[delete("/v1/users/{user}/sessions/{session}")]
pub async fn end_session_of(caller: Caller, path: web::Path<(UserId, String)>) -> Result<HttpResponse, Problem> {
    let (user, shown) = path.into_inner();
    let (permit, user) = watched(&caller, user).await?;
    let live = caller.app.views().identity.sessions_of(user.user, caller.app.now())?;
    let named =
        live.into_iter().map(|session| session.session).filter(|id| id.to_string().get(..SHOWN) == Some(&shown));
    let these: Vec<_> = named.collect();
    if these.is_empty() {
        return Err(Problem::not_found());
    }
    end_watched(&caller, &permit, &user, Which::These(these)).await
}

async fn end_watched(caller: &Caller, permit: &Permit, user: &User, which: Which) -> Result<HttpResponse, Problem> {
    let done = caller.app.commands().end_sessions_of(permit, &caller.origin()?, user.user, which).await?;
    let (ended, receipt) = ending::seen(&caller.app, done).await?;
    ended_answer(ended.len(), receipt.as_ref())
}

/// Ends a lock after failed logins before its time.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), params(("user" = uuid::Uuid, Path)), responses(
    (status = 204, description = "the user can log in again"),
    (status = 403, description = "your roles do not allow this", body = ProblemBody),
    (status = 404, description = "no such user", body = ProblemBody),
))]
#[post("/v1/users/{user}/unlock")]
pub async fn unlock_user(caller: Caller, user: web::Path<UserId>) -> Result<HttpResponse, Problem> {
    let (permit, user) = watched(&caller, *user).await?;
    let done = caller.app.commands().unlock_account(&permit, &caller.origin()?, user.user).await?;
    done_answer(&caller, done.receipts.last()).await
}

async fn done_answer(caller: &Caller, receipt: Option<&Receipt>) -> Result<HttpResponse, Problem> {
    if let Some(receipt) = receipt {
        caller.app.seen(receipt).await?;
    }
    Ok(answer::empty(StatusCode::NO_CONTENT, receipt))
}

/// Locks the session: until it is unlocked, nothing can be done with it (IAM-17).
#[utoipa::path(tag = "sessions", security(("bearer" = [])), responses(
    (status = 204, description = "locked"),
    (status = 403, description = "an API key has no session", body = ProblemBody),
))]
#[post("/v1/sessions/current/lock")]
pub async fn lock_session(caller: Caller) -> Result<HttpResponse, Problem> {
    let (principal, session) = (caller.asker.principal(), caller.session()?);
    let done = caller.app.commands().lock_session(principal.tenant, &caller.origin()?, principal.user, session).await?;
    done_answer(&caller, done.receipts.last()).await
}

/// Unlocks the session, with the password, the PIN of the device (method `pin`) or any factor of the user. For a passkey or a code that is sent, ask for a
/// challenge at `/v1/auth/step-up` first.
#[utoipa::path(tag = "sessions", security(("bearer" = [])), request_body = ProofBody, responses(
    (status = 204, description = "it goes on"),
    (status = 400, description = "the proof is missing", body = ProblemBody),
    (status = 401, description = "the proof is wrong, or the session has ended", body = ProblemBody),
    (status = 403, description = "an API key has no session", body = ProblemBody),
    (status = 409, description = "codes cannot be sent this way", body = ProblemBody),
    (status = 423, description = "too many failures: try again after Retry-After", body = ProblemBody),
))]
#[post("/v1/sessions/current/unlock")]
pub async fn unlock_session(
    LockedCaller(caller): LockedCaller,
    body: web::Json<ProofBody>,
) -> Result<HttpResponse, Problem> {
    let mut body = body.into_inner();
    let answer = body.answer()?;
    let (user, session) = caller.account()?;
    let visitor = caller.visitor();
    let receipt = again::unlock(&caller.app, &user, &session, body.maybe_challenge(), answer, &visitor).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT, receipt.as_ref()))
}

/// For how long.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentationBody {
    /// 0 ends it; at most a shift of 480.
    minutes: u16,
}

/// Whoever dictates or writes at length may be idle for longer (IAM-18).
#[utoipa::path(tag = "sessions", security(("bearer" = [])), request_body = DocumentationBody, responses(
    (status = 204, description = "set"),
    (status = 403, description = "this is for those who treat", body = ProblemBody),
    (status = 422, description = "more than 480 minutes", body = ProblemBody),
))]
#[post("/v1/sessions/current/documentation-mode")]
pub async fn set_documentation_mode(
    caller: Caller,
    body: web::Json<DocumentationBody>,
) -> Result<HttpResponse, Problem> {
    const TREAT: [Role; 5] =
        [Role::Physician, Role::Nurse, Role::MedicalAssistant, Role::Paramedic, Role::EmergencyStaff];
    let (principal, session) = (caller.asker.principal(), caller.session()?);
    if !TREAT.iter().any(|role| principal.roles.contains(role)) {
        return Err(Problem::new(Kind::Forbidden, "documentation mode is for those who treat patients"));
    }
    if body.minutes > 480 {
        return Err(Problem::new(Kind::Invalid, "minutes must be at most 480"));
    }
    let origin = caller.origin()?;
    let lasts = SignedDuration::from_mins(i64::from(body.minutes));
    let until = origin.now.checked_add(lasts).unwrap_or(origin.now);
    let commands = caller.app.commands();
    let done = commands.set_documentation_mode(principal.tenant, &origin, principal.user, session, until).await?;
    done_answer(&caller, done.receipts.last()).await
}
