//! The report of a month: who broke the glass how often, and what stands out (ACC-20).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_events::access::AccessEvent;
use wardbook_events::break_glass::ReviewOutcome;
use wardbook_events::{EmergencyId, Event, PatientId, TenantId, UserId};
use wardbook_ledger::Position;
use wardbook_policy::WallClock;
use wardbook_projections::audit::AuditFilter;
use wardbook_projections::break_glass::Emergency;

use super::Month;
use crate::api::problem::Problem;
use crate::api::schema;
use crate::app::App;
use crate::recorded;

/// Emergencies of one quarter that a report looks at; an organisation with more has another problem.
const EMERGENCIES_MAX: usize = 10_000;
/// Looks of one user in one emergency that are read to tell which other patients were opened.
const LOOKS_MAX: usize = 500;

/// What stands out about an emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The user broke the glass more often in the quarter than `break_glass.quarter_max`.
    Often,
    /// Nothing was opened: there was hardly an emergency.
    NothingOpened,
    /// Other patients were opened at the same time.
    OtherPatients,
    /// The user was not on shift, as far as shifts are known.
    OffShift,
    /// It was left to run out.
    WholeTime,
    /// Nobody judged it in time.
    ReviewedLate,
    /// It was found inappropriate.
    Inappropriate,
}

/// One emergency of the month.
#[derive(Serialize, ToSchema)]
pub struct MarkedAnswer {
    #[schema(value_type = uuid::Uuid)]
    emergency: EmergencyId,
    #[schema(value_type = uuid::Uuid)]
    patient: PatientId,
    #[schema(value_type = String)]
    started_at: Timestamp,
    /// When it was over, or will be.
    #[schema(value_type = String)]
    until: Timestamp,
    #[schema(value_type = Option<schema::ReviewOutcome>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<ReviewOutcome>,
    /// Things that were opened in it.
    touched: usize,
    /// Other patients opened by the same user at the same time, as far as they were counted.
    other_patients: usize,
    #[schema(inline)]
    marks: BTreeSet<Mark>,
}

/// One user's emergencies of the month.
#[derive(Serialize, ToSchema)]
pub struct UserUses {
    #[schema(value_type = uuid::Uuid)]
    user: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// In the month.
    uses: usize,
    /// In the quarter up to the month's end.
    quarter: usize,
    emergencies: Vec<MarkedAnswer>,
}

/// The report.
#[derive(Serialize, ToSchema)]
pub struct MonthAnswer {
    /// First instant of the month.
    #[schema(value_type = String)]
    from: Timestamp,
    /// First instant after it.
    #[schema(value_type = String)]
    to: Timestamp,
    /// Emergencies in the month.
    uses: usize,
    /// Those with at least one mark.
    marked: usize,
    /// Whoever used it most comes first.
    users: Vec<UserUses>,
}

/// Makes the report. Blocks: it reads the ledger.
///
/// # Errors
/// If a view or the ledger cannot be read.
pub fn report(app: &App, tenant: TenantId, month: Month) -> Result<MonthAnswer, Problem> {
    let views = app.views();
    let quarter = views.break_glass.begun(tenant, month.quarter_start..month.end, None, EMERGENCIES_MAX, |_| true)?;
    let mut by_user: BTreeMap<UserId, Vec<Emergency>> = BTreeMap::new();
    for emergency in quarter {
        by_user.entry(emergency.user).or_default().push(emergency);
    }
    let mut users = Vec::new();
    for (user, in_quarter) in by_user {
        let often = in_quarter.len() > app.config().break_glass.quarter_max as usize;
        let quarter = in_quarter.len();
        let of_month = in_quarter.into_iter().filter(|one| one.started_at >= month.start);
        let emergencies = of_month.map(|one| marked(app, &one, often)).collect::<Result<Vec<_>, Problem>>()?;
        if !emergencies.is_empty() {
            let username = views.identity.user(user)?.map(|user| user.username);
            users.push(UserUses { user, username, uses: emergencies.len(), quarter, emergencies });
        }
    }
    users.sort_by_key(|user| std::cmp::Reverse(user.uses));
    let uses = users.iter().map(|user| user.uses).sum();
    let all = users.iter().flat_map(|user| &user.emergencies);
    let marked = all.filter(|emergency| !emergency.marks.is_empty()).count();
    Ok(MonthAnswer { from: month.start, to: month.end, uses, marked, users })
}

fn marked(app: &App, one: &Emergency, often: bool) -> Result<MarkedAnswer, Problem> {
    let now = app.now();
    let touched = app.views().break_glass.touched(one.emergency, LOOKS_MAX)?.len();
    let other_patients = other_patients(app, one)?;
    let outcome = one.review.as_ref().map(|review| review.outcome);
    let holds = [
        (Mark::Often, often),
        (Mark::NothingOpened, touched == 0 && !one.is_live(now)),
        (Mark::OtherPatients, other_patients > 0),
        (Mark::OffShift, is_off_shift(app, one)?),
        (Mark::WholeTime, one.ended_at.is_none() && !one.is_live(now)),
        (Mark::ReviewedLate, one.is_overdue(now)),
        (Mark::Inappropriate, outcome == Some(ReviewOutcome::Inappropriate)),
    ];
    Ok(MarkedAnswer {
        emergency: one.emergency,
        patient: one.patient,
        started_at: one.started_at,
        until: one.until(),
        outcome,
        touched,
        other_patients,
        marks: holds.into_iter().filter(|(_, holds)| *holds).map(|(mark, _)| mark).collect(),
    })
}

/// How many other patients the user opened while it lasted.
fn other_patients(app: &App, one: &Emergency) -> Result<usize, Problem> {
    let filter = AuditFilter {
        tenant: Some(one.tenant),
        actor: Some(one.user),
        types: ["access.chart-opened", "access.records-opened", "access.document-opened"].map(Into::into).into(),
        since: Some(one.started_at),
        until: Some(one.until()),
        ..AuditFilter::default()
    };
    let same = app.views().patient_facts(one.patient)?.map(|known| known.family.to_vec()).unwrap_or_default();
    let mut others = BTreeSet::new();
    for position in app.views().audit.find(&filter, None, LOOKS_MAX)?.items {
        let Some(entry) = app.ledger().read(Position(position))? else { continue };
        let patient = match recorded::decode(&entry)?.map(|recorded| recorded.event) {
            Some(Event::Access(AccessEvent::ChartOpened(e))) => e.patient,
            Some(Event::Access(AccessEvent::RecordsOpened(e))) => e.patient,
            Some(Event::Access(AccessEvent::DocumentOpened(e))) => e.patient,
            _ => continue,
        };
        if patient != one.patient && !same.contains(&patient) {
            others.insert(patient);
        }
    }
    Ok(others.len())
}

/// Whether the user has shifts, and it began in none of them. Older shifts than today's are in the trail only.
fn is_off_shift(app: &App, one: &Emergency) -> Result<bool, Problem> {
    let Some(user) = app.views().principal(one.user)? else { return Ok(false) };
    let clock = WallClock { open: true, ..app.hours().at(one.started_at) };
    // Without shifts of their own people work whenever the organisation does, and nothing stands out.
    Ok(!user.principal.shifts.is_empty() && !user.principal.is_on_shift(one.started_at, clock))
}
