//! How values are written to be compared: whoever types them otherwise means the same.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::values::{Email, Phone};

/// Folds text for comparison: decomposed, without marks, lower case, letters and digits only, single spaces.
#[must_use]
pub fn normalise(value: &str) -> String {
    let folded: String = value
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Digits of an international number at most (E.164).
const PHONE_MAX: usize = 15;
/// Fewer digits are no number that names somebody.
const PHONE_MIN: usize = 4;

impl Email {
    /// Composed and in lower case. RFC 5321 lets a host tell `A@` from `a@`; nobody does, and people type both.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.as_str().nfkc().flat_map(char::to_lowercase).collect()
    }
}

impl Phone {
    /// The digits of E.164: country code and number, without `+`, trunk zero and extension. A number without a country code is taken
    /// for one of the country given (its calling code, such as `1` or `966`). `None` if it has too few or too many digits.
    #[must_use]
    pub fn normalised(&self, country: &str) -> Option<String> {
        let written: String = self.as_str().nfkc().flat_map(char::to_lowercase).collect();
        // "x 12", "ext. 12", ";ext=12", "#12": the extension begins at the first letter or mark of one.
        let number =
            written.split(|c: char| c.is_alphabetic() || matches!(c, ';' | '#' | ',')).find(|part| has_digit(part))?;
        let international = number.trim_start().starts_with('+');
        // "+44 (0)20": the zero in brackets is for those who call from within.
        let number = if international { number.replace("(0)", "") } else { number.to_owned() };
        let digits: String = number.chars().filter_map(digit).collect();
        if digits.len() < PHONE_MIN {
            return None;
        }
        let full = match digits.strip_prefix("00") {
            _ if international => digits,
            Some(rest) => rest.to_owned(),
            None => national(&digits, country),
        };
        (PHONE_MIN..=PHONE_MAX).contains(&full.len()).then_some(full)
    }
}

fn national(digits: &str, country: &str) -> String {
    // In North America people write the country's 1 before ten digits, with and without `+`.
    if country == "1" && digits.len() == 11 && digits.starts_with('1') {
        return digits.to_owned();
    }
    format!("{country}{}", digits.strip_prefix('0').unwrap_or(digits))
}

fn has_digit(part: &str) -> bool {
    part.chars().any(|c| digit(c).is_some())
}

/// Digits of the Latin, Arabic and Persian scripts.
fn digit(c: char) -> Option<char> {
    let zero = match c {
        '0'..='9' => '0',
        '\u{660}'..='\u{669}' => '\u{660}',
        '\u{6f0}'..='\u{6f9}' => '\u{6f0}',
        _ => return None,
    };
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phone(text: &str, country: &str) -> Option<String> {
        Phone::new(text).unwrap().normalised(country)
    }

    #[test]
    fn a_telephone_number_has_one_form() {
        for text in
            ["+1 (555) 010-0199", "555-010-0199", "1 555 010 0199", "001 555 0100199", "+1.555.010.0199 ext. 12"]
        {
            assert_eq!(phone(text, "1").as_deref(), Some("15550100199"), "{text}");
        }
        for text in
            ["+44 (0)20 7946 0018", "020 7946 0018", "00442079460018", "+44 20 7946 0018x9", "tel: 020 7946 0018"]
        {
            assert_eq!(phone(text, "44").as_deref(), Some("442079460018"), "{text}");
        }
        assert_eq!(phone("٠٥٠ ١٢٣ ٤٥٦٧", "966"), phone("+966 50 123 4567", "1"));
        assert_ne!(phone("555 010 0199", "1"), phone("555 010 0199", "44"), "the country counts");
        for text in ["none", "12", "+", "1234567890123456"] {
            assert_eq!(phone(text, "44"), None, "{text}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        let email = |text| Email::new(text).unwrap().normalised();
        assert_eq!(email(" Ngozi.Okafor@Example.ORG "), email("ngozi.okafor@example.org"));
        assert_ne!(email("ngozi@example.org"), email("ngozi@example.com"));
    }

    proptest! {
        #[test]
        fn spaces_and_signs_do_not_change_a_number(digits in "[1-9][0-9]{5,13}", at in prop::collection::vec((0..14_usize, "[ ()./-]"), 0..6)) {
            let mut written = digits.clone();
            for (place, sign) in at {
                written.insert_str(place.min(written.len()), &sign);
            }
            // "(0)" has a meaning of its own.
            prop_assume!(!written.contains("(0)"));
            prop_assert_eq!(phone(&format!("+{written}"), "1"), Some(digits));
        }
        #[test]
        fn forms_of_any_text_are_stable(text in "\\PC{1,40}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
            if let Some(digits) = Phone::new(&text).ok().and_then(|phone| phone.normalised("49")) {
                prop_assert!(digits.bytes().all(|b| b.is_ascii_digit()));
                prop_assert_eq!(phone(&format!("+{digits}"), "1"), Some(digits));
            }
            if let Ok(email) = Email::new(&text) {
                let form = email.normalised();
                prop_assert_eq!(Email::new(&form).map_or(form.clone(), |again| again.normalised()), form);
            }
        }
    }
}
