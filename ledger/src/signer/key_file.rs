//! Key files: text, one value a line, readable by their owner only, with a checksum over the rest.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{ids::parse_hex, note::VerifierKey};

const TITLE: &str = "wardbook signing key v1";
const BYTES_MAX: u64 = 4096;

/// Why a key file was refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file could not be read or written.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others than the owner may read it.
    #[error("key file {path} may be read by others (mode {mode:o}): chmod 600 it, and rotate the key if others had it")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a key file, or one with a changed byte.
    #[error("key file {path} is damaged: put it back from its backup")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// An event key where a checkpoint key belongs, or the reverse.
    #[error("key file {path} is for signing {actual}, not {expected}")]
    Use {
        /// The file.
        path: PathBuf,
        /// What it was loaded for.
        expected: &'static str,
        /// What it says it is for.
        actual: &'static str,
    },
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyUse {
    Events,
    Checkpoints,
}

impl KeyUse {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Checkpoints => "checkpoints",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Events, Self::Checkpoints].into_iter().find(|one| one.as_str() == text)
    }
}

/// A key file's content.
pub(super) struct KeyFile {
    key_use: KeyUse,
    pub(super) name: String,
    public: [u8; 32],
    pub(super) seed: Zeroizing<[u8; 32]>,
}

impl KeyFile {
    pub(super) fn new(key_use: KeyUse, key: &VerifierKey, seed: Zeroizing<[u8; 32]>) -> Self {
        Self { key_use, name: key.name().to_owned(), public: *key.public_bytes(), seed }
    }

    /// Writes the file and waits until it, and its name in the directory, are on disk.
    pub(super) fn create(&self, path: &Path) -> Result<(), KeyFileError> {
        let text = self.to_text();
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            sync_parent(path)
        };
        write().map_err(|source| io_error(path, source))
    }

    pub(super) fn load(path: &Path, expected: KeyUse) -> Result<Self, KeyFileError> {
        let text = read_private(path)?;
        let file = Self::parse(&text).ok_or_else(|| damaged(path))?;
        if file.key_use != expected {
            return Err(KeyFileError::Use {
                path: path.to_owned(),
                expected: expected.as_str(),
                actual: file.key_use.as_str(),
            });
        }
        Ok(file)
    }

    /// The public key in the file must be that of its secret.
    pub(super) fn check_public(&self, path: &Path, key: &VerifierKey) -> Result<(), KeyFileError> {
        match key.public_bytes() == &self.public {
            true => Ok(()),
            false => Err(damaged(path)),
        }
    }

    fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(hex::encode(self.seed.as_ref()));
        let mut text = Zeroizing::new(String::with_capacity(1024));
        for line in [
            TITLE,
            "\nuse ",
            self.key_use.as_str(),
            "\nname ",
            &self.name,
            "\npublic ",
            &hex::encode(self.public),
            "\nsecret ",
            &secret,
            "\n",
        ] {
            text.push_str(line);
        }
        let check = check_of(&text);
        text.push_str("check ");
        text.push_str(&check);
        text.push('\n');
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let at = text.rfind("check ")?;
        let (lines, check) = text.split_at_checked(at)?;
        if check.strip_prefix("check ")?.strip_suffix('\n')? != check_of(lines) {
            return None;
        }
        let mut lines = lines.strip_suffix('\n')?.split('\n');
        let mut value = |name: &str| lines.next()?.strip_prefix(name);
        if !value(TITLE)?.is_empty() {
            return None;
        }
        let file = Self {
            key_use: KeyUse::parse(value("use ")?)?,
            name: value("name ")?.to_owned(),
            public: parse_hex(value("public ")?)?,
            seed: parse_secret(value("secret ")?)?,
        };
        lines.next().is_none().then_some(file)
    }
}

/// Straight into memory that is wiped, without a copy on the way.
fn parse_secret(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, seed.as_mut()).ok()?;
    Some(seed)
}

/// Guards against damage, not against people: whoever may write the file may write the checksum too.
fn check_of(lines: &str) -> String {
    let hash = blake3::derive_key("wardbook 2026 key file check v1", lines.as_bytes());
    let (check, _) = hash.split_at(8);
    hex::encode(check)
}

fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeyFileError::Mode { path, mode });
    }
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        return Err(damaged(path));
    }
    // Room for all of it at once, so that no half-read copy is left behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX as usize + 1));
    file.take(BYTES_MAX).read_to_string(&mut text).map_err(|source| io_error(path, source))?;
    Ok(text)
}

/// A new or renamed file is only there for certain once its directory is on disk.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

pub(super) fn io_error(path: &Path, source: io::Error) -> KeyFileError {
    let path = path.to_owned();
    KeyFileError::Io { path, source }
}

fn damaged(path: &Path) -> KeyFileError {
    let path = path.to_owned();
    KeyFileError::Damaged { path }
}
