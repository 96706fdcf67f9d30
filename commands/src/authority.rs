//! Whether a permit is the one for a command.

use wardbook_events::{PatientId, RecordId, TenantId};
use wardbook_policy::{Action, Permit};

use crate::context::Context;
use crate::origin::Origin;

/// A permit that is for something else: a mistake of the caller, never of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the permit is for another {0}: ask policy for this very command")]
pub struct UnfitPermit(
    /// What does not fit: `action`, `actor`, `patient`, `record`, `field group`, `event` or `organisation`.
    pub &'static str,
);

fn unless(fits: bool, what: &'static str) -> Result<(), UnfitPermit> {
    if fits { Ok(()) } else { Err(UnfitPermit(what)) }
}

/// Checks a permit part by part and ends in the context of the decision.
#[derive(Clone, Copy)]
pub(crate) struct Authority<'a> {
    permit: &'a Permit,
    origin: &'a Origin,
}

impl<'a> Authority<'a> {
    /// The permit is for this action and for the one who acts.
    pub(crate) fn new(
        permit: &'a Permit,
        origin: &'a Origin,
        allows: impl FnOnce(Action) -> bool,
    ) -> Result<Self, UnfitPermit> {
        unless(allows(permit.action()), "action")?;
        unless(origin.actor.id == Some(permit.user()), "actor")?;
        Ok(Self { permit, origin })
    }
    /// The permit is for this patient.
    pub(crate) fn about(self, patient: PatientId) -> Result<Self, UnfitPermit> {
        unless(self.permit.patient() == Some(patient), "patient")?;
        Ok(self)
    }
    /// The permit is for this entry of this patient.
    pub(crate) fn about_record(self, patient: PatientId, record: RecordId) -> Result<Self, UnfitPermit> {
        unless(self.permit.record() == Some(record), "record")?;
        self.about(patient)
    }
    /// As [`Self::about_record`], or an import's permit, which is for all patients of the organisation.
    pub(crate) fn about_new_record(self, patient: PatientId, record: RecordId) -> Result<Self, UnfitPermit> {
        if self.permit.action() == Action::Import { Ok(self) } else { self.about_record(patient, record) }
    }
    pub(crate) fn context(self) -> Context {
        Context { now: self.origin.now, tenant: self.permit.tenant(), user: Some(self.permit.user()) }
    }
}

/// The context of what Wardbook itself states, or of what happened before anybody was known.
pub(crate) const fn own_context(tenant: TenantId, origin: &Origin) -> Context {
    Context { now: origin.now, tenant, user: origin.actor.id }
}
