//! The key of backups: apart from the root key, so that neither opens what the other guards (ENC-23).
//!
//! From its 32 bytes come, by HKDF, a signing key for manifests and one sealing key for each part. Its id is the digest of the
//! public half of the signing key, so that whoever knows the id can check a manifest without the secret.
//!
//! ```text
//! file    wardbook-backup-key-1 HEX64 CHECKSUM
//! part    "WBBP1\n", then chunks: authenticator (16 bytes), ciphertext; the last chunk is shorter or the last of all
//! ```
//! A part is sealed in chunks like STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015): each chunk is bound to its number and to
//! whether it is the last, so that no chunk can be left out, moved, or cut off. AES-256-SIV needs no nonce: each part has a
//! key of its own, made from the names of backup and part. So sealing again gives the same bytes, which is what an
//! interrupted backup goes on by.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::material::{Secret, SivKey, TAG, derive};

const TITLE: &str = "wardbook-backup-key-1";
const MAGIC: &[u8; 6] = b"WBBP1\n";
/// Plaintext of one chunk.
const CHUNK: usize = 1 << 20;
/// Longest key file.
const FILE_BYTES_MAX: u64 = 256;

/// Why there is no backup key.
#[derive(Debug, thiserror::Error)]
pub enum BackupKeyError {
    /// Reading or writing failed.
    #[error("the file of the backup key cannot be read or written: {0}; check path and permissions")]
    File(#[from] io::Error),
    /// Others could read it.
    #[error("the file of the backup key is open to group or others (mode {mode:04o}); run `chmod 600` on it")]
    Exposed {
        /// Its permission bits.
        mode: u32,
    },
    /// Not as it was written.
    #[error("the file of the backup key is damaged; recover the key from its shares: `wardbook backup keys recover`")]
    Damaged,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers; check that getrandom works here")]
    NoRandomness,
}

/// A part does not open: damaged, of another backup or in another place, or sealed under another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not open under this backup key: it is damaged, or another part or another key's")]
pub struct PartDamaged;

/// The key of backups.
pub struct BackupKey {
    secret: Secret<32>,
    signing: Ed25519KeyPair,
    id: String,
}

impl BackupKey {
    /// Loads an existing file.
    ///
    /// # Errors
    /// If it is missing, open to others, or damaged.
    pub fn load(path: &Path) -> Result<Self, BackupKeyError> {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(BackupKeyError::Exposed { mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Self::from_secret(parse(&text).ok_or(BackupKeyError::Damaged)?)
    }

    /// Makes a new file (mode 0600) with a fresh key; never overwrites one.
    ///
    /// # Errors
    /// If there is a file already, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, BackupKeyError> {
        let secret = Secret::random().map_err(|_| BackupKeyError::NoRandomness)?;
        let key = Self::from_secret(secret)?;
        key.write(path)?;
        Ok(key)
    }

    /// The key of these bytes, such as shares give back.
    ///
    /// # Errors
    /// If they are not 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BackupKeyError> {
        Self::from_secret(Secret::copy_of(bytes).ok_or(BackupKeyError::Damaged)?)
    }

    /// Writes the key into a new file (mode 0600).
    ///
    /// # Errors
    /// If there is a file already, or it cannot be made.
    pub fn write(&self, path: &Path) -> Result<(), BackupKeyError> {
        let bytes = self.secret.bytes();
        let (hex, sum) = (Zeroizing::new(hex::encode(bytes)), checksum(bytes));
        let line = Zeroizing::new(format!("{TITLE} {} {sum}\n", hex.as_str()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?)
    }

    fn from_secret(secret: Secret<32>) -> Result<Self, BackupKeyError> {
        let seed = derive(secret.bytes(), b"", &[b"wardbook 2026 backup manifests are signed"]);
        let seed = seed.bytes().first_chunk::<32>().ok_or(BackupKeyError::Damaged)?;
        let signing = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BackupKeyError::Damaged)?;
        let id = Self::id_of(signing.public_key().as_ref());
        Ok(Self { secret, signing, id })
    }

    /// Names the key without telling anything of it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id of the key with this public half.
    #[must_use]
    pub fn id_of(public: &[u8]) -> String {
        let digest = Sha256::new_with_prefix(b"wardbook backup key id\n").chain_update(public).finalize();
        hex::encode(digest.first_chunk::<16>().unwrap_or(&[0; 16]))
    }

    /// The public half that checks manifests.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.signing.public_key().as_ref()
    }

    /// Signs a manifest (Ed25519).
    #[must_use]
    pub fn sign(&self, manifest: &[u8]) -> Vec<u8> {
        self.signing.sign(manifest).as_ref().to_vec()
    }

    /// Whether the key with this public half signed the manifest.
    #[must_use]
    pub fn has_signed(public: &[u8], manifest: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, public).verify(manifest, signature).is_ok()
    }

    /// The bytes that are shared out. Nothing else may look at them.
    #[must_use]
    pub fn bytes_to_share(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.bytes().to_vec())
    }

    /// The key of one part. `names` must never be used for another content.
    #[must_use]
    pub fn part(&self, names: &[&str]) -> PartKey {
        let mut salt = Sha256::new();
        for name in names {
            salt.update((name.len() as u64).to_be_bytes());
            salt.update(name);
        }
        PartKey(SivKey::new(derive(self.secret.bytes(), &salt.finalize(), &[b"wardbook 2026 backup part"])))
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupKey({})", self.id)
    }
}

/// Seals and opens one part.
#[derive(Debug)]
pub struct PartKey(SivKey);

impl PartKey {
    /// Seals a part. The same content gives the same bytes.
    ///
    /// # Errors
    /// Never with the few context strings that are used here.
    pub fn seal(&self, content: &[u8]) -> Result<Vec<u8>, PartDamaged> {
        let chunks = content.len().div_ceil(CHUNK).max(1);
        let mut sealed = Vec::with_capacity(MAGIC.len() + content.len() + chunks * TAG);
        sealed.extend_from_slice(MAGIC);
        for (number, start) in (0_u64..).zip((0..).step_by(CHUNK)).take(chunks) {
            let end = content.len().min(start + CHUNK);
            let chunk = content.get(start..end).ok_or(PartDamaged)?;
            let at = sealed.len();
            sealed.extend_from_slice(&[0; TAG]);
            sealed.extend_from_slice(chunk);
            let (tag, text) =
                sealed.get_mut(at..).and_then(|chunk| chunk.split_first_chunk_mut::<TAG>()).ok_or(PartDamaged)?;
            let context = [&u64::to_be_bytes(number)[..], place(number + 1 == chunks as u64)];
            *tag = self.0.encrypt(&context, text).map_err(|_| PartDamaged)?;
        }
        Ok(sealed)
    }

    /// Opens a part in place of a copy.
    ///
    /// # Errors
    /// [`PartDamaged`], whatever was changed, moved, cut or added.
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, PartDamaged> {
        let body = sealed.strip_prefix(MAGIC.as_slice()).ok_or(PartDamaged)?;
        let chunks = body.len().div_ceil(CHUNK + TAG).max(1);
        let mut content = Zeroizing::new(Vec::with_capacity(body.len()));
        for (number, start) in (0_u64..).zip((0..).step_by(CHUNK + TAG)).take(chunks) {
            let chunk = body.get(start..body.len().min(start + CHUNK + TAG)).ok_or(PartDamaged)?;
            let (tag, text) = chunk.split_first_chunk::<TAG>().ok_or(PartDamaged)?;
            let at = content.len();
            content.extend_from_slice(text);
            let text = content.get_mut(at..).ok_or(PartDamaged)?;
            let context = [&u64::to_be_bytes(number)[..], place(number + 1 == chunks as u64)];
            self.0.decrypt(&context, *tag, text).map_err(|_| PartDamaged)?;
        }
        Ok(content)
    }
}

/// What tells the last chunk from those before.
const fn place(last: bool) -> &'static [u8] {
    if last { b"last" } else { b"more" }
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::new_with_prefix(b"wardbook backup key file\n").chain_update(bytes).finalize();
    hex::encode(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}

fn parse(text: &str) -> Option<Secret<32>> {
    let mut words = text.strip_suffix('\n')?.split(' ');
    let (title, key, sum) = (words.next()?, words.next()?, words.next()?);
    let mut secret = Secret::<32>::zero();
    hex::decode_to_slice(key, secret.bytes_mut()).ok()?;
    // One key has one spelling: upper-case digits are damage too.
    let whole = title == TITLE && words.next().is_none() && !key.bytes().any(|byte| byte.is_ascii_uppercase());
    (whole && checksum(secret.bytes()) == sum).then_some(secret)
}

#[cfg(test)]
mod tests;
