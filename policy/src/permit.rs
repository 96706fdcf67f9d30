//! The two answers.

use std::fmt;
use std::sync::Arc;

use wardbook_events::access::{AccessDenied, AccessReason, Grounds};
use wardbook_events::{EmergencyId, EventId, Group, GroupSet, PatientId, RecordId, Sealed, TenantId, UserId};

use crate::action::Action;
use crate::obligation::Obligation;

/// What the policies said, without who asked: shared by all permits that rest on the same facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The groups that may be opened; empty unless it is a reading.
    pub groups: GroupSet,
    /// Policies that said yes, or, when it is denied, those that said no. Sorted, each once.
    pub policies: Vec<String>,
    /// Sorted, each once.
    pub obligations: Vec<Obligation>,
}

/// Policy's yes. Made only by [`crate::Policies`]; good for one access event, and for nothing without its receipt.
///
/// It cannot be forged, not even out of another permit:
/// ```compile_fail,E0451
/// use wardbook_policy::{Action, Permit};
/// fn forge(permit: Permit) -> Permit {
///     Permit { action: Action::Import, ..permit }
/// }
/// ```
#[derive(Clone)]
pub struct Permit {
    pub(crate) event: EventId,
    pub(crate) user: UserId,
    pub(crate) tenant: TenantId,
    pub(crate) patient: Option<PatientId>,
    pub(crate) record: Option<RecordId>,
    pub(crate) action: Action,
    pub(crate) emergency: Option<EmergencyId>,
    pub(crate) reason: Option<AccessReason>,
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) policy_version: Arc<str>,
}

impl Permit {
    /// The break-glass that it rests on, if it rests on one.
    #[must_use]
    pub const fn emergency(&self) -> Option<EmergencyId> {
        self.emergency
    }
    /// The access event that must be durable before anything is opened.
    #[must_use]
    pub const fn event(&self) -> EventId {
        self.event
    }
    /// Who may.
    #[must_use]
    pub const fn user(&self) -> UserId {
        self.user
    }
    /// In which organisation.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }
    /// The patient it is about, if it is about one.
    #[must_use]
    pub const fn patient(&self) -> Option<PatientId> {
        self.patient
    }
    /// The clinical entry it is about, if it is about one: then it opens nothing else.
    #[must_use]
    pub const fn record(&self) -> Option<RecordId> {
        self.record
    }
    /// What may be done.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }
    /// The groups of fields that may be opened. Empty for everything but reading: a permit to write opens nothing.
    #[must_use]
    pub fn groups(&self) -> GroupSet {
        self.verdict.groups
    }
    /// What must be done besides.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        &self.verdict.obligations
    }
    /// Names of the policies that said yes.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.verdict.policies
    }
    /// Version of the policy set: the first 16 hex digits of the BLAKE3 hash of its sources.
    #[must_use]
    pub fn policy_version(&self) -> &str {
        &self.policy_version
    }
    /// The grounds, as access events state them.
    #[must_use]
    pub fn grounds(&self) -> Grounds {
        Grounds {
            policies: self.verdict.policies.clone(),
            policy_version: self.policy_version.to_string(),
            emergency: self.emergency,
            reason: self.reason,
        }
    }

    /// Whether this value may be opened, as far as policy is concerned: right organisation, patient, entry and group, and
    /// no obligation that withholds the field. Whoever opens must ask this, not [`Permit::groups`] alone.
    #[must_use]
    pub fn covers<T>(&self, sealed: &Sealed<T>) -> bool {
        let field = sealed.field();
        let entry_fits = match self.record {
            Some(record) => sealed.stream() == wardbook_events::records::stream(record),
            // Labels differ from entry to entry, so what is specially protected is permitted entry by entry only.
            None => field.group() != Group::Sensitive,
        };
        self.tenant == sealed.tenant()
            && self.patient == Some(sealed.subject())
            && self.groups().contains(field.group())
            && entry_fits
            && !self.obligations().contains(&Obligation::Withhold(field))
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} for {}, {:?}, {:?})", self.action.name(), self.event, self.groups(), self.policies())
    }
}

/// Policy's no. Shown to a caller it says nothing; the rest is for the event that tells of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not allowed")]
pub struct Denial {
    pub(crate) action: Action,
    pub(crate) patient: Option<PatientId>,
    pub(crate) verdict: Arc<Verdict>,
    pub(crate) policy_version: Arc<str>,
}

impl Denial {
    /// What was tried.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }
    /// The patient concerned, if there is one.
    #[must_use]
    pub const fn patient(&self) -> Option<PatientId> {
        self.patient
    }
    /// The policies that said no; empty when none said yes.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.verdict.policies
    }
    /// What must be done besides.
    #[must_use]
    pub fn obligations(&self) -> &[Obligation] {
        &self.verdict.obligations
    }
    /// Version of the policy set.
    #[must_use]
    pub fn policy_version(&self) -> &str {
        &self.policy_version
    }
    /// The fact to be appended.
    #[must_use]
    pub fn fact(&self) -> AccessDenied {
        AccessDenied {
            patient: self.patient,
            action: self.action.name().to_owned(),
            policies: self.verdict.policies.clone(),
            policy_version: self.policy_version.to_string(),
        }
    }
}
