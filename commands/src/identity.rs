//! Users, their names, passwords, roles and sessions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wardbook_events::identity::{
    AccountKind, Factor, IdentityEvent, LoggedIn, LoggedOut, LoginFailed, PasswordSet, Proof, RoleGranted, RoleRevoked,
    UserCreated, UserDisabled, UserEnabled, UsernameClaimed,
};
use wardbook_events::{Ciphertext, Event, PatientId, Role, SessionId, TenantId, UserId};

use crate::context::{Context, Evolve};
use crate::patients::check_departments;
use crate::rejection::Rejection;

mod methods;
#[cfg(test)]
mod tests;

pub use methods::{CreateUser, PASSWORD_PURPOSE, PasswordHash};

/// No session lasts longer, whatever the settings say. Also lets state forget sessions that must have ended.
pub const SESSION_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the write side needs to know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The organisation.
    pub tenant: TenantId,
    /// What the user may be.
    pub roles: BTreeSet<Role>,
    /// May log in.
    pub enabled: bool,
    /// Sessions that nobody ended, with their latest end.
    pub sessions: BTreeMap<SessionId, Timestamp>,
}

/// A user's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Never created.
    #[default]
    Unknown,
    /// Created.
    Known(User),
}

impl State {
    /// The user, within the organisation.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] also if it is another organisation's user.
    pub fn within(&self, tenant: TenantId) -> Result<&User, Rejection> {
        match self {
            Self::Known(user) if user.tenant == tenant => Ok(user),
            _ => Err(Rejection::NotFound),
        }
    }
}

impl Evolve for State {
    const REMEMBERED: bool = true;

    fn evolve(self, event: &Event) -> Self {
        let Event::Identity(event) = event else { return self };
        match (self, event) {
            (Self::Unknown, IdentityEvent::UserCreated(e)) => Self::Known(User {
                tenant: e.tenant,
                roles: e.roles.iter().copied().collect(),
                enabled: true,
                sessions: BTreeMap::new(),
            }),
            (Self::Known(user), event) => Self::Known(changed(user, event)),
            (state, _) => state,
        }
    }
}

fn changed(mut user: User, event: &IdentityEvent) -> User {
    match event {
        IdentityEvent::RoleGranted(e) => {
            user.roles.insert(e.role);
        }
        IdentityEvent::RoleRevoked(e) => {
            user.roles.remove(&e.role);
        }
        IdentityEvent::UserEnabled(_) => user.enabled = true,
        IdentityEvent::UserDisabled(_) => {
            user.enabled = false;
            user.sessions.clear();
        }
        IdentityEvent::LoggedIn(e) => {
            // It was at most SESSION_MAX ahead when it was decided, so what ends before that is over.
            let over = e.expires_at.checked_sub(SESSION_MAX).unwrap_or(Timestamp::MIN);
            user.sessions.retain(|_, end| *end > over);
            user.sessions.insert(e.session, e.expires_at);
        }
        IdentityEvent::LoggedOut(e) => {
            user.sessions.remove(&e.session);
        }
        _ => {}
    }
    user
}

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

/// What can be done to a user.
#[derive(Debug, Clone)]
pub enum Command {
    /// Create the user under a name that nobody has.
    Create {
        /// Name to log in with.
        username: String,
        /// At least one.
        roles: BTreeSet<Role>,
        /// Departments.
        departments: Vec<String>,
        /// The chart that is about this user.
        patient: Option<PatientId>,
        /// Sealed Argon2id hash, if a password is set at once.
        password: Option<Ciphertext>,
    },
    /// Set a password: a sealed Argon2id hash.
    SetPassword(Ciphertext),
    /// Grant a role.
    Grant(Role),
    /// Take a role away.
    Revoke(Role),
    /// Let the user log in no more; all sessions end.
    Disable,
    /// Let the user log in again.
    Enable,
    /// The password was right: a session begins.
    LogIn {
        /// The new session.
        session: SessionId,
        /// When it ends at the latest.
        expires_at: Timestamp,
    },
    /// The password was wrong.
    FailLogin,
    /// A session ends.
    LogOut(SessionId),
}

/// Decides what happens to `user`. `username` is the claim on the name, for [`Command::Create`] only.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(
    state: &State,
    username: &Username,
    user: UserId,
    command: Command,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    if let Command::Create { username: name, roles, departments, patient, password } = command {
        if *state != State::Unknown {
            return Err(Rejection::AlreadyExists);
        }
        check_username(&name)?;
        check_departments(&departments)?;
        if roles.is_empty() {
            return Err(Rejection::NoRole);
        }
        if username.0.is_some() {
            return Err(Rejection::UsernameTaken);
        }
        let roles = roles.into_iter().collect();
        let mut events: Vec<Event> = vec![
            UserCreated {
                user,
                username: name.clone(),
                tenant: context.tenant,
                kind: AccountKind::Person,
                roles,
                departments,
                patient,
            }
            .into(),
            UsernameClaimed { user, username: name }.into(),
        ];
        events.extend(password.map(|hash| PasswordSet { user, hash }.into()));
        return Ok(events);
    }
    change(state.within(context.tenant)?, user, command, context)
}

fn change(was: &User, user: UserId, command: Command, context: &Context) -> Result<Vec<Event>, Rejection> {
    let unless = |same: bool, event: Event| if same { Vec::new() } else { vec![event] };
    Ok(match command {
        Command::Create { .. } => return Err(Rejection::AlreadyExists),
        Command::SetPassword(hash) => vec![PasswordSet { user, hash }.into()],
        Command::Grant(role) => unless(was.roles.contains(&role), RoleGranted { user, role }.into()),
        Command::Revoke(role) => {
            if was.roles.iter().eq([&role]) {
                return Err(Rejection::NoRole);
            }
            unless(!was.roles.contains(&role), RoleRevoked { user, role }.into())
        }
        Command::Disable => unless(!was.enabled, UserDisabled { user }.into()),
        Command::Enable => unless(was.enabled, UserEnabled { user }.into()),
        Command::LogIn { session, expires_at } => {
            if !was.enabled {
                return Err(Rejection::UserDisabled);
            }
            if was.sessions.contains_key(&session) {
                return Err(Rejection::AlreadyExists);
            }
            let lasts = expires_at.duration_since(context.now);
            if lasts <= SignedDuration::ZERO || lasts > SESSION_MAX {
                return Err(Rejection::SessionTooLong);
            }
            vec![
                LoggedIn {
                    user,
                    session,
                    expires_at,
                    proofs: vec![Proof::Password],
                    binding: None,
                    device: None,
                    refresh: None,
                }
                .into(),
            ]
        }
        Command::FailLogin => vec![LoginFailed { user, factor: Factor::Password, known_device: false }.into()],
        Command::LogOut(session) => unless(!was.sessions.contains_key(&session), LoggedOut { user, session }.into()),
    })
}

/// 3 to 55 characters: written in hex after a prefix, a longer one would not fit into a stream's name.
fn check_username(name: &str) -> Result<(), Rejection> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'@' | b'-');
    if (3..=55).contains(&name.len()) && name.bytes().all(fits) { Ok(()) } else { Err(Rejection::BadUsername) }
}
