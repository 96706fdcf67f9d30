//! Passkeys (WebAuthn level 2): the key stays in the device, and what it signs is good for our origin only.
//!
//! The state of a ceremony travels in the sealed challenge. That the counter grows is decided on the write side, where no
//! two logins can pass at once.

use serde_json::Value;
use uuid::Uuid;
use wardbook_commands::identity::PASSKEY_PURPOSE;
use wardbook_events::UserId;
use wardbook_events::identity::{self, Proof};
use wardbook_keys::SecretError;
use wardbook_projections::identity::User;
use webauthn_rs::prelude::{
    CreationChallengeResponse, DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse, Url, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::app::App;
use crate::config;

/// Why the settings of passkeys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("webauthn.origin must be a URL whose host is webauthn.rp_id or below it: {0}")]
pub struct SetupError(String);

/// Why a ceremony was not begun or finished.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The device's answer is not good: wrong key, wrong origin, wrong challenge, or no answer at all.
    #[error("the passkey did not prove it")]
    Wrong,
    /// The user has none, or not this one.
    #[error("no such passkey is enrolled")]
    None,
    /// A stored passkey could not be opened.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A ceremony's state or options have no JSON form.
    #[error("a passkey ceremony could not be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The ceremony could not be begun.
    #[error("a passkey ceremony could not be begun: {0}")]
    Begin(WebauthnError),
}

/// What a ceremony begins with.
pub struct Begun {
    /// For the browser: the argument of `navigator.credentials.create` or `get`.
    pub options: Value,
    /// For the challenge, sealed.
    pub state: Value,
}

/// What the settings say.
///
/// # Errors
/// If origin and id do not fit together.
pub fn set_up(config: &config::Webauthn) -> Result<Webauthn, SetupError> {
    let origin = Url::parse(&config.origin).map_err(|e| SetupError(e.to_string()))?;
    let builder = WebauthnBuilder::new(&config.rp_id, &origin).map_err(|e| SetupError(e.to_string()))?;
    builder.rp_name(&config.name).build().map_err(|e| SetupError(e.to_string()))
}

/// Begins the enrolment of one more passkey; those enrolled already are left out.
///
/// # Errors
/// If a stored one cannot be opened.
pub fn begin_enrolment(app: &App, user: &User) -> Result<Begun, PasskeyError> {
    let known = stored(app, user)?.into_iter().map(|(_, passkey)| passkey.cred_id().clone()).collect();
    let (options, state): (CreationChallengeResponse, PasskeyRegistration) = app
        .webauthn()
        .start_passkey_registration(Uuid::from_bytes(*user.user.bytes()), &user.username, &user.username, Some(known))
        .map_err(PasskeyError::Begin)?;
    let mut options = serde_json::to_value(options)?;
    // A device that keeps the passkey where it finds it by itself can log in without a name (decision 19); one that has no
    // room for it is a second factor all the same.
    if let Some(Value::Object(selection)) = options.pointer_mut("/publicKey/authenticatorSelection") {
        selection.insert("residentKey".to_owned(), "preferred".into());
    }
    Ok(Begun { options, state: serde_json::to_value(state)? })
}

/// Finishes it: the JSON to be sealed and kept.
///
/// # Errors
/// [`PasskeyError::Wrong`] if the device's answer is not good.
pub fn finish_enrolment(app: &App, state: Value, credential: Value) -> Result<String, PasskeyError> {
    let state: PasskeyRegistration = serde_json::from_value(state)?;
    let credential: RegisterPublicKeyCredential =
        serde_json::from_value(credential).map_err(|_| PasskeyError::Wrong)?;
    let passkey = app.webauthn().finish_passkey_registration(&credential, &state).map_err(|_| PasskeyError::Wrong)?;
    Ok(serde_json::to_string(&passkey)?)
}

/// Begins a proof with any of the user's passkeys.
///
/// # Errors
/// [`PasskeyError::None`] without one.
pub fn begin_proof(app: &App, user: &User) -> Result<Begun, PasskeyError> {
    let passkeys: Vec<Passkey> = stored(app, user)?.into_iter().map(|(_, passkey)| passkey).collect();
    if passkeys.is_empty() {
        return Err(PasskeyError::None);
    }
    let (options, state): (RequestChallengeResponse, PasskeyAuthentication) =
        app.webauthn().start_passkey_authentication(&passkeys).map_err(PasskeyError::Begin)?;
    Ok(Begun { options: serde_json::to_value(options)?, state: serde_json::to_value(state)? })
}

/// Finishes it.
///
/// # Errors
/// [`PasskeyError::Wrong`] if the device's answer is not good.
pub fn finish_proof(app: &App, user: &User, state: Value, credential: Value) -> Result<Proof, PasskeyError> {
    let state: PasskeyAuthentication = serde_json::from_value(state)?;
    let credential: PublicKeyCredential = serde_json::from_value(credential).map_err(|_| PasskeyError::Wrong)?;
    let result = app.webauthn().finish_passkey_authentication(&credential, &state).map_err(|_| PasskeyError::Wrong)?;
    // One that was taken away since the ceremony began proves nothing any more.
    let used = stored(app, user)?.into_iter().find(|(_, passkey)| passkey.cred_id() == result.cred_id());
    let (passkey, _) = used.ok_or(PasskeyError::Wrong)?;
    Ok(Proof::Passkey { passkey, counter: result.counter(), user_verified: result.user_verified() })
}

/// Begins a login that no name was given for: the device says whose passkey it has.
///
/// # Errors
/// If the ceremony cannot be begun.
pub fn begin_login(app: &App) -> Result<Begun, PasskeyError> {
    let (options, state) = app.webauthn().start_discoverable_authentication().map_err(PasskeyError::Begin)?;
    let mut options = serde_json::to_value(options)?;
    // Whether the browser offers it while a name is typed or asks at once is for the page to say.
    if let Value::Object(members) = &mut options {
        members.remove("mediation");
    }
    Ok(Begun { options, state: serde_json::to_value(state)? })
}

/// A passkey's answer that says whose it is. Nothing of it is checked yet.
pub struct Named {
    /// Who it says to be.
    pub user: UserId,
    credential: PublicKeyCredential,
}

impl Named {
    /// Reads one; `None` for anything else.
    #[must_use]
    pub fn parse(credential: Value) -> Option<Self> {
        let credential: PublicKeyCredential = serde_json::from_value(credential).ok()?;
        let user = Uuid::from_slice(credential.get_user_unique_id()?).ok()?;
        Some(Self { user: UserId::new(user), credential })
    }
}

/// Finishes it. The device must have seen its owner.
///
/// # Errors
/// [`PasskeyError::None`] if the user has no such passkey, [`PasskeyError::Wrong`] if the device's answer is not good.
pub fn finish_login(app: &App, user: &User, state: Value, named: &Named) -> Result<Proof, PasskeyError> {
    let state: DiscoverableAuthentication = serde_json::from_value(state)?;
    let id = named.credential.get_credential_id();
    let known = stored(app, user)?.into_iter().find(|(_, known)| known.cred_id().as_slice() == id);
    let (passkey, known) = known.ok_or(PasskeyError::None)?;
    let result = app
        .webauthn()
        .finish_discoverable_authentication_v2(&named.credential, state, &known)
        .map_err(|_| PasskeyError::Wrong)?;
    Ok(Proof::Passkey { passkey, counter: result.counter(), user_verified: result.user_verified() })
}

fn stored(app: &App, user: &User) -> Result<Vec<(wardbook_events::PasskeyId, Passkey)>, PasskeyError> {
    let stream = identity::stream(user.user);
    user.passkeys
        .iter()
        .map(|known| {
            let json = app.keys().open_secret(user.tenant, &stream, PASSKEY_PURPOSE, &known.credential)?;
            Ok((known.passkey, serde_json::from_slice(&json)?))
        })
        .collect()
}
