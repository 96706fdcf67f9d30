//! Opening a chart in an emergency without being on the care team (45 CFR 164.312(a)(2)(ii); ACC-14..20).
//!
//! One emergency is about one patient and one user, for reading only, for a few hours. What was looked at stands in the
//! access events, whose grounds name the emergency.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::ids::{EmergencyId, PatientId, UserId};
use crate::sealed::Ciphertext;

/// The stream of the emergencies of one patient.
#[must_use]
pub fn stream(patient: PatientId) -> String {
    format!("break-glass-{patient}")
}

/// Why the glass was broken (ACC-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmergencyReason {
    /// Life or health is in danger.
    MedicalEmergency,
    /// The patient cannot be asked.
    UnresponsivePatient,
    /// Trauma.
    Trauma,
    /// Resuscitation.
    CodeBlue,
    /// Treatment goes on while those on the care team cannot be reached.
    Continuity,
    /// Many patients at once.
    Disaster,
    /// Something else; then a detail is needed.
    Other,
}

/// What a reviewer found (ACC-19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewOutcome {
    /// It was an emergency.
    Appropriate,
    /// It was not: an incident.
    Inappropriate,
    /// It is being looked into; one more outcome follows.
    UnderInvestigation,
}

/// Somebody broke the glass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyStarted {
    /// This emergency.
    pub emergency: EmergencyId,
    /// The patient.
    pub patient: PatientId,
    /// Who.
    pub user: UserId,
    /// Why.
    pub reason: EmergencyReason,
    /// Why, in words: sealed under the organisation's key, as it may tell of the patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Ciphertext>,
    /// Where the user was, such as a ward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When somebody must have reviewed it.
    pub review_due_at: Timestamp,
}

/// It lasts longer than thought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyExtended {
    /// The emergency.
    pub emergency: EmergencyId,
    /// The patient.
    pub patient: PatientId,
    /// When it ends by itself now.
    pub expires_at: Timestamp,
}

/// Its owner ended it before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyEnded {
    /// The emergency.
    pub emergency: EmergencyId,
    /// The patient.
    pub patient: PatientId,
}

/// Somebody else judged it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmergencyReviewed {
    /// The emergency.
    pub emergency: EmergencyId,
    /// The patient.
    pub patient: PatientId,
    /// Who judged.
    pub reviewer: UserId,
    /// What was found.
    pub outcome: ReviewOutcome,
    /// In words: sealed under the organisation's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Ciphertext>,
}

area_events! {
    /// Events of emergencies.
    BreakGlassEvent in "break-glass", upcast first_version {
        "started" v 1 => Started(EmergencyStarted),
        "extended" v 1 => Extended(EmergencyExtended),
        "ended" v 1 => Ended(EmergencyEnded),
        "reviewed" v 1 => Reviewed(EmergencyReviewed),
    }
}
