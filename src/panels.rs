//! How many patients one person treats at a time: as many as the settings allow the role (ACC-03).

use std::collections::BTreeSet;

use jiff::Timestamp;
use wardbook_commands::care_teams::Panel;
use wardbook_commands::{CommandError, Done, Origin};
use wardbook_events::care_teams::Function;
use wardbook_events::{PatientId, Role, UserId};
use wardbook_policy::Permit;
use wardbook_projections::ViewError;

use crate::app::App;
use crate::config::CareTeams;

/// Why somebody was not assigned.
#[derive(Debug, thiserror::Error)]
pub enum AssignError {
    /// A rule, or the ledger.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A view could not answer.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// A place on a care team that is to be taken.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Whose care team.
    pub patient: PatientId,
    /// Who takes it.
    pub user: UserId,
    /// As what.
    pub function: Function,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// Assigned at a time, so that a panel is not filled twice with its last place. One for the process, as assignments are rare.
#[derive(Debug, Default)]
pub struct Assigning(tokio::sync::Mutex<()>);

/// Puts a user on a care team. When it answers, the views have it.
///
/// # Errors
/// [`wardbook_commands::Rejection::PanelFull`] among others.
pub async fn assign(app: &App, permit: &Permit, origin: &Origin, place: Place) -> Result<Done<()>, AssignError> {
    let Place { patient, user, function, until } = place;
    let roles = app.views().identity.user(user)?.map(|user| user.roles).unwrap_or_default();
    let most = if treats(function) { patients_max(&app.config().care_teams, &roles) } else { None };
    let (_alone, panel) = match most {
        None => (None, None),
        Some(max) => {
            let alone = app.assigning().0.lock().await;
            (Some(alone), Some(Panel { held: held(app, user, patient, max)?, max }))
        }
    };
    let done = app.commands().assign_member(permit, origin, patient, user, function, until, panel).await?;
    if let Some(receipt) = done.receipts.last() {
        app.seen(receipt).await?;
    }
    Ok(done)
}

const fn treats(function: Function) -> bool {
    matches!(function, Function::Attending | Function::Consulting | Function::Nursing)
}

/// How many patients somebody in these roles may have: as many as the most generous of the roles that treat; `None` is any
/// number.
fn patients_max(settings: &CareTeams, roles: &BTreeSet<Role>) -> Option<u32> {
    const TREAT: [Role; 5] =
        [Role::Physician, Role::Nurse, Role::MedicalAssistant, Role::Paramedic, Role::EmergencyStaff];
    let bounds = TREAT.iter().filter(|role| roles.contains(role)).map(|role| settings.patients_max.get(role).copied());
    bounds.reduce(|one, other| Some(one?.max(other?))).flatten()
}

/// Patients whom a user treats now besides this one, counted as far as it matters. A patient who was merged counts as the
/// one who goes on.
fn held(app: &App, user: UserId, besides: PatientId, most: u32) -> Result<u32, ViewError> {
    let (views, now) = (app.views(), app.now());
    let (mut counted, mut after) = (BTreeSet::new(), None);
    loop {
        let page = views.care_teams.patients_of(user, after, 256)?;
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for patient in page.into_iter().filter(|patient| *patient != besides) {
            let team = views.care_teams.get(patient)?;
            let member = team.members.get(&user);
            if member.is_some_and(|member| treats(member.function) && member.until.is_none_or(|until| now < until)) {
                counted.extend(views.patients.survivor(patient)?.map(|patient| patient.patient));
            }
        }
        if counted.len() >= most as usize {
            break;
        }
    }
    Ok(u32::try_from(counted.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_generous_role_counts() {
        let patients_max = [(Role::Nurse, 8), (Role::MedicalAssistant, 20), (Role::Billing, 1)].into();
        let settings = CareTeams { patients_max };
        let most = |roles: &[Role]| super::patients_max(&settings, &roles.iter().copied().collect());
        assert_eq!(most(&[Role::Nurse]), Some(8));
        assert_eq!(most(&[Role::Nurse, Role::MedicalAssistant]), Some(20));
        assert_eq!(most(&[Role::Nurse, Role::Physician]), None, "physicians are not bound here");
        assert_eq!(most(&[Role::Nurse, Role::Billing]), Some(8), "who does not treat is not counted");
        assert_eq!(most(&[]), None);
    }
}
