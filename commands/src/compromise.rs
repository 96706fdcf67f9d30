//! A key may be known to others (ENC-12): declared by a person, contained by Wardbook.

use std::collections::BTreeMap;

use wardbook_events::alerts::{AlertKind, AlertRaised, Severity};
use wardbook_events::keys::{CompromiseContained, CompromiseDeclared, CompromiseReason, KeyEvent, KeyLevel, stream};
use wardbook_events::{AlertId, Event, EventId, PatientId, TenantId};
use wardbook_policy::{Action, Permit};

use crate::authority::{Authority, own_context};
use crate::context::{Context, Evolve};
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;
use crate::patients;
use crate::rejection::Rejection;

/// What was declared in an organisation, by alert, and whether it is contained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(BTreeMap<AlertId, bool>);

impl Evolve for State {
    const REMEMBERED: bool = true;

    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Key(KeyEvent::CompromiseDeclared(e)) => _ = self.0.insert(e.alert, false),
            Event::Key(KeyEvent::CompromiseContained(e)) => _ = self.0.insert(e.alert, true),
            _ => {}
        }
        self
    }
}

/// What is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Declare {
    /// The highest level that is concerned.
    pub level: KeyLevel,
    /// Whose key, if it is about one patient's.
    pub patient: Option<PatientId>,
    /// Why.
    pub reason: CompromiseReason,
}

/// Decides that a key may be known to others, and raises the alert under which it is worked on. `cause` is the id that the first
/// event will have.
///
/// # Errors
/// [`Rejection::NotFound`] if the level has no such key.
pub fn declare(
    state: &State,
    declare: Declare,
    (alert, cause): (AlertId, EventId),
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let by = context.user.ok_or(Rejection::UnknownUser)?;
    let Declare { level, patient, reason } = declare;
    if (patient.is_some() && level != KeyLevel::Patient) || state.0.contains_key(&alert) {
        return Err(Rejection::NotFound);
    }
    Ok(vec![
        CompromiseDeclared { level, patient, reason, alert, by: Some(by) }.into(),
        AlertRaised {
            alert,
            kind: AlertKind::KeyCompromised,
            severity: Severity::Critical,
            cause,
            user: Some(by),
            patient,
        }
        .into(),
    ])
}

/// Decides that it is contained; nothing happens if it is, or was never declared.
#[must_use]
pub fn contain(state: &State, alert: AlertId, (patients, values): (u64, u64)) -> Vec<Event> {
    match state.0.get(&alert) {
        Some(false) => vec![CompromiseContained { alert, patients, values }.into()],
        _ => Vec::new(),
    }
}

impl Commands {
    /// Says that a key may be known to others, and raises the alert of it in the same append, under the id [`crate::Ids::alert`] of
    /// the origin. Permit: `ManageKeys`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn declare_compromise(
        &self,
        permit: &Permit,
        origin: &Origin,
        what: Declare,
    ) -> Result<Done<AlertId>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::ManageKeys)?.context();
        let (ids, of) = (origin.ids(context.tenant), stream(context.tenant));
        let (alert, cause) = (ids.alert(), ids.event(0));
        let bytes = origin.known_by("declare-compromise", &what)?;
        self.run(Task::new(context, origin, of.clone(), bytes, alert), move |desk| {
            if let Some(patient) = what.patient {
                let chart = desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?;
                chart.known().ok_or(Rejection::NotFound)?;
            }
            Ok(declare(&*desk.load::<State>(&of)?, what, (alert, cause), &context)?)
        })
        .await
    }

    /// Says that a compromise is contained: everything current is sealed under new keys, and the old ones open nothing. Nothing
    /// happens if it was said before. Stated by Wardbook itself.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn contain_compromise(
        &self,
        tenant: TenantId,
        origin: &Origin,
        alert: AlertId,
        counts: (u64, u64),
    ) -> Result<Done<()>, CommandError> {
        let (context, of) = (own_context(tenant, origin), stream(tenant));
        self.run(Task::new(context, origin, of.clone(), Vec::new(), ()), move |desk| {
            Ok(contain(&*desk.load::<State>(&of)?, alert, counts))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::scenario::*;

    fn alert() -> AlertId {
        AlertId::new(Uuid::from_u128(1))
    }
    fn cause() -> EventId {
        EventId::new(Uuid::from_u128(2))
    }
    const OF_TENANT: Declare =
        Declare { level: KeyLevel::Tenant, patient: None, reason: CompromiseReason::StoreCopied };
    fn declared() -> Event {
        let Declare { level, patient, reason } = OF_TENANT;
        CompromiseDeclared { level, patient, reason, alert: alert(), by: Some(user(1)) }.into()
    }
    fn contained() -> Event {
        CompromiseContained { alert: alert(), patients: 3, values: 9 }.into()
    }

    #[test]
    fn a_compromise_is_an_alert_that_is_to_be_acted_on_now() {
        let raised = AlertRaised {
            alert: alert(),
            kind: AlertKind::KeyCompromised,
            severity: Severity::Critical,
            cause: cause(),
            user: Some(user(1)),
            patient: None,
        };
        let declaring = |state: &State| declare(state, OF_TENANT, (alert(), cause()), &context());
        given(&[]).when(declaring).then([declared(), raised.into()]);
        let nobody = Context { user: None, ..context() };
        given(&[])
            .when(|state: &State| declare(state, OF_TENANT, (alert(), cause()), &nobody))
            .rejected(Rejection::UnknownUser);
        let of_patient = Declare { patient: Some(patient(1)), ..OF_TENANT };
        given(&[])
            .when(|state: &State| declare(state, of_patient, (alert(), cause()), &context()))
            .rejected(Rejection::NotFound);
    }

    #[test]
    fn what_was_declared_is_contained_once() {
        let contain = |state: &State| Ok(contain(state, alert(), (3, 9)));
        given(&[]).when(contain).then_nothing();
        given(&[declared()]).when(contain).then([contained()]);
        given(&[declared(), contained()]).when(contain).then_nothing();
    }
}
