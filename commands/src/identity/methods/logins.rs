//! Logging in, failing to, and proving once more who one is.

use jiff::Timestamp;
use wardbook_events::identity::{Factor, Proof};
use wardbook_events::{SessionId, TenantId, UserId};
use wardbook_policy::{Action, Permit};

use super::{allowed, ended_by, locked_by};
use crate::authority::own_context;
use crate::error::CommandError;
use crate::executor::{Commands, Done};
use crate::identity::logins::{self, Begin, LoginRules};
use crate::origin::Origin;
use crate::rejection::Rejection;

impl Commands {
    /// Everything that was asked for was proved: a session begins. The value names the sessions that made room for it.
    ///
    /// # Errors
    /// [`Rejection::UserDisabled`], [`Rejection::Locked`], [`Rejection::ProofUsed`], [`Rejection::TooManySessions`],
    /// [`Rejection::AlreadyExists`] (the session began before) among others.
    pub async fn log_in(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        begin: Begin,
        rules: LoginRules,
    ) -> Result<Done<Vec<SessionId>>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("log-in", &(user, begin.session))?;
        let done = self.on_user(context, origin, user, bytes, move |found| {
            Ok(logins::log_in(found.was()?, user, begin.clone(), rules, &context)?)
        });
        self.told(done.await?, ended_by).await
    }

    /// Something that was asked for was wrong. The value is until when this kind of device is locked out, if it is: by
    /// this failure, or, without a receipt, by those before.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn fail_login(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        factor: Factor,
        known_device: bool,
        rules: LoginRules,
    ) -> Result<Done<Option<Timestamp>>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("fail-login", &(user, factor))?;
        let done = self.on_user(context, origin, user, bytes, move |found| {
            Ok(logins::fail(found.was()?, user, factor, known_device, rules, &context)?)
        });
        match done.await {
            Ok(done) => self.told(done, locked_by).await,
            Err(CommandError::Rejected(Rejection::Locked { until })) => {
                Ok(Done { value: Some(until), receipts: Vec::new(), stream_version: 0 })
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a lock before its time, and forgets the failures. Permit: `ManageSessions`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn unlock_account(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
    ) -> Result<Done<()>, CommandError> {
        let context = allowed(permit, origin, Action::ManageSessions)?;
        let bytes = origin.known_by("unlock-account", &user)?;
        self.on_user(context, origin, user, bytes, move |found| {
            Ok(logins::unlock_account(found.was()?, user, &context))
        })
        .await
    }

    /// Somebody proved once more, within a session, who it is (IAM-09).
    ///
    /// # Errors
    /// [`Rejection::ProofUsed`], [`Rejection::SessionEnded`], [`Rejection::Locked`] among others.
    pub async fn step_up(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
        proof: Proof,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("step-up", &(user, session, &proof))?;
        self.on_user(context, origin, user, bytes, move |found| {
            Ok(logins::step_up(found.was()?, user, session, proof.clone(), &context)?)
        })
        .await
    }
}
