//! Passwords: Argon2id with the parameters of OWASP's Password Storage Cheat Sheet, a bounded number at a time.
//!
//! One hash takes tens of milliseconds and 19 MiB, so it runs off the async threads, and a flood of logins is turned
//! away instead of taking all memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{CustomizedPasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::clock::{Chance, NoChance};
use crate::config;

pub mod known;
pub mod of_user;
pub mod pin;
pub mod policy;
pub mod predictable;
pub mod reset;

use known::Breached;
pub use policy::Weakness;

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many at once.
    #[error("too many logins at once, try again in a moment")]
    Busy,
    /// The settings are no valid Argon2 parameters.
    #[error("passwords.memory_kib, passes and lanes in the configuration are not valid for argon2id: {0}")]
    Parameters(argon2::Error),
    /// Hashing failed.
    #[error("a password could not be hashed")]
    Failed,
    /// No random salt.
    #[error(transparent)]
    NoChance(#[from] NoChance),
    /// The file of passwords from breaches cannot be read: no new password is taken without it.
    #[error("passwords.breached_file in the configuration cannot be used: {0}")]
    Breached(std::io::Error),
    /// Not good enough.
    #[error("the password is not good enough: {0}")]
    Weak(#[from] Weakness),
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    config: config::Passwords,
    params: Params,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
    /// Checked in place of the hash of a user that does not exist, so that both take the same time.
    nobody: String,
    chance: Chance,
    /// Passwords from breaches besides those that are built in.
    breached: Option<Breached>,
}

impl Inner {
    fn check(&self, password: &SecretString, username: &str) -> Result<(), PasswordError> {
        policy::check(&self.config, password, username)?;
        match &self.breached {
            Some(file) if file.has(password.expose_secret()).map_err(PasswordError::Breached)? => {
                Err(Weakness::Known.into())
            }
            _ => Ok(()),
        }
    }
}

impl Passwords {
    /// Sets it up.
    ///
    /// # Errors
    /// If the settings are not valid parameters, or name a file of breaches that is none.
    pub fn new(config: &config::Passwords, chance: Chance) -> Result<Self, PasswordError> {
        let params =
            Params::new(config.memory_kib, config.passes, config.lanes, Some(32)).map_err(PasswordError::Parameters)?;
        let nobody = hash(&params, b"nobody has this password", &chance.bytes::<16>()?)?;
        let path = Some(&config.breached_file).filter(|path| !path.as_os_str().is_empty());
        let breached = path.map(|path| Breached::open(path)).transpose().map_err(PasswordError::Breached)?;
        Ok(Self(Arc::new(Inner {
            breached,
            config: config.clone(),
            params,
            slots: Arc::new(Semaphore::new(config.concurrent_max)),
            waiting: AtomicUsize::new(0),
            waiting_max: config.waiting_max,
            nobody,
            chance,
        })))
    }

    /// Hashes a new password of the user of this name into PHC form.
    ///
    /// # Errors
    /// If it is not good enough, too many wait, or hashing fails.
    pub async fn hash(&self, password: SecretString, username: &str) -> Result<String, PasswordError> {
        let (inner, username) = (Arc::clone(&self.0), username.to_owned());
        let salt = inner.chance.bytes::<16>()?;
        self.run(move || {
            inner.check(&password, &username)?;
            hash(&inner.params, password.expose_secret().as_bytes(), &salt)
        })
        .await?
    }

    /// Blocking twin of [`Self::hash`], for the command line.
    ///
    /// # Errors
    /// As there.
    pub fn hash_blocking(&self, password: &SecretString, username: &str) -> Result<String, PasswordError> {
        self.0.check(password, username)?;
        hash(&self.0.params, password.expose_secret().as_bytes(), &self.0.chance.bytes::<16>()?)
    }

    /// Hashes what the rules for new passwords do not apply to: a PIN, or a password that is the user's already, with the
    /// parameters of today.
    ///
    /// # Errors
    /// If too many wait, or hashing fails.
    pub async fn rehash(&self, password: SecretString) -> Result<String, PasswordError> {
        let inner = Arc::clone(&self.0);
        let salt = inner.chance.bytes::<16>()?;
        self.run(move || hash(&inner.params, password.expose_secret().as_bytes(), &salt)).await?
    }

    /// Whether a hash was made with other parameters than today's.
    #[must_use]
    pub fn is_outdated(&self, phc: &SecretString) -> bool {
        let parsed = PasswordHash::new(phc.expose_secret()).ok();
        let params = parsed.and_then(|parsed| Params::try_from(&parsed).ok());
        let of = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        params.is_some_and(|params| of(&params) != of(&self.0.params))
    }

    /// Refuses a password that is behind one of these hashes: those of the user's last passwords, newest first.
    ///
    /// # Errors
    /// [`Weakness::Used`], or if too many wait.
    pub async fn refuse_used(&self, password: &SecretString, before: Vec<SecretString>) -> Result<(), PasswordError> {
        let inner = Arc::clone(&self.0);
        let (password, last) = (password.clone(), inner.config.history);
        let used = self
            .run(move || before.iter().take(last).any(|phc| fits(&inner.params, &password, phc.expose_secret())))
            .await?;
        if used { Err(Weakness::Used(last).into()) } else { Ok(()) }
    }

    /// Whether the password is the one behind the hash. Without a hash the same work is done and the answer is no.
    ///
    /// # Errors
    /// If too many wait.
    pub async fn verify(&self, password: SecretString, phc: Option<SecretString>) -> Result<bool, PasswordError> {
        let inner = Arc::clone(&self.0);
        self.run(move || {
            let text = phc.as_ref().map_or(inner.nobody.as_str(), ExposeSecret::expose_secret);
            fits(&inner.params, &password, text) && phc.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let inner = &self.0;
        if inner.waiting.fetch_add(1, Ordering::SeqCst) >= inner.waiting_max {
            inner.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(PasswordError::Busy);
        }
        let waited = Waiting(&inner.waiting);
        let slot = Arc::clone(&inner.slots).acquire_owned().await.map_err(|_| PasswordError::Failed)?;
        // The slot goes with the work: a client that hangs up does not make room for more hashes than allowed.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        });
        let done = done.await.map_err(|_| PasswordError::Failed);
        drop(waited);
        done
    }
}

/// Leaves the queue even when the request is dropped half-way.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn fits(params: &Params, password: &SecretString, phc: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(phc) else { return false };
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon.verify_password(password.expose_secret().as_bytes(), &parsed).is_ok()
}

fn hash(params: &Params, password: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
    let argon = Argon2::default();
    argon
        .hash_password_customized(password, salt, Some("argon2id"), Some(19), params.clone())
        .map(|hash| hash.to_string())
        .map_err(|_| PasswordError::Failed)
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Kettle-93-violet-Harbour";

    fn quick(concurrent: usize, waiting: usize) -> Passwords {
        let config = config::Passwords {
            memory_kib: 64,
            passes: 1,
            concurrent_max: concurrent,
            waiting_max: waiting,
            ..Default::default()
        };
        Passwords::new(&config, Chance::system()).unwrap()
    }

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = quick(1, 8);
        let phc = passwords.hash(GOOD.into(), "dr.osei").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
        assert!(passwords.verify(GOOD.into(), Some(phc.clone().into())).await.unwrap());
        assert!(!passwords.verify("Kettle-93-violet-Harbous".into(), Some(phc.into())).await.unwrap());
        assert!(!passwords.verify("nobody has this password".into(), None).await.unwrap());
        assert!(!passwords.verify("x".into(), Some("not a hash".into())).await.unwrap());
    }

    #[tokio::test]
    async fn the_default_is_owasps() {
        let passwords = Passwords::new(&config::Passwords::default(), Chance::system()).unwrap();
        let phc = passwords.hash(GOOD.into(), "dr.osei").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    }

    #[tokio::test]
    async fn too_many_are_turned_away_and_short_ones_refused() {
        assert!(matches!(quick(1, 0).verify("x".into(), None).await, Err(PasswordError::Busy)));
        let weak = quick(1, 8).hash("short".into(), "dr.osei").await;
        assert!(matches!(weak, Err(PasswordError::Weak(Weakness::Short(12)))));
    }

    #[tokio::test]
    async fn the_last_passwords_are_remembered() {
        let passwords = quick(1, 8);
        let mut before = Vec::new();
        for n in 0..25 {
            before.push(SecretString::from(passwords.rehash(format!("before-{n}").into()).await.unwrap()));
        }
        let used = async |text: &str| passwords.refuse_used(&text.into(), before.clone()).await;
        assert!(matches!(used("before-0").await, Err(PasswordError::Weak(Weakness::Used(24)))));
        assert!(used("before-23").await.is_err());
        assert!(used("before-24").await.is_ok(), "the twenty-fifth is forgotten");
        assert!(used("never before").await.is_ok());
    }
}
