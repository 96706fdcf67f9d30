//! Who treats whom: members join and leave a patient's care team.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wardbook_events::care_teams::{CareTeamEvent, Function, MemberAssigned, MemberEnded};
use wardbook_events::{Event, PatientId, UserId};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

mod methods;
#[cfg(test)]
mod tests;

/// What a member does, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// As what.
    pub function: Function,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// The members of one patient's care team, those whose time has run out included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    members: BTreeMap<UserId, Membership>,
}

impl State {
    /// The user's membership, if it has not run out.
    #[must_use]
    pub fn member(&self, user: UserId, now: Timestamp) -> Option<Membership> {
        self.members.get(&user).copied().filter(|membership| membership.until.is_none_or(|until| until > now))
    }
}

impl Evolve for State {
    const REMEMBERED: bool = true;

    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::CareTeam(CareTeamEvent::MemberAssigned(e)) => {
                self.members.insert(e.user, Membership { function: e.function, until: e.until });
            }
            Event::CareTeam(CareTeamEvent::MemberEnded(e)) => {
                self.members.remove(&e.user);
            }
            _ => {}
        }
        self
    }
}

/// How many patients a user has besides this one, and may have at most (ACC-03).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panel {
    /// Has.
    pub held: u32,
    /// May have.
    pub max: u32,
}

/// What can be done to a care team.
#[derive(Debug, Clone)]
pub enum Command {
    /// Let a user join, or change what the user does.
    Assign {
        /// The patient.
        patient: PatientId,
        /// Who joins.
        user: UserId,
        /// As what.
        function: Function,
        /// When it ends by itself, if it does.
        until: Option<Timestamp>,
        /// The bound on the user's patients, if there is one.
        panel: Option<Panel>,
    },
    /// Let a member leave.
    End {
        /// The patient.
        patient: PatientId,
        /// Who leaves.
        user: UserId,
    },
}

/// Decides what happens to a care team. That patient and user exist is checked before (they have streams of their own).
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(state: &State, command: Command, context: &Context) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Assign { patient, user, function, until, panel } => {
            if until.is_some_and(|until| until <= context.now) {
                return Err(Rejection::EndInPast);
            }
            let was = state.member(user, context.now);
            if let Some(Panel { max, .. }) = panel.filter(|panel| was.is_none() && panel.held >= panel.max) {
                return Err(Rejection::PanelFull { max });
            }
            let same = was == Some(Membership { function, until });
            Ok(if same { Vec::new() } else { vec![MemberAssigned { patient, user, function, until }.into()] })
        }
        Command::End { patient, user } => {
            state.member(user, context.now).ok_or(Rejection::NotAMember)?;
            Ok(vec![MemberEnded { patient, user }.into()])
        }
    }
}
