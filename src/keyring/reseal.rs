//! Everything current of a patient sealed anew under the newest version of his key: chart, entries, drafts, and what documents
//! say of themselves with the keys of their objects. The objects stay as they are. Nobody sees what is sealed.

use wardbook_commands::CommandError;
use wardbook_events::{PatientId, TenantId};

use super::KeyringError;
use super::work::origin;
use crate::app::App;
use crate::by::By;
use crate::documents::{DocumentError, reseal_of};

/// Entries looked up at a time.
const PAGE: usize = 256;

/// Seals anew what is current of a patient; gives how many values. What is sealed so already is left as it is.
pub(super) async fn patient(app: &App, by: &By, tenant: TenantId, patient: PatientId) -> Result<u64, KeyringError> {
    let commands = app.commands();
    let mut values = commands.reseal_patient(tenant, &origin(app, by)?, patient).await?;
    let mut after = None;
    loop {
        let page = app.views().records.ids(patient, after, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (_, record) in &page {
            values += commands.reseal_record(tenant, &origin(app, by)?, *record).await?;
        }
    }
    let documents = reseal_of(app, patient, |document| {
        let of = |error| DocumentError::Command(CommandError::Reseal(error));
        let body = app.keys().reseal_or_leave(&document.sealed_body()).map_err(of)?;
        let key = app.keys().reseal_or_leave(&document.sealed_key::<()>()).map_err(of)?;
        let is_new = body.is_some() || key.is_some();
        let kept = || (document.body.clone(), document.object_key.clone());
        Ok(is_new.then(|| (body.unwrap_or_else(|| kept().0), key.unwrap_or_else(|| kept().1))))
    });
    // Each has two.
    Ok(values + 2 * documents.await?)
}

/// Seals drafts anew: of one patient, or of all.
pub(super) async fn drafts(app: &App, by: &By, tenant: TenantId, only: Option<PatientId>) -> Result<u64, KeyringError> {
    let mut values = 0;
    for draft in app.views().records.drafts_for(tenant, only)? {
        let of = (draft.patient, draft.draft, draft.author);
        values += app.commands().reseal_draft(tenant, &origin(app, by)?, of).await?;
    }
    Ok(values)
}
