//! Accounts elsewhere, and the keys of programs.

use jiff::Timestamp;
use wardbook_events::identity::{ApiKeyIssued, KnownBy, external_stream, stream};
use wardbook_events::{ApiKeyId, UserId};
use wardbook_policy::{Action, Permit};

use super::{allowed, managing, own_or};
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::identity::accounts::{self, check_hash};
use crate::identity::externals::{self, Holder};
use crate::identity::state::State;
use crate::origin::Origin;

/// An API key that was made.
#[derive(Debug, Clone, serde::Serialize)]
pub struct IssueApiKey {
    /// The key's id, a part of the key.
    pub key: ApiKeyId,
    /// What the user calls it: 1 to 64 characters.
    pub name: String,
    /// SHA-256 (hex) of the key's secret part, which has 256 random bits.
    pub secret_hash: String,
    /// What it may be used for: names of actions.
    pub scopes: Vec<String>,
    /// When it is good no longer: within a year.
    pub expires_at: Timestamp,
}

impl Commands {
    /// Lets a user log in with an account elsewhere. `subject_hash`: keyed hash (64 hex digits) of provider and subject.
    /// Permit: `ManageUsers`.
    ///
    /// # Errors
    /// [`crate::Rejection::ExternalTaken`] among others.
    pub async fn link_external(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        provider: String,
        subject_hash: String,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        check_hash(&subject_hash)?; // before it becomes part of a stream's name
        let elsewhere = external_stream(&subject_hash);
        let bytes = origin.known_by("link-external", &(user, &provider, &subject_hash))?;
        self.run(Task::new(context, origin, elsewhere.clone(), bytes, ()), move |desk| {
            desk.load::<State>(&stream(user))?.within(context.tenant)?;
            let holder = desk.load::<Holder>(&elsewhere)?;
            Ok(externals::link(&holder, user, &provider, &subject_hash)?)
        })
        .await
    }

    /// Lets a user no longer log in so; all sessions end. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if it is not this user's.
    pub async fn unlink_external(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        provider: String,
        subject_hash: String,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        check_hash(&subject_hash)?;
        let elsewhere = external_stream(&subject_hash);
        let bytes = origin.known_by("unlink-external", &(user, &provider, &subject_hash))?;
        self.run(Task::new(context, origin, elsewhere.clone(), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            let was = state.within(context.tenant)?;
            let holder = desk.load::<Holder>(&elsewhere)?;
            Ok(externals::unlink(was, &holder, user, (&provider, &subject_hash), &context)?)
        })
        .await
    }

    /// Sets the public key (RFC 7517) that a program signs its assertions with, and what its tokens may be used for; its
    /// sessions end. Permit: `ManageServices`.
    ///
    /// # Errors
    /// [`crate::Rejection::BadKey`], [`crate::Rejection::BadScope`] among others.
    pub async fn set_service_key(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        jwk: String,
        scopes: Vec<String>,
    ) -> Result<Done<()>, CommandError> {
        let context = allowed(permit, origin, Action::ManageServices)?;
        let bytes = origin.known_by("set-service-key", &(user, &jwk, &scopes))?;
        self.on_user(context, origin, user, bytes, move |found| {
            Ok(accounts::set_service_key(found.was()?, user, (jwk.clone(), scopes.clone()), &context)?)
        })
        .await
    }

    /// Sets by what the certificate is known that a program shows, and what its tokens may be used for; its sessions end.
    /// Permit: `ManageServices`.
    ///
    /// # Errors
    /// [`crate::Rejection::BadCertificateName`], [`crate::Rejection::BadScope`] among others.
    pub async fn set_service_certificate(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        certificate: KnownBy,
        scopes: Vec<String>,
    ) -> Result<Done<()>, CommandError> {
        let context = allowed(permit, origin, Action::ManageServices)?;
        let bytes = origin.known_by("set-service-certificate", &(user, &certificate, &scopes))?;
        self.on_user(context, origin, user, bytes, move |found| {
            let set = (certificate.clone(), scopes.clone());
            Ok(accounts::set_service_certificate(found.was()?, user, set, &context)?)
        })
        .await
    }

    /// Tells of a new API key. Permit: `ManageServices`, or `ChangeOwnCredentials` for oneself.
    ///
    /// # Errors
    /// [`crate::Rejection::BadKeyLife`], [`crate::Rejection::BadScope`], [`crate::Rejection::TooMany`] among others.
    pub async fn issue_api_key(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        command: IssueApiKey,
    ) -> Result<Done<()>, CommandError> {
        let (context, _) = own_or(permit, origin, user, Action::ManageServices)?;
        let bytes = origin.known_by("issue-api-key", &(user, &command))?;
        self.on_user(context, origin, user, bytes, move |found| {
            let IssueApiKey { key, name, secret_hash: secret, scopes, expires_at } = command.clone();
            let issued = ApiKeyIssued { user, key, name, secret, scopes, expires_at };
            Ok(accounts::issue_key(found.was()?, issued, &context)?)
        })
        .await
    }

    /// Ends an API key. Permit: `ManageServices`, or `ChangeOwnCredentials` for oneself.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] if there is no such key.
    pub async fn revoke_api_key(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        key: ApiKeyId,
    ) -> Result<Done<()>, CommandError> {
        let (context, _) = own_or(permit, origin, user, Action::ManageServices)?;
        let bytes = origin.known_by("revoke-api-key", &(user, key))?;
        self.on_user(context, origin, user, bytes, move |found| Ok(accounts::revoke_key(found.was()?, user, key)?))
            .await
    }
}
