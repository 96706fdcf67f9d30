//! Patients' master data: registered, corrected, merged, parted, flagged.
//!
//! `decide` works on sealed fields and tokens; [`RegisterPatient`] and [`CorrectPatient`] hold plaintext, which is sealed before.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wardbook_events::patients::{
    FieldChange, PatientAbsorbed, PatientCorrected, PatientEvent, PatientFlagged, PatientMerged, PatientParted,
    PatientPlaced, PatientRegistered, PatientUnmerged, WatchReason,
};
use wardbook_events::{Ciphertext, Event, Field, GroupSet, PatientId, SealedFields, Token};

use crate::context::{Context, Evolve};
use crate::rejection::Rejection;

pub mod claims;
pub mod renewal;
mod sealing;
#[cfg(test)]
mod tests;

use claims::{Claims, refuse_duplicates, unique};
pub use sealing::{Change, CorrectPatient, RegisterPatient};

/// What the write side needs to know of a patient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patient {
    /// Sealed fields.
    pub fields: SealedFields,
    /// Tokens of all kinds.
    pub tokens: BTreeSet<Token>,
    /// Whether specially watched.
    pub flag: Flag,
    /// Where treated.
    pub places: Places,
    /// Patients merged into this one.
    pub absorbed: BTreeSet<PatientId>,
    /// Categories that are being erased: until that is done nothing is written into them, as it would be lost.
    pub closed: GroupSet,
}

/// Where a patient is treated: names of 1 to 64 characters of `[a-z0-9-]`, at most 20 of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// Departments; none says nothing.
    pub departments: BTreeSet<String>,
    /// Facilities; none means the whole organisation.
    pub facilities: BTreeSet<String>,
}

/// A patient's state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Never registered.
    #[default]
    Unknown,
    /// Takes changes.
    Active(Patient),
    /// Merged into another one; takes no changes.
    Retired {
        /// As it was when it was merged.
        was: Patient,
        /// The patient who goes on.
        into: PatientId,
    },
    /// Forgotten; takes no changes. What is left is whom else it was.
    Erased(BTreeSet<PatientId>),
}

impl State {
    /// The patient, if it takes changes.
    ///
    /// # Errors
    /// [`Rejection::NotFound`] or [`Rejection::Retired`].
    pub const fn active(&self) -> Result<&Patient, Rejection> {
        match self {
            Self::Active(patient) => Ok(patient),
            Self::Retired { .. } => Err(Rejection::Retired),
            Self::Erased(_) => Err(Rejection::Erased),
            Self::Unknown => Err(Rejection::NotFound),
        }
    }
    /// What is known of the patient, merged or not, unless he was forgotten.
    #[must_use]
    pub const fn known(&self) -> Option<&Patient> {
        match self {
            Self::Active(patient) | Self::Retired { was: patient, .. } => Some(patient),
            Self::Erased(_) | Self::Unknown => None,
        }
    }
    /// Patients who were merged into this one.
    #[must_use]
    pub const fn absorbed(&self) -> Option<&BTreeSet<PatientId>> {
        match self {
            Self::Active(patient) | Self::Retired { was: patient, .. } => Some(&patient.absorbed),
            Self::Erased(absorbed) => Some(absorbed),
            Self::Unknown => None,
        }
    }
}

impl Evolve for State {
    const REMEMBERED: bool = true;

    fn evolve(self, event: &Event) -> Self {
        let Event::Patient(event) = event else { return self };
        match (self, event) {
            (Self::Unknown, PatientEvent::Registered(e)) => Self::Active(Patient {
                fields: e.fields.clone(),
                tokens: e.tokens.iter().cloned().collect(),
                flag: Flag { vip: e.vip, ..Flag::default() },
                places: Places { departments: e.departments.iter().cloned().collect(), facilities: BTreeSet::new() },
                absorbed: BTreeSet::new(),
                closed: GroupSet::EMPTY,
            }),
            (Self::Active(was) | Self::Retired { was, .. }, PatientEvent::Erased(_)) => Self::Erased(was.absorbed),
            (Self::Retired { was, into }, PatientEvent::GroupsErased(e)) => {
                Self::Retired { was: without(was, e.groups), into }
            }
            (Self::Retired { mut was, into }, PatientEvent::GroupsReopened(e)) => {
                was.closed = was.closed.without(e.groups);
                Self::Retired { was, into }
            }
            (Self::Retired { was, into }, event @ (PatientEvent::Reindexed(_) | PatientEvent::Resealed(_))) => {
                Self::Retired { was: changed(was, event), into }
            }
            (Self::Active(was), PatientEvent::Merged(e)) => Self::Retired { was, into: e.into },
            (Self::Retired { was, into }, PatientEvent::Unmerged(e)) if e.from == into => Self::Active(was),
            (Self::Active(patient), event) => Self::Active(changed(patient, event)),
            (state, _) => state,
        }
    }
}

fn changed(mut patient: Patient, event: &PatientEvent) -> Patient {
    match event {
        PatientEvent::Corrected(e) => {
            for change in &e.changes {
                match &change.new {
                    Some(new) => patient.fields.0.insert(change.field, new.clone()),
                    None => patient.fields.0.remove(&change.field),
                };
            }
            patient.tokens = e.tokens.iter().cloned().collect();
        }
        PatientEvent::Reindexed(e) => patient.tokens = e.tokens.iter().cloned().collect(),
        PatientEvent::Resealed(e) => patient.fields.0.extend(e.fields.0.clone()),
        PatientEvent::Absorbed(e) => {
            patient.absorbed.insert(e.absorbed);
        }
        PatientEvent::Parted(e) => {
            patient.absorbed.remove(&e.parted);
        }
        PatientEvent::Placed(e) => {
            patient.places = Places {
                departments: e.departments.iter().cloned().collect(),
                facilities: e.facilities.iter().cloned().collect(),
            };
        }
        PatientEvent::GroupsErased(e) => patient = without(patient, e.groups),
        PatientEvent::GroupsReopened(e) => patient.closed = patient.closed.without(e.groups),
        PatientEvent::Flagged(e) => patient.flag = Flag { vip: e.vip, reason: e.reason, decoy: e.decoy },
        _ => {}
    }
    patient
}

/// The patient without the fields of these groups, and without what it could be found by through them.
fn without(mut patient: Patient, groups: GroupSet) -> Patient {
    patient.fields.0.retain(|field, _| !groups.contains(field.group()));
    patient.tokens.retain(|token| token.kind.groups().intersection(groups).is_empty());
    patient.closed = patient.closed.union(groups);
    patient
}

/// Registers a patient.
#[derive(Debug, Clone)]
pub struct Register {
    /// The new patient.
    pub patient: PatientId,
    /// Sealed fields.
    pub fields: SealedFields,
    /// Tokens of all kinds.
    pub tokens: BTreeSet<Token>,
    /// Where the patient is treated.
    pub places: Places,
    /// Law that applies.
    pub jurisdiction: String,
    /// Specially watched from the start.
    pub vip: bool,
    /// A person has made sure that nobody of the same name and birth date is this one.
    pub confirm_distinct: bool,
}

/// Corrects fields.
#[derive(Debug, Clone)]
pub struct Correct {
    /// The patient.
    pub patient: PatientId,
    /// New values; `None` removes the field.
    pub changes: BTreeMap<Field, Option<Ciphertext>>,
    /// All tokens after the change.
    pub tokens: BTreeSet<Token>,
    /// As in [`Register`].
    pub confirm_distinct: bool,
}

/// What can be done to one patient.
#[derive(Debug, Clone)]
pub enum Command {
    /// Register.
    Register(Register),
    /// Correct fields.
    Correct(Correct),
    /// Say where the patient is treated.
    Place {
        /// The patient.
        patient: PatientId,
        /// From now on.
        places: Places,
    },
    /// Watch specially, or no more (ACC-21).
    Flag {
        /// The patient.
        patient: PatientId,
        /// From now on.
        flag: Flag,
    },
}

/// Whether and why a patient is specially watched (ACC-21).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Flag {
    /// Whether watched.
    pub vip: bool,
    /// Why watched.
    pub reason: Option<WatchReason>,
    /// There is no such person: nobody has a reason to touch this record.
    pub decoy: bool,
}

/// Decides what happens. `claims` are the holders of the unique tokens before and after.
///
/// # Errors
/// The rule that the command breaks.
pub fn decide(state: &State, claims: &Claims, command: Command, context: &Context) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Register(command) => register(state, claims, command, context),
        Command::Correct(command) => correct(state.active()?, claims, command, context),
        Command::Place { patient, places } => {
            check_places(&places)?;
            let same = state.active()?.places == places;
            Ok(if same { Vec::new() } else { vec![placed(patient, places)] })
        }
        Command::Flag { patient, flag } => {
            let by = context.user.ok_or(Rejection::UnknownUser)?;
            let same = state.active()?.flag == flag;
            let Flag { vip, reason, decoy } = flag;
            Ok(if same { Vec::new() } else { vec![PatientFlagged { patient, vip, reason, decoy, by }.into()] })
        }
    }
}

fn register(state: &State, claims: &Claims, command: Register, context: &Context) -> Result<Vec<Event>, Rejection> {
    if *state != State::Unknown {
        return Err(Rejection::AlreadyExists);
    }
    if !matches!(command.jurisdiction.as_str(), "US" | "SA" | "EU") {
        return Err(Rejection::UnknownJurisdiction);
    }
    check_places(&command.places)?;
    let Register { patient, fields, tokens, places, jurisdiction, vip, confirm_distinct } = command;
    refuse_duplicates(unique(&tokens), claims, &BTreeSet::from([patient]), confirm_distinct)?;
    let made = unique(&tokens).map(|token| claims::claim(context.tenant, patient, token)).collect::<Vec<_>>();
    let tokens = tokens.into_iter().collect();
    let departments = places.departments.iter().cloned().collect();
    let mut events = vec![PatientRegistered { patient, fields, tokens, departments, jurisdiction, vip }.into()];
    events.extend((!places.facilities.is_empty()).then(|| placed(patient, places)));
    events.extend(made);
    Ok(events)
}

fn placed(patient: PatientId, places: Places) -> Event {
    let Places { departments, facilities } = places;
    let (departments, facilities) = (departments.into_iter().collect(), facilities.into_iter().collect());
    PatientPlaced { patient, departments, facilities }.into()
}

fn check_places(places: &Places) -> Result<(), Rejection> {
    check_departments(&places.departments)?;
    check_departments(&places.facilities)
}

/// At most 20 departments, each 1 to 64 characters of `[a-z0-9-]`: names of places, never of people.
pub(crate) fn check_departments<'n>(departments: impl IntoIterator<Item = &'n String>) -> Result<(), Rejection> {
    let fits = |name: &String| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let mut count = 0;
    let all = departments.into_iter().inspect(|_| count += 1).all(fits);
    if all && count <= 20 { Ok(()) } else { Err(Rejection::BadDepartment) }
}

fn correct(was: &Patient, claims: &Claims, command: Correct, context: &Context) -> Result<Vec<Event>, Rejection> {
    let Correct { patient, changes, tokens, confirm_distinct } = command;
    if changes.keys().any(|field| was.closed.contains(field.group())) {
        return Err(Rejection::BeingErased);
    }
    let changes: Vec<FieldChange> = changes
        .into_iter()
        .map(|(field, new)| FieldChange { field, old: was.fields.0.get(&field).cloned(), new })
        .filter(|change| change.old != change.new)
        .collect();
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let mut family = was.absorbed.clone();
    family.insert(patient);
    // What was his under another version of the index key is his under this one: nobody's value changed.
    let gained =
        claims::gained(&was.tokens, &tokens).filter(|token| !claims::was_had(&was.tokens, &tokens, token.kind));
    refuse_duplicates(gained, claims, &family, confirm_distinct)?;
    let others = claims::moved(context.tenant, patient, (&was.tokens, &tokens), claims);
    let mut events = vec![PatientCorrected { patient, changes, tokens: tokens.into_iter().collect() }.into()];
    events.extend(others);
    Ok(events)
}

/// Decides that one patient goes on for two. Both streams are written at once.
///
/// # Errors
/// If either takes no changes, or both are the same.
pub fn merge(retiring: (PatientId, &State), going_on: (PatientId, &State)) -> Result<Vec<Event>, Rejection> {
    let ((patient, from), (into, to)) = (retiring, going_on);
    from.active()?;
    to.active()?;
    if patient == into {
        return Err(Rejection::MergeWithItself);
    }
    Ok(vec![PatientMerged { patient, into }.into(), PatientAbsorbed { patient: into, absorbed: patient }.into()])
}

/// Decides that a merge was a mistake.
///
/// # Errors
/// If they are not merged, or the one who went on was itself merged since: then that merge must be undone first.
pub fn unmerge(retired: (PatientId, &State), going_on: (PatientId, &State)) -> Result<Vec<Event>, Rejection> {
    let ((patient, state), (from, other)) = (retired, going_on);
    let absorbed = &other.active()?.absorbed;
    match state {
        State::Unknown => Err(Rejection::NotFound),
        State::Retired { into, .. } if *into == from && absorbed.contains(&patient) => {
            Ok(vec![PatientUnmerged { patient, from }.into(), PatientParted { patient: from, parted: patient }.into()])
        }
        _ => Err(Rejection::NotMerged),
    }
}
