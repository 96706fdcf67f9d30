//! A root key in AWS KMS: it never leaves there. Named by an alias; a new version is a new key, to which the alias is moved.
//!
//! KMS can renew a key's material by itself (and we switch that on for keys that we make), but it does not tell under which
//! material something was encrypted. With a key for each version we know, and an old one can be disabled by itself.
//! What is wrapped is `kms1:<id of the key>:` and KMS's own bytes. The context is KMS's encryption context: it stands in
//! CloudTrail.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::Region;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::bridge::{Bridge, Lost};
use crate::root::{RootError, RootKeyProvider, RootVersion};

/// In errors and metrics.
pub const NAME: &str = "aws-kms";
const HEAD: &[u8] = b"kms1:";

/// Where the key is, and how we get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsSettings {
    /// Such as `alias/wardbook`.
    pub alias: String,
    /// Such as `eu-central-1`; empty for what the environment says.
    pub region: String,
    /// Another address than AWS's, such as that of a VPC endpoint; empty for none.
    pub endpoint: String,
    /// A file of credentials in AWS's form; without it, the usual chain: environment, profile, web identity, machine.
    pub credentials_file: Option<PathBuf>,
    /// How long one try may take.
    pub try_for: Duration,
}

/// A root key in AWS KMS.
pub struct Kms {
    shared: Arc<Shared>,
    bridge: Bridge,
}

struct Shared {
    settings: KmsSettings,
    /// Made at the first call, as finding credentials may ask the network; and anew after a refusal, as they may be others.
    client: Mutex<Option<Client>>,
}

impl Shared {
    async fn client(&self) -> Client {
        let mut current = self.client.lock().await;
        if let Some(client) = current.as_ref() {
            return client.clone();
        }
        let KmsSettings { region, endpoint, credentials_file, .. } = &self.settings;
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled());
        if !region.is_empty() {
            loader = loader.region(Region::new(region.clone()));
        }
        if !endpoint.is_empty() {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(path) = credentials_file {
            loader = with_credentials(loader, path);
        }
        let client = Client::new(&loader.load().await);
        *current = Some(client.clone());
        client
    }
}

#[expect(deprecated, reason = "the newer names are in a crate that we need for nothing else")]
fn with_credentials(loader: ConfigLoader, path: &Path) -> ConfigLoader {
    use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
    let files = ProfileFiles::builder().include_default_config_file(true);
    loader.profile_files(files.with_file(ProfileFileKind::Credentials, path).build()).profile_name("default")
}

impl Kms {
    /// Does not ask KMS for anything yet.
    ///
    /// # Errors
    /// If a setting makes no sense, or no thread can be started.
    pub fn new(settings: KmsSettings) -> Result<Self, RootError> {
        let name = settings.alias.strip_prefix("alias/").unwrap_or_default();
        if name.is_empty() || name.starts_with("aws/") {
            return Err(unfit("keys.aws_kms.alias must be an alias of your own, such as alias/wardbook"));
        }
        let local = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"];
        let endpoint = &settings.endpoint;
        let secure = endpoint.is_empty() || endpoint.starts_with("https://");
        if !secure && !local.iter().any(|start| endpoint.starts_with(start)) {
            return Err(unfit("keys.aws_kms.endpoint must begin with https:// unless it is the loopback address"));
        }
        let bridge = Bridge::start("wardbook-kms")?;
        Ok(Self { shared: Arc::new(Shared { settings, client: Mutex::default() }), bridge })
    }

    fn ask<T: Send + 'static, F>(
        &self,
        request: impl FnOnce(Client, String) -> F + Send + 'static,
    ) -> Result<T, RootError>
    where
        F: Future<Output = Result<T, RootError>> + Send,
    {
        let shared = Arc::clone(&self.shared);
        let try_for = shared.settings.try_for;
        let work = async move {
            let answer = request(shared.client().await, shared.settings.alias.clone()).await;
            if matches!(answer, Err(RootError::Refused { .. })) {
                *shared.client.lock().await = None;
            }
            answer
        };
        self.bridge.run(try_for, work).unwrap_or_else(|lost| {
            Err(unreachable(match lost {
                Lost::Late => "no answer in time",
                Lost::Gone => "the connection broke",
            }))
        })
    }
}

fn unreachable(why: impl Into<String>) -> RootError {
    RootError::Unreachable { provider: NAME, why: why.into(), retry_after: Duration::from_secs(5) }
}

fn unfit(what: impl Into<String>) -> RootError {
    RootError::Unfit { provider: NAME, what: what.into() }
}

/// What an error means. The words of KMS hold no secrets.
fn fault<E: ProvideErrorMetadata + Error + 'static>(error: SdkError<E, HttpResponse>) -> RootError {
    let why = error.message().unwrap_or_default().chars().take(200).collect::<String>();
    // Something between us and KMS may refuse us in words of its own.
    let refused = error.raw_response().is_some_and(|answer| matches!(answer.status().as_u16(), 401 | 403));
    match error.code() {
        Some("InvalidCiphertextException" | "IncorrectKeyException") => RootError::NotAuthentic,
        Some("DisabledException" | "KMSInvalidStateException" | "NotFoundException") => {
            RootError::Disabled { provider: NAME, why }
        }
        Some(
            "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException",
        ) => RootError::Refused { provider: NAME, why },
        Some("ValidationException" | "InvalidKeyUsageException" | "UnsupportedOperationException") => unfit(why),
        Some(code) => unreachable(format!("{code}: {why}")),
        None if refused => RootError::Refused { provider: NAME, why: "status 401 or 403".to_owned() },
        None => {
            let why = super::innermost(&error);
            match ["credential", "profile"].iter().any(|word| why.contains(word)) {
                // Nobody was asked: there is nothing to sign with.
                true => RootError::Refused { provider: NAME, why },
                false => unreachable(why),
            }
        }
    }
}

fn bind(context: &str) -> HashMap<String, String> {
    HashMap::from([("wardbook".to_owned(), context.to_owned())])
}

/// The last part of a key's ARN, or the id itself.
fn id_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn parse(wrapped: &[u8]) -> Result<(&str, &[u8]), RootError> {
    let rest = wrapped.strip_prefix(HEAD).ok_or(RootError::NotAuthentic)?;
    let end = rest.iter().position(|byte| *byte == b':').ok_or(RootError::NotAuthentic)?;
    let (id, blob) = rest.split_at_checked(end).ok_or(RootError::NotAuthentic)?;
    let id = std::str::from_utf8(id).map_err(|_| RootError::NotAuthentic)?;
    let fine = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match (fine, blob.split_first()) {
        (true, Some((_, blob))) if !blob.is_empty() => Ok((id, blob)),
        _ => Err(RootError::NotAuthentic),
    }
}

fn form(arn: Option<&str>, blob: Option<Blob>) -> Result<Vec<u8>, RootError> {
    match (arn, blob) {
        (Some(arn), Some(blob)) => Ok([HEAD, id_of(arn).as_bytes(), b":", blob.as_ref()].concat()),
        _ => Err(unreachable("its answer lacks the ciphertext")),
    }
}

/// A new key that renews its own material each year.
async fn make(client: &Client) -> Result<String, RootError> {
    let request = client.create_key().key_usage(KeyUsageType::EncryptDecrypt).key_spec(KeySpec::SymmetricDefault);
    let made = request.description("wardbook root key").send().await.map_err(fault)?;
    let id = made.key_metadata().map(|key| key.key_id().to_owned()).ok_or_else(|| unreachable("it made no key"))?;
    client.enable_key_rotation().key_id(&id).send().await.map_err(fault)?;
    Ok(id)
}

impl RootKeyProvider for Kms {
    fn id(&self) -> String {
        format!("aws-kms:{}", self.shared.settings.alias)
    }

    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        let (context, key) = (bind(context), Zeroizing::new(key.to_vec()));
        self.ask(async move |client, alias| {
            let request = client.encrypt().key_id(alias).plaintext(Blob::new(key.as_slice()));
            let answer = request.set_encryption_context(Some(context)).send().await.map_err(fault)?;
            form(answer.key_id(), answer.ciphertext_blob().cloned())
        })
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        let (id, blob) = parse(wrapped)?;
        let (context, id, blob) = (bind(context), id.to_owned(), Blob::new(blob));
        self.ask(async move |client, _| {
            let request = client.decrypt().key_id(id).ciphertext_blob(blob);
            let answer = request.set_encryption_context(Some(context)).send().await.map_err(fault)?;
            let plain = answer.plaintext.ok_or_else(|| unreachable("its answer lacks the plaintext"))?;
            Ok(Zeroizing::new(plain.into_inner()))
        })
    }

    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.ask(async move |client, alias| {
            let answer = client.describe_key().key_id(alias).send().await.map_err(fault)?;
            let key = answer.key_metadata().ok_or_else(|| unreachable("its answer lacks the key"))?;
            Ok(RootVersion::new(key.key_id()))
        })
    }

    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        parse(wrapped).map(|(id, _)| RootVersion::new(id))
    }

    fn rotate(&self) -> Result<RootVersion, RootError> {
        self.ask(async move |client, alias| {
            let id = make(&client).await?;
            client.update_alias().alias_name(alias).target_key_id(&id).send().await.map_err(fault)?;
            Ok(RootVersion::new(id))
        })
    }

    /// KMS does it: the key does not come into our memory.
    fn rewrap(&self, context: &str, wrapped: &[u8]) -> Result<Vec<u8>, RootError> {
        let (id, blob) = parse(wrapped)?;
        let (context, id, blob) = (bind(context), id.to_owned(), Blob::new(blob));
        self.ask(async move |client, alias| {
            let request = client.re_encrypt().ciphertext_blob(blob).source_key_id(id).destination_key_id(alias);
            let request = request.set_source_encryption_context(Some(context.clone()));
            let request = request.set_destination_encryption_context(Some(context));
            let answer = request.send().await.map_err(fault)?;
            form(answer.key_id(), answer.ciphertext_blob().cloned())
        })
    }

    fn retire_before(&self, _: &RootVersion) -> Result<(), RootError> {
        Err(unfit("disable the older keys in KMS itself, and let it delete them after 30 days"))
    }

    fn check(&self) -> Result<(), RootError> {
        self.ask(async move |client, alias| {
            let answer = client.describe_key().key_id(alias).send().await.map_err(fault)?;
            let key = answer.key_metadata().ok_or_else(|| unreachable("its answer lacks the key"))?;
            match key.key_state() {
                Some(KeyState::Enabled) | None => {}
                Some(state) => return Err(RootError::Disabled { provider: NAME, why: state.as_str().to_owned() }),
            }
            let fit = key.key_usage() == Some(&KeyUsageType::EncryptDecrypt)
                && key.key_spec() == Some(&KeySpec::SymmetricDefault);
            fit.then_some(()).ok_or_else(|| unfit("it is not a symmetric key for encryption; point the alias to one"))
        })
    }

    fn create(&self) -> Result<(), RootError> {
        match self.newest_version() {
            Err(RootError::Disabled { .. }) => self.ask(async move |client, alias| {
                let id = make(&client).await?;
                client.create_alias().alias_name(alias).target_key_id(id).send().await.map_err(fault).map(drop)
            })?,
            found => drop(found?),
        }
        self.check()
    }
}

impl fmt::Debug for Kms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kms({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_before_what_kms_made() {
        let arn = "arn:aws:kms:eu-central-1:1:key/12-ab";
        let wrapped = form(Some(arn), Some(Blob::new(*b"x:y"))).unwrap();
        assert_eq!(parse(&wrapped).unwrap(), ("12-ab", b"x:y".as_slice()));
        for other in [b"".as_slice(), b"kms1:", b"kms1::x", b"kms1:12-ab:", b"kms2:12-ab:x", b"kms1:1/2:x"] {
            assert!(parse(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn senseless_settings_are_refused() {
        let settings = |alias: &str, endpoint: &str| KmsSettings {
            alias: alias.to_owned(),
            region: String::new(),
            endpoint: endpoint.to_owned(),
            credentials_file: None,
            try_for: Duration::from_secs(1),
        };
        for (alias, endpoint, good) in [
            ("alias/wardbook", "", true),
            ("alias/wardbook", "http://127.0.0.1:5000", true),
            ("alias/wardbook", "http://kms.example", false),
            ("alias/aws/s3", "", false),
            ("1234", "", false),
        ] {
            assert_eq!(Kms::new(settings(alias, endpoint)).is_ok(), good, "{alias} {endpoint}");
        }
    }
}
