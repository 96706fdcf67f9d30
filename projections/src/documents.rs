//! Documents of a chart, and the names of their objects.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::documents::{self, DocumentBody, DocumentEvent, Fault, MediaType, Object};
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{Ciphertext, Event, PatientId, RecordId, Recorded, Sealed, TenantId, UserId};
use wardbook_policy::RecordFacts;

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::records::LastEntry;
use crate::row_key::{Key, trailing_id, trailing_number};
use crate::tx::{Tx, decode};

const DOCUMENT: u8 = 1;
/// By patient and position, to the document's id.
const CHART: u8 = 2;

/// The view of documents.
#[derive(Debug)]
pub struct DocumentsView;

/// A document as the view has it: what it says of itself and its object's key stay sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The document.
    pub document: RecordId,
    /// The patient under whose key it is sealed (one who was merged keeps the key).
    pub patient: PatientId,
    /// The organisation.
    pub tenant: TenantId,
    /// What kind of entry.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    pub sensitivity: Vec<Sensitivity>,
    /// The year it belongs to.
    pub year: Option<i16>,
    /// Who uploaded it.
    pub author: UserId,
    /// What its bytes are.
    pub media_type: MediaType,
    /// Bytes of its content.
    pub size_bytes: u64,
    /// Where the content is.
    pub object: Object,
    /// Sealed [`DocumentBody`].
    pub body: Ciphertext,
    /// The object's key, sealed.
    pub object_key: Ciphertext,
    /// Who said that it is wrong, and when.
    pub retracted: Option<(UserId, Timestamp)>,
    /// What was found wrong with the object last, and when.
    pub damaged: Option<(Fault, Timestamp)>,
    /// When it was added.
    pub added_at: Timestamp,
    /// Where in the log it was added: its place in lists.
    pub position: u64,
    /// Version of the stream `documents-<id>`: what `If-Match` is compared with.
    pub version: u64,
}

impl Document {
    /// What it says of itself, as a typed sealed value.
    #[must_use]
    pub fn sealed_body(&self) -> Sealed<DocumentBody> {
        self.sealed(documents::body_field(&self.sensitivity), &self.body)
    }
    /// The object's key, as a sealed value of the type that the caller knows.
    #[must_use]
    pub fn sealed_key<T>(&self) -> Sealed<T> {
        self.sealed(documents::key_field(&self.sensitivity), &self.object_key)
    }
    fn sealed<T>(&self, field: wardbook_events::Field, text: &Ciphertext) -> Sealed<T> {
        Sealed::new(self.tenant, self.patient, documents::sealed_in(self.document), field, text.clone())
    }
    /// For policy: a document is an entry of the chart.
    #[must_use]
    pub fn facts(&self) -> RecordFacts {
        RecordFacts {
            record: self.document,
            kind: self.kind,
            sensitivity: self.sensitivity.clone(),
            author: Some(self.author),
            signed: false,
        }
    }
}

fn document_key(document: RecordId) -> Vec<u8> {
    Key::table(DOCUMENT).bytes(document.bytes()).done()
}

fn chart_key(patient: PatientId, position: u64) -> Vec<u8> {
    Key::table(CHART).bytes(patient.bytes()).number(position).done()
}

impl View for DocumentsView {
    const NAME: &'static str = "documents";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Document(what) = &event.event else { return Ok(()) };
        let at = event.recorded_at;
        match what {
            DocumentEvent::Added(e) => {
                let document = Document {
                    document: e.document,
                    patient: e.patient,
                    tenant: event.meta.tenant,
                    kind: e.kind,
                    sensitivity: e.sensitivity.clone(),
                    year: e.year,
                    author: e.author,
                    media_type: e.media_type,
                    size_bytes: e.size_bytes,
                    object: e.object.clone(),
                    body: e.body.clone(),
                    object_key: e.object_key.clone(),
                    retracted: None,
                    damaged: None,
                    added_at: at,
                    position: event.position,
                    version: event.stream_version,
                };
                tx.put(chart_key(e.patient, event.position), e.document.bytes().to_vec())?;
                tx.put_value(document_key(e.document), &document)
            }
            DocumentEvent::Retracted(e) => change(tx, event, e.document, |known| known.retracted = Some((e.by, at))),
            DocumentEvent::Resealed(e) => change(tx, event, e.document, |known| {
                (known.body, known.object_key) = (e.body.clone(), e.object_key.clone());
            }),
            DocumentEvent::FoundDamaged(e) => {
                change(tx, event, e.document, |known| known.damaged = Some((e.fault, at)))
            }
        }
    }
}

fn change(tx: &mut Tx<'_>, event: &Recorded, id: RecordId, edit: impl FnOnce(&mut Document)) -> Result<(), ViewError> {
    let Some(mut document) = tx.value::<Document>(document_key(id))? else { return Ok(()) };
    edit(&mut document);
    document.version = event.stream_version;
    tx.put_value(document_key(id), &document)
}

impl Projection<DocumentsView> {
    /// One document.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, document: RecordId) -> Result<Option<Document>, ViewError> {
        self.live()?.get(&document_key(document))?.map(|row| decode(DocumentsView::NAME, &row)).transpose()
    }

    /// Documents of these patients (one person: see `patients.family`), the last added first. `before` is the `next` of
    /// the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn list(
        &self,
        patients: &[PatientId],
        retracted: bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Document>, ViewError> {
        let live = self.live()?;
        let mut found = Vec::new();
        for patient in patients {
            // One more than asked for tells whether there is another page.
            let mut wanted = limit.saturating_add(1);
            let end = chart_key(*patient, before.unwrap_or(u64::MAX));
            live.walk(&chart_key(*patient, 0), &end, true, |key, row| {
                let place = trailing_number(key).zip(trailing_id(row).map(RecordId::from_bytes));
                let (_, id) =
                    place.ok_or_else(|| ViewError::damaged(DocumentsView::NAME, "a row has not its shape"))?;
                let row = live.get(&document_key(id))?;
                let row = row.ok_or_else(|| ViewError::damaged(DocumentsView::NAME, "a document is missing"))?;
                let document: Document = decode(DocumentsView::NAME, &row)?;
                if retracted || document.retracted.is_none() {
                    found.push(document);
                    wanted = wanted.saturating_sub(1);
                }
                Ok(wanted > 0)
            })?;
        }
        found.sort_unstable_by_key(|document| std::cmp::Reverse(document.position));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|document| document.position).filter(|_| more);
        Ok(Page { items: found, next })
    }

    /// From when the last document of these patients is, as [`crate::records::RecordsView`] says it of other entries.
    /// Retracted ones count.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn last_entry(&self, patients: &[PatientId]) -> Result<Option<LastEntry>, ViewError> {
        let all = self.list(patients, true, None, usize::MAX)?.items;
        Ok(all
            .into_iter()
            .map(|document| match document.year {
                Some(year) => LastEntry { year: Some(year), undated: None },
                None => LastEntry { year: None, undated: Some(document.added_at) },
            })
            .reduce(LastEntry::or))
    }

    /// Every document of the server, `limit` of them after this one, by id: for looking after the objects.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn after(&self, document: Option<RecordId>, limit: usize) -> Result<Vec<Document>, ViewError> {
        let from = document.map_or_else(
            || Key::table(DOCUMENT).done(),
            |last| Key::table(DOCUMENT).bytes(last.bytes()).byte(0).done(),
        );
        let to = Key::table(DOCUMENT).bytes(&[0xff; 17]).done();
        let mut found = Vec::new();
        self.live()?.walk(&from, &to, false, |_, row| {
            found.push(decode(DocumentsView::NAME, row)?);
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use wardbook_events::documents::{Digests, DocumentAdded, DocumentFoundDamaged, DocumentRetracted, stream};

    use super::*;
    use crate::testing::{Log, at, patient, record, sealed, user, views};

    fn add(log: &mut Log, of: u64, document: u64) {
        let added = DocumentAdded {
            document: record(document),
            patient: patient(of),
            kind: RecordKind::Document,
            sensitivity: Vec::new(),
            year: None,
            author: user(1),
            media_type: MediaType::Png,
            size_bytes: document,
            object: Object {
                name: format!("{document}"),
                form: 1,
                sealed: Digests { sha256: "0".into(), blake3: "0".into() },
            },
            body: sealed(document),
            object_key: sealed(100 + document),
        };
        log.add(stream(record(document)), &[patient(of)], added);
    }

    #[test]
    fn documents_are_listed_by_chart_newest_first_and_without_those_that_are_wrong() {
        let mut log = Log::default();
        (0..6).for_each(|document| add(&mut log, document % 2, document));
        let retracted = DocumentRetracted { document: record(2), patient: patient(0), by: user(2) };
        log.add(stream(record(2)), &[patient(0)], retracted);
        let damaged = DocumentFoundDamaged { document: record(4), patient: patient(0), fault: Fault::Cut, chunk: None };
        log.add(stream(record(4)), &[patient(0)], damaged);
        let (_dir, views) = views(&log);
        let ids = |page: &Page<Document>| page.items.iter().map(|one| one.size_bytes).collect::<Vec<_>>();
        let listed = views.documents.list(&[patient(0)], false, None, 10).unwrap();
        assert_eq!((ids(&listed), listed.next), (vec![4, 0], None));
        assert_eq!(listed.items[0].damaged, Some((Fault::Cut, at(7))));
        let first = views.documents.list(&[patient(0), patient(1)], true, None, 4).unwrap();
        assert_eq!(ids(&first), [5, 4, 3, 2]);
        let second = views.documents.list(&[patient(0), patient(1)], true, first.next, 4).unwrap();
        assert_eq!((ids(&second), second.next), (vec![1, 0], None));
        let known = views.documents.get(record(2)).unwrap().unwrap();
        assert_eq!((known.version, known.retracted), (2, Some((user(2), at(6)))));
        assert_eq!(views.documents.get(record(9)).unwrap(), None);
    }

    #[test]
    fn all_documents_are_walked_page_by_page() {
        let mut log = Log::default();
        (0..7).for_each(|document| add(&mut log, document, document));
        let (_dir, views) = views(&log);
        let (mut last, mut seen) = (None, Vec::new());
        loop {
            let page = views.documents.after(last, 3).unwrap();
            let Some(end) = page.last() else { break };
            last = Some(end.document);
            seen.extend(page.iter().map(|one| one.size_bytes));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..7).collect::<Vec<_>>());
    }
}
