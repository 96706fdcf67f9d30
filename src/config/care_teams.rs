//! `[care_teams]`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wardbook_events::Role;

/// `[care_teams]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CareTeams {
    /// Patients whom somebody of this role treats at the same time, at most (ACC-03); a role that is not named has no bound.
    pub patients_max: BTreeMap<Role, u32>,
}
