//! Blind-index tokens: what makes sealed values findable without opening them (ENC-08, ENC-09).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field::{Field, GroupSet};

/// What a token was made from. Tokens of different kinds never match. Never change or take away one: tokens stand in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// Social security number, nine digits.
    Ssn,
    /// Medical record number.
    Mrn,
    /// Birth date, `YYYY-MM-DD`.
    BirthDate,
    /// Normalised family name.
    FamilyName,
    /// Normalised given name, each on its own.
    GivenName,
    /// Phonetic code of the family name.
    FamilySound,
    /// Phonetic code of a given name.
    GivenSound,
    /// Family and given names together with the birth date: the mark of a duplicate. Made from the tokens of the three.
    NameAndBirthDate,
    /// First letters of a word of the family name.
    FamilyPrefix,
    /// First letters of a word of a given name.
    GivenPrefix,
    /// E-mail address ([`crate::values::Email::normalised`]).
    Email,
    /// Telephone number ([`crate::values::Phone::normalised`]).
    Phone,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Ssn,
        Self::Mrn,
        Self::BirthDate,
        Self::FamilyName,
        Self::GivenName,
        Self::FamilySound,
        Self::GivenSound,
        Self::NameAndBirthDate,
        Self::FamilyPrefix,
        Self::GivenPrefix,
        Self::Email,
        Self::Phone,
    ];

    /// The name bound into the token and used in stream names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssn => "ssn",
            Self::Mrn => "mrn",
            Self::BirthDate => "birth-date",
            Self::FamilyName => "family-name",
            Self::GivenName => "given-name",
            Self::FamilySound => "family-sound",
            Self::GivenSound => "given-sound",
            Self::NameAndBirthDate => "name-and-birth-date",
            Self::FamilyPrefix => "family-prefix",
            Self::GivenPrefix => "given-prefix",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }
    /// The groups of the fields that it is made from: what is erased with them.
    #[must_use]
    pub fn groups(self) -> GroupSet {
        Field::ALL.iter().filter(|field| field.found_by().contains(&self)).map(|field| field.group()).collect()
    }
    /// Whether two patients must not share such a token without a person's say-so.
    #[must_use]
    pub const fn is_unique(self) -> bool {
        matches!(self, Self::Ssn | Self::Mrn | Self::NameAndBirthDate)
    }
}

impl Field {
    /// By which kinds of tokens a patient is found through this field; by none where a field is sealed only (ENC-07).
    ///
    /// Every field is sealed under randomness. A field of few values (gender, language, whether somebody died) is never in this
    /// list: its tokens would be read off by counting them (ENC-08). What is not named here is not searchable.
    #[must_use]
    pub const fn found_by(self) -> &'static [TokenKind] {
        match self {
            Self::Name => &[
                TokenKind::FamilyName,
                TokenKind::GivenName,
                TokenKind::FamilySound,
                TokenKind::GivenSound,
                TokenKind::FamilyPrefix,
                TokenKind::GivenPrefix,
                TokenKind::NameAndBirthDate,
            ],
            Self::BirthDate => &[TokenKind::BirthDate, TokenKind::NameAndBirthDate],
            Self::Ssn => &[TokenKind::Ssn],
            Self::Mrn => &[TokenKind::Mrn],
            Self::Emails => &[TokenKind::Email],
            Self::Phones => &[TokenKind::Phone],
            _ => &[],
        }
    }
}

/// A keyed hash of a normalised value (HMAC-SHA-256, first 16 bytes, hex). Tells nothing without the index key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it was made from.
    pub kind: TokenKind,
    /// Version of the index key that made it. Not written for the first, as it was not when there was only one.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub index: u32,
    /// 32 lower-case hex digits.
    pub value: String,
}

const fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_first(index: &u32) -> bool {
    *index == 1
}

impl Token {
    /// The stream that holds the claim on this token: at most one patient has it.
    #[must_use]
    pub fn claim_stream(&self, tenant: crate::TenantId) -> String {
        format!("claims-{}-{}-{}", tenant.uuid().simple(), self.kind.name(), self.value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.kind.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_before_index_keys_had_versions_are_of_the_first() {
        let old = r#"{"kind":"ssn","value":"00"}"#;
        let token: Token = serde_json::from_str(old).unwrap();
        assert_eq!((token.kind, token.index), (TokenKind::Ssn, 1));
        assert_eq!(serde_json::to_string(&token).unwrap(), old);
        let second = Token { index: 2, ..token };
        let text = serde_json::to_string(&second).unwrap();
        assert_eq!(text, r#"{"kind":"ssn","index":2,"value":"00"}"#);
        assert_eq!(serde_json::from_str::<Token>(&text).unwrap(), second);
    }

    #[test]
    fn the_names_of_kinds_are_those_in_events() {
        for kind in TokenKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    /// ENC-08: a field of few values would be read off by counting its tokens.
    #[test]
    fn fields_of_few_values_are_never_searchable() {
        let searchable: Vec<_> = Field::ALL.iter().filter(|field| !field.found_by().is_empty()).collect();
        let many_values = [Field::Name, Field::BirthDate, Field::Phones, Field::Emails, Field::Ssn, Field::Mrn];
        assert_eq!(
            searchable,
            many_values.iter().collect::<Vec<_>>(),
            "a new one needs many values and a line in the docs"
        );
        for kind in TokenKind::ALL {
            assert!(Field::ALL.iter().any(|field| field.found_by().contains(&kind)), "{kind:?} is made from nothing");
        }
    }
}
