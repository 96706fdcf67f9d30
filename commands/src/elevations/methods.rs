//! How the commands are carried out.

use serde::Serialize;
use wardbook_events::elevations::stream;
use wardbook_events::{ElevationId, Role, UserId};
use wardbook_policy::{Action, Permit};

use super::{Asking, Command, State, decide};
use crate::authority::Authority;
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::identity;
use crate::origin::Origin;
use crate::rejection::Rejection;

/// Asks for a role.
#[derive(Debug, Clone, Serialize)]
pub struct RequestElevation {
    /// Which: a technical one.
    pub role: Role,
    /// For how long, in seconds.
    pub lasts_s: u32,
    /// What for, in words; never about a patient.
    pub reason: String,
    /// Ask nobody: the role is there at once, for an hour at most, and is judged afterwards.
    pub emergency: bool,
}

impl Commands {
    /// Asks for a role for the permit's user, under the id [`crate::Ids::elevation`] of the origin. `lasts_max_s` is what
    /// the settings allow. Permit: `RequestElevation`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn request_elevation(
        &self,
        permit: &Permit,
        origin: &Origin,
        request: RequestElevation,
        lasts_max_s: u32,
    ) -> Result<Done<ElevationId>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::RequestElevation)?.context();
        let elevation = origin.ids(context.tenant).elevation();
        let bytes = origin.known_by("request-elevation", &request)?;
        let RequestElevation { role, lasts_s, reason, emergency } = request;
        let command = Command::Request { role, lasts_s, lasts_max_s, reason, emergency };
        self.elevate(context, origin, (permit.user(), elevation), bytes, command).await
    }

    /// Agrees to a request of `user`, refuses, ends or judges it. Permit: `DecideElevation`; to end one's own,
    /// `RequestElevation` is enough.
    ///
    /// # Errors
    /// [`Rejection::OwnCase`] among others.
    pub async fn answer_elevation(
        &self,
        permit: &Permit,
        origin: &Origin,
        (user, elevation): (UserId, ElevationId),
        answer: Command,
    ) -> Result<Done<ElevationId>, CommandError> {
        let ends_own = answer == Command::End && permit.user() == user;
        let allows = |action| action == Action::DecideElevation || (ends_own && action == Action::RequestElevation);
        let context = Authority::new(permit, origin, allows)?.context();
        let name = match answer {
            Command::Request { .. } => return Err(Rejection::AlreadyExists.into()),
            Command::Approve => ("approve-elevation", None),
            Command::Refuse => ("refuse-elevation", None),
            Command::End => ("end-elevation", None),
            Command::Judge(outcome) => ("judge-elevation", Some(outcome)),
        };
        let bytes = origin.known_by(name.0, &(user, elevation, name.1))?;
        self.elevate(context, origin, (user, elevation), bytes, answer).await
    }

    async fn elevate(
        &self,
        context: Context,
        origin: &Origin,
        (user, elevation): (UserId, ElevationId),
        bytes: Vec<u8>,
        command: Command,
    ) -> Result<Done<ElevationId>, CommandError> {
        self.run(Task::new(context, origin, stream(user), bytes, elevation), move |desk| {
            let known = desk.load::<identity::State>(&wardbook_events::identity::stream(user))?;
            let known = known.within(context.tenant)?;
            let asking = Asking { user, roles: &known.roles, enabled: known.enabled };
            let state = desk.load::<State>(&stream(user))?;
            Ok(decide(&state, asking, elevation, command.clone(), &context)?)
        })
        .await
    }
}
