//! Why policy says what it says: for administrators, never for whoever was refused.

use cedar_policy::{Effect, PolicyId, PolicySet, Request};
use wardbook_events::GroupSet;

use crate::action::{Action, CedarAction};
use crate::facts::{Ask, Principal, Target};
use crate::policies::{Inner, OUTSIDE_SCOPE, Policies};
use crate::question::{Question, Wish};

/// One policy, as far as a person wants to know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// It says no where it applies; else it says yes.
    pub forbids: bool,
    /// One line for people: the policy's `@why`; empty if it has none.
    pub why: String,
}

/// A policy that had to be looked at for one decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Considered {
    /// The policy.
    pub rule: Rule,
    /// Its conditions hold; for a reading, for at least one of the groups that were wanted.
    pub applies: bool,
}

/// A decision with everything it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The answer.
    pub allowed: bool,
    /// The groups of fields that may be opened, for a reading.
    pub groups: GroupSet,
    /// Names of the policies that gave the answer, as events state them. Empty: it is denied because none says yes.
    pub deciding: Vec<String>,
    /// Every policy that is about this action, by name.
    pub considered: Vec<Considered>,
    /// Version of the policy set.
    pub policy_version: String,
}

impl Policies {
    /// Every policy, by name.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules: Vec<_> = self.inner().loaded.rules.values().cloned().collect();
        rules.sort();
        rules
    }

    /// A policy by the name that events state; the program's own refusals too.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<Rule> {
        if name == OUTSIDE_SCOPE {
            let why = "the API key or program may not be used for this".to_owned();
            return Some(Rule { name: name.to_owned(), forbids: true, why });
        }
        self.inner().loaded.rules.get(&PolicyId::new(name)).cloned()
    }

    /// What the policies say and why. It decides anew, remembers nothing and gives no permit.
    #[must_use]
    pub fn explain(&self, principal: &Principal, action: Action, target: Target<'_>, ask: &Ask) -> Explanation {
        let answer = match (action.is_reading(), target) {
            (true, Target::Patient(patient)) => self.read(principal, patient, None, ask, GroupSet::all(), action),
            (true, Target::Record(patient, record)) => {
                self.read(principal, patient, Some(record), ask, GroupSet::all(), action)
            }
            _ => self.act(principal, action, target, ask),
        };
        let (allowed, groups, deciding) = match answer {
            Ok(permit) => (true, permit.groups(), permit.policies().to_vec()),
            Err(denial) => (false, GroupSet::EMPTY, denial.policies().to_vec()),
        };
        let asked = match (action.is_reading(), target) {
            (true, Target::Patient(_) | Target::Record(..)) => readings(&target),
            _ => CedarAction::of(action).unwrap_or_default(),
        };
        let wish = if asked.iter().all(|one| matches!(one, CedarAction::Read(_))) {
            Wish::Read(GroupSet::all())
        } else {
            Wish::Act(action)
        };
        let question = Question::new(principal, wish, target, ask);
        let considered = question.map(|question| self.inner().considered(&question, &asked)).unwrap_or_default();
        Explanation { allowed, groups, deciding, considered, policy_version: self.version().to_owned() }
    }
}

/// What a reading of a chart or of one entry asks of Cedar.
fn readings(target: &Target<'_>) -> Vec<CedarAction> {
    Policies::readable(target.record()).iter().map(CedarAction::Read).collect()
}

impl Inner {
    /// Each policy asked alone whether its conditions hold.
    fn considered(&self, question: &Question, asked: &[CedarAction]) -> Vec<Considered> {
        let Ok(facts) = self.loaded.names.facts(question, &self.loaded.schema) else { return Vec::new() };
        let mut considered = std::collections::BTreeMap::new();
        for slice in asked.iter().filter_map(|action| self.loaded.slices.get(action)) {
            let (who, what, context) = (facts.principal.clone(), facts.resource.clone(), facts.context.clone());
            let schema = Some(&self.loaded.schema);
            let Ok(request) = Request::new(who, slice.action.clone(), what, context, schema) else { continue };
            for policy in slice.policies.policies() {
                let Ok(alone) = PolicySet::from_policies([policy.clone()]) else { continue };
                let response = self.authorizer.is_authorized(&request, &alone, &facts.entities);
                let applies = response.diagnostics().reason().next().is_some();
                *considered.entry(policy.id().clone()).or_insert(false) |= applies;
            }
        }
        let rule = |id: &PolicyId| self.loaded.rules.get(id).cloned();
        let mut considered: Vec<_> =
            considered.into_iter().filter_map(|(id, applies)| Some(Considered { rule: rule(&id)?, applies })).collect();
        considered.sort();
        considered
    }
}

impl Rule {
    pub(crate) fn of(policy: &cedar_policy::Policy) -> Self {
        Self {
            name: policy.id().to_string(),
            forbids: policy.effect() == Effect::Forbid,
            why: policy.annotation("why").unwrap_or_default().to_owned(),
        }
    }
}
