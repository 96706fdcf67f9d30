//! The values that PHI fields hold. Each is parsed once at the edge and cannot hold a bad value afterwards.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use crate::forms::normalise;

/// Why a value was refused. Says which rule was broken, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {rule}")]
pub struct ValueError {
    /// Which value.
    pub field: &'static str,
    /// Which rule it broke.
    pub rule: &'static str,
}

const fn refuse<T>(field: &'static str, rule: &'static str) -> Result<T, ValueError> {
    Err(ValueError { field, rule })
}

/// Text without control characters, trimmed, at most `limit` characters.
fn text(field: &'static str, value: &str, limit: usize) -> Result<String, ValueError> {
    let value = value.trim();
    if value.is_empty() {
        return refuse(field, "must not be empty");
    }
    if value.chars().count() > limit {
        return refuse(field, "is too long");
    }
    if value.chars().any(char::is_control) {
        return refuse(field, "must not contain control characters");
    }
    Ok(value.to_owned())
}

macro_rules! text_value {
    ($(#[$doc:meta])* $name:ident, $field:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);
        impl $name {
            /// Parses it.
            ///
            /// # Errors
            /// Says which rule the text breaks.
            pub fn new(value: &str) -> Result<Self, ValueError> {
                text($field, value, $limit).map(Self)
            }
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = ValueError;
            fn try_from(value: String) -> Result<Self, ValueError> {
                Self::new(&value)
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
        hidden_debug!($name);
    };
}

/// `Debug` that shows the type's name only: these values are PHI.
macro_rules! hidden_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

text_value!(
    /// One part of a name.
    NamePart, "name", 100
);
text_value!(
    /// A line of free text within a structured value.
    Line, "text", 500
);
text_value!(
    /// A telephone number as it was written.
    Phone, "phone", 40
);
text_value!(
    /// Language tag (BCP 47).
    Language, "language", 35
);

/// Longer free text; line breaks and tabs are allowed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text(String);

impl Text {
    /// Characters at most.
    pub const LIMIT: usize = 100_000;

    /// Parses it.
    ///
    /// # Errors
    /// If it is empty, too long, or has control characters other than line breaks and tabs.
    pub fn new(value: &str) -> Result<Self, ValueError> {
        if value.trim().is_empty() {
            return refuse("text", "must not be empty");
        }
        if value.chars().count() > Self::LIMIT {
            return refuse("text", "is too long");
        }
        if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return refuse("text", "must not contain control characters");
        }
        Ok(Self(value.to_owned()))
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Text {
    type Error = ValueError;
    fn try_from(value: String) -> Result<Self, ValueError> {
        Self::new(&value)
    }
}

impl From<Text> for String {
    fn from(value: Text) -> Self {
        value.0
    }
}

/// A person's name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonName {
    /// Family name.
    pub family: NamePart,
    /// Given names in order, one to ten.
    pub given: GivenNames,
    /// Title before the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<NamePart>,
    /// What follows the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<NamePart>,
}

impl PersonName {
    /// Family and given names folded for comparison.
    #[must_use]
    pub fn normalised(&self) -> String {
        let given: Vec<_> = self.given.0.iter().map(NamePart::as_str).collect();
        normalise(&format!("{} {}", self.family.as_str(), given.join(" ")))
    }
}

/// Given names, one to ten.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<NamePart>", into = "Vec<NamePart>")]
pub struct GivenNames(Vec<NamePart>);

impl GivenNames {
    /// The names.
    #[must_use]
    pub fn parts(&self) -> &[NamePart] {
        &self.0
    }
}

impl TryFrom<Vec<NamePart>> for GivenNames {
    type Error = ValueError;
    fn try_from(parts: Vec<NamePart>) -> Result<Self, ValueError> {
        match parts.len() {
            1..=10 => Ok(Self(parts)),
            0 => refuse("given name", "must not be empty"),
            _ => refuse("given name", "has too many parts"),
        }
    }
}

impl From<GivenNames> for Vec<NamePart> {
    fn from(names: GivenNames) -> Self {
        names.0
    }
}

/// Social security number: nine digits, written `123-45-6789`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ssn(String);

impl Ssn {
    /// Parses nine digits, hyphens or spaces between them allowed.
    ///
    /// # Errors
    /// If there are not nine digits or all are zero.
    pub fn new(value: &str) -> Result<Self, ValueError> {
        let digits: String = value.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        if digits.len() != 9 || !digits.bytes().all(|b| b.is_ascii_digit()) || digits.bytes().all(|b| b == b'0') {
            return refuse("ssn", "must be nine digits such as 123-45-6789");
        }
        Ok(Self(digits))
    }
    /// Nine digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Ssn {
    type Error = ValueError;
    fn try_from(value: String) -> Result<Self, ValueError> {
        Self::new(&value)
    }
}

impl From<Ssn> for String {
    fn from(ssn: Ssn) -> Self {
        let (area, rest) = ssn.0.split_at(3);
        let (group, serial) = rest.split_at(2);
        format!("{area}-{group}-{serial}")
    }
}

/// Medical record number: `MRN-` and 16 upper-case hex digits when we give it, other text when it comes from elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mrn(String);

impl Mrn {
    /// Parses 1 to 64 letters, digits, hyphens, dots or slashes.
    ///
    /// # Errors
    /// If there are other characters, or none.
    pub fn new(value: &str) -> Result<Self, ValueError> {
        let value = value.trim();
        let fits = (1..=64).contains(&value.len())
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/'));
        if fits {
            Ok(Self(value.to_owned()))
        } else {
            refuse("mrn", "must be 1 to 64 letters, digits, hyphens, dots or slashes")
        }
    }
    /// A number of our own from eight random bytes (PAT-01).
    #[must_use]
    pub fn generated(random: [u8; 8]) -> Self {
        Self(format!("MRN-{:016X}", u64::from_be_bytes(random)))
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Mrn {
    type Error = ValueError;
    fn try_from(value: String) -> Result<Self, ValueError> {
        Self::new(&value)
    }
}

impl From<Mrn> for String {
    fn from(mrn: Mrn) -> Self {
        mrn.0
    }
}

/// A date of birth, not before 1850. Whether it lies in the future is for `decide`, which is given the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Date", into = "Date")]
pub struct BirthDate(Date);

impl BirthDate {
    /// The date.
    #[must_use]
    pub const fn date(self) -> Date {
        self.0
    }
}

impl TryFrom<Date> for BirthDate {
    type Error = ValueError;
    fn try_from(date: Date) -> Result<Self, ValueError> {
        if date.year() < 1850 { refuse("birth date", "must not be before 1850") } else { Ok(Self(date)) }
    }
}

impl From<BirthDate> for Date {
    fn from(date: BirthDate) -> Self {
        date.0
    }
}

/// Administrative gender (HL7 AdministrativeGender).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the codes of HL7 AdministrativeGender")]
pub enum Gender {
    Male,
    Female,
    Other,
    Unknown,
}

/// When the patient died.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deceased {
    /// The date, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
}

/// A postal address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Street and house, at most five lines.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// City.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<Line>,
    /// State or province.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Line>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<Line>,
    /// Country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Line>,
}

/// An e-mail address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

impl Email {
    /// Parses something before and after one `@`, no spaces, at most 254 bytes.
    ///
    /// # Errors
    /// If it has not that shape.
    pub fn new(value: &str) -> Result<Self, ValueError> {
        let value = text("email", value, 254)?;
        match value.split_once('@') {
            Some((user, host))
                if !user.is_empty() && !host.is_empty() && !host.contains('@') && !value.contains(' ') =>
            {
                Ok(Self(value))
            }
            _ => refuse("email", "must look like name@example.org"),
        }
    }
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Email {
    type Error = ValueError;
    fn try_from(value: String) -> Result<Self, ValueError> {
        Self::new(&value)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

/// Somebody to call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextOfKin {
    /// Their name.
    pub name: Line,
    /// How they are related.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relationship: Option<Line>,
    /// Their telephone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
}

/// A number given by somebody else: passport, driver's licence, another hospital's MRN.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identifier {
    /// Who gives such numbers, usually a URI.
    pub system: Line,
    /// The number.
    pub value: Line,
    /// What kind of number it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Line>,
}

/// Insurance cover.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Insurance {
    /// Who pays.
    pub payer: Line,
    /// Number of the insured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_id: Option<Line>,
    /// Number of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_number: Option<Line>,
    /// Name of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Line>,
    /// First day covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Date>,
    /// Last day covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Date>,
}

/// A decimal number exactly as it was written: 4.50 stays 4.50. Clinical precision is meaning, so no float touches it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(String);

impl Decimal {
    /// Parses a JSON number's text.
    ///
    /// # Errors
    /// If it is not such a number, or longer than 40 characters.
    pub fn new(value: &str) -> Result<Self, ValueError> {
        let wrong = refuse("number", "must be a decimal number such as 4.50");
        if value.is_empty() || value.len() > 40 || !value.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
            return wrong;
        }
        match serde_json::from_str::<serde_json::Number>(value) {
            Ok(_) => Ok(Self(value.to_owned())),
            Err(_) => wrong,
        }
    }
    /// The number as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Decimal {
    type Error = ValueError;
    fn try_from(value: String) -> Result<Self, ValueError> {
        Self::new(&value)
    }
}

impl From<Decimal> for String {
    fn from(value: Decimal) -> Self {
        value.0
    }
}

hidden_debug!(
    Text, PersonName, GivenNames, Ssn, Mrn, BirthDate, Gender, Deceased, Address, Email, NextOfKin, Identifier,
    Insurance, Decimal
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ssn_has_one_form() {
        for good in ["123-45-6789", "123456789", "123 45 6789"] {
            assert_eq!(String::from(Ssn::new(good).unwrap()), "123-45-6789");
        }
        for bad in ["", "12345678", "1234567890", "000-00-0000", "12a-45-6789", "１２３-45-6789"] {
            assert!(Ssn::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_keep_their_precision() {
        assert_eq!(serde_json::to_string(&Decimal::new("4.50").unwrap()).unwrap(), "\"4.50\"");
        for bad in ["", "4.", ".5", "NaN", "1e", "0x1", "--1", "01"] {
            assert!(Decimal::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_compare_without_case_marks_and_punctuation() {
        assert_eq!(normalise("  O'Brien-Müller "), "o brien muller");
        assert_eq!(normalise("ÉLODIE"), normalise("elodie"));
    }

    #[test]
    fn debug_shows_no_phi() {
        let name = PersonName {
            family: NamePart::new("Okafor").unwrap(),
            given: vec![NamePart::new("Ngozi").unwrap()].try_into().unwrap(),
            prefix: None,
            suffix: None,
        };
        let all = format!(
            "{name:?} {:?} {:?} {:?} {:?}",
            name.family,
            Ssn::new("123456789").unwrap(),
            Email::new("a@b.c").unwrap(),
            Text::new("secret").unwrap()
        );
        assert_eq!(all, "PersonName(..) NamePart(..) Ssn(..) Email(..) Text(..)");
    }

    #[test]
    fn errors_do_not_repeat_the_value() {
        let error = serde_json::from_str::<Ssn>("\"Jane-Doe\"").unwrap_err();
        assert!(!error.to_string().contains("Jane"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_stable(value in "\\PC{0,60}") {
            if let Ok(line) = Line::new(&value) {
                prop_assert_eq!(Line::new(line.as_str()).unwrap(), line);
            }
            let once = normalise(&value);
            prop_assert_eq!(normalise(&once), once);
            let _ = (Ssn::new(&value), Mrn::new(&value), Email::new(&value), Decimal::new(&value));
        }
    }
}
