//! What can be asked of policy.

use wardbook_events::{Group, GroupSet};

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See a chart ([`crate::Policies::read`]).
    ReadChart,
    /// See clinical entries ([`crate::Policies::read`]).
    ReadRecords,
    /// Search: [`crate::Policies::act`] on [`crate::Target::Tenant`] to search at all, then
    /// [`crate::Policies::read`] for each patient found, which says what may be shown of that patient.
    SearchPatients,
    /// Register a new patient. On [`crate::Target::Tenant`].
    RegisterPatient,
    /// Correct fields of these groups; all of them or nothing. On [`crate::Target::Patient`].
    CorrectPatient(GroupSet),
    /// Merge or part patients; ask once for each of the two. On [`crate::Target::Patient`].
    MergePatients,
    /// Say in which departments and facilities a patient is treated. On [`crate::Target::Patient`].
    PlacePatient,
    /// Set or clear the mark of a watched patient. On [`crate::Target::Patient`].
    FlagPatient,
    /// Add a clinical entry. On [`crate::Target::Record`] with the facts it will have.
    AddRecord,
    /// Change an unsigned entry. On [`crate::Target::Record`].
    AmendRecord,
    /// Sign an entry. On [`crate::Target::Record`].
    SignRecord,
    /// Add to a signed entry. On [`crate::Target::Record`].
    AddAddendum,
    /// Declare an entry wrong. On [`crate::Target::Record`].
    RetractRecord,
    /// Put somebody on a care team. On [`crate::Target::Member`].
    AssignMember,
    /// Take somebody off a care team. On [`crate::Target::Member`].
    EndMember,
    /// Read the audit trail. On [`crate::Target::Audit`].
    ReadAudit,
    /// Read the list of who looked at oneself. On [`crate::Target::Patient`].
    ReadOwnAccessList,
    /// Create, change or disable accounts. On [`crate::Target::User`], or [`crate::Target::Tenant`] for a new account.
    ManageUsers,
    /// Rebuild or attest views. On [`crate::Target::Tenant`].
    ManageProjections,
    /// Look at the ledger's history; opening PHI in it takes a reading permit besides. On [`crate::Target::Audit`].
    Replay,
    /// Import patients and their entries. On [`crate::Target::Tenant`].
    Import,
    /// Break the glass: open a chart in an emergency without being on the care team. On [`crate::Target::Patient`].
    StartEmergency,
    /// See who broke the glass, and judge it. On [`crate::Target::Tenant`].
    ReviewEmergencies,
    /// State what a patient allows and forbids. On [`crate::Target::Patient`].
    ManageConsent,
    /// See and end sessions of others, end locks. On [`crate::Target::User`], or [`crate::Target::Tenant`] for what
    /// concerns everybody's: the keys of tokens.
    ManageSessions,
    /// Make programs' accounts and keys. On [`crate::Target::User`], or [`crate::Target::Tenant`] for a new one.
    ManageServices,
    /// Grant and take away roles. On [`crate::Target::User`], or [`crate::Target::Tenant`] for a new account.
    GrantRoles,
    /// Change one's own password, factors and keys. On [`crate::Target::User`], oneself.
    ChangeOwnCredentials,
    /// Ask for a role for a short time. On [`crate::Target::Tenant`].
    RequestElevation,
    /// Agree to a role for a short time, refuse, end or judge it. On [`crate::Target::User`], who asked.
    DecideElevation,
    /// Lead a campaign that looks over who may do what. On [`crate::Target::Tenant`].
    ReviewAccess,
    /// See alerts and take note of them. On [`crate::Target::Tenant`].
    ReadAlerts,
    /// See why something was refused, or what policy would say. On [`crate::Target::Tenant`].
    ExplainDecisions,
    /// See which policies are in force. On [`crate::Target::Tenant`].
    ReadPolicies,
    /// Rotate, disable and destroy keys, see how they stand. On [`crate::Target::Tenant`].
    ManageKeys,
    /// Make and check backups, see which there are. On [`crate::Target::Tenant`].
    ManageBackups,
    /// Ask that a person, or a category of what is known of him, be erased. On [`crate::Target::Patient`].
    RequestErasure,
    /// Agree to an erasure or refuse it. On [`crate::Target::Patient`].
    DecideErasure,
    /// State and lift what forbids to erase a patient. On [`crate::Target::Patient`].
    ManageHolds,
}

impl Action {
    /// Every action; [`Action::CorrectPatient`] with all groups that can be corrected.
    #[must_use]
    pub fn all() -> [Self; 39] {
        let correctable = GroupSet::EMPTY
            .with(Group::Demographics)
            .with(Group::Contact)
            .with(Group::Identifiers)
            .with(Group::Billing);
        [
            Self::ReadChart,
            Self::ReadRecords,
            Self::SearchPatients,
            Self::RegisterPatient,
            Self::CorrectPatient(correctable),
            Self::MergePatients,
            Self::PlacePatient,
            Self::FlagPatient,
            Self::AddRecord,
            Self::AmendRecord,
            Self::SignRecord,
            Self::AddAddendum,
            Self::RetractRecord,
            Self::AssignMember,
            Self::EndMember,
            Self::ReadAudit,
            Self::ReadOwnAccessList,
            Self::ManageUsers,
            Self::ManageProjections,
            Self::Replay,
            Self::Import,
            Self::StartEmergency,
            Self::ReviewEmergencies,
            Self::ManageConsent,
            Self::ManageSessions,
            Self::ManageServices,
            Self::GrantRoles,
            Self::ChangeOwnCredentials,
            Self::RequestElevation,
            Self::DecideElevation,
            Self::ReviewAccess,
            Self::ReadAlerts,
            Self::ExplainDecisions,
            Self::ReadPolicies,
            Self::ManageKeys,
            Self::ManageBackups,
            Self::RequestErasure,
            Self::DecideErasure,
            Self::ManageHolds,
        ]
    }

    /// The action of this name; [`Action::CorrectPatient`] with all groups that can be corrected.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|action| action.name() == name)
    }

    /// The name in events and answers; never change one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadChart => "read-chart",
            Self::ReadRecords => "read-records",
            Self::SearchPatients => "search-patients",
            Self::RegisterPatient => "register-patient",
            Self::CorrectPatient(_) => "correct-patient",
            Self::MergePatients => "merge-patients",
            Self::PlacePatient => "place-patient",
            Self::FlagPatient => "flag-patient",
            Self::AddRecord => "add-record",
            Self::AmendRecord => "amend-record",
            Self::SignRecord => "sign-record",
            Self::AddAddendum => "add-addendum",
            Self::RetractRecord => "retract-record",
            Self::AssignMember => "assign-member",
            Self::EndMember => "end-member",
            Self::ReadAudit => "read-audit",
            Self::ReadOwnAccessList => "read-own-access-list",
            Self::ManageUsers => "manage-users",
            Self::ManageProjections => "manage-projections",
            Self::Replay => "replay",
            Self::Import => "import",
            Self::StartEmergency => "start-emergency",
            Self::ReviewEmergencies => "review-emergencies",
            Self::ManageConsent => "manage-consent",
            Self::ManageSessions => "manage-sessions",
            Self::ManageServices => "manage-services",
            Self::GrantRoles => "grant-roles",
            Self::ChangeOwnCredentials => "change-own-credentials",
            Self::RequestElevation => "request-elevation",
            Self::DecideElevation => "decide-elevation",
            Self::ReviewAccess => "review-access",
            Self::ReadAlerts => "read-alerts",
            Self::ExplainDecisions => "explain-decisions",
            Self::ReadPolicies => "read-policies",
            Self::ManageKeys => "manage-keys",
            Self::ManageBackups => "manage-backups",
            Self::RequestErasure => "request-erasure",
            Self::DecideErasure => "decide-erasure",
            Self::ManageHolds => "manage-holds",
        }
    }

    /// Whether it is asked by [`crate::Policies::read`].
    pub(crate) const fn is_reading(self) -> bool {
        matches!(self, Self::ReadChart | Self::ReadRecords | Self::SearchPatients)
    }
}

/// One action as the Cedar schema names it. A wish of ours is one of these, or one for each group of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CedarAction {
    Read(Group),
    Write(Group),
    Act(&'static str),
}

impl CedarAction {
    /// Every Cedar action that can be asked.
    pub(crate) fn all() -> Vec<Self> {
        let mut all: Vec<_> = Group::ALL.into_iter().map(Self::Read).collect();
        for action in Action::all() {
            all.extend(Self::of(action).unwrap_or_default());
        }
        all
    }

    /// What to ask for an action; `None` if there is nothing that could be allowed.
    pub(crate) fn of(action: Action) -> Option<Vec<Self>> {
        let one = |name| Some(vec![Self::Act(name)]);
        match action {
            Action::ReadChart | Action::ReadRecords => None,
            Action::CorrectPatient(groups) => {
                let clinical = groups.contains(Group::Clinical) || groups.contains(Group::Sensitive);
                (!groups.is_empty() && !clinical).then(|| groups.iter().map(Self::Write).collect())
            }
            Action::SearchPatients => one("searchPatients"),
            Action::RegisterPatient => one("registerPatient"),
            Action::MergePatients => one("mergePatients"),
            Action::PlacePatient => one("placePatient"),
            Action::FlagPatient => one("flagPatient"),
            Action::AddRecord => one("addRecord"),
            Action::AmendRecord => one("amendRecord"),
            Action::SignRecord => one("signRecord"),
            Action::AddAddendum => one("addAddendum"),
            Action::RetractRecord => one("retractRecord"),
            Action::AssignMember => one("assignMember"),
            Action::EndMember => one("endMember"),
            Action::ReadAudit => one("readAudit"),
            Action::ReadOwnAccessList => one("readOwnAccessList"),
            Action::ManageUsers => one("manageUsers"),
            Action::ManageProjections => one("manageProjections"),
            Action::Replay => one("replay"),
            Action::Import => one("importPatients"),
            Action::StartEmergency => one("startEmergency"),
            Action::ReviewEmergencies => one("reviewEmergencies"),
            Action::ManageConsent => one("manageConsent"),
            Action::ManageSessions => one("manageSessions"),
            Action::ManageServices => one("manageServices"),
            Action::GrantRoles => one("grantRoles"),
            Action::ChangeOwnCredentials => one("changeOwnCredentials"),
            Action::RequestElevation => one("requestElevation"),
            Action::DecideElevation => one("decideElevation"),
            Action::ReviewAccess => one("reviewAccess"),
            Action::ReadAlerts => one("readAlerts"),
            Action::ExplainDecisions => one("explainDecisions"),
            Action::ReadPolicies => one("readPolicies"),
            Action::ManageKeys => one("manageKeys"),
            Action::ManageBackups => one("manageBackups"),
            Action::RequestErasure => one("requestErasure"),
            Action::DecideErasure => one("decideErasure"),
            Action::ManageHolds => one("manageHolds"),
        }
    }

    /// The id in the Cedar schema.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Read(Group::Demographics) => "readDemographics",
            Self::Read(Group::Contact) => "readContact",
            Self::Read(Group::Identifiers) => "readIdentifiers",
            Self::Read(Group::Clinical) => "readClinical",
            Self::Read(Group::Sensitive) => "readSensitive",
            Self::Read(Group::Billing) => "readBilling",
            Self::Write(Group::Demographics) => "writeDemographics",
            Self::Write(Group::Contact) => "writeContact",
            Self::Write(Group::Identifiers) => "writeIdentifiers",
            Self::Write(Group::Billing) => "writeBilling",
            // No such action in the schema, and `of` never asks it: entries are written by their own actions.
            Self::Write(Group::Clinical | Group::Sensitive) => "writeRecord",
            Self::Act(name) => name,
        }
    }
}
