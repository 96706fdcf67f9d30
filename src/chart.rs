//! Reading charts and entries: what is asked of the views, what is written into the ledger, what is opened.

use serde::Serialize;
use utoipa::ToSchema;
use wardbook_events::access::{ChartOpened, PatientsSearched, RecordsOpened};
use wardbook_events::records::{Addendum, RecordBody, RecordKind, Sensitivity};
use wardbook_events::values::{
    Address, BirthDate, Deceased, Email, Gender, Identifier, Insurance, Language, Mrn, NextOfKin, PersonName, Phone,
    Ssn,
};
use wardbook_events::{Field, Group, GroupSet, Outcome, PatientId, RecordId, Sealed, UserId};
use wardbook_keys::{AnyOf, SearchTerms};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit, Target};
use wardbook_projections::patients::Patient;
use wardbook_projections::records::{Record, RecordFilter, State};

use crate::api::schema;
use crate::app::App;
use crate::asker::Asker;
use crate::disclosure::{Case, Opening, Refusal, allow};
use crate::limits;
use crate::stages::Stages;

/// A patient's master data, as far as the caller may see it. What is missing is either withheld or not known: `groups`
/// says which groups were disclosed.
#[derive(Serialize, ToSchema)]
pub struct Chart {
    /// The patient; if the one asked for was merged, the one who goes on.
    #[schema(value_type = uuid::Uuid)]
    pub patient: PatientId,
    /// Version, to be sent back as `If-Match`.
    pub version: u64,
    /// Groups of fields that were disclosed.
    #[schema(value_type = Vec<schema::Group>)]
    pub groups: GroupSet,
    /// Groups that were erased: what was in them is known to nobody any more.
    #[schema(value_type = Vec<schema::Group>)]
    #[serde(skip_serializing_if = "none")]
    pub erased: GroupSet,
    /// Patients who were merged into this one.
    #[schema(value_type = Vec<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<PatientId>,
    /// Departments that treat the patient.
    pub departments: Vec<String>,
    /// Facilities that treat the patient; none means the whole organisation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facilities: Vec<String>,
    /// Law that applies.
    pub jurisdiction: String,
    /// Specially watched.
    pub vip: bool,
    #[schema(value_type = Option<schema::PersonName>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<PersonName>,
    #[schema(value_type = Option<String>, example = "1970-01-31")]
    #[serde(skip_serializing_if = "Option::is_none")]
    birth_date: Option<BirthDate>,
    #[schema(value_type = Option<schema::Gender>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    gender: Option<Gender>,
    #[schema(value_type = Option<schema::Deceased>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    deceased: Option<Deceased>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    #[schema(value_type = Option<Vec<schema::Address>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Vec<Address>>,
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    phones: Option<Vec<Phone>>,
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    emails: Option<Vec<Email>>,
    #[schema(value_type = Option<Vec<schema::NextOfKin>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_of_kin: Option<Vec<NextOfKin>>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ssn: Option<Ssn>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    mrn: Option<Mrn>,
    #[schema(value_type = Option<Vec<schema::Identifier>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    identifiers: Option<Vec<Identifier>>,
    #[schema(value_type = Option<Vec<schema::Insurance>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    insurance: Option<Vec<Insurance>>,
}

/// A clinical entry, opened.
#[derive(Serialize, ToSchema)]
pub struct OpenedRecord {
    /// The entry.
    #[schema(value_type = uuid::Uuid)]
    pub record: RecordId,
    /// The patient in whose chart it was written.
    #[schema(value_type = uuid::Uuid)]
    pub patient: PatientId,
    /// What kind of entry.
    #[schema(value_type = schema::RecordKind)]
    #[serde(rename = "type")]
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    #[schema(value_type = Vec<schema::Sensitivity>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sensitivity: Vec<Sensitivity>,
    /// Who wrote it.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<UserId>,
    /// `draft`, `signed` or `retracted`.
    pub state: &'static str,
    /// When it was added.
    #[schema(value_type = String)]
    pub added_at: jiff::Timestamp,
    /// Version, to be sent back as `If-Match`.
    pub version: u64,
    #[schema(value_type = schema::RecordBody)]
    pub(crate) body: RecordBody,
    /// What was added after signing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addenda: Vec<OpenedAddendum>,
}

#[derive(Serialize, ToSchema)]
struct OpenedAddendum {
    /// Who wrote it.
    #[schema(value_type = uuid::Uuid)]
    author: UserId,
    /// When.
    #[schema(value_type = String)]
    at: jiff::Timestamp,
    /// The text.
    #[schema(value_type = String)]
    text: wardbook_events::values::Text,
}

/// A patient found by a search.
#[derive(Serialize, ToSchema)]
pub struct Found {
    /// The patient.
    #[schema(value_type = uuid::Uuid)]
    pub patient: PatientId,
    #[schema(value_type = Option<schema::PersonName>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<PersonName>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    birth_date: Option<BirthDate>,
    #[schema(value_type = Option<schema::Gender>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    gender: Option<Gender>,
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    mrn: Option<Mrn>,
}

/// Opens a chart.
///
/// # Errors
/// [`Refusal::Hidden`] if there is no such patient for this caller.
pub async fn read_chart(
    app: &App,
    asker: &Asker,
    patient: PatientId,
    stages: &Stages,
) -> Result<(Chart, Receipt), Refusal> {
    let case = Case::to_read(app, asker, patient)?;
    let permit = case.read(GroupSet::all(), Action::ReadChart).await?;
    stages.end("policy");
    let Some(found) = app.views().patients.get(case.id())? else { return Err(case.hidden(Action::ReadChart).await) };
    stages.end("view");
    let fact = ChartOpened { patient: case.id(), groups: permit.groups(), grounds: permit.grounds(), as_of: None };
    let receipt = case.tell(fact, Outcome::Success, &[]).await?;
    stages.end("append");
    let opening = Opening::new(app, asker, receipt);
    let chart = open_chart(&opening, &permit, found)?;
    stages.end("open");
    Ok((chart, opening.into_receipt()))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn none(groups: &GroupSet) -> bool {
    groups.is_empty()
}

pub(crate) fn open_chart(opening: &Opening<'_>, permit: &Permit, found: Patient) -> Result<Chart, Refusal> {
    let stream = wardbook_events::patients::stream(found.patient);
    let sealed = Fields { patient: &found, stream: &stream };
    Ok(Chart {
        patient: found.patient,
        version: found.version,
        groups: permit.groups().without(found.erased),
        erased: found.erased,
        merged: found.absorbed.iter().copied().collect(),
        departments: found.departments.iter().cloned().collect(),
        facilities: found.facilities.iter().cloned().collect(),
        name: opening.optional(permit, sealed.get(Field::Name))?,
        birth_date: opening.optional(permit, sealed.get(Field::BirthDate))?,
        gender: opening.optional(permit, sealed.get(Field::Gender))?,
        deceased: opening.optional(permit, sealed.get(Field::Deceased))?,
        language: opening.optional(permit, sealed.get(Field::Language))?,
        addresses: opening.optional(permit, sealed.get(Field::Addresses))?,
        phones: opening.optional(permit, sealed.get(Field::Phones))?,
        emails: opening.optional(permit, sealed.get(Field::Emails))?,
        next_of_kin: opening.optional(permit, sealed.get(Field::NextOfKin))?,
        ssn: opening.optional(permit, sealed.get(Field::Ssn))?,
        mrn: opening.optional(permit, sealed.get(Field::Mrn))?,
        identifiers: opening.optional(permit, sealed.get(Field::OtherIdentifiers))?,
        insurance: opening.optional(permit, sealed.get(Field::Insurance))?,
        jurisdiction: found.jurisdiction,
        vip: found.vip,
    })
}

/// The sealed fields of a patient, with the stream's name made once.
struct Fields<'a> {
    patient: &'a Patient,
    stream: &'a str,
}

impl Fields<'_> {
    fn get<T>(&self, field: Field) -> Option<Sealed<T>> {
        self.patient.fields.get(self.patient.tenant, self.patient.patient, self.stream, field)
    }
}

/// Which entries are asked for.
#[derive(Debug, Default)]
pub struct RecordsAsked {
    /// Kind, years, and whether retracted ones too.
    pub filter: RecordFilter,
    /// Only from this day on.
    pub from: Option<jiff::civil::Date>,
    /// Only up to this day.
    pub to: Option<jiff::civil::Date>,
    /// Where the page begins.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// Opens one page of a chart's entries, newest first. Entries that the caller may not see are not on it.
///
/// Days are sealed; the view knows years. So a page is cut by year, opened, and then narrowed to the days: it may hold
/// fewer entries than asked for, and the event names all that were opened.
///
/// # Errors
/// [`Refusal::Hidden`] if there is no such patient for this caller.
pub async fn read_records(
    app: &App,
    asker: &Asker,
    patient: PatientId,
    asked: &RecordsAsked,
    stages: &Stages,
) -> Result<(Vec<OpenedRecord>, Option<u64>, Receipt), Refusal> {
    let case = Case::to_read(app, asker, patient)?;
    let permit = case.read(GroupSet::EMPTY.with(Group::Clinical), Action::ReadRecords).await?;
    stages.end("policy");
    let page = app.views().records.list(case.family(), &asked.filter, asked.before, asked.limit)?;
    stages.end("view");
    let mut permitted = Vec::with_capacity(page.items.len());
    for record in page.items {
        let unlabelled = record.sensitivity.is_empty() && record.patient == case.id();
        let of_record = if unlabelled { Some(permit.clone()) } else { case.read_record(&record)? };
        permitted.extend(of_record.map(|permit| (record, permit)));
    }
    stages.end("policy-entries");
    let receipt = tell_records(&case, &permit, &permitted, asked.filter.kind).await?;
    stages.end("append");
    let opening = Opening::new(app, asker, receipt);
    let mut opened = Vec::with_capacity(permitted.len());
    for (record, permit) in permitted {
        opened.push(open_record(&opening, &permit, record)?);
    }
    let within = |record: &OpenedRecord| {
        let day = record.body.day();
        asked.from.is_none_or(|from| day.is_some_and(|day| day >= from))
            && asked.to.is_none_or(|to| day.is_some_and(|day| day <= to))
    };
    opened.retain(within);
    stages.end("open");
    Ok((opened, page.next, opening.into_receipt()))
}

/// Opens one entry.
///
/// # Errors
/// [`Refusal::Hidden`] if there is no such patient or entry for this caller.
pub async fn read_record(
    app: &App,
    asker: &Asker,
    patient: PatientId,
    record: RecordId,
    stages: &Stages,
) -> Result<(OpenedRecord, Receipt), Refusal> {
    let case = Case::to_read(app, asker, patient)?;
    case.read(GroupSet::all(), Action::ReadRecords).await?;
    let found = app.views().records.get(record)?;
    stages.end("view");
    let permitted = match found {
        Some(found) => case.read_record(&found)?.map(|permit| (found, permit)),
        None => None,
    };
    let Some((found, permit)) = permitted else { return Err(case.hidden(Action::ReadRecords).await) };
    stages.end("policy");
    let permitted = [(found, permit.clone())];
    let receipt = tell_records(&case, &permit, &permitted, None).await?;
    stages.end("append");
    let opening = Opening::new(app, asker, receipt);
    let [(found, _)] = permitted;
    let opened = open_record(&opening, &permit, found)?;
    stages.end("open");
    Ok((opened, opening.into_receipt()))
}

async fn tell_records(
    case: &Case<'_>,
    permit: &Permit,
    permitted: &[(Record, Permit)],
    kind: Option<RecordKind>,
) -> Result<Receipt, Refusal> {
    let groups = permitted.iter().flat_map(|(_, permit)| permit.groups().iter()).fold(permit.groups(), GroupSet::with);
    let fact = RecordsOpened {
        patient: case.id(),
        records: permitted.iter().map(|(record, _)| record.record).collect(),
        kind,
        groups,
        grounds: permit.grounds(),
    };
    let others: Vec<_> = permitted.iter().map(|(record, _)| record.patient).filter(|of| *of != case.id()).collect();
    case.tell(fact, Outcome::Success, &others).await
}

pub(crate) fn open_record(opening: &Opening<'_>, permit: &Permit, record: Record) -> Result<OpenedRecord, Refusal> {
    let body = opening.open(permit, &record.sealed_body())?;
    let mut addenda = Vec::with_capacity(record.addenda.len());
    for addendum in &record.addenda {
        let Addendum { text } = opening.open(permit, &record.sealed_addendum(addendum))?;
        addenda.push(OpenedAddendum { author: addendum.author, at: addendum.at, text });
    }
    Ok(OpenedRecord {
        record: record.record,
        patient: record.patient,
        kind: record.kind,
        sensitivity: record.sensitivity,
        author: record.author,
        state: match record.state {
            State::Draft => "draft",
            State::Signed { .. } => "signed",
            State::Retracted { .. } => "retracted",
        },
        added_at: record.added_at,
        version: record.version,
        body,
        addenda,
    })
}

/// Finds patients. Only those whom the caller may see are found, and of each only what the caller may see is shown.
///
/// # Errors
/// [`Refusal::Forbidden`] if the caller may not search; [`Refusal::Throttled`].
pub async fn search(
    app: &App,
    asker: &Asker,
    terms: &SearchTerms,
    ways: &[Vec<AnyOf>],
    stages: &Stages,
) -> Result<(Vec<Found>, Receipt), Refusal> {
    let (may_search, ask) = allow(app, asker, Action::SearchPatients, Target::Tenant).await?;
    let principal = asker.principal();
    let wanted = GroupSet::EMPTY.with(Group::Demographics).with(Group::Identifiers);
    let limit = app.config().limits.search_max;
    let mut found: Vec<(Patient, Permit)> = Vec::new();
    let mut groups = GroupSet::EMPTY;
    // One way for each version of the index key that is in use: while patients are re-indexed, some are found by one only.
    'search: for sets in ways {
        // More than are shown: those whom the caller may not see do not count.
        for patient in app.views().patients.search(principal.tenant, sets, limit.saturating_mul(20))? {
            if found.iter().any(|(known, _)| known.patient == patient) {
                continue;
            }
            let Some(known) = app.views().patient_facts(patient)? else { continue };
            let permit = app.policies().read(principal, &known.facts, None, &ask, wanted, Action::SearchPatients);
            if let (Ok(permit), Some(patient)) = (permit, app.views().patients.get(patient)?) {
                groups = permit.groups().iter().fold(groups, GroupSet::with);
                found.push((patient, permit));
            }
            if found.len() >= limit {
                break 'search;
            }
        }
    }
    stages.end("view");
    let shown: Vec<_> = found.iter().map(|(patient, _)| patient.patient).collect();
    limits::admit(app, asker, &shown, None).await?;
    let fact = PatientsSearched { by: terms.kinds(), found: shown, groups, grounds: may_search.grounds() };
    let receipt = app.tell(ask.event, fact.into(), &asker.meta(Outcome::Success), &asker.client, &[]).await?;
    stages.end("append");
    let opening = Opening::new(app, asker, receipt);
    let mut shown = Vec::with_capacity(found.len());
    for (patient, permit) in &found {
        shown.push(Found {
            patient: patient.patient,
            name: opening.optional(permit, patient.sealed(Field::Name))?,
            birth_date: opening.optional(permit, patient.sealed(Field::BirthDate))?,
            gender: opening.optional(permit, patient.sealed(Field::Gender))?,
            mrn: opening.optional(permit, patient.sealed(Field::Mrn))?,
        });
    }
    // Only so many first letters are indexed; whoever begins otherwise after them was opened, hence told of, and is not shown.
    shown.retain(|found| found.name.as_ref().is_none_or(|name| terms.fits(name)));
    stages.end("open");
    Ok((shown, opening.into_receipt()))
}
