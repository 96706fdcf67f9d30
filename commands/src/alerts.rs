//! Alerts: raised, delivered, noted.
//!
//! Which events raise one is decided where the views and the settings are known; here is what an alert may become.

use wardbook_events::alerts::{AlertAcknowledged, AlertEvent, stream};
use wardbook_events::{AlertId, Event, UserId};
use wardbook_policy::{Action, Permit};

use crate::authority::Authority;
use crate::context::{Context, Evolve};
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;
use crate::rejection::Rejection;

/// What the write side needs to know of an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    raised: bool,
    acknowledged: Option<UserId>,
}

impl Evolve for State {
    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Alert(AlertEvent::Raised(_)) => self.raised = true,
            Event::Alert(AlertEvent::Acknowledged(e)) => self.acknowledged = Some(e.by),
            _ => {}
        }
        self
    }
}

/// Decides that an officer has taken note. Once is enough, whoever it was.
///
/// # Errors
/// [`Rejection::NotFound`] if there is no such alert.
pub fn acknowledge(state: &State, alert: AlertId, context: &Context) -> Result<Vec<Event>, Rejection> {
    let by = context.user.ok_or(Rejection::UnknownUser)?;
    match state {
        State { raised: false, .. } => Err(Rejection::NotFound),
        State { acknowledged: Some(_), .. } => Ok(Vec::new()),
        _ => Ok(vec![AlertAcknowledged { alert, by }.into()]),
    }
}

impl Commands {
    /// Says that somebody has taken note of an alert; nothing happens if somebody has before. Permit: `ReadAlerts`.
    /// That it is an alert of the permit's organisation is for the caller to check: the view knows.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn acknowledge_alert(
        &self,
        permit: &Permit,
        origin: &Origin,
        alert: AlertId,
    ) -> Result<Done<()>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::ReadAlerts)?.context();
        let bytes = origin.known_by("acknowledge-alert", &alert)?;
        self.run(Task::new(context, origin, stream(alert), bytes, ()), move |desk| {
            let state = desk.load(&stream(alert))?;
            Ok(acknowledge(&state, alert, &context)?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use wardbook_events::EventId;
    use wardbook_events::alerts::{AlertKind, AlertRaised, Severity};

    use super::*;
    use crate::scenario::*;

    fn alert() -> AlertId {
        AlertId::new(uuid::Uuid::from_u128(1))
    }
    fn raised() -> Event {
        AlertRaised {
            alert: alert(),
            kind: AlertKind::ManyPatients,
            severity: Severity::High,
            cause: EventId::new(uuid::Uuid::from_u128(2)),
            user: Some(user(2)),
            patient: None,
        }
        .into()
    }
    fn noted(n: u128) -> Event {
        AlertAcknowledged { alert: alert(), by: user(n) }.into()
    }

    #[test]
    fn an_alert_is_noted_once() {
        let note = |state: &State| acknowledge(state, alert(), &context());
        given(&[raised()]).when(note).then([noted(1)]);
        given(&[raised(), noted(2)]).when(note).then_nothing();
        given(&[]).when(note).rejected(Rejection::NotFound);
        let nobody = Context { user: None, ..context() };
        given(&[raised()]).when(|state| acknowledge(state, alert(), &nobody)).rejected(Rejection::UnknownUser);
    }
}
