//! Which PHI field is meant, how sensitive it is, and to which group it belongs.
//!
//! Policy decides by group (minimum necessary, 45 CFR 164.502(b)); the class says how the field must be treated (PAT-04).

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a value must be treated (PAT-04).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Says nothing of a person's health or identity: may stand in clear.
    NonPhi,
    /// Protected health information: sealed at rest.
    Phi,
    /// Mental health, HIV, substance use, reproductive health, government identifiers: sealed, and a group of its own.
    Sensitive,
}

/// A group of fields that policy grants or withholds as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Name, birth date, gender.
    Demographics,
    /// Addresses, telephone, e-mail, next of kin.
    Contact,
    /// SSN, MRN and other numbers that name a person.
    Identifiers,
    /// Conditions, medications, observations, notes.
    Clinical,
    /// Clinical entries labelled as specially protected.
    Sensitive,
    /// Insurance and payment.
    Billing,
}

impl Group {
    /// Every group, in a fixed order.
    pub const ALL: [Self; 6] =
        [Self::Demographics, Self::Contact, Self::Identifiers, Self::Clinical, Self::Sensitive, Self::Billing];

    /// The name used in policies, events and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Demographics => "demographics",
            Self::Contact => "contact",
            Self::Identifiers => "identifiers",
            Self::Clinical => "clinical",
            Self::Sensitive => "sensitive",
            Self::Billing => "billing",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of groups.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GroupSet(u8);

impl GroupSet {
    /// No group.
    pub const EMPTY: Self = Self(0);

    /// All groups.
    #[must_use]
    pub fn all() -> Self {
        Group::ALL.into_iter().collect()
    }
    /// With one group more.
    #[must_use]
    pub const fn with(self, group: Group) -> Self {
        Self(self.0 | (1 << group as u8))
    }
    /// Whether the group is in the set.
    #[must_use]
    pub const fn contains(self, group: Group) -> bool {
        self.0 & (1 << group as u8) != 0
    }
    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The groups in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// The groups in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// The groups in this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// The groups in the set, in the order of [`Group::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Group> {
        Group::ALL.into_iter().filter(move |group| self.contains(*group))
    }
}

impl FromIterator<Group> for GroupSet {
    fn from_iter<I: IntoIterator<Item = Group>>(groups: I) -> Self {
        groups.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for GroupSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for GroupSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for GroupSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Group>::deserialize(deserializer)?.into_iter().collect())
    }
}

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $group:ident, $class:ident;)*) => {
        /// A field that holds PHI. Its name is bound into the ciphertext, so a value cannot be moved to another field.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Field { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }
        impl Field {
            /// Every field.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// The name in events and in associated data; never change one.
            #[must_use]
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name),* } }
            /// The group that policy grants or withholds.
            #[must_use]
            pub const fn group(self) -> Group { match self { $(Self::$variant => Group::$group),* } }
            /// The class of its content (PAT-04).
            #[must_use]
            pub const fn class(self) -> Class { match self { $(Self::$variant => Class::$class),* } }
        }
    };
}

fields! {
    /// [`crate::values::PersonName`].
    Name = "patient.name", Demographics, Phi;
    /// [`crate::values::BirthDate`].
    BirthDate = "patient.birth-date", Demographics, Phi;
    /// [`crate::values::Gender`].
    Gender = "patient.gender", Demographics, Phi;
    /// [`crate::values::Deceased`].
    Deceased = "patient.deceased", Demographics, Phi;
    /// [`crate::values::Language`].
    Language = "patient.language", Demographics, Phi;
    /// A list of [`crate::values::Address`].
    Addresses = "patient.addresses", Contact, Phi;
    /// A list of [`crate::values::Phone`].
    Phones = "patient.phones", Contact, Phi;
    /// A list of [`crate::values::Email`].
    Emails = "patient.emails", Contact, Phi;
    /// A list of [`crate::values::NextOfKin`].
    NextOfKin = "patient.next-of-kin", Contact, Phi;
    /// [`crate::values::Ssn`].
    Ssn = "patient.ssn", Identifiers, Sensitive;
    /// [`crate::values::Mrn`].
    Mrn = "patient.mrn", Identifiers, Phi;
    /// A list of [`crate::values::Identifier`].
    OtherIdentifiers = "patient.identifiers", Identifiers, Phi;
    /// A list of [`crate::values::Insurance`].
    Insurance = "patient.insurance", Billing, Phi;
    /// [`crate::records::RecordBody`] without a sensitivity label.
    Record = "record.body", Clinical, Phi;
    /// [`crate::records::RecordBody`] with a sensitivity label.
    SensitiveRecord = "record.sensitive-body", Sensitive, Sensitive;
    /// [`crate::records::Addendum`] to a record without a sensitivity label.
    RecordAddendum = "record.addendum", Clinical, Phi;
    /// [`crate::records::Addendum`] to a record with a sensitivity label.
    SensitiveAddendum = "record.sensitive-addendum", Sensitive, Sensitive;
    /// [`crate::documents::DocumentBody`] without a sensitivity label.
    Document = "document.body", Clinical, Phi;
    /// [`crate::documents::DocumentBody`] with a sensitivity label.
    SensitiveDocument = "document.sensitive-body", Sensitive, Sensitive;
    /// The key of the object of a document without a sensitivity label.
    DocumentKey = "document.key", Clinical, Phi;
    /// The key of the object of a document with a sensitivity label.
    SensitiveDocumentKey = "document.sensitive-key", Sensitive, Sensitive;
    /// Free text of why a chart was opened or a record changed.
    Reason = "reason", Clinical, Phi;
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Field {
    type Err = UnknownField;
    fn from_str(text: &str) -> Result<Self, UnknownField> {
        Self::ALL.iter().copied().find(|field| field.name() == text).ok_or(UnknownField)
    }
}

/// Text that names no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown field name")]
pub struct UnknownField;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let set: GroupSet = [Group::Clinical, Group::Contact].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Group::Contact, Group::Clinical]);
        assert!(!set.contains(Group::Billing));
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["contact","clinical"]"#);
        assert_eq!(serde_json::from_str::<GroupSet>(&json).unwrap(), set);
        assert_eq!(GroupSet::all().iter().count(), Group::ALL.len());
    }

    #[test]
    fn field_names_are_unique_and_round_trip() {
        for field in Field::ALL {
            assert_eq!(field.name().parse::<Field>().unwrap(), *field);
        }
        let names: std::collections::BTreeSet<_> = Field::ALL.iter().map(|field| field.name()).collect();
        assert_eq!(names.len(), Field::ALL.len());
        assert!(Field::ALL.iter().all(|field| field.class() != Class::NonPhi), "only PHI has a field");
    }
}
