//! How the commands are carried out.

use jiff::Timestamp;
use wardbook_events::care_teams::{Function, stream};
use wardbook_events::{PatientId, UserId};
use wardbook_policy::{Action, Permit};

use super::{Command, Panel, decide};
use crate::authority::Authority;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;
use crate::rejection::Rejection;
use crate::{identity, patients};

impl Commands {
    /// Lets a user join a patient's care team, or changes what a member does; nothing happens if it is so already.
    /// Who counts `panel` sees to it that nobody else assigns the user meanwhile.
    /// Permit: `AssignMember`. The value of the answer's version is that of the care team's stream.
    ///
    /// # Errors
    /// See [`CommandError`].
    #[expect(clippy::too_many_arguments, reason = "each is another fact of one assignment")]
    pub async fn assign_member(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        user: UserId,
        function: Function,
        until: Option<Timestamp>,
        panel: Option<Panel>,
    ) -> Result<Done<()>, CommandError> {
        let context =
            Authority::new(permit, origin, |action| action == Action::AssignMember)?.about(patient)?.context();
        let bytes = origin.known_by("assign-member", &(patient, user, function, until))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?.active()?;
            let joining = desk.load::<identity::State>(&wardbook_events::identity::stream(user))?;
            if !joining.within(context.tenant).is_ok_and(|user| user.enabled) {
                return Err(Rejection::UnknownUser.into());
            }
            let state = desk.load(&stream(patient))?;
            Ok(decide(&state, Command::Assign { patient, user, function, until, panel }, &context)?)
        })
        .await
    }

    /// Lets a member leave. Permit: `EndMember`. Members of a merged patient can still leave.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn end_member(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        user: UserId,
    ) -> Result<Done<()>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::EndMember)?.about(patient)?.context();
        let bytes = origin.known_by("end-member", &(patient, user))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            let state = desk.load(&stream(patient))?;
            Ok(decide(&state, Command::End { patient, user }, &context)?)
        })
        .await
    }
}
