//! Passwords that are known from breaches (NIST SP 800-63B 5.1.1.2), without asking anybody: a list that is built in, and the
//! whole of Have I Been Pwned as a file, where somebody put it.
//!
//! The built-in list is SecLists' million (MIT), as sorted hashes of 40 bits: of its long passwords, and of the words that its
//! short ones are made of. `scripts/known-passwords` makes it. One good password in millions is refused by chance.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

static HASHES: &[u8] = include_bytes!("../../config/known-passwords.bin");
/// Bytes of a hash.
const WIDTH: usize = 5;

/// Whether a password is known: as it is, or as one known word with digits and signs around it, letters written as digits, or
/// the word twice.
#[must_use]
pub fn is_known(password: &str) -> bool {
    let lower = password.to_lowercase();
    let around = |sign: char| !sign.is_alphabetic();
    // At its beginning a sign may stand for a letter.
    let (word, with_sign) = (lower.trim_matches(around), lower.trim_end_matches(around));
    let twice = |word: &str| {
        let half = word.len() / 2;
        word.get(..half).is_some_and(|one| Some(one) == word.get(half..) && is_listed(one))
    };
    [lower.as_str(), word, &plain(word), &plain(with_sign)].into_iter().any(|form| is_listed(form) || twice(form))
}

/// With the letters that digits and signs stand for.
fn plain(word: &str) -> String {
    let letter = |sign| match sign {
        '@' | '4' => 'a',
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    word.chars().map(letter).collect()
}

fn is_listed(text: &str) -> bool {
    let hash = digest(&SHA256, text.as_bytes());
    let wanted = hash.as_ref().get(..WIDTH);
    let (mut low, mut high) = (0, HASHES.len() / WIDTH);
    while low < high {
        let middle = low + (high - low) / 2;
        let here = HASHES.get(middle * WIDTH..(middle + 1) * WIDTH);
        match here.cmp(&wanted) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    false
}

/// Have I Been Pwned's passwords, "ordered by hash": lines of an SHA-1 in hex, a colon and a count.
#[derive(Debug)]
pub struct Breached {
    file: File,
    length: u64,
}

/// Longest line that is looked at, in bytes.
const LINE_MAX: usize = 128;

impl Breached {
    /// Opens the file.
    ///
    /// # Errors
    /// If it cannot be read, or its first line has another form.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let breached = Self { length: file.metadata()?.len(), file };
        let (_, line) = breached.line_from(0)?;
        let form = line.split_once(':').is_some_and(|(hash, _)| {
            hash.len() == 40 && hash.bytes().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit))
        });
        if form {
            Ok(breached)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "not lines of SHA1:COUNT, ordered by hash"))
        }
    }

    /// Whether a password is in it. About thirty short reads of a file of forty gigabytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn has(&self, password: &str) -> io::Result<bool> {
        let wanted = hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()));
        // Lines that begin at `low` or later, and before `high`, are those that may be it.
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            let (begins, line) = self.line_from(middle)?;
            let (hash, _) = line.split_once(':').unwrap_or((&line, ""));
            if begins >= high || line.is_empty() || hash > wanted.as_str() {
                high = middle;
            } else if hash == wanted {
                return Ok(true);
            } else {
                low = begins + 1;
            }
        }
        Ok(false)
    }

    /// The first line that begins there or later, and where it begins; an empty one at the end.
    fn line_from(&self, at: u64) -> io::Result<(u64, String)> {
        // A line begins after the end of another one, which may be the very byte before.
        let from = at.saturating_sub(1);
        let mut bytes = [0; 2 * LINE_MAX];
        let read = self.file.read_at(&mut bytes, from)?;
        let bytes = bytes.get(..read).unwrap_or_default();
        let end = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        let skipped = match at {
            0 => 0,
            _ => end(bytes).map_or(bytes.len(), |end| end + 1),
        };
        let line = bytes.get(skipped..).unwrap_or_default();
        let line = line.get(..end(line).unwrap_or(line.len())).unwrap_or_default();
        Ok((from + skipped as u64, String::from_utf8_lossy(line).trim_end().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_ones_are_found_whatever_is_put_around_them() {
        for known in [
            "123qweasdzxc",
            "Motherfucker",
            "qwertyqwerty",
            "Password-2026!",
            "!!Liverpool1892",
            "P@ssw0rd2026!!",
            "DragonDragon-1",
            "January-2026!",
            "Welcome@123456",
            "Administrator1!",
            "$unsh1ne-20-26",
        ] {
            assert!(is_known(known), "{known}");
        }
        for unknown in
            ["Kettle-93-violet-Harbour", "Ä9 glühende Brücken?", "Some-47-quiet-Meadows", "Xk3-vT9q-mm2W", ""]
        {
            assert!(!is_known(unknown), "{unknown}");
        }
    }

    #[test]
    fn the_hashes_are_sorted_and_few_are_hit_by_chance() {
        assert_eq!(HASHES.len() % WIDTH, 0);
        assert!(HASHES.len() / WIDTH > 150_000, "{}", HASHES.len() / WIDTH);
        assert!(HASHES.chunks(WIDTH).is_sorted_by(|one, other| one < other));
        let by_chance = (0..200_000_u32).filter(|n| is_listed(&format!("{n} is nobody's password"))).count();
        assert_eq!(by_chance, 0);
    }

    fn file(passwords: &[String]) -> (tempfile::TempDir, Breached) {
        let hash = |password: &String| hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()));
        let mut lines: Vec<_> =
            passwords.iter().zip(1_u64..).map(|(one, n)| format!("{}:{}\r\n", hash(one), n.pow(5))).collect();
        lines.sort();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("pwned.txt"), lines.concat()).unwrap();
        let breached = Breached::open(&dir.path().join("pwned.txt")).unwrap();
        (dir, breached)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_file_has_what_is_in_it_and_nothing_else(count in 1_usize..60, others in 0_usize..20) {
            let all: Vec<_> = (0..count + others).map(|n| format!("password-{n}")).collect();
            let (_dir, breached) = file(&all[..count]);
            for (n, password) in all.iter().enumerate() {
                prop_assert_eq!(breached.has(password).unwrap(), n < count, "{}", password);
            }
        }
    }

    #[test]
    fn another_file_is_refused_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(Breached::open(&path).is_err());
        for text in [
            "",
            "password\n",
            "0018a45c4d1def81644b54ab7f969b88d65:1\n",
            "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8:3\n",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(Breached::open(&path).is_err(), "{text}");
        }
    }
}
