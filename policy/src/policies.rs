//! The decision.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use cedar_policy::{Authorizer, Decision, PolicyId, Request};
use wardbook_events::records::body_field;
use wardbook_events::{Group, GroupSet};

use crate::action::{Action, CedarAction};
use crate::cache::Cache;
use crate::entities::Facts;
use crate::facts::{Ask, PatientFacts, Principal, RecordFacts, Target};
use crate::load::{Loaded, PolicyError, Slice, Sources};
use crate::obligation::Obligation;
use crate::permit::{Denial, Permit, Verdict};
use crate::probe;
use crate::question::{Question, Wish};

/// Answers remembered in each of two generations: some 20 MB at most, a working day of a large hospital.
const REMEMBERED: usize = 16_384;

/// Stands among a denial's policies when Cedar itself failed: a defect, to be found in the audit trail.
const FAULT: &str = "policy-fault";

/// Says no to an API key or a program that was not given this action.
pub(crate) const OUTSIDE_SCOPE: &str = "deny-outside-scope";

const SCHEMA: &str = include_str!("../../config/policies/schema.cedarschema");
const FILES: &[(&str, &str)] = &[
    ("00-deny.cedar", include_str!("../../config/policies/00-deny.cedar")),
    ("10-patient.cedar", include_str!("../../config/policies/10-patient.cedar")),
    ("20-clinical.cedar", include_str!("../../config/policies/20-clinical.cedar")),
    ("25-emergency.cedar", include_str!("../../config/policies/25-emergency.cedar")),
    ("30-operations.cedar", include_str!("../../config/policies/30-operations.cedar")),
    ("40-oversight.cedar", include_str!("../../config/policies/40-oversight.cedar")),
];

/// The policies in force. Cheap to clone; safe to share.
#[derive(Clone)]
pub struct Policies {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub loaded: Loaded,
    version: Arc<str>,
    pub authorizer: Authorizer,
    cache: Cache,
}

impl Policies {
    /// Reads `schema.cedarschema` and all `*.cedar` files of a directory.
    ///
    /// # Errors
    /// If a file cannot be read, or anything in it is not beyond doubt; see [`PolicyError`].
    pub fn load(dir: &Path) -> Result<Self, PolicyError> {
        Self::new(&Sources::from_dir(dir)?, REMEMBERED)
    }

    /// From texts: the schema, then name and text of each policy file.
    ///
    /// # Errors
    /// As [`Policies::load`].
    pub fn from_sources(schema: &str, files: &[(&str, &str)]) -> Result<Self, PolicyError> {
        Self::new(&sources(schema, files), REMEMBERED)
    }

    /// The policies that this version of the program was built with: those of `config/policies` in the source tree.
    ///
    /// # Errors
    /// As [`Policies::load`]; a test shows that there are none.
    pub fn shipped() -> Result<Self, PolicyError> {
        Self::from_sources(SCHEMA, FILES)
    }

    /// The shipped ones and a text more.
    #[cfg(test)]
    pub(crate) fn shipped_and(text: &str) -> Result<Self, PolicyError> {
        Self::from_sources(SCHEMA, &[FILES, &[("test.cedar", text)]].concat())
    }

    /// With room for `capacity` remembered answers in each generation; none if zero.
    #[cfg(test)]
    pub(crate) fn remembering(schema: &str, files: &[(&str, &str)], capacity: usize) -> Result<Self, PolicyError> {
        Self::new(&sources(schema, files), capacity)
    }

    fn new(sources: &Sources, remembered: usize) -> Result<Self, PolicyError> {
        let loaded = Loaded::new(sources)?;
        probe::check(&loaded)?;
        let version = Arc::from(loaded.version.as_str());
        let cache = Cache::new(remembered);
        Ok(Self { inner: Arc::new(Inner { loaded, version, authorizer: Authorizer::new(), cache }) })
    }

    /// The first 16 hex digits of the BLAKE3 hash over the sources.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// What comes with a policy when it has its say. Unknown names oblige to nothing.
    #[must_use]
    pub fn obligations(&self, policy: &str) -> &[Obligation] {
        self.inner.loaded.obligations.get(&PolicyId::new(policy)).map_or(&[], Vec::as_slice)
    }

    /// Whether a policy comes with this obligation.
    #[must_use]
    pub fn obliges(&self, policy: &str, obligation: Obligation) -> bool {
        self.obligations(policy).contains(&obligation)
    }

    /// Whether somebody may see a patient's chart, or one clinical entry in it, and which groups of fields.
    ///
    /// The permit holds those of the wanted groups that are allowed. Without an entry it never holds
    /// [`Group::Sensitive`], because labels differ from entry to entry; with one it holds the one group in which this
    /// entry is sealed, or nothing. `action` is [`Action::ReadChart`], [`Action::ReadRecords`] or
    /// [`Action::SearchPatients`]; any other is denied.
    ///
    /// # Errors
    /// A [`Denial`] if none of the wanted groups is allowed.
    pub fn read(
        &self,
        principal: &Principal,
        patient: &PatientFacts,
        record: Option<&RecordFacts>,
        ask: &Ask,
        wanted: GroupSet,
        action: Action,
    ) -> Result<Permit, Denial> {
        let target = record.map_or(Target::Patient(patient), |record| Target::Record(patient, record));
        let wanted = wanted.intersection(Self::readable(record));
        let wish = (action.is_reading() && !wanted.is_empty()).then_some(Wish::Read(wanted));
        self.answer(principal, action, wish, target, ask)
    }

    /// What can be read at all: of an entry, the one group in which it is sealed.
    pub(crate) fn readable(record: Option<&RecordFacts>) -> GroupSet {
        match record {
            Some(record) => GroupSet::EMPTY.with(body_field(&record.sensitivity).group()),
            None => Group::ALL.into_iter().filter(|group| *group != Group::Sensitive).collect(),
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Whether somebody may do something other than reading PHI.
    ///
    /// # Errors
    /// A [`Denial`] if it is not allowed, or if the action does not fit the target.
    pub fn act(&self, principal: &Principal, action: Action, target: Target<'_>, ask: &Ask) -> Result<Permit, Denial> {
        let wish = CedarAction::of(action).map(|_| Wish::Act(action));
        self.answer(principal, action, wish, target, ask)
    }

    fn answer(
        &self,
        principal: &Principal,
        action: Action,
        wish: Option<Wish>,
        target: Target<'_>,
        ask: &Ask,
    ) -> Result<Permit, Denial> {
        let patient = target.patient().map(|facts| facts.patient);
        let emergency = target.patient().and_then(|facts| facts.emergency(principal.user, ask.now));
        let policy_version = Arc::clone(&self.inner.version);
        if !principal.has_scope(action) {
            // Before Cedar: scopes narrow what a key is for, whatever the policies say, and would swell the cache.
            let verdict = Arc::new(Verdict { policies: vec![OUTSIDE_SCOPE.to_owned()], ..Verdict::default() });
            return Err(Denial { action, patient, verdict, policy_version });
        }
        let verdict = match wish.and_then(|wish| Question::new(principal, wish, target, ask)) {
            Some(question) => self.inner.cache.answer(question, |question| self.inner.decide(question)),
            None => Arc::default(),
        };
        if !verdict.allowed {
            return Err(Denial { action, patient, verdict, policy_version });
        }
        Ok(Permit {
            event: ask.event,
            user: principal.user,
            tenant: principal.tenant,
            patient,
            record: target.record().map(|record| record.record),
            action,
            // Named when the decision rests on it, so that an emergency is charged with no more than it opened.
            emergency: emergency.filter(|_| verdict.policies.iter().any(|policy| policy.starts_with("break-glass"))),
            reason: ask.reason,
            verdict,
            policy_version,
        })
    }
}

fn sources(schema: &str, files: &[(&str, &str)]) -> Sources {
    let mut files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    files.sort();
    Sources { schema: schema.to_owned(), files }
}

impl Inner {
    /// What the policies say. Any doubt is a no.
    fn decide(&self, question: &Question) -> Verdict {
        let Ok(facts) = self.loaded.names.facts(question, &self.loaded.schema) else {
            return Verdict { policies: vec![FAULT.to_owned()], ..Verdict::default() };
        };
        let mut tally = Tally::default();
        match question.wish {
            Wish::Read(wanted) => {
                let granted: GroupSet =
                    wanted.iter().filter(|group| self.ask(CedarAction::Read(*group), &facts, &mut tally)).collect();
                tally.verdict(!granted.is_empty(), granted)
            }
            Wish::Act(action) => {
                let wishes = CedarAction::of(action).unwrap_or_default();
                // All are asked, also after a no, so that the event names everyone who said no.
                let refused = wishes.iter().filter(|wish| !self.ask(**wish, &facts, &mut tally)).count();
                tally.verdict(!wishes.is_empty() && refused == 0, GroupSet::EMPTY)
            }
        }
    }

    /// Whether these and the others decide an action alike because the very same policies can have a say in it.
    pub(crate) fn same(&self, other: &Self, action: CedarAction) -> bool {
        self.loaded.same(&other.loaded, action)
    }

    /// What the policies say to several actions about the same; for the matrix, which asks about all of them. Where nobody
    /// says yes, which is nearly everywhere, nobody is asked for a no, and the denial names no policy.
    pub(crate) fn answers(&self, question: &Question, actions: impl IntoIterator<Item = CedarAction>) -> Vec<Verdict> {
        let Ok(facts) = self.loaded.names.facts(question, &self.loaded.schema) else { return Vec::new() };
        let answer = |action| {
            let mut tally = Tally::default();
            let some_yes = self.loaded.slices.get(&action).is_some_and(|slice| {
                let response = Self::request(slice, &facts)
                    .map(|request| self.authorizer.is_authorized(&request, &slice.permits, &facts.entities).decision());
                response == Some(Decision::Allow)
            });
            let allowed = some_yes && self.ask(action, &facts, &mut tally);
            tally.verdict(allowed, GroupSet::EMPTY)
        };
        actions.into_iter().map(answer).collect()
    }

    /// The schema is left out: our types cannot say what it does not know, see `probe`.
    fn request(slice: &Slice, facts: &Facts) -> Option<Request> {
        let (who, what, context) = (facts.principal.clone(), facts.resource.clone(), facts.context.clone());
        Request::new(who, slice.action.clone(), what, context, None).ok()
    }

    fn ask(&self, action: CedarAction, facts: &Facts, tally: &mut Tally) -> bool {
        let Some(slice) = self.loaded.slices.get(&action) else {
            tally.no.insert(FAULT.to_owned());
            return false;
        };
        let Some(request) = Self::request(slice, facts) else {
            tally.no.insert(FAULT.to_owned());
            return false;
        };
        let response = self.authorizer.is_authorized(&request, &slice.policies, &facts.entities);
        // Cedar skips a policy that fails to evaluate. A skipped forbid would be an open door.
        let mut failed = response.diagnostics().errors().peekable();
        if failed.peek().is_some() {
            tally.no.insert(FAULT.to_owned());
            return false;
        }
        let allowed = response.decision() == Decision::Allow;
        for policy in response.diagnostics().reason() {
            let names = if allowed { &mut tally.yes } else { &mut tally.no };
            names.insert(policy.to_string());
            tally.obligations.extend(self.loaded.obligations.get(policy).into_iter().flatten());
        }
        allowed
    }
}

/// Who said what, over all Cedar decisions of one question.
#[derive(Default)]
struct Tally {
    yes: BTreeSet<String>,
    no: BTreeSet<String>,
    obligations: BTreeSet<Obligation>,
}

impl Tally {
    fn verdict(self, allowed: bool, groups: GroupSet) -> Verdict {
        let policies = if allowed { self.yes } else { self.no };
        Verdict {
            allowed,
            groups,
            policies: policies.into_iter().collect(),
            obligations: self.obligations.into_iter().collect(),
        }
    }
}

#[cfg(test)]
#[path = "policies_tests.rs"]
mod tests;
