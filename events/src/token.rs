//! Blind-index tokens: what makes sealed values findable by exact match without opening them (ENC-08, ENC-09).

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a token was made from. Tokens of different kinds never match.
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
    /// Normalised full name together with the birth date: the mark of a duplicate.
    NameAndBirthDate,
}

impl TokenKind {
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
        }
    }
    /// Whether two patients must not share such a token without a person's say-so.
    #[must_use]
    pub const fn is_unique(self) -> bool {
        matches!(self, Self::Ssn | Self::Mrn | Self::NameAndBirthDate)
    }
}

/// A keyed hash of a normalised value (HMAC-SHA-256, first 16 bytes, hex). Tells nothing without the index key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    /// What it was made from.
    pub kind: TokenKind,
    /// 32 lower-case hex digits.
    pub value: String,
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
