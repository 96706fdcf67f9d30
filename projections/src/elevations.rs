//! Roles for a short time: every request, and who has which role until when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::break_glass::ReviewOutcome;
use wardbook_events::elevations::ElevationEvent;
use wardbook_events::{ElevationId, Event, Recorded, Role, TenantId, UserId};

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_number};
use crate::tx::{Tx, decode};

/// Requests by id.
const ELEVATION: u8 = 1;
/// By organisation and position, to their ids.
const OF_TENANT: u8 = 2;
/// By user and position, to their ids.
const OF_USER: u8 = 3;
/// What a user has besides.
const HELD: u8 = 4;

/// The view of elevations.
#[derive(Debug)]
pub struct ElevationsView;

/// How far a request has come. What time has ended is still here: whoever shows it compares with the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It waits.
    Asked,
    /// Somebody refused.
    Refused {
        /// Who.
        by: UserId,
        /// When.
        at: Timestamp,
    },
    /// The user has the role.
    Granted,
    /// It was ended before its time, or taken back.
    Ended {
        /// Who did it.
        by: UserId,
        /// When.
        at: Timestamp,
    },
}

/// Somebody agreed to it; or in an emergency nobody was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who agreed.
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// Until when the user has the role.
    pub until: Timestamp,
    /// When somebody must have judged it, if nobody agreed.
    pub review_due_at: Option<Timestamp>,
}

/// What somebody found about an elevation that nobody had agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Who judged.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// What was found.
    pub outcome: ReviewOutcome,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elevation {
    /// The request.
    pub elevation: ElevationId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who asked.
    pub user: UserId,
    /// For which role.
    pub role: Role,
    /// For how long, in seconds.
    pub lasts_s: u32,
    /// What for.
    pub reason: String,
    /// When.
    pub requested_at: Timestamp,
    /// Nobody can agree any more from then on.
    pub answer_until: Timestamp,
    /// How far it has come.
    pub stage: Stage,
    /// How it was granted, if it was.
    pub grant: Option<Grant>,
    /// What was found, if it was judged.
    pub judgement: Option<Judgement>,
    /// Place in lists.
    pub position: u64,
}

/// What a user is besides for a short time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Roles and their ends. Those whose time is over are still among them until the next one.
    pub roles: BTreeMap<Role, Timestamp>,
    /// Position of the last event that changed it.
    pub changed: u64,
}

fn elevation_key(elevation: ElevationId) -> Vec<u8> {
    Key::table(ELEVATION).bytes(elevation.bytes()).done()
}
fn tenant_key(tenant: TenantId, position: u64) -> Vec<u8> {
    Key::table(OF_TENANT).bytes(tenant.bytes()).number(position).done()
}
fn user_key(user: UserId, position: u64) -> Vec<u8> {
    Key::table(OF_USER).bytes(user.bytes()).number(position).done()
}
fn held_key(user: UserId) -> Vec<u8> {
    Key::table(HELD).bytes(user.bytes()).done()
}

impl View for ElevationsView {
    const NAME: &'static str = "elevations";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Elevation(what) = &event.event else { return Ok(()) };
        let at = event.recorded_at;
        match what {
            ElevationEvent::Requested(e) => {
                let id = e.elevation.bytes().to_vec();
                tx.put(tenant_key(event.meta.tenant, event.position), id.clone())?;
                tx.put(user_key(e.user, event.position), id)?;
                let elevation = Elevation {
                    elevation: e.elevation,
                    tenant: event.meta.tenant,
                    user: e.user,
                    role: e.role,
                    lasts_s: e.lasts_s,
                    reason: e.reason.clone(),
                    requested_at: at,
                    answer_until: e.answer_until,
                    stage: Stage::Asked,
                    grant: None,
                    judgement: None,
                    position: event.position,
                };
                tx.put_value(elevation_key(e.elevation), &elevation)
            }
            ElevationEvent::Granted(e) => {
                hold(tx, event, e.user, |roles| {
                    roles.retain(|_, until| *until > at);
                    roles.insert(e.role, e.until);
                })?;
                change(tx, e.elevation, |elevation| {
                    elevation.stage = Stage::Granted;
                    elevation.grant = Some(Grant { by: e.by, at, until: e.until, review_due_at: e.review_due_at });
                })
            }
            ElevationEvent::Refused(e) => {
                change(tx, e.elevation, |elevation| elevation.stage = Stage::Refused { by: e.by, at })
            }
            ElevationEvent::Ended(e) => {
                hold(tx, event, e.user, |roles| _ = roles.remove(&e.role))?;
                change(tx, e.elevation, |elevation| elevation.stage = Stage::Ended { by: e.by, at })
            }
            ElevationEvent::Reviewed(e) => change(tx, e.elevation, |elevation| {
                elevation.judgement = Some(Judgement { by: e.by, at, outcome: e.outcome });
            }),
        }
    }
}

fn change(tx: &mut Tx<'_>, id: ElevationId, edit: impl FnOnce(&mut Elevation)) -> Result<(), ViewError> {
    let Some(mut elevation) = tx.value::<Elevation>(elevation_key(id))? else { return Ok(()) };
    edit(&mut elevation);
    tx.put_value(elevation_key(id), &elevation)
}

fn hold(
    tx: &mut Tx<'_>,
    event: &Recorded,
    user: UserId,
    edit: impl FnOnce(&mut BTreeMap<Role, Timestamp>),
) -> Result<(), ViewError> {
    let mut held = tx.value::<Held>(held_key(user))?.unwrap_or_default();
    edit(&mut held.roles);
    held.changed = event.position;
    tx.put_value(held_key(user), &held)
}

impl Projection<ElevationsView> {
    /// One request.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, elevation: ElevationId) -> Result<Option<Elevation>, ViewError> {
        self.live()?.get(&elevation_key(elevation))?.map(|row| decode(ElevationsView::NAME, &row)).transpose()
    }

    /// What a user is besides, or was lately: ends are to be compared with the time.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn held(&self, user: UserId) -> Result<Held, ViewError> {
        let row = self.live()?.get(&held_key(user))?;
        Ok(row.map(|row| decode(ElevationsView::NAME, &row)).transpose()?.unwrap_or_default())
    }

    /// Requests of an organisation, or of one of its users, newest first. `before` is the `next` of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn list(
        &self,
        tenant: TenantId,
        user: Option<UserId>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Elevation>, ViewError> {
        let live = self.live()?;
        let place = |position| user.map_or_else(|| tenant_key(tenant, position), |user| user_key(user, position));
        let mut found = Vec::new();
        live.walk(&place(0), &place(before.unwrap_or(u64::MAX)), true, |key, id| {
            let id = <[u8; 16]>::try_from(id).ok().zip(trailing_number(key));
            found.push(id.ok_or_else(|| ViewError::damaged(ElevationsView::NAME, "a row does not have its shape"))?);
            Ok(found.len() <= limit)
        })?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(_, position)| *position).filter(|_| more);
        let mut items = Vec::with_capacity(found.len());
        for (id, _) in found {
            items.extend(self.get(ElevationId::from_bytes(id))?.filter(|found| found.tenant == tenant));
        }
        Ok(Page { items, next })
    }
}
