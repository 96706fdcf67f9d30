//! PINs, which unlock a screen and nothing else (IAM-17): digits that are not the first that anybody would try.

use secrecy::{ExposeSecret as _, SecretString};

use super::predictable::surprising;

/// Digits of a PIN.
pub const LENGTH: std::ops::RangeInclusive<usize> = 6..=12;

/// Whether a PIN is good enough: 6 to 12 digits, at least three different ones, that neither count nor repeat.
#[must_use]
pub fn is_good(pin: &SecretString) -> bool {
    let digits = pin.expose_secret();
    let different: std::collections::BTreeSet<_> = digits.bytes().collect();
    let repeats = (1..=digits.len() / 2).any(|length| {
        digits.len().is_multiple_of(length)
            && digits.get(..length).is_some_and(|block| digits == block.repeat(digits.len() / length))
    });
    digits.bytes().all(|digit| digit.is_ascii_digit())
        && LENGTH.contains(&digits.len())
        && different.len() >= 3
        && !repeats
        && surprising(digits, &[]) >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_anybody_would_try_are_refused() {
        for good in ["749205", "180527", "9041172"] {
            assert!(is_good(&good.into()), "{good}");
        }
        for bad in [
            "",
            "74920",
            "7492051829301",
            "74920a",
            "٧٤٩٢٠٥",
            "000000",
            "123456",
            "654321",
            "121212",
            "159159",
            "111222",
            "123123",
            "201999",
        ] {
            assert!(!is_good(&bad.into()), "{bad}");
        }
    }
}
