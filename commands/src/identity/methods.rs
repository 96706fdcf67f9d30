//! How the commands are carried out.
//!
//! Logging in and what belongs to it takes no permit: what a password or a live session proves is known before policy can
//! be asked. Whoever calls these has checked the proofs themselves; that they count is decided here.

use std::sync::Arc;

use jiff::Timestamp;
use wardbook_events::identity::{IdentityEvent, StrangersCounted, stream};
use wardbook_events::{Ciphertext, Event, EventId, SessionId, TenantId, UserId};
use wardbook_keys::Keys;
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit};

use super::state::{State, User};
use crate::authority::{Authority, own_context};
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Desk, Done, Task};
use crate::origin::Origin;
use crate::rejection::Rejection;

mod accounts;
mod factors;
mod keys;
mod logins;
mod places;
mod sessions;

pub use accounts::CreateUser;
pub use factors::{PasswordHash, SendCode};
pub use keys::IssueApiKey;

/// What a password's hash is sealed for; opening it takes the same words.
pub const PASSWORD_PURPOSE: &str = "password-hash";
/// What a PIN's hash is sealed for.
pub const PIN_PURPOSE: &str = "pin-hash";
/// What the secret of an authenticator app is sealed for.
pub const TOTP_PURPOSE: &str = "totp-secret";
/// What a passkey's public key is sealed for.
pub const PASSKEY_PURPOSE: &str = "passkey-credential";
/// What the list of hashes of recovery codes is sealed for.
pub const RECOVERY_PURPOSE: &str = "recovery-codes";
/// What the hash of a sent code is sealed for.
pub const CODE_PURPOSE: &str = "sent-code";
/// What an e-mail address or a telephone number is sealed for.
pub const CONTACT_PURPOSE: &str = "contact";

fn seal(keys: &Keys, tenant: TenantId, user: UserId, purpose: &str, secret: &[u8]) -> Result<Ciphertext, CommandError> {
    Ok(keys.seal_secret(tenant, &stream(user), purpose, secret)?)
}

/// A user as one attempt found it.
struct Found<'a, 'b> {
    desk: &'a mut Desk<'b>,
    state: Arc<State>,
    user: UserId,
    context: Context,
}

impl Found<'_, '_> {
    fn was(&self) -> Result<&User, Rejection> {
        self.state.within(self.context.tenant)
    }
    fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Ciphertext, CommandError> {
        seal(self.desk.keys, self.context.tenant, self.user, purpose, secret)
    }
}

impl Commands {
    /// Changes a user by what `decide` says of the user as it is. `bytes` are those by which the command is known again.
    async fn on_user(
        &self,
        context: Context,
        origin: &Origin,
        user: UserId,
        bytes: Vec<u8>,
        decide: impl Fn(&mut Found<'_, '_>) -> Result<Vec<Event>, CommandError> + Send + Sync + 'static,
    ) -> Result<Done<()>, CommandError> {
        self.run(Task::new(context, origin, stream(user), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            decide(&mut Found { desk, state, user, context })
        })
        .await
    }

    /// What the events of a command tell besides.
    async fn told<T>(&self, done: Done<()>, tell: impl Fn(&[Event]) -> T) -> Result<Done<T>, CommandError> {
        let events = self.events_of(&done.receipts).await?;
        Ok(Done { value: tell(&events), receipts: done.receipts, stream_version: done.stream_version })
    }

    /// Tells how often strangers tried in one minute. `id` is the event's own.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn count_strangers(
        &self,
        tenant: TenantId,
        origin: &Origin,
        id: EventId,
        counted: StrangersCounted,
    ) -> Result<Receipt, CommandError> {
        self.append_one(counted.into(), id, &own_context(tenant, origin), origin).await
    }
}

/// The sessions that these events ended.
fn ended_by(events: &[Event]) -> Vec<SessionId> {
    let ended = events.iter().filter_map(|event| match event {
        Event::Identity(IdentityEvent::SessionsEnded(e)) => Some(e.sessions.as_slice()),
        _ => None,
    });
    ended.flatten().copied().collect()
}

/// Until when these events locked the account, if they did.
fn locked_by(events: &[Event]) -> Option<Timestamp> {
    events.iter().find_map(|event| match event {
        Event::Identity(IdentityEvent::AccountLocked(e)) => Some(e.until),
        _ => None,
    })
}

fn managing(permit: &Permit, origin: &Origin) -> Result<Context, CommandError> {
    allowed(permit, origin, Action::ManageUsers)
}

fn allowed(permit: &Permit, origin: &Origin, action: Action) -> Result<Context, CommandError> {
    Ok(Authority::new(permit, origin, |allowed| allowed == action)?.context())
}

/// For one's own account `ChangeOwnCredentials` is enough, for another's it takes `action`. Whether it is one's own.
fn own_or(permit: &Permit, origin: &Origin, user: UserId, action: Action) -> Result<(Context, bool), CommandError> {
    let own = permit.action() == Action::ChangeOwnCredentials && permit.user() == user;
    Ok((Authority::new(permit, origin, |allowed| own || allowed == action)?.context(), own))
}
