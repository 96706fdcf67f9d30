//! Requests to be forgotten with their deadlines, and what holds them up.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::erasure::{Basis, Destroyed, ErasureEvent, HoldKind, Kept, RefusalReason, Scope};
use wardbook_events::{ErasureId, Event, EventId, GroupSet, HoldId, PatientId, Recorded, TenantId, UserId};

use crate::error::ViewError;
use crate::page::Page;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_id, trailing_number};
use crate::tx::{Tx, decode};

/// Requests by id.
const ERASURE: u8 = 1;
/// By organisation and position, to their ids.
const OF_TENANT: u8 = 2;
/// Those that were begun and are not certified.
const UNFINISHED: u8 = 3;
/// Holds by patient and id.
const HOLD: u8 = 4;
/// Which patient a hold is on.
const HELD: u8 = 5;

/// The view of erasures.
#[derive(Debug)]
pub struct ErasureView;

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It waits for officers.
    Asked,
    /// An officer refused.
    Refused {
        /// Who.
        by: UserId,
        /// When.
        at: Timestamp,
        /// Why.
        reason: RefusalReason,
    },
    /// It is being carried out.
    Executing,
    /// It is done.
    Certified(Certified),
}

/// What was destroyed, and the event that tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    /// The event of the certificate.
    pub event: EventId,
    /// Its position.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// What was destroyed where.
    pub destroyed: Vec<Destroyed>,
    /// Size of the newest checkpoint that was published before.
    pub log_size: u64,
    /// Its root hash, hex.
    pub log_root: String,
}

/// What was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// Everybody who is this person.
    pub patients: Vec<PatientId>,
    /// What goes.
    pub scope: Scope,
    /// What was asked for and must stay.
    pub kept: Vec<Kept>,
    /// When.
    pub at: Timestamp,
    /// Position of the event that began it.
    pub position: u64,
    /// That event.
    pub event: EventId,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The request.
    pub erasure: ErasureId,
    /// The organisation.
    pub tenant: TenantId,
    /// The patient.
    pub patient: PatientId,
    /// How much is asked for.
    pub scope: Scope,
    /// On what ground.
    pub basis: Basis,
    /// Who asks.
    pub by: UserId,
    /// When.
    pub requested_at: Timestamp,
    /// When it must have been answered.
    pub due_at: Timestamp,
    /// Officers who agreed.
    pub approved_by: BTreeSet<UserId>,
    /// How far it has come.
    pub stage: Stage,
    /// What was begun, if it was.
    pub execution: Option<Execution>,
    /// Place in lists.
    pub position: u64,
}

/// Something that forbids to erase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The hold.
    pub hold: HoldId,
    /// The organisation.
    pub tenant: TenantId,
    /// The patient.
    pub patient: PatientId,
    /// Of what kind.
    pub kind: HoldKind,
    /// What must stay.
    pub groups: GroupSet,
    /// Number of the case.
    pub reference: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// Who says so.
    pub by: UserId,
    /// Since when.
    pub placed_at: Timestamp,
    /// Who lifted it and when, if somebody did.
    pub lifted: Option<(UserId, Timestamp)>,
}

impl Hold {
    /// Whether it forbids anything at this instant.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.lifted.is_none() && self.until.is_none_or(|until| now < until)
    }
}

fn erasure_key(erasure: ErasureId) -> Vec<u8> {
    Key::table(ERASURE).bytes(erasure.bytes()).done()
}
fn tenant_key(tenant: TenantId, position: u64) -> Vec<u8> {
    Key::table(OF_TENANT).bytes(tenant.bytes()).number(position).done()
}
fn unfinished_key(erasure: ErasureId) -> Vec<u8> {
    Key::table(UNFINISHED).bytes(erasure.bytes()).done()
}
fn hold_key(patient: PatientId, hold: HoldId) -> Vec<u8> {
    Key::table(HOLD).bytes(patient.bytes()).bytes(hold.bytes()).done()
}
fn held_key(hold: HoldId) -> Vec<u8> {
    Key::table(HELD).bytes(hold.bytes()).done()
}

impl View for ErasureView {
    const NAME: &'static str = "erasure";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let Event::Erasure(what) = &event.event else { return Ok(()) };
        let (tenant, at) = (event.meta.tenant, event.recorded_at);
        match what {
            ErasureEvent::HoldPlaced(e) => {
                tx.put(held_key(e.hold), e.patient.bytes().to_vec())?;
                let hold = Hold {
                    hold: e.hold,
                    tenant,
                    patient: e.patient,
                    kind: e.kind,
                    groups: e.groups,
                    reference: e.reference.clone(),
                    until: e.until,
                    by: e.by,
                    placed_at: at,
                    lifted: None,
                };
                tx.put_value(hold_key(e.patient, e.hold), &hold)
            }
            ErasureEvent::HoldLifted(e) => {
                let key = hold_key(e.patient, e.hold);
                let Some(mut hold) = tx.value::<Hold>(key.clone())? else { return Ok(()) };
                hold.lifted = Some((e.by, at));
                tx.put_value(key, &hold)
            }
            ErasureEvent::Requested(e) => {
                tx.put(tenant_key(tenant, event.position), e.erasure.bytes().to_vec())?;
                let erasure = Erasure {
                    erasure: e.erasure,
                    tenant,
                    patient: e.patient,
                    scope: e.scope,
                    basis: e.basis,
                    by: e.by,
                    requested_at: at,
                    due_at: e.due_at,
                    approved_by: e.by_officer.then_some(e.by).into_iter().collect(),
                    stage: Stage::Asked,
                    execution: None,
                    position: event.position,
                };
                tx.put_value(erasure_key(e.erasure), &erasure)
            }
            ErasureEvent::Approved(e) => change(tx, e.erasure, |erasure| {
                erasure.approved_by.insert(e.by);
            }),
            ErasureEvent::Refused(e) => {
                change(tx, e.erasure, |erasure| erasure.stage = Stage::Refused { by: e.by, at, reason: e.reason })
            }
            ErasureEvent::Executed(e) => {
                tx.put(unfinished_key(e.erasure), Vec::new())?;
                change(tx, e.erasure, |erasure| {
                    erasure.stage = Stage::Executing;
                    erasure.execution = Some(Execution {
                        patients: e.patients.clone(),
                        scope: e.scope,
                        kept: e.kept.clone(),
                        at,
                        position: event.position,
                        event: event.id,
                    });
                })
            }
            ErasureEvent::Certified(e) => {
                tx.remove(unfinished_key(e.erasure))?;
                change(tx, e.erasure, |erasure| {
                    erasure.stage = Stage::Certified(Certified {
                        event: event.id,
                        position: event.position,
                        at,
                        destroyed: e.destroyed.clone(),
                        log_size: e.log_size,
                        log_root: e.log_root.clone(),
                    });
                })
            }
        }
    }
}

fn change(tx: &mut Tx<'_>, id: ErasureId, edit: impl FnOnce(&mut Erasure)) -> Result<(), ViewError> {
    let Some(mut erasure) = tx.value::<Erasure>(erasure_key(id))? else { return Ok(()) };
    edit(&mut erasure);
    tx.put_value(erasure_key(id), &erasure)
}

impl Projection<ErasureView> {
    /// One request.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn get(&self, erasure: ErasureId) -> Result<Option<Erasure>, ViewError> {
        self.live()?.get(&erasure_key(erasure))?.map(|row| decode(ErasureView::NAME, &row)).transpose()
    }

    /// Requests of an organisation, newest first. `before` is the `next` of the page before.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn list(&self, tenant: TenantId, before: Option<u64>, limit: usize) -> Result<Page<Erasure>, ViewError> {
        let live = self.live()?;
        let mut found = Vec::new();
        let (from, to) = (tenant_key(tenant, 0), tenant_key(tenant, before.unwrap_or(u64::MAX)));
        live.walk(&from, &to, true, |key, id| {
            let id = <[u8; 16]>::try_from(id).ok().zip(trailing_number(key));
            found.push(id.ok_or_else(|| ViewError::damaged(ErasureView::NAME, "a row does not have its shape"))?);
            Ok(found.len() <= limit)
        })?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(_, position)| *position).filter(|_| more);
        let mut items = Vec::with_capacity(found.len());
        for (id, _) in found {
            items.extend(self.get(ErasureId::from_bytes(id))?);
        }
        Ok(Page { items, next })
    }

    /// Requests that were begun and are not certified: what a start after a crash goes on with.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Erasure>, ViewError> {
        let mut ids = Vec::new();
        let (from, to) = (Key::table(UNFINISHED).done(), Key::table(UNFINISHED + 1).done());
        self.live()?.walk(&from, &to, false, |key, _| {
            ids.extend(trailing_id(key).map(ErasureId::from_bytes));
            Ok(true)
        })?;
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.get(id)?);
        }
        Ok(found)
    }

    /// Holds on a patient, lifted ones included, by id.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn holds(&self, patient: PatientId) -> Result<Vec<Hold>, ViewError> {
        let mut found = Vec::new();
        let from = Key::table(HOLD).bytes(patient.bytes());
        let to = from.clone().bytes(&[0xff; 17]).done();
        self.live()?.walk(&from.done(), &to, false, |_, row| {
            found.push(decode(ErasureView::NAME, row)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// One hold.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn one_hold(&self, hold: HoldId) -> Result<Option<Hold>, ViewError> {
        let live = self.live()?;
        let Some(patient) = live.get(&held_key(hold))?.and_then(|row| <[u8; 16]>::try_from(&*row).ok()) else {
            return Ok(None);
        };
        let row = live.get(&hold_key(PatientId::from_bytes(patient), hold))?;
        row.map(|row| decode(ErasureView::NAME, &row)).transpose()
    }
}
