//! How the commands are carried out.

use serde::Serialize;
use wardbook_events::break_glass::{EmergencyReason, ReviewOutcome, stream};
use wardbook_events::values::Line;
use wardbook_events::{Ciphertext, EmergencyId, PatientId, TenantId};
use wardbook_keys::Keys;
use wardbook_policy::{Action, Permit};

use super::{Command, EmergencyRules, decide};
use crate::authority::{Authority, own_context};
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;
use crate::patients;

/// What the words of who broke the glass are sealed for; opening them takes the same.
pub const DETAIL_PURPOSE: &str = "break-glass-detail";
/// What a reviewer's words are sealed for.
pub const NOTE_PURPOSE: &str = "break-glass-note";

/// Breaks the glass.
#[derive(Clone, Serialize)]
pub struct StartEmergency {
    /// The patient.
    pub patient: PatientId,
    /// Why.
    pub reason: EmergencyReason,
    /// Why, in words; needed with [`EmergencyReason::Other`].
    pub detail: Option<Line>,
    /// Where, such as a ward: 1 to 64 letters, digits, spaces, hyphens, dots and slashes.
    pub location: Option<String>,
}

/// The words may tell of the patient.
impl std::fmt::Debug for StartEmergency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StartEmergency({}, {:?}, ..)", self.patient, self.reason)
    }
}

fn seal(
    keys: &Keys,
    tenant: TenantId,
    patient: PatientId,
    purpose: &str,
    words: Option<&Line>,
) -> Result<Option<Ciphertext>, CommandError> {
    let seal = |words: &Line| keys.seal_secret(tenant, &stream(patient), purpose, words.as_str().as_bytes());
    Ok(words.map(seal).transpose()?)
}

impl Commands {
    /// Breaks the glass. Permit: `StartEmergency`. The emergency has the id of the event that tells of its start.
    ///
    /// # Errors
    /// [`crate::Rejection::EmergencyLive`] among others; see [`CommandError`].
    pub async fn start_emergency(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: StartEmergency,
        rules: EmergencyRules,
    ) -> Result<Done<EmergencyId>, CommandError> {
        let patient = command.patient;
        let context =
            Authority::new(permit, origin, |action| action == Action::StartEmergency)?.about(patient)?.context();
        let emergency = EmergencyId::new(origin.ids(context.tenant).event(0).uuid());
        let bytes = origin.known_by("start-emergency", &command)?;
        self.run(Task::new(context, origin, stream(patient), bytes, emergency), move |desk| {
            desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?.active()?;
            let StartEmergency { reason, detail, location, .. } = command.clone();
            let detail = seal(desk.keys, context.tenant, patient, DETAIL_PURPOSE, detail.as_ref())?;
            let state = desk.load(&stream(patient))?;
            let start = Command::Start { emergency, patient, reason, detail, location, rules };
            Ok(decide(&state, start, &context)?)
        })
        .await
    }

    /// Takes more time for an emergency, once. Permit: `StartEmergency`, of who broke the glass.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] also if it is somebody else's; see [`CommandError`].
    pub async fn extend_emergency(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        emergency: EmergencyId,
        rules: EmergencyRules,
    ) -> Result<Done<()>, CommandError> {
        let context =
            Authority::new(permit, origin, |action| action == Action::StartEmergency)?.about(patient)?.context();
        let bytes = origin.known_by("extend-emergency", &(patient, emergency))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            let state = desk.load(&stream(patient))?;
            Ok(decide(&state, Command::Extend { patient, emergency, rules }, &context)?)
        })
        .await
    }

    /// Ends an emergency before its time. Takes no permit: who gives a right up is not asked for one.
    ///
    /// # Errors
    /// [`CommandError::NotFound`] also if it is somebody else's; see [`CommandError`].
    pub async fn end_emergency(
        &self,
        tenant: TenantId,
        origin: &Origin,
        patient: PatientId,
        emergency: EmergencyId,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("end-emergency", &(patient, emergency))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            let state = desk.load(&stream(patient))?;
            Ok(decide(&state, Command::End { patient, emergency }, &context)?)
        })
        .await
    }

    /// Judges an emergency. Permit: `ReviewEmergencies`. That it is one of the permit's organisation is for the caller to
    /// check: the view knows.
    ///
    /// # Errors
    /// [`crate::Rejection::OwnEmergency`] and [`crate::Rejection::ReviewedBefore`] among others; see [`CommandError`].
    pub async fn review_emergency(
        &self,
        permit: &Permit,
        origin: &Origin,
        (patient, emergency): (PatientId, EmergencyId),
        outcome: ReviewOutcome,
        note: Option<Line>,
    ) -> Result<Done<()>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::ReviewEmergencies)?.context();
        let bytes = origin.known_by("review-emergency", &(patient, emergency, outcome, &note))?;
        self.run(Task::new(context, origin, stream(patient), bytes, ()), move |desk| {
            let note = seal(desk.keys, context.tenant, patient, NOTE_PURPOSE, note.as_ref())?;
            let state = desk.load(&stream(patient))?;
            Ok(decide(&state, Command::Review { patient, emergency, outcome, note }, &context)?)
        })
        .await
    }
}
