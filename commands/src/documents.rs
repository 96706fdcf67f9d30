//! Documents: added once their object is in the store, retracted, sealed anew, found damaged.

use std::sync::Arc;

use wardbook_events::documents::{
    DocumentAdded, DocumentEvent, DocumentFoundDamaged, DocumentResealed, DocumentRetracted, Fault,
};
use wardbook_events::records::Sensitivity;
use wardbook_events::{Ciphertext, Event, PatientId, RecordId};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

mod methods;
#[cfg(test)]
mod tests;

pub use methods::AddDocument;

/// What the write side needs to know of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Whose chart it is in.
    pub patient: PatientId,
    /// Why it is specially protected: decides under which fields it is sealed.
    pub sensitivity: Vec<Sensitivity>,
    /// What it says of itself, sealed.
    pub body: Ciphertext,
    /// The key of its object, sealed.
    pub object_key: Ciphertext,
    /// Turned out wrong.
    pub retracted: bool,
    /// What was found wrong with its object, last.
    pub found: Option<(Fault, Option<u64>)>,
}

/// A document's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Never added.
    #[default]
    Unknown,
    /// In a chart.
    Added(Arc<Document>),
}

impl State {
    /// The document as far as `patient`'s permit reaches.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] also if it is in somebody else's chart.
    pub fn of(&self, patient: PatientId) -> Result<&Document, Rejection> {
        match self {
            Self::Added(document) if document.patient == patient => Ok(document),
            _ => Err(Rejection::NotFound),
        }
    }
}

impl Evolve for State {
    fn evolve(self, event: &Event) -> Self {
        let Event::Document(event) = event else { return self };
        match (self, event) {
            (Self::Unknown, DocumentEvent::Added(e)) => Self::Added(Arc::new(Document {
                patient: e.patient,
                sensitivity: e.sensitivity.clone(),
                body: e.body.clone(),
                object_key: e.object_key.clone(),
                retracted: false,
                found: None,
            })),
            (Self::Added(mut document), event) => {
                let known = Arc::make_mut(&mut document);
                match event {
                    DocumentEvent::Added(_) => {}
                    DocumentEvent::Retracted(_) => known.retracted = true,
                    DocumentEvent::Resealed(e) => {
                        (known.body, known.object_key) = (e.body.clone(), e.object_key.clone());
                    }
                    DocumentEvent::FoundDamaged(e) => known.found = Some((e.fault, e.chunk)),
                }
                Self::Added(document)
            }
            (state, _) => state,
        }
    }
}

/// What can be done to a document.
#[derive(Debug, Clone)]
pub enum Command {
    /// Put it into a chart.
    Add(Box<DocumentAdded>),
    /// Say that it is wrong.
    Retract,
    /// Put newly sealed values in the place of these.
    Reseal {
        /// The body that was sealed anew.
        old: Ciphertext,
        /// The same, sealed anew.
        body: Ciphertext,
        /// The object's key, sealed anew.
        object_key: Ciphertext,
    },
    /// Say what is wrong with its object.
    FindDamaged {
        /// What.
        fault: Fault,
        /// At which chunk.
        chunk: Option<u64>,
    },
}

/// Decides what happens to a document of `patient`.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(
    state: &State,
    (patient, document): (PatientId, RecordId),
    command: Command,
    context: &Context,
) -> Result<Vec<Event>, Rejection> {
    let event = match command {
        Command::Add(mut added) => {
            if *state != State::Unknown {
                return Err(Rejection::AlreadyExists);
            }
            added.sensitivity.sort_unstable();
            added.sensitivity.dedup();
            (*added).into()
        }
        Command::Retract => {
            if state.of(patient)?.retracted {
                return Err(Rejection::Retracted);
            }
            let by = context.user.ok_or(Rejection::UnknownUser)?;
            DocumentRetracted { document, patient, by }.into()
        }
        // Somebody else was faster, and what was sealed anew is not what is there now.
        Command::Reseal { old, .. } if state.of(patient)?.body != old => return Ok(Vec::new()),
        Command::Reseal { body, object_key, .. } => DocumentResealed { document, patient, body, object_key }.into(),
        // Once is enough: a damaged object is asked for again and again.
        Command::FindDamaged { fault, chunk } if state.of(patient)?.found == Some((fault, chunk)) => {
            return Ok(Vec::new());
        }
        Command::FindDamaged { fault, chunk } => DocumentFoundDamaged { document, patient, fault, chunk }.into(),
    };
    Ok(vec![event])
}
