//! Who asks, why and from where: what every event that a request causes says of its cause.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use wardbook_commands::{IdempotencyKey, Origin};
use wardbook_events::access::AccessReason;
use wardbook_events::{Actor, Client, CorrelationId, Meta, Outcome, Purpose, Role, SessionId};
use wardbook_policy::Principal;

/// A known user in the middle of a request.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The facts that policy decides on.
    pub principal: Arc<Principal>,
    /// The role acted in: one of the user's.
    pub role: Role,
    /// Why.
    pub purpose: Purpose,
    /// What for, more closely.
    pub reason: Option<AccessReason>,
    /// The live session; none for the command line.
    pub session: Option<SessionId>,
    /// The task that the request belongs to.
    pub correlation: CorrelationId,
    /// Where from.
    pub client: Client,
    /// Network address, as a fact for policy.
    pub address: Option<IpAddr>,
}

impl Asker {
    /// The facts that policy decides on.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
    /// The actor of events that this request causes.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::user(self.principal().user, self.role)
    }
    /// Where a command comes from. `seed` are sixteen random bytes of this request's own.
    #[must_use]
    pub fn origin(&self, now: Timestamp, seed: [u8; 16], idempotency: Option<IdempotencyKey>) -> Origin {
        Origin {
            actor: self.actor(),
            purpose: self.purpose,
            correlation: self.correlation,
            causation: None,
            client: self.client.clone(),
            now,
            seed,
            idempotency,
        }
    }
    /// The `meta` section of an event caused by this request.
    #[must_use]
    pub fn meta(&self, outcome: Outcome) -> Meta {
        Meta {
            tenant: self.principal().tenant,
            actor: self.actor(),
            purpose: self.purpose,
            outcome,
            correlation: self.correlation,
            causation: None,
            command: None,
        }
    }
}

/// The purpose that a role acts for unless it says otherwise.
#[must_use]
pub const fn usual_purpose(role: Role) -> Purpose {
    match role {
        Role::Patient => Purpose::PatientRequest,
        Role::Physician | Role::Nurse | Role::MedicalAssistant => Purpose::Treatment,
        Role::Paramedic | Role::EmergencyStaff => Purpose::EmergencyTreatment,
        Role::Billing => Purpose::Payment,
        Role::Registrar | Role::Quality | Role::Service => Purpose::Operations,
        Role::Auditor | Role::ComplianceOfficer => Purpose::Compliance,
        Role::Admin | Role::SecurityAdmin | Role::SystemAdmin | Role::DatabaseAdmin => Purpose::SystemAdministration,
    }
}

/// Those who treat come first: a physician who is also an administrator is one at the bedside.
const ORDER: [Role; 16] = [
    Role::Physician,
    Role::Nurse,
    Role::EmergencyStaff,
    Role::Paramedic,
    Role::MedicalAssistant,
    Role::Billing,
    Role::Registrar,
    Role::Quality,
    Role::ComplianceOfficer,
    Role::Auditor,
    Role::SecurityAdmin,
    Role::Admin,
    Role::SystemAdmin,
    Role::DatabaseAdmin,
    Role::Service,
    Role::Patient,
];

/// In which role and for which purpose somebody acts. With a purpose given, the role that usually has it; else the first
/// of the user's roles in a fixed order and its usual purpose. `None` if the user has no role at all.
#[must_use]
pub fn role_and_purpose(roles: &BTreeSet<Role>, given: Option<Purpose>) -> Option<(Role, Purpose)> {
    let mut held = ORDER.into_iter().filter(|role| roles.contains(role));
    let first = held.clone().next()?;
    match given {
        None => Some((first, usual_purpose(first))),
        Some(purpose) => Some((held.find(|role| usual_purpose(*role) == purpose).unwrap_or(first), purpose)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_fits_the_purpose() {
        let both = BTreeSet::from([Role::Patient, Role::Physician]);
        assert_eq!(role_and_purpose(&both, None), Some((Role::Physician, Purpose::Treatment)));
        assert_eq!(
            role_and_purpose(&both, Some(Purpose::PatientRequest)),
            Some((Role::Patient, Purpose::PatientRequest))
        );
        assert_eq!(role_and_purpose(&both, Some(Purpose::Research)), Some((Role::Physician, Purpose::Research)));
        assert_eq!(role_and_purpose(&BTreeSet::new(), Some(Purpose::Research)), None);
        assert_eq!(ORDER.into_iter().collect::<BTreeSet<_>>(), Role::ALL.into_iter().collect());
    }
}
