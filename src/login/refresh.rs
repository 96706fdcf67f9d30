//! A refresh token is used once. Used twice, one of the two who have it stole it, and all sessions of the user end.

use wardbook_commands::identity::{Renewal, Which};
use wardbook_commands::{CommandError, IdempotencyKey, Origin};
use wardbook_events::TenantId;
use wardbook_events::identity::EndReason;
use wardbook_keys::TokenError as DigestError;
use wardbook_projections::identity::{Session, User};

use crate::app::App;
use crate::login::{LoginError, Visitor, access_token};
use crate::sessions::ending::{self, own_origin};
use crate::sessions::secrets::{RefreshToken, Secret};
use crate::sessions::standing::{Standing, standing};

/// New tokens of a session that goes on.
#[derive(Debug)]
pub struct Refreshed {
    /// The session.
    pub session: Session,
    /// The organisation.
    pub tenant: TenantId,
    /// The next access token.
    pub access: String,
    /// The next refresh token.
    pub refresh: RefreshToken,
}

/// Renews the tokens of a session. It does not count as a sign of life: a page that renews by itself keeps nobody's
/// session awake. `key` makes it safe to repeat: whoever lost the answer gets the same tokens again.
///
/// # Errors
/// [`LoginError::Wrong`] for a token that is unknown, used, or of a session that has ended: never said which.
pub async fn refresh(
    app: &App,
    token: &RefreshToken,
    key: Option<&str>,
    visitor: &Visitor,
) -> Result<Refreshed, LoginError> {
    let (user, session) = live(app, token)?.ok_or(LoginError::Wrong)?;
    let (old, current) = (token.secret.hash(), session.refresh.as_ref());
    // A token that was used before is the write side's to judge, wherever it comes from; any other is a guess.
    if current == Some(&old) && is_elsewhere(&session, visitor) {
        hijacked(app, user.tenant, &session, visitor).await?;
        return Err(LoginError::Wrong);
    }
    let next = match key {
        None => Secret::new(app.chance().bytes()?),
        Some(key) => derived(app, user.tenant, token, key).map_err(CommandError::from)?,
    };
    let idempotency = key.map(IdempotencyKey::new).transpose().map_err(|_| LoginError::Wrong)?;
    let origin = visitor.origin(app, &user)?;
    let mut origin = Origin { idempotency, ..origin };
    origin.client.session = Some(session.session);
    let new = next.hash();
    let renewed = app.commands().refresh(user.tenant, &origin, user.user, session.session, old, new.clone()).await;
    let done = match renewed {
        Err(CommandError::Rejected(_) | CommandError::NotFound) => return Err(LoginError::Wrong),
        other => other?,
    };
    if let Renewal::Stolen(sessions) = &done.value {
        tracing::warn!(user = %user.user, "a refresh token was used twice: all sessions of the user have ended");
        ending::remember(app, sessions);
    }
    if let Some(receipt) = done.receipts.last() {
        app.seen(receipt).await?;
    }
    // A repeated request is answered as the first time only while what it was answered then is still unused.
    let session = app.views().identity.session(session.session)?.filter(|session| session.is_live(app.now()));
    let session = session.filter(|session| session.refresh.as_ref() == Some(&new)).ok_or(LoginError::Wrong)?;
    let access = access_token(app, &user, session.session, session.proven_at, session.mfa)?;
    let refresh = RefreshToken { user: user.user, session: session.session, secret: next };
    Ok(Refreshed { session, tenant: user.tenant, access, refresh })
}

/// The user and the session of a token, if both are what they must be. A locked session is renewed: to be unlocked, it
/// needs an access token.
fn live(app: &App, token: &RefreshToken) -> Result<Option<(User, Session)>, LoginError> {
    if app.ended().has(token.session) || app.ended().has_user(token.user) {
        return Ok(None);
    }
    let Some(user) = app.views().identity.user(token.user)?.filter(|user| user.active) else { return Ok(None) };
    let Some(session) = app.views().identity.session(token.session)? else { return Ok(None) };
    let last_call = app.in_use().called_at(session.session).unwrap_or(session.seen_at);
    let over = standing(&session, last_call, app.now(), &app.config().sessions) == Standing::Over;
    let stands = user.disabled_at.is_none_or(|at| session.started_at > at);
    Ok((session.user == user.user && stands && !over).then_some((user, session)))
}

/// Whether a session is used from somewhere else than where it began (IAM-15).
#[must_use]
pub fn is_elsewhere(session: &Session, visitor: &Visitor) -> bool {
    session.binding.as_ref().is_some_and(|binding| *binding != visitor.binding())
}

/// Ends a session that was used from somewhere else: whoever it was, one of the two is not the owner.
///
/// # Errors
/// If the event could not be written.
pub async fn hijacked(
    app: &App,
    tenant: TenantId,
    session: &Session,
    visitor: &Visitor,
) -> Result<(), ending::EndError> {
    tracing::warn!(user = %session.user, "a session was used from another network or program: it has ended");
    let client = wardbook_events::Client { session: Some(session.session), ..visitor.client.clone() };
    let origin = own_origin(app, client, Some(visitor.correlation))?;
    let which = Which::These(vec![session.session]);
    ending::end(app, tenant, &origin, session.user, which, EndReason::Hijack).await?;
    Ok(())
}

/// The next secret, as it follows from this one and the key of the request: nobody without the token can work it out.
fn derived(app: &App, tenant: TenantId, token: &RefreshToken, key: &str) -> Result<Secret, DigestError> {
    let mut bytes = zeroize::Zeroizing::new(b"refresh token after ".to_vec());
    bytes.extend_from_slice(token.secret.bytes());
    bytes.extend_from_slice(key.as_bytes());
    let digest = app.keys().command_digest(tenant, &bytes)?;
    Ok(Secret::new(*blake3::hash(digest.as_bytes()).as_bytes()))
}
