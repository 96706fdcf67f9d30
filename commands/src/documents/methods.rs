//! The commands as they come, and how they are sealed and carried out.

use wardbook_events::documents::{
    DocumentAdded, DocumentBody, Fault, MediaType, Object, body_field, key_field, sealed_in, stream,
};
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{Ciphertext, PatientId, RecordId, Sealed, TenantId};
use wardbook_policy::{Action, Permit};

use super::{Command, State, decide};
use crate::authority::{Authority, own_context};
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;
use crate::patients;
use crate::rejection::Rejection;

/// Adds a document whose object is in the store.
#[derive(Clone)]
pub struct AddDocument {
    /// Whose chart.
    pub patient: PatientId,
    /// The document: the id that its upload has.
    pub document: RecordId,
    /// What kind of entry.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    pub sensitivity: Vec<Sensitivity>,
    /// The year it belongs to.
    pub year: Option<i16>,
    /// What its bytes are.
    pub media_type: MediaType,
    /// Bytes of its content.
    pub size_bytes: u64,
    /// Where the content is.
    pub object: Object,
    /// The object's key, sealed as [`wardbook_keys::Keys::new_object`] gave it.
    pub object_key: Ciphertext,
    /// What it says of itself.
    pub body: DocumentBody,
}

/// Plaintext: nothing of it is printed.
impl std::fmt::Debug for AddDocument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddDocument(..)")
    }
}

impl Commands {
    /// Whether this document was ever added, as the ledger has it now.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn has_document(
        &self,
        tenant: TenantId,
        origin: &Origin,
        document: RecordId,
    ) -> Result<bool, CommandError> {
        let task = Task::new(own_context(tenant, origin), origin, stream(document), Vec::new(), ());
        let looked = self.run(task, move |desk| {
            desk.load::<State>(&stream(document))?;
            Ok(Vec::new())
        });
        Ok(looked.await?.stream_version > 0)
    }

    /// Adds a document; the caller is its author. Permit: `AddRecord` for that very document. Its object must be durable.
    ///
    /// # Errors
    /// [`Rejection::AlreadyExists`] among others.
    pub async fn add_document(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: AddDocument,
    ) -> Result<Done<RecordId>, CommandError> {
        let (patient, document) = (command.patient, command.document);
        let context = Authority::new(permit, origin, |action| action == Action::AddRecord)?
            .about_record(patient, document)?
            .context();
        let author = context.user.ok_or(Rejection::UnknownUser)?;
        let bytes = origin.known_by("add-document", &(patient, document))?;
        self.run(Task::new(context, origin, stream(document), bytes, document), move |desk| {
            desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?.active()?;
            let state = desk.load::<State>(&stream(document))?;
            let AddDocument { kind, sensitivity, year, media_type, size_bytes, object, object_key, body, .. } =
                command.clone();
            let field = body_field(&sensitivity);
            let body = desk.keys.seal(context.tenant, patient, &sealed_in(document), field, &body)?.into_ciphertext();
            // It was sealed when the upload began, or was finished: the patient's key may be another since.
            let key = Sealed::<()>::new(
                context.tenant,
                patient,
                sealed_in(document),
                key_field(&sensitivity),
                object_key.clone(),
            );
            let object_key = desk.keys.reseal(&key)?.unwrap_or(object_key);
            let added = DocumentAdded {
                document,
                patient,
                kind,
                sensitivity,
                year,
                author,
                media_type,
                size_bytes,
                object,
                body,
                object_key,
            };
            Ok(decide(&state, (patient, document), Command::Add(Box::new(added)), &context)?)
        })
        .await
    }

    /// Says that a document is wrong. Permit: `RetractRecord` for it.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn retract_document(
        &self,
        permit: &Permit,
        origin: &Origin,
        (patient, document): (PatientId, RecordId),
        expected: Option<u64>,
    ) -> Result<Done<()>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::RetractRecord)?
            .about_record(patient, document)?
            .context();
        let bytes = origin.known_by("retract-document", &(patient, document, expected))?;
        let task = Task::new(context, origin, stream(document), bytes, ()).expecting(expected);
        self.run(task, move |desk| {
            desk.load::<patients::State>(&wardbook_events::patients::stream(patient))?.active()?;
            Ok(decide(&*desk.load(&stream(document))?, (patient, document), Command::Retract, &context)?)
        })
        .await
    }

    /// Wardbook itself puts newly sealed values in the place of old ones; nothing happens if `old` is not there any more.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn reseal_document(
        &self,
        tenant: TenantId,
        origin: &Origin,
        (patient, document): (PatientId, RecordId),
        old: Ciphertext,
        (body, object_key): (Ciphertext, Ciphertext),
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        self.run(Task::new(context, origin, stream(document), Vec::new(), ()), move |desk| {
            let command = Command::Reseal { old: old.clone(), body: body.clone(), object_key: object_key.clone() };
            Ok(decide(&*desk.load(&stream(document))?, (patient, document), command, &context)?)
        })
        .await
    }

    /// Wardbook itself found an object missing or damaged; the same again is not told again.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn document_found_damaged(
        &self,
        tenant: TenantId,
        origin: &Origin,
        (patient, document): (PatientId, RecordId),
        (fault, chunk): (Fault, Option<u64>),
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        self.run(Task::new(context, origin, stream(document), Vec::new(), ()), move |desk| {
            let command = Command::FindDamaged { fault, chunk };
            Ok(decide(&*desk.load(&stream(document))?, (patient, document), command, &context)?)
        })
        .await
    }
}
