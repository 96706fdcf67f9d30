//! The backup key in shares (Shamir): so many of them together give it back, fewer say nothing of it.
//!
//! The arithmetic is that of the crate blahaj 0.7: bytes in GF(256), coefficients uniform over 0..=255 (its forerunner left zero out,
//! RUSTSEC-2024-0398), wiped when dropped. It multiplies by tables, so it is not of constant time: sharing and recovering are for a
//! quiet console, not for a server that strangers can time. It does not look for shares that were given twice or damaged:
//! we do.
//!
//! ```text
//! wardbook-share 2 of 5, 3 needed, set 1F3D-89AB: 0410-4G2Z-...
//! ```
//! What counts is behind the colon: base32 of Crockford, which reads small letters and O, I, L as well.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use blahaj::{Share as Point, Sharks};
use wardbook_keys::{BackupKey, BackupKeyError};
use zeroize::{Zeroize as _, Zeroizing};

const VERSION: u8 = 1;
const SECRET: usize = 32;
const CHECK: usize = 4;
/// Version, set, threshold, count, number, secret, first half of the key's id, checksum.
const LENGTH: usize = 1 + 4 + 1 + 1 + 1 + SECRET + 8 + CHECK;
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Why there are no shares, or no key from them.
#[derive(Debug, thiserror::Error)]
pub enum SharesError {
    /// Numbers that make no sense.
    #[error("the threshold must be at least 2 and at most the number of shares, which is at most 255")]
    Numbers,
    /// Not a share, or mistyped.
    #[error("line {line} is not a share, or a letter of it is wrong: compare it with the paper")]
    Damaged {
        /// Which line, from 1.
        line: usize,
    },
    /// Shares of different sets.
    #[error(
        "line {line} is share {number} of the set {found}, the first is of the set {expected}: take shares of one set"
    )]
    OtherSet {
        /// Which line, from 1.
        line: usize,
        /// Its number.
        number: u8,
        /// Its set.
        found: String,
        /// The set of the first.
        expected: String,
    },
    /// Too few.
    #[error("{given} different shares were given and {needed} are needed")]
    TooFew {
        /// Given.
        given: usize,
        /// Needed.
        needed: u8,
    },
    /// The one that does not fit.
    #[error("share {number} does not fit the others: it was made up or belongs elsewhere")]
    Wrong {
        /// Its number.
        number: u8,
    },
    /// Some do not fit, and it cannot be told which.
    #[error(
        "the shares do not give the key that they name: one of them is wrong; give one more, and it can be told which"
    )]
    Unsure,
    /// The key.
    #[error(transparent)]
    Key(#[from] BackupKeyError),
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers; check that getrandom works here")]
    NoRandomness,
}

/// One share. Its `Debug` tells nothing of the secret.
pub struct Share {
    set: [u8; 4],
    threshold: u8,
    count: u8,
    number: u8,
    secret: Zeroizing<[u8; SECRET]>,
    key: [u8; 8],
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Share({} of {}, set {})", self.number, self.count, self.set())
    }
}

/// The key from shares, and what is to be told of it.
#[derive(Debug)]
pub struct Recovered {
    /// The key.
    pub key: BackupKey,
    /// The set of the shares.
    pub set: String,
    /// The numbers of those given.
    pub given: Vec<u8>,
}

/// Makes `count` shares of which any `threshold` give the key back.
///
/// # Errors
/// If the numbers make no sense, or there is no randomness.
pub fn split(key: &BackupKey, count: u8, threshold: u8) -> Result<Vec<Share>, SharesError> {
    if threshold < 2 || threshold > count {
        return Err(SharesError::Numbers);
    }
    let mut set = [0; 4];
    getrandom::fill(&mut set).map_err(|_| SharesError::NoRandomness)?;
    let secret = key.bytes_to_share();
    let id = key_mark(key);
    let points = Sharks(threshold).dealer(&secret).take(usize::from(count));
    let shares = (1_u8..).zip(points).map(|(number, point)| {
        let bytes = Zeroizing::new(Vec::from(&point));
        let mut secret = Zeroizing::new([0; SECRET]);
        let (first, rest) = bytes.split_first()?;
        (*first == number && rest.len() == SECRET).then(|| secret.copy_from_slice(rest))?;
        Some(Share { set, threshold, count, number, secret, key: id })
    });
    shares.collect::<Option<Vec<_>>>().ok_or(SharesError::Numbers)
}

/// Puts the key together from lines; empty ones are passed over.
///
/// # Errors
/// Which share is damaged, of another set, or wrong; or how many are missing.
pub fn recover(lines: &[String]) -> Result<Recovered, SharesError> {
    let mut shares: BTreeMap<u8, Share> = BTreeMap::new();
    let mut expected: Option<String> = None;
    for (line, text) in (1..).zip(lines).filter(|(_, text)| !text.trim().is_empty()) {
        let share = Share::parse(text).ok_or(SharesError::Damaged { line })?;
        let set = expected.get_or_insert_with(|| share.set()).clone();
        if share.set() != set {
            return Err(SharesError::OtherSet { line, number: share.number, found: share.set(), expected: set });
        }
        // Given twice, it counts once; two that differ cannot both be right, and the sum tells.
        shares.entry(share.number).or_insert(share);
    }
    let needed = shares.values().map(|share| share.threshold).max().unwrap_or(2);
    if shares.len() < usize::from(needed) {
        return Err(SharesError::TooFew { given: shares.len(), needed });
    }
    let all: Vec<&Share> = shares.values().collect();
    match combine(&all) {
        Some(key) => Ok(Recovered { key, set: expected.unwrap_or_default(), given: shares.keys().copied().collect() }),
        None => Err(culprit(&all, needed)),
    }
}

/// Without the wrong one the others give the key, if there are enough of them.
fn culprit(all: &[&Share], needed: u8) -> SharesError {
    if all.len() > usize::from(needed) {
        for left_out in all {
            let others: Vec<&Share> = all.iter().copied().filter(|one| one.number != left_out.number).collect();
            if combine(&others).is_some() {
                return SharesError::Wrong { number: left_out.number };
            }
        }
    }
    SharesError::Unsure
}

fn combine(shares: &[&Share]) -> Option<BackupKey> {
    let threshold = shares.first()?.threshold;
    let mut points = Vec::with_capacity(shares.len());
    for share in shares {
        let mut bytes = Zeroizing::new(vec![share.number]);
        bytes.extend_from_slice(share.secret.as_slice());
        points.push(Point::try_from(bytes.as_slice()).ok()?);
    }
    let mut secret = Sharks(threshold).recover(&points).ok()?;
    let key = BackupKey::from_bytes(&secret);
    secret.zeroize();
    key.ok().filter(|key| shares.iter().all(|share| key_mark(key) == share.key))
}

/// As much of a key's id as a share carries.
fn key_mark(key: &BackupKey) -> [u8; 8] {
    let id = hex::decode(key.id()).unwrap_or_default();
    id.first_chunk().copied().unwrap_or_default()
}

impl Share {
    /// The name of its set.
    #[must_use]
    pub fn set(&self) -> String {
        let hex = hex::encode_upper(self.set);
        format!("{}-{}", hex.get(..4).unwrap_or_default(), hex.get(4..).unwrap_or_default())
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn number(&self) -> u8 {
        self.number
    }

    /// The line to be written on paper.
    #[must_use]
    pub fn line(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.set);
        bytes.extend_from_slice(&[self.threshold, self.count, self.number]);
        bytes.extend_from_slice(self.secret.as_slice());
        bytes.extend_from_slice(&self.key);
        let sum = check(&bytes);
        bytes.extend_from_slice(&sum);
        let Self { number, count, threshold, .. } = self;
        let head = format!("wardbook-share {number} of {count}, {threshold} needed, set {}: ", self.set());
        let mut line = Zeroizing::new(String::with_capacity(head.len() + 2 * LENGTH));
        line.push_str(&head);
        for (at, digit) in digits(&bytes).enumerate() {
            if at > 0 && at % 4 == 0 {
                line.push('-');
            }
            line.push(char::from(digit));
        }
        line
    }

    fn parse(line: &str) -> Option<Self> {
        let typed = line.rsplit(':').next()?;
        let bytes = undigits(typed)?;
        let (content, sum) = bytes.split_last_chunk::<CHECK>()?;
        if check(content) != *sum || content.len() != LENGTH - CHECK {
            return None;
        }
        let (version, rest) = content.split_first()?;
        let (set, rest) = rest.split_first_chunk::<4>()?;
        let ([threshold, count, number], rest) = rest.split_first_chunk::<3>()?;
        let (secret, key) = rest.split_first_chunk::<SECRET>()?;
        let sound = *version == VERSION && *threshold >= 2 && threshold <= count && (1..=*count).contains(number);
        sound.then_some(Self {
            set: *set,
            threshold: *threshold,
            count: *count,
            number: *number,
            secret: Zeroizing::new(*secret),
            key: *key.first_chunk()?,
        })
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let sum = digest(&SHA256, &[b"wardbook share v1\n", bytes].concat());
    sum.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Base32 without padding; the last digit is filled with zeros.
fn digits(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    (0..(bytes.len() * 8).div_ceil(5)).filter_map(|at| {
        let bit = at * 5;
        let pair = [bytes.get(bit / 8).copied()?, bytes.get(bit / 8 + 1).copied().unwrap_or(0)];
        let value = (u16::from_be_bytes(pair) >> (11 - bit % 8)) & 31;
        DIGITS.get(usize::from(value)).copied()
    })
}

fn undigits(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
    let (mut held, mut bits, mut count) = (0_u32, 0_u32, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'-') {
        let letter = match letter.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        let value = DIGITS.iter().position(|digit| *digit == letter)?;
        held = (held << 5 | u32::try_from(value).ok()?) & 0xfff;
        bits += 5;
        count += 1;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).ok()?);
        }
    }
    // One share has one spelling: what fills the last digit is zero.
    (count == (LENGTH * 8).div_ceil(5) && held & ((1 << bits) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> BackupKey {
        BackupKey::from_bytes(&[7; 32]).unwrap()
    }

    fn lines(shares: &[Share], numbers: &[usize]) -> Vec<String> {
        numbers.iter().map(|number| shares[number - 1].line().to_string()).collect()
    }

    fn subsets(count: usize, size: usize) -> Vec<Vec<usize>> {
        (0_u32..1 << count)
            .filter(|bits| bits.count_ones() as usize == size)
            .map(|bits| (1..=count).filter(|number| bits >> (number - 1) & 1 == 1).collect())
            .collect()
    }

    #[test]
    fn any_so_many_give_the_key_back_and_any_fewer_do_not() {
        for (count, threshold) in [(2, 2), (3, 2), (5, 3), (6, 6)] {
            let shares = split(&key(), count, threshold).unwrap();
            for size in threshold..=count {
                for numbers in subsets(usize::from(count), usize::from(size)) {
                    let recovered = recover(&lines(&shares, &numbers)).unwrap();
                    assert_eq!(*recovered.key.bytes_to_share(), [7; 32], "{numbers:?} of {count}");
                    assert_eq!(recovered.given.len(), numbers.len());
                }
            }
            for numbers in subsets(usize::from(count), usize::from(threshold) - 1) {
                let refused = recover(&lines(&shares, &numbers));
                assert!(matches!(refused, Err(SharesError::TooFew { needed, .. }) if needed == threshold));
                // Nor does the arithmetic: with one share too few every secret is as likely as any other.
                let few: Vec<&Share> = numbers.iter().map(|number| &shares[number - 1]).collect();
                let points: Vec<_> = few
                    .iter()
                    .map(|share| {
                        Point::try_from([&[share.number], share.secret.as_slice()].concat().as_slice()).unwrap()
                    })
                    .collect();
                let guess = Sharks(threshold - 1).recover(&points).unwrap_or_default();
                assert_ne!(guess, [7; 32]);
            }
        }
    }

    #[test]
    fn one_share_too_few_fits_every_secret_alike() {
        // Two of two, one byte: over many sharings the first share takes every value, whatever the secret.
        for secret in [0_u8, 255] {
            let mut seen = [0_u32; 256];
            for _ in 0..256 * 40 {
                let first = Sharks(2).dealer(&[secret]).next().unwrap();
                seen[usize::from(Vec::from(&first)[1])] += 1;
            }
            let (least, most) = (seen.iter().min().unwrap(), seen.iter().max().unwrap());
            assert!(*least > 5 && *most < 100, "secret {secret}: {least}..{most}");
        }
    }

    #[test]
    fn a_mistyped_letter_is_told_by_its_line() {
        let shares = split(&key(), 3, 2).unwrap();
        let mut typed = lines(&shares, &[1, 3]);
        let code = typed[1].find(": ").unwrap() + 2;
        for at in (code..typed[1].len()).filter(|at| typed[1].as_bytes()[*at] != b'-') {
            let mut wrong = typed.clone();
            let letter = if wrong[1].as_bytes()[at] == b'7' { "8" } else { "7" };
            wrong[1].replace_range(at..=at, letter);
            assert!(matches!(recover(&wrong), Err(SharesError::Damaged { line: 2 })), "letter {at}");
        }
        // As people type: small letters, no hyphens, O for 0, without the words before.
        typed[0] = typed[0][code..].to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        typed.insert(1, String::new());
        assert_eq!(recover(&typed).unwrap().key.id(), key().id());
        assert!(matches!(recover(&["nonsense".to_owned()]), Err(SharesError::Damaged { line: 1 })));
    }

    #[test]
    fn a_share_of_another_set_is_named() {
        let (one, other) = (split(&key(), 3, 2).unwrap(), split(&key(), 3, 2).unwrap());
        let mixed = [lines(&one, &[1]), lines(&other, &[2])].concat();
        assert!(matches!(recover(&mixed), Err(SharesError::OtherSet { line: 2, number: 2, .. })));
    }

    #[test]
    fn the_same_share_twice_counts_once() {
        let shares = split(&key(), 3, 2).unwrap();
        assert!(matches!(recover(&lines(&shares, &[2, 2])), Err(SharesError::TooFew { given: 1, needed: 2 })));
        assert!(recover(&lines(&shares, &[2, 2, 3])).is_ok());
    }

    #[test]
    fn a_wrong_share_is_named_if_there_is_one_to_spare() {
        let shares = split(&key(), 5, 3).unwrap();
        let mut forged = split(&key(), 5, 3).unwrap();
        forged[1].set = shares[1].set;
        let mut given = lines(&shares, &[1, 3, 4]);
        given.push(forged[1].line().to_string());
        assert!(matches!(recover(&given), Err(SharesError::Wrong { number: 2 })));
        assert!(matches!(recover(&given[1..]), Err(SharesError::Unsure)));
    }

    #[test]
    fn numbers_without_sense_are_refused_and_debug_is_silent() {
        for (count, threshold) in [(3, 1), (3, 4), (3, 0), (1, 1)] {
            assert!(matches!(split(&key(), count, threshold), Err(SharesError::Numbers)));
        }
        let share = split(&key(), 3, 2).unwrap().remove(0);
        assert_eq!(format!("{share:?}"), format!("Share(1 of 3, set {})", share.set()));
    }
}
