//! The commands as they come, in plaintext, and how they are sealed and carried out.

use std::sync::Arc;

use serde::Serialize;
use wardbook_events::records::{Addendum, RecordBody, RecordKind, Sensitivity, addendum_field, body_field, stream};
use wardbook_events::values::Text;
use wardbook_events::{PatientId, RecordId, TenantId, UserId};
use wardbook_keys::Keys;
use wardbook_policy::{Action, Permit};

use super::{Command, State, decide};
use crate::authority::Authority;
use crate::error::CommandError;
use crate::executor::{Commands, Desk, Done, Task};
use crate::origin::Origin;
use crate::patients;
use crate::rejection::Rejection;

/// Adds a clinical entry to a chart.
#[derive(Clone, Serialize)]
pub struct AddRecord {
    /// Whose chart.
    pub patient: PatientId,
    /// What kind.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    pub sensitivity: Vec<Sensitivity>,
    /// What it holds.
    pub body: RecordBody,
}

impl AddRecord {
    /// The command as it is decided on.
    pub(super) fn sealed(
        &self,
        keys: &Keys,
        tenant: TenantId,
        record: RecordId,
        author: Option<UserId>,
    ) -> Result<Command, CommandError> {
        let Self { patient, kind, sensitivity, body } = self;
        let sealed = keys.seal(tenant, *patient, &stream(record), body_field(sensitivity), body)?;
        let (patient, kind, sensitivity, year) = (*patient, *kind, sensitivity.clone(), body.year());
        Ok(Command::Add { patient, record, kind, sensitivity, year, author, body: sealed.into_ciphertext() })
    }
}

/// Plaintext: nothing of it is printed.
impl std::fmt::Debug for AddRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddRecord(..)")
    }
}

/// Loads an entry of a patient who takes changes. The chart is looked at but not locked: an entry that is added while its
/// patient is merged stays in the retired chart, which is read together with the one that goes on.
///
/// `labels` are those of a new entry.
fn load(
    desk: &mut Desk<'_>,
    patient: PatientId,
    record: RecordId,
    labels: Option<&[Sensitivity]>,
) -> Result<Arc<State>, CommandError> {
    let chart = desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?;
    let closed = chart.active()?.closed;
    let state = desk.load::<State>(&stream(record))?;
    let labels = labels.or_else(|| Some(state.of(patient).ok()?.sensitivity.as_slice()));
    match labels {
        Some(labels) if closed.contains(body_field(labels).group()) => Err(Rejection::BeingErased.into()),
        _ => Ok(state),
    }
}

impl Commands {
    /// Adds an entry under the id [`crate::Ids::record`] of the origin. Permit: `AddRecord` for that very entry, then the
    /// user is its author; or `Import`, then it has none here.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn add_record(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: AddRecord,
    ) -> Result<Done<RecordId>, CommandError> {
        let allows = |action| matches!(action, Action::AddRecord | Action::Import);
        let patient = command.patient;
        let record = origin.ids(permit.tenant()).record();
        let context = Authority::new(permit, origin, allows)?.about_new_record(patient, record)?.context();
        let author = if permit.action() == Action::Import { None } else { context.user };
        let bytes = origin.known_by("add-record", &command)?;
        self.run(Task::new(context, origin, stream(record), bytes, record), move |desk| {
            let state = load(desk, patient, record, Some(&command.sensitivity))?;
            let add = command.sealed(desk.keys, context.tenant, record, author)?;
            Ok(decide(&state, add, &context)?)
        })
        .await
    }

    /// Changes an unsigned entry. Permit: `AmendRecord` for it. `expected` is the entry's version that the caller has seen.
    ///
    /// # Errors
    /// [`CommandError::WrongVersion`] among others.
    pub async fn amend_record(
        &self,
        permit: &Permit,
        origin: &Origin,
        about: (PatientId, RecordId),
        expected: Option<u64>,
        body: RecordBody,
    ) -> Result<Done<()>, CommandError> {
        let ((patient, record), year) = (about, body.year());
        let seen = (expected, origin.known_by("amend-record", &(patient, record, expected, &body))?);
        self.on_record((permit, Action::AmendRecord), origin, about, seen, move |keys, tenant, labels| {
            let sealed = keys.seal(tenant, patient, &stream(record), body_field(labels), &body)?;
            Ok(Command::Amend { patient, record, year, body: sealed.into_ciphertext() })
        })
        .await
    }

    /// Signs a note for good. Permit: `SignRecord` for it, held by its author. With `expected` the author signs what was seen.
    ///
    /// # Errors
    /// [`CommandError::WrongVersion`] among others.
    pub async fn sign_record(
        &self,
        permit: &Permit,
        origin: &Origin,
        about: (PatientId, RecordId),
        expected: Option<u64>,
    ) -> Result<Done<()>, CommandError> {
        let (patient, record) = about;
        let seen = (expected, origin.known_by("sign-record", &(patient, record, expected))?);
        self.on_record((permit, Action::SignRecord), origin, about, seen, move |_, _, _| {
            Ok(Command::Sign { patient, record })
        })
        .await
    }

    /// Adds text to a signed note. Permit: `AddAddendum` for it.
    ///
    /// # Errors
    /// [`CommandError::WrongVersion`] among others.
    pub async fn add_addendum(
        &self,
        permit: &Permit,
        origin: &Origin,
        about: (PatientId, RecordId),
        expected: Option<u64>,
        text: Text,
    ) -> Result<Done<()>, CommandError> {
        let (patient, record) = about;
        let seen = (expected, origin.known_by("add-addendum", &(patient, record, expected, &text))?);
        let addendum = Addendum { text };
        self.on_record((permit, Action::AddAddendum), origin, about, seen, move |keys, tenant, labels| {
            let sealed = keys.seal(tenant, patient, &stream(record), addendum_field(labels), &addendum)?;
            Ok(Command::AddAddendum { patient, record, text: sealed.into_ciphertext() })
        })
        .await
    }

    /// Says that an entry is wrong. Permit: `RetractRecord` for it.
    ///
    /// # Errors
    /// [`CommandError::WrongVersion`] among others.
    pub async fn retract_record(
        &self,
        permit: &Permit,
        origin: &Origin,
        about: (PatientId, RecordId),
        expected: Option<u64>,
    ) -> Result<Done<()>, CommandError> {
        let (patient, record) = about;
        let seen = (expected, origin.known_by("retract-record", &(patient, record, expected))?);
        self.on_record((permit, Action::RetractRecord), origin, about, seen, move |_, _, _| {
            Ok(Command::Retract { patient, record })
        })
        .await
    }

    /// A command on an entry that is there, if it still is at the version that the caller has seen. `command` is made for the
    /// entry's labels.
    async fn on_record(
        &self,
        (permit, action): (&Permit, Action),
        origin: &Origin,
        (patient, record): (PatientId, RecordId),
        (expected, bytes): (Option<u64>, Vec<u8>),
        command: impl Fn(&Keys, TenantId, &[Sensitivity]) -> Result<Command, CommandError> + Send + Sync + 'static,
    ) -> Result<Done<()>, CommandError> {
        let context =
            Authority::new(permit, origin, |allowed| allowed == action)?.about_record(patient, record)?.context();
        let task = Task::new(context, origin, stream(record), bytes, ()).expecting(expected);
        self.run(task, move |desk| {
            let state = load(desk, patient, record, None)?;
            let command = command(desk.keys, context.tenant, &state.of(patient)?.sensitivity)?;
            Ok(decide(&state, command, &context)?)
        })
        .await
    }
}
