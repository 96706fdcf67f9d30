//! The facts that the caller brings: who asks, about whom, about which entry, why and when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{EventId, PatientId, Purpose, RecordId, Role, TenantId, UserId};

/// Who asks. Built from the identity view and the live session, never from what a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: UserId,
    /// The organisation the user belongs to.
    pub tenant: TenantId,
    /// What the user is.
    pub roles: BTreeSet<Role>,
    /// Whether the account is enabled.
    pub active: bool,
    /// Departments the user works in.
    pub departments: BTreeSet<String>,
    /// The chart that is about this very user.
    pub patient: Option<PatientId>,
    /// Patients whom the user represents.
    pub proxy_for: BTreeSet<PatientId>,
    /// Strength of the login: 0 password only, 1 one-time code, 2 phishing-resistant.
    pub mfa: u8,
}

/// About whom. Built from the views of patients and care teams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientFacts {
    /// The patient.
    pub patient: PatientId,
    /// The organisation that treats the patient.
    pub tenant: TenantId,
    /// Departments that treat the patient.
    pub departments: BTreeSet<String>,
    /// Specially watched (ACC-21).
    pub vip: bool,
    /// The care team, and when an assignment ends by itself: from that instant on it counts no more.
    pub members: BTreeMap<UserId, Option<Timestamp>>,
}

impl PatientFacts {
    /// Whether a user is on the care team at this instant.
    #[must_use]
    pub fn is_member(&self, user: UserId, now: Timestamp) -> bool {
        self.members.get(&user).is_some_and(|until| until.is_none_or(|until| now < until))
    }
}

/// About which clinical entry: what stands in clear beside the sealed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFacts {
    /// The entry.
    pub record: RecordId,
    /// What kind of entry.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    pub sensitivity: Vec<Sensitivity>,
    /// Who wrote it; `None` if it came from elsewhere.
    pub author: Option<UserId>,
    /// Whether it is signed.
    pub signed: bool,
}

/// Why, when and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The present instant.
    pub now: Timestamp,
    /// Purpose of use.
    pub purpose: Purpose,
    /// Network address of the client, if the request came over the network.
    pub address: Option<IpAddr>,
    /// Id of the access event that will be appended; the permit opens nothing without the receipt of this event.
    pub event: EventId,
}

/// What [`crate::Policies::act`] is asked about. An action that does not fit its target is denied.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A patient's master data, or the chart as a whole.
    Patient(&'a PatientFacts),
    /// One clinical entry of a patient.
    Record(&'a PatientFacts, &'a RecordFacts),
    /// A user's place on a patient's care team.
    Member(&'a PatientFacts, UserId),
    /// An account of the asker's organisation.
    User(UserId),
    /// The asker's organisation.
    Tenant,
    /// The audit trail: of one patient, or of the asker's organisation.
    Audit(Option<&'a PatientFacts>),
}

impl<'a> Target<'a> {
    pub(crate) const fn patient(&self) -> Option<&'a PatientFacts> {
        match *self {
            Self::Patient(patient) | Self::Record(patient, _) | Self::Member(patient, _) => Some(patient),
            Self::Audit(patient) => patient,
            Self::User(_) | Self::Tenant => None,
        }
    }
    pub(crate) const fn record(&self) -> Option<&'a RecordFacts> {
        match *self {
            Self::Record(_, record) => Some(record),
            _ => None,
        }
    }
}
