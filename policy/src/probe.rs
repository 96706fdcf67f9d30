//! Questions put to freshly loaded policies, to learn at start, not at the first request, that schema and program fit.

use std::collections::BTreeSet;
use std::fmt::Display;

use cedar_policy::Request;
use wardbook_events::care_teams::Function;
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::{Group, GroupSet, PatientId, Purpose, Role, TenantId, UserId};

use crate::action::CedarAction;
use crate::load::{Loaded, PolicyError};
use crate::question::{About, Entry, Person, Question, Relation, Wish};

/// Every label that an entry can have.
pub(crate) const LABELS: [Sensitivity; 5] = [
    Sensitivity::MentalHealth,
    Sensitivity::Psychotherapy,
    Sensitivity::SubstanceUse,
    Sensitivity::Hiv,
    Sensitivity::Reproductive,
];

/// Every place on a care team.
const FUNCTIONS: [Function; 4] =
    [Function::Attending, Function::Consulting, Function::Nursing, Function::Administrative];

/// Every kind of fact must be one that the schema takes: all roles, purposes, kinds and labels, all sorts of resources.
pub(crate) fn check(loaded: &Loaded) -> Result<(), PolicyError> {
    let foreign = |error: &dyn Display| PolicyError::Foreign { message: error.to_string() };
    let id = [0; 16];
    let person_as = |function| Person {
        patient: PatientId::from_bytes(id),
        tenant: TenantId::from_bytes(id),
        departments: BTreeSet::from(["any".to_owned()]),
        vip: true,
        sud_permitted: true,
        relation: Relation { function, ..Relation::default() },
    };
    let person = person_as(None);
    let user = UserId::from_bytes(id);
    let entry = |kind| Entry { kind, labels: LABELS.to_vec(), author: Some(user), signed: true };
    let mut subjects = vec![
        About::Part(person.clone(), None),
        About::Membership(person.clone(), user),
        About::Audit(None),
        About::Audit(Some(person.clone())),
        About::System(None),
        About::System(Some(user)),
    ];
    subjects.extend(FUNCTIONS.map(|function| About::Part(person_as(Some(function)), None)));
    subjects.extend(RecordKind::ALL.map(|kind| About::Part(person.clone(), Some(entry(kind)))));
    for (about, purpose) in subjects.into_iter().zip(Purpose::ALL.into_iter().cycle()) {
        let question = Question {
            wish: Wish::Read(GroupSet::all()),
            purpose,
            address: Some([127, 0, 0, 1].into()),
            mfa: 2,
            fresh: true,
            has_reason: true,
            on_shift: true,
            user,
            tenant: TenantId::from_bytes(id),
            roles: Role::ALL.into_iter().collect(),
            active: true,
            departments: BTreeSet::from(["any".to_owned()]),
            about,
        };
        let action = match question.about {
            About::Part(..) => CedarAction::Read(Group::Clinical),
            About::Membership(..) => CedarAction::Act("assignMember"),
            About::Audit(_) => CedarAction::Act("readAudit"),
            About::System(_) => CedarAction::Act("manageUsers"),
        };
        let facts = loaded.names.facts(&question, &loaded.schema).map_err(|fault| foreign(&fault))?;
        let action = loaded.names.action(action);
        Request::new(facts.principal, action, facts.resource, facts.context, Some(&loaded.schema))
            .map_err(|error| foreign(&error))?;
    }
    Ok(())
}
