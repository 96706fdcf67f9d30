//! From a [`Question`] to what Cedar reasons over.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value, Schema,
};
use wardbook_events::care_teams::Function;
use wardbook_events::{PatientId, TenantId, UserId};

use crate::action::CedarAction;
use crate::load::PolicyError;
use crate::question::{About, Entry, Person, Question, Relation};

/// Entity types of the schema, parsed once.
pub(crate) struct Names {
    action: EntityTypeName,
    tenant: EntityTypeName,
    role: EntityTypeName,
    purpose: EntityTypeName,
    kind: EntityTypeName,
    label: EntityTypeName,
    department: EntityTypeName,
    function: EntityTypeName,
    user: EntityTypeName,
    patient: EntityTypeName,
    part: EntityTypeName,
    membership: EntityTypeName,
    audit_trail: EntityTypeName,
    system: EntityTypeName,
}

/// Everything for Cedar's requests on one question: they differ in the action only.
pub(crate) struct Facts {
    pub principal: EntityUid,
    pub resource: EntityUid,
    pub context: Context,
    pub entities: Entities,
}

/// Cedar would not take the facts; whoever asks is denied.
#[derive(Debug, thiserror::Error)]
#[error("the facts do not fit the policy schema: {0}")]
pub(crate) struct Fault(String);

fn fault(error: impl Display) -> Fault {
    Fault(error.to_string())
}

impl Names {
    pub(crate) fn new() -> Result<Self, PolicyError> {
        let name = |text: &str| {
            format!("Wardbook::{text}")
                .parse::<EntityTypeName>()
                .map_err(|error| PolicyError::Foreign { message: error.to_string() })
        };
        Ok(Self {
            action: name("Action")?,
            tenant: name("Tenant")?,
            role: name("Role")?,
            purpose: name("Purpose")?,
            kind: name("Kind")?,
            label: name("Label")?,
            department: name("Department")?,
            function: name("Function")?,
            user: name("User")?,
            patient: name("Patient")?,
            part: name("Part")?,
            membership: name("Membership")?,
            audit_trail: name("AuditTrail")?,
            system: name("System")?,
        })
    }

    pub(crate) fn action(&self, action: CedarAction) -> EntityUid {
        uid(&self.action, action.id())
    }
    fn tenant(&self, tenant: TenantId) -> Value {
        value(&self.tenant, tenant.to_string())
    }
    fn user(&self, user: UserId) -> EntityUid {
        uid(&self.user, user.to_string())
    }
    fn patient(&self, patient: PatientId) -> EntityUid {
        uid(&self.patient, patient.to_string())
    }

    /// The entities of a question. **The schema must go with them:** without it Cedar leaves out that `readClinical` is in
    /// `read`, and every forbid on a group of actions is silently void (there is a test of this trap).
    pub(crate) fn facts(&self, question: &Question, schema: &Schema) -> Result<Facts, Fault> {
        let mut entities = vec![self.principal(question)?];
        let (resource, attributes, parents) = match &question.about {
            About::Part(person, entry) => {
                entities.push(self.person(person)?);
                let parents = HashSet::from([self.patient(person.patient)]);
                (uid(&self.part, person.patient.to_string()), self.part(person, entry.as_ref()), parents)
            }
            About::Membership(person, user) => {
                entities.push(self.person(person)?);
                let attributes = vec![
                    ("tenant", self.tenant(person.tenant)),
                    ("patient", Value::new_entity_uid(self.patient(person.patient))),
                    ("user", Value::new_entity_uid(self.user(*user))),
                ];
                (uid(&self.membership, person.patient.to_string()), attributes, HashSet::new())
            }
            About::Audit(None) => {
                let attributes = vec![("tenant", self.tenant(question.tenant))];
                (uid(&self.audit_trail, question.tenant.to_string()), attributes, HashSet::new())
            }
            About::Audit(Some(person)) => {
                entities.push(self.person(person)?);
                let attributes = vec![
                    ("tenant", self.tenant(person.tenant)),
                    ("patient", Value::new_entity_uid(self.patient(person.patient))),
                ];
                (uid(&self.audit_trail, person.patient.to_string()), attributes, HashSet::new())
            }
            About::System(user) => {
                let mut attributes = vec![("tenant", self.tenant(question.tenant))];
                attributes.extend(user.map(|user| ("user", Value::new_entity_uid(self.user(user)))));
                (uid(&self.system, question.tenant.to_string()), attributes, HashSet::new())
            }
        };
        entities.push(entity(resource.clone(), attributes, parents)?);
        Ok(Facts {
            principal: self.user(question.user),
            resource,
            context: self.context(question)?,
            entities: Entities::from_entities(entities, Some(schema)).map_err(fault)?,
        })
    }

    fn principal(&self, question: &Question) -> Result<Entity, Fault> {
        let mut parents: HashSet<_> = question.roles.iter().map(|role| uid(&self.role, role.name())).collect();
        parents.extend(question.departments.iter().map(|department| uid(&self.department, department)));
        let attributes = vec![("tenant", self.tenant(question.tenant)), ("active", Value::new_bool(question.active))];
        entity(self.user(question.user), attributes, parents)
    }

    fn person(&self, person: &Person) -> Result<Entity, Fault> {
        let parents = person.departments.iter().map(|department| uid(&self.department, department)).collect();
        let attributes = vec![
            ("tenant", self.tenant(person.tenant)),
            ("vip", Value::new_bool(person.vip)),
            ("sudPermitted", Value::new_bool(person.sud_permitted)),
            ("asker", self.asker(&person.relation)?),
        ];
        entity(self.patient(person.patient), attributes, parents)
    }

    fn asker(&self, relation: &Relation) -> Result<Value, Fault> {
        let facts = [
            ("own", relation.own),
            ("treats", relation.treats()),
            ("proxy", relation.proxy),
            ("breakGlass", relation.break_glass),
            ("denied", relation.denied),
            ("psychotherapy", relation.psychotherapy),
            ("sameDepartment", relation.same_department),
            ("otherDepartment", relation.other_department),
            ("otherFacility", relation.other_facility),
        ];
        let function = ("function".to_owned(), value(&self.function, function(relation.function)));
        let facts = facts.into_iter().map(|(name, fact)| (name.to_owned(), Value::new_bool(fact)));
        Value::new_record(facts.chain([function])).map_err(fault)
    }

    fn part(&self, person: &Person, entry: Option<&Entry>) -> Vec<(&'static str, Value)> {
        let labels = entry.map(|entry| entry.labels.as_slice()).unwrap_or_default();
        let mut attributes = vec![
            ("tenant", self.tenant(person.tenant)),
            ("patient", Value::new_entity_uid(self.patient(person.patient))),
            ("kind", value(&self.kind, entry.map_or("chart", |entry| entry.kind.name()))),
            ("labels", Value::new_set(labels.iter().map(|label| value(&self.label, label.code())))),
            ("signed", Value::new_bool(entry.is_some_and(|entry| entry.signed))),
        ];
        let author = entry.and_then(|entry| entry.author);
        attributes.extend(author.map(|author| ("author", Value::new_entity_uid(self.user(author)))));
        attributes
    }

    fn context(&self, question: &Question) -> Result<Context, Fault> {
        let address = question.address.map(|address| ("ip".to_owned(), Value::new_ip(address.to_string())));
        let pairs = [
            ("purpose".to_owned(), value(&self.purpose, question.purpose.code())),
            ("mfa".to_owned(), Value::new_long(question.mfa.into())),
            ("fresh".to_owned(), Value::new_bool(question.fresh)),
            ("hasReason".to_owned(), Value::new_bool(question.has_reason)),
            ("onShift".to_owned(), Value::new_bool(question.on_shift)),
        ];
        Context::from_pairs(pairs.into_iter().chain(address)).map_err(fault)
    }
}

/// As the schema names it.
const fn function(function: Option<Function>) -> &'static str {
    match function {
        None => "none",
        Some(Function::Attending) => "attending",
        Some(Function::Consulting) => "consulting",
        Some(Function::Nursing) => "nursing",
        Some(Function::Administrative) => "administrative",
    }
}

fn uid(of: &EntityTypeName, id: impl AsRef<str>) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

fn value(of: &EntityTypeName, id: impl AsRef<str>) -> Value {
    Value::new_entity_uid(uid(of, id))
}

fn entity(
    uid: EntityUid,
    attributes: Vec<(&'static str, Value)>,
    parents: HashSet<EntityUid>,
) -> Result<Entity, Fault> {
    let attributes: HashMap<_, _> = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid, attributes, parents).map_err(fault)
}
