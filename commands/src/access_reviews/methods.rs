//! How the commands are carried out.

use jiff::Timestamp;
use serde::Serialize;
use wardbook_events::access_reviews::{Holding, Verdict, stream};
use wardbook_events::{Event, ReviewId, Role, UserId};
use wardbook_policy::{Action, Permit};

use super::{Command, State, Taking, decide, taking};
use crate::authority::Authority;
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::identity;
use crate::origin::Origin;
use crate::rejection::Rejection;

/// Opens a campaign.
#[derive(Debug, Clone, Serialize)]
pub struct OpenReview {
    /// What for, such as a quarter.
    pub title: String,
    /// The roles looked over; all if empty.
    pub roles: Vec<Role>,
    /// Who holds them now. Not part of what a retry is known by: others may hold them by then.
    #[serde(skip)]
    pub holdings: Vec<Holding>,
    /// When it should be closed.
    pub due_at: Timestamp,
}

impl Commands {
    /// Opens a campaign under the id [`crate::Ids::review`] of the origin. Permit: `ReviewAccess`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn open_access_review(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: OpenReview,
    ) -> Result<Done<ReviewId>, CommandError> {
        let context = reviewing(permit, origin)?;
        let review = origin.ids(context.tenant).review();
        let bytes = origin.known_by("open-access-review", &command)?;
        self.run(Task::new(context, origin, stream(review), bytes, review), move |desk| {
            let OpenReview { title, roles, holdings, due_at } = command.clone();
            let open = Command::Open { title, roles, holdings, due_at };
            Ok(decide(&*desk.load::<State>(&stream(review))?, review, open, &context)?)
        })
        .await
    }

    /// Decides on one holding; what is to be taken away is taken away in the same append. From somebody who has no other
    /// role the account is taken, as nobody is without a role. Permit: `ReviewAccess`.
    ///
    /// # Errors
    /// [`Rejection::OwnCase`] and [`Rejection::Decided`] among others.
    pub async fn decide_holding(
        &self,
        permit: &Permit,
        origin: &Origin,
        review: ReviewId,
        holding: Holding,
        verdict: Verdict,
    ) -> Result<Done<()>, CommandError> {
        let context = reviewing(permit, origin)?;
        let bytes = origin.known_by("decide-holding", &(review, holding, verdict))?;
        self.run(Task::new(context, origin, stream(review), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(review))?;
            let mut events = decide(&state, review, Command::Decide(holding, verdict), &context)?;
            if verdict == Verdict::Revoke {
                let user = desk.load::<identity::State>(&wardbook_events::identity::stream(holding.user))?;
                events.extend(taken(
                    &user,
                    holding.user,
                    taking(&user.within(context.tenant)?.roles, holding.role, verdict),
                    &context,
                )?);
            }
            Ok(events)
        })
        .await
    }

    /// Closes a campaign in which everything is decided. Permit: `ReviewAccess`.
    ///
    /// # Errors
    /// [`Rejection::Undecided`] among others.
    pub async fn close_access_review(
        &self,
        permit: &Permit,
        origin: &Origin,
        review: ReviewId,
    ) -> Result<Done<()>, CommandError> {
        let context = reviewing(permit, origin)?;
        let bytes = origin.known_by("close-access-review", &review)?;
        self.run(Task::new(context, origin, stream(review), bytes, ()), move |desk| {
            Ok(decide(&*desk.load::<State>(&stream(review))?, review, Command::Close, &context)?)
        })
        .await
    }
}

fn reviewing(permit: &Permit, origin: &Origin) -> Result<Context, CommandError> {
    Ok(Authority::new(permit, origin, |action| action == Action::ReviewAccess)?.context())
}

/// What happens to the user, by the rules of the user's own area.
fn taken(state: &identity::State, user: UserId, taking: Taking, context: &Context) -> Result<Vec<Event>, Rejection> {
    let was = state.within(context.tenant);
    match taking {
        Taking::Nothing => Ok(Vec::new()),
        Taking::Role(role) => identity::revoke(was?, user, role, context),
        Taking::Account => Ok(identity::disable(was?, user)),
    }
}
