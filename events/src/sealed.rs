//! PHI as it stands in events and views: sealed bytes, typed by what they open to.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use crate::field::{Field, GroupSet};
use crate::ids::{PatientId, TenantId};

/// Sealed bytes in their stored text form: `version.key-version.base64`. Made and read by the keys crate only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ciphertext(String);

impl Ciphertext {
    /// Wraps the stored text form.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }
    /// The stored text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphertext({} bytes)", self.0.len())
    }
}

/// A sealed value of type `T` with everything its associated data binds it to. Opening it takes a permit and a receipt.
pub struct Sealed<T> {
    tenant: TenantId,
    subject: PatientId,
    stream: String,
    field: Field,
    ciphertext: Ciphertext,
    opens_to: PhantomData<fn() -> T>,
}

impl<T> Sealed<T> {
    /// Names what a ciphertext is. A wrong name does no harm: it does not open.
    #[must_use]
    pub const fn new(
        tenant: TenantId,
        subject: PatientId,
        stream: String,
        field: Field,
        ciphertext: Ciphertext,
    ) -> Self {
        Self { tenant, subject, stream, field, ciphertext, opens_to: PhantomData }
    }
    /// The organisation under whose key the patient's key is wrapped.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }
    /// The patient whose key seals it.
    #[must_use]
    pub const fn subject(&self) -> PatientId {
        self.subject
    }
    /// The stream in which it was written.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.stream
    }
    /// Which field it is.
    #[must_use]
    pub const fn field(&self) -> Field {
        self.field
    }
    /// The sealed bytes.
    #[must_use]
    pub const fn ciphertext(&self) -> &Ciphertext {
        &self.ciphertext
    }
    /// The sealed bytes, to be put into an event.
    #[must_use]
    pub fn into_ciphertext(self) -> Ciphertext {
        self.ciphertext
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self::new(self.tenant, self.subject, self.stream.clone(), self.field, self.ciphertext.clone())
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} of {})", self.field, self.subject)
    }
}

/// The sealed fields of one stream, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedFields(pub BTreeMap<Field, Ciphertext>);

impl SealedFields {
    /// Only the fields of the given groups: what a permit's holder may see.
    #[must_use]
    pub fn only(&self, groups: GroupSet) -> Self {
        Self(self.0.iter().filter(|(field, _)| groups.contains(field.group())).map(|(f, c)| (*f, c.clone())).collect())
    }
    /// As they are after these changes; `None` takes a field away.
    #[must_use]
    pub fn with(&self, changes: &BTreeMap<Field, Option<Ciphertext>>) -> Self {
        let kept = self.0.iter().filter(|(field, _)| !changes.contains_key(field)).map(|(f, c)| (*f, c.clone()));
        let new = changes.iter().filter_map(|(field, new)| Some((*field, new.clone()?)));
        Self(kept.chain(new).collect())
    }
    /// One field as a typed sealed value.
    #[must_use]
    pub fn get<T>(&self, tenant: TenantId, subject: PatientId, stream: &str, field: Field) -> Option<Sealed<T>> {
        self.0.get(&field).map(|c| Sealed::new(tenant, subject, stream.to_owned(), field, c.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Group;

    #[test]
    fn debug_prints_nothing_of_the_content() {
        let text = format!("{:?}", Ciphertext::new("1.1.c2VjcmV0".into()));
        assert_eq!(text, "Ciphertext(12 bytes)");
    }

    #[test]
    fn only_the_granted_groups_remain() {
        let all: BTreeMap<_, _> =
            [Field::Name, Field::Ssn].into_iter().map(|f| (f, Ciphertext::new("x".into()))).collect();
        let some = SealedFields(all).only(GroupSet::EMPTY.with(Group::Demographics));
        assert_eq!(some.0.keys().copied().collect::<Vec<_>>(), [Field::Name]);
    }
}
