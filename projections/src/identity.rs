//! Users by id and by name, and their sessions.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::identity::IdentityEvent;
use wardbook_events::{Ciphertext, Event, PatientId, Recorded, Role, SessionId, TenantId, UserId};

use crate::error::ViewError;
use crate::key::{Key, trailing_id};
use crate::projection::{Projection, View};
use crate::tx::{Tx, decode};

const USER: u8 = 1;
const NAME: u8 = 2;
const SESSION: u8 = 3;
const SESSION_OF: u8 = 4;

/// The view of users and sessions.
#[derive(Debug)]
pub struct IdentityView;

/// A user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user.
    pub user: UserId,
    /// Name to log in with, lower case.
    pub username: String,
    /// The organisation.
    pub tenant: TenantId,
    /// What the user may be.
    pub roles: BTreeSet<Role>,
    /// Departments.
    pub departments: BTreeSet<String>,
    /// The chart that is about this user.
    pub patient: Option<PatientId>,
    /// Whether the user may log in.
    pub active: bool,
    /// Argon2id hash, sealed under the organisation's key; absent until a password was set.
    pub password: Option<Ciphertext>,
    /// When the user was last disabled: sessions that began up to then have ended.
    pub disabled_at: Option<Timestamp>,
    /// Logins that failed since the last one that did not.
    pub failures: u32,
    /// When the last one failed.
    pub failed_at: Option<Timestamp>,
    /// Version of the stream `identity-<id>`.
    pub version: u64,
    /// Position of the last event that changed what policy looks at: roles, departments, activity, chart.
    pub changed: u64,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({})", self.user)
    }
}

/// A login session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When the user ended it, if so.
    pub ended_at: Option<Timestamp>,
}

impl Session {
    /// Whether it is live. That the user is still active is for the caller to check.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}

fn user_key(user: UserId) -> Vec<u8> {
    Key::table(USER).bytes(user.bytes()).done()
}
fn name_key(username: &str) -> Vec<u8> {
    Key::table(NAME).bytes(username.as_bytes()).done()
}
fn session_key(session: SessionId) -> Vec<u8> {
    Key::table(SESSION).bytes(session.bytes()).done()
}
fn session_of_key(user: UserId, session: SessionId) -> Vec<u8> {
    Key::table(SESSION_OF).bytes(user.bytes()).bytes(session.bytes()).done()
}

impl View for IdentityView {
    const NAME: &'static str = "identity";
    const CODE_VERSION: u32 = 2;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Identity(what) = &event.event else { return Ok(()) };
        match what {
            IdentityEvent::UserCreated(e) => {
                let user = User {
                    user: e.user,
                    username: e.username.clone(),
                    tenant: e.tenant,
                    roles: e.roles.iter().copied().collect(),
                    departments: e.departments.iter().cloned().collect(),
                    patient: e.patient,
                    active: true,
                    password: None,
                    disabled_at: None,
                    failures: 0,
                    failed_at: None,
                    version: event.stream_version,
                    changed: event.position,
                };
                tx.put(name_key(&e.username), e.user.bytes().to_vec())?;
                tx.put_value(user_key(e.user), &user)
            }
            IdentityEvent::UsernameClaimed(e) => tx.put(name_key(&e.username), e.user.bytes().to_vec()),
            IdentityEvent::PasswordSet(e) => change(tx, event, e.user, |user| user.password = Some(e.hash.clone())),
            IdentityEvent::RoleGranted(e) => decisive(tx, event, e.user, |user| _ = user.roles.insert(e.role)),
            IdentityEvent::RoleRevoked(e) => decisive(tx, event, e.user, |user| _ = user.roles.remove(&e.role)),
            IdentityEvent::UserDisabled(e) => decisive(tx, event, e.user, |user| {
                user.active = false;
                user.disabled_at = Some(event.recorded_at);
            }),
            IdentityEvent::UserEnabled(e) => decisive(tx, event, e.user, |user| user.active = true),
            IdentityEvent::LoggedIn(e) => {
                let session = Session {
                    session: e.session,
                    user: e.user,
                    started_at: event.recorded_at,
                    expires_at: e.expires_at,
                    ended_at: None,
                };
                tx.put(session_of_key(e.user, e.session), Vec::new())?;
                tx.put_value(session_key(e.session), &session)?;
                change(tx, event, e.user, |user| user.failures = 0)
            }
            IdentityEvent::LoginFailed(e) => change(tx, event, e.user, |user| {
                user.failures = user.failures.saturating_add(1);
                user.failed_at = Some(event.recorded_at);
            }),
            IdentityEvent::LoggedOut(e) => {
                // Ended sessions stay, so that a stolen token of one is recognised, but leave the list of live ones.
                tx.remove(session_of_key(e.user, e.session))?;
                if let Some(mut session) = tx.value::<Session>(session_key(e.session))? {
                    session.ended_at = Some(event.recorded_at);
                    tx.put_value(session_key(e.session), &session)?;
                }
                change(tx, event, e.user, |_| {})
            }
            _ => Ok(()),
        }
    }
}

fn change(tx: &mut Tx<'_>, event: &Recorded, id: UserId, edit: impl FnOnce(&mut User)) -> Result<(), ViewError> {
    let Some(mut user) = tx.value::<User>(user_key(id))? else { return Ok(()) };
    edit(&mut user);
    // Some of these events may stand in another stream, such as one of failed logins.
    if event.stream == wardbook_events::identity::stream(id) {
        user.version = event.stream_version;
    }
    tx.put_value(user_key(id), &user)
}

/// A change of what policy looks at.
fn decisive(tx: &mut Tx<'_>, event: &Recorded, id: UserId, edit: impl FnOnce(&mut User)) -> Result<(), ViewError> {
    change(tx, event, id, |user| {
        edit(user);
        user.changed = event.position;
    })
}

impl Projection<IdentityView> {
    /// A user by id.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn user(&self, user: UserId) -> Result<Option<User>, ViewError> {
        self.live()?.get(&user_key(user))?.map(|row| decode(IdentityView::NAME, &row)).transpose()
    }

    /// A user by the name to log in with (lower case).
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn user_by_name(&self, username: &str) -> Result<Option<User>, ViewError> {
        let Some(row) = self.live()?.get(&name_key(username))? else { return Ok(None) };
        let id = <[u8; 16]>::try_from(&*row)
            .map_err(|_| ViewError::damaged(IdentityView::NAME, "a row does not have its shape"))?;
        self.user(UserId::from_bytes(id))
    }

    /// Users by id, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, ViewError> {
        let from =
            after.map_or_else(|| Key::table(USER).done(), |after| Key::table(USER).bytes(after.bytes()).byte(0).done());
        let mut found = Vec::new();
        if limit > 0 {
            self.live()?.walk(&from, &Key::table(NAME).done(), false, |_, row| {
                found.push(decode(IdentityView::NAME, row)?);
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    /// A session, live or ended.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn session(&self, session: SessionId) -> Result<Option<Session>, ViewError> {
        self.live()?.get(&session_key(session))?.map(|row| decode(IdentityView::NAME, &row)).transpose()
    }

    /// The live sessions of a user.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn sessions_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, ViewError> {
        let from = Key::table(SESSION_OF).bytes(user.bytes()).done();
        let to = Key::table(SESSION_OF).bytes(user.bytes()).bytes(&[0xff; 17]).done();
        let mut ids = Vec::new();
        self.live()?.walk(&from, &to, false, |key, _| {
            ids.extend(trailing_id(key).map(SessionId::from_bytes));
            Ok(true)
        })?;
        let disabled_at = self.user(user)?.and_then(|user| user.disabled_at);
        let mut sessions = Vec::new();
        for id in ids {
            let session = self.session(id)?.filter(|session| session.is_live(now));
            sessions.extend(session.filter(|session| disabled_at.is_none_or(|at| session.started_at > at)));
        }
        Ok(sessions)
    }
}
