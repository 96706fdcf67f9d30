//! What others ask for: the objects of a patient who is erased, newly sealed keys after a compromise; and what is done
//! now and then.

use jiff::SignedDuration;
use wardbook_events::{Ciphertext, PatientId, RecordId};
use wardbook_projections::documents::Document;

use super::error::DocumentError;
use super::{blocking, own_origin};
use crate::app::App;

/// Documents read at a time.
const PAGE: usize = 256;

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Objects that were in the store.
    pub objects: u64,
    /// Uploads that were not finished.
    pub uploads: u64,
}

/// Deletes the objects and uploads of a patient. Doing it again is not an error, and finishes what was interrupted. To be
/// called when no more documents can be added: after the key is gone.
///
/// # Errors
/// If the store or a view fails; then call it again.
pub async fn delete_objects_of(app: &App, patient: PatientId) -> Result<Deleted, DocumentError> {
    let mut deleted = Deleted::default();
    for about in uploads(app).await?.into_iter().filter(|about| about.patient == patient) {
        let name = about.object.clone();
        let upload = app.documents().uploads().take(about)?;
        blocking(move || upload.discard()).await?;
        app.documents().store().delete(&name).await?;
        deleted.uploads += 1;
    }
    seen_all(app).await?;
    let mut before = None;
    loop {
        let page = app.views().documents.list(&[patient], true, before, PAGE)?;
        for document in &page.items {
            deleted.objects += u64::from(app.documents().store().delete(&document.object.name).await?);
        }
        before = page.next;
        if before.is_none() {
            return Ok(deleted);
        }
    }
}

/// Waits until the views have seen everything that is durable now.
async fn seen_all(app: &App) -> Result<(), DocumentError> {
    match app.ledger().head().durable.checked_sub(1) {
        Some(newest) => Ok(app.views().wait_for(newest, app.config().limits.view_wait()).await?),
        None => Ok(()),
    }
}

/// Seals what the patient's documents say of themselves, and the keys of their objects, under the patient's newest key.
/// The objects stay as they are. `anew` seals body and key of one document anew, or says that they are as they should be; it is the
/// keys crate's, so that no plaintext comes here.
/// Gives how many documents were sealed anew.
///
/// # Errors
/// If a value cannot be sealed, or the write side refuses.
pub async fn reseal_of(
    app: &App,
    patient: PatientId,
    anew: impl Fn(&Document) -> Result<Option<(Ciphertext, Ciphertext)>, DocumentError>,
) -> Result<u64, DocumentError> {
    seen_all(app).await?;
    let (mut before, mut count) = (None, 0);
    loop {
        let page = app.views().documents.list(&[patient], true, before, PAGE)?;
        for document in &page.items {
            let Some(values) = anew(document)? else { continue };
            let of = (patient, document.document);
            let origin = own_origin(app, None)?;
            let old = document.body.clone();
            let done = app.commands().reseal_document(document.tenant, &origin, of, old, values).await?;
            count += u64::from(!done.receipts.is_empty());
        }
        before = page.next;
        if before.is_none() {
            return Ok(count);
        }
    }
}

/// Throws uploads away that were begun too long ago; gives how many.
///
/// # Errors
/// If the directory cannot be read or a view cannot answer.
pub async fn sweep(app: &App) -> Result<u64, DocumentError> {
    let lifetime = SignedDuration::from_secs(app.config().documents.upload_lifetime_s.into());
    let mut count = 0;
    for about in uploads(app).await? {
        if app.now().duration_since(about.begun_at) < lifetime {
            continue;
        }
        let (document, object): (RecordId, _) = (about.document, about.object.clone());
        let tenant = about.tenant;
        // Somebody works on it: next time.
        let Ok(upload) = app.documents().uploads().take(about) else { continue };
        // An object that was written, but of which no event tells, goes as well; the ledger is asked, not a view.
        if !app.commands().has_document(tenant, &own_origin(app, None)?, document).await? {
            app.documents().store().delete(&object).await?;
        }
        blocking(move || upload.discard()).await?;
        count += 1;
    }
    Ok(count)
}

async fn uploads(app: &App) -> Result<Vec<super::About>, DocumentError> {
    let app = app.clone();
    blocking(move || app.documents().uploads().all()).await
}
