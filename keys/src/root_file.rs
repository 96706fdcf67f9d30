//! The root key's file: one line, `wardbook-root-key-1 <64 hex digits> <16 hex digits of checksum>`, mode 0600.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::material::Secret;
use crate::root::RootError;

const TITLE: &str = "wardbook-root-key-1";
/// Title, key, checksum, two spaces and the line break.
const LENGTH: usize = TITLE.len() + 1 + 64 + 1 + 16 + 1;

/// Tells a mistyped or damaged key from a right one; eight bytes are enough against accidents.
fn checksum(key: &[u8; 32]) -> String {
    let digest = Sha256::new().chain_update(TITLE).chain_update(key).finalize();
    hex::encode(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// Reads, checks and parses the file.
pub fn load(path: &Path) -> Result<Secret<32>, RootError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RootError::Missing,
        _ => RootError::File(error),
    })?;
    // Asked of the open file, so that nobody swaps it between the question and the reading.
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(RootError::Damaged { what: "it is not a regular file" });
    }
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(RootError::Exposed { mode });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    file.take(LENGTH as u64 + 1).read_to_end(&mut text)?;
    parse(&text)
}

fn parse(text: &[u8]) -> Result<Secret<32>, RootError> {
    let damaged = |what| RootError::Damaged { what };
    let text = std::str::from_utf8(text).map_err(|_| damaged("it is not text"))?;
    let line = text.strip_suffix('\n').ok_or(damaged("its line is cut off or too long"))?;
    let mut words = line.split(' ');
    let (Some(title), Some(key), Some(sum), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(damaged("it is not one line of three words"));
    };
    if title != TITLE {
        return Err(damaged("it does not begin with wardbook-root-key-1"));
    }
    let mut secret = Secret::<32>::zero();
    hex::decode_to_slice(key, secret.bytes_mut()).map_err(|_| damaged("its key is not 64 hex digits"))?;
    // One key has one spelling: upper-case digits are damage too.
    if checksum(secret.bytes()) != sum || key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(damaged("its checksum does not fit"));
    }
    Ok(secret)
}

/// Writes a new file. A crash leaves either the whole file or none: it is written aside and linked into place.
pub fn create(path: &Path, secret: &Secret<32>) -> Result<(), RootError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut key = Zeroizing::new([0u8; 64]);
    hex::encode_to_slice(secret.bytes(), key.as_mut_slice()).map_err(|_| RootError::Damaged { what: "hex" })?;
    let mut line = Zeroizing::new(Vec::with_capacity(LENGTH));
    for part in [TITLE.as_bytes(), b" ", key.as_slice(), b" ", checksum(secret.bytes()).as_bytes(), b"\n"] {
        line.extend_from_slice(part);
    }

    let mut nonce = [0u8; 8];
    getrandom::fill(&mut nonce).map_err(|_| RootError::NoRandomness)?;
    let aside = directory.join(format!(".root-key-{}", hex::encode(nonce)));
    let written = write_new(&aside, &line).and_then(|()| fs::hard_link(&aside, path));
    let removed = fs::remove_file(&aside);
    written?;
    removed?;
    File::open(directory)?.sync_all()?;
    Ok(())
}

fn write_new(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(line)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::{RootKey, RootKeyProvider};

    #[test]
    fn a_made_file_is_private_and_loads_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        let made = RootKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(&path).unwrap().len(), LENGTH as u64);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing left aside");
        let loaded = RootKey::load_or_create(&path).unwrap();
        assert_eq!(made.id(), loaded.id());
        let wrapped = made.wrap("here", &[7; 32]).unwrap();
        assert_eq!(loaded.unwrap("here", &wrapped).unwrap().as_slice(), [7; 32]);
        assert!(matches!(loaded.unwrap("there", &wrapped), Err(RootError::NotAuthentic)));
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        RootKey::create(&path).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(RootKey::create(&path), Err(RootError::File(_))));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        RootKey::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(RootKey::load(&path), Err(RootError::Exposed { mode: told }) if told == mode));
        }
    }

    #[test]
    fn a_missing_file_is_named_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(RootKey::load(&dir.path().join("none")), Err(RootError::Missing)));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_damage() {
        let line = {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("root.key");
            RootKey::create(&path).unwrap();
            fs::read(&path).unwrap()
        };
        assert!(parse(&line).is_ok());
        for bit in 0..line.len() * 8 {
            let mut flipped = line.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(parse(&flipped), Err(RootError::Damaged { .. })), "bit {bit}");
        }
        for length in 0..line.len() {
            assert!(matches!(parse(&line[..length]), Err(RootError::Damaged { .. })), "length {length}");
        }
        assert!(parse(&[line.as_slice(), b"\n"].concat()).is_err());
    }

    #[test]
    fn debug_tells_the_id_only() {
        let key = RootKey::ephemeral().unwrap();
        assert_eq!(format!("{key:?}"), format!("RootKey({})", key.id()));
    }
}
