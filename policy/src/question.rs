//! A question to the policies, with every fact that the answer may rest on and nothing else.
//!
//! The Cedar entities are built from this value alone, and this value is the key under which the answer is remembered. So
//! no fact can count in a decision without counting in the key: whatever changes, the old answer is not found any more.
//! Time is not in it: a deadline is settled here, each time anew, into a yes or no.

use std::collections::BTreeSet;
use std::net::IpAddr;

use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{GroupSet, PatientId, Purpose, Role, TenantId, UserId};

use crate::action::Action;
use crate::facts::{Ask, PatientFacts, Principal, RecordFacts, Target};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub wish: Wish,
    pub purpose: Purpose,
    pub address: Option<IpAddr>,
    pub mfa: u8,
    /// The last full proof of who it is was given lately.
    pub fresh: bool,
    /// A closer reason was given; which one does not matter.
    pub has_reason: bool,
    /// At work, or on call.
    pub on_shift: bool,
    pub user: UserId,
    pub tenant: TenantId,
    pub roles: BTreeSet<Role>,
    pub active: bool,
    pub departments: BTreeSet<String>,
    pub about: About,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wish {
    /// Any of these groups.
    Read(GroupSet),
    Act(Action),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum About {
    Part(Person, Option<Entry>),
    Membership(Person, UserId),
    Audit(Option<Person>),
    System(Option<UserId>),
}

/// A patient, as far as it concerns the one who asks. Whether the record is a decoy is left out on purpose: it must be
/// answered for like any other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Person {
    pub patient: PatientId,
    pub tenant: TenantId,
    pub departments: BTreeSet<String>,
    pub vip: bool,
    pub sud_permitted: bool,
    pub relation: Relation,
}

/// How the asker stands to the patient at the instant of asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Relation {
    /// The chart is about the asker.
    pub own: bool,
    /// On the care team, and as what.
    pub function: Option<Function>,
    /// Represents the patient.
    pub proxy: bool,
    /// Broke the glass for this patient, and it is live.
    pub break_glass: bool,
    /// Shut out by the patient, or in a role that is.
    pub denied: bool,
    /// May read psychotherapy notes, says the patient.
    pub psychotherapy: bool,
    /// Works where the patient is treated.
    pub same_department: bool,
    /// Works in departments, and the patient is treated in others only.
    pub other_department: bool,
    /// Works in facilities, and the patient is treated in others only.
    pub other_facility: bool,
}

impl Relation {
    fn new(principal: &Principal, roles: &BTreeSet<Role>, facts: &PatientFacts, ask: &Ask) -> Self {
        let user = principal.user;
        Self {
            own: principal.patient == Some(facts.patient),
            function: facts.membership(user, ask.now),
            proxy: facts.is_proxy(user, ask.now),
            break_glass: facts.emergency(user, ask.now).is_some(),
            denied: facts.denied_users.contains(&user) || !facts.denied_roles.is_disjoint(roles),
            psychotherapy: facts.psychotherapy_to.contains(&user),
            same_department: !facts.departments.is_disjoint(&principal.departments),
            other_department: are_apart(&facts.departments, &principal.departments),
            other_facility: are_apart(&facts.facilities, &principal.facilities),
        }
    }

    /// Whether the function is one of those who treat.
    pub(crate) const fn treats(&self) -> bool {
        matches!(self.function, Some(Function::Attending | Function::Consulting | Function::Nursing))
    }
}

/// Places that are both named and have nothing in common. Who has none named is everywhere.
fn are_apart(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    !one.is_empty() && !other.is_empty() && one.is_disjoint(other)
}

/// A clinical entry. Its id is left out: entries with equal facts get equal answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub kind: RecordKind,
    pub labels: Vec<Sensitivity>,
    pub author: Option<UserId>,
    pub signed: bool,
}

impl Question {
    /// `None` if the action does not fit the target: nothing of the kind can be allowed.
    pub(crate) fn new(principal: &Principal, wish: Wish, target: Target<'_>, ask: &Ask) -> Option<Self> {
        let fits = match wish {
            Wish::Read(_) => matches!(target, Target::Patient(_) | Target::Record(..)),
            Wish::Act(action) => fits(action, target),
        };
        fits.then(|| Self::about(principal, wish, target, ask))
    }

    /// Whether the wish fits the target or not. Cedar is told the same facts whatever the wish.
    pub(crate) fn about(principal: &Principal, wish: Wish, target: Target<'_>, ask: &Ask) -> Self {
        let roles = principal.roles_at(ask.now);
        let person = |facts: &PatientFacts| Person {
            patient: facts.patient,
            tenant: facts.tenant,
            departments: facts.departments.clone(),
            vip: facts.vip,
            sud_permitted: facts.sud_permitted,
            relation: Relation::new(principal, &roles, facts, ask),
        };
        let about = match target {
            Target::Patient(facts) => About::Part(person(facts), None),
            Target::Record(facts, record) => About::Part(person(facts), Some(Entry::of(record))),
            Target::Member(facts, user) => About::Membership(person(facts), user),
            Target::Audit(facts) => About::Audit(facts.map(person)),
            Target::User(user) => About::System(Some(user)),
            Target::Tenant => About::System(None),
        };
        Self {
            wish,
            purpose: ask.purpose,
            address: ask.address,
            mfa: principal.mfa,
            fresh: principal.is_fresh(ask.now),
            has_reason: ask.reason.is_some(),
            on_shift: principal.is_on_shift(ask.now, ask.clock),
            user: principal.user,
            tenant: principal.tenant,
            active: principal.active,
            departments: principal.departments.clone(),
            about,
            roles,
        }
    }
}

/// Whether an action other than reading can be asked about such a target.
pub(crate) const fn fits(action: Action, target: Target<'_>) -> bool {
    match target {
        Target::Patient(_) => matches!(
            action,
            Action::CorrectPatient(_)
                | Action::MergePatients
                | Action::PlacePatient
                | Action::FlagPatient
                | Action::ReadOwnAccessList
                | Action::StartEmergency
                | Action::ManageConsent
                | Action::RequestErasure
                | Action::DecideErasure
                | Action::ManageHolds
        ),
        Target::Record(..) => matches!(
            action,
            Action::AddRecord | Action::AmendRecord | Action::SignRecord | Action::AddAddendum | Action::RetractRecord
        ),
        Target::Member(..) => matches!(action, Action::AssignMember | Action::EndMember),
        Target::Audit(_) => matches!(action, Action::ReadAudit | Action::Replay),
        Target::User(_) => matches!(
            action,
            Action::ManageUsers
                | Action::ManageSessions
                | Action::ManageServices
                | Action::GrantRoles
                | Action::ChangeOwnCredentials
                | Action::DecideElevation
        ),
        Target::Tenant => matches!(
            action,
            Action::SearchPatients
                | Action::RegisterPatient
                | Action::Import
                | Action::ManageUsers
                | Action::ManageSessions
                | Action::ManageProjections
                | Action::ManageServices
                | Action::GrantRoles
                | Action::ReviewEmergencies
                | Action::RequestElevation
                | Action::ReviewAccess
                | Action::ReadAlerts
                | Action::ExplainDecisions
                | Action::ReadPolicies
                | Action::ManageKeys
                | Action::ManageBackups
        ),
    }
}

impl Entry {
    fn of(record: &RecordFacts) -> Self {
        Self { kind: record.kind, labels: record.sensitivity.clone(), author: record.author, signed: record.signed }
    }
}
