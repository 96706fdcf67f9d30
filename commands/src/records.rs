//! Clinical entries: added, amended until signed, signed by their author, added to, retracted.

use wardbook_events::records::{
    AddendumAdded, RecordAdded, RecordAmended, RecordEvent, RecordKind, RecordResealed, RecordRetracted, RecordSigned,
    Sensitivity,
};
use wardbook_events::{Ciphertext, Event, PatientId, RecordId, UserId};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

pub mod drafts;
pub mod renewal;
mod sealing;
#[cfg(test)]
mod tests;

pub use sealing::AddRecord;

/// What the write side needs to know of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose chart it is in.
    pub patient: PatientId,
    /// What kind.
    pub kind: RecordKind,
    /// Why it is specially protected: decides under which field its texts are sealed.
    pub sensitivity: Vec<Sensitivity>,
    /// Who wrote it, if somebody here did.
    pub author: Option<UserId>,
    /// The sealed body as it is.
    pub body: Ciphertext,
    /// What was added after signing, sealed, oldest first.
    pub addenda: Vec<Ciphertext>,
}

/// An entry's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Never added.
    #[default]
    Unknown,
    /// Can be amended.
    Open(Record),
    /// Never changes again; takes addenda.
    Signed(Record),
    /// Turned out wrong; takes nothing.
    Retracted(Record),
}

impl State {
    /// The entry as far as `patient`'s permit reaches.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] also if it is in somebody else's chart.
    pub fn of(&self, patient: PatientId) -> Result<&Record, Rejection> {
        match self {
            Self::Open(record) | Self::Signed(record) | Self::Retracted(record) if record.patient == patient => {
                Ok(record)
            }
            _ => Err(Rejection::NotFound),
        }
    }
}

impl Evolve for State {
    fn evolve(self, event: &Event) -> Self {
        let Event::Record(event) = event else { return self };
        match (self, event) {
            (Self::Unknown, RecordEvent::Added(e)) => Self::Open(Record {
                patient: e.patient,
                kind: e.kind,
                sensitivity: e.sensitivity.clone(),
                author: e.author,
                body: e.body.clone(),
                addenda: Vec::new(),
            }),
            (Self::Open(record), RecordEvent::Resealed(e)) => Self::Open(resealed(record, e)),
            (Self::Signed(record), RecordEvent::Resealed(e)) => Self::Signed(resealed(record, e)),
            (Self::Retracted(record), RecordEvent::Resealed(e)) => Self::Retracted(resealed(record, e)),
            (Self::Signed(mut record), RecordEvent::AddendumAdded(e)) => {
                record.addenda.push(e.text.clone());
                Self::Signed(record)
            }
            (Self::Open(record), RecordEvent::Amended(e)) => Self::Open(Record { body: e.new.clone(), ..record }),
            (Self::Open(record), RecordEvent::Signed(_)) => Self::Signed(record),
            (Self::Open(record) | Self::Signed(record), RecordEvent::Retracted(_)) => Self::Retracted(record),
            (state, _) => state,
        }
    }
}

fn resealed(record: Record, event: &RecordResealed) -> Record {
    Record { body: event.body.clone(), addenda: event.addenda.clone(), ..record }
}

/// What can be done to an entry; `patient` is the one whose permit was given.
#[derive(Debug, Clone)]
pub enum Command {
    /// Put a new entry into a chart.
    Add {
        /// The chart's patient.
        patient: PatientId,
        /// The entry.
        record: RecordId,
        /// What kind.
        kind: RecordKind,
        /// Why it is specially protected, if it is.
        sensitivity: Vec<Sensitivity>,
        /// The year it belongs to.
        year: Option<i16>,
        /// Who wrote it; absent for entries from elsewhere.
        author: Option<UserId>,
        /// Sealed body.
        body: Ciphertext,
    },
    /// Change an unsigned entry.
    Amend {
        /// The chart's patient.
        patient: PatientId,
        /// The entry.
        record: RecordId,
        /// The year it belongs to now.
        year: Option<i16>,
        /// Sealed body.
        body: Ciphertext,
    },
    /// Sign a note for good.
    Sign {
        /// The chart's patient.
        patient: PatientId,
        /// The entry.
        record: RecordId,
    },
    /// Add to a signed note.
    AddAddendum {
        /// The chart's patient.
        patient: PatientId,
        /// The entry.
        record: RecordId,
        /// Sealed text.
        text: Ciphertext,
    },
    /// Say that the entry is wrong.
    Retract {
        /// The chart's patient.
        patient: PatientId,
        /// The entry.
        record: RecordId,
    },
}

/// Decides what happens to an entry.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(state: &State, command: Command, context: &Context) -> Result<Vec<Event>, Rejection> {
    let user = || context.user.ok_or(Rejection::UnknownUser);
    let event = match command {
        Command::Add { patient, record, kind, mut sensitivity, year, author, body } => {
            if *state != State::Unknown {
                return Err(Rejection::AlreadyExists);
            }
            sensitivity.sort_unstable();
            sensitivity.dedup();
            RecordAdded { record, patient, kind, sensitivity, year, author, body }.into()
        }
        Command::Amend { patient, record, year, body } => {
            let old = open(state, patient)?.body.clone();
            RecordAmended { record, patient, year, old, new: body }.into()
        }
        Command::Sign { patient, record } => {
            let entry = open(state, patient)?;
            if entry.kind != RecordKind::Note {
                return Err(Rejection::NotANote);
            }
            let by = user()?;
            if entry.author != Some(by) {
                return Err(Rejection::NotTheAuthor);
            }
            RecordSigned { record, patient, by }.into()
        }
        Command::AddAddendum { patient, record, text } => {
            state.of(patient)?;
            match state {
                State::Signed(_) => AddendumAdded { record, patient, author: user()?, text }.into(),
                State::Retracted(_) => return Err(Rejection::Retracted),
                _ => return Err(Rejection::NotSigned),
            }
        }
        Command::Retract { patient, record } => {
            state.of(patient)?;
            match state {
                State::Retracted(_) => return Err(Rejection::Retracted),
                _ => RecordRetracted { record, patient, by: user()? }.into(),
            }
        }
    };
    Ok(vec![event])
}

/// The entry, if it can still be changed.
fn open(state: &State, patient: PatientId) -> Result<&Record, Rejection> {
    let record = state.of(patient)?;
    match state {
        State::Signed(_) => Err(Rejection::Signed),
        State::Retracted(_) => Err(Rejection::Retracted),
        _ => Ok(record),
    }
}
