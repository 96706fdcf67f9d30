//! Documents and images of a chart: the object lies sealed in the object store, what is known of it stands here.

use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::field::Field;
use crate::ids::{PatientId, RecordId, UserId};
use crate::records::{self, RecordKind, Sensitivity};
use crate::sealed::Ciphertext;
use crate::values::Line;

/// The stream of one document.
#[must_use]
pub fn stream(document: RecordId) -> String {
    format!("documents-{document}")
}

/// The stream that a document's sealed values are bound to: a document is an entry of the chart, and a permit for the
/// entry opens them.
#[must_use]
pub fn sealed_in(document: RecordId) -> String {
    records::stream(document)
}

/// Under which field what a document says of itself is sealed: a sensitivity label moves it to the sensitive group.
#[must_use]
pub const fn body_field(sensitivity: &[Sensitivity]) -> Field {
    if sensitivity.is_empty() { Field::Document } else { Field::SensitiveDocument }
}

/// Under which field the key of a document's object is sealed.
#[must_use]
pub const fn key_field(sensitivity: &[Sensitivity]) -> Field {
    if sensitivity.is_empty() { Field::DocumentKey } else { Field::SensitiveDocumentKey }
}

/// What a document's bytes are. Stands in clear, because what may be uploaded is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of formats")]
pub enum MediaType {
    #[serde(rename = "application/pdf")]
    Pdf,
    #[serde(rename = "image/jpeg")]
    Jpeg,
    #[serde(rename = "image/png")]
    Png,
    #[serde(rename = "image/webp")]
    WebP,
    #[serde(rename = "application/dicom")]
    Dicom,
    #[serde(rename = "text/plain")]
    Text,
    /// An HL7 clinical document (CDA).
    #[serde(rename = "application/xml")]
    Cda,
}

impl MediaType {
    /// Every type.
    pub const ALL: [Self; 7] = [Self::Pdf, Self::Jpeg, Self::Png, Self::WebP, Self::Dicom, Self::Text, Self::Cda];
    /// The name in events, settings and answers (RFC 6838).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Dicom => "application/dicom",
            Self::Text => "text/plain",
            Self::Cda => "application/xml",
        }
    }
    /// Whether what a camera writes into it is taken out before it is kept.
    #[must_use]
    pub const fn is_image(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::WebP)
    }
}

impl std::str::FromStr for MediaType {
    type Err = UnknownMediaType;
    fn from_str(text: &str) -> Result<Self, UnknownMediaType> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownMediaType)
    }
}

/// Text that names no type of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown media type: expected one such as application/pdf or image/jpeg")]
pub struct UnknownMediaType;

/// Two hashes of the same bytes, hex: one that every machine can compute and a fast one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// SHA-256 (FIPS 180-4).
    pub sha256: String,
    /// BLAKE3.
    pub blake3: String,
}

/// What a document says of itself; sealed as a whole. The hashes of its content stand here and not in clear, because the
/// content of a short document could be guessed and a guess checked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentBody {
    /// What it is, in words.
    pub title: Line,
    /// The name of the file that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<Line>,
    /// Hashes of the content as it is kept.
    pub content: Digests,
}

/// PHI: nothing of it is printed.
impl std::fmt::Debug for DocumentBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DocumentBody(..)")
    }
}

/// The object in the store: anybody who holds it can tell whether it is the one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name in the store: random, says nothing.
    pub name: String,
    /// How its chunks are sealed; 1 is that of the keys crate's `stream` module.
    pub form: u16,
    /// Hashes of the sealed bytes.
    pub sealed: Digests,
}

/// A document was added to a chart. Its object is in the store by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentAdded {
    /// The document.
    pub document: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// What kind of entry of the chart.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensitivity: Vec<Sensitivity>,
    /// The year it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<i16>,
    /// Who uploaded it.
    pub author: UserId,
    /// What its bytes are.
    pub media_type: MediaType,
    /// Bytes of its content as it is kept.
    pub size_bytes: u64,
    /// Where the content is.
    pub object: Object,
    /// Sealed [`DocumentBody`].
    pub body: Ciphertext,
    /// The object's own key, sealed.
    pub object_key: Ciphertext,
}

/// A document turned out to be wrong and counts no more; its object stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentRetracted {
    /// The document.
    pub document: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Who said so.
    pub by: UserId,
}

/// What a document says of itself and its object's key were sealed anew, under the patient's newest key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentResealed {
    /// The document.
    pub document: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// Sealed [`DocumentBody`], the same as before.
    pub body: Ciphertext,
    /// The same key of the object, sealed.
    pub object_key: Ciphertext,
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// It is not in the store.
    Missing,
    /// Its end is missing.
    Cut,
    /// It is longer than it was.
    TooLong,
    /// A chunk of it stands where another one was.
    Misplaced,
    /// Its bytes are others than were written.
    Damaged,
}

/// The object of a document was found missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentFoundDamaged {
    /// The document.
    pub document: RecordId,
    /// The patient.
    pub patient: PatientId,
    /// What is wrong.
    pub fault: Fault,
    /// The first chunk that is not as it was, from 0, if one was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u64>,
}

area_events! {
    /// Events of documents.
    DocumentEvent in "documents", upcast first_version {
        "added" v 1 => Added(DocumentAdded),
        "retracted" v 1 => Retracted(DocumentRetracted),
        "resealed" v 1 => Resealed(DocumentResealed),
        "found-damaged" v 1 => FoundDamaged(DocumentFoundDamaged),
    }
}
