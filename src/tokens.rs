//! Access tokens: RS256 JWTs of a few minutes, signed by the newest of a set of keys, checked against all of them.
//!
//! A token says who (`sub`), in which session (`sid`) and organisation (`tid`). The roles in it, and how the login was
//! proved, are for others who read it; here they are looked up at every request, so that taking one away works at once.
//!
//! A key signs until a newer one is made, which happens at fixed times and when somebody asks for it. It stays in the key
//! set until the last token that it signed has run out, then its file is deleted.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wardbook_events::{Role, SessionId, TenantId, UserId};

use crate::config;

/// Why the signing keys could not be loaded or made.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// A file or directory failed.
    #[error("cannot use {path}: {source}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not a key.
    #[error("{path} is not an RSA private key in PKCS#8 PEM form: delete it to have a new one made")]
    NotAKey {
        /// Which one.
        path: PathBuf,
    },
    /// No key could be made.
    #[error("an RSA key could not be made")]
    Generate,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The session.
    pub sid: SessionId,
    /// The organisation.
    pub tid: TenantId,
    /// The token's own id.
    pub jti: Uuid,
    /// When it was issued, seconds since the epoch.
    pub iat: i64,
    /// When it stops being good, seconds since the epoch.
    pub exp: i64,
    /// When the user last proved who it is, seconds since the epoch.
    pub auth_time: i64,
    /// Whether more than a password was proved.
    pub mfa_verified: bool,
    /// What the user was when it was issued.
    pub roles: Vec<Role>,
    /// The certificate that it is good with, and with no other and none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}

/// What must be shown along with a token (RFC 7800).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// SHA-256 of the client's certificate, base64url (RFC 8705 section 3.1).
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: String,
}

/// What a token is issued for.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The organisation.
    pub tenant: TenantId,
    /// What the user is.
    pub roles: Vec<Role>,
    /// When the user last proved who it is.
    pub proven_at: Timestamp,
    /// Strength of that proof; see [`wardbook_events::identity::Proof::strength`].
    pub mfa: u8,
    /// The certificate that it is to be good with only; see [`Confirmation`].
    pub bound_to: Option<String>,
}

/// Why a token was refused. Callers learn only that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours, or damaged.
    #[error("the access token is not valid")]
    Invalid,
    /// Was good once.
    #[error("the access token has expired")]
    Expired,
    /// Could not be signed.
    #[error("an access token could not be signed")]
    Sign,
}

struct SigningKey {
    path: PathBuf,
    /// Microseconds since the epoch, from the name of the file.
    made_at: Timestamp,
    kid: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    jwk: Jwk,
}

/// What became of the keys; ids are those of the key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysChanged {
    /// The key that signs.
    pub signs: String,
    /// Keys whose tokens are good no more.
    pub forgotten: Vec<String>,
}

/// Issues and checks access tokens.
#[derive(Clone)]
pub struct Tokens(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    config: config::Tokens,
    /// Oldest first; the last one signs.
    keys: RwLock<Vec<Arc<SigningKey>>>,
    /// By hash of the token, so that the table holds nothing that could be used to log in.
    verified: RwLock<HashMap<blake3::Hash, Arc<Claims>>>,
}

impl Tokens {
    /// Loads the keys in the directory; makes one if there is none.
    ///
    /// # Errors
    /// If the directory or a file in it cannot be used.
    pub fn open(dir: &Path, config: config::Tokens, now: Timestamp) -> Result<Self, TokenKeyError> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| io(dir, e))?;
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(|e| io(dir, e))? {
            let path = entry.map_err(|e| io(dir, e))?.path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                paths.push(path);
            }
        }
        paths.sort(); // names begin with the time they were made
        let keys = paths.iter().map(|path| load(path)).collect::<Result<Vec<_>, _>>()?;
        let tokens = Self(Arc::new(Inner {
            dir: dir.to_owned(),
            config,
            keys: RwLock::new(keys),
            verified: RwLock::new(HashMap::new()),
        }));
        if tokens.0.keys.read().is_empty() {
            tokens.rotate(now)?;
        }
        Ok(tokens)
    }

    /// Makes a new key that signs from now on; returns its id. Tokens of older keys stay good until they expire.
    ///
    /// # Errors
    /// If the key cannot be made or written.
    pub fn rotate(&self, now: Timestamp) -> Result<String, TokenKeyError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| TokenKeyError::Generate)?;
        let der: Pkcs8V1Der = pair.as_der().map_err(|_| TokenKeyError::Generate)?;
        let text = zeroize::Zeroizing::new(pem(der.as_ref()));
        // Two keys made in one microsecond, by a clock that stands still: the second one is named as if made after.
        let names = (now.as_microsecond()..).map(|micros| self.0.dir.join(format!("{micros:016}.pem")));
        let path = names.into_iter().find(|path| !path.exists()).ok_or(TokenKeyError::Generate)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| io(&path, e))?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| io(&path, e))?;
        let key = load(&path)?;
        let kid = key.kid.clone();
        self.0.keys.write().push(key);
        Ok(kid)
    }

    /// Makes a new key if it is time (`tokens.rotate_every_h`), and forgets keys whose last token has run out.
    /// What changed, if anything did.
    ///
    /// # Errors
    /// If a key cannot be made, written or deleted.
    pub fn tend(&self, now: Timestamp) -> Result<Option<KeysChanged>, TokenKeyError> {
        let every = SignedDuration::from_hours(i64::from(self.0.config.rotate_every_h));
        let newest = self.0.keys.read().last().map(|key| key.made_at);
        let due = !every.is_zero() && newest.is_none_or(|made_at| now.duration_since(made_at) >= every);
        if due {
            self.rotate(now)?;
        }
        let keys = self.0.keys.read().clone();
        // A key signed until the next one was made. One minute more, for clocks that do not agree.
        let lasts = SignedDuration::from_secs(i64::from(self.0.config.lifetime_s) + 60);
        let over = keys.iter().zip(keys.iter().skip(1));
        let over = over.filter(|(_, next)| now.duration_since(next.made_at) > lasts).map(|(key, _)| key);
        let forgotten = over.map(|key| self.forget(key)).collect::<Result<Vec<_>, _>>()?;
        let signs = keys.last().map(|key| key.kid.clone()).ok_or(TokenKeyError::Generate)?;
        Ok((due || !forgotten.is_empty()).then_some(KeysChanged { signs, forgotten }))
    }

    /// Forgets all keys but the one that signs now: tokens of the others are good no more, at once. For a key that
    /// somebody else may have. Returns their ids.
    ///
    /// # Errors
    /// If a file cannot be deleted.
    pub fn forget_old(&self) -> Result<Vec<String>, TokenKeyError> {
        let keys = self.0.keys.read().clone();
        let old = keys.len().saturating_sub(1);
        keys.iter().take(old).map(|key| self.forget(key)).collect()
    }

    fn forget(&self, key: &SigningKey) -> Result<String, TokenKeyError> {
        std::fs::remove_file(&key.path).map_err(|e| io(&key.path, e))?;
        self.0.keys.write().retain(|other| other.kid != key.kid);
        self.0.verified.write().clear();
        Ok(key.kid.clone())
    }

    /// Issues a token. `jti` is its own id.
    ///
    /// # Errors
    /// If signing fails.
    pub fn issue(&self, subject: &Subject, jti: Uuid, now: Timestamp) -> Result<String, TokenError> {
        let key = self.0.keys.read().last().cloned().ok_or(TokenError::Sign)?;
        let config = &self.0.config;
        let claims = Claims {
            iss: config.issuer.clone(),
            aud: config.audience.clone(),
            sub: subject.user,
            sid: subject.session,
            tid: subject.tenant,
            jti,
            iat: now.as_second(),
            exp: now.as_second().saturating_add(i64::from(config.lifetime_s)),
            auth_time: subject.proven_at.as_second(),
            mfa_verified: subject.mfa > 0,
            roles: subject.roles.clone(),
            cnf: subject.bound_to.clone().map(|x5t_s256| Confirmation { x5t_s256 }),
        };
        let header =
            Header { kid: Some(key.kid.clone()), typ: Some("at+jwt".to_owned()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, &claims, &key.encoding).map_err(|_| TokenError::Sign)
    }

    /// Checks a token's signature, issuer, audience and time. Whether its session still lives is for the caller to ask.
    ///
    /// # Errors
    /// If it is not good.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, TokenError> {
        let hash = blake3::hash(token.as_bytes());
        let known = self.0.verified.read().get(&hash).cloned();
        let claims = match known {
            Some(claims) => claims,
            None => self.verify_signature(token, hash, now)?,
        };
        if now.as_second() >= claims.exp { Err(TokenError::Expired) } else { Ok(claims) }
    }

    fn verify_signature(&self, token: &str, hash: blake3::Hash, now: Timestamp) -> Result<Arc<Claims>, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        // The algorithm is ours to say, not the token's (RFC 8725 section 3.1).
        if header.alg != Algorithm::RS256 || header.typ.as_deref() != Some("at+jwt") {
            return Err(TokenError::Invalid);
        }
        let key = self.0.keys.read().iter().find(|key| Some(&key.kid) == header.kid.as_ref()).cloned();
        let key = key.ok_or(TokenError::Invalid)?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&self.0.config.issuer]);
        validation.set_audience(&[&self.0.config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_exp = false; // checked by our own clock, every time, also for remembered tokens
        let data =
            jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).map_err(|_| TokenError::Invalid)?;
        let claims = Arc::new(data.claims);
        let mut verified = self.0.verified.write();
        if verified.len() >= self.0.config.cache_tokens_max {
            verified.retain(|_, claims| claims.exp > now.as_second());
        }
        if verified.len() < self.0.config.cache_tokens_max {
            verified.insert(hash, Arc::clone(&claims));
        }
        Ok(claims)
    }

    /// The public keys, for others who check our tokens (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.0.keys.read().iter().map(|key| key.jwk.clone()).collect() }
    }
}

fn io(path: &Path, source: std::io::Error) -> TokenKeyError {
    TokenKeyError::Io { path: path.to_owned(), source }
}

fn load(path: &Path) -> Result<Arc<SigningKey>, TokenKeyError> {
    let text = zeroize::Zeroizing::new(std::fs::read(path).map_err(|e| io(path, e))?);
    let not_a_key = |_| TokenKeyError::NotAKey { path: path.to_owned() };
    let encoding = EncodingKey::from_rsa_pem(&text).map_err(not_a_key)?;
    let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::RS256).map_err(not_a_key)?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(not_a_key)?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    let decoding = DecodingKey::from_jwk(&jwk).map_err(not_a_key)?;
    let made_at = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    let made_at = made_at.and_then(|micros| Timestamp::from_microsecond(micros).ok());
    // A key put there by hand has another name: it is taken for an old one, and the next look makes a newer.
    let made_at = made_at.unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Arc::new(SigningKey { path: path.to_owned(), made_at, kid, encoding, decoding, jwk }))
}

/// PKCS#8 in PEM (RFC 7468 section 10).
fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    let body = zeroize::Zeroizing::new(STANDARD.encode(der));
    for (index, letter) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str("\n-----END PRIVATE KEY-----\n");
    text
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} keys)", self.0.keys.read().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn issue(tokens: &Tokens) -> String {
        let id = Uuid::from_u128(7);
        let now = at("2026-01-01T00:00:00Z");
        let (user, session, tenant) = (UserId::new(id), SessionId::new(id), TenantId::new(id));
        let subject =
            Subject { user, session, tenant, roles: vec![Role::Nurse], proven_at: now, mfa: 1, bound_to: None };
        tokens.issue(&subject, id, now).unwrap()
    }

    #[test]
    fn a_token_is_good_until_its_time_and_across_restart_and_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Tokens::open(dir.path(), config::Tokens::default(), at("2026-01-01T00:00:00Z")).unwrap();
        let tokens = open();
        let token = issue(&tokens);
        let claims = tokens.verify(&token, at("2026-01-01T00:14:59Z")).unwrap();
        assert_eq!(claims.sub, UserId::new(Uuid::from_u128(7)));
        assert_eq!(tokens.verify(&token, at("2026-01-01T00:15:00Z")), Err(TokenError::Expired));
        tokens.rotate(at("2026-01-02T00:00:00Z")).unwrap();
        assert_eq!(tokens.jwks().keys.len(), 2);
        let again = open();
        assert_eq!(again.verify(&token, at("2026-01-01T00:14:59Z")).unwrap(), claims);
        assert_ne!(
            jsonwebtoken::decode_header(issue(&again)).unwrap().kid,
            jsonwebtoken::decode_header(&token).unwrap().kid
        );
        for file in std::fs::read_dir(dir.path()).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_new_key_is_made_in_time_and_an_old_one_goes_when_its_tokens_have() {
        let dir = tempfile::tempdir().unwrap();
        let start = at("2026-01-01T00:00:00Z");
        let open = || Tokens::open(dir.path(), config::Tokens::default(), start).unwrap();
        let tokens = open();
        let token = issue(&tokens);
        let week = start + SignedDuration::from_hours(168);
        let (second, overlap) = (SignedDuration::from_secs(1), SignedDuration::from_secs(960));
        assert_eq!(tokens.tend(week - second).unwrap(), None);
        let old = tokens.jwks().keys[0].common.key_id.clone().unwrap();
        let made = tokens.tend(week).unwrap().unwrap();
        assert!(made.signs != old && made.forgotten.is_empty(), "{made:?}");
        assert_eq!(tokens.tend(week).unwrap(), None);
        assert_eq!(tokens.tend(week + overlap).unwrap(), None);
        assert_eq!((tokens.jwks().keys.len(), open().jwks().keys.len()), (2, 2), "both, for as long as tokens last");
        assert!(tokens.verify(&token, start).is_ok());
        let over = KeysChanged { signs: made.signs, forgotten: vec![old] };
        assert_eq!(tokens.tend(week + overlap + second).unwrap(), Some(over));
        assert_eq!((tokens.jwks().keys.len(), open().jwks().keys.len()), (1, 1), "also after a restart");
        assert_eq!(tokens.verify(&token, start), Err(TokenError::Invalid));
        tokens.rotate(week + overlap).unwrap();
        tokens.forget_old().unwrap();
        assert_eq!(open().jwks(), tokens.jwks());
        assert_eq!(tokens.jwks().keys.len(), 1);
    }

    #[test]
    fn forged_and_foreign_tokens_are_refused() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = at("2026-01-01T00:00:00Z");
        let open = |dir: &tempfile::TempDir| Tokens::open(dir.path(), config::Tokens::default(), now).unwrap();
        let tokens = open(&ours);
        let good = issue(&tokens);
        assert_eq!(tokens.verify(&issue(&open(&theirs)), now), Err(TokenError::Invalid));
        let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
        parts[2] = parts[2].chars().rev().collect();
        assert_eq!(tokens.verify(&parts.join("."), now), Err(TokenError::Invalid));
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        parts[0] = url.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        assert_eq!(tokens.verify(&format!("{}.{}.", parts[0], parts[1]), now), Err(TokenError::Invalid));
        for garbage in ["", ".", "..", "a.b.c", "\u{1F600}"] {
            assert_eq!(tokens.verify(garbage, now), Err(TokenError::Invalid));
        }
        let other = config::Tokens { audience: "other".into(), ..config::Tokens::default() };
        let other = Tokens::open(ours.path(), other, now).unwrap();
        assert_eq!(other.verify(&good, now), Err(TokenError::Invalid));
    }

    #[test]
    fn debug_and_jwks_show_no_private_key() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(dir.path(), config::Tokens::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(format!("{tokens:?}"), "Tokens(1 keys)");
        let jwks = serde_json::to_value(tokens.jwks()).unwrap();
        let names: Vec<_> = jwks["keys"][0].as_object().unwrap().keys().cloned().collect();
        assert!(!names.iter().any(|name| ["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str())), "{names:?}");
        assert_eq!(jwks["keys"][0]["alg"], "RS256");
    }
}
