//! A root key in the Transit engine of HashiCorp Vault or OpenBao: it never leaves there.
//!
//! The key must be *derived*: each context has a key of its own, derived there from the root key. Associated data would bind a
//! context as well, but Transit cannot rewrap what has any (decision 12). What is wrapped is Transit's own text,
//! `vault:v<version>:<base64>`.
//!
//! We log in by AppRole. The token is renewed when two thirds of its lease are over; after a refusal we log in anew, once a
//! call, with the secret id that stands in the file by then.

mod session;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vaultrs::api::transit::KeyType;
use vaultrs::api::transit::requests::{
    CreateKeyRequest, DecryptDataRequest, EncryptDataRequest, RewrapDataRequest, UpdateKeyConfigurationRequest,
};
use vaultrs::api::transit::responses::{ReadKeyData, ReadKeyResponse};
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;
use vaultrs::transit;
use zeroize::Zeroizing;

use self::session::Sessions;
use super::bridge::{Bridge, Lost};
use crate::root::{RootError, RootKeyProvider, RootVersion};

/// In errors and metrics.
pub const NAME: &str = "vault";

/// Where the key is, and how we get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSettings {
    /// Such as `https://vault.example:8200`. Without TLS only on the loopback address.
    pub address: String,
    /// Vault Enterprise and OpenBao have them; empty for none.
    pub namespace: String,
    /// Where the Transit engine is mounted.
    pub mount: String,
    /// Name of the key there.
    pub key: String,
    /// Where AppRole is mounted.
    pub auth_mount: String,
    /// Who we are.
    pub role_id: String,
    /// The file with the secret that proves it, closed to others.
    pub secret_id_file: PathBuf,
    /// Certificates (PEM) of the authority of its certificate, besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// How long one try may take.
    pub try_for: Duration,
}

/// A root key in Vault's or OpenBao's Transit engine.
pub struct Vault {
    sessions: Arc<Sessions>,
    bridge: Bridge,
}

impl Vault {
    /// Does not ask the server for anything yet.
    ///
    /// # Errors
    /// If a setting makes no sense, or no thread can be started.
    pub fn new(settings: VaultSettings) -> Result<Self, RootError> {
        let sessions = Arc::new(Sessions::new(settings)?);
        let bridge = Bridge::start("wardbook-vault")?;
        bridge.leave(session::tend(Arc::downgrade(&sessions)));
        Ok(Self { sessions, bridge })
    }

    /// Runs a request, after logging in if need be; logs in anew and runs it again if the token is not good any more.
    fn ask<T: Send + 'static, F>(
        &self,
        request: impl Fn(Arc<VaultClient>, Place) -> F + Send + Sync + 'static,
    ) -> Result<T, RootError>
    where
        F: Future<Output = Result<T, ClientError>> + Send,
    {
        let sessions = Arc::clone(&self.sessions);
        let settings = sessions.settings();
        let place = Place { mount: settings.mount.clone(), key: settings.key.clone() };
        let work = async move {
            let client = sessions.client().await?;
            match request(Arc::clone(&client), place.clone()).await {
                Err(ClientError::APIError { code: 403, .. }) => {
                    sessions.forget(&client).await;
                    request(sessions.client().await?, place).await.map_err(fault)
                }
                answer => answer.map_err(fault),
            }
        };
        self.bridge.run(self.sessions.settings().try_for, work).unwrap_or_else(|lost| {
            Err(unreachable(match lost {
                Lost::Late => "no answer in time",
                Lost::Gone => "the connection broke",
            }))
        })
    }

    fn read(&self) -> Result<ReadKeyResponse, RootError> {
        self.ask(|client, at| async move { transit::key::read(&*client, &at.mount, &at.key).await })
    }

    fn versions(&self) -> Result<Vec<u64>, RootError> {
        let mut versions: Vec<u64> = match self.read()?.keys {
            ReadKeyData::Symmetric(keys) => keys.keys().filter_map(|version| version.parse().ok()).collect(),
            ReadKeyData::Asymmetric(_) => return Err(unfit("it is not of the type aes256-gcm96")),
        };
        versions.sort_unstable();
        Ok(versions)
    }
}

#[derive(Clone)]
struct Place {
    mount: String,
    key: String,
}

fn unreachable(why: impl Into<String>) -> RootError {
    RootError::Unreachable { provider: NAME, why: why.into(), retry_after: Duration::from_secs(5) }
}

fn unfit(what: impl Into<String>) -> RootError {
    RootError::Unfit { provider: NAME, what: what.into() }
}

fn disabled(why: &str) -> RootError {
    RootError::Disabled { provider: NAME, why: why.to_owned() }
}

/// What the server's or the library's error means. The server's words hold no secrets; they are kept short all the same.
fn fault(error: ClientError) -> RootError {
    match error {
        ClientError::APIError { code, errors } => of_status(code, &errors.join("; ")),
        // Nobody listens, a certificate is not trusted, or something else than Vault answered.
        other => unreachable(super::innermost(&other)),
    }
}

fn of_status(code: u16, said: &str) -> RootError {
    let said: String = said.chars().take(200).collect();
    let says = |words: &str| said.contains(words);
    match code {
        400 if says("message authentication failed") || says("invalid ciphertext") || says("missing 'context'") => {
            RootError::NotAuthentic
        }
        400 if says("too old") => disabled("the version is below the minimum decryption version"),
        404 => disabled("there is no such key"),
        400 if says("key not found") => disabled("there is no such key"),
        400 if says("invalid role or secret") => RootError::Refused { provider: NAME, why: said },
        400 => unfit(said),
        401 | 403 => RootError::Refused { provider: NAME, why: if said.is_empty() { code.to_string() } else { said } },
        _ => unreachable(if said.is_empty() { format!("status {code}") } else { said }),
    }
}

/// `vault:v3:...`, as bytes and text.
fn parse(wrapped: &[u8]) -> Result<(u64, &str), RootError> {
    let text = std::str::from_utf8(wrapped).map_err(|_| RootError::NotAuthentic)?;
    let version = text.strip_prefix("vault:v").and_then(|rest| rest.split_once(':')).map(|(version, _)| version);
    let version = version.filter(|digits| !digits.starts_with(['0', '+'])).and_then(|digits| digits.parse().ok());
    Ok((version.ok_or(RootError::NotAuthentic)?, text))
}

fn version(number: u64) -> RootVersion {
    RootVersion::new(number.to_string())
}

impl RootKeyProvider for Vault {
    fn id(&self) -> String {
        let VaultSettings { namespace, mount, key, .. } = self.sessions.settings();
        let namespace = namespace.trim_matches('/');
        let slash = if namespace.is_empty() { "" } else { "/" };
        format!("vault:{namespace}{slash}{mount}/{key}")
    }

    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        let (context, plain) = (STANDARD.encode(context), Zeroizing::new(STANDARD.encode(key)));
        let answer = self.ask(move |client, at| {
            let (context, plain) = (context.clone(), plain.clone());
            async move {
                let mut request = EncryptDataRequest::builder();
                request.context(context);
                transit::data::encrypt(&*client, &at.mount, &at.key, &plain, Some(&mut request)).await
            }
        })?;
        let wrapped = answer.ciphertext.into_bytes();
        parse(&wrapped).map_err(|_| unreachable("its answer is not a ciphertext of Transit"))?;
        Ok(wrapped)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        let (_, text) = parse(wrapped)?;
        let (context, text) = (STANDARD.encode(context), text.to_owned());
        let answer = self.ask(move |client, at| {
            let (context, text) = (context.clone(), text.clone());
            async move {
                let mut request = DecryptDataRequest::builder();
                request.context(context);
                transit::data::decrypt(&*client, &at.mount, &at.key, &text, Some(&mut request)).await
            }
        })?;
        let plain = Zeroizing::new(answer.plaintext);
        let key =
            STANDARD.decode(plain.as_bytes()).map_err(|_| unreachable("its answer is not a plaintext of Transit"))?;
        Ok(Zeroizing::new(key))
    }

    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.versions()?.last().copied().map(version).ok_or_else(|| disabled("it has no version"))
    }

    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        parse(wrapped).map(|(number, _)| version(number))
    }

    fn rotate(&self) -> Result<RootVersion, RootError> {
        self.ask(|client, at| async move { transit::key::rotate(&*client, &at.mount, &at.key).await })?;
        self.newest_version()
    }

    /// Transit does it: the key does not come into our memory.
    fn rewrap(&self, context: &str, wrapped: &[u8]) -> Result<Vec<u8>, RootError> {
        let (_, text) = parse(wrapped)?;
        let (context, text) = (STANDARD.encode(context), text.to_owned());
        let answer = self.ask(move |client, at| {
            let (context, text) = (context.clone(), text.clone());
            async move {
                let mut request = RewrapDataRequest::builder();
                request.context(context);
                transit::data::rewrap(&*client, &at.mount, &at.key, &text, Some(&mut request)).await
            }
        })?;
        Ok(answer.ciphertext.into_bytes())
    }

    /// Raises the minimum decryption version (ENC-11).
    fn retire_before(&self, first: &RootVersion) -> Result<(), RootError> {
        let first: u64 = first.as_str().parse().map_err(|_| unfit("there is no such version"))?;
        if !self.versions()?.contains(&first) {
            return Err(unfit("there is no such version"));
        }
        self.ask(move |client, at| async move {
            let mut request = UpdateKeyConfigurationRequest::builder();
            request.min_decryption_version(first);
            transit::key::update(&*client, &at.mount, &at.key, Some(&mut request)).await
        })
    }

    fn check(&self) -> Result<(), RootError> {
        let key = self.read()?;
        if key.exportable || key.allow_plaintext_backup {
            return Err(unfit("it may be exported or backed up in clear (ENC-13); make another key that may not"));
        }
        if !matches!(key.key_type, KeyType::Aes256Gcm96) || !key.supports_decryption {
            return Err(unfit("it is not of the type aes256-gcm96; make another key of that type"));
        }
        if !key.derived {
            return Err(unfit("it is not derived, so no context can be bound; make another key with derived=true"));
        }
        Ok(())
    }

    fn create(&self) -> Result<(), RootError> {
        match self.check() {
            // Nothing there. Transit says 404; we asked for nothing but the key.
            Err(RootError::Disabled { .. }) => self.ask(|client, at| async move {
                let mut request = CreateKeyRequest::builder();
                request.derived(true).exportable(false).allow_plaintext_backup(false).key_type(KeyType::Aes256Gcm96);
                transit::key::create(&*client, &at.mount, &at.key, Some(&mut request)).await
            })?,
            checked => return checked,
        }
        self.check()
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ciphertext_of_transit_is_one() {
        assert_eq!(parse(b"vault:v12:abc").unwrap().0, 12);
        for other in ["", "vault:v:abc", "vault:v0:abc", "vault:v+1:abc", "vault:v1", "vaulx:v1:abc", "vault:v-1:a"] {
            assert!(parse(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn statuses_become_what_is_to_be_done() {
        assert!(matches!(of_status(400, "cipher: message authentication failed"), RootError::NotAuthentic));
        assert!(matches!(of_status(503, "Vault is sealed"), RootError::Unreachable { .. }));
        assert!(matches!(of_status(403, "permission denied"), RootError::Refused { .. }));
        assert!(matches!(of_status(404, ""), RootError::Disabled { .. }));
        assert!(matches!(of_status(429, ""), RootError::Unreachable { .. }));
    }
}
