//! Proving once more who one is, within a session: to do what takes a fresh proof (IAM-09), or to unlock it (IAM-17).

use jiff::Timestamp;
use secrecy::SecretString;
use wardbook_commands::identity::PIN_PURPOSE;
use wardbook_commands::{CommandError, Rejection};
use wardbook_events::identity::{self, Factor, Proof};
use wardbook_events::{Ciphertext, TenantId};
use wardbook_ledger::Receipt;
use wardbook_projections::identity::{Session, User};

use crate::app::App;
use crate::challenge::{Challenge, Wish};
use crate::login::{Asked, LoginError, Next, Visitor, failed, has_password, proved, refuse_locked};
use crate::proofs::{self, Presented, ProofError};
use crate::sessions::standing::{after, locked_since};

/// What somebody proves it with.
#[derive(Debug)]
pub enum Answer {
    /// The password.
    Password(SecretString),
    /// The PIN of the device: it unlocks, and is no fresh proof.
    Pin(SecretString),
    /// Anything else.
    Factor(Presented),
}

/// Asks for a proof within a session.
///
/// # Errors
/// If the challenge cannot be sealed.
pub fn ask(app: &App, user: &User, session: &Session, wish: Wish) -> Result<Asked, LoginError> {
    let challenge = Challenge::within(app, user.tenant, user.user, session.session, wish)?;
    let mut methods = proofs::methods(app, user);
    if wish == Wish::Unlock || methods.is_empty() {
        methods.push(Factor::Password);
    }
    if wish == Wish::Unlock && pin_of(app, user, session).is_some() {
        methods.push(Factor::Pin);
    }
    if user.passkeys.is_empty() {
        return Ok(Asked { next: Next::SecondFactor, challenge: challenge.seal(app)?, methods, passkey: None });
    }
    proved::ask(app, user, challenge, methods)
}

/// Takes the answer, and gives until when it counts as fresh.
///
/// # Errors
/// [`LoginError::Wrong`] or [`LoginError::Locked`] for everything that is the caller's fault; failures count as failed
/// logins.
pub async fn step_up(
    app: &App,
    user: &User,
    session: &Session,
    challenge: &str,
    answer: Answer,
    visitor: &Visitor,
) -> Result<(Timestamp, Option<Receipt>), LoginError> {
    let challenge = opened(app, user, session, Wish::StepUp, Some(challenge))?;
    // It is good for one step-up only: what was proved since it was made may have been proved with it.
    if session.proven_at > challenge.made_at {
        return Err(LoginError::Wrong);
    }
    let with_password = matches!(answer, Answer::Password(_));
    if matches!(answer, Answer::Pin(_)) || (with_password && !proofs::methods(app, user).is_empty()) {
        return Err(LoginError::Wrong);
    }
    let proof = checked(app, user, session, &challenge, answer, visitor).await?;
    let factor = proof.factor();
    let mut origin = visitor.origin(app, user)?;
    origin.client.session = Some(session.session);
    let done = app.commands().step_up(user.tenant, &origin, user.user, session.session, proof).await;
    let done = match done {
        Err(error) => return Err(refused(app, user, session, factor, visitor, error).await),
        Ok(done) => done,
    };
    let receipt = done.receipts.into_iter().next_back();
    if let Some(receipt) = &receipt {
        app.seen(receipt).await?;
    }
    Ok((after(app.now(), app.config().sessions.step_up_s), receipt))
}

/// Takes the answer, and the session goes on.
///
/// # Errors
/// As [`step_up`].
pub async fn unlock(
    app: &App,
    user: &User,
    session: &Session,
    challenge: Option<&str>,
    answer: Answer,
    visitor: &Visitor,
) -> Result<Option<Receipt>, LoginError> {
    let challenge = opened(app, user, session, Wish::Unlock, challenge)?;
    let used = app.in_use().get(session, app.now());
    let since = locked_since(session, used.called_at(), app.now(), &app.config().sessions);
    // A challenge that was made before the screen was locked may have been redeemed for the time before.
    if since.is_some_and(|since| challenge.made_at < since) {
        return Err(LoginError::Wrong);
    }
    let proof = checked(app, user, session, &challenge, answer, visitor).await?;
    let factor = proof.factor();
    let (tenant, id) = (user.tenant, session.session);
    let origin = || {
        let mut origin = visitor.origin(app, user)?;
        origin.client.session = Some(id);
        Ok::<_, LoginError>(origin)
    };
    // Each command has ids of its own.
    let (first, second) = (origin()?, origin()?);
    let unlocked = async {
        // One that was merely idle is locked first: that it was, and that it is no more, both stand in the trail.
        app.commands().lock_session(tenant, &first, user.user, id).await?;
        app.commands().unlock_session(tenant, &second, user.user, id, proof).await
    };
    let done = match unlocked.await {
        Err(error) => return Err(refused(app, user, session, factor, visitor, error).await),
        Ok(done) => done,
    };
    let _ = used.call(app.now(), u32::MAX);
    let receipt = done.receipts.into_iter().next_back();
    if let Some(receipt) = &receipt {
        app.seen(receipt).await?;
    }
    Ok(receipt)
}

/// The challenge, if it is this session's and for this; a new one if none is given, for proofs that need none.
fn opened(app: &App, user: &User, session: &Session, wish: Wish, text: Option<&str>) -> Result<Challenge, LoginError> {
    let Some(text) = text else {
        return Ok(Challenge::within(app, user.tenant, user.user, session.session, wish)?);
    };
    let challenge = Challenge::open(app, text)?;
    let of = |challenge: &Challenge| -> (TenantId, _, _, _) {
        (challenge.tenant, challenge.user, challenge.session, challenge.wish)
    };
    let fits = of(&challenge) == (user.tenant, user.user, session.session, wish);
    if fits { Ok(challenge) } else { Err(LoginError::Wrong) }
}

async fn checked(
    app: &App,
    user: &User,
    session: &Session,
    challenge: &Challenge,
    answer: Answer,
    visitor: &Visitor,
) -> Result<Proof, LoginError> {
    let known_device = session.device.is_some();
    refuse_locked(app, user, known_device)?;
    let (factor, proof) = match answer {
        Answer::Password(password) => {
            let fits = has_password(app, user, password).await?;
            (Factor::Password, if fits { Ok(Proof::Password) } else { Err(ProofError::Wrong) })
        }
        Answer::Pin(pin) => {
            let (device, sealed) = pin_of(app, user, session).unzip();
            let fits =
                app.passwords().verify(pin, sealed.map_or(Ok(None), |sealed| open_pin(app, user, sealed))?).await?;
            (Factor::Pin, device.filter(|_| fits).map(|device| Proof::Pin { device }).ok_or(ProofError::Wrong))
        }
        Answer::Factor(presented) => (presented.factor(), proofs::verify(app, user, challenge, presented).await),
    };
    match proof {
        Ok(proof) => Ok(proof),
        Err(ProofError::Wrong) => Err(failed(app, user, factor, known_device, visitor).await),
        Err(error) => Err(error.into()),
    }
}

/// The device of the session and its PIN, sealed, if it has one.
fn pin_of<'u>(app: &App, user: &'u User, session: &Session) -> Option<(String, &'u Ciphertext)> {
    let device = session.device.clone().filter(|_| app.config().sessions.pin_unlock)?;
    let sealed = user.pins.get(&device)?;
    Some((device, sealed))
}

fn open_pin(app: &App, user: &User, sealed: &Ciphertext) -> Result<Option<SecretString>, LoginError> {
    let opened = app.keys().open_secret(user.tenant, &identity::stream(user.user), PIN_PURPOSE, sealed)?;
    // PHC strings are ASCII; anything else matches no PIN.
    Ok(std::str::from_utf8(&opened).ok().map(SecretString::from))
}

/// What the write side refused.
async fn refused(
    app: &App,
    user: &User,
    session: &Session,
    factor: Factor,
    visitor: &Visitor,
    error: CommandError,
) -> LoginError {
    match error {
        CommandError::Rejected(Rejection::ProofUsed) => {
            failed(app, user, factor, session.device.is_some(), visitor).await
        }
        CommandError::Rejected(Rejection::Locked { until }) => LoginError::locked(until, app.now()),
        CommandError::Rejected(Rejection::SessionEnded) => LoginError::Wrong,
        other => other.into(),
    }
}
