//! Emergencies: whose they are, for whom, what was looked at in them, and whether somebody has judged them.

use std::ops::Range;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::access::AccessEvent;
use wardbook_events::break_glass::{BreakGlassEvent, EmergencyReason, EmergencyStarted, ReviewOutcome};
use wardbook_events::{Ciphertext, EmergencyId, Event, PatientId, RecordId, Recorded, Role, TenantId, UserId};

use crate::error::ViewError;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_id};
use crate::tx::{Tx, decode};

const EMERGENCY: u8 = 1;
/// The newest of each user and patient: no more than one is live at a time.
const FOR_PATIENT: u8 = 2;
/// Of an organisation, by time.
const BEGUN: u8 = 3;
/// Those that nobody has judged yet, by when it is due.
const UNJUDGED: u8 = 4;
const TOUCHED: u8 = 5;
/// The newest of each user and patient, from the user's side.
const OF_USER: u8 = 6;

/// The view of emergencies.
#[derive(Debug)]
pub struct BreakGlassView;

/// One emergency (ACC-17).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emergency {
    /// This emergency.
    pub emergency: EmergencyId,
    /// The patient.
    pub patient: PatientId,
    /// The organisation.
    pub tenant: TenantId,
    /// Who broke the glass.
    pub user: UserId,
    /// In which role.
    pub role: Option<Role>,
    /// Why.
    pub reason: EmergencyReason,
    /// Why, in words, sealed under the organisation's key.
    pub detail: Option<Ciphertext>,
    /// Where.
    pub location: Option<String>,
    /// From which network address.
    pub address: Option<String>,
    /// On which device.
    pub device: Option<String>,
    /// Since when.
    pub started_at: Timestamp,
    /// When it ends, or ended, by itself.
    pub expires_at: Timestamp,
    /// Whether it lasts longer than at first.
    pub extended: bool,
    /// When its owner ended it.
    pub ended_at: Option<Timestamp>,
    /// When somebody must have judged it.
    pub review_due_at: Timestamp,
    /// What was found, if somebody has judged it: the last word.
    pub review: Option<Review>,
    /// When it was judged first.
    pub reviewed_at: Option<Timestamp>,
    /// Position of the last event of it.
    pub changed: u64,
}

/// A judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who judged.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// What was found.
    pub outcome: ReviewOutcome,
    /// In words, sealed under the organisation's key.
    pub note: Option<Ciphertext>,
}

/// What was opened in an emergency (ACC-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// Master data.
    Patient(PatientId),
    /// An entry.
    Record(RecordId),
}

impl Emergency {
    /// Since when it counts no more, or will.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.ended_at.map_or(self.expires_at, |ended| ended.min(self.expires_at))
    }
    /// Whether it counts at this instant.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.until()
    }
    /// Whether nobody has judged it in time.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.reviewed_at.map_or(now >= self.review_due_at, |at| at > self.review_due_at)
    }
}

fn emergency_key(emergency: EmergencyId) -> Vec<u8> {
    Key::table(EMERGENCY).bytes(emergency.bytes()).done()
}
fn for_patient(patient: PatientId) -> Key {
    Key::table(FOR_PATIENT).bytes(patient.bytes())
}
fn of_user(user: UserId) -> Key {
    Key::table(OF_USER).bytes(user.bytes())
}
fn begun(tenant: TenantId, at: Timestamp) -> Key {
    Key::table(BEGUN).bytes(tenant.bytes()).number(micros(at))
}
fn unjudged(due: Timestamp) -> Key {
    Key::table(UNJUDGED).number(micros(due))
}
fn touched(emergency: EmergencyId) -> Key {
    Key::table(TOUCHED).bytes(emergency.bytes())
}
/// Microseconds since the epoch; before it there were no emergencies of ours.
fn micros(at: Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap_or(0)
}
/// After every key that begins like this.
fn end(prefix: Key) -> Vec<u8> {
    prefix.bytes(&[0xff; 33]).done()
}

impl View for BreakGlassView {
    const NAME: &'static str = "break-glass";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        match &event.event {
            // Nearly all looks are no emergencies, and cost nothing here.
            Event::Access(AccessEvent::ChartOpened(e)) => {
                let Some(emergency) = e.grounds.emergency else { return Ok(()) };
                touch(tx, emergency, 1, e.patient.bytes())
            }
            Event::Access(AccessEvent::RecordsOpened(e)) => {
                let Some(emergency) = e.grounds.emergency else { return Ok(()) };
                e.records.iter().try_for_each(|record| touch(tx, emergency, 2, record.bytes()))
            }
            Event::Access(AccessEvent::DocumentOpened(e)) => {
                let Some(emergency) = e.grounds.emergency else { return Ok(()) };
                touch(tx, emergency, 2, e.document.bytes())
            }
            Event::BreakGlass(BreakGlassEvent::Started(e)) => start(tx, event, e),
            Event::BreakGlass(BreakGlassEvent::Extended(e)) => change(tx, event, e.emergency, |_, known| {
                (known.expires_at, known.extended) = (e.expires_at, true);
                Ok(())
            }),
            Event::BreakGlass(BreakGlassEvent::Ended(e)) => change(tx, event, e.emergency, |_, known| {
                known.ended_at = Some(event.recorded_at);
                Ok(())
            }),
            Event::BreakGlass(BreakGlassEvent::Reviewed(e)) => change(tx, event, e.emergency, |tx, known| {
                let at = event.recorded_at;
                known.review = Some(Review { by: e.reviewer, at, outcome: e.outcome, note: e.note.clone() });
                known.reviewed_at.get_or_insert(at);
                tx.remove(unjudged(known.review_due_at).bytes(e.emergency.bytes()).done())
            }),
            _ => Ok(()),
        }
    }
}

fn start(tx: &mut Tx<'_>, event: &Recorded, e: &EmergencyStarted) -> Result<(), ViewError> {
    let (id, tenant) = (e.emergency, event.meta.tenant);
    let emergency = Emergency {
        emergency: id,
        patient: e.patient,
        tenant,
        user: e.user,
        role: event.meta.actor.role,
        reason: e.reason,
        detail: e.detail.clone(),
        location: e.location.clone(),
        address: event.client.address.clone(),
        device: event.client.device.clone().or_else(|| event.client.agent.clone()),
        started_at: event.recorded_at,
        expires_at: e.expires_at,
        extended: false,
        ended_at: None,
        review_due_at: e.review_due_at,
        review: None,
        reviewed_at: None,
        changed: event.position,
    };
    tx.put(for_patient(e.patient).bytes(e.user.bytes()).done(), id.bytes().to_vec())?;
    tx.put(of_user(e.user).bytes(e.patient.bytes()).done(), id.bytes().to_vec())?;
    tx.put(begun(tenant, event.recorded_at).bytes(id.bytes()).done(), Vec::new())?;
    tx.put(unjudged(e.review_due_at).bytes(id.bytes()).done(), Vec::new())?;
    tx.put_value(emergency_key(id), &emergency)
}

fn touch(tx: &mut Tx<'_>, emergency: EmergencyId, kind: u8, id: &[u8; 16]) -> Result<(), ViewError> {
    tx.put(touched(emergency).byte(kind).bytes(id).done(), Vec::new())
}

fn change(
    tx: &mut Tx<'_>,
    event: &Recorded,
    id: EmergencyId,
    edit: impl FnOnce(&mut Tx<'_>, &mut Emergency) -> Result<(), ViewError>,
) -> Result<(), ViewError> {
    let Some(mut known) = tx.value::<Emergency>(emergency_key(id))? else { return Ok(()) };
    edit(tx, &mut known)?;
    known.changed = event.position;
    tx.put_value(emergency_key(id), &known)
}

impl Projection<BreakGlassView> {
    /// An emergency.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, emergency: EmergencyId) -> Result<Option<Emergency>, ViewError> {
        let row = self.live()?.get(&emergency_key(emergency))?;
        row.map(|row| decode(BreakGlassView::NAME, &row)).transpose()
    }

    /// Of everybody who ever broke the glass for this very patient, the newest emergency; it may be over.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn of_patient(&self, patient: PatientId) -> Result<Vec<Emergency>, ViewError> {
        self.named_in(&for_patient(patient).done(), &end(for_patient(patient)))
    }

    /// The user's emergencies that are live, at most one for each patient.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn live_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Emergency>, ViewError> {
        let mut newest = self.named_in(&of_user(user).done(), &end(of_user(user)))?;
        newest.retain(|one| one.is_live(now));
        Ok(newest)
    }

    /// Emergencies of the organisation that began in this time, newest first, those older than `before`, for which
    /// `wanted` holds, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn begun(
        &self,
        tenant: TenantId,
        within: Range<Timestamp>,
        before: Option<EmergencyId>,
        limit: usize,
        wanted: impl Fn(&Emergency) -> bool,
    ) -> Result<Vec<Emergency>, ViewError> {
        let live = self.live()?;
        let to = match before.map(|before| self.get(before)).transpose()?.flatten() {
            Some(last) if last.started_at < within.end => begun(tenant, last.started_at).bytes(last.emergency.bytes()),
            _ => begun(tenant, within.end),
        };
        let mut found = Vec::new();
        if limit > 0 {
            live.walk(&begun(tenant, within.start).done(), &to.done(), true, |key, _| {
                let id = trailing_id(key).map(EmergencyId::from_bytes);
                found.extend(id.map(|id| self.get(id)).transpose()?.flatten().filter(&wanted));
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    /// Emergencies that nobody has judged and whose review was due in this time, by when it was due, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn unjudged(&self, due: Range<Timestamp>, limit: usize) -> Result<Vec<Emergency>, ViewError> {
        let mut found = Vec::new();
        if limit > 0 {
            self.live()?.walk(&unjudged(due.start).done(), &unjudged(due.end).done(), false, |key, _| {
                let id = trailing_id(key).map(EmergencyId::from_bytes);
                found.extend(id.map(|id| self.get(id)).transpose()?.flatten());
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    /// What was opened in an emergency, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn touched(&self, emergency: EmergencyId, limit: usize) -> Result<Vec<Touched>, ViewError> {
        let mut found = Vec::new();
        if limit > 0 {
            self.live()?.walk(&touched(emergency).done(), &end(touched(emergency)), false, |key, _| {
                let Some(id) = trailing_id(key) else { return Ok(true) };
                found.push(match key.get(17) {
                    Some(1) => Touched::Patient(PatientId::from_bytes(id)),
                    _ => Touched::Record(RecordId::from_bytes(id)),
                });
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    fn named_in(&self, from: &[u8], to: &[u8]) -> Result<Vec<Emergency>, ViewError> {
        let mut found = Vec::new();
        self.live()?.walk(from, to, false, |_, value| {
            let id = trailing_id(value).map(EmergencyId::from_bytes);
            found.extend(id.map(|id| self.get(id)).transpose()?.flatten());
            Ok(true)
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
