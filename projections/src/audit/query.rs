//! Finding positions in the audit trail.

use jiff::Timestamp;

use super::place::{places, shared_places, times, times_head};
use super::{
    AuditView, BLOCK, CorrelationId, Dimension, Outcome, PatientId, SessionId, TIME, TIMES, TenantId, UserId, Value,
    name_value, outcome_value,
};
use crate::error::ViewError;
use crate::generation::Generation;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_number};

/// Which events are wanted: those to which everything that is given applies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this organisation. Leave it out only where the whole log may be seen.
    pub tenant: Option<TenantId>,
    /// Concerning at least one of these patients (one person: see `KnownPatient::family`); empty for any or none.
    pub patients: Vec<PatientId>,
    /// Done by this user.
    pub actor: Option<UserId>,
    /// In this session.
    pub session: Option<SessionId>,
    /// Of one of these types, such as `access.chart-opened`; empty for any.
    pub types: Vec<String>,
    /// That ended like this.
    pub outcome: Option<Outcome>,
    /// Caused by this request.
    pub correlation: Option<CorrelationId>,
    /// Recorded at this instant or later.
    pub since: Option<Timestamp>,
    /// Recorded before this instant.
    pub until: Option<Timestamp>,
}

/// One page of positions, newest first.
pub type AuditPage = Page<u64>;

/// A dimension and the values of which one must apply.
type Term = (Dimension, Vec<Value>);

impl AuditFilter {
    /// What must apply, what is rarest first.
    fn terms(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        let mut term = |dimension, values: Vec<Value>| {
            if !values.is_empty() {
                terms.push((dimension, values));
            }
        };
        term(Dimension::Correlation, self.correlation.iter().map(|id| *id.bytes()).collect());
        term(Dimension::Session, self.session.iter().map(|id| *id.bytes()).collect());
        term(Dimension::Patient, self.patients.iter().map(|id| *id.bytes()).collect());
        term(Dimension::Actor, self.actor.iter().map(|id| *id.bytes()).collect());
        term(Dimension::Type, self.types.iter().map(|name| name_value(name)).collect());
        term(Dimension::Outcome, self.outcome.iter().map(|outcome| outcome_value(*outcome)).collect());
        term(Dimension::Tenant, self.tenant.iter().map(|id| *id.bytes()).collect());
        terms
    }
}

impl Projection<AuditView> {
    /// Positions of the events that match, newest first. `before` is the `next` of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn find(&self, filter: &AuditFilter, before: Option<u64>, limit: usize) -> Result<AuditPage, ViewError> {
        let live = self.live()?;
        let from = filter.since.map_or(Ok(0), |since| first_at(&live, since))?;
        let mut to = filter.until.map_or_else(|| Ok(live.position()), |until| first_at(&live, until))?;
        to = to.min(before.unwrap_or(u64::MAX));
        let mut found = Vec::new();
        // One more than asked for tells whether there is another page.
        let wanted = limit.saturating_add(1);
        let mut take = |position: u64| {
            if (from..to).contains(&position) {
                found.push(position);
            }
            found.len() < wanted
        };
        match filter.terms().split_first() {
            None => every_position(&live, from, to, &mut take)?,
            Some((first, others)) => {
                for block in (from / BLOCK..to.div_ceil(BLOCK)).rev() {
                    let Some(matching) = in_block(&live, block, first, others)? else { continue };
                    if !matching.into_iter().rev().all(|place| take(block * BLOCK + u64::from(place))) {
                        break;
                    }
                }
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().copied().filter(|_| more);
        Ok(Page { items: found, next })
    }
}

fn malformed() -> ViewError {
    ViewError::damaged(AuditView::NAME, "a row does not have its shape")
}

/// The first position recorded at this instant or later; the view's end if there is none.
fn first_at(live: &Generation, at: Timestamp) -> Result<u64, ViewError> {
    let (at, end) = (at.as_microsecond(), live.position());
    // Times never go back, so the rows can be halved like the pages of a dictionary.
    let (mut low, mut high) = (0, end.div_ceil(TIMES));
    while low < high {
        let middle = low + (high - low) / 2;
        // A row may be missing where only the ledger's own events are: go to the next one that is there.
        let mut ends_before = false;
        let mut seen = high;
        live.walk(
            &Key::table(TIME).number(middle).done(),
            &Key::table(TIME).number(high).done(),
            false,
            |key, row| {
                let (_, last, _) = times_head(row).ok_or_else(malformed)?;
                ends_before = last < at;
                seen = trailing_number(key).ok_or_else(malformed)?;
                Ok(false)
            },
        )?;
        if ends_before { low = seen + 1 } else { high = middle }
    }
    let mut found = end;
    live.walk(&Key::table(TIME).number(low).done(), &Key::table(TIME + 1).done(), false, |key, row| {
        let number = trailing_number(key).ok_or_else(malformed)?;
        let times = times(row).ok_or_else(malformed)?;
        if let Some((place, _)) = times.iter().find(|(_, time)| *time >= at) {
            found = number * TIMES + place;
            return Ok(false);
        }
        Ok(true)
    })?;
    Ok(found)
}

fn every_position(live: &Generation, from: u64, to: u64, take: &mut impl FnMut(u64) -> bool) -> Result<(), ViewError> {
    let (first, end) =
        (Key::table(TIME).number(from / TIMES).done(), Key::table(TIME).number(to.div_ceil(TIMES)).done());
    live.walk(&first, &end, true, |key, row| {
        let number = trailing_number(key).ok_or_else(malformed)?;
        let times = times(row).ok_or_else(malformed)?;
        Ok(times.iter().rev().all(|(place, _)| take(number * TIMES + place)))
    })
}

/// Places in the block to which every term applies, in order.
fn in_block(live: &Generation, block: u64, first: &Term, others: &[Term]) -> Result<Option<Vec<u16>>, ViewError> {
    let mut matching = places_of(live, block, first)?;
    for other in others {
        if matching.is_empty() {
            return Ok(None);
        }
        let also = places_of(live, block, other)?;
        matching.retain(|place| also.binary_search(place).is_ok());
    }
    Ok(Some(matching))
}

/// Places in the block to which one of the term's values applies, in order.
fn places_of(live: &Generation, block: u64, (dimension, values): &Term) -> Result<Vec<u16>, ViewError> {
    let mut all = Vec::new();
    for value in values {
        let Some(row) = live.get(&dimension.key(value, block))? else { continue };
        let found = match dimension.shared_rows() {
            Some(_) => shared_places(&row, value),
            None => places(&row),
        };
        all.append(&mut found.ok_or_else(malformed)?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
