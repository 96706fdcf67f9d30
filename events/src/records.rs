//! Clinical entries: what can happen to one, and what one holds.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::field::Field;
use crate::ids::{PatientId, RecordId, UserId};
use crate::sealed::Ciphertext;
use crate::values::{Decimal, Line, Text};

/// The stream of one clinical entry.
#[must_use]
pub fn stream(record: RecordId) -> String {
    format!("records-{record}")
}

/// What kind of entry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names of clinical entries")]
pub enum RecordKind {
    Allergy,
    Condition,
    Medication,
    Immunization,
    Procedure,
    VitalSign,
    LabResult,
    Observation,
    Note,
    Encounter,
    Document,
    Appointment,
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Allergy,
        Self::Condition,
        Self::Medication,
        Self::Immunization,
        Self::Procedure,
        Self::VitalSign,
        Self::LabResult,
        Self::Observation,
        Self::Note,
        Self::Encounter,
        Self::Document,
        Self::Appointment,
    ];
    /// The name in events and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allergy => "allergy",
            Self::Condition => "condition",
            Self::Medication => "medication",
            Self::Immunization => "immunization",
            Self::Procedure => "procedure",
            Self::VitalSign => "vital-sign",
            Self::LabResult => "lab-result",
            Self::Observation => "observation",
            Self::Note => "note",
            Self::Encounter => "encounter",
            Self::Document => "document",
            Self::Appointment => "appointment",
        }
    }
}

impl std::str::FromStr for RecordKind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

/// Text that names no kind of clinical entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of record: expected one such as condition, medication, lab-result or note")]
pub struct UnknownKind;

/// Why an entry is specially protected (HL7 v3-ActCode sensitivity).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Sensitivity {
    /// Mental health.
    #[serde(rename = "PSY")]
    MentalHealth,
    /// Psychotherapy notes (45 CFR 164.508(a)(2)).
    #[serde(rename = "PSYTHPN")]
    Psychotherapy,
    /// Substance use (42 CFR Part 2).
    #[serde(rename = "SUD")]
    SubstanceUse,
    /// HIV.
    #[serde(rename = "HIV")]
    Hiv,
    /// Reproductive and sexual health.
    #[serde(rename = "SEX")]
    Reproductive,
}

impl Sensitivity {
    /// The HL7 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::MentalHealth => "PSY",
            Self::Psychotherapy => "PSYTHPN",
            Self::SubstanceUse => "SUD",
            Self::Hiv => "HIV",
            Self::Reproductive => "SEX",
        }
    }
}

/// A code from a terminology, or just words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coded {
    /// The terminology, a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Line>,
    /// The code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Line>,
    /// In words.
    pub text: Line,
}

/// A measured value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantity {
    /// The number, exactly as measured.
    pub value: Decimal,
    /// The unit (UCUM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Line>,
}

/// One part of a measurement that has several, such as blood pressure.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// What was measured.
    pub code: Coded,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// The value in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Line>,
}

/// What a clinical entry holds; sealed as a whole. Which parts are filled depends on the kind.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordBody {
    /// What it is about: substance, diagnosis, drug, measurement, title.
    pub code: Coded,
    /// The day on which it was true, began or was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// The instant, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// `active`, `resolved`, `final`, `planned` ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Line>,
    /// The measured value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// The value as a code or in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Coded>,
    /// Parts of a measurement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// Normal range, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_range: Option<Line>,
    /// `high`, `low`, `critical`, and severity or criticality of an allergy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpretation: Option<Line>,
    /// Dosage of a drug, reaction to a substance, reason of an encounter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Line>,
    /// Free text: the note itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// Who did or prescribed it, and where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub participants: Vec<Line>,
    /// A document's media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Line>,
    /// A document's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// A document's SHA-256, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Line>,
}

impl RecordBody {
    /// The year it belongs to: all of a date that may stand outside the seal (45 CFR 164.514(b)(2)(i)(C)).
    #[must_use]
    pub fn year(&self) -> Option<i16> {
        let of = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).year();
        self.date.map(Date::year).or_else(|| self.start.map(of)).or_else(|| self.end.map(of))
    }
    /// The day it belongs to.
    #[must_use]
    pub fn day(&self) -> Option<Date> {
        self.date.or_else(|| self.start.or(self.end).map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date()))
    }
}

/// Text added to a signed note.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addendum {
    /// The text.
    pub text: Text,
}

macro_rules! hidden_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
hidden_debug!(Coded, Quantity, Component, RecordBody, Addendum);

/// Under which field an entry's body is sealed: a sensitivity label moves it to the sensitive group.
#[must_use]
pub const fn body_field(sensitivity: &[Sensitivity]) -> Field {
    if sensitivity.is_empty() { Field::Record } else { Field::SensitiveRecord }
}

/// Under which field an addendum is sealed.
#[must_use]
pub const fn addendum_field(sensitivity: &[Sensitivity]) -> Field {
    if sensitivity.is_empty() { Field::RecordAddendum } else { Field::SensitiveAddendum }
}

/// An entry was added to a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordAdded {
    /// The entry.
    pub record: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// What kind of entry.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is. Stands in clear because policy decides before anything is opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitivity: Vec<Sensitivity>,
    /// The year it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<i16>,
    /// Who wrote it; absent for entries that came from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<UserId>,
    /// Sealed [`RecordBody`].
    pub body: Ciphertext,
}

/// An unsigned entry was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordAmended {
    /// The entry.
    pub record: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// The year it belongs to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<i16>,
    /// Sealed [`RecordBody`] as it was.
    pub old: Ciphertext,
    /// Sealed [`RecordBody`] as it is.
    pub new: Ciphertext,
}

/// A note was signed by its author; it never changes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSigned {
    /// The entry.
    pub record: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Who signed.
    pub by: UserId,
}

/// Text was added to a signed note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddendumAdded {
    /// The entry.
    pub record: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Who wrote it.
    pub author: UserId,
    /// Sealed [`Addendum`].
    pub text: Ciphertext,
}

/// An entry turned out to be wrong and counts no more; it stays in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordRetracted {
    /// The entry.
    pub record: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Who said so.
    pub by: UserId,
}

/// The stream of a draft. The patient is a part of it, so that nobody learns from a draft's id whether others have it.
#[must_use]
pub fn draft_stream(patient: PatientId, draft: RecordId) -> String {
    format!("drafts-{patient}-{draft}")
}

/// What somebody was writing was kept (IAM-18). Nobody but its author sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftSaved {
    /// The draft; a record made of it has the same id.
    pub draft: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Who is writing.
    pub author: UserId,
    /// What kind of entry it is going to be.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitivity: Vec<Sensitivity>,
    /// When: a draft is kept at most every so often.
    pub at: Timestamp,
    /// Sealed content of the form, any JSON, as the entry's own body will be.
    pub body: Ciphertext,
}

/// A draft was made into a record or thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftDiscarded {
    /// The draft.
    pub draft: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Who wrote it.
    pub author: UserId,
}

/// An entry's texts were sealed anew, under the newest version of the patient's key. They are the same, and nobody saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordResealed {
    /// The entry.
    pub record: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Sealed [`RecordBody`].
    pub body: Ciphertext,
    /// Sealed [`Addendum`]s, all of them, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addenda: Vec<Ciphertext>,
}

/// A draft's content was sealed anew, as in [`RecordResealed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DraftResealed {
    /// The draft.
    pub draft: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Who wrote it.
    pub author: UserId,
    /// Sealed content.
    pub body: Ciphertext,
}

area_events! {
    /// Events of clinical entries.
    RecordEvent in "records", upcast first_version {
        "added" v 1 => Added(RecordAdded),
        "amended" v 1 => Amended(RecordAmended),
        "signed" v 1 => Signed(RecordSigned),
        "addendum-added" v 1 => AddendumAdded(AddendumAdded),
        "retracted" v 1 => Retracted(RecordRetracted),
        "draft-saved" v 1 => DraftSaved(DraftSaved),
        "draft-discarded" v 1 => DraftDiscarded(DraftDiscarded),
        "resealed" v 1 => Resealed(RecordResealed),
        "draft-resealed" v 1 => DraftResealed(DraftResealed),
    }
}
