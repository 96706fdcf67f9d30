//! Who treats whom, from both sides.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::care_teams::{CareTeamEvent, Function};
use wardbook_events::{Event, PatientId, Recorded, UserId};

use crate::error::ViewError;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_id};
use crate::tx::{Tx, decode};

const TEAM: u8 = 1;
const PANEL: u8 = 2;

/// The view of care teams.
#[derive(Debug)]
pub struct CareTeamsView;

/// A member of a care team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// As what.
    pub function: Function,
    /// Since when.
    pub since: Timestamp,
    /// When the assignment ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// The care team of one patient.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CareTeam {
    /// The members. Those whose time is over are still among them: whoever decides compares with the time.
    pub members: BTreeMap<UserId, Member>,
    /// Version of the stream `care-teams-<patient>`.
    pub version: u64,
    /// Position of the last event that changed the team.
    pub changed: u64,
}

fn team_key(patient: PatientId) -> Vec<u8> {
    Key::table(TEAM).bytes(patient.bytes()).done()
}

fn panel_prefix(user: UserId) -> Key {
    Key::table(PANEL).bytes(user.bytes())
}

impl View for CareTeamsView {
    const NAME: &'static str = "care-teams";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::CareTeam(what) = &event.event else { return Ok(()) };
        let patient = match what {
            CareTeamEvent::MemberAssigned(e) => e.patient,
            CareTeamEvent::MemberEnded(e) => e.patient,
        };
        let mut team = tx.value::<CareTeam>(team_key(patient))?.unwrap_or_default();
        match what {
            CareTeamEvent::MemberAssigned(e) => {
                team.members.insert(e.user, Member { function: e.function, since: event.recorded_at, until: e.until });
                tx.put(panel_prefix(e.user).bytes(patient.bytes()).done(), Vec::new())?;
            }
            CareTeamEvent::MemberEnded(e) => {
                team.members.remove(&e.user);
                tx.remove(panel_prefix(e.user).bytes(patient.bytes()).done())?;
            }
        }
        team.version = event.stream_version;
        team.changed = event.position;
        tx.put_value(team_key(patient), &team)
    }
}

impl Projection<CareTeamsView> {
    /// The care team of a patient; an empty one if nobody was ever assigned.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, patient: PatientId) -> Result<CareTeam, ViewError> {
        let row = self.live()?.get(&team_key(patient))?;
        Ok(row.map(|row| decode(CareTeamsView::NAME, &row)).transpose()?.unwrap_or_default())
    }

    /// The patients to whose care teams a user was assigned, by id, those after `after`, at most `limit`. Assignments
    /// whose time is over are included: see [`Member::until`].
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn patients_of(
        &self,
        user: UserId,
        after: Option<PatientId>,
        limit: usize,
    ) -> Result<Vec<PatientId>, ViewError> {
        let from = after
            .map_or_else(|| panel_prefix(user).done(), |after| panel_prefix(user).bytes(after.bytes()).byte(0).done());
        let to = panel_prefix(user).bytes(&[0xff; 17]).done();
        let mut found = Vec::new();
        if limit > 0 {
            self.live()?.walk(&from, &to, false, |key, _| {
                found.extend(trailing_id(key).map(PatientId::from_bytes));
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }
}
