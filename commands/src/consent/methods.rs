//! How the commands are carried out.

use wardbook_events::PatientId;
use wardbook_events::consent::{Whom, stream};
use wardbook_policy::{Action, Permit};

use super::{Command, decide};
use crate::authority::Authority;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;
use crate::rejection::Rejection;
use crate::{identity, patients};

impl Commands {
    /// States what a patient allows or forbids; nothing happens if it is so already. Permit: `ManageConsent`.
    ///
    /// What was said in a chart that was merged still counts, so it can still be changed there.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn state_consent(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        command: Command,
    ) -> Result<Done<()>, CommandError> {
        let context =
            Authority::new(permit, origin, |action| action == Action::ManageConsent)?.about(patient)?.context();
        let bytes = origin.known_by("state-consent", &(patient, named(command)))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            match desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?.active() {
                Ok(_) | Err(Rejection::Retired) => {}
                Err(other) => return Err(other.into()),
            }
            if let Some((user, active)) = command.names() {
                let known = desk.load::<identity::State>(&wardbook_events::identity::stream(user))?;
                if !known.within(context.tenant).is_ok_and(|user| user.enabled || !active) {
                    return Err(Rejection::UnknownUser.into());
                }
            }
            Ok(decide(&*desk.load(&stream(patient))?, patient, command, &context)?)
        })
        .await
    }
}

/// By what the same command is known again.
fn named(command: Command) -> impl serde::Serialize {
    match command {
        Command::Restrict(whom) => ("restrict", Some(whom), None, None, None),
        Command::Lift(whom) => ("lift", Some(whom), None, None, None),
        Command::Disclose(label, to) => ("disclose", to.map(Whom::User), Some(label), None, None),
        Command::Withdraw(label, to) => ("withdraw", to.map(Whom::User), Some(label), None, None),
        Command::GrantProxy { user, until } => ("grant-proxy", Some(Whom::User(user)), None, Some(user), until),
        Command::EndProxy(user) => ("end-proxy", Some(Whom::User(user)), None, None, None),
    }
}
