//! The facts that the caller brings: who asks, about whom, about which entry, why and when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use wardbook_events::access::AccessReason;
use wardbook_events::care_teams::Function;
use wardbook_events::identity::Hours;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{EmergencyId, EventId, PatientId, Purpose, RecordId, Role, TenantId, UserId};

use crate::action::Action;

/// Who asks. Built from the identity view and the live session, never from what a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user.
    pub user: UserId,
    /// The organisation the user belongs to.
    pub tenant: TenantId,
    /// What the user is, always.
    pub roles: BTreeSet<Role>,
    /// What the user is for a short time besides, and until when (ACC-06).
    pub elevations: BTreeMap<Role, Timestamp>,
    /// Whether the account is enabled.
    pub active: bool,
    /// Departments the user works in.
    pub departments: BTreeSet<String>,
    /// Facilities the user works in; none means all of them.
    pub facilities: BTreeSet<String>,
    /// When the user is on shift; none means whenever the organisation works.
    pub shifts: Vec<Hours>,
    /// On call, whatever the hour, until then.
    pub on_call_until: Option<Timestamp>,
    /// The chart that is about this very user.
    pub patient: Option<PatientId>,
    /// Names of the actions that an API key or a program's token may be used for; `None` for a person's session.
    pub scopes: Option<BTreeSet<String>>,
    /// Strength of the login: 0 password only, 1 one-time code, 2 phishing-resistant.
    pub mfa: u8,
    /// Until when the last full proof of who it is counts as fresh (IAM-09).
    pub fresh_until: Option<Timestamp>,
}

impl Principal {
    /// An enabled account with these roles and nothing else.
    #[must_use]
    pub const fn new(user: UserId, tenant: TenantId, roles: BTreeSet<Role>) -> Self {
        Self {
            user,
            tenant,
            roles,
            elevations: BTreeMap::new(),
            active: true,
            departments: BTreeSet::new(),
            facilities: BTreeSet::new(),
            shifts: Vec::new(),
            on_call_until: None,
            patient: None,
            scopes: None,
            mfa: 0,
            fresh_until: None,
        }
    }

    /// What the user is at this instant.
    #[must_use]
    pub fn roles_at(&self, now: Timestamp) -> BTreeSet<Role> {
        let elevated = self.elevations.iter().filter(|(_, until)| now < **until).map(|(role, _)| *role);
        self.roles.iter().copied().chain(elevated).collect()
    }

    /// Whether the key or token, if it is one, may be used for this. A program without scopes may nothing.
    #[must_use]
    pub fn has_scope(&self, action: Action) -> bool {
        match &self.scopes {
            Some(scopes) => scopes.contains(action.name()),
            None => !self.roles.contains(&Role::Service),
        }
    }

    /// Whether the last full proof still counts as fresh.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.fresh_until.is_some_and(|until| now < until)
    }

    /// Whether the user is at work by the organisation's clock, or on call.
    #[must_use]
    pub fn is_on_shift(&self, now: Timestamp, clock: WallClock) -> bool {
        let covers = |hours: &Hours| hours.weekday == clock.weekday && (hours.from..hours.to).contains(&clock.minute);
        let on_call = self.on_call_until.is_some_and(|until| now < until);
        on_call || if self.shifts.is_empty() { clock.open } else { self.shifts.iter().any(covers) }
    }
}

/// A place on a care team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// As what.
    pub function: Function,
    /// When it ends by itself: from that instant on it counts no more.
    pub until: Option<Timestamp>,
}

/// A live break-glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emergency {
    /// Which one.
    pub emergency: EmergencyId,
    /// From that instant on it counts no more.
    pub expires_at: Timestamp,
}

/// About whom. Built from the views of patients, care teams, consents and emergencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientFacts {
    /// The patient.
    pub patient: PatientId,
    /// The organisation that treats the patient.
    pub tenant: TenantId,
    /// Departments that treat the patient.
    pub departments: BTreeSet<String>,
    /// Facilities that treat the patient; none means the whole organisation.
    pub facilities: BTreeSet<String>,
    /// Specially watched (ACC-21).
    pub vip: bool,
    /// There is no such person: nobody has a reason to touch this record (ACC-21).
    pub decoy: bool,
    /// The care team.
    pub members: BTreeMap<UserId, Member>,
    /// Who broke the glass for this patient.
    pub emergencies: BTreeMap<UserId, Emergency>,
    /// Who represents the patient, and when that ends by itself (45 CFR 164.502(g)).
    pub proxies: BTreeMap<UserId, Option<Timestamp>>,
    /// Users who see nothing, at the patient's wish (45 CFR 164.522(a)).
    pub denied_users: BTreeSet<UserId>,
    /// Roles that see nothing, at the patient's wish.
    pub denied_roles: BTreeSet<Role>,
    /// The patient agreed that those who treat see entries of substance use (42 CFR 2.31).
    pub sud_permitted: bool,
    /// To whom the patient agreed to show psychotherapy notes (45 CFR 164.508(a)(2)).
    pub psychotherapy_to: BTreeSet<UserId>,
}

impl PatientFacts {
    /// A patient whom nobody treats and who said nothing.
    #[must_use]
    pub const fn new(patient: PatientId, tenant: TenantId) -> Self {
        Self {
            patient,
            tenant,
            departments: BTreeSet::new(),
            facilities: BTreeSet::new(),
            vip: false,
            decoy: false,
            members: BTreeMap::new(),
            emergencies: BTreeMap::new(),
            proxies: BTreeMap::new(),
            denied_users: BTreeSet::new(),
            denied_roles: BTreeSet::new(),
            sud_permitted: false,
            psychotherapy_to: BTreeSet::new(),
        }
    }

    /// As what a user is on the care team at this instant.
    #[must_use]
    pub fn membership(&self, user: UserId, now: Timestamp) -> Option<Function> {
        self.members.get(&user).filter(|member| member.until.is_none_or(|until| now < until)).map(|m| m.function)
    }
    /// Whether a user is on the care team at this instant.
    #[must_use]
    pub fn is_member(&self, user: UserId, now: Timestamp) -> bool {
        self.membership(user, now).is_some()
    }
    /// Whether a user represents the patient at this instant.
    #[must_use]
    pub fn is_proxy(&self, user: UserId, now: Timestamp) -> bool {
        self.proxies.get(&user).is_some_and(|until| until.is_none_or(|until| now < until))
    }
    /// The break-glass of a user that is live at this instant.
    #[must_use]
    pub fn emergency(&self, user: UserId, now: Timestamp) -> Option<EmergencyId> {
        self.emergencies.get(&user).filter(|emergency| now < emergency.expires_at).map(|one| one.emergency)
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
    /// What for, more closely; watched patients are not opened without.
    pub reason: Option<AccessReason>,
    /// The organisation's own time of day.
    pub clock: WallClock,
    /// Network address of the client, if the request came over the network.
    pub address: Option<IpAddr>,
    /// Id of the access event that will be appended; the permit opens nothing without the receipt of this event.
    pub event: EventId,
}

impl Ask {
    /// In working hours, from nowhere in particular, for no closer reason.
    #[must_use]
    pub const fn new(now: Timestamp, purpose: Purpose, event: EventId) -> Self {
        Self { now, purpose, reason: None, clock: WallClock::OPEN, address: None, event }
    }
}

/// The organisation's own time of day, worked out by the caller, who knows its time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WallClock {
    /// 1 Monday to 7 Sunday.
    pub weekday: u8,
    /// Minute of the day, 0 to 1439.
    pub minute: u16,
    /// Within the organisation's working hours.
    pub open: bool,
}

impl WallClock {
    /// Noon on a working Monday.
    pub const OPEN: Self = Self { weekday: 1, minute: 720, open: true };
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
