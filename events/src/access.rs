//! Every look at PHI and at the audit trail, and every refusal (45 CFR 164.312(b)).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::GroupSet;
use crate::ids::{PatientId, RecordId, TenantId};
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

fn upcast(_kind: &str, _from: u16, _body: Value) -> Option<Value> {
    None // every type is at its first version
}

area_events! {
    /// Events of looking, and of being refused.
    AccessEvent in "access", upcast upcast {
        "chart-opened" v 1 => ChartOpened(ChartOpened),
        "records-opened" v 1 => RecordsOpened(RecordsOpened),
        "patients-searched" v 1 => PatientsSearched(PatientsSearched),
        "denied" v 1 => Denied(AccessDenied),
        "unknown-patient-requested" v 1 => UnknownPatientRequested(UnknownPatientRequested),
        "audit-read" v 1 => AuditRead(AuditRead),
        "access-list-read" v 1 => AccessListRead(AccessListRead),
    }
}
