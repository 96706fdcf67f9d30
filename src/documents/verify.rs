//! Whether every document has its object, unchanged, and no object is left that nobody knows.

use std::collections::BTreeSet;

use serde::Serialize;
use wardbook_events::documents::Fault;
use wardbook_events::{PatientId, RecordId};
use wardbook_keys::ObjectId;
use wardbook_projections::documents::Document;

use super::error::DocumentError;
use super::{Hashers, blocking, found};
use crate::app::App;

/// Documents read at a time, and bytes.
const PAGE: usize = 256;
const STEP: u64 = 4 << 20;

/// A document whose object is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The document.
    pub document: RecordId,
    /// Whose.
    pub patient: PatientId,
    /// The name of the object.
    pub object: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Documents looked at.
    pub documents: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Of patients who were erased: their objects must be gone.
    pub erased: u64,
    /// What is not as it was.
    pub findings: Vec<Finding>,
    /// Names of objects that belong to no document and no upload.
    pub orphans: BTreeSet<String>,
    /// Names of objects of erased patients that are still there.
    pub leftovers: BTreeSet<String>,
}

impl Report {
    /// Whether all is well. Orphans do no harm: a crash between object and event leaves one.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty() && self.leftovers.is_empty()
    }
}

/// Reads every object and compares it with what the ledger says. Needs no key: the hashes of the sealed bytes are there in
/// clear. What is found is written down.
///
/// # Errors
/// If the store or a view fails.
pub async fn verify(app: &App, progress: &dyn wardbook_ledger::Progress) -> Result<Report, DocumentError> {
    let store = app.documents().store();
    let mut orphans = store.names().await?;
    let total = orphans.len() as u64;
    let uploads = app.clone();
    for about in blocking(move || uploads.documents().uploads().all()).await? {
        orphans.remove(&about.object);
    }
    let (mut report, mut last) = (Report::default(), None);
    loop {
        let page = app.views().documents.after(last, PAGE)?;
        let Some(end) = page.last() else { break };
        last = Some(end.document);
        for document in &page {
            let there = orphans.remove(&document.object.name);
            report.documents += 1;
            progress.advance("documents", report.documents, total);
            if !app.keys().has_key(document.tenant, document.patient).unwrap_or(true) {
                report.erased += 1;
                if there {
                    report.leftovers.insert(document.object.name.clone());
                }
                continue;
            }
            if let Some(fault) = look(app, document, &mut report.bytes).await? {
                found(app, document, (fault, None), None).await;
                report.findings.push(Finding {
                    document: document.document,
                    patient: document.patient,
                    object: document.object.name.clone(),
                    fault,
                });
            }
        }
    }
    report.orphans = orphans;
    Ok(report)
}

/// What is wrong with an object, if anything is.
async fn look(app: &App, known: &Document, bytes: &mut u64) -> Result<Option<Fault>, DocumentError> {
    let Document { tenant, patient, document, size_bytes: size, .. } = *known;
    let (store, name) = (app.documents().store(), &known.object.name);
    let end = match store.size(name).await.map_err(DocumentError::from) {
        Ok(size) => size,
        Err(error) => return error.fault().map(|(fault, _)| Some(fault)).ok_or(error),
    };
    if let Err(error) = (ObjectId { tenant, patient, document, size }).check_length(end) {
        return Ok(DocumentError::from(error).fault().map(|(fault, _)| fault));
    }
    let (mut at, mut hashers) = (0, Hashers::new());
    while at < end {
        let piece = store.read(name, at..end.min(at + STEP)).await?;
        at += piece.len() as u64;
        hashers = blocking(move || {
            hashers.update(&piece);
            Ok(hashers)
        })
        .await?;
    }
    *bytes += end;
    Ok((hashers.finish() != known.object.sealed).then_some(Fault::Damaged))
}
