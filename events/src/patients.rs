//! What can happen to a patient's master data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::{Field, GroupSet};
use crate::ids::{ErasureId, PatientId, TenantId, UserId};
use crate::sealed::{Ciphertext, SealedFields};
use crate::token::Token;

/// The stream of a patient's master data.
#[must_use]
pub fn stream(patient: PatientId) -> String {
    format!("patients-{patient}")
}

/// A patient was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientRegistered {
    /// The patient.
    pub patient: PatientId,
    /// Sealed fields.
    pub fields: SealedFields,
    /// What the patient can be found by.
    pub tokens: Vec<Token>,
    /// Departments that treat the patient.
    #[serde(default)]
    pub departments: Vec<String>,
    /// Law that applies: `US`, `SA`, `EU`.
    pub jurisdiction: String,
    /// Specially watched (ACC-21).
    #[serde(default)]
    pub vip: bool,
}

/// Where the patient is treated from now on. Who works in other places only does not see the chart (ACC-03, ACC-05).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientPlaced {
    /// The patient.
    pub patient: PatientId,
    /// Departments, all of them; none says nothing.
    pub departments: Vec<String>,
    /// Facilities, all of them; none means the whole organisation.
    pub facilities: Vec<String>,
}

/// One field's old and new value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// Which field.
    pub field: Field,
    /// As it was, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Ciphertext>,
    /// As it is, if it was not removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Ciphertext>,
}

/// Fields were corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientCorrected {
    /// The patient.
    pub patient: PatientId,
    /// What changed.
    pub changes: Vec<FieldChange>,
    /// All tokens after the change; those of before are void.
    pub tokens: Vec<Token>,
}

/// A patient turned out to be the same person as another; this stream is retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientMerged {
    /// The retired patient.
    pub patient: PatientId,
    /// The patient who goes on.
    pub into: PatientId,
}

/// The other side of [`PatientMerged`], in the stream of the patient who goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientAbsorbed {
    /// The patient who goes on.
    pub patient: PatientId,
    /// The retired patient.
    pub absorbed: PatientId,
}

/// The merge was a mistake; the retired patient lives on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientUnmerged {
    /// The patient who lives on again.
    pub patient: PatientId,
    /// The patient from whom it was parted.
    pub from: PatientId,
}

/// The other side of [`PatientUnmerged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientParted {
    /// The patient who goes on.
    pub patient: PatientId,
    /// The patient who was parted from it.
    pub parted: PatientId,
}

/// A unique token was claimed for a patient, in the stream of the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenClaimed {
    /// The organisation.
    pub tenant: TenantId,
    /// Who has it.
    pub patient: PatientId,
    /// The token.
    pub token: Token,
}

/// A claim was given up, because the value was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenReleased {
    /// The organisation.
    pub tenant: TenantId,
    /// Who had it.
    pub patient: PatientId,
    /// The token.
    pub token: Token,
}

/// The patient was flagged or unflagged as specially watched (ACC-21).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientFlagged {
    /// The patient.
    pub patient: PatientId,
    /// Whether watched from now on.
    pub vip: bool,
    /// Why watched, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<WatchReason>,
    /// Whether there is no such person: a record that nobody has a reason to touch.
    #[serde(default)]
    pub decoy: bool,
    /// Who asked for it.
    pub by: UserId,
}

/// Why a patient is specially watched (ACC-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchReason {
    /// Known to the public.
    PublicFigure,
    /// Works here, or belongs to the family of somebody who does.
    StaffOrFamily,
    /// Sits on the board.
    Board,
    /// Is party to a legal case.
    LegalCase,
    /// Asked for it.
    OnRequest,
}

/// The person is forgotten: nothing of the patient opens any more, and nothing is written about him again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientErased {
    /// The patient.
    pub patient: PatientId,
    /// The request that it was done for.
    pub erasure: ErasureId,
}

/// Categories of what is known of a patient are forgotten; the rest still opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsErased {
    /// The patient.
    pub patient: PatientId,
    /// The request that it was done for.
    pub erasure: ErasureId,
    /// Which.
    pub groups: GroupSet,
}

/// What was in these categories is destroyed everywhere: from now on new values may be written into them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupsReopened {
    /// The patient.
    pub patient: PatientId,
    /// The request that it was done for.
    pub erasure: ErasureId,
    /// Which.
    pub groups: GroupSet,
}

/// What the patient is found by was made anew, under the newest version of the index key or in new forms. Nothing that is known of
/// the patient changed, and nobody saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientReindexed {
    /// The patient.
    pub patient: PatientId,
    /// All tokens from now on; those of before are void.
    pub tokens: Vec<Token>,
    /// Version of the forms from which they were made.
    pub forms: u32,
}

/// Fields were sealed anew, under the newest version of the patient's key. Their values are the same, and nobody saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientResealed {
    /// The patient.
    pub patient: PatientId,
    /// The fields that were sealed anew.
    pub fields: SealedFields,
}

fn upcast(kind: &str, from: u16, mut body: Value) -> Option<Value> {
    match (kind, from) {
        ("patients.flagged", 1) => _ = body.as_object_mut()?.insert("decoy".to_owned(), false.into()),
        _ => return None,
    }
    Some(body)
}

area_events! {
    /// Events of patients' master data.
    PatientEvent in "patients", upcast upcast {
        "registered" v 1 => Registered(PatientRegistered),
        "corrected" v 1 => Corrected(PatientCorrected),
        "merged" v 1 => Merged(PatientMerged),
        "absorbed" v 1 => Absorbed(PatientAbsorbed),
        "unmerged" v 1 => Unmerged(PatientUnmerged),
        "parted" v 1 => Parted(PatientParted),
        "token-claimed" v 1 => TokenClaimed(TokenClaimed),
        "token-released" v 1 => TokenReleased(TokenReleased),
        "flagged" v 2 => Flagged(PatientFlagged),
        "placed" v 1 => Placed(PatientPlaced),
        "erased" v 1 => Erased(PatientErased),
        "groups-erased" v 1 => GroupsErased(GroupsErased),
        "groups-reopened" v 1 => GroupsReopened(GroupsReopened),
        "reindexed" v 1 => Reindexed(PatientReindexed),
        "resealed" v 1 => Resealed(PatientResealed),
    }
}
