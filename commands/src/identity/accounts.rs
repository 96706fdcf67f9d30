//! Accounts: created, enabled, given roles, and the keys of programs.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use wardbook_events::identity::{
    AccountKind, ApiKeyIssued, ApiKeyRevoked, EndReason, IdentityEvent, KnownBy, PasswordSet, RoleGranted, RoleRevoked,
    ServiceCertificateSet, ServiceKeySet, UserCreated, UserDisabled, UserEnabled, UsernameClaimed,
};
use wardbook_events::{ApiKeyId, Ciphertext, Event, PatientId, Role, UserId};
use wardbook_policy::Action;

use super::sessions::{Which, ended};
use super::state::{State, User};
use crate::context::{Context, Evolve};
use crate::patients::check_departments;
use crate::rejection::Rejection;

/// API keys that an account has at a time.
const API_KEYS_MAX: usize = 20;
/// A key lives no longer, whatever is asked for.
const API_KEY_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Longest JSON Web Key, in bytes.
const JWK_MAX: usize = 8192;

/// Who has a user name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Username(pub Option<UserId>);

impl Evolve for Username {
    fn evolve(self, event: &Event) -> Self {
        match event {
            Event::Identity(IdentityEvent::UsernameClaimed(e)) => Self(Some(e.user)),
            _ => self,
        }
    }
}

/// An account that is to be.
#[derive(Debug, Clone)]
pub(super) struct Create {
    pub kind: AccountKind,
    pub username: String,
    pub roles: BTreeSet<Role>,
    pub departments: Vec<String>,
    pub patient: Option<PatientId>,
    /// Sealed Argon2id hash.
    pub password: Option<Ciphertext>,
}

/// `name` is the claim on the user name.
pub(super) fn create(
    state: &State,
    name: &Username,
    user: UserId,
    create: Create,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    if *state != State::Unknown {
        return Err(Rejection::AlreadyExists);
    }
    let Create { kind, username, roles, departments, patient, password } = create;
    check_username(&username)?;
    check_departments(&departments)?;
    if roles.is_empty() {
        return Err(Rejection::NoRole);
    }
    let is_service = kind == AccountKind::Service;
    if is_service && (!roles.contains(&Role::Service) || password.is_some() || patient.is_some()) {
        return Err(Rejection::WrongAccountKind);
    }
    if name.0.is_some() {
        return Err(Rejection::UsernameTaken);
    }
    let roles = roles.into_iter().collect();
    let tenant = context.tenant;
    let mut events: Vec<Event> = vec![
        UserCreated { user, username: username.clone(), tenant, kind, roles, departments, patient }.into(),
        UsernameClaimed { user, username }.into(),
    ];
    events.extend(password.map(|hash| PasswordSet { user, hash }.into()));
    Ok(events)
}

pub(super) fn grant(was: &User, user: UserId, role: Role) -> Vec<Event> {
    if was.roles.contains(&role) { Vec::new() } else { vec![RoleGranted { user, role }.into()] }
}

/// What a session was begun for may no longer be allowed, so all end.
pub(crate) fn revoke(was: &User, user: UserId, role: Role, context: &Context) -> Result<Vec<Event>, Rejection> {
    if !was.roles.contains(&role) {
        return Ok(Vec::new());
    }
    if was.roles.len() == 1 {
        return Err(Rejection::NoRole);
    }
    if was.kind == AccountKind::Service && role == Role::Service {
        return Err(Rejection::WrongAccountKind);
    }
    let mut events = vec![RoleRevoked { user, role }.into()];
    events.extend(ended(was, user, &Which::All, EndReason::RoleChanged, context));
    Ok(events)
}

/// That all sessions end is a part of the event.
pub(crate) fn disable(was: &User, user: UserId) -> Vec<Event> {
    if was.enabled { vec![UserDisabled { user }.into()] } else { Vec::new() }
}

pub(super) fn enable(was: &User, user: UserId) -> Vec<Event> {
    if was.enabled { Vec::new() } else { vec![UserEnabled { user }.into()] }
}

/// The key that a program signs with; what began under the one before ends.
pub(super) fn set_service_key(
    was: &User,
    user: UserId,
    (jwk, scopes): (String, Vec<String>),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    if was.kind != AccountKind::Service {
        return Err(Rejection::WrongAccountKind);
    }
    check_scopes(&scopes)?;
    check_jwk(&jwk)?;
    let mut events = vec![ServiceKeySet { user, jwk, scopes }.into()];
    events.extend(ended(was, user, &Which::All, EndReason::FactorChanged, context));
    Ok(events)
}

/// The certificate that a program shows; what began under the one before ends.
pub(super) fn set_service_certificate(
    was: &User,
    user: UserId,
    (certificate, scopes): (KnownBy, Vec<String>),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    if was.kind != AccountKind::Service {
        return Err(Rejection::WrongAccountKind);
    }
    check_scopes(&scopes)?;
    match &certificate {
        KnownBy::Sha256(hash) => check_hash(hash)?,
        KnownBy::Name(name) => check_certificate_name(name)?,
    }
    let mut events = vec![ServiceCertificateSet { user, certificate, scopes }.into()];
    events.extend(ended(was, user, &Which::All, EndReason::FactorChanged, context));
    Ok(events)
}

pub(super) fn issue_key(was: &User, issued: ApiKeyIssued, context: &Context) -> Result<Vec<Event>, Rejection> {
    if !was.enabled {
        return Err(Rejection::UserDisabled);
    }
    check_label(&issued.name)?;
    check_scopes(&issued.scopes)?;
    check_hash(&issued.secret)?;
    check_life(issued.expires_at, context)?;
    if was.means.api_key(issued.key).is_some() {
        return Err(Rejection::AlreadyExists);
    }
    if was.means.api_keys(context.now) >= API_KEYS_MAX {
        return Err(Rejection::TooMany);
    }
    Ok(vec![issued.into()])
}

pub(super) fn revoke_key(was: &User, user: UserId, key: ApiKeyId) -> Result<Vec<Event>, Rejection> {
    was.means.api_key(key).ok_or(Rejection::NotFound)?;
    Ok(vec![ApiKeyRevoked { user, key }.into()])
}

fn check_life(expires_at: Timestamp, context: &Context) -> Result<(), Rejection> {
    let lasts = expires_at.duration_since(context.now);
    if lasts > SignedDuration::ZERO && lasts <= API_KEY_MAX { Ok(()) } else { Err(Rejection::BadKeyLife) }
}

fn check_scopes(scopes: &[String]) -> Result<(), Rejection> {
    let actions = Action::all();
    let known = |scope: &String| actions.iter().any(|action| action.name() == scope);
    if (1..=50).contains(&scopes.len()) && scopes.iter().all(known) { Ok(()) } else { Err(Rejection::BadScope) }
}

/// RFC 7517; the members `d`, `p`, `q`, `dp`, `dq`, `qi`, `oth` and `k` are private (RFC 7518 section 6).
fn check_jwk(jwk: &str) -> Result<(), Rejection> {
    const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    if jwk.len() > JWK_MAX {
        return Err(Rejection::BadKey);
    }
    let parsed: serde_json::Value = serde_json::from_str(jwk).map_err(|_| Rejection::BadKey)?;
    let public = parsed.get("kty").is_some_and(serde_json::Value::is_string)
        && PRIVATE.iter().all(|member| parsed.get(member).is_none());
    if public { Ok(()) } else { Err(Rejection::BadKey) }
}

/// A name that somebody gave to something.
pub(super) fn check_label(name: &str) -> Result<(), Rejection> {
    let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits && name.trim() == name { Ok(()) } else { Err(Rejection::BadLabel) }
}

/// A name or URI as it stands in a certificate; none that stands for many.
fn check_certificate_name(name: &str) -> Result<(), Rejection> {
    let fits = (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'*');
    if fits { Ok(()) } else { Err(Rejection::BadCertificateName) }
}

/// 64 lower-case hex digits.
pub(super) fn check_hash(hash: &str) -> Result<(), Rejection> {
    let fits = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits { Ok(()) } else { Err(Rejection::BadHash) }
}

/// 3 to 55 characters: written in hex after a prefix, a longer one would not fit into a stream's name.
///
/// # Errors
/// [`Rejection::BadUsername`].
pub fn check_username(name: &str) -> Result<(), Rejection> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'@' | b'-');
    if (3..=55).contains(&name.len()) && name.bytes().all(fits) { Ok(()) } else { Err(Rejection::BadUsername) }
}
