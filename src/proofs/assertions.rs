//! How a program proves who it is: a JWT that it signs with its own key (RFC 7523, `private_key_jwt`). No secret is shared.

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use wardbook_events::{SessionId, UserId};

/// An assertion is good so long at most, in seconds.
pub const LIFETIME_MAX_S: i64 = 300;
/// How far the program's clock may be off, in seconds.
const SKEW_S: i64 = 30;
/// Longest assertion that is looked at, in bytes.
const LENGTH_MAX: usize = 8 * 1024;
/// Characters of a `jti`.
const JTI: std::ops::RangeInclusive<usize> = 8..=128;

/// Why an assertion proves nothing. The program learns only that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Not a JWT of the program's own key, or for somebody else.
    #[error("the assertion is not valid")]
    Invalid,
    /// Too old, too far ahead, or good for too long.
    #[error("the assertion's time is not valid")]
    Time,
}

/// Why a public key is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a JSON Web Key of a kind that we know.
    #[error("the key must be a JSON Web Key (RFC 7517) for RS256, ES256 or EdDSA, with at least 2048 bits if RSA")]
    Unknown,
    /// The private part is in it.
    #[error("the key has a private part: keep it to yourself, make a new one, and send only the public part")]
    Private,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: i64,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
    jti: String,
}

/// Whose an assertion says it is; nothing of it is proved yet.
#[must_use]
pub fn claimed_user(assertion: &str) -> Option<UserId> {
    if assertion.len() > LENGTH_MAX {
        return None;
    }
    let claims = jsonwebtoken::dangerous::insecure_decode::<Claims>(assertion).ok()?.claims;
    claims.sub.parse().ok().filter(|_| claims.iss == claims.sub)
}

/// The session that an assertion begins. It follows from whose it is and its `jti`, so that the same one begins no second.
///
/// # Errors
/// If it proves nothing.
pub fn verify(
    assertion: &str,
    user: UserId,
    jwk: &str,
    audiences: &[&str],
    now: Timestamp,
) -> Result<SessionId, AssertionError> {
    let jwk: Jwk = serde_json::from_str(jwk).map_err(|_| AssertionError::Invalid)?;
    let algorithm = algorithm_of(&jwk).ok_or(AssertionError::Invalid)?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| AssertionError::Invalid)?;
    // The algorithm is the registered key's, never the token's to choose (RFC 8725 section 3.1).
    let mut validation = Validation::new(algorithm);
    validation.set_audience(audiences);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_exp = false; // by our own clock, below
    let data = jsonwebtoken::decode::<Claims>(assertion, &key, &validation).map_err(|_| AssertionError::Invalid)?;
    let claims = data.claims;
    let id = user.to_string();
    if claims.iss != id || claims.sub != id || !JTI.contains(&claims.jti.len()) {
        return Err(AssertionError::Invalid);
    }
    let now = now.as_second();
    let not_yet = [claims.iat, claims.nbf].into_iter().flatten().any(|from| from > now.saturating_add(SKEW_S));
    if claims.exp <= now.saturating_sub(SKEW_S) || claims.exp > now.saturating_add(LIFETIME_MAX_S + SKEW_S) || not_yet {
        return Err(AssertionError::Time);
    }
    Ok(session_of(user, &claims.jti))
}

fn session_of(user: UserId, jti: &str) -> SessionId {
    let mut hasher = blake3::Hasher::new_derive_key("wardbook 2026 session of an assertion");
    hasher.update(user.bytes()).update(jti.as_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    SessionId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Checks a public key that a program is going to sign with, and gives its canonical JSON.
///
/// # Errors
/// If it is of no kind that we take, or private.
pub fn public_key(jwk: &serde_json::Value) -> Result<String, KeyError> {
    let members = jwk.as_object().ok_or(KeyError::Unknown)?;
    if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|name| members.contains_key(*name)) {
        return Err(KeyError::Private);
    }
    let parsed: Jwk = serde_json::from_value(jwk.clone()).map_err(|_| KeyError::Unknown)?;
    algorithm_of(&parsed).ok_or(KeyError::Unknown)?;
    if let AlgorithmParameters::RSA(rsa) = &parsed.algorithm {
        // Base64url: four letters are three bytes.
        if rsa.n.len() < 2048 / 8 * 4 / 3 {
            return Err(KeyError::Unknown);
        }
    }
    DecodingKey::from_jwk(&parsed).map_err(|_| KeyError::Unknown)?;
    serde_json::to_string(&parsed).map_err(|_| KeyError::Unknown)
}

/// One algorithm a kind of key.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    use jsonwebtoken::jwk::EllipticCurve::{Ed25519, P256};
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == P256 => (Algorithm::ES256, KeyAlgorithm::ES256),
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == Ed25519 => (Algorithm::EdDSA, KeyAlgorithm::EdDSA),
        _ => return None,
    };
    jwk.common.key_algorithm.is_none_or(|said| said == name).then_some(algorithm)
}

#[cfg(test)]
mod tests;
