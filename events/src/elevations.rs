//! A role for a short time: asked for, approved by somebody else, over by itself (ACC-06).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::break_glass::ReviewOutcome;
use crate::ids::{ElevationId, UserId};
use crate::meta::Role;

/// The stream of what one user asked for: all of it together, so that nobody holds two roles that must stay apart.
#[must_use]
pub fn stream(user: UserId) -> String {
    format!("elevations-{user}")
}

/// Somebody asks for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElevationRequested {
    /// This request.
    pub elevation: ElevationId,
    /// Who asks.
    pub user: UserId,
    /// For which role.
    pub role: Role,
    /// For how long, in seconds.
    pub lasts_s: u32,
    /// What for, in words; such as the number of a ticket. Never about a patient.
    pub reason: String,
    /// Nobody can agree any more from then on.
    pub answer_until: Timestamp,
}

/// Somebody else agreed; or, in an emergency, nobody was asked and `by` is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElevationGranted {
    /// The request.
    pub elevation: ElevationId,
    /// Who has the role.
    pub user: UserId,
    /// Which role.
    pub role: Role,
    /// Until when.
    pub until: Timestamp,
    /// Who agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// When somebody else must have judged it, if nobody agreed to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_due_at: Option<Timestamp>,
}

/// Somebody else refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElevationRefused {
    /// The request.
    pub elevation: ElevationId,
    /// Who asked.
    pub user: UserId,
    /// Who refused.
    pub by: UserId,
}

/// It ended before its time, or was taken back before anybody answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElevationEnded {
    /// The request.
    pub elevation: ElevationId,
    /// Who had the role, or asked for it.
    pub user: UserId,
    /// Which role.
    pub role: Role,
    /// Who ended it.
    pub by: UserId,
}

/// Somebody else judged an elevation that nobody had approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElevationReviewed {
    /// The request.
    pub elevation: ElevationId,
    /// Who had the role.
    pub user: UserId,
    /// Who judged.
    pub by: UserId,
    /// What was found.
    pub outcome: ReviewOutcome,
}

area_events! {
    /// Events of elevations.
    ElevationEvent in "elevations", upcast first_version {
        "requested" v 1 => Requested(ElevationRequested),
        "granted" v 1 => Granted(ElevationGranted),
        "refused" v 1 => Refused(ElevationRefused),
        "ended" v 1 => Ended(ElevationEnded),
        "reviewed" v 1 => Reviewed(ElevationReviewed),
    }
}
