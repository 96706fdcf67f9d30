//! Alerts: which stand open, and which nobody has been told of yet.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::alerts::{AlertEvent, AlertKind, Channel, Severity};
use wardbook_events::{AlertId, Event, EventId, PatientId, Recorded, TenantId, UserId};

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::Key;
use crate::tx::{Tx, decode};

const ALERT: u8 = 1;
/// Of an organisation, by position.
const ALL: u8 = 2;
/// Of an organisation, those that nobody has taken note of.
const OPEN: u8 = 3;
/// Those that reached nobody yet, by position.
const UNDELIVERED: u8 = 4;

/// The view of alerts.
#[derive(Debug)]
pub struct AlertsView;

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// This alert.
    pub alert: AlertId,
    /// The organisation.
    pub tenant: TenantId,
    /// What it is about.
    pub kind: AlertKind,
    /// How much it hurries.
    pub severity: Severity,
    /// The event that caused it.
    pub cause: EventId,
    /// Who did it.
    pub user: Option<UserId>,
    /// Whom it concerns.
    pub patient: Option<PatientId>,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// Position of the event that raised it.
    pub position: u64,
    /// The channels that it reached.
    pub delivered: BTreeSet<Channel>,
    /// Who has taken note, and when.
    pub acknowledged: Option<(UserId, Timestamp)>,
}

fn alert_key(alert: AlertId) -> Vec<u8> {
    Key::table(ALERT).bytes(alert.bytes()).done()
}
fn listed(table: u8, tenant: TenantId) -> Key {
    Key::table(table).bytes(tenant.bytes())
}
fn undelivered(position: u64) -> Vec<u8> {
    Key::table(UNDELIVERED).number(position).done()
}

impl View for AlertsView {
    const NAME: &'static str = "alerts";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Alert(what) = &event.event else { return Ok(()) };
        match what {
            AlertEvent::Raised(e) => {
                let alert = Alert {
                    alert: e.alert,
                    tenant: event.meta.tenant,
                    kind: e.kind,
                    severity: e.severity,
                    cause: e.cause,
                    user: e.user,
                    patient: e.patient,
                    raised_at: event.recorded_at,
                    position: event.position,
                    delivered: BTreeSet::new(),
                    acknowledged: None,
                };
                let id = e.alert.bytes();
                for table in [ALL, OPEN] {
                    tx.put(listed(table, alert.tenant).number(event.position).done(), id.to_vec())?;
                }
                tx.put(undelivered(event.position), id.to_vec())?;
                tx.put_value(alert_key(e.alert), &alert)
            }
            AlertEvent::Delivered(e) => change(tx, e.alert, |tx, alert| {
                alert.delivered.insert(e.channel);
                tx.remove(undelivered(alert.position))
            }),
            AlertEvent::Acknowledged(e) => change(tx, e.alert, |tx, alert| {
                alert.acknowledged = Some((e.by, event.recorded_at));
                tx.remove(listed(OPEN, alert.tenant).number(alert.position).done())
            }),
        }
    }
}

fn change(
    tx: &mut Tx<'_>,
    id: AlertId,
    edit: impl FnOnce(&mut Tx<'_>, &mut Alert) -> Result<(), ViewError>,
) -> Result<(), ViewError> {
    let Some(mut alert) = tx.value::<Alert>(alert_key(id))? else { return Ok(()) };
    edit(tx, &mut alert)?;
    tx.put_value(alert_key(id), &alert)
}

/// Which alerts are asked for. Everything that is given must apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Whether somebody has taken note.
    pub acknowledged: Option<bool>,
    /// Of this kind.
    pub kind: Option<AlertKind>,
    /// Raised at this instant or later.
    pub since: Option<Timestamp>,
}

impl Projection<AlertsView> {
    /// An alert.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, alert: AlertId) -> Result<Option<Alert>, ViewError> {
        let row = self.live()?.get(&alert_key(alert))?;
        row.map(|row| decode(AlertsView::NAME, &row)).transpose()
    }

    /// Alerts of the organisation, newest first; `before` is the `next` of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn list(
        &self,
        tenant: TenantId,
        filter: &AlertFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Alert>, ViewError> {
        let table = if filter.acknowledged == Some(false) { OPEN } else { ALL };
        let from = listed(table, tenant).done();
        let to = listed(table, tenant).number(before.unwrap_or(u64::MAX)).done();
        let mut items: Vec<Alert> = Vec::new();
        let mut more = false;
        self.live()?.walk(&from, &to, true, |_, value| {
            let Some(alert) = self.named(value)? else { return Ok(true) };
            if filter.since.is_some_and(|since| alert.raised_at < since) {
                return Ok(false);
            }
            let fits = filter.kind.is_none_or(|kind| kind == alert.kind)
                && filter.acknowledged.is_none_or(|wanted| wanted == alert.acknowledged.is_some());
            more = fits && items.len() == limit;
            if fits && !more {
                items.push(alert);
            }
            Ok(!more)
        })?;
        Ok(Page { next: items.last().map(|alert| alert.position).filter(|_| more), items })
    }

    /// Alerts that reached nobody yet, raised at this position or later, oldest first, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn undelivered(&self, from: u64, limit: usize) -> Result<Vec<Alert>, ViewError> {
        let mut found = Vec::new();
        if limit > 0 {
            self.live()?.walk(&undelivered(from), &undelivered(u64::MAX), false, |_, value| {
                found.extend(self.named(value)?);
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    fn named(&self, id: &[u8]) -> Result<Option<Alert>, ViewError> {
        match id.try_into() {
            Ok(id) => self.get(AlertId::from_bytes(id)),
            Err(_) => Err(ViewError::damaged(AlertsView::NAME, "a row does not have its shape")),
        }
    }
}
