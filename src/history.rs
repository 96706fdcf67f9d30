//! A chart as it stood at an instant or position: the events of the patient up to then, folded by the views' own code
//! in a directory of their own, and opened under the permissions of today.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use wardbook_events::access::ChartOpened;
use wardbook_events::{GroupSet, Outcome, PatientId, Recorded};
use wardbook_keys::OpenError;
use wardbook_ledger::{Direction, Entry, Receipt, SubjectId};
use wardbook_policy::Action;
use wardbook_projections::records::RecordFilter;
use wardbook_projections::{Stretch, Views, ViewsConfig};

use crate::app::App;
use crate::asker::Asker;
use crate::chart::{Chart, OpenedRecord, open_chart, open_record};
use crate::disclosure::{Case, Opening, Refusal};
use crate::recorded::{self, EntryError};

/// Up to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// With the event at this position, and everything before.
    Position(u64),
    /// With everything recorded up to this instant.
    Time(Timestamp),
}

impl AsOf {
    fn includes(self, entry: &Entry) -> bool {
        match self {
            Self::Position(position) => entry.position().get() <= position,
            Self::Time(at) => entry.recorded_at().0 <= at.as_microsecond(),
        }
    }
}

impl std::str::FromStr for AsOf {
    type Err = NotAMoment;
    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let position = text.parse().map(Self::Position);
        position.or_else(|_| text.parse().map(Self::Time)).map_err(|_| NotAMoment)
    }
}

/// Text that is neither a position nor an instant.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("expected a position such as 4711 or an instant such as 2026-03-04T12:00:00Z")]
pub struct NotAMoment;

/// A chart of the past.
pub struct PastChart {
    /// Position of the last event that it rests on.
    pub position: u64,
    /// Master data.
    pub chart: Chart,
    /// Clinical entries, newest first.
    pub records: Vec<OpenedRecord>,
    /// Values, or entries as a whole, that are left out: they are sealed under versions that were disabled since.
    pub closed: u64,
    /// The event of this very look.
    pub receipt: Receipt,
}

/// Why a chart of the past could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It may not be seen, or could not be opened.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The ledger could not be read.
    #[error(transparent)]
    Read(#[from] wardbook_ledger::ReadError),
    /// An event of it is not one we know.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The views could not be made.
    #[error(transparent)]
    View(#[from] wardbook_projections::ViewError),
    /// The chart did not exist yet.
    #[error("this chart did not exist yet at that time")]
    NotYet,
}

/// Opens the chart of a patient as it stood. Names the patient exactly: a chart of before a merge is that patient's own.
///
/// # Errors
/// [`HistoryError`]; nothing is opened before the event of this look is durable.
pub async fn read(app: &App, asker: &Asker, patient: PatientId, as_of: AsOf) -> Result<PastChart, HistoryError> {
    let case = Case::exactly(app, asker, patient)?;
    let permit = case.read(GroupSet::all(), Action::ReadChart).await?;
    let events = events(app, patient, as_of)?;
    let position = events.last().ok_or(HistoryError::NotYet)?.position;
    let scratch = Scratch::new(app.data().root(), case.ask.event);
    let views = Views::open(&ViewsConfig::new(scratch.0.clone()))?;
    views.apply(Stretch::new(0, &events, position.saturating_add(1)))?;
    let mut found = views.patients.get(patient)?.ok_or(HistoryError::NotYet)?;
    // What was erased since does not open any more, however old the chart.
    found.erased = app.views().patients.get(patient)?.map_or(found.erased, |now| now.erased.union(found.erased));
    let filter = RecordFilter { retracted: true, ..RecordFilter::default() };
    let page = views.records.list(&[patient], &filter, None, usize::MAX)?;
    let fact = ChartOpened { patient, groups: permit.groups(), grounds: permit.grounds(), as_of: Some(position) };
    let receipt = case.tell(fact, Outcome::Success, &[]).await?;
    let opening = Opening::of_the_past(app, asker, receipt);
    let chart = open_chart(&opening, &permit, found)?;
    let mut records = Vec::new();
    for record in page.items {
        if let Some(permit) = case.read_record(&record)? {
            match open_record(&opening, &permit, record) {
                Err(Refusal::Open(OpenError::Destroyed { .. })) => {}
                Err(error) if opening.is_closed(&error) => {}
                opened => records.push(opened?),
            }
        }
    }
    Ok(PastChart { position, chart, records, closed: opening.closed(), receipt: opening.into_receipt() })
}

fn events(app: &App, patient: PatientId, as_of: AsOf) -> Result<Vec<Recorded>, HistoryError> {
    let subject = SubjectId::from_bytes(*patient.bytes());
    let entries = app.ledger().subject(&subject, 1, Direction::Forward, usize::MAX)?;
    Ok(recorded::decode_all(entries.iter().take_while(|entry| as_of.includes(entry)))?)
}

/// A directory that goes away with this value. It holds only what is sealed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(root: &Path, id: wardbook_events::EventId) -> Self {
        Self(root.join(format!("as-of-{id}")))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "a scratch directory of a past chart could not be removed");
        }
    }
}
