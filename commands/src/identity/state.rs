//! What the write side needs to know of a user.

use std::collections::{BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{AccountKind, IdentityEvent, LoggedIn, Removed};
use wardbook_events::{Ciphertext, Event, Role, SessionId, TenantId};

use super::failures::Failures;
use super::means::Means;
use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

/// No session lasts longer, whatever the settings say. Also lets state forget sessions that must have ended.
pub const SESSION_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Devices that are known again.
const DEVICES_MAX: usize = 10;
/// Ended sessions whose ids are remembered, so that what began one of them begins none a second time.
const PAST_MAX: usize = 64;

/// A session that nobody ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The session.
    pub session: SessionId,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Hash of the secret by which the device that it began on is known again, if it is.
    pub device: Option<String>,
    /// Hash of its first refresh token.
    pub refresh: Option<String>,
}

/// A pending reset of the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// Hash of the token.
    pub token: String,
    /// When it is good no longer.
    pub expires_at: Timestamp,
}

/// What the write side needs to know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The organisation.
    pub tenant: TenantId,
    /// A person or a program.
    pub kind: AccountKind,
    /// What the user may be.
    pub roles: BTreeSet<Role>,
    /// May log in.
    pub enabled: bool,
    /// Sessions that nobody ended, oldest first; some may have run out.
    pub sessions: Vec<Live>,
    /// By what the user is known, and what of it was used.
    pub means: Means,
    /// Failed logins, and the lock.
    pub failures: Failures,
    /// Sealed hash of the password.
    pub password: Option<Ciphertext>,
    /// The pending reset.
    pub reset: Option<Reset>,
    /// Sealed e-mail address.
    pub email: Option<Ciphertext>,
    /// Sealed telephone number.
    pub phone: Option<Ciphertext>,
    past: VecDeque<SessionId>,
    devices: VecDeque<String>,
}

impl User {
    /// The session, if it is live.
    ///
    /// # Errors
    /// [`Rejection::SessionEnded`].
    pub fn live(&self, session: SessionId, context: &Context) -> Result<&Live, Rejection> {
        self.live_ones(context).find(|live| live.session == session).ok_or(Rejection::SessionEnded)
    }
    /// All live sessions, oldest first.
    pub fn live_ones(&self, context: &Context) -> impl Iterator<Item = &Live> {
        self.sessions.iter().filter(|live| live.expires_at > context.now)
    }
    /// Whether there was ever such a session, as far as it matters.
    #[must_use]
    pub fn had(&self, session: SessionId) -> bool {
        self.sessions.iter().any(|live| live.session == session) || self.past.contains(&session)
    }
    /// Whether it is one of the devices that are known again.
    #[must_use]
    pub fn knows_device(&self, device: &str) -> bool {
        self.devices.iter().any(|known| known == device)
    }
    /// Whether a code can be sent this way.
    #[must_use]
    pub const fn reachable_by(&self, channel: Channel) -> bool {
        match channel {
            Channel::Email => self.email.is_some(),
            Channel::Sms => self.phone.is_some(),
            Channel::Webhook => false,
        }
    }

    fn begin(&mut self, e: &LoggedIn) {
        // It was at most SESSION_MAX ahead when it was decided, so what ends before that is over.
        let over = e.expires_at.checked_sub(SESSION_MAX).unwrap_or(Timestamp::MIN);
        self.end(|live| live.expires_at <= over);
        let known = e.device.as_ref().is_some_and(|device| self.devices.contains(device));
        self.failures.clear(known);
        for proof in &e.proofs {
            self.means.note(proof);
        }
        if let Some(device) = &e.device {
            self.devices.retain(|other| other != device);
            self.devices.push_back(device.clone());
            keep_newest(&mut self.devices, DEVICES_MAX);
            self.means.keep_pins(|device| self.devices.contains(device));
        }
        self.sessions.push(Live {
            session: e.session,
            expires_at: e.expires_at,
            device: e.device.clone(),
            refresh: e.refresh.clone(),
        });
    }

    fn end(&mut self, ends: impl Fn(&Live) -> bool) {
        self.past.extend(self.sessions.extract_if(.., |live| ends(live)).map(|live| live.session));
        keep_newest(&mut self.past, PAST_MAX);
    }
}

fn keep_newest<T>(queue: &mut VecDeque<T>, max: usize) {
    queue.drain(..queue.len().saturating_sub(max));
}

/// A user's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Never created.
    #[default]
    Unknown,
    /// Created.
    Known(Box<User>),
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
        self.evolve_at(event, Timestamp::MIN)
    }

    fn evolve_at(self, event: &Event, at: Timestamp) -> Self {
        let Event::Identity(event) = event else { return self };
        match (self, event) {
            (Self::Unknown, IdentityEvent::UserCreated(e)) => Self::Known(Box::new(User {
                tenant: e.tenant,
                kind: e.kind,
                roles: e.roles.iter().copied().collect(),
                enabled: true,
                sessions: Vec::new(),
                means: Means::default(),
                failures: Failures::default(),
                password: None,
                reset: None,
                email: None,
                phone: None,
                past: VecDeque::new(),
                devices: VecDeque::new(),
            })),
            (Self::Known(mut user), event) => {
                change(&mut user, event, at);
                Self::Known(user)
            }
            (state, _) => state,
        }
    }
}

fn change(user: &mut User, event: &IdentityEvent, at: Timestamp) {
    use IdentityEvent as Is;
    match event {
        Is::RoleGranted(e) => _ = user.roles.insert(e.role),
        Is::RoleRevoked(e) => _ = user.roles.remove(&e.role),
        Is::UserEnabled(_) => user.enabled = true,
        Is::UserDisabled(_) => {
            user.enabled = false;
            user.end(|_| true);
        }
        Is::ContactSet(e) => {
            // A code must never be taken for proof of an address that it was not sent to.
            if user.email != e.email {
                user.means.remove(Removed::Channel(Channel::Email));
            }
            if user.phone != e.phone {
                user.means.remove(Removed::Channel(Channel::Sms));
            }
            (user.email, user.phone) = (e.email.clone(), e.phone.clone());
        }
        Is::PasswordSet(e) => {
            user.password = Some(e.hash.clone());
            user.reset = None;
        }
        Is::PasswordResetRequested(e) => {
            user.reset = Some(Reset { token: e.token.clone(), expires_at: e.expires_at });
        }
        Is::PinSet(e) => user.means.set_pin(e.device.clone()),
        Is::TotpEnrolled(_) => user.means.enrol_totp(),
        Is::PasskeyEnrolled(e) => user.means.enrol_passkey(e.passkey),
        Is::ChannelEnrolled(e) => user.means.enrol_channel(e.channel),
        Is::RecoveryCodesIssued(e) => user.means.issue_recovery(e.count),
        Is::FactorRemoved(e) => user.means.remove(e.removed),
        Is::CodeSent(e) => user.means.send(e.challenge, e.channel, e.expires_at),
        Is::ServiceKeySet(_) => user.means.set_service_key(),
        Is::ServiceCertificateSet(_) => user.means.set_certificate(),
        Is::ApiKeyIssued(e) => user.means.issue_key(e.key, e.expires_at),
        Is::ApiKeyRevoked(e) => user.means.revoke_key(e.key),
        Is::LoggedIn(e) => user.begin(e),
        Is::LoginFailed(e) => {
            user.failures.note(e.known_device, at);
            user.means.fail(e.factor);
        }
        Is::AccountLocked(e) => user.failures.lock(e.until, e.unknown_devices_only),
        Is::AccountUnlocked(_) => user.failures = Failures::default(),
        Is::SteppedUp(e) => {
            user.means.note(&e.proof);
            let device = user.sessions.iter().find(|live| live.session == e.session).map(|live| live.device.is_some());
            device.into_iter().for_each(|known| user.failures.clear(known));
        }
        Is::LoggedOut(e) => user.end(|live| live.session == e.session),
        Is::SessionsEnded(e) => user.end(|live| e.sessions.contains(&live.session)),
        Is::PlacesSet(_) | Is::HoursSet(_) | Is::NetworksSet(_) => {}
        // These stand in other streams.
        Is::UserCreated(_)
        | Is::UsernameClaimed(_)
        | Is::ExternalLinked(_)
        | Is::ExternalUnlinked(_)
        | Is::StrangersCounted(_)
        | Is::TokenKeysChanged(_)
        | Is::SessionRefreshed(_)
        | Is::RefreshTokenReused(_)
        | Is::SessionSeen(_)
        | Is::SessionLocked(_)
        | Is::SessionUnlocked(_)
        | Is::DocumentationModeSet(_) => {}
    }
}
