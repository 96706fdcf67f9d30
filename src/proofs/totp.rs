//! Time-based codes of an authenticator app (RFC 6238): SHA-1, six digits, thirty seconds, because apps agree on nothing else.

use jiff::Timestamp;
use secrecy::SecretString;
use totp_rs::{Builder, Totp, TotpError};
use zeroize::Zeroizing;

use crate::clock::{Chance, NoChance};

/// Seconds of a step.
pub const STEP_S: u64 = 30;
/// Steps before and after the present one whose codes are taken: clocks differ (RFC 6238 section 5.2, IAM-07).
const SKEW: u16 = 1;

/// 160 bits, as RFC 4226 section 4 recommends. Wiped when dropped.
pub type Secret = Zeroizing<[u8; 20]>;

/// A new secret.
///
/// # Errors
/// If the operating system has no random bytes to give.
pub fn new_secret(chance: &Chance) -> Result<Secret, NoChance> {
    chance.bytes().map(Zeroizing::new)
}

/// The step whose code this is: the present one, or one before or after it. Compared in constant time.
#[must_use]
pub fn step_of(secret: &[u8], code: &str, now: Timestamp) -> Option<u64> {
    let digits: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let seconds = u64::try_from(now.as_second()).ok()?;
    totp(secret, "wardbook", "").ok()?.check(&digits, seconds)
}

/// What an app reads from a picture or takes by hand.
pub struct Provision {
    /// The secret in base 32.
    pub secret: SecretString,
    /// `otpauth://totp/...`, to be shown as a QR code.
    pub uri: SecretString,
}

/// What an app needs to make codes for this user.
///
/// # Errors
/// If the issuer or the name has a colon.
pub fn provision(secret: &[u8], issuer: &str, username: &str) -> Result<Provision, TotpError> {
    let totp = totp(secret, username, issuer)?;
    Ok(Provision { secret: totp.secret().to_base32().into(), uri: totp.to_url()?.into() })
}

fn totp(secret: &[u8], username: &str, issuer: &str) -> Result<Totp, TotpError> {
    let issuer = Some(issuer).filter(|issuer| !issuer.is_empty());
    Builder::new()
        .with_secret(secret)
        .with_skew(SKEW)
        .with_step_duration(STEP_S)
        .with_account_name(username)
        .with_issuer(issuer)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    /// The secret of RFC 6238, appendix B.
    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // Appendix B has eight digits; the last six are ours.
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")]
        {
            assert_eq!(step_of(SECRET, code, at(seconds)), Some(seconds.unsigned_abs() / 30), "{seconds}");
        }
    }

    #[test]
    fn one_step_before_and_after_is_taken_and_named() {
        let code = "081804"; // of step 37037036
        for (off, step) in
            [(-60, None), (-30, Some(37_037_036)), (0, Some(37_037_036)), (30, Some(37_037_036)), (60, None)]
        {
            assert_eq!(step_of(SECRET, code, at(1_111_111_109 + off)), step, "{off}");
        }
    }

    #[test]
    fn what_is_no_code_is_wrong() {
        for code in ["", "08180", "0818044", "08180a", "\u{0660}81804", "-81804", "+81804"] {
            assert_eq!(step_of(SECRET, code, at(1_111_111_109)), None, "{code}");
        }
        assert!(step_of(SECRET, "081 804", at(1_111_111_109)).is_some(), "as apps show it");
    }

    #[test]
    fn apps_are_told_who_issued_it() {
        let provision = provision(SECRET, "St. Mary's", "dr.osei").unwrap();
        let uri = provision.uri.expose_secret();
        let (label, rest) = uri.split_once('?').unwrap();
        assert!(label.starts_with("otpauth://totp/St") && label.ends_with("osei"), "{label}");
        let said: std::collections::BTreeMap<_, _> = rest.split('&').filter_map(|pair| pair.split_once('=')).collect();
        assert_eq!(said["secret"], "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(said["issuer"].starts_with("St"), "{uri}");
    }
}
