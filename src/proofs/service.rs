//! The login of a program: one assertion or a certificate, one short session, nothing to renew it with.

use jiff::{SignedDuration, Timestamp};
use wardbook_commands::identity::{Begin, LoginRules};
use wardbook_commands::{CommandError, Rejection};
use wardbook_events::SessionId;
use wardbook_events::identity::{AccountKind, KnownBy, Proof};
use wardbook_ledger::Receipt;
use wardbook_projections::identity::User;

use super::assertions;
use crate::api::problem::Problem;
use crate::app::App;
use crate::login::Visitor;
use crate::tls::certificate::Certificate;

/// It proves nothing; which rule it breaks is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// A token for a program.
pub struct Given {
    /// The access token.
    pub access: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// The event that tells of it.
    pub receipt: Receipt,
}

/// Sessions of one program at a time: a program has many workers, and each token is short-lived.
const SESSIONS_MAX: u8 = u8::MAX;
/// Where programs ask for tokens, as `aud` of an assertion names it below the address of the server.
const ENDPOINT: &str = "/v1/auth/token";

/// Begins a session for an assertion. The session's id follows from the assertion's `jti`, so that it begins none twice.
///
/// # Errors
/// If something of ours failed.
pub async fn for_assertion(
    app: &App,
    assertion: &str,
    client_id: Option<&str>,
    visitor: &Visitor,
) -> Result<Result<Given, Refused>, Problem> {
    let now = app.now();
    let refused = || {
        app.failed().of_stranger(now);
        Ok(Err(Refused))
    };
    let Some(id) = assertions::claimed_user(assertion) else { return refused() };
    if client_id.is_some_and(|said| said != id.to_string()) {
        return refused();
    }
    let user = app.views().identity.user(id)?.filter(|user| user.active && user.kind == AccountKind::Service);
    let Some((user, jwk)) = user.and_then(|user| user.service_key.clone().map(|jwk| (user, jwk))) else {
        return refused();
    };
    let issuer = &app.config().tokens.issuer;
    let endpoint = format!("{}{ENDPOINT}", app.config().webauthn.origin.trim_end_matches('/'));
    let Ok(session) = assertions::verify(assertion, id, &jwk, &[issuer.as_str(), endpoint.as_str()], now) else {
        return refused();
    };
    begin(app, &user, session, Proof::Assertion, None, visitor).await
}

/// Begins a session for a certificate that the program showed on this very connection (`tls_client_auth`, RFC 8705
/// section 2.1). The token is good along with that certificate only.
///
/// # Errors
/// If something of ours failed.
pub async fn for_certificate(
    app: &App,
    certificate: &Certificate,
    client_id: &str,
    visitor: &Visitor,
) -> Result<Result<Given, Refused>, Problem> {
    let known = match client_id.parse() {
        Ok(id) => app.views().identity.user(id)?.filter(|user| user.active && user.kind == AccountKind::Service),
        Err(_) => None,
    };
    let Some(user) = known.filter(|user| user.certificate.as_ref().is_some_and(|by| is_known(by, certificate))) else {
        app.failed().of_stranger(app.now());
        return Ok(Err(Refused));
    };
    let proof = Proof::Certificate { sha256: certificate.fingerprint() };
    begin(app, &user, SessionId::new(app.new_id()?), proof, Some(certificate.thumbprint()), visitor).await
}

fn is_known(by: &KnownBy, certificate: &Certificate) -> bool {
    match by {
        KnownBy::Sha256(sha256) => *sha256 == certificate.fingerprint(),
        KnownBy::Name(name) => certificate.names.contains(name),
    }
}

async fn begin(
    app: &App,
    user: &User,
    session: SessionId,
    proof: Proof,
    bound_to: Option<String>,
    visitor: &Visitor,
) -> Result<Result<Given, Refused>, Problem> {
    let now = app.now();
    let refused = || {
        app.failed().of_stranger(now);
        Ok(Err(Refused))
    };
    if !user.may_come_from(visitor.address) {
        return refused();
    }
    let mut origin = visitor.origin(app, user)?;
    origin.client.session = Some(session);
    origin.idempotency = None;
    let lasts = SignedDuration::from_secs(i64::from(app.config().tokens.lifetime_s));
    let strength = proof.strength();
    let begin = Begin {
        session,
        expires_at: now.checked_add(lasts).unwrap_or(Timestamp::MAX),
        proofs: vec![proof],
        password: None,
        binding: None,
        device: None,
        known_device: false,
        refresh: None,
    };
    let rules = LoginRules { sessions_max: SESSIONS_MAX, ..crate::login::login_rules(app) };
    let done = match app.commands().log_in(user.tenant, &origin, user.user, begin, rules).await {
        Err(CommandError::Rejected(
            Rejection::AlreadyExists | Rejection::UserDisabled | Rejection::ProofUsed | Rejection::Locked { .. },
        )) => return refused(),
        other => other?,
    };
    let Some(receipt) = done.receipts.into_iter().next_back() else { return refused() };
    app.seen(&receipt).await?;
    let access = crate::login::bound_token(app, user, session, now, strength, bound_to)?;
    Ok(Ok(Given { access, scopes: user.scopes.iter().cloned().collect(), receipt }))
}
