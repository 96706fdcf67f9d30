//! Every look at PHI and at the audit trail, and every refusal (45 CFR 164.312(b)).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::GroupSet;
use crate::ids::{EmergencyId, EventId, PatientId, RecordId, TenantId};
use crate::records::RecordKind;
use crate::token::TokenKind;

/// The stream of accesses to one patient.
#[must_use]
pub fn patient_stream(patient: PatientId) -> String {
    format!("access-{patient}")
}

/// The stream of accesses that name no single patient.
#[must_use]
pub fn tenant_stream(tenant: TenantId) -> String {
    format!("access-tenant-{tenant}")
}

/// On what grounds policy allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grounds {
    /// The policies that said yes, by name.
    pub policies: Vec<String>,
    /// Version of the policy set (hex, first 16 digits of its BLAKE3 hash).
    pub policy_version: String,
    /// The emergency it happened in, if it rests on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<EmergencyId>,
    /// What the user says it was for; watched patients are not opened without (ACC-21).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<AccessReason>,
}

/// Why one patient was looked at, more closely than the purpose of use says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessReason {
    /// Treating the patient now.
    DirectCare,
    /// Asked for advice.
    Consultation,
    /// Preparing or following up a visit.
    VisitPreparation,
    /// An emergency.
    Emergency,
    /// Billing or insurance.
    Billing,
    /// Registration or correction of master data.
    Registration,
    /// The patient asked.
    PatientRequest,
    /// An inquiry into the access of others.
    Inquiry,
}

/// A patient's chart was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartOpened {
    /// The patient.
    pub patient: PatientId,
    /// The groups of fields that were disclosed.
    pub groups: GroupSet,
    /// On what grounds.
    pub grounds: Grounds,
    /// The instant or position at which the chart was reconstructed, if it was not the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<u64>,
}

/// Clinical entries were listed or opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsOpened {
    /// The patient.
    pub patient: PatientId,
    /// The entries that were opened.
    pub records: Vec<RecordId>,
    /// The kind asked for, if only one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RecordKind>,
    /// The groups of fields that could be disclosed.
    pub groups: GroupSet,
    /// On what grounds.
    pub grounds: Grounds,
}

/// The content of a document was downloaded, or a part of it. Listing documents is [`RecordsOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentOpened {
    /// The patient.
    pub patient: PatientId,
    /// The document.
    pub document: RecordId,
    /// The first byte and the one after the last, if only a part was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(u64, u64)>,
    /// The groups of fields that could be disclosed.
    pub groups: GroupSet,
    /// On what grounds.
    pub grounds: Grounds,
}

/// Patients were searched for; those found are the event's subjects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatientsSearched {
    /// What was searched by (never the value).
    pub by: Vec<TokenKind>,
    /// The patients disclosed.
    pub found: Vec<PatientId>,
    /// The groups of fields that were disclosed.
    pub groups: GroupSet,
    /// On what grounds.
    pub grounds: Grounds,
}

/// Policy refused something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessDenied {
    /// The patient concerned, if there is such a patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// What was tried, as policy names it.
    pub action: String,
    /// The policies that said no; empty when none said yes.
    pub policies: Vec<String>,
    /// Version of the policy set.
    pub policy_version: String,
}

/// Somebody asked for a patient that does not exist; a mark of guessing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnknownPatientRequested {
    /// What was tried.
    pub action: String,
}

/// The audit trail was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRead {
    /// The patient whose trail it was, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// Names of the filters used, such as `actor` and `type`.
    pub filters: Vec<String>,
    /// How many events were shown at most.
    pub limit: u32,
    /// On what grounds.
    pub grounds: Grounds,
}

/// A patient read the list of who looked at them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessListRead {
    /// The patient.
    pub patient: PatientId,
    /// Whether the proof of completeness was taken along.
    pub with_proof: bool,
    /// On what grounds.
    pub grounds: Grounds,
}

/// Somebody was shown why an access was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenialExplained {
    /// The refusal: an [`AccessDenied`], or an [`UnknownPatientRequested`].
    pub denial: EventId,
    /// The patient it concerned, if there is such a patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// On what grounds it was shown.
    pub grounds: Grounds,
}

/// Somebody asked what policy would say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionExplained {
    /// About which user.
    pub user: crate::ids::UserId,
    /// About which patient, if there is such a patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// About which action.
    pub action: String,
    /// On what grounds it was shown.
    pub grounds: Grounds,
}

/// Somebody asked too much in too short a time and was turned away: once for each rule and window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttled {
    /// Which rule, as the settings name it, such as `patients_per_hour`.
    pub rule: String,
}

fn upcast(kind: &str, from: u16, body: Value) -> Option<Value> {
    match (kind, from) {
        // Grounds have since gained members that may be absent.
        (
            "access.chart-opened"
            | "access.records-opened"
            | "access.patients-searched"
            | "access.audit-read"
            | "access.access-list-read",
            1,
        ) => Some(body),
        _ => None,
    }
}

area_events! {
    /// Events of looking, and of being refused.
    AccessEvent in "access", upcast upcast {
        "chart-opened" v 2 => ChartOpened(ChartOpened),
        "records-opened" v 2 => RecordsOpened(RecordsOpened),
        "document-opened" v 1 => DocumentOpened(DocumentOpened),
        "patients-searched" v 2 => PatientsSearched(PatientsSearched),
        "denied" v 1 => Denied(AccessDenied),
        "unknown-patient-requested" v 1 => UnknownPatientRequested(UnknownPatientRequested),
        "audit-read" v 2 => AuditRead(AuditRead),
        "access-list-read" v 2 => AccessListRead(AccessListRead),
        "denial-explained" v 1 => DenialExplained(DenialExplained),
        "decision-explained" v 1 => DecisionExplained(DecisionExplained),
        "throttled" v 1 => Throttled(Throttled),
    }
}
