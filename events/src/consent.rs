//! What a patient allows and forbids: restrictions, representatives, disclosures of what is specially protected.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::area::first_version;
use crate::ids::{PatientId, UserId};
use crate::meta::Role;
use crate::records::Sensitivity;

/// The stream of one patient's consents.
#[must_use]
pub fn stream(patient: PatientId) -> String {
    format!("consent-{patient}")
}

/// Whom a restriction is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// One user.
    User(UserId),
    /// Everybody in a role.
    Role(Role),
}

/// The patient asked that somebody sees nothing, and it was agreed to (45 CFR 164.522(a)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRestricted {
    /// The patient.
    pub patient: PatientId,
    /// Who sees nothing.
    pub whom: Whom,
}

/// A restriction holds no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestrictionLifted {
    /// The patient.
    pub patient: PatientId,
    /// Whom it was about.
    pub whom: Whom,
}

/// The patient agreed that entries of a protected kind are shown: substance use to those who treat (42 CFR 2.31), or
/// psychotherapy notes to one person (45 CFR 164.508(a)(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosurePermitted {
    /// The patient.
    pub patient: PatientId,
    /// Which entries.
    pub label: Sensitivity,
    /// To whom; to all who treat if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<UserId>,
}

/// The patient no longer agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisclosureWithdrawn {
    /// The patient.
    pub patient: PatientId,
    /// Which entries.
    pub label: Sensitivity,
    /// To whom it had been agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<UserId>,
}

/// Somebody represents the patient from now on (45 CFR 164.502(g)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyGranted {
    /// The patient.
    pub patient: PatientId,
    /// Who represents.
    pub user: UserId,
    /// When it ends by itself, such as at the age of majority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Somebody represents the patient no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyEnded {
    /// The patient.
    pub patient: PatientId,
    /// Who represented.
    pub user: UserId,
}

area_events! {
    /// Events of consent.
    ConsentEvent in "consent", upcast first_version {
        "access-restricted" v 1 => AccessRestricted(AccessRestricted),
        "restriction-lifted" v 1 => RestrictionLifted(RestrictionLifted),
        "disclosure-permitted" v 1 => DisclosurePermitted(DisclosurePermitted),
        "disclosure-withdrawn" v 1 => DisclosureWithdrawn(DisclosureWithdrawn),
        "proxy-granted" v 1 => ProxyGranted(ProxyGranted),
        "proxy-ended" v 1 => ProxyEnded(ProxyEnded),
    }
}
