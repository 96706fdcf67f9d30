//! Clinical entries of a chart.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::patients::PatientEvent;
use wardbook_events::records::{self, Addendum, RecordBody, RecordEvent, RecordKind, Sensitivity};
use wardbook_events::{Ciphertext, Event, GroupSet, PatientId, RecordId, Recorded, Sealed, TenantId, UserId};

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_number};
use crate::tx::{Tx, decode};

/// Entries by position: new ones come at the end, where sled takes them in best, as they are large.
const RECORD: u8 = 1;
/// Small rows, by patient and position, that tell which entries to read for a list.
const CHART: u8 = 2;
/// From an entry's id to its position.
const PLACE: u8 = 3;

/// What somebody is writing, by author and id: only its author ever finds it.
const DRAFT: u8 = 4;

/// The view of clinical entries.
#[derive(Debug)]
pub struct RecordsView;

/// How far an entry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// May still be changed.
    Draft,
    /// Signed: only addenda can follow.
    Signed {
        /// Who signed.
        by: UserId,
        /// When.
        at: Timestamp,
    },
    /// Turned out to be wrong and counts no more.
    Retracted {
        /// Who said so.
        by: UserId,
        /// When.
        at: Timestamp,
    },
}

/// Text added to a signed entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedAddendum {
    /// Who wrote it.
    pub author: UserId,
    /// When.
    pub at: Timestamp,
    /// Sealed [`Addendum`].
    pub text: Ciphertext,
}

/// An entry as the view has it: the body stays sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The entry.
    pub record: RecordId,
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
    /// Who wrote it; absent for entries that came from elsewhere.
    pub author: Option<UserId>,
    /// Sealed [`RecordBody`].
    pub body: Ciphertext,
    /// How far it has come.
    pub state: State,
    /// What was added after signing, oldest first.
    pub addenda: Vec<SealedAddendum>,
    /// When it was added.
    pub added_at: Timestamp,
    /// Where in the log it was added: its place in lists.
    pub position: u64,
    /// Version of the stream `records-<id>`: what `If-Match` is compared with.
    pub version: u64,
}

impl Record {
    /// The body as a typed sealed value.
    #[must_use]
    pub fn sealed_body(&self) -> Sealed<RecordBody> {
        let field = records::body_field(&self.sensitivity);
        Sealed::new(self.tenant, self.patient, records::stream(self.record), field, self.body.clone())
    }
    /// An addendum as a typed sealed value.
    #[must_use]
    pub fn sealed_addendum(&self, addendum: &SealedAddendum) -> Sealed<Addendum> {
        let field = records::addendum_field(&self.sensitivity);
        Sealed::new(self.tenant, self.patient, records::stream(self.record), field, addendum.text.clone())
    }
}

/// What somebody is writing, as it was kept last: the content stays sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The draft; the entry made of it has the same id.
    pub draft: RecordId,
    /// For whose chart.
    pub patient: PatientId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who writes.
    pub author: UserId,
    /// What kind of entry it is going to be.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    pub sensitivity: Vec<Sensitivity>,
    /// Sealed content, any JSON.
    pub body: Ciphertext,
    /// When it was kept last.
    pub saved_at: Timestamp,
    /// Version of the stream `drafts-<id>`.
    pub version: u64,
}

impl Draft {
    /// The content as a typed sealed value: sealed as the body of the entry that it may become.
    #[must_use]
    pub fn sealed_body(&self) -> Sealed<serde_json::Value> {
        let field = records::body_field(&self.sensitivity);
        Sealed::new(self.tenant, self.patient, records::stream(self.draft), field, self.body.clone())
    }
}

/// When the last entry of a chart is from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LastEntry {
    /// The latest year of those that have one.
    pub year: Option<i16>,
    /// When the newest of those without a year was added.
    pub undated: Option<Timestamp>,
}

impl LastEntry {
    /// The later of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { year: self.year.max(other.year), undated: self.undated.max(other.undated) }
    }
}

/// Which entries a list is to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// Only this kind.
    pub kind: Option<RecordKind>,
    /// Only of these years; entries without a year then do not match.
    pub years: Option<RangeInclusive<i16>>,
    /// Retracted entries too.
    pub retracted: bool,
}

/// What a row of a chart holds, so that entries that do not match are passed over unread: kind, how it stands, year.
fn label(record: &Record) -> [u8; 4] {
    let [high, low] = record.year.unwrap_or(i16::MIN).to_be_bytes();
    [record.kind as u8, u8::from(matches!(record.state, State::Retracted { .. })), high, low]
}

/// How an entry stands whose body was erased: this row is all that is left of it, so that it still counts.
const ERASED: u8 = 2;

fn matches(filter: &RecordFilter, row: &[u8]) -> bool {
    let Some([kind, retracted, high, low]) = row.first_chunk::<4>() else { return true };
    let year = i16::from_be_bytes([*high, *low]);
    *retracted != ERASED
        && filter.kind.is_none_or(|wanted| wanted as u8 == *kind)
        && (filter.retracted || *retracted == 0)
        && filter.years.as_ref().is_none_or(|years| year != i16::MIN && years.contains(&year))
}

fn record_key(position: u64) -> Vec<u8> {
    Key::table(RECORD).number(position).done()
}

fn chart_key(patient: PatientId, position: u64) -> Vec<u8> {
    Key::table(CHART).bytes(patient.bytes()).number(position).done()
}

fn place_key(record: RecordId) -> Vec<u8> {
    Key::table(PLACE).bytes(record.bytes()).done()
}

fn draft_key(author: UserId, draft: RecordId) -> Vec<u8> {
    Key::table(DRAFT).bytes(author.bytes()).bytes(draft.bytes()).done()
}

/// The row of [`PLACE`]: a position.
fn place(row: &[u8]) -> Result<u64, ViewError> {
    trailing_number(row).ok_or_else(|| ViewError::damaged(RecordsView::NAME, "a row does not have its shape"))
}

fn put(tx: &mut Tx<'_>, record: &Record) -> Result<(), ViewError> {
    tx.put(chart_key(record.patient, record.position), label(record).to_vec())?;
    tx.put_value(record_key(record.position), record)
}

/// Drops the entries and drafts of a patient that are sealed in these groups; what they were is still counted.
fn forget(tx: &mut Tx<'_>, patient: PatientId, groups: GroupSet) -> Result<(), ViewError> {
    let is_lost = |sensitivity: &[Sensitivity]| groups.contains(records::body_field(sensitivity).group());
    for key in tx.keys(&chart_key(patient, 0), &chart_key(patient, u64::MAX))? {
        let position = place(&key)?;
        let Some(record) = tx.value::<Record>(record_key(position))?.filter(|found| is_lost(&found.sensitivity)) else {
            continue;
        };
        tx.remove(record_key(position))?;
        tx.remove(place_key(record.record))?;
        let [kind, _, high, low] = label(&record);
        tx.put(key, vec![kind, ERASED, high, low])?;
    }
    for key in tx.keys(&Key::table(DRAFT).done(), &Key::table(DRAFT + 1).done())? {
        let found = tx.value::<Draft>(key.clone())?;
        if found.is_some_and(|draft| draft.patient == patient && is_lost(&draft.sensitivity)) {
            tx.remove(key)?;
        }
    }
    Ok(())
}

impl View for RecordsView {
    const NAME: &'static str = "records";
    const CODE_VERSION: u32 = 4;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let what = match &event.event {
            Event::Record(what) => what,
            Event::Patient(PatientEvent::Erased(e)) => return forget(tx, e.patient, GroupSet::all()),
            Event::Patient(PatientEvent::GroupsErased(e)) => return forget(tx, e.patient, e.groups),
            _ => return Ok(()),
        };
        match what {
            RecordEvent::Added(e) => {
                let record = Record {
                    record: e.record,
                    patient: e.patient,
                    tenant: event.meta.tenant,
                    kind: e.kind,
                    sensitivity: e.sensitivity.clone(),
                    year: e.year,
                    author: e.author,
                    body: e.body.clone(),
                    state: State::Draft,
                    addenda: Vec::new(),
                    added_at: event.recorded_at,
                    position: event.position,
                    version: event.stream_version,
                };
                tx.put(place_key(e.record), event.position.to_be_bytes().to_vec())?;
                put(tx, &record)
            }
            RecordEvent::Amended(e) => change(tx, event, e.record, |record| {
                record.body = e.new.clone();
                record.year = e.year;
            }),
            RecordEvent::Signed(e) => {
                change(tx, event, e.record, |record| record.state = State::Signed { by: e.by, at: event.recorded_at })
            }
            RecordEvent::AddendumAdded(e) => change(tx, event, e.record, |record| {
                record.addenda.push(SealedAddendum { author: e.author, at: event.recorded_at, text: e.text.clone() });
            }),
            RecordEvent::Retracted(e) => change(tx, event, e.record, |record| {
                record.state = State::Retracted { by: e.by, at: event.recorded_at }
            }),
            RecordEvent::DraftSaved(e) => {
                let draft = Draft {
                    draft: e.draft,
                    patient: e.patient,
                    tenant: event.meta.tenant,
                    author: e.author,
                    kind: e.kind,
                    sensitivity: e.sensitivity.clone(),
                    body: e.body.clone(),
                    saved_at: e.at,
                    version: event.stream_version,
                };
                tx.put_value(draft_key(e.author, e.draft), &draft)
            }
            RecordEvent::DraftDiscarded(e) => tx.remove(draft_key(e.author, e.draft)),
            RecordEvent::Resealed(e) => change(tx, event, e.record, |record| {
                record.body = e.body.clone();
                for (addendum, text) in record.addenda.iter_mut().zip(&e.addenda) {
                    addendum.text = text.clone();
                }
            }),
            RecordEvent::DraftResealed(e) => {
                let key = draft_key(e.author, e.draft);
                let Some(mut draft) = tx.value::<Draft>(key.clone())? else { return Ok(()) };
                draft.body = e.body.clone();
                draft.version = event.stream_version;
                tx.put_value(key, &draft)
            }
        }
    }
}

fn change(tx: &mut Tx<'_>, event: &Recorded, id: RecordId, edit: impl FnOnce(&mut Record)) -> Result<(), ViewError> {
    let Some(position) = tx.get(place_key(id))?.map(place).transpose()? else { return Ok(()) };
    let Some(mut record) = tx.value::<Record>(record_key(position))? else { return Ok(()) };
    edit(&mut record);
    record.version = event.stream_version;
    put(tx, &record)
}

impl Projection<RecordsView> {
    /// One entry.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, record: RecordId) -> Result<Option<Record>, ViewError> {
        let live = self.live()?;
        let Some(position) = live.get(&place_key(record))?.map(|row| place(&row)).transpose()? else { return Ok(None) };
        live.get(&record_key(position))?.map(|row| decode(RecordsView::NAME, &row)).transpose()
    }

    /// Entries of these patients (one person: see `patients.family`), the last added first. `before` is the `next` of
    /// the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn list(
        &self,
        patients: &[PatientId],
        filter: &RecordFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Record>, ViewError> {
        let live = self.live()?;
        let end = before.unwrap_or(u64::MAX);
        let mut found = Vec::new();
        for patient in patients {
            // One more than asked for tells whether there is another page.
            let mut wanted = limit.saturating_add(1);
            live.walk(&chart_key(*patient, 0), &chart_key(*patient, end), true, |key, row| {
                if matches(filter, row) {
                    found.push(place(key)?);
                    wanted = wanted.saturating_sub(1);
                }
                Ok(wanted > 0)
            })?;
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().copied().filter(|_| more);
        let mut items = Vec::with_capacity(found.len());
        for position in found {
            let row = live.get(&record_key(position))?;
            let row = row.ok_or_else(|| ViewError::damaged(RecordsView::NAME, "an entry of a chart is missing"))?;
            items.push(decode(RecordsView::NAME, &row)?);
        }
        Ok(Page { items, next })
    }

    /// Of these patients: how many entries of each kind there are, those whose bodies were erased included.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn counts(&self, patients: &[PatientId]) -> Result<BTreeMap<u8, u64>, ViewError> {
        let live = self.live()?;
        let mut counts = BTreeMap::new();
        for patient in patients {
            live.walk(&chart_key(*patient, 0), &chart_key(*patient, u64::MAX), false, |_, row| {
                *counts.entry(row.first().copied().unwrap_or_default()).or_default() += 1;
                Ok(true)
            })?;
        }
        Ok(counts)
    }

    /// The year, or the instant if no year is known, of the last entry of these patients: from then on runs the time for
    /// which the law asks that a chart be kept. Retracted entries count: they are what happened.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn last_entry(&self, patients: &[PatientId]) -> Result<Option<LastEntry>, ViewError> {
        let live = self.live()?;
        let mut last = LastEntry::default();
        for patient in patients {
            let mut undated = None;
            live.walk(&chart_key(*patient, 0), &chart_key(*patient, u64::MAX), true, |key, row| {
                let Some([_, state, high, low]) = row.first_chunk::<4>() else { return Ok(true) };
                match i16::from_be_bytes([*high, *low]) {
                    _ if *state == ERASED => {}
                    // The newest without a year is met first.
                    i16::MIN => _ = undated.get_or_insert(place(key)?),
                    year => last.year = last.year.max(Some(year)),
                }
                Ok(true)
            })?;
            if let Some(position) = undated {
                let row = live.get(&record_key(position))?;
                let record = row.map(|row| decode::<Record>(RecordsView::NAME, &row)).transpose()?;
                last.undated = last.undated.max(record.map(|record| record.added_at));
            }
        }
        Ok((last != LastEntry::default()).then_some(last))
    }

    /// Ids of entries of this patient, those that were erased left out, in the order in which they were added; from `after` on, the
    /// last of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn ids(&self, patient: PatientId, after: Option<u64>, limit: usize) -> Result<Vec<(u64, RecordId)>, ViewError> {
        let live = self.live()?;
        let from = chart_key(patient, after.map_or(0, |after| after.saturating_add(1)));
        let mut found = Vec::new();
        live.walk(&from, &chart_key(patient, u64::MAX), false, |key, row| {
            if row.get(1) != Some(&ERASED) {
                let position = place(key)?;
                if let Some(row) = live.get(&record_key(position))? {
                    found.push((position, decode::<Record>(RecordsView::NAME, &row)?.record));
                }
            }
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }

    /// Drafts for charts of the organisation, or for one patient's, whoever writes them. For what happens seldom: it reads all drafts.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn drafts_for(&self, tenant: TenantId, only: Option<PatientId>) -> Result<Vec<Draft>, ViewError> {
        let mut found = Vec::new();
        self.live()?.walk(&Key::table(DRAFT).done(), &Key::table(DRAFT + 1).done(), false, |_, row| {
            let draft: Draft = decode(RecordsView::NAME, row)?;
            if draft.tenant == tenant && only.is_none_or(|patient| draft.patient == patient) {
                found.push(draft);
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// A draft of this author.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn draft(&self, author: UserId, draft: RecordId) -> Result<Option<Draft>, ViewError> {
        self.live()?.get(&draft_key(author, draft))?.map(|row| decode(RecordsView::NAME, &row)).transpose()
    }

    /// The drafts of this author, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn drafts_of(&self, author: UserId, limit: usize) -> Result<Vec<Draft>, ViewError> {
        let from = Key::table(DRAFT).bytes(author.bytes());
        let to = from.clone().bytes(&[0xff; 17]).done();
        let mut found = Vec::new();
        self.live()?.walk(&from.done(), &to, false, |_, row| {
            found.push(decode(RecordsView::NAME, row)?);
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }
}
