//! Who treats whom.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::ids::{PatientId, UserId};

/// The stream of a patient's care team.
#[must_use]
pub fn stream(patient: PatientId) -> String {
    format!("care-teams-{patient}")
}

/// What a member does for the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Leads the treatment.
    Attending,
    /// Is asked for advice.
    Consulting,
    /// Nurses.
    Nursing,
    /// Looks after billing.
    Administrative,
}

/// A user joined the care team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberAssigned {
    /// The patient.
    pub patient: PatientId,
    /// Who joined.
    pub user: UserId,
    /// As what.
    pub function: Function,
    /// When the assignment ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A user left the care team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberEnded {
    /// The patient.
    pub patient: PatientId,
    /// Who left.
    pub user: UserId,
}

area_events! {
    /// Events of care teams.
    CareTeamEvent in "care-teams", upcast first_version {
        "member-assigned" v 1 => MemberAssigned(MemberAssigned),
        "member-ended" v 1 => MemberEnded(MemberEnded),
    }
}
