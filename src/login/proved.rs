//! What every way of logging in ends in: a session if enough was proved, the next question if not.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wardbook_commands::identity::{Begin, LoginRules};
use wardbook_commands::{CommandError, Rejection};
use wardbook_events::identity::{Factor, Proof};
use wardbook_events::{Role, SessionId};
use wardbook_ledger::Receipt;
use wardbook_projections::identity::User;

use crate::app::App;
use crate::challenge::{Challenge, Wish};
use crate::config::{SecondFactor, WhenFull};
use crate::login::{LoginError, Visitor};
use crate::sessions::secrets::DeviceToken;

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
    /// Its first access token.
    pub access: String,
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
/// [`LoginError::Wrong`] for everything that is the caller's fault.
pub async fn proved(app: &App, user: &User, mut challenge: Challenge, visitor: &Visitor) -> Result<Step, LoginError> {
    let methods = methods(user);
    let demanded = !methods.is_empty() || demands_second(app.config().login.second_factor, user);
    if is_enough(&challenge.proofs) || (!demanded && !challenge.proofs.is_empty()) {
        return Ok(Step::Begun(Box::new(begin(app, user, challenge, visitor).await?)));
    }
    let next = if methods.is_empty() { Next::Enrol } else { Next::SecondFactor };
    challenge.wish = if methods.is_empty() { Wish::Enrol } else { Wish::LogIn };
    let methods = if methods.is_empty() { ENROLLABLE.to_vec() } else { methods };
    let challenge = challenge.seal(app)?;
    Ok(Step::Asked(Box::new(Asked { next, challenge, methods, passkey: None })))
}

/// What can be enrolled within a login.
const ENROLLABLE: [Factor; 2] = [Factor::Totp, Factor::Passkey];

/// Factors that the user can answer with.
fn methods(_: &User) -> Vec<Factor> {
    Vec::new()
}

/// Whether the settings demand more than a password of this user.
#[must_use]
pub fn demands_second(setting: SecondFactor, user: &User) -> bool {
    match setting {
        SecondFactor::Everyone => true,
        SecondFactor::Workforce => user.roles.iter().any(|role| *role != Role::Patient),
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
            Proof::Passkey { user_verified: true, .. } | Proof::External { mfa: true, .. } | Proof::Assertion
        )
    };
    let known = proofs.iter().any(|proof| matches!(proof, Proof::Password | Proof::External { .. }));
    proofs.iter().any(alone) || (known && proofs.iter().any(|proof| proof.strength() > 0))
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

async fn begin(app: &App, user: &User, challenge: Challenge, visitor: &Visitor) -> Result<Begun, LoginError> {
    let mut origin = visitor.origin(app, user)?;
    let (now, session) = (origin.now, challenge.session);
    origin.client.session = Some(session);
    origin.idempotency = None;
    let lasts = SignedDuration::from_secs(i64::from(app.config().sessions.lifetime_s));
    let expires_at = now.checked_add(lasts).unwrap_or(Timestamp::MAX);
    let begin = Begin {
        session,
        expires_at,
        proofs: challenge.proofs,
        binding: None,
        known_device: challenge.device.is_some(),
        device: challenge.device,
        refresh: None,
    };
    let done = match app.commands().log_in(user.tenant, &origin, user.user, begin, login_rules(app)).await {
        Err(CommandError::Rejected(Rejection::Locked { until })) => return Err(LoginError::locked(until, now)),
        Err(CommandError::Rejected(Rejection::TooManySessions)) => return Err(LoginError::TooManySessions),
        Err(CommandError::Rejected(Rejection::UserDisabled | Rejection::AlreadyExists | Rejection::ProofUsed)) => {
            return Err(LoginError::Wrong);
        }
        other => other?,
    };
    let receipt = done.receipts.into_iter().next_back().ok_or(CommandError::Internal("a login without an event"))?;
    // The next request carries the token, so the view must know the session by then.
    app.seen(&receipt).await?;
    let access = app.tokens().issue(user.user, session, user.tenant, now)?;
    Ok(Begun { session, access, device: None, receipt })
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
