//! From a token to somebody who may ask. Called for every request, so it reads what is in memory and writes nothing but,
//! every few minutes, that a session is still in use.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use jiff::Timestamp;
use secrecy::SecretString;
use wardbook_commands::identity::Which;
use wardbook_events::SessionId;
use wardbook_events::identity::EndReason;
use wardbook_policy::Principal;
use wardbook_projections::KnownUser;
use wardbook_projections::identity::Session;

use super::{Anyone, Caller, LockedCaller, headers};
use crate::api::cookies;
use crate::api::problem::{Kind, Problem};
use crate::app::App;
use crate::asker::{Asker, role_and_purpose};
use crate::login::{binding, demands_second};
use crate::proofs::api_keys;
use crate::sessions::ending::{self, own_origin};
use crate::sessions::standing::{Standing, after, standing};
use crate::tls;

/// What API keys begin with.
const API_KEY_PREFIX: &str = "wbk_";

/// Who asks, whatever state the session is in.
pub(super) async fn authenticate(anyone: Anyone, request: &HttpRequest) -> Result<Caller, Problem> {
    let headers = request.headers();
    let (token, by_cookie) = token(headers).ok_or_else(Problem::unauthenticated)?;
    if token.starts_with(API_KEY_PREFIX) && !by_cookie {
        return by_key(anyone, headers, &SecretString::from(token));
    }
    let app = &anyone.app;
    let now = app.now();
    let claims = app.tokens().verify(token, now).map_err(|_| Problem::unauthenticated())?;
    // Stolen by itself, it is of no use (RFC 8705 section 3).
    let shown = || tls::clients::shown(request).map(|certificate| certificate.thumbprint());
    if claims.cnf.as_ref().is_some_and(|bound| shown().as_ref() != Some(&bound.x5t_s256)) {
        return Err(Problem::unauthenticated());
    }
    if app.ended().has(claims.sid) || app.ended().has_user(claims.sub) {
        return Err(Problem::unauthenticated());
    }
    let user =
        app.views().principal(claims.sub)?.filter(|user| user.principal.active && user.principal.tenant == claims.tid);
    let user = user.ok_or_else(Problem::unauthenticated)?;
    let session = app.views().identity.session(claims.sid)?.filter(|session| session.user == claims.sub);
    // Disabling an account ends its sessions for good; enabling it again does not bring them back.
    let stands = |session: &Session| user.disabled_at.is_none_or(|at| session.started_at > at);
    let session = session.filter(|session| session.is_live(now) && stands(session));
    let session = session.ok_or_else(Problem::unauthenticated)?;
    if by_cookie && !is_safe(request.method()) && !cookies::has_csrf_token(app, headers, claims.tid, claims.sid)? {
        return Err(Problem::new(Kind::Csrf, "send the csrf_token of the login as X-CSRF-Token"));
    }
    let used = app.in_use().get(&session, now);
    let locked = go_on(&anyone, &user, &session, used.called_at(), now).await?;
    let principal = used.principal(&user, session.mfa, fresh_until(app, &user, &session));
    let caller = caller(anyone, headers, principal, Some(claims.sid), by_cookie, locked)?;
    if !locked && used.call(now, caller.app.config().sessions.seen_every_s) {
        tell_seen(&caller, claims.sid)?;
    }
    Ok(caller)
}

/// Whether the session is locked.
async fn go_on(
    anyone: &Anyone,
    user: &KnownUser,
    session: &Session,
    last_call: Timestamp,
    now: Timestamp,
) -> Result<bool, Problem> {
    let Anyone { app, context } = anyone;
    let (tenant, rules) = (user.principal.tenant, &app.config().sessions);
    let elsewhere = |tied: &String| *tied != binding(context.address, context.agent.as_deref());
    let reason = if session.binding.as_ref().is_some_and(elsewhere) {
        tracing::warn!(user = %session.user, "a session was used from another network or program: it ends");
        EndReason::Hijack
    } else {
        match standing(session, last_call, now, rules) {
            Standing::Active => return Ok(false),
            Standing::Locked => return Ok(true),
            Standing::Over => EndReason::Idle,
        }
    };
    let mut client = context.client();
    client.session = Some(session.session);
    let origin = own_origin(app, client, Some(context.correlation))?;
    ending::end(app, tenant, &origin, session.user, Which::These(vec![session.session]), reason).await?;
    Err(Problem::unauthenticated())
}

/// Until when the last full proof counts. Who need not prove more than a password has proved enough with it.
fn fresh_until(app: &App, user: &KnownUser, session: &Session) -> Option<Timestamp> {
    let enough = session.mfa > 0 || !demands_second(app.config().login.second_factor, &user.principal.roles);
    enough.then(|| after(session.proven_at, app.config().sessions.step_up_s))
}

/// A program, or a person's script, with a key of its own: no session, no fresh proof, and only what the key is for.
fn by_key(anyone: Anyone, headers: &HeaderMap, key: &SecretString) -> Result<Caller, Problem> {
    let app = &anyone.app;
    let (user, key) = api_keys::verify(app, key)?.ok_or_else(Problem::unauthenticated)?;
    if app.ended().has_user(user.user) || !user.may_come_from(anyone.context.address) {
        return Err(Problem::unauthenticated());
    }
    let known = app.views().principal(user.user)?.filter(|known| known.principal.active);
    let known = known.ok_or_else(Problem::unauthenticated)?;
    let scopes = Some(key.scopes);
    let principal = Principal { scopes, mfa: 0, fresh_until: None, ..known.principal.clone() };
    caller(anyone, headers, Arc::new(principal), None, false, false)
}

fn caller(
    anyone: Anyone,
    headers: &HeaderMap,
    principal: Arc<Principal>,
    session: Option<SessionId>,
    by_cookie: bool,
    locked: bool,
) -> Result<Caller, Problem> {
    let Anyone { app, context } = anyone;
    let purpose = headers::purpose(headers)?;
    let found = match principal.elevations.is_empty() {
        true => role_and_purpose(&principal.roles, purpose),
        false => role_and_purpose(&principal.roles_at(app.now()), purpose),
    };
    let (role, purpose) = found.ok_or_else(Problem::unauthenticated)?;
    let mut client = context.client();
    client.session = session;
    let asker = Asker {
        principal,
        role,
        purpose,
        reason: headers::reason(headers)?,
        session,
        correlation: context.correlation,
        client,
        address: context.address,
    };
    let (idempotency, if_match) = (headers::idempotency(headers)?, headers::if_match(headers)?);
    Ok(Caller { app, asker, context, idempotency, if_match, by_cookie, locked })
}

/// The access token or API key, and whether it came in a cookie. A header says it more plainly, so it goes first, and
/// there is no second chance for one that says nonsense.
fn token(headers: &HeaderMap) -> Option<(&str, bool)> {
    if !headers.contains_key(header::AUTHORIZATION) {
        return cookies::find(headers, cookies::ACCESS).map(|token| (token, true));
    }
    let (scheme, token) = headers::text(headers, header::AUTHORIZATION.as_str())?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| (token.trim(), false))
}

/// Methods that change nothing (RFC 9110 section 9.2.1).
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Writes down that the session is in use, without letting the request wait. If it is not written, a restart forgets a
/// little more.
fn tell_seen(caller: &Caller, session: SessionId) -> Result<(), Problem> {
    let (app, origin) = (caller.app.clone(), caller.own_origin()?);
    let (tenant, user) = (caller.asker.principal().tenant, caller.asker.principal().user);
    actix_web::rt::spawn(async move {
        if let Err(error) = app.commands().session_seen(tenant, &origin, user, session).await {
            tracing::warn!(%error, "that a session is in use was not written");
        }
    });
    Ok(())
}

impl From<LockedCaller> for Caller {
    fn from(LockedCaller(caller): LockedCaller) -> Self {
        caller
    }
}
