//! How a name sounds: Double Metaphone codes, so that Smith finds Schmidt.

use rphonetic::{DoubleMetaphone, Encoder};

/// Letters of Latin scripts that do not decompose into a basic letter and a mark.
const fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        'ħ' => "h",
        _ => return None,
    })
}

/// The codes of a normalised name: none if it has no Latin letters, else one or two.
pub fn codes(normalised: &str) -> Vec<String> {
    let mut letters = String::with_capacity(normalised.len());
    for letter in normalised.chars() {
        match plain(letter) {
            Some(plain) => letters.push_str(plain),
            None if letter.is_ascii_lowercase() => letters.push(letter),
            // Spaces separate nothing for the ear; other scripts have no code.
            None => {}
        }
    }
    if letters.is_empty() {
        return Vec::new();
    }
    let encoder = DoubleMetaphone::default();
    let mut codes = vec![encoder.encode(&letters), encoder.encode_alternate(&letters)];
    codes.retain(|code| !code.is_empty());
    codes.dedup();
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wardbook_events::values::normalise;

    fn sounds_alike(one: &str, other: &str) -> bool {
        let other = codes(&normalise(other));
        codes(&normalise(one)).iter().any(|code| other.contains(code))
    }

    #[test]
    fn names_that_sound_alike_share_a_code() {
        for (one, other) in [
            ("Smith", "Schmidt"),
            ("Meyer", "Maier"),
            ("Catherine", "Kathryn"),
            ("Łukasz", "Lukas"),
            ("Strauß", "Strauss"),
            ("O'Brien", "Obrien"),
        ] {
            assert!(sounds_alike(one, other), "{one} {other}");
        }
        assert!(!sounds_alike("Smith", "Jones"));
    }

    #[test]
    fn a_name_in_another_script_has_no_code() {
        assert!(codes(&normalise("Иванов")).is_empty());
        assert!(codes(&normalise("山田")).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_has_a_code_or_none(text in "\\PC{0,40}") {
            prop_assert!(codes(&normalise(&text)).len() <= 2);
        }
        #[test]
        fn latin_names_have_a_code(text in "[a-z]{1,20}") {
            prop_assert!(codes(&text).iter().all(|code| !code.is_empty() && code.len() <= 8));
        }
    }
}
