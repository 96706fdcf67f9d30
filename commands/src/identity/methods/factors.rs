//! Passwords, second factors and the codes that are sent.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use wardbook_events::alerts::Channel;
use wardbook_events::identity::{CodeSent, PasswordSet, Removed};
use wardbook_events::{ChallengeId, Ciphertext, PasskeyId, TenantId, UserId};
use wardbook_policy::{Action, Permit};
use zeroize::Zeroizing;

use super::{
    CODE_PURPOSE, PASSKEY_PURPOSE, PASSWORD_PURPOSE, PIN_PURPOSE, RECOVERY_PURPOSE, TOTP_PURPOSE, allowed, managing,
    own_or,
};
use crate::authority::own_context;
use crate::error::CommandError;
use crate::executor::{Commands, Done};
use crate::identity::factors::{self, SetBy};
use crate::origin::Origin;

/// An Argon2id hash in PHC form. Not printed: it is what a thief would guess against.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a hash that was made with Argon2id (IAM-02); `None` for anything else.
    #[must_use]
    pub fn new(phc: &str) -> Option<Self> {
        (phc.starts_with("$argon2id$") && phc.len() <= 512).then(|| Self(phc.to_owned()))
    }
    pub(super) const fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A code that is about to be sent.
#[derive(Clone)]
pub struct SendCode {
    /// What it answers.
    pub challenge: ChallengeId,
    /// Where it is sent.
    pub channel: Channel,
    /// SHA-256 of the code (hex).
    pub hash: String,
    /// When it is good no longer: within a day.
    pub expires_at: Timestamp,
}

/// A code of six characters is soon guessed from its hash.
impl fmt::Debug for SendCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendCode({})", self.challenge)
    }
}

impl Commands {
    /// Sets another's password; all sessions of that user end. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn set_password(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        hash: PasswordHash,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        let bytes = origin.known_by("set-password", &user)?;
        self.on_user(context, origin, user, bytes, move |found| {
            let hash = found.seal(PASSWORD_PURPOSE, hash.bytes())?;
            Ok(factors::set_password(found.was()?, user, hash, SetBy::Another, &context)?)
        })
        .await
    }

    /// The same password, hashed with newer parameters; nothing ends. Nothing happens if `old`, the sealed hash that it
    /// was checked against, is not the user's any more.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn rehash_password(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        old: Ciphertext,
        hash: PasswordHash,
    ) -> Result<Done<()>, CommandError> {
        let bytes = origin.known_by("rehash-password", &user)?;
        self.on_user(own_context(tenant, origin), origin, user, bytes, move |found| {
            if found.was()?.password.as_ref() != Some(&old) {
                return Ok(Vec::new());
            }
            let hash = found.seal(PASSWORD_PURPOSE, hash.bytes())?;
            Ok(vec![PasswordSet { user, hash }.into()])
        })
        .await
    }

    /// Changes one's own password; all sessions but the one it is done in (`origin.client.session`) end.
    /// Permit: `ChangeOwnCredentials`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn change_password(
        &self,
        permit: &Permit,
        origin: &Origin,
        hash: PasswordHash,
    ) -> Result<Done<()>, CommandError> {
        let context = allowed(permit, origin, Action::ChangeOwnCredentials)?;
        let (user, session) = (permit.user(), origin.client.session);
        let bytes = origin.known_by("change-password", &user)?;
        self.on_user(context, origin, user, bytes, move |found| {
            let hash = found.seal(PASSWORD_PURPOSE, hash.bytes())?;
            Ok(factors::set_password(found.was()?, user, hash, SetBy::Oneself(session), &context)?)
        })
        .await
    }

    /// Somebody who knows the name asked for a new password. `token_hash` is the SHA-256 (hex) of what is to be sent.
    /// Nothing happens, and nothing is to be sent, within [`crate::identity::RESET_PAUSE`] after the last time.
    ///
    /// # Errors
    /// [`crate::Rejection::UserDisabled`], [`crate::Rejection::WrongAccountKind`] among others.
    pub async fn request_reset(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        token_hash: String,
        expires_at: Timestamp,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("request-reset", &(user, &token_hash))?;
        self.on_user(context, origin, user, bytes, move |found| {
            Ok(factors::request_reset(found.was()?, user, (token_hash.clone(), expires_at), &context)?)
        })
        .await
    }

    /// The token of a reset came back: the password is set, once, and all sessions end.
    ///
    /// # Errors
    /// [`crate::Rejection::ResetEnded`] among others.
    pub async fn reset_password(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        token_hash: String,
        hash: PasswordHash,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("reset-password", &(user, &token_hash))?;
        self.on_user(context, origin, user, bytes, move |found| {
            factors::check_reset(found.was()?, &token_hash, &context)?;
            let hash = found.seal(PASSWORD_PURPOSE, hash.bytes())?;
            Ok(factors::set_password(found.was()?, user, hash, SetBy::Another, &context)?)
        })
        .await
    }

    /// Sets the PIN of the device that the session (`origin.client.session`) is on, in the place of the one before.
    /// Permit: `ChangeOwnCredentials`.
    ///
    /// # Errors
    /// [`crate::Rejection::NoDevice`], [`crate::Rejection::SessionEnded`] among others.
    pub async fn set_pin(
        &self,
        permit: &Permit,
        origin: &Origin,
        hash: PasswordHash,
    ) -> Result<Done<()>, CommandError> {
        let context = allowed(permit, origin, Action::ChangeOwnCredentials)?;
        let (user, session) = (permit.user(), origin.client.session.ok_or(crate::Rejection::SessionEnded)?);
        let bytes = origin.known_by("set-pin", &(user, session))?;
        self.on_user(context, origin, user, bytes, move |found| {
            let hash = found.seal(PIN_PURPOSE, hash.bytes())?;
            Ok(factors::set_pin(found.was()?, user, session, hash, &context)?)
        })
        .await
    }

    /// Enrols an authenticator app, a code of which was right, in the place of the one before.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn enrol_totp(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        secret: &[u8],
    ) -> Result<Done<()>, CommandError> {
        let secret = Zeroizing::new(secret.to_vec());
        let bytes = origin.known_by("enrol-totp", &user)?;
        self.on_user(own_context(tenant, origin), origin, user, bytes, move |found| {
            let secret = found.seal(TOTP_PURPOSE, &secret)?;
            Ok(factors::enrol_totp(found.was()?, user, secret)?)
        })
        .await
    }

    /// Enrols a passkey. `credential_json` is what is needed to know it again.
    ///
    /// # Errors
    /// [`crate::Rejection::TooMany`], [`crate::Rejection::BadLabel`] among others.
    pub async fn enrol_passkey(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        passkey: PasskeyId,
        name: String,
        credential_json: String,
    ) -> Result<Done<()>, CommandError> {
        let bytes = origin.known_by("enrol-passkey", &(user, passkey, &name))?;
        self.on_user(own_context(tenant, origin), origin, user, bytes, move |found| {
            let credential = found.seal(PASSKEY_PURPOSE, credential_json.as_bytes())?;
            Ok(factors::enrol_passkey(found.was()?, user, (passkey, name.clone(), credential))?)
        })
        .await
    }

    /// Enrols a way of sending codes, as a code that was sent there came back.
    ///
    /// # Errors
    /// [`crate::Rejection::NoContact`] among others.
    pub async fn enrol_channel(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        channel: Channel,
    ) -> Result<Done<()>, CommandError> {
        let bytes = origin.known_by("enrol-channel", &(user, channel))?;
        self.on_user(own_context(tenant, origin), origin, user, bytes, move |found| {
            Ok(factors::enrol_channel(found.was()?, user, channel)?)
        })
        .await
    }

    /// New recovery codes take the place of the ones before. `hashes`: SHA-256 (hex) of each, in order; 20 at most.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn issue_recovery_codes(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        hashes: Vec<String>,
    ) -> Result<Done<()>, CommandError> {
        let bytes = origin.known_by("issue-recovery-codes", &user)?;
        let json = serde_json::to_vec(&hashes).map_err(|_| CommandError::Internal("hashes have no json form"))?;
        self.on_user(own_context(tenant, origin), origin, user, bytes, move |found| {
            let sealed = found.seal(RECOVERY_PURPOSE, &json)?;
            Ok(factors::issue_recovery_codes(found.was()?, user, hashes.len(), sealed)?)
        })
        .await
    }

    /// Takes a factor away; nothing happens if there is none. Permit: `ChangeOwnCredentials` for oneself; `ManageUsers`,
    /// and then all sessions end.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn remove_factor(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        removed: Removed,
    ) -> Result<Done<()>, CommandError> {
        let (context, own) = own_or(permit, origin, user, Action::ManageUsers)?;
        let bytes = origin.known_by("remove-factor", &(user, removed))?;
        self.on_user(context, origin, user, bytes, move |found| {
            Ok(factors::remove_factor(found.was()?, user, removed, own, &context))
        })
        .await
    }

    /// A code is about to be sent: told first, so that none counts that the ledger does not know.
    ///
    /// # Errors
    /// [`crate::Rejection::NoContact`] among others.
    pub async fn send_code(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        code: SendCode,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("send-code", &(user, code.challenge, code.channel))?;
        self.on_user(context, origin, user, bytes, move |found| {
            let SendCode { challenge, channel, expires_at, .. } = code;
            let code = found.seal(CODE_PURPOSE, code.hash.as_bytes())?;
            let sent = CodeSent { user, challenge, channel, code, expires_at };
            Ok(factors::send_code(found.was()?, sent, &context)?)
        })
        .await
    }
}
