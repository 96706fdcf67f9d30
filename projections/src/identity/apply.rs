//! How the events of identity become rows.

use jiff::Timestamp;
use wardbook_events::identity::{
    ApiKeyIssued, ApiKeyRevoked, ExternalLinked, ExternalUnlinked, IdentityEvent, UserCreated, stream,
};
use wardbook_events::{ApiKeyId, ChallengeId, Event, Recorded, SessionId, UserId};

use super::account::{ApiKey, External, Lock, Passkey, Reset, User};
use super::{codes, logins};
use crate::error::ViewError;
use crate::projection::View;
use crate::row_key::Key;
use crate::tx::Tx;

pub(super) const USER: u8 = 1;
pub(super) const NAME: u8 = 2;
const SESSION: u8 = 3;
/// Sessions that nobody ended, by their latest end.
pub(super) const LIVE: u8 = 4;
const EXTERNAL: u8 = 5;
const API_KEY: u8 = 6;
const CODE: u8 = 7;

/// Passwords that are remembered, so that none of them is taken again (IAM-03).
const PASSWORDS_MAX: usize = 24;

/// The view of users and sessions.
#[derive(Debug)]
pub struct IdentityView;

pub(super) fn user_key(user: UserId) -> Vec<u8> {
    Key::table(USER).bytes(user.bytes()).done()
}
pub(super) fn name_key(username: &str) -> Vec<u8> {
    Key::table(NAME).bytes(username.as_bytes()).done()
}
pub(super) fn session_key(session: SessionId) -> Vec<u8> {
    Key::table(SESSION).bytes(session.bytes()).done()
}
/// Sorts by the end; nothing of ours ends before 1970.
pub(super) fn live_key(expires_at: Timestamp, session: SessionId) -> Vec<u8> {
    let end = u64::try_from(expires_at.as_microsecond()).unwrap_or_default();
    Key::table(LIVE).number(end).bytes(session.bytes()).done()
}
pub(super) fn external_key(subject: &str) -> Vec<u8> {
    Key::table(EXTERNAL).bytes(subject.as_bytes()).done()
}
pub(super) fn api_key_key(key: ApiKeyId) -> Vec<u8> {
    Key::table(API_KEY).bytes(key.bytes()).done()
}
pub(super) fn code_key(challenge: ChallengeId) -> Vec<u8> {
    Key::table(CODE).bytes(challenge.bytes()).done()
}

impl View for IdentityView {
    const NAME: &'static str = "identity";
    const CODE_VERSION: u32 = 5;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        use IdentityEvent as Is;
        let Event::Identity(what) = &event.event else { return Ok(()) };
        match what {
            Is::UserCreated(e) => create(tx, event, e),
            Is::UsernameClaimed(e) => tx.put(name_key(&e.username), e.user.bytes().to_vec()),
            Is::RoleGranted(e) => decisive(tx, event, e.user, |user| _ = user.roles.insert(e.role)),
            Is::RoleRevoked(e) => decisive(tx, event, e.user, |user| _ = user.roles.remove(&e.role)),
            Is::UserEnabled(e) => decisive(tx, event, e.user, |user| user.active = true),
            Is::UserDisabled(e) => logins::disable(tx, event, e.user),
            Is::PlacesSet(e) => decisive(tx, event, e.user, |user| {
                user.departments = e.departments.iter().cloned().collect();
                user.facilities = e.facilities.iter().cloned().collect();
            }),
            Is::HoursSet(e) => decisive(tx, event, e.user, |user| {
                user.shifts.clone_from(&e.shifts);
                user.on_call_until = e.on_call_until;
            }),
            Is::NetworksSet(e) => change(tx, event, e.user, |user| user.networks.clone_from(&e.networks)),
            Is::ContactSet(e) => codes::set_contact(tx, event, e),
            Is::ExternalLinked(e) => link(tx, event, e),
            Is::ExternalUnlinked(e) => unlink(tx, event, e),
            Is::ServiceKeySet(e) => change(tx, event, e.user, |user| {
                user.service_key = Some(e.jwk.clone());
                user.scopes = e.scopes.iter().cloned().collect();
            }),
            Is::ServiceCertificateSet(e) => change(tx, event, e.user, |user| {
                user.certificate = Some(e.certificate.clone());
                user.scopes = e.scopes.iter().cloned().collect();
            }),
            Is::ApiKeyIssued(e) => issue_key(tx, event, e),
            Is::ApiKeyRevoked(e) => revoke_key(tx, event, e),

            Is::PasswordSet(e) => change(tx, event, e.user, |user| {
                user.passwords.insert(0, e.hash.clone());
                user.passwords.truncate(PASSWORDS_MAX);
                user.password_set_at = Some(event.recorded_at);
                user.reset = None;
            }),
            Is::PasswordResetRequested(e) => change(tx, event, e.user, |user| {
                user.reset = Some(Reset { token: e.token.clone(), expires_at: e.expires_at });
            }),
            Is::PinSet(e) => change(tx, event, e.user, |user| {
                user.pins.insert(e.device.clone(), e.hash.clone());
            }),
            Is::TotpEnrolled(e) => change(tx, event, e.user, |user| {
                (user.totp, user.totp_step) = (Some(e.secret.clone()), None);
            }),
            Is::PasskeyEnrolled(e) => change(tx, event, e.user, |user| {
                user.passkeys.push(Passkey {
                    passkey: e.passkey,
                    name: e.name.clone(),
                    credential: e.credential.clone(),
                    counter: 0,
                    enrolled_at: event.recorded_at,
                });
            }),
            Is::ChannelEnrolled(e) => change(tx, event, e.user, |user| _ = user.channels.insert(e.channel)),
            Is::RecoveryCodesIssued(e) => change(tx, event, e.user, |user| {
                (user.recovery, user.recovery_count) = (Some(e.hashes.clone()), e.count);
                user.recovery_used.clear();
            }),
            Is::FactorRemoved(e) => codes::remove_factor(tx, event, e),
            Is::CodeSent(e) => codes::send(tx, event, e),

            Is::LoggedIn(e) => logins::log_in(tx, event, e),
            Is::LoginFailed(e) => logins::fail(tx, event, e),
            Is::AccountLocked(e) => change(tx, event, e.user, |user| {
                user.lock = Some(Lock { until: e.until, unknown_devices_only: e.unknown_devices_only });
            }),
            Is::AccountUnlocked(e) => change(tx, event, e.user, |user| {
                (user.lock, user.failures) = (None, 0);
            }),
            Is::SteppedUp(e) => logins::step_up(tx, event, e),
            Is::LoggedOut(e) => logins::end(tx, event, e.user, &[e.session], None),
            Is::SessionsEnded(e) => logins::end(tx, event, e.user, &e.sessions, Some(e.reason)),
            // No sign of life: a page that renews its tokens by itself must not keep a session awake.
            Is::SessionRefreshed(e) => {
                logins::session(tx, e.session, |session| session.refresh = Some(e.refresh.clone()))
            }
            Is::SessionSeen(e) => logins::session(tx, e.session, |session| session.seen_at = event.recorded_at),
            Is::SessionLocked(e) => {
                logins::session(tx, e.session, |session| session.locked_at = Some(event.recorded_at))
            }
            Is::SessionUnlocked(e) => logins::session(tx, e.session, |session| {
                (session.locked_at, session.seen_at) = (None, event.recorded_at);
            }),
            Is::DocumentationModeSet(e) => logins::session(tx, e.session, |session| {
                (session.documentation_until, session.seen_at) = (Some(e.until), event.recorded_at);
            }),
            // What follows from these stands in other events.
            Is::RefreshTokenReused(_) | Is::StrangersCounted(_) | Is::TokenKeysChanged(_) => Ok(()),
        }
    }
}

fn create(tx: &mut Tx<'_>, event: &Recorded, e: &UserCreated) -> Result<(), ViewError> {
    tx.put(name_key(&e.username), e.user.bytes().to_vec())?;
    tx.put_value(user_key(e.user), &User::created(e, event))
}

fn link(tx: &mut Tx<'_>, event: &Recorded, e: &ExternalLinked) -> Result<(), ViewError> {
    tx.put(external_key(&e.subject), e.user.bytes().to_vec())?;
    change(tx, event, e.user, |user| {
        user.externals.push(External { provider: e.provider.clone(), subject: e.subject.clone() });
    })
}

fn unlink(tx: &mut Tx<'_>, event: &Recorded, e: &ExternalUnlinked) -> Result<(), ViewError> {
    tx.remove(external_key(&e.subject))?;
    change(tx, event, e.user, |user| user.externals.retain(|external| external.subject != e.subject))
}

fn issue_key(tx: &mut Tx<'_>, event: &Recorded, e: &ApiKeyIssued) -> Result<(), ViewError> {
    tx.put(api_key_key(e.key), e.user.bytes().to_vec())?;
    change(tx, event, e.user, |user| {
        user.api_keys.push(ApiKey {
            key: e.key,
            name: e.name.clone(),
            secret: e.secret.clone(),
            scopes: e.scopes.iter().cloned().collect(),
            issued_at: event.recorded_at,
            expires_at: e.expires_at,
        });
    })
}

fn revoke_key(tx: &mut Tx<'_>, event: &Recorded, e: &ApiKeyRevoked) -> Result<(), ViewError> {
    tx.remove(api_key_key(e.key))?;
    change(tx, event, e.user, |user| user.api_keys.retain(|key| key.key != e.key))
}

/// Changes a user's row; an event of nobody is passed over.
pub(super) fn change(
    tx: &mut Tx<'_>,
    event: &Recorded,
    id: UserId,
    edit: impl FnOnce(&mut User),
) -> Result<(), ViewError> {
    let Some(mut user) = tx.value::<User>(user_key(id))? else { return Ok(()) };
    edit(&mut user);
    put(tx, event, user)
}

/// A change of what policy looks at.
pub(super) fn decisive(
    tx: &mut Tx<'_>,
    event: &Recorded,
    id: UserId,
    edit: impl FnOnce(&mut User),
) -> Result<(), ViewError> {
    change(tx, event, id, |user| {
        edit(user);
        user.changed = event.position;
    })
}

pub(super) fn put(tx: &mut Tx<'_>, event: &Recorded, mut user: User) -> Result<(), ViewError> {
    // Some of these events stand in another stream, such as that of an account elsewhere.
    if event.stream == stream(user.user) {
        user.version = event.stream_version;
    }
    tx.put_value(user_key(user.user), &user)
}
