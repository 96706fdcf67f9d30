//! Being logged in: by AppRole, renewed in time, anew when the token is not good any more.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vaultrs::api::AuthInfo;
use vaultrs::auth::approle;
use vaultrs::client::{Client as _, VaultClient, VaultClientSettings};
use zeroize::Zeroizing;

use super::{NAME, VaultSettings, fault, unfit, unreachable};
use crate::providers::secret_file;
use crate::root::RootError;

/// Five failed logins within a quarter of an hour lock a role (user lockout, on by default): a secret id that was refused is offered
/// again only after this time, or once another one stands in the file.
const REFUSED_FOR: Duration = Duration::from_secs(240);

/// At most one login is good at a time.
pub struct Sessions {
    settings: VaultSettings,
    current: tokio::sync::Mutex<Option<Session>>,
    refused: Mutex<Option<Refused>>,
}

/// A secret id that did not log us in.
struct Refused {
    secret_id: Zeroizing<String>,
    at: Instant,
    why: String,
}

impl Refused {
    fn holds(&self, secret_id: &str, now: Instant) -> bool {
        *self.secret_id == secret_id && now.saturating_duration_since(self.at) < REFUSED_FOR
    }
}

struct Session {
    client: Arc<VaultClient>,
    lease: Mutex<Lease>,
}

#[derive(Clone, Copy)]
struct Lease {
    since: Instant,
    /// Zero: it does not end.
    lasts: Duration,
    renewable: bool,
}

impl Lease {
    fn of(auth: &AuthInfo) -> Self {
        Self { since: Instant::now(), lasts: Duration::from_secs(auth.lease_duration), renewable: auth.renewable }
    }
    fn is_over(&self, now: Instant) -> bool {
        !self.lasts.is_zero() && now >= self.since + self.lasts
    }
    fn is_due(&self, now: Instant) -> bool {
        self.renewable && !self.lasts.is_zero() && now >= self.since + self.lasts * 2 / 3
    }
}

impl Sessions {
    pub fn new(settings: VaultSettings) -> Result<Self, RootError> {
        let fine = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let VaultSettings { namespace, mount, key, auth_mount, role_id, .. } = &settings;
        if [namespace, mount, key, auth_mount, role_id].iter().any(|text| !fine(text)) {
            return Err(unfit("namespace, mounts, key and role id are words without spaces; correct [keys.vault]"));
        }
        if [mount, key, auth_mount, role_id].iter().any(|text| text.is_empty()) {
            return Err(unfit("mount, key, auth_mount and role_id must be set in [keys.vault]"));
        }
        let sessions = Self { settings, current: tokio::sync::Mutex::new(None), refused: Mutex::new(None) };
        // Tells now, not at the first request, of an address or a certificate file that cannot be.
        sessions.connect("")?;
        Ok(sessions)
    }

    pub const fn settings(&self) -> &VaultSettings {
        &self.settings
    }

    fn connect(&self, token: &str) -> Result<VaultClient, RootError> {
        let VaultSettings { address, namespace, ca_file, try_for, .. } = &self.settings;
        let settings = VaultClientSettings {
            address: address.parse().map_err(|_| unfit("keys.vault.address is not a URL"))?,
            ca_certs: ca_file.iter().map(|path| path.display().to_string()).collect(),
            identity: None,
            timeout: Some(*try_for),
            token: token.to_owned(),
            // Not as the environment says: a key that is sent to whoever answers is no key.
            verify: true,
            version: 1,
            wrapping: false,
            namespace: (!namespace.is_empty()).then(|| namespace.clone()),
            proxy: None,
        };
        let host = settings.address.host_str().unwrap_or_default();
        let local = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        match settings.address.scheme() {
            "https" => {}
            "http" if local => {}
            _ => return Err(unfit("keys.vault.address must begin with https:// unless it is the loopback address")),
        }
        VaultClient::new(settings).map_err(|error| unfit(crate::providers::innermost(&error)))
    }

    /// A client that is logged in; logs in if none is, or its token has ended.
    pub async fn client(&self) -> Result<Arc<VaultClient>, RootError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.lease.lock().is_over(Instant::now())) {
            return Ok(Arc::clone(&session.client));
        }
        *current = None;
        let VaultSettings { auth_mount, role_id, secret_id_file, .. } = &self.settings;
        let secret_id = secret_file(secret_id_file)?;
        if let Some(refused) = self.refused.lock().as_ref().filter(|refused| refused.holds(&secret_id, Instant::now()))
        {
            return Err(RootError::Refused { provider: NAME, why: refused.why.clone() });
        }
        let auth = approle::login(&self.connect("")?, auth_mount, role_id, &secret_id).await.map_err(|error| {
            let error = fault(error);
            if let RootError::Refused { why, .. } = &error {
                let (secret_id, why) = (Zeroizing::new(secret_id.as_str().to_owned()), why.clone());
                *self.refused.lock() = Some(Refused { secret_id, at: Instant::now(), why });
            }
            error
        })?;
        if !auth.client_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unreachable("its answer to our login is not a token"));
        }
        let client = Arc::new(self.connect(&auth.client_token)?);
        *current = Some(Session { client: Arc::clone(&client), lease: Mutex::new(Lease::of(&auth)) });
        Ok(client)
    }

    /// This client's token is not good any more; unless somebody has logged in anew meanwhile, the next call does.
    pub async fn forget(&self, client: &Arc<VaultClient>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|session| Arc::ptr_eq(&session.client, client)) {
            *current = None;
        }
    }

    async fn renew_if_due(&self) {
        let (client, before) = match self.current.lock().await.as_ref() {
            Some(session) => (Arc::clone(&session.client), *session.lease.lock()),
            None => return,
        };
        if !before.is_due(Instant::now()) {
            return;
        }
        match client.renew(None).await {
            Ok(auth) => {
                if let Some(session) = self.current.lock().await.as_ref()
                    && Arc::ptr_eq(&session.client, &client)
                {
                    *session.lease.lock() = Lease::of(&auth);
                }
            }
            // The next call logs in; if the way was only blocked, the token may still serve until then.
            Err(error) => match fault(error) {
                RootError::Unreachable { .. } => {}
                _ => self.forget(&client).await,
            },
        }
    }
}

/// Renews for as long as the provider lives.
pub async fn tend(sessions: Weak<Sessions>) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let Some(sessions) = sessions.upgrade() else { return };
        sessions.renew_if_due().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str) -> VaultSettings {
        VaultSettings {
            address: address.to_owned(),
            namespace: String::new(),
            mount: "transit".to_owned(),
            key: "wardbook".to_owned(),
            auth_mount: "approle".to_owned(),
            role_id: "us".to_owned(),
            secret_id_file: "none".into(),
            ca_file: None,
            try_for: Duration::from_secs(1),
        }
    }

    #[test]
    fn without_tls_only_on_this_machine() {
        for (address, good) in [
            ("http://127.0.0.1:8200", true),
            ("http://localhost:8200/", true),
            ("http://[::1]:8200", true),
            ("http://vault.example:8200", false),
            ("http://127.0.0.1.example:8200", false),
            ("ftp://127.0.0.1", false),
            ("vault.example", false),
        ] {
            assert_eq!(Sessions::new(settings(address)).is_ok(), good, "{address}");
        }
        let empty = VaultSettings { role_id: String::new(), ..settings("http://127.0.0.1:1") };
        assert!(matches!(Sessions::new(empty), Err(RootError::Unfit { .. })));
        let odd = VaultSettings { namespace: "a\nb".to_owned(), ..settings("http://127.0.0.1:1") };
        assert!(matches!(Sessions::new(odd), Err(RootError::Unfit { .. })));
    }

    #[test]
    fn a_refused_secret_is_not_offered_again_for_a_while() {
        let at = Instant::now();
        let refused = Refused { secret_id: Zeroizing::new("one".to_owned()), at, why: String::new() };
        assert!(refused.holds("one", at) && refused.holds("one", at + REFUSED_FOR - Duration::from_nanos(1)));
        assert!(!refused.holds("one", at + REFUSED_FOR) && !refused.holds("two", at));
    }

    #[test]
    fn a_lease_is_renewed_before_it_ends() {
        let since = Instant::now();
        let lease = Lease { since, lasts: Duration::from_secs(30), renewable: true };
        let at = |seconds| since + Duration::from_secs(seconds);
        assert!(!lease.is_due(at(19)) && lease.is_due(at(20)));
        assert!(!lease.is_over(at(29)) && lease.is_over(at(30)));
        let endless = Lease { lasts: Duration::ZERO, ..lease };
        assert!(!endless.is_due(at(99)) && !endless.is_over(at(99)));
    }
}
