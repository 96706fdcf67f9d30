//! The root key's file, mode 0600, in one of two forms.
//!
//! The first, which one version without a passphrase keeps, is one line: `wardbook-root-key-1 <64 hex digits> <16 hex digits
//! of checksum>`. The second has a line for each version:
//! ```text
//! wardbook-root-key-2 <id>
//! plain                                       or: passphrase argon2id <KiB> <passes> <lanes> <salt>
//! 1 <key, or the key wrapped under the passphrase>
//! 2 ...
//! sum <16 hex digits of checksum>
//! ```
//! The checksum tells a damaged file from a wrong passphrase. Every line is bound into what the passphrase wraps.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Passphrase;
use crate::material::{Secret, SivKey, derive};
use crate::root::RootError;

const TITLE: &str = "wardbook-root-key-1";
const TITLE_2: &str = "wardbook-root-key-2";
/// A file is read so far; some two hundred versions.
const LENGTH_MAX: u64 = 32 * 1024;
/// RFC 9106 section 4, the second choice: 64 MiB, three passes, four lanes.
const COST: [u32; 3] = [64 * 1024, 3, 4];
/// What a file may ask of us, at most.
const COST_MAX: [u32; 3] = [1024 * 1024, 16, 16];

/// What a file holds.
pub struct Kept {
    /// Of the first version that ever was; the key keeps it through all rotations.
    pub id: String,
    /// Oldest first, never empty.
    pub versions: Vec<(u32, Secret<32>)>,
}

impl Kept {
    pub fn fresh() -> Result<Self, RootError> {
        Secret::random().map_err(|_| RootError::NoRandomness).map(Self::first)
    }

    fn first(secret: Secret<32>) -> Self {
        let id = derive(secret.bytes(), b"", &[b"wardbook 2026 root key id"]);
        let id = hex::encode(id.bytes().first_chunk::<8>().unwrap_or(&[0; 8]));
        Self { id, versions: vec![(1, secret)] }
    }

    pub fn push(&mut self, secret: Secret<32>) -> Result<(), RootError> {
        let newest = self.versions.last().map(|(number, _)| *number);
        let number = newest.and_then(|number| number.checked_add(1)).ok_or(damaged("it holds no version to follow"))?;
        self.versions.push((number, secret));
        Ok(())
    }
}

const fn damaged(what: &'static str) -> RootError {
    RootError::Damaged { what }
}

/// Tells a mistyped or damaged file from a right one; eight bytes are enough against accidents.
fn checksum(parts: &[&[u8]]) -> String {
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part)).finalize();
    hex::encode(digest.first_chunk::<8>().unwrap_or(&[0; 8]))
}

/// Reads, checks and parses the file.
pub fn load(path: &Path, passphrase: Option<&Passphrase>) -> Result<Kept, RootError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RootError::Missing,
        _ => RootError::File(error),
    })?;
    // Asked of the open file, so that nobody swaps it between the question and the reading.
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(damaged("it is not a regular file"));
    }
    let mode = meta.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(RootError::Exposed { mode });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(4096));
    file.take(LENGTH_MAX).read_to_end(&mut text)?;
    parse(&text, passphrase)
}

pub(super) fn parse(text: &[u8], passphrase: Option<&Passphrase>) -> Result<Kept, RootError> {
    let text = std::str::from_utf8(text).map_err(|_| damaged("it is not text"))?;
    let lines = text.strip_suffix('\n').ok_or(damaged("its last line is cut off"))?;
    match (lines.split_once(' '), passphrase) {
        (Some((TITLE_2, _)), _) => parse_2(text, passphrase),
        (Some((TITLE, rest)), None) => parse_1(rest),
        (Some((TITLE, rest)), Some(_)) => parse_1(rest).and(Err(UNPROTECTED)),
        _ => Err(damaged("it does not begin with wardbook-root-key-1 or -2")),
    }
}

const UNPROTECTED: RootError = RootError::Passphrase(
    "is not protected by a passphrase, and the configuration demands one; \
     set keys.file.passphrase to false, or begin a new system with one that is",
);
const PROTECTED: RootError = RootError::Passphrase(
    "is protected by a passphrase; set keys.file.passphrase and give it in WARDBOOK_ROOT_PASSPHRASE or a file",
);

fn parse_1(rest: &str) -> Result<Kept, RootError> {
    let mut words = rest.split(' ');
    let (Some(key), Some(sum), None) = (words.next(), words.next(), words.next()) else {
        return Err(damaged("it is not one line of three words"));
    };
    let secret = key_of(key)?;
    if checksum(&[TITLE.as_bytes(), secret.bytes()]) != sum {
        return Err(damaged("its checksum does not fit"));
    }
    Ok(Kept::first(secret))
}

/// One key has one spelling: upper-case digits are damage too.
fn key_of(digits: &str) -> Result<Secret<32>, RootError> {
    let mut secret = Secret::zero();
    let upper = digits.bytes().any(|byte| byte.is_ascii_uppercase());
    match hex::decode_to_slice(digits, secret.bytes_mut()) {
        Ok(()) if !upper => Ok(secret),
        _ => Err(damaged("its key is not 64 hex digits")),
    }
}

fn parse_2(text: &str, passphrase: Option<&Passphrase>) -> Result<Kept, RootError> {
    let body_ends = text.rfind("sum ").ok_or(damaged("it has no checksum"))?;
    let (body, sum) = text.split_at_checked(body_ends).ok_or(damaged("it has no checksum"))?;
    if sum != format!("sum {}\n", checksum(&[body.as_bytes()])) {
        return Err(damaged("its checksum does not fit"));
    }
    let mut lines = body.lines();
    let title = lines.next().and_then(|line| line.strip_prefix(TITLE_2)?.strip_prefix(' '));
    let (Some(id), Some(how)) = (title, lines.next()) else { return Err(damaged("its first lines are not right")) };
    let under = match (how, passphrase) {
        ("plain", None) => None,
        ("plain", Some(_)) => return Err(UNPROTECTED),
        (_, None) => return Err(PROTECTED),
        (how, Some(passphrase)) => Some(stretch(how, passphrase)?),
    };
    let mut versions: Vec<(u32, Secret<32>)> = Vec::new();
    for line in lines {
        let (number, key) = line.split_once(' ').ok_or(damaged("a version is not a number and a key"))?;
        let number = number.parse().map_err(|_| damaged("a version is not a number and a key"))?;
        if versions.last().is_some_and(|(before, _)| *before >= number) {
            return Err(damaged("its versions are not in order"));
        }
        let secret = match &under {
            None => key_of(key)?,
            Some(under) => {
                let wrapped = hex::decode(key).map_err(|_| damaged("a wrapped key is not hex digits"))?;
                let opened = under.unwrap(&bind(id, how, &u32::to_be_bytes(number)), &wrapped);
                opened.map_err(|_| RootError::Passphrase("does not open with this passphrase; give the right one"))?
            }
        };
        versions.push((number, secret));
    }
    if versions.is_empty() {
        return Err(damaged("it holds no key"));
    }
    Ok(Kept { id: id.to_owned(), versions })
}

/// What a wrapped version is bound to.
fn bind<'a>(id: &'a str, how: &'a str, number: &'a [u8; 4]) -> [&'a [u8]; 4] {
    [b"wardbook 2026 root key file", id.as_bytes(), how.as_bytes(), number]
}

/// The key that a passphrase becomes, by what the file says of the way.
fn stretch(how: &str, passphrase: &Passphrase) -> Result<SivKey, RootError> {
    let wrong = || damaged("how the passphrase protects it is not said rightly");
    let mut words = how.strip_prefix("passphrase argon2id ").ok_or_else(wrong)?.split(' ');
    let mut cost = [0; 3];
    for (cost, max) in cost.iter_mut().zip(COST_MAX) {
        *cost = words.next().and_then(|word| word.parse().ok()).filter(|cost| *cost <= max).ok_or_else(wrong)?;
    }
    let salt =
        words.next().and_then(|word| hex::decode(word).ok()).filter(|salt| salt.len() == 16).ok_or_else(wrong)?;
    if words.next().is_some() {
        return Err(wrong());
    }
    let [memory, passes, lanes] = cost;
    let params = Params::new(memory, passes, lanes, Some(64)).map_err(|_| wrong())?;
    let mut key = Secret::zero();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.bytes(), &salt, key.bytes_mut())
        .map_err(|_| wrong())?;
    Ok(SivKey::new(key))
}

/// The text of a file. What needs only the first form keeps it, so that older programs read it too.
fn write(kept: &Kept, passphrase: Option<&Passphrase>) -> Result<Zeroizing<Vec<u8>>, RootError> {
    let mut text = Zeroizing::new(Vec::with_capacity(LENGTH_MAX as usize));
    if let (None, [(1, secret)]) = (passphrase, kept.versions.as_slice()) {
        let sum = checksum(&[TITLE.as_bytes(), secret.bytes()]);
        push(&mut text, &[TITLE.as_bytes(), b" ", digits(secret)?.as_slice(), b" ", sum.as_bytes(), b"\n"]);
        return Ok(text);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| RootError::NoRandomness)?;
    let [memory, passes, lanes] = COST;
    let how = match passphrase {
        None => "plain".to_owned(),
        Some(_) => format!("passphrase argon2id {memory} {passes} {lanes} {}", hex::encode(salt)),
    };
    let under = passphrase.map(|passphrase| stretch(&how, passphrase)).transpose()?;
    push(&mut text, &[TITLE_2.as_bytes(), b" ", kept.id.as_bytes(), b"\n", how.as_bytes(), b"\n"]);
    for (number, secret) in &kept.versions {
        push(&mut text, &[number.to_string().as_bytes(), b" "]);
        match &under {
            None => push(&mut text, &[digits(secret)?.as_slice()]),
            Some(under) => {
                let wrapped = under.wrap(&bind(&kept.id, &how, &number.to_be_bytes()), secret.bytes());
                let wrapped = wrapped.map_err(|_| damaged("a version cannot be wrapped"))?;
                push(&mut text, &[hex::encode(wrapped).as_bytes()]);
            }
        }
        push(&mut text, &[b"\n"]);
    }
    let sum = checksum(&[&text]);
    push(&mut text, &[b"sum ", sum.as_bytes(), b"\n"]);
    match text.len() as u64 {
        ..LENGTH_MAX => Ok(text),
        _ => Err(damaged("it is full; retire old versions")),
    }
}

fn push(text: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| text.extend_from_slice(part));
}

fn digits(secret: &Secret<32>) -> Result<Zeroizing<[u8; 64]>, RootError> {
    let mut digits = Zeroizing::new([0u8; 64]);
    hex::encode_to_slice(secret.bytes(), digits.as_mut_slice()).map_err(|_| damaged("hex"))?;
    Ok(digits)
}

/// Writes a new file. A crash leaves either the whole file or none: it is written aside and linked into place.
pub fn create(path: &Path, kept: &Kept, passphrase: Option<&Passphrase>) -> Result<(), RootError> {
    let (directory, aside) = write_aside(path, &write(kept, passphrase)?)?;
    let linked = fs::hard_link(&aside, path);
    let removed = fs::remove_file(&aside);
    linked?;
    removed?;
    Ok(File::open(directory)?.sync_all()?)
}

/// Puts a new text in the place of the old one, whole, and wipes the old one.
pub fn replace(path: &Path, kept: &Kept, passphrase: Option<&Passphrase>) -> Result<(), RootError> {
    let text = write(kept, passphrase)?;
    let mut before = OpenOptions::new().write(true).open(path)?;
    let (directory, aside) = write_aside(path, &text)?;
    if let Err(error) = fs::rename(&aside, path) {
        fs::remove_file(&aside)?;
        return Err(error.into());
    }
    File::open(directory)?.sync_all()?;
    // Nobody finds it any more; its blocks would still tell versions that were retired.
    let length = usize::try_from(before.metadata()?.len()).unwrap_or(LENGTH_MAX as usize);
    before.write_all(&vec![0; length])?;
    Ok(before.sync_all()?)
}

fn write_aside<'a>(path: &'a Path, text: &[u8]) -> Result<(&'a Path, std::path::PathBuf), RootError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut nonce = [0u8; 8];
    getrandom::fill(&mut nonce).map_err(|_| RootError::NoRandomness)?;
    let aside = directory.join(format!(".root-key-{}", hex::encode(nonce)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    match file.write_all(text).and_then(|()| file.sync_all()) {
        Ok(()) => Ok((directory, aside)),
        Err(error) => {
            fs::remove_file(&aside)?;
            Err(error.into())
        }
    }
}
