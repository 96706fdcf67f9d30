//! Forgetting a person: asked for, held up, agreed to by two, carried out, certified (GDPR article 17, PDPL article 18, PRV-08).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::field::{Group, GroupSet};
use crate::ids::{ErasureId, HoldId, PatientId, UserId};

/// The stream of what one patient asked for and of what forbids it: together, so that a hold and an approval meet.
#[must_use]
pub fn stream(patient: PatientId) -> String {
    format!("erasure-{patient}")
}

/// How much is to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The person: every version of the data key is destroyed.
    Whole,
    /// Some categories: what derives the keys of their fields is destroyed, the rest still opens (PRV-08).
    Groups(GroupSet),
}

impl Scope {
    /// The groups it reaches.
    #[must_use]
    pub fn groups(self) -> GroupSet {
        match self {
            Self::Whole => GroupSet::all(),
            Self::Groups(groups) => groups,
        }
    }
}

/// On what ground somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// GDPR article 17(1).
    Gdpr,
    /// Saudi PDPL article 18.
    Pdpl,
    /// The patient asks, and no law says that he may.
    PatientRequest,
    /// The time is over for which it had to be kept.
    RetentionOver,
}

/// Why something may not be erased for the time being (GDPR article 17(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// It is evidence in a court case (17(3)(e)).
    Litigation,
    /// Somebody looks into what happened.
    Investigation,
    /// Public health needs it (17(3)(c)).
    PublicHealth,
    /// Another duty.
    Other,
}

/// Why an erasure was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// The law asks that it be kept (GDPR article 17(3)(b)).
    LegalObligation,
    /// Public health needs it (17(3)(c)).
    PublicHealth,
    /// It is needed for claims (17(3)(e)).
    LegalClaims,
    /// Whoever asked did not prove to be this person.
    IdentityNotProven,
    /// Whoever asked took it back.
    Withdrawn,
    /// Another reason.
    Other,
}

/// What one group is kept by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// A hold.
    Hold {
        /// Which one.
        hold: HoldId,
        /// Of what kind.
        kind: HoldKind,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// The law asks that it be kept so long.
    Retention {
        /// Which law.
        rule: String,
        /// Until when.
        until: Timestamp,
    },
}

/// A group that must stay, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The group.
    pub group: Group,
    /// Why: at least one reason.
    pub because: Vec<Because>,
}

/// Where something of the patient was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The key store, its journal and the keys in memory: patients whose data key is gone there, in all its versions, or
    /// what in it derives the keys of the groups.
    KeyStore,
    /// Copies of the key store: places that were made anew without the key.
    KeyBackups,
    /// The store of documents: objects.
    Documents,
    /// The views: patients.
    Views,
    /// Accounts: users who log in no more.
    Accounts,
}

/// What was destroyed in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destroyed {
    /// Where.
    pub place: Place,
    /// How many; of what is said by the place.
    pub count: u64,
    /// Which, if they have names of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// Something forbids to erase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldPlaced {
    /// This hold.
    pub hold: HoldId,
    /// The patient.
    pub patient: PatientId,
    /// Of what kind.
    pub kind: HoldKind,
    /// What must stay.
    pub groups: GroupSet,
    /// The number of the case or order; never about the patient.
    pub reference: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who says so.
    pub by: UserId,
}

/// It forbids no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldLifted {
    /// The hold.
    pub hold: HoldId,
    /// The patient.
    pub patient: PatientId,
    /// Who says so.
    pub by: UserId,
}

/// Somebody asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureRequested {
    /// This request.
    pub erasure: ErasureId,
    /// The patient; of several who were merged the one who goes on.
    pub patient: PatientId,
    /// How much.
    pub scope: Scope,
    /// On what ground.
    pub basis: Basis,
    /// When it must have been answered (GDPR article 12(3), PRV-06).
    pub due_at: Timestamp,
    /// Who asks.
    pub by: UserId,
    /// An officer asks: that counts as one of the two who agree.
    pub by_officer: bool,
}

/// An officer agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureApproved {
    /// The request.
    pub erasure: ErasureId,
    /// The patient.
    pub patient: PatientId,
    /// Who agrees.
    pub by: UserId,
}

/// An officer refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureRefused {
    /// The request.
    pub erasure: ErasureId,
    /// The patient.
    pub patient: PatientId,
    /// Who refuses.
    pub by: UserId,
    /// Why.
    pub reason: RefusalReason,
}

/// Two have agreed and it begins: from this event on there is no way back, and a start after a crash goes on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureExecuted {
    /// The request.
    pub erasure: ErasureId,
    /// Everybody who is this person: the patient who goes on, then those who were merged into it.
    pub patients: Vec<PatientId>,
    /// What goes: as asked for, or what may go of it.
    pub scope: Scope,
    /// What was asked for and must stay.
    pub kept: Vec<Kept>,
    /// The two.
    pub approved_by: Vec<UserId>,
}

/// It is done everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErasureCertified {
    /// The request.
    pub erasure: ErasureId,
    /// The patient.
    pub patient: PatientId,
    /// What went.
    pub scope: Scope,
    /// Position of [`ErasureExecuted`].
    pub executed_at: u64,
    /// What was destroyed where.
    pub destroyed: Vec<Destroyed>,
    /// Size of the newest checkpoint that was published before.
    pub log_size: u64,
    /// Root hash (hex) of that checkpoint: what was provable before the erasure is provable after it.
    pub log_root: String,
}

area_events! {
    /// Events of erasures and of what holds them up.
    ErasureEvent in "erasure", upcast first_version {
        "hold-placed" v 1 => HoldPlaced(HoldPlaced),
        "hold-lifted" v 1 => HoldLifted(HoldLifted),
        "requested" v 1 => Requested(ErasureRequested),
        "approved" v 1 => Approved(ErasureApproved),
        "refused" v 1 => Refused(ErasureRefused),
        "executed" v 1 => Executed(ErasureExecuted),
        "certified" v 1 => Certified(ErasureCertified),
    }
}
