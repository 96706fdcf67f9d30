//! What of a patient's values is searchable, in the form in which it is hashed.

use std::collections::BTreeSet;
use std::fmt;

use wardbook_events::TokenKind;
use wardbook_events::values::{BirthDate, Email, Mrn, NamePart, PersonName, Phone, Ssn, normalise};

use crate::sounds;

/// How values become tokens. After a change, patients registered before are found by the new forms once they are re-indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forms {
    /// Letters of the shortest prefix of a name that is indexed. Each shorter one shows more of the name to who holds the
    /// view only: how many patients share it, and which longer ones go on from it.
    pub prefix_min: usize,
    /// Letters of the longest one; 0 indexes no prefixes. A longer word is searched by its first letters and narrowed after opening.
    pub prefix_max: usize,
    /// Calling code of telephone numbers that are written without one.
    pub country: String,
}

/// Raised when the same values give other tokens than before: patients are then re-indexed.
pub const FORMS_VERSION: u32 = 2;

impl Default for Forms {
    fn default() -> Self {
        Self { prefix_min: 3, prefix_max: 8, country: "1".to_owned() }
    }
}

/// The values of a patient that can be searched for. Holds PHI: its `Debug` prints nothing of it.
#[derive(Clone, Default)]
pub struct SearchValues {
    /// Name.
    pub name: Option<PersonName>,
    /// Birth date.
    pub birth_date: Option<BirthDate>,
    /// Social security number.
    pub ssn: Option<Ssn>,
    /// Medical record number.
    pub mrn: Option<Mrn>,
    /// E-mail addresses.
    pub emails: Vec<Email>,
    /// Telephone numbers.
    pub phones: Vec<Phone>,
}

impl fmt::Debug for SearchValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SearchValues(..)")
    }
}

impl SearchValues {
    /// Every form under which the patient is to be found, but for the mark of name and birth date.
    pub(crate) fn forms(&self, how: &Forms) -> BTreeSet<(TokenKind, String)> {
        let mut all = BTreeSet::new();
        if let Some(name) = &self.name {
            let family = [(name.family.as_str(), Part::FAMILY)];
            for (part, kinds) in family.into_iter().chain(given_words(name).into_iter().map(|word| (word, Part::GIVEN)))
            {
                for form in whole_and_words(part) {
                    all.extend(sounds::codes(&form).into_iter().map(|code| (kinds.sound, code)));
                    if !form.contains(' ') {
                        all.extend(how.prefixes(&form).map(|prefix| (kinds.prefix, prefix.to_owned())));
                    }
                    all.insert((kinds.written, form));
                }
            }
        }
        all.extend(self.birth_date.map(|date| (TokenKind::BirthDate, date.date().to_string())));
        all.extend(self.ssn.as_ref().map(|ssn| (TokenKind::Ssn, ssn.digits().to_owned())));
        all.extend(self.mrn.as_ref().map(|mrn| (TokenKind::Mrn, mrn_form(mrn))));
        all.extend(self.emails.iter().map(|email| (TokenKind::Email, email.normalised())));
        all.extend(self.phones.iter().filter_map(|phone| Some((TokenKind::Phone, phone.normalised(&how.country)?))));
        all
    }
}

/// The kinds of tokens of one part of a name.
#[derive(Clone, Copy)]
struct Part {
    written: TokenKind,
    sound: TokenKind,
    prefix: TokenKind,
}

impl Part {
    const FAMILY: Self =
        Self { written: TokenKind::FamilyName, sound: TokenKind::FamilySound, prefix: TokenKind::FamilyPrefix };
    const GIVEN: Self =
        Self { written: TokenKind::GivenName, sound: TokenKind::GivenSound, prefix: TokenKind::GivenPrefix };
}

impl Forms {
    /// The prefixes of a normalised word that are indexed.
    fn prefixes<'a>(&self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let (min, max) = (self.prefix_min.max(1), self.prefix_max);
        let ends = word.char_indices().skip(1).map(|(end, _)| end).chain([word.len()]);
        ends.zip(1..).filter(move |(_, letters)| (min..=max).contains(letters)).filter_map(|(end, _)| word.get(..end))
    }

    /// The indexed prefix by which to look for words that begin with this; `None` if it is shorter than all of them.
    pub(crate) fn longest_prefix<'a>(&self, word: &'a str) -> Option<&'a str> {
        self.prefixes(word).last()
    }
}

/// "Anna Maria" as one given name and as two are the same, so each word is a name of its own.
fn given_words(name: &PersonName) -> Vec<&str> {
    let parts = name.given.parts().iter().map(NamePart::as_str);
    let words: Vec<_> = parts.clone().flat_map(str::split_whitespace).collect();
    // As many as a name can have; marks of before were made so, and must stay.
    if (1..=10).contains(&words.len()) { words } else { parts.collect() }
}

/// The whole of a name part, and its words where there are several (`van der Berg`).
fn whole_and_words(part: &str) -> BTreeSet<String> {
    let whole = normalise(part);
    whole.split(' ').chain([whole.as_str()]).filter(|form| !form.is_empty()).map(str::to_owned).collect()
}

/// The words of a name, normalised.
pub(crate) fn words(name: &str) -> Vec<String> {
    normalise(name).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Record numbers are compared without regard to case.
pub(crate) fn mrn_form(mrn: &Mrn) -> String {
    mrn.as_str().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forms(min: usize, max: usize) -> Forms {
        Forms { prefix_min: min, prefix_max: max, ..Forms::default() }
    }

    #[test]
    fn prefixes_are_counted_in_letters() {
        assert_eq!(forms(2, 4).prefixes("øster").collect::<Vec<_>>(), ["øs", "øst", "øste"]);
        assert_eq!(forms(3, 8).prefixes("li").count(), 0);
        assert_eq!(forms(0, 2).prefixes("li").collect::<Vec<_>>(), ["l", "li"]);
        assert_eq!(forms(3, 0).prefixes("okafor").count(), 0, "switched off");
        assert_eq!(forms(3, 4).longest_prefix("okafor"), Some("okaf"));
        assert_eq!(forms(3, 4).longest_prefix("ok"), None);
    }

    proptest! {
        #[test]
        fn whoever_has_a_prefix_begins_with_it(word in "[a-zøł山田]{1,20}", min in 0..6_usize, max in 0..12_usize) {
            let how = forms(min, max);
            let all: Vec<_> = how.prefixes(&word).collect();
            let letters = word.chars().count();
            prop_assert_eq!(all.len(), (max.min(letters) + 1).saturating_sub(min.max(1)));
            for prefix in &all {
                prop_assert!(word.starts_with(prefix));
                prop_assert!((min..=max).contains(&prefix.chars().count()));
            }
        }
        /// What is typed letter by letter leads to the patient at each letter from the shortest prefix on.
        #[test]
        fn every_beginning_of_a_word_finds_it(word in "[a-z]{3,14}", typed in 3..14_usize) {
            let how = forms(3, 8);
            let typed = &word[..typed.min(word.len())];
            let asked = how.longest_prefix(typed).unwrap();
            prop_assert!(how.prefixes(&word).any(|prefix| prefix == asked));
        }
    }
}
