//! Looking, and being refused: each look is an event before it is an answer.
//!
//! This is the hot path of the product. No stream is read and no version expected: one event, one append, one flush
//! shared with everybody who waits. The event's id is the permit's, which is what lets its receipt open anything.

use wardbook_events::access::{
    AccessDenied, AccessEvent, AccessListRead, AuditRead, ChartOpened, PatientsSearched, RecordsOpened,
    UnknownPatientRequested,
};
use wardbook_events::records::RecordKind;
use wardbook_events::{EventId, GroupSet, PatientId, RecordId, TenantId, TokenKind};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Denial, Permit};

use crate::authority::{Authority, UnfitPermit, own_context};
use crate::error::CommandError;
use crate::executor::Commands;
use crate::origin::Origin;

/// What a permit's holder is about to see.
#[derive(Debug, Clone)]
pub enum Look<'a> {
    /// A chart. Permit: `ReadChart`.
    Chart {
        /// The instant or position at which it is reconstructed, if it is not the present one.
        as_of: Option<u64>,
    },
    /// Clinical entries. Permits: `ReadRecords` of one patient, one or one for each entry, all for one event.
    Records {
        /// The entries.
        records: Vec<RecordId>,
        /// The kind asked for, if only one was.
        kind: Option<RecordKind>,
        /// Permits of the entries that have one of their own, besides the first.
        permits: &'a [Permit],
    },
    /// Patients found by a search. Permit: `SearchPatients` of the organisation.
    Search {
        /// What was searched by.
        by: Vec<TokenKind>,
        /// One reading permit for each patient shown, all for the same event.
        shown: &'a [Permit],
    },
    /// The audit trail. Permit: `ReadAudit`.
    Audit {
        /// Names of the filters used.
        filters: Vec<String>,
        /// How many events are shown at most.
        limit: u32,
    },
    /// The patient's own list of who looked. Permit: `ReadOwnAccessList`.
    AccessList {
        /// Whether the proof of completeness is taken along.
        with_proof: bool,
    },
}

impl Look<'_> {
    fn allows(&self, action: Action) -> bool {
        match self {
            Self::Chart { .. } => action == Action::ReadChart,
            Self::Records { .. } => action == Action::ReadRecords,
            Self::Search { .. } => action == Action::SearchPatients,
            Self::Audit { .. } => action == Action::ReadAudit,
            Self::AccessList { .. } => action == Action::ReadOwnAccessList,
        }
    }

    fn event(self, permit: &Permit) -> Result<AccessEvent, UnfitPermit> {
        let patient = || permit.patient().ok_or(UnfitPermit("patient"));
        let (groups, grounds) = (permit.groups(), permit.grounds());
        Ok(match self {
            Self::Chart { as_of } => ChartOpened { patient: patient()?, groups, grounds, as_of }.into(),
            Self::Records { records, kind, permits } => {
                let patient = patient()?;
                for other in permits {
                    same_event(permit, other)?;
                    if other.patient() != Some(patient) || other.action() != Action::ReadRecords {
                        return Err(UnfitPermit("patient"));
                    }
                    if !other.record().is_some_and(|record| records.contains(&record)) {
                        return Err(UnfitPermit("record"));
                    }
                }
                if permit.record().is_some_and(|record| !records.contains(&record)) {
                    return Err(UnfitPermit("record"));
                }
                let groups = with_all(groups, permits);
                RecordsOpened { patient, records, kind, groups, grounds }.into()
            }
            Self::Search { by, shown } => {
                let mut found: Vec<PatientId> = Vec::with_capacity(shown.len());
                for one in shown {
                    same_event(permit, one)?;
                    found.push(one.patient().ok_or(UnfitPermit("patient"))?);
                }
                PatientsSearched { by, found, groups: with_all(GroupSet::EMPTY, shown), grounds }.into()
            }
            Self::Audit { filters, limit } => AuditRead { patient: permit.patient(), filters, limit, grounds }.into(),
            Self::AccessList { with_proof } => AccessListRead { patient: patient()?, with_proof, grounds }.into(),
        })
    }
}

/// Permits that are used for one look are for one event, one user and one organisation.
fn same_event(one: &Permit, other: &Permit) -> Result<(), UnfitPermit> {
    match (one.event() == other.event(), one.tenant() == other.tenant(), one.user() == other.user()) {
        (true, true, true) => Ok(()),
        (false, ..) => Err(UnfitPermit("event")),
        (_, false, _) => Err(UnfitPermit("organisation")),
        _ => Err(UnfitPermit("actor")),
    }
}

fn with_all(groups: GroupSet, permits: &[Permit]) -> GroupSet {
    permits.iter().flat_map(|permit| permit.groups().iter()).fold(groups, GroupSet::with)
}

impl Commands {
    /// Records a look under the permit's event id; the receipt and the permit together open what is shown.
    ///
    /// # Errors
    /// See [`CommandError`]; then nothing may be shown.
    pub async fn record_look(&self, permit: &Permit, origin: &Origin, look: Look<'_>) -> Result<Receipt, CommandError> {
        let context = Authority::new(permit, origin, |action| look.allows(action))?.context();
        let event = look.event(permit)?;
        self.append_one(AccessEvent::into(event), permit.event(), &context, origin).await
    }

    /// Records a refusal under the id that the permit would have had. `tenant` is the user's organisation.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn record_denial(
        &self,
        denial: &Denial,
        tenant: TenantId,
        id: EventId,
        origin: &Origin,
    ) -> Result<Receipt, CommandError> {
        let fact: AccessDenied = denial.fact();
        self.append_one(fact.into(), id, &own_context(tenant, origin), origin).await
    }

    /// Records that somebody asked for a patient who does not exist: a mark of guessing.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn record_unknown_patient(
        &self,
        action: Action,
        tenant: TenantId,
        id: EventId,
        origin: &Origin,
    ) -> Result<Receipt, CommandError> {
        let fact = UnknownPatientRequested { action: action.name().to_owned() };
        self.append_one(fact.into(), id, &own_context(tenant, origin), origin).await
    }
}
