//! What every way of logging in ends in: a session if enough was proved, the next question if not.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use wardbook_commands::identity::{Begin, LoginRules};
use wardbook_commands::{CommandError, Rejection};
use wardbook_events::identity::{AccountKind, Factor, Proof};
use wardbook_events::{Role, SessionId, TenantId};
use wardbook_ledger::Receipt;
use wardbook_projections::identity::User;

use crate::app::App;
use crate::challenge::{Challenge, Wish};
use crate::config::{SecondFactor, WhenFull};
use crate::login::{LoginError, Visitor, access_token, failed};
use crate::proofs::{self, ProofError};
use crate::sessions::ending;
use crate::sessions::secrets::{DeviceToken, RefreshToken, Secret};
use crate::sessions::standing::after;

/// Where a login has come to.
#[derive(Debug)]
pub enum Step {
    /// A session has begun.
    Begun(Box<Begun>),
    /// More must be proved.
    Asked(Box<Asked>),
}

/// A session that has begun.
pub struct Begun {
    /// The session.
    pub session: SessionId,
    /// The organisation.
    pub tenant: TenantId,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Its first access token.
    pub access: String,
    /// What the next one is to be had for; programs have none.
    pub refresh: Option<RefreshToken>,
    /// The token of a device that is new here: by it the device is known at the next login.
    pub device: Option<DeviceToken>,
    /// The event that tells of it.
    pub receipt: Receipt,
}

/// The next question.
#[derive(Debug)]
pub struct Asked {
    /// What for.
    pub next: Next,
    /// To be sent back with the answer.
    pub challenge: String,
    /// What can be answered with; what can be enrolled, if there is nothing yet.
    pub methods: Vec<Factor>,
    /// What the browser must be told for a passkey.
    pub passkey: Option<Value>,
}

/// What the next question is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A second factor.
    SecondFactor,
    /// The settings demand a second factor and the user has none: enrol one.
    Enrol,
}

/// Goes on with a login after a proof was added to its challenge.
///
/// # Errors
/// [`LoginError::Wrong`] or [`LoginError::Locked`] for everything that is the caller's fault.
pub async fn proved(app: &App, user: &User, mut challenge: Challenge, visitor: &Visitor) -> Result<Step, LoginError> {
    // From the wrong place, nobody learns that the password was right.
    if !user.may_come_from(visitor.address) {
        let factor = challenge.proofs.last().map_or(Factor::Password, Proof::factor);
        return Err(failed(app, user, factor, challenge.known_device(), visitor).await);
    }
    let methods = proofs::methods(app, user);
    let demanded = !methods.is_empty() || demands_second(app.config().login.second_factor, &user.roles);
    if is_enough(&challenge.proofs) || (!demanded && !challenge.proofs.is_empty()) {
        return Ok(Step::Begun(Box::new(begin(app, user, challenge, visitor).await?)));
    }
    if methods.is_empty() {
        challenge.wish = Wish::Enrol;
        let methods = proofs::enrollable(app, user);
        let asked = Asked { next: Next::Enrol, challenge: challenge.seal(app)?, methods, passkey: None };
        return Ok(Step::Asked(Box::new(asked)));
    }
    Ok(Step::Asked(Box::new(ask(app, user, challenge, methods)?)))
}

/// Asks for one of these. A passkey's ceremony begins with the question.
///
/// # Errors
/// If a passkey cannot be opened, or the challenge not be sealed.
pub fn ask(app: &App, user: &User, mut challenge: Challenge, methods: Vec<Factor>) -> Result<Asked, LoginError> {
    let (passkey, state) = proofs::passkey_options(app, user).map_err(ProofError::from)?.unzip();
    challenge.passkey = state;
    Ok(Asked { next: Next::SecondFactor, challenge: challenge.seal(app)?, methods, passkey })
}

/// Whether the settings demand more than a password of this user.
#[must_use]
pub fn demands_second(setting: SecondFactor, roles: &BTreeSet<Role>) -> bool {
    match setting {
        SecondFactor::Everyone => true,
        SecondFactor::Workforce => roles.iter().any(|role| *role != Role::Patient),
        SecondFactor::Nobody => false,
    }
}

/// Whether these proofs are two factors: a passkey that saw its owner is two by itself (NIST SP 800-63B 3.1.7), and the
/// word of an organisation that asked for two counts as two.
#[must_use]
pub fn is_enough(proofs: &[Proof]) -> bool {
    let alone = |proof: &Proof| {
        matches!(
            proof,
            Proof::Passkey { user_verified: true, .. }
                | Proof::External { mfa: true, .. }
                | Proof::Assertion
                | Proof::Certificate { .. }
        )
    };
    let known = proofs.iter().any(|proof| matches!(proof, Proof::Password | Proof::External { .. }));
    proofs.iter().any(alone) || (known && proofs.iter().any(|proof| proof.strength() > 0))
}

async fn begin(app: &App, user: &User, challenge: Challenge, visitor: &Visitor) -> Result<Begun, LoginError> {
    let mut origin = visitor.origin(app, user)?;
    let (now, session) = (origin.now, challenge.session);
    origin.client.session = Some(session);
    origin.idempotency = None;
    let known_device = challenge.known_device();
    let mut begin = Begin {
        session,
        expires_at: after(now, app.config().sessions.lifetime_s),
        proofs: challenge.proofs,
        password: challenge.password,
        binding: None,
        device: challenge.device,
        known_device,
        refresh: None,
    };
    let (mut refresh, mut device) = (None, None);
    // A program logs in anew instead of renewing (RFC 6749 section 4.4.3), and may run on many machines.
    if user.kind == AccountKind::Person {
        begin.binding = app.config().sessions.bind.then(|| visitor.binding());
        let secret = Secret::new(app.chance().bytes()?);
        begin.refresh = Some(secret.hash());
        refresh = Some(RefreshToken { user: user.user, session, secret });
        if begin.device.is_none() {
            let token = DeviceToken(Secret::new(app.chance().bytes()?));
            begin.device = Some(token.0.hash());
            device = Some(token);
        }
    }
    let (last, proofs, expires_at) = (begin.proofs.last().map(Proof::factor), begin.proofs.clone(), begin.expires_at);
    let done = match app.commands().log_in(user.tenant, &origin, user.user, begin, login_rules(app)).await {
        Err(CommandError::Rejected(Rejection::ProofUsed)) => {
            let factor = last.unwrap_or(Factor::Password);
            return Err(failed(app, user, factor, known_device, visitor).await);
        }
        Err(CommandError::Rejected(Rejection::UserDisabled | Rejection::AlreadyExists)) => {
            return Err(LoginError::Wrong);
        }
        Err(CommandError::Rejected(Rejection::Locked { until })) => return Err(LoginError::locked(until, now)),
        Err(CommandError::Rejected(Rejection::TooManySessions)) => return Err(LoginError::TooManySessions),
        other => other?,
    };
    ending::remember(app, &done.value);
    let receipt = done.receipts.into_iter().next_back().ok_or(CommandError::Internal("a login without an event"))?;
    // The next request carries the token, so the view must know the session by then.
    app.seen(&receipt).await?;
    let mfa = proofs.iter().map(Proof::strength).max().unwrap_or(0);
    let access = access_token(app, user, session, now, mfa)?;
    Ok(Begun { session, tenant: user.tenant, expires_at, access, refresh, device, receipt })
}

/// What the settings say of logins.
#[must_use]
pub fn login_rules(app: &App) -> LoginRules {
    let (sessions, lockout) = (&app.config().sessions, &app.config().lockout);
    LoginRules {
        sessions_max: sessions.max,
        drop_oldest: sessions.when_full == WhenFull::DropOldest,
        failures_max: lockout.failures_max,
        window_s: lockout.window_s,
        lock_s: lockout.lock_s,
    }
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Begun({})", self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardbook_events::PasskeyId;

    #[test]
    fn two_factors_are_enough_and_one_is_not() {
        let passkey =
            |user_verified| Proof::Passkey { passkey: PasskeyId::new(uuid::Uuid::nil()), counter: 0, user_verified };
        let external = |mfa| Proof::External { provider: "x".into(), mfa };
        let totp = || Proof::Totp { step: 1 };
        for enough in [
            vec![Proof::Password, totp()],
            vec![external(false), totp()],
            vec![passkey(true)],
            vec![Proof::Password, passkey(false)],
            vec![external(true)],
            vec![Proof::Assertion],
        ] {
            assert!(is_enough(&enough), "{enough:?}");
        }
        for too_little in [vec![], vec![Proof::Password], vec![totp()], vec![passkey(false)], vec![external(false)]] {
            assert!(!is_enough(&too_little), "{too_little:?}");
        }
        assert!(!is_enough(&[totp(), Proof::RecoveryCode { index: 1 }]), "two codes are one kind of factor");
    }
}
