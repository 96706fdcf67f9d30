//! Who did it, for whom, why, and how it ended: the header part of an event that auditors read. Never PHI.

use serde::{Deserialize, Serialize};

use crate::ids::{CorrelationId, EventId, SessionId, TenantId, UserId};

/// What an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// A person who logged in.
    User,
    /// A program with an account of its own.
    Service,
    /// Wardbook itself.
    System,
    /// Nobody we know: what happened before a login.
    Stranger,
}

/// What a user may be (ACC-02). A user can have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The person a chart is about.
    Patient,
    /// Treats patients.
    Physician,
    /// Nurses patients.
    Nurse,
    /// Handles insurance and payment.
    Billing,
    /// Reads the audit trail.
    Auditor,
    /// Reads the audit trail and leads compliance cases.
    ComplianceOfficer,
    /// Manages users; has no clinical access.
    Admin,
    /// Registers patients and corrects demographics.
    Registrar,
    /// Helps those who treat; takes vital signs.
    MedicalAssistant,
    /// Treats on the way to the house.
    Paramedic,
    /// Treats in the emergency department.
    EmergencyStaff,
    /// Looks after the quality of treatment; sees nothing of a single patient.
    Quality,
    /// Ends sessions, unlocks accounts, approves elevations, answers alerts; has no clinical access (ACC-06).
    SecurityAdmin,
    /// Runs the system: views, imports; manages nobody (ACC-06).
    SystemAdmin,
    /// Looks after the stores; manages nobody (ACC-06).
    DatabaseAdmin,
    /// A program with an account of its own: may only what its scopes name.
    Service,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 16] = [
        Self::Patient,
        Self::Physician,
        Self::Nurse,
        Self::Billing,
        Self::Auditor,
        Self::ComplianceOfficer,
        Self::Admin,
        Self::Registrar,
        Self::MedicalAssistant,
        Self::Paramedic,
        Self::EmergencyStaff,
        Self::Quality,
        Self::SecurityAdmin,
        Self::SystemAdmin,
        Self::DatabaseAdmin,
        Self::Service,
    ];
    /// The name in policies, tokens and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Physician => "physician",
            Self::Nurse => "nurse",
            Self::Billing => "billing",
            Self::Auditor => "auditor",
            Self::ComplianceOfficer => "compliance-officer",
            Self::Admin => "admin",
            Self::Registrar => "registrar",
            Self::MedicalAssistant => "medical-assistant",
            Self::Paramedic => "paramedic",
            Self::EmergencyStaff => "emergency-staff",
            Self::Quality => "quality",
            Self::SecurityAdmin => "security-admin",
            Self::SystemAdmin => "system-admin",
            Self::DatabaseAdmin => "database-admin",
            Self::Service => "service",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// Text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown role: expected patient, physician, nurse, medical-assistant, paramedic, emergency-staff, billing, registrar, quality, auditor, compliance-officer, admin, security-admin, system-admin, database-admin or service"
)]
pub struct UnknownRole;

/// Why the data was used: HL7 v3 PurposeOfUse codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// Treatment.
    #[serde(rename = "TREAT")]
    Treatment,
    /// Emergency treatment.
    #[serde(rename = "ETREAT")]
    EmergencyTreatment,
    /// Payment.
    #[serde(rename = "HPAYMT")]
    Payment,
    /// Health-care operations.
    #[serde(rename = "HOPERAT")]
    Operations,
    /// Research.
    #[serde(rename = "HRESCH")]
    Research,
    /// At the patient's own request.
    #[serde(rename = "PATRQT")]
    PatientRequest,
    /// Compliance and audit.
    #[serde(rename = "HCOMPL")]
    Compliance,
    /// Administration of the system itself.
    #[serde(rename = "HSYSADMIN")]
    SystemAdministration,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 8] = [
        Self::Treatment,
        Self::EmergencyTreatment,
        Self::Payment,
        Self::Operations,
        Self::Research,
        Self::PatientRequest,
        Self::Compliance,
        Self::SystemAdministration,
    ];
    /// The HL7 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Treatment => "TREAT",
            Self::EmergencyTreatment => "ETREAT",
            Self::Payment => "HPAYMT",
            Self::Operations => "HOPERAT",
            Self::Research => "HRESCH",
            Self::PatientRequest => "PATRQT",
            Self::Compliance => "HCOMPL",
            Self::SystemAdministration => "HSYSADMIN",
        }
    }
}

impl std::str::FromStr for Purpose {
    type Err = UnknownPurpose;
    fn from_str(text: &str) -> Result<Self, UnknownPurpose> {
        Self::ALL.into_iter().find(|purpose| purpose.code() == text).ok_or(UnknownPurpose)
    }
}

/// Text that names no purpose of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown purpose of use: expected TREAT, ETREAT, HPAYMT, HOPERAT, HRESCH, PATRQT, HCOMPL or HSYSADMIN")]
pub struct UnknownPurpose;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// Policy said no.
    Denied,
    /// It was allowed but did not succeed.
    Failed,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Person, program, Wardbook itself, or a stranger.
    pub kind: ActorKind,
    /// Absent for strangers and for Wardbook itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// The role acted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

impl Actor {
    /// Wardbook itself.
    pub const SYSTEM: Self = Self { kind: ActorKind::System, id: None, role: None };
    /// Somebody who has not logged in.
    pub const STRANGER: Self = Self { kind: ActorKind::Stranger, id: None, role: None };
    /// A person.
    #[must_use]
    pub const fn user(id: UserId, role: Role) -> Self {
        Self { kind: ActorKind::User, id: Some(id), role: Some(role) }
    }
}

/// The `meta` section of an event: readable by auditors and disclosed to the patient concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The organisation.
    pub tenant: TenantId,
    /// Who acted.
    pub actor: Actor,
    /// Why.
    pub purpose: Purpose,
    /// How it ended.
    pub outcome: Outcome,
    /// The request.
    pub correlation: CorrelationId,
    /// The event that caused this one, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<EventId>,
    /// Keyed hash of the command behind an idempotency key (hex): the same key with another command is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The `client` section of an event: where the request came from. Withheld from patients' bundles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Network address, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// User agent, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for role in Role::ALL {
            assert_eq!(role.name().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        for purpose in Purpose::ALL {
            assert_eq!(purpose.code().parse::<Purpose>().unwrap(), purpose);
            assert_eq!(serde_json::to_value(purpose).unwrap(), purpose.code());
        }
    }
}
