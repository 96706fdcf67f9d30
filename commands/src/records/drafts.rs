//! What somebody is writing and has not added yet, kept so that a lock or a crash costs nothing (IAM-18).
//!
//! A draft is sealed as the entry that it may become, under the same names, so that the author's permit for that entry
//! opens it. Nobody else has a way to it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use wardbook_events::records::{
    DraftDiscarded, DraftSaved, RecordEvent, RecordKind, Sensitivity, body_field, draft_stream, stream,
};
use wardbook_events::{Ciphertext, Event, PatientId, RecordId, UserId};
use wardbook_policy::{Action, Permit};

use super::{AddRecord, State as RecordState};
use crate::authority::Authority;
use crate::context::{Context, Evolve};
use crate::error::CommandError;
use crate::executor::{Commands, Desk, Done, Task};
use crate::origin::Origin;
use crate::patients;
use crate::rejection::Rejection;

/// The largest content of a draft, as JSON, in bytes.
pub const DRAFT_BYTES_MAX: usize = 256 * 1024;

/// A draft's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Draft {
    /// Never kept.
    #[default]
    Unknown,
    /// Kept.
    Kept {
        /// For whose chart.
        patient: PatientId,
        /// By whom.
        author: UserId,
        /// When, last.
        at: Timestamp,
        /// What was kept: its labels and its sealed content.
        sealed: Box<(Vec<Sensitivity>, Ciphertext)>,
    },
    /// Thrown away or made into an entry. A late attempt to keep it does not bring it back.
    Gone,
}

impl Evolve for Draft {
    fn evolve(self, event: &Event) -> Self {
        match event {
            Event::Record(RecordEvent::DraftSaved(e)) => {
                let sealed = Box::new((e.sensitivity.clone(), e.body.clone()));
                Self::Kept { patient: e.patient, author: e.author, at: e.at, sealed }
            }
            Event::Record(RecordEvent::DraftResealed(e)) => self.resealed(&e.body),
            Event::Record(RecordEvent::DraftDiscarded(_)) => Self::Gone,
            _ => self,
        }
    }
}

impl Draft {
    fn resealed(mut self, body: &Ciphertext) -> Self {
        if let Self::Kept { sealed, .. } = &mut self {
            sealed.1 = body.clone();
        }
        self
    }
}

/// What can be done to a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DraftCommand {
    /// Keep what was written so far.
    Save {
        /// What kind of entry it is going to be.
        kind: RecordKind,
        /// Why it is specially protected, if it is.
        sensitivity: Vec<Sensitivity>,
        /// Sealed content.
        body: Ciphertext,
        /// It is kept at most every so often.
        every: SignedDuration,
    },
    /// Throw it away, or say that an entry was made of it.
    Discard,
}

/// Decides about the draft `draft` of `patient`. That no entry has this id is checked before.
///
/// # Errors
/// The rule that the command breaks; [`Rejection::NotFound`] if it is somebody else's, or of somebody else's chart.
pub fn decide_draft(
    state: &Draft,
    (patient, draft): (PatientId, RecordId),
    command: DraftCommand,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let author = context.user.ok_or(Rejection::UnknownUser)?;
    let kept = match state {
        Draft::Unknown => None,
        Draft::Kept { patient: of, author: by, at, .. } if *of == patient && *by == author => Some(*at),
        Draft::Kept { .. } => return Err(Rejection::NotFound),
        Draft::Gone => return Err(Rejection::Discarded),
    };
    match command {
        DraftCommand::Save { every, .. } if kept.is_some_and(|at| context.now.duration_since(at) < every) => {
            Err(Rejection::TooSoon)
        }
        DraftCommand::Save { kind, mut sensitivity, body, .. } => {
            sensitivity.sort_unstable();
            sensitivity.dedup();
            Ok(vec![DraftSaved { draft, patient, author, kind, sensitivity, at: context.now, body }.into()])
        }
        DraftCommand::Discard => {
            kept.ok_or(Rejection::NotFound)?;
            Ok(vec![DraftDiscarded { draft, patient, author }.into()])
        }
    }
}

/// Keeps a draft.
#[derive(Clone, Serialize)]
pub struct SaveDraft {
    /// For whose chart.
    pub patient: PatientId,
    /// The draft; the entry made of it will have the same id.
    pub draft: RecordId,
    /// What kind of entry it is going to be.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    pub sensitivity: Vec<Sensitivity>,
    /// The form as it stands.
    pub body: Value,
}

/// Plaintext: nothing of it is printed.
impl std::fmt::Debug for SaveDraft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaveDraft(..)")
    }
}

/// The draft, if the patient takes entries.
fn load(desk: &mut Desk<'_>, patient: PatientId, draft: RecordId) -> Result<Arc<Draft>, CommandError> {
    desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?.active()?;
    desk.load(&draft_stream(patient, draft))
}

impl Commands {
    /// Keeps what somebody is writing. Permit: `AddRecord` for the entry that it may become. `every` is how often it is
    /// kept at most.
    ///
    /// # Errors
    /// [`Rejection::TooSoon`] and [`Rejection::Discarded`] among others.
    pub async fn save_draft(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: SaveDraft,
        every: SignedDuration,
    ) -> Result<Done<()>, CommandError> {
        let (patient, draft) = (command.patient, command.draft);
        let context = writing(permit, origin, patient, draft)?;
        let size =
            serde_json::to_vec(&command.body).map_err(|_| CommandError::Internal("json has no json form"))?.len();
        if size > DRAFT_BYTES_MAX {
            return Err(Rejection::DraftTooLarge.into());
        }
        let bytes = origin.known_by("save-draft", &command)?;
        self.run(Task::new(context, origin, draft_stream(patient, draft), bytes, ()), move |desk| {
            let state = load(desk, patient, draft)?;
            // Of somebody else's entry with this id nothing is learnt here.
            if desk.load::<RecordState>(&stream(draft))?.of(patient).is_ok() {
                return Err(Rejection::Discarded.into());
            }
            let SaveDraft { kind, sensitivity, body, .. } = &command;
            let field = body_field(sensitivity);
            let body = desk.keys.seal(context.tenant, patient, &stream(draft), field, body)?.into_ciphertext();
            let save = DraftCommand::Save { kind: *kind, sensitivity: sensitivity.clone(), body, every };
            Ok(decide_draft(&state, (patient, draft), save, &context)?)
        })
        .await
    }

    /// Throws a draft away. Permit: `AddRecord` for the entry that it could have become.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn discard_draft(
        &self,
        permit: &Permit,
        origin: &Origin,
        patient: PatientId,
        draft: RecordId,
    ) -> Result<Done<()>, CommandError> {
        let context = writing(permit, origin, patient, draft)?;
        let bytes = origin.known_by("discard-draft", &(patient, draft))?;
        self.run(Task::new(context, origin, draft_stream(patient, draft), bytes, ()), move |desk| {
            let state = desk.load::<Draft>(&draft_stream(patient, draft))?;
            Ok(decide_draft(&state, (patient, draft), DraftCommand::Discard, &context)?)
        })
        .await
    }

    /// Adds an entry that the author kept as a draft, under the draft's id; the draft is gone by the same append.
    /// Permit: `AddRecord` for that very entry.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn add_record_of_draft(
        &self,
        permit: &Permit,
        origin: &Origin,
        draft: RecordId,
        command: AddRecord,
    ) -> Result<Done<RecordId>, CommandError> {
        let patient = command.patient;
        let context = writing(permit, origin, patient, draft)?;
        let bytes = origin.known_by("add-record-of-draft", &(draft, &command))?;
        self.run(Task::new(context, origin, stream(draft), bytes, draft), move |desk| {
            let kept = load(desk, patient, draft)?;
            let state = desk.load::<RecordState>(&stream(draft))?;
            let add = command.sealed(desk.keys, context.tenant, draft, context.user)?;
            let mut events = super::decide(&state, add, &context)?;
            events.extend(decide_draft(&kept, (patient, draft), DraftCommand::Discard, &context)?);
            Ok(events)
        })
        .await
    }
}

fn writing(permit: &Permit, origin: &Origin, patient: PatientId, draft: RecordId) -> Result<Context, CommandError> {
    let authority = Authority::new(permit, origin, |action| action == Action::AddRecord)?;
    Ok(authority.about_record(patient, draft)?.context())
}

#[cfg(test)]
#[path = "drafts_tests.rs"]
mod tests;
