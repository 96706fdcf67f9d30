//! `[[external]]`: organisations whose word is taken for who somebody is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[[external]]`: an OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct External {
    /// What it is called here, in URLs and events; never change one.
    pub name: String,
    /// Its issuer, a URL.
    pub issuer: String,
    /// What we are called there.
    pub client_id: String,
    /// File with our secret there.
    pub client_secret_file: PathBuf,
    /// Our page that the browser comes back to, as registered there.
    pub redirect_url: String,
    /// What to ask for besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Take its word that more than a password was asked for (`amr` has `mfa`, RFC 8176).
    #[serde(default)]
    pub trust_mfa: bool,
}

impl External {
    /// TLS, or a provider on this machine.
    pub(super) fn is_safe(&self) -> bool {
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let named = (1..=32).contains(&self.name.len()) && self.name.bytes().all(slug);
        named && (self.issuer.starts_with("https://") || local.iter().any(|local| self.issuer.starts_with(local)))
    }
}
