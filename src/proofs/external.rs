//! Logging in with an account of another organisation (OpenID Connect Core 1.0, IAM-20): the code flow with PKCE.
//!
//! What must come back unchanged (state, nonce, verifier) is sealed and given to the client, not kept. The state in the URL
//! must match the sealed one, so that nobody can end somebody else's login in his own account (RFC 6749 section 10.12).

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreProviderMetadata};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use wardbook_events::{Ciphertext, TenantId};
use wardbook_keys::{SecretError, TokenError};

use crate::app::App;
use crate::clock::NoChance;
use crate::proofs::digest;
use crate::{config, outgoing};

/// Why nobody was recognised.
#[derive(Debug, thiserror::Error)]
pub enum ExternalError {
    /// The settings know no such provider.
    #[error("there is no such provider in the configuration")]
    Unknown,
    /// State, code or token are not good.
    #[error("the login elsewhere did not come to a good end: begin again")]
    Wrong,
    /// The provider was not reached, or does not keep to the protocol.
    #[error("the provider cannot be used now: {0}")]
    Provider(String),
    /// The key store failed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The key store failed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// A blocking task was lost.
    #[error("a blocking task was lost")]
    Lost,
}

/// Time for one call to a provider.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What a provider says of itself is asked for again after so long: keys are rotated.
const KNOWN: SignedDuration = SignedDuration::from_mins(10);
/// Time to log in elsewhere.
const LASTS: SignedDuration = SignedDuration::from_mins(10);
/// Longest answer of a provider, in bytes.
const ANSWER_MAX: u64 = 1 << 20;
/// What state is sealed for.
const STREAM: &str = "challenges";
const PURPOSE: &str = "external-login";

/// The providers of the settings, and what they said of themselves lately.
#[derive(Default)]
pub struct Providers {
    known: Mutex<HashMap<String, (Timestamp, CoreProviderMetadata)>>,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Providers(..)")
    }
}

/// What must come back unchanged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    expires_at: Timestamp,
}

/// A login elsewhere that begins.
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// To be sent back with what the provider gave.
    pub challenge: String,
}

/// Who logged in elsewhere.
pub struct Recognised {
    /// The provider, as the settings name it.
    pub provider: String,
    /// Keyed hash of provider and subject: the subject itself is kept nowhere.
    pub subject: String,
    /// Whether more than a password was asked for there, and the settings trust that.
    pub mfa: bool,
}

/// The organisation whose users log in elsewhere: that of the settings.
fn tenant(app: &App) -> TenantId {
    app.config().organisation.id
}

/// The keyed hash of an account elsewhere.
///
/// # Errors
/// If the key store fails.
pub fn subject_hash(app: &App, tenant: TenantId, provider: &str, subject: &str) -> Result<String, TokenError> {
    let text = format!("external subject\0{provider}\0{subject}");
    app.keys().command_digest(tenant, text.as_bytes())
}

/// The settings of a provider.
///
/// # Errors
/// [`ExternalError::Unknown`].
pub fn settings(app: &App, name: &str) -> Result<config::External, ExternalError> {
    app.config().external.iter().find(|known| known.name == name).cloned().ok_or(ExternalError::Unknown)
}

/// Begins.
///
/// # Errors
/// If the provider is unknown or not reached.
pub async fn begin(app: &App, name: &str) -> Result<Begun, ExternalError> {
    let settings = settings(app, name)?;
    let token = || digest::new_token(app.chance()).map(|token| token.to_string());
    let (state, nonce, verifier) = (token()?, token()?, token()?);
    let expires_at = app.now().checked_add(LASTS).unwrap_or(Timestamp::MAX);
    let pending = Pending { provider: settings.name.clone(), state, nonce, verifier, expires_at };
    let json = zeroize::Zeroizing::new(serde_json::to_vec(&pending).map_err(|_| ExternalError::Wrong)?);
    let challenge = app.keys().seal_secret(tenant(app), STREAM, PURPOSE, &json)?.as_str().to_owned();
    let metadata = discover(app, &settings).await?;
    let client = client(&settings, metadata)?;
    let verifier = PkceCodeVerifier::new(pending.verifier);
    let mut request = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            || CsrfToken::new(pending.state),
            || Nonce::new(pending.nonce),
        )
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    for scope in settings.scopes {
        request = request.add_scope(Scope::new(scope));
    }
    let (url, ..) = request.url();
    Ok(Begun { url: url.to_string(), challenge })
}

/// Finishes: who it was.
///
/// # Errors
/// [`ExternalError::Wrong`] if anything that came back is not good.
pub async fn finish(app: &App, challenge: &str, state: &str, code: SecretString) -> Result<Recognised, ExternalError> {
    let pending = open(app, challenge)?;
    if !digest::same(pending.state.as_bytes(), state.as_bytes()) || app.now() >= pending.expires_at {
        return Err(ExternalError::Wrong);
    }
    let settings = settings(app, &pending.provider).map_err(|_| ExternalError::Wrong)?;
    let metadata = discover(app, &settings).await?;
    let client = client(&settings, metadata)?;
    let (now, trust_mfa) = (app.now(), settings.trust_mfa);
    let asked = tokio::task::spawn_blocking(move || -> Result<(String, bool), ExternalError> {
        let http = http();
        let code = AuthorizationCode::new(code.expose_secret().to_owned());
        let request = client.exchange_code(code).map_err(|e| ExternalError::Provider(e.to_string()))?;
        let tokens = request
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier))
            .request(&http)
            .map_err(|error| said(&error))?;
        let token = tokens.id_token().ok_or(ExternalError::Wrong)?;
        let at = chrono::DateTime::from_timestamp(now.as_second(), 0).ok_or(ExternalError::Wrong)?;
        let verifier = client.id_token_verifier().set_time_fn(move || at);
        let claims = token.claims(&verifier, &Nonce::new(pending.nonce)).map_err(|error| {
            tracing::warn!(%error, "an ID token was refused");
            ExternalError::Wrong
        })?;
        // RFC 8176: what was asked for there.
        let methods = claims.auth_method_refs().map(|refs| refs.iter().any(|method| method.as_str() == "mfa"));
        Ok((claims.subject().as_str().to_owned(), methods.unwrap_or(false)))
    });
    let (subject, mfa) = asked.await.map_err(|_| ExternalError::Lost)??;
    let subject = subject_hash(app, tenant(app), &settings.name, &subject)?;
    Ok(Recognised { provider: settings.name, subject, mfa: mfa && trust_mfa })
}

fn open(app: &App, challenge: &str) -> Result<Pending, ExternalError> {
    let sealed = Ciphertext::new(challenge.to_owned());
    let opened = app.keys().open_secret(tenant(app), STREAM, PURPOSE, &sealed).map_err(|error| match error {
        SecretError::UnknownForm | SecretError::UnknownKey | SecretError::NotAuthentic => ExternalError::Wrong,
        other => ExternalError::Secret(other),
    })?;
    serde_json::from_slice(&opened).map_err(|_| ExternalError::Wrong)
}

/// A code that the provider does not take is the client's fault, everything else the provider's.
fn said<T: fmt::Display>(error: &T) -> ExternalError {
    let text = error.to_string();
    if text.contains("invalid_grant") { ExternalError::Wrong } else { ExternalError::Provider(text) }
}

async fn discover(app: &App, settings: &config::External) -> Result<CoreProviderMetadata, ExternalError> {
    let now = app.now();
    if let Some((at, known)) = app.providers().known.lock().get(&settings.name)
        && now.duration_since(*at) < KNOWN
    {
        return Ok(known.clone());
    }
    let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|e| ExternalError::Provider(e.to_string()))?;
    let asked = tokio::task::spawn_blocking(move || {
        CoreProviderMetadata::discover(&issuer, &http()).map_err(|e| ExternalError::Provider(chain(&e)))
    });
    let metadata = asked.await.map_err(|_| ExternalError::Lost)??;
    app.providers().known.lock().insert(settings.name.clone(), (now, metadata.clone()));
    Ok(metadata)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

fn client(settings: &config::External, metadata: CoreProviderMetadata) -> Result<Client, ExternalError> {
    let unusable = |what: &str| ExternalError::Provider(what.to_owned());
    let secret = std::fs::read_to_string(&settings.client_secret_file)
        .map_err(|e| unusable(&format!("cannot read {}: {e}", settings.client_secret_file.display())))?;
    let secret = ClientSecret::new(secret.trim_end().to_owned());
    let redirect = RedirectUrl::new(settings.redirect_url.clone()).map_err(|e| unusable(&e.to_string()))?;
    let client = CoreClient::from_provider_metadata(metadata, ClientId::new(settings.client_id.clone()), Some(secret));
    Ok(client.set_redirect_uri(redirect))
}

/// A call that failed before there was an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CallError(String);

fn http() -> impl Fn(HttpRequest) -> Result<HttpResponse, CallError> {
    let agent = outgoing::agent(TIMEOUT);
    move |request| {
        let answer = agent.run(request).map_err(|e| CallError(e.to_string()))?;
        let (parts, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(ANSWER_MAX).read_to_vec().map_err(|e| CallError(e.to_string()))?;
        Ok(HttpResponse::from_parts(parts, bytes))
    }
}
