//! The life of a session, from its first renewed token to its end.

use jiff::Timestamp;
use wardbook_events::identity::{EndReason, IdentityEvent, Proof, session_stream, stream};
use wardbook_events::{Event, SessionId, TenantId, UserId};
use wardbook_policy::{Action, Permit};

use super::{allowed, ended_by};
use crate::authority::own_context;
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::identity::sessions::{self, Renewal, SessionState, Which};
use crate::identity::state::{State, User};
use crate::origin::Origin;
use crate::rejection::Rejection;

impl Commands {
    /// A refresh token (`old_hash`, hex) is used and `new_hash` takes its place. One that was used before ends all of the
    /// user's sessions (IAM-11).
    ///
    /// # Errors
    /// [`Rejection::SessionEnded`] if the session is not live or the token was never one of its own; no event tells of it.
    pub async fn refresh(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
        old_hash: String,
        new_hash: String,
    ) -> Result<Done<Renewal>, CommandError> {
        let bytes = origin.known_by("refresh", &(user, session, &old_hash))?;
        let about = (user, session);
        let done = self.on_session(tenant, origin, about, bytes, move |was, state, context| {
            sessions::refresh(was, state, about, (&old_hash, new_hash.clone()), context)
        });
        let renewal = |events: &[Event]| match events.first() {
            Some(Event::Identity(IdentityEvent::RefreshTokenReused(_))) => Renewal::Stolen(ended_by(events)),
            _ => Renewal::Renewed,
        };
        self.told(done.await?, renewal).await
    }

    /// A session ends; nothing happens if it has ended already.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn log_out(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
    ) -> Result<Done<()>, CommandError> {
        let bytes = origin.known_by("log-out", &(user, session))?;
        self.on_user(own_context(tenant, origin), origin, user, bytes, move |found| {
            Ok(sessions::log_out(found.was()?, user, session))
        })
        .await
    }

    /// Ends sessions of a user, at the user's own wish or because Wardbook must. The value names those that were live.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn end_sessions(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        which: Which,
        reason: EndReason,
    ) -> Result<Done<Vec<SessionId>>, CommandError> {
        self.end(own_context(tenant, origin), origin, user, which, reason).await
    }

    /// Ends sessions of another user. Permit: `ManageSessions`. The value names those that were live.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn end_sessions_of(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        which: Which,
    ) -> Result<Done<Vec<SessionId>>, CommandError> {
        let context = allowed(permit, origin, Action::ManageSessions)?;
        self.end(context, origin, user, which, EndReason::Administrator).await
    }

    async fn end(
        &self,
        context: Context,
        origin: &Origin,
        user: UserId,
        which: Which,
        reason: EndReason,
    ) -> Result<Done<Vec<SessionId>>, CommandError> {
        let bytes = origin.known_by("end-sessions", &(user, &which, reason))?;
        let done = self.on_user(context, origin, user, bytes, move |found| {
            Ok(sessions::ended(found.was()?, user, &which, reason, &context).into_iter().collect())
        });
        self.told(done.await?, ended_by).await
    }

    /// A session was in use; nothing happens if it is locked.
    ///
    /// # Errors
    /// [`Rejection::SessionEnded`] among others.
    pub async fn session_seen(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
    ) -> Result<Done<()>, CommandError> {
        let (about, bytes) = ((user, session), origin.known_by("session-seen", &(user, session))?);
        self.on_session(tenant, origin, about, bytes, move |was, state, context| {
            sessions::seen(was, state, about, context)
        })
        .await
    }

    /// The screen of a session is locked (IAM-17); nothing happens if it is already.
    ///
    /// # Errors
    /// [`Rejection::SessionEnded`] among others.
    pub async fn lock_session(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
    ) -> Result<Done<()>, CommandError> {
        let (about, bytes) = ((user, session), origin.known_by("lock-session", &(user, session))?);
        self.on_session(tenant, origin, about, bytes, move |was, state, context| {
            sessions::lock(was, state, about, context)
        })
        .await
    }

    /// The user is back; nothing happens, and the proof still counts, if the session is not locked. A proof other than
    /// the password is a step-up as well.
    ///
    /// # Errors
    /// [`Rejection::ProofUsed`], [`Rejection::SessionEnded`], [`Rejection::Locked`] among others.
    pub async fn unlock_session(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
        proof: Proof,
    ) -> Result<Done<()>, CommandError> {
        let (about, bytes) = ((user, session), origin.known_by("unlock-session", &(user, session, &proof))?);
        self.on_session(tenant, origin, about, bytes, move |was, state, context| {
            sessions::unlock(was, state, about, proof.clone(), context)
        })
        .await
    }

    /// A session may be idle for longer until then (IAM-18).
    ///
    /// # Errors
    /// [`Rejection::SessionEnded`] among others.
    pub async fn set_documentation_mode(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
        until: Timestamp,
    ) -> Result<Done<()>, CommandError> {
        let (about, bytes) = ((user, session), origin.known_by("documentation-mode", &(user, session, until))?);
        self.on_session(tenant, origin, about, bytes, move |was, _, context| {
            sessions::set_documentation_mode(was, about, until, context)
        })
        .await
    }

    async fn on_session(
        &self,
        tenant: TenantId,
        origin: &Origin,
        (user, session): (UserId, SessionId),
        bytes: Vec<u8>,
        decide: impl Fn(&User, &SessionState, &Context) -> Result<Vec<Event>, Rejection> + Send + Sync + 'static,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        self.run(Task::new(context, origin, session_stream(session), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            let life = desk.load::<SessionState>(&session_stream(session))?;
            Ok(decide(state.within(tenant)?, &life, &context)?)
        })
        .await
    }
}
