//! What an access review came to, so that somebody from outside can check it (ACC-22).
//!
//! Everything is named by its event and position: `GET /v1/ledger/proof/{position}` proves that it stands in the log.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use wardbook_events::access_reviews::{Holding, Verdict};
use wardbook_events::{EventId, ReviewId, Role, TenantId, UserId};
use wardbook_ledger::Position;
use wardbook_projections::access_reviews::{Decision, Review, Step};

use crate::api::problem::Problem;
use crate::api::schema;
use crate::app::App;
use crate::recorded;

/// Something that somebody did, and where it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepAnswer {
    /// Who.
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The event.
    #[schema(value_type = uuid::Uuid)]
    pub event: EventId,
    /// Its position in the whole log.
    pub position: u64,
    /// Where the proof is that it stands there.
    pub proof: String,
}

impl From<Step> for StepAnswer {
    fn from(step: Step) -> Self {
        let proof = format!("/v1/ledger/proof/{}", step.position);
        Self { by: step.by, at: step.at, event: step.event, position: step.position, proof }
    }
}

/// What followed from a decision: the role was taken away, sessions ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Consequence {
    /// Type of the event, such as `identity.role-revoked`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event.
    #[schema(value_type = uuid::Uuid)]
    pub event: EventId,
    /// Its position in the whole log.
    pub position: u64,
    /// Where the proof is that it stands there.
    pub proof: String,
}

/// One thing that was to be decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldingAnswer {
    /// Who.
    #[schema(value_type = uuid::Uuid)]
    pub user: UserId,
    /// The name that person logs in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Which role.
    #[schema(value_type = schema::Role)]
    pub role: Role,
    /// What was decided; missing as long as nothing was.
    #[schema(value_type = Option<schema::Verdict>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// By whom, when, and where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<StepAnswer>,
    /// What followed from it in the same append; only in evidence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consequences: Vec<Consequence>,
}

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
pub struct CampaignAnswer {
    /// The campaign.
    #[schema(value_type = uuid::Uuid)]
    pub review: ReviewId,
    /// What for.
    pub title: String,
    /// The roles looked over; all if empty.
    #[schema(value_type = Vec<schema::Role>)]
    pub roles: Vec<Role>,
    /// When it should be closed.
    #[schema(value_type = String)]
    pub due_at: Timestamp,
    /// It should be closed by now and is not.
    pub overdue: bool,
    /// How it began.
    pub opened: StepAnswer,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<StepAnswer>,
    /// How many holdings there are to decide on.
    pub holdings: u32,
    /// How many were kept so far.
    pub kept: u32,
    /// How many were revoked so far.
    pub revoked: u32,
    /// How many are left.
    pub left: u32,
}

impl CampaignAnswer {
    /// As it stands now.
    #[must_use]
    pub fn at(now: Timestamp, review: Review) -> Self {
        Self {
            overdue: review.is_overdue(now),
            left: review.holdings.saturating_sub(review.kept).saturating_sub(review.revoked),
            review: review.review,
            title: review.title,
            roles: review.roles,
            due_at: review.due_at,
            opened: review.opened.into(),
            closed: review.closed.map(StepAnswer::from),
            holdings: review.holdings,
            kept: review.kept,
            revoked: review.revoked,
        }
    }
}

/// A campaign with everything that was to be decided in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Evidence {
    /// Name of the log in which all of it stands.
    pub log: String,
    /// When this was put together.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// The campaign.
    pub campaign: CampaignAnswer,
    /// What was decided, by user and role.
    pub decisions: Vec<HoldingAnswer>,
}

/// Everything that was to be decided in a campaign, and what was. Blocks.
///
/// # Errors
/// If a view or the ledger cannot be read.
pub fn holdings(app: &App, review: ReviewId, with_consequences: bool) -> Result<Vec<HoldingAnswer>, Problem> {
    let mut answers = Vec::new();
    for (holding, decision) in app.views().access_reviews.holdings(review)? {
        let consequences = match decision {
            Some(decision) if with_consequences => consequences(app, holding, decision)?,
            _ => Vec::new(),
        };
        answers.push(HoldingAnswer {
            user: holding.user,
            username: app.views().identity.user(holding.user)?.map(|user| user.username),
            role: holding.role,
            verdict: decision.map(|decision| decision.verdict),
            decided: decision.map(|decision| decision.step.into()),
            consequences,
        });
    }
    Ok(answers)
}

/// Puts the evidence of a campaign together. Blocks.
///
/// # Errors
/// If a view or the ledger cannot be read.
pub fn of(app: &App, review: Review) -> Result<Evidence, Problem> {
    let (id, at) = (review.review, app.now());
    Ok(Evidence {
        log: app.config().ledger.origin.clone(),
        at,
        campaign: CampaignAnswer::at(at, review),
        decisions: holdings(app, id, true)?,
    })
}

/// The user's own events that were appended together with a decision: they stand right behind it.
fn consequences(app: &App, holding: Holding, decision: Decision) -> Result<Vec<Consequence>, Problem> {
    if decision.verdict == Verdict::Keep {
        return Ok(Vec::new());
    }
    let stream = wardbook_events::identity::stream(holding.user);
    let request = match app.ledger().read(Position(decision.step.position))? {
        Some(decided) => recorded::decode(&decided)?.map(|decided| decided.meta.correlation),
        None => None,
    };
    let mut found = Vec::new();
    for position in decision.step.position.saturating_add(1).. {
        let Some(entry) = app.ledger().read(Position(position))?.filter(|entry| entry.stream().as_str() == stream)
        else {
            break;
        };
        let Some(event) = recorded::decode(&entry)?.filter(|event| Some(event.meta.correlation) == request) else {
            break;
        };
        found.push(Consequence {
            kind: entry.event_type().as_str().to_owned(),
            event: event.id,
            position,
            proof: format!("/v1/ledger/proof/{position}"),
        });
    }
    Ok(found)
}

/// Who holds these roles in an organisation now; all roles if none are named. Blocks.
///
/// # Errors
/// If the view cannot be read.
pub fn snapshot(app: &App, tenant: TenantId, roles: &[Role]) -> Result<Vec<Holding>, Problem> {
    const PAGE: usize = 500;
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = app.views().identity.users(after, PAGE)?;
        after = page.last().map(|user| user.user);
        let last = page.len() < PAGE;
        for user in page.into_iter().filter(|user| user.tenant == tenant) {
            let wanted = user.roles.iter().copied().filter(|role| roles.is_empty() || roles.contains(role));
            found.extend(wanted.map(|role| Holding { user: user.user, role }));
        }
        if last {
            return Ok(found);
        }
    }
}
