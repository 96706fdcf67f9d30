//! An index over the audit trail: which positions concern a patient, an actor, a session ... The events themselves are
//! read from the ledger.
//!
//! The log is cut into blocks of 4,096 positions, aligned, so that the layout does not depend on batches. In a block,
//! what repeats much (actor, type, outcome, tenant) has one row per value with a list of places; what repeats little
//! (patient, session, correlation) shares a fixed number of rows, in which value and place stand side by side. So an
//! event costs a tenth of a row instead of seven rows, all rows that are being written lie together at the end of the
//! tree, and a look-up reads one small row per block.

mod place;
mod query;
#[cfg(test)]
mod tests;

pub use query::{AuditFilter, AuditPage};

use wardbook_events::{CorrelationId, Outcome, PatientId, Recorded, SessionId, TenantId, UserId};

use crate::error::ViewError;
use crate::projection::View;
use crate::row_key::Key;
use crate::tx::Tx;
use place::{push_place, push_shared, push_time};

/// Positions in a block.
const BLOCK: u64 = 4096;
/// Positions in a row of times: a row is rewritten with each event while it is the last one, so it is kept small.
const TIMES: u64 = 256;
/// Table of the times.
const TIME: u8 = 1;
/// Table of the blocks.
const BLOCKS: u8 = 2;

/// The view that indexes the audit trail.
#[derive(Debug)]
pub struct AuditView;

/// What an event can be found by. The number is part of the key, so never change one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Dimension {
    Correlation = 2,
    Session = 3,
    Patient = 4,
    Actor = 5,
    Type = 6,
    Outcome = 7,
    Tenant = 8,
}

/// A value of a dimension: an id, or the beginning of a hash of what is no id.
type Value = [u8; 16];

impl Dimension {
    /// In how many rows of a block its values stand; `None` if each value has a row of its own.
    const fn shared_rows(self) -> Option<u8> {
        match self {
            Self::Correlation | Self::Patient => Some(64),
            Self::Session => Some(16),
            Self::Actor | Self::Type | Self::Outcome | Self::Tenant => None,
        }
    }
    fn key(self, value: &Value, block: u64) -> Vec<u8> {
        let key = Key::table(BLOCKS).number(block).byte(self as u8);
        match self.shared_rows() {
            // The last byte of an id is random also where the first ones are a time.
            Some(rows) => key.byte(value.last().copied().unwrap_or_default() % rows),
            None => key.bytes(value),
        }
        .done()
    }
}

fn time_key(position: u64) -> Vec<u8> {
    Key::table(TIME).number(position / TIMES).done()
}

fn name_value(name: &str) -> Value {
    let hash = blake3::Hasher::new_derive_key("wardbook 2026 audit index name v1").update(name.as_bytes()).finalize();
    let mut value = [0; 16];
    value.copy_from_slice(hash.as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
    value
}

const fn outcome_value(outcome: Outcome) -> Value {
    let mut value = [0; 16];
    let [.., last] = &mut value;
    *last = match outcome {
        Outcome::Success => 1,
        Outcome::Denied => 2,
        Outcome::Failed => 3,
    };
    value
}

impl View for AuditView {
    const NAME: &'static str = "audit";
    const CODE_VERSION: u32 = 1;

    fn apply(tx: &mut Tx<'_>, event: &Recorded) -> Result<(), ViewError> {
        let position = event.position;
        tx.edit(time_key(position), |row| push_time(row, position % TIMES, event.recorded_at.as_microsecond()))?;
        let mut post = |dimension: Dimension, value: &Value| {
            let (block, place) = (position / BLOCK, (position % BLOCK) as u16);
            tx.edit(dimension.key(value, block), |row| match dimension.shared_rows() {
                Some(_) => push_shared(row, value, place),
                None => push_place(row, place),
            })
        };
        for (patient, _) in &event.subjects {
            post(Dimension::Patient, patient.bytes())?;
        }
        if let Some(actor) = &event.meta.actor.id {
            post(Dimension::Actor, actor.bytes())?;
        }
        if let Some(session) = &event.client.session {
            post(Dimension::Session, session.bytes())?;
        }
        post(Dimension::Correlation, event.meta.correlation.bytes())?;
        post(Dimension::Type, &name_value(event.event.type_name()))?;
        post(Dimension::Outcome, &outcome_value(event.meta.outcome))?;
        post(Dimension::Tenant, event.meta.tenant.bytes())
    }
}
