//! Reading the audit trail. Reading it is itself an event, and durable before anything is shown.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_events::access::{AccessListRead, AuditRead};
use wardbook_events::{CorrelationId, Event, GroupSet, Outcome, PatientId, Purpose, Role, SessionId, UserId};
use wardbook_ledger::{Position, Receipt};
use wardbook_policy::{Action, Permit, Target};
use wardbook_projections::ViewError;
use wardbook_projections::audit::AuditFilter;

use crate::api::problem::Problem;
use crate::api::schema;
use crate::app::App;
use crate::asker::Asker;
use crate::disclosure::{Case, Refusal, allow};
use crate::trail::{self, TrailEntry};

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct TrailAsked {
    /// Concerning this patient.
    pub patient: Option<PatientId>,
    /// Done by this user.
    pub actor: Option<UserId>,
    /// In this session.
    pub session: Option<SessionId>,
    /// Of this type, or of this area (`access` for all accesses).
    pub kind: Option<String>,
    /// That ended like this.
    pub outcome: Option<Outcome>,
    /// Caused by this request.
    pub correlation: Option<CorrelationId>,
    /// Recorded at this instant or later.
    pub since: Option<Timestamp>,
    /// Recorded before this instant.
    pub until: Option<Timestamp>,
}

impl TrailAsked {
    /// Names of the filters in use, for the event.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let used = [
            ("patient", self.patient.is_some()),
            ("actor", self.actor.is_some()),
            ("session", self.session.is_some()),
            ("type", self.kind.is_some()),
            ("outcome", self.outcome.is_some()),
            ("correlation", self.correlation.is_some()),
            ("since", self.since.is_some()),
            ("until", self.until.is_some()),
        ];
        used.into_iter().filter(|(_, used)| *used).map(|(name, _)| name.to_owned()).collect()
    }

    /// The filter of the view, within the asker's organisation. A patient stands for the whole family of merged ones.
    ///
    /// # Errors
    /// If a view cannot answer.
    pub fn filter(&self, app: &App, asker: &Asker) -> Result<AuditFilter, ViewError> {
        let tenant = asker.principal().tenant;
        let patients = match self.patient {
            None => Vec::new(),
            Some(patient) => match app.views().patient_facts(patient)?.filter(|known| known.facts.tenant == tenant) {
                Some(known) => known.family.to_vec(),
                None => vec![patient],
            },
        };
        let types = match &self.kind {
            None => Vec::new(),
            Some(area) if area.ends_with('.') || !area.contains('.') => {
                let area = format!("{}.", area.trim_end_matches('.'));
                let of_area: Vec<_> =
                    Event::types().into_iter().map(|(name, _)| name).filter(|name| name.starts_with(&area)).collect();
                // An unknown area matches nothing, not everything.
                if of_area.is_empty() { vec![area] } else { of_area.into_iter().map(str::to_owned).collect() }
            }
            Some(kind) => vec![kind.clone()],
        };
        Ok(AuditFilter {
            tenant: Some(tenant),
            patients,
            actor: self.actor,
            session: self.session,
            types,
            outcome: self.outcome,
            correlation: self.correlation,
            since: self.since,
            until: self.until,
        })
    }
}

/// One page of the trail, newest first.
///
/// # Errors
/// If the caller may not read it, or a part cannot answer.
pub async fn read(
    app: &App,
    asker: &Asker,
    asked: &TrailAsked,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<TrailEntry>, Option<u64>, Receipt), Problem> {
    let (permit, event) = may_read(app, asker, Action::ReadAudit, asked.patient).await?;
    let fact = AuditRead {
        patient: permit.patient(),
        filters: asked.names(),
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        grounds: permit.grounds(),
    };
    let receipt = app.tell(event, fact.into(), &asker.meta(Outcome::Success), &asker.client, &[]).await?;
    let filter = asked.filter(app, asker).map_err(Problem::from)?;
    let (entries, next) = page(app, &filter, before, limit).await?;
    Ok((entries, next, receipt))
}

/// The permit to read the trail, of one patient or of the organisation. A patient whom nobody knows is no secret to who
/// may read everything: there is just nothing to be found.
pub(crate) async fn may_read(
    app: &App,
    asker: &Asker,
    action: Action,
    patient: Option<PatientId>,
) -> Result<(Permit, wardbook_events::EventId), Refusal> {
    let tenant = asker.principal().tenant;
    let known = match patient {
        Some(patient) => app.views().patient_facts(patient)?.filter(|known| known.facts.tenant == tenant),
        None => None,
    };
    let target = Target::Audit(known.as_ref().map(|known| &known.facts));
    let (permit, ask) = allow(app, asker, action, target).await?;
    Ok((permit, ask.event))
}

/// Finds positions in the view and reads the entries from the ledger, off the async threads.
///
/// # Errors
/// If the view or the ledger cannot be read.
pub async fn page(
    app: &App,
    filter: &AuditFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<TrailEntry>, Option<u64>), Problem> {
    let (app, filter) = (app.clone(), filter.clone());
    actix_web::web::block(move || page_blocking(&app, &filter, before, limit)).await?
}

/// Blocking part of [`page`].
pub(crate) fn page_blocking(
    app: &App,
    filter: &AuditFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<TrailEntry>, Option<u64>), Problem> {
    let found = app.views().audit.find(filter, before, limit)?;
    let mut entries = Vec::with_capacity(found.items.len());
    for position in found.items {
        let Some(entry) = app.ledger().read(Position(position))? else { continue };
        entries.extend(trail::read(&entry)?.map(|(_, trail)| trail));
    }
    Ok((entries, found.next))
}

/// One event about a patient, as the patient is told of it.
#[derive(Serialize, ToSchema)]
pub struct Look {
    /// Place in the whole log: `GET /v1/ledger/proof/{position}` proves that it stands there.
    position: u64,
    /// When.
    #[schema(value_type = String)]
    at: Timestamp,
    /// What happened, such as `access.chart-opened`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: std::borrow::Cow<'static, str>,
    /// Who did it.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<UserId>,
    /// The name that person logs in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// The role acted in.
    #[schema(value_type = Option<schema::Role>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// Why (HL7 PurposeOfUse).
    #[schema(value_type = String)]
    purpose: Purpose,
    /// How it ended.
    #[schema(value_type = String)]
    outcome: Outcome,
    /// Groups of fields that were disclosed.
    #[schema(value_type = Vec<schema::Group>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<&'static str>,
}

/// Who looked at a patient, or changed something: for the patient, and for those who answer for compliance.
///
/// # Errors
/// [`Refusal::Hidden`] if there is no such patient for this caller.
pub async fn access_list(
    app: &App,
    asker: &Asker,
    patient: PatientId,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<Look>, Option<u64>, Receipt), Problem> {
    let (case, receipt) = tell_access_list(app, asker, patient, false, limit).await?;
    let filter = AuditFilter { patients: case.family().to_vec(), ..AuditFilter::default() };
    let before = before.or_else(|| Some(receipt.position().get().saturating_add(1)));
    app.seen(&receipt).await?;
    let task = app.clone();
    let (looks, next) = actix_web::web::block(move || looks(&task, &filter, before, limit)).await??;
    Ok((looks, next, receipt))
}

/// Asks policy and writes the event: the patient's own look, or the audit of somebody who may.
///
/// # Errors
/// [`Refusal::Hidden`] if there is no such patient for this caller.
pub async fn tell_access_list<'a>(
    app: &'a App,
    asker: &'a Asker,
    patient: PatientId,
    with_proof: bool,
    limit: usize,
) -> Result<(Case<'a>, Receipt), Refusal> {
    let case = Case::to_read(app, asker, patient)?;
    let overseer =
        app.policies().act(asker.principal(), Action::ReadAudit, Target::Audit(Some(case.facts())), &case.ask);
    let others: Vec<_> = case.family().iter().copied().filter(|one| *one != case.id()).collect();
    let receipt = match overseer {
        Ok(permit) if case.is_known() => {
            let filters = vec!["patient".to_owned()];
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let fact = AuditRead { patient: Some(case.id()), filters, limit, grounds: permit.grounds() };
            case.tell(fact, Outcome::Success, &others).await?
        }
        _ => {
            let permit = case.act(Action::ReadOwnAccessList).await?;
            let fact = AccessListRead { patient: case.id(), with_proof, grounds: permit.grounds() };
            case.tell(fact, Outcome::Success, &others).await?
        }
    };
    Ok((case, receipt))
}

fn looks(
    app: &App,
    filter: &AuditFilter,
    before: Option<u64>,
    limit: usize,
) -> Result<(Vec<Look>, Option<u64>), Problem> {
    let found = app.views().audit.find(filter, before, limit)?;
    let mut names = std::collections::HashMap::new();
    let mut looks = Vec::with_capacity(found.items.len());
    for position in found.items {
        let Some(entry) = app.ledger().read(Position(position))? else { continue };
        let Some((recorded, trail)) = trail::read(&entry)? else { continue };
        let username = match trail.actor {
            Some(actor) => match names.entry(actor) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(app.views().identity.user(actor)?.map(|user| user.username))
                }
            }
            .clone(),
            None => None,
        };
        looks.push(Look {
            position: trail.position,
            at: trail.recorded_at,
            kind: trail.kind,
            actor: trail.actor,
            username,
            role: trail.role,
            purpose: trail.purpose,
            outcome: trail.outcome,
            groups: groups_of(&recorded.event).iter().map(wardbook_events::Group::name).collect(),
        });
    }
    Ok((looks, found.next))
}

fn groups_of(event: &Event) -> GroupSet {
    use wardbook_events::access::AccessEvent;
    match event {
        Event::Access(AccessEvent::ChartOpened(e)) => e.groups,
        Event::Access(AccessEvent::RecordsOpened(e)) => e.groups,
        Event::Access(AccessEvent::DocumentOpened(e)) => e.groups,
        Event::Access(AccessEvent::PatientsSearched(e)) => e.groups,
        _ => GroupSet::EMPTY,
    }
}
