//! Campaigns in which somebody looks over who may do what, and what was decided, with the events that prove it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::access_reviews::{AccessReviewEvent, Holding, Verdict};
use wardbook_events::{Event, EventId, Recorded, ReviewId, Role, TenantId, UserId};

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_number};
use crate::tx::{Tx, decode};

/// Campaigns by id.
const REVIEW: u8 = 1;
/// By organisation and position, to their ids.
const OF_TENANT: u8 = 2;
/// What is to be decided, by campaign, user and role.
const HOLDING: u8 = 3;

/// The view of access reviews.
#[derive(Debug)]
pub struct AccessReviewsView;

/// Something that somebody did, and where it stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Who.
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// The event.
    pub event: EventId,
    /// Its position in the whole log.
    pub position: u64,
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The campaign.
    pub review: ReviewId,
    /// The organisation.
    pub tenant: TenantId,
    /// What for.
    pub title: String,
    /// The roles looked over; all if empty.
    pub roles: Vec<Role>,
    /// When it should be closed.
    pub due_at: Timestamp,
    /// How it began.
    pub opened: Step,
    /// How it ended, if it has.
    pub closed: Option<Step>,
    /// How many holdings are to be decided on.
    pub holdings: u32,
    /// How many were kept so far.
    pub kept: u32,
    /// How many were revoked so far.
    pub revoked: u32,
}

impl Review {
    /// Whether it should be closed by now and is not.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.closed.is_none() && self.due_at <= now
    }
}

/// What was decided on one holding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What.
    pub verdict: Verdict,
    /// By whom, when, and where it stands.
    pub step: Step,
}

fn review_key(review: ReviewId) -> Vec<u8> {
    Key::table(REVIEW).bytes(review.bytes()).done()
}
fn tenant_key(tenant: TenantId, position: u64) -> Vec<u8> {
    Key::table(OF_TENANT).bytes(tenant.bytes()).number(position).done()
}
fn holding_key(review: ReviewId, holding: Holding) -> Vec<u8> {
    let of_user = Key::table(HOLDING).bytes(review.bytes()).bytes(holding.user.bytes());
    of_user.bytes(holding.role.name().as_bytes()).done()
}

/// The row of [`HOLDING`].
type Row = (Holding, Option<Decision>);

fn step(event: &Recorded) -> Step {
    Step { by: event.meta.actor.id, at: event.recorded_at, event: event.id, position: event.position }
}

impl View for AccessReviewsView {
    const NAME: &'static str = "access-reviews";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::AccessReview(what) = &event.event else { return Ok(()) };
        match what {
            AccessReviewEvent::Opened(e) => {
                for holding in &e.holdings {
                    tx.put_value::<Row>(holding_key(e.review, *holding), &(*holding, None))?;
                }
                tx.put(tenant_key(e.tenant, event.position), e.review.bytes().to_vec())?;
                let review = Review {
                    review: e.review,
                    tenant: e.tenant,
                    title: e.title.clone(),
                    roles: e.roles.clone(),
                    due_at: e.due_at,
                    opened: step(event),
                    closed: None,
                    holdings: u32::try_from(e.holdings.len()).unwrap_or(u32::MAX),
                    kept: 0,
                    revoked: 0,
                };
                tx.put_value(review_key(e.review), &review)
            }
            AccessReviewEvent::Decided(e) => {
                let decision = Decision { verdict: e.verdict, step: step(event) };
                tx.put_value::<Row>(holding_key(e.review, e.holding), &(e.holding, Some(decision)))?;
                change(tx, e.review, |review| match e.verdict {
                    Verdict::Keep => review.kept = review.kept.saturating_add(1),
                    Verdict::Revoke => review.revoked = review.revoked.saturating_add(1),
                })
            }
            AccessReviewEvent::Closed(e) => change(tx, e.review, |review| review.closed = Some(step(event))),
        }
    }
}

fn change(tx: &mut Tx<'_>, id: ReviewId, edit: impl FnOnce(&mut Review)) -> Result<(), ViewError> {
    let Some(mut review) = tx.value::<Review>(review_key(id))? else { return Ok(()) };
    edit(&mut review);
    tx.put_value(review_key(id), &review)
}

impl Projection<AccessReviewsView> {
    /// One campaign.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, review: ReviewId) -> Result<Option<Review>, ViewError> {
        self.live()?.get(&review_key(review))?.map(|row| decode(AccessReviewsView::NAME, &row)).transpose()
    }

    /// Campaigns of an organisation, newest first. `before` is the `next` of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn list(&self, tenant: TenantId, before: Option<u64>, limit: usize) -> Result<Page<Review>, ViewError> {
        let live = self.live()?;
        let mut found = Vec::new();
        live.walk(&tenant_key(tenant, 0), &tenant_key(tenant, before.unwrap_or(u64::MAX)), true, |key, id| {
            let row = <[u8; 16]>::try_from(id).ok().zip(trailing_number(key));
            found
                .push(row.ok_or_else(|| ViewError::damaged(AccessReviewsView::NAME, "a row does not have its shape"))?);
            Ok(found.len() <= limit)
        })?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(_, position)| *position).filter(|_| more);
        let mut items = Vec::with_capacity(found.len());
        for (id, _) in found {
            items.extend(self.get(ReviewId::from_bytes(id))?);
        }
        Ok(Page { items, next })
    }

    /// What is to be decided in a campaign and what was, by user and role.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn holdings(&self, review: ReviewId) -> Result<Vec<(Holding, Option<Decision>)>, ViewError> {
        let from = Key::table(HOLDING).bytes(review.bytes());
        let to = from.clone().bytes(&[0xff; 17]).done();
        let mut found = Vec::new();
        self.live()?.walk(&from.done(), &to, false, |_, row| {
            found.push(decode::<Row>(AccessReviewsView::NAME, row)?);
            Ok(true)
        })?;
        Ok(found)
    }
}
