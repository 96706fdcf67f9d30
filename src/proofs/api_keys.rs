//! API keys: `wbk_<id>_<secret>`, shown once. The id finds the key, the secret has 256 random bits, and its bare hash is kept.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use wardbook_events::ApiKeyId;
use wardbook_projections::ViewError;
use wardbook_projections::identity::{ApiKey, User};

use crate::app::App;
use crate::clock::{Chance, NoChance};
use crate::proofs::digest;
use crate::sessions::secrets::simple_id;

/// What every key begins with: scanners of source code know it by that.
pub const PREFIX: &str = "wbk_";

/// A new key.
pub struct NewKey {
    /// All of it, to be shown once.
    pub key: SecretString,
    /// What is kept of it.
    pub hash: String,
}

/// Makes the key of this id.
///
/// # Errors
/// If the operating system has no random bytes to give.
pub fn new_key(chance: &Chance, id: ApiKeyId) -> Result<NewKey, NoChance> {
    let secret = digest::new_token(chance)?;
    let hash = digest::sha256_hex(secret.as_bytes());
    let id = Uuid::from_bytes(*id.bytes());
    Ok(NewKey { key: format!("{PREFIX}{}_{}", id.simple(), *secret).into(), hash })
}

/// The two parts of a key.
pub struct Parts<'k> {
    /// What finds it.
    pub id: ApiKeyId,
    /// What only its holder has.
    pub secret: &'k str,
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

/// Reads a key; `None` for any other text.
#[must_use]
pub fn parse(key: &str) -> Option<Parts<'_>> {
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    Some(Parts { id: ApiKeyId::new(simple_id(id)?), secret }).filter(|_| secret.len() == 43)
}

/// Whose key this is, if it is a good one.
///
/// # Errors
/// If the view cannot answer.
pub fn verify(app: &App, key: &SecretString) -> Result<Option<(User, ApiKey)>, ViewError> {
    let Some(parts) = parse(key.expose_secret()) else { return Ok(None) };
    let given = digest::sha256_hex(parts.secret.as_bytes());
    let Some((user, known)) = app.views().identity.api_key(parts.id)? else { return Ok(None) };
    let good = digest::same(known.secret.as_bytes(), given.as_bytes()) && app.now() < known.expires_at;
    Ok((good && user.active).then_some((user, known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_id_and_its_secret() {
        let id = ApiKeyId::new(Uuid::from_u128(0x0190_a000_0000_7000_8000_0000_0000_0001));
        let new = new_key(&Chance::seeded(1), id).unwrap();
        let parts = parse(new.key.expose_secret()).unwrap();
        assert_eq!((parts.id, digest::sha256_hex(parts.secret.as_bytes())), (id, new.hash));
        assert!(!format!("{parts:?}").contains(parts.secret));
        for wrong in ["", "wbk_", "wbk_x_y", "wbk__", "Bearer wbk_", "wbk_0190a000000070008000000000000001"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
