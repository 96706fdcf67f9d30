//! Campaigns in which somebody looks over who may do what (45 CFR 164.308(a)(4)(ii)(C); ACC-22).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::ids::{ReviewId, TenantId, UserId};
use crate::meta::Role;

/// The stream of one campaign.
#[must_use]
pub fn stream(review: ReviewId) -> String {
    format!("access-reviews-{review}")
}

/// One thing to be decided: whether a user keeps a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holding {
    /// Who.
    pub user: UserId,
    /// Which role.
    pub role: Role,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The role is still needed.
    Keep,
    /// It is not: it is taken away.
    Revoke,
}

/// A campaign began, with everything that is to be decided in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewOpened {
    /// The campaign.
    pub review: ReviewId,
    /// The organisation.
    pub tenant: TenantId,
    /// What for, such as a quarter.
    pub title: String,
    /// The roles looked over; all if empty.
    pub roles: Vec<Role>,
    /// Who held them when it began.
    pub holdings: Vec<Holding>,
    /// When it should be closed.
    pub due_at: Timestamp,
}

/// One holding was decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldingDecided {
    /// The campaign.
    pub review: ReviewId,
    /// What it is about.
    pub holding: Holding,
    /// What was decided.
    pub verdict: Verdict,
    /// Who decided.
    pub by: UserId,
}

/// Everything was decided, and what was to be revoked is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewClosed {
    /// The campaign.
    pub review: ReviewId,
    /// How many were kept.
    pub kept: u32,
    /// How many were revoked.
    pub revoked: u32,
    /// Who closed it.
    pub by: UserId,
}

area_events! {
    /// Events of access reviews.
    AccessReviewEvent in "access-reviews", upcast first_version {
        "opened" v 1 => Opened(ReviewOpened),
        "decided" v 1 => Decided(HoldingDecided),
        "closed" v 1 => Closed(ReviewClosed),
    }
}
