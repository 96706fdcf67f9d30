//! A root key in a local file, for development and small installations; the key itself is in our memory.
//!
//! What is wrapped begins with the number of the version: `wbroot2`, a zero byte, four bytes of version, then AES-SIV.
//! Without that head it is of version 1, as the first program wrote it; no AES-SIV tag begins like that but once in 2^64.

mod text;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::RwLock;
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::material::{Secret, SivKey, TAG, derive};
use crate::root::{RootError, RootKeyProvider, RootVersion};

const HEAD: &[u8; 8] = b"wbroot2\0";
/// Versions that stay in the file at least.
const VERSIONS_MIN: usize = 3;
const NAME: &str = "file";

/// What protects a root key's file.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// As somebody typed it, or as it stands in a file; a line break at its end does not count.
    #[must_use]
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
    }
    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A root key held in memory, loaded from a file of mode 0600.
pub struct RootKey {
    id: String,
    /// Oldest first, never empty.
    versions: RwLock<Vec<Version>>,
    place: Option<Place>,
}

struct Version {
    number: u32,
    wraps: SivKey,
}

struct Place {
    path: PathBuf,
    passphrase: Option<Passphrase>,
}

impl RootKey {
    /// Loads the file; makes it (mode 0600) if there is none.
    ///
    /// # Errors
    /// If the file is exposed, damaged, or cannot be read or made.
    pub fn load_or_create(path: &Path) -> Result<Self, RootError> {
        Self::open(path, None, true)
    }

    /// Loads an existing file that no passphrase protects.
    ///
    /// # Errors
    /// If the file is missing, exposed, damaged, or cannot be read.
    pub fn load(path: &Path) -> Result<Self, RootError> {
        Self::open(path, None, false)
    }

    /// Makes a new file with a fresh key that no passphrase protects; never overwrites one.
    ///
    /// # Errors
    /// If there is a file already, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, RootError> {
        Self::create_with(path, None)
    }

    /// Loads a file; with a passphrase, only one that is protected by it. Makes it if there is none and `may_create` says so.
    ///
    /// # Errors
    /// If the file is missing, exposed, damaged, not protected as was said, or the passphrase is not the right one.
    pub fn open(path: &Path, passphrase: Option<Passphrase>, may_create: bool) -> Result<Self, RootError> {
        match text::load(path, passphrase.as_ref()) {
            Err(RootError::Missing) if may_create => match Self::create_with(path, passphrase.clone()) {
                // Another process was first: its key is the key.
                Err(RootError::File(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let kept = text::load(path, passphrase.as_ref())?;
                    Ok(Self::of(kept, Some(Place { path: path.to_owned(), passphrase })))
                }
                made => made,
            },
            kept => Ok(Self::of(kept?, Some(Place { path: path.to_owned(), passphrase }))),
        }
    }

    fn create_with(path: &Path, passphrase: Option<Passphrase>) -> Result<Self, RootError> {
        let kept = text::Kept::fresh()?;
        text::create(path, &kept, passphrase.as_ref())?;
        Ok(Self::of(kept, Some(Place { path: path.to_owned(), passphrase })))
    }

    /// A fresh key that is never written anywhere, for tests and throw-away systems.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn ephemeral() -> Result<Self, StoreError> {
        Ok(Self::of(text::Kept::fresh()?, None))
    }

    fn of(kept: text::Kept, place: Option<Place>) -> Self {
        let versions = kept.versions.iter().map(|(number, secret)| Version::new(*number, secret)).collect();
        Self { id: kept.id, versions: RwLock::new(versions), place }
    }

    /// Changes the file and then what we hold of it. Read anew before, so that nothing is lost that is only there.
    fn change(
        &self,
        place: &Place,
        change: impl FnOnce(&mut text::Kept) -> Result<(), RootError>,
    ) -> Result<(), RootError> {
        let mut held = self.versions.write();
        let mut kept = text::load(&place.path, place.passphrase.as_ref())?;
        if kept.id != self.id {
            return Err(RootError::Damaged { what: "it holds another key than when it was opened" });
        }
        change(&mut kept)?;
        text::replace(&place.path, &kept, place.passphrase.as_ref())?;
        *held = kept.versions.iter().map(|(number, secret)| Version::new(*number, secret)).collect();
        Ok(())
    }
}

impl Version {
    fn new(number: u32, secret: &Secret<32>) -> Self {
        Self { number, wraps: SivKey::new(derive(secret.bytes(), b"", &[b"wardbook 2026 root wraps tenant keys"])) }
    }
    fn name(&self) -> RootVersion {
        RootVersion::new(self.number.to_string())
    }
}

/// Version, what it is bound to besides its context, and the rest. Without a head it is of the first version.
fn parse(wrapped: &[u8]) -> Result<(u32, &[u8], &[u8]), RootError> {
    let Some(rest) = wrapped.strip_prefix(HEAD) else {
        return if wrapped.len() < TAG { Err(RootError::NotAuthentic) } else { Ok((1, b"", wrapped)) };
    };
    let (version, body) = rest.split_first_chunk::<4>().ok_or(RootError::NotAuthentic)?;
    let head = wrapped.get(..HEAD.len() + version.len()).unwrap_or_default();
    Ok((u32::from_be_bytes(*version), head, body))
}

impl RootKeyProvider for RootKey {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        let versions = self.versions.read();
        let newest = versions.last().ok_or(RootError::Damaged { what: "it holds no key" })?;
        let head = [HEAD.as_slice(), &newest.number.to_be_bytes()].concat();
        let body = newest.wraps.wrap(&[context.as_bytes(), &head], key).map_err(|_| RootError::NotAuthentic)?;
        Ok([head, body].concat())
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        let (number, head, body) = parse(wrapped)?;
        let versions = self.versions.read();
        let version = versions.iter().find(|version| version.number == number).ok_or(RootError::Disabled {
            provider: NAME,
            why: format!("there is no version {number} in the root key file"),
        })?;
        let (tag, text) = body.split_first_chunk::<TAG>().ok_or(RootError::NotAuthentic)?;
        let mut key = Zeroizing::new(text.to_vec());
        let bound: &[&[u8]] = if head.is_empty() { &[context.as_bytes()] } else { &[context.as_bytes(), head] };
        version.wraps.decrypt(bound, *tag, &mut key).map_err(|_| RootError::NotAuthentic)?;
        Ok(key)
    }

    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.versions.read().last().map(Version::name).ok_or(RootError::Damaged { what: "it holds no key" })
    }

    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        parse(wrapped).map(|(number, ..)| RootVersion::new(number.to_string()))
    }

    fn rotate(&self) -> Result<RootVersion, RootError> {
        let secret = Secret::random().map_err(|_| RootError::NoRandomness)?;
        match &self.place {
            Some(place) => self.change(place, |kept| kept.push(secret))?,
            None => {
                let mut versions = self.versions.write();
                let number = versions.last().map_or(1, |newest| newest.number + 1);
                versions.push(Version::new(number, &secret));
            }
        }
        self.newest_version()
    }

    fn retire_before(&self, version: &RootVersion) -> Result<(), RootError> {
        let unfit = |what: &str| RootError::Unfit { provider: NAME, what: what.to_owned() };
        let first = {
            let versions = self.versions.read();
            let place = versions.iter().position(|kept| kept.name() == *version);
            let place = place.ok_or_else(|| unfit("there is no such version in the file"))?;
            if versions.len() - place < VERSIONS_MIN {
                return Err(unfit("three versions at least stay in the file (ENC-10); rotate more often first"));
            }
            versions.get(place).map_or(0, |kept| kept.number)
        };
        match &self.place {
            Some(place) => self.change(place, |kept| {
                kept.versions.retain(|(number, _)| *number >= first);
                Ok(())
            }),
            None => {
                self.versions.write().retain(|kept| kept.number >= first);
                Ok(())
            }
        }
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKey({})", self.id)
    }
}

#[cfg(test)]
mod tests;
