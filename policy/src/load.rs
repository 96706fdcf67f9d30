//! Reading policies and refusing everything that is not beyond doubt.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::str::FromStr;

use cedar_policy::{
    ActionConstraint, Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};

use crate::action::CedarAction;
use crate::entities::Names;
use crate::explain::Rule;
use crate::obligation::Obligation;

/// Why the policies cannot be used. Nothing is served without policies.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; policies need a directory with schema.cedarschema and *.cedar files")]
    Read {
        /// Which file or directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is not one policy.
    #[error("no *.cedar file with a policy found; everything would be denied")]
    NoPolicies,
    /// The schema is wrong.
    #[error("the policy schema is not valid: {message}")]
    Schema {
        /// What Cedar says of it.
        message: String,
    },
    /// A policy file is not Cedar, or holds a template.
    #[error("{file} is not a list of Cedar policies: {message}")]
    Syntax {
        /// Which file.
        file: String,
        /// What Cedar says of it.
        message: String,
    },
    /// A policy has no name: events could not tell who decided.
    #[error("policy number {number} in {file} has no @id; give it a unique one")]
    NoId {
        /// Which file.
        file: String,
        /// Its place in the file, from 1.
        number: usize,
    },
    /// Two policies have the same name.
    #[error("policy @id(\"{id}\") is there twice; the second is in {file}")]
    DuplicateId {
        /// The name.
        id: String,
        /// Where it is for the second time.
        file: String,
    },
    /// An annotation other than `@id`, `@why` and `@obligation`, which would silently do nothing.
    #[error("policy {id} has the unknown annotation @{name}; known are @id, @why and @obligation")]
    UnknownAnnotation {
        /// The policy.
        id: String,
        /// The annotation.
        name: String,
    },
    /// An obligation that nobody would fulfil.
    #[error("policy {id} has the unknown obligation \"{text}\"; known are notify-privacy-officer and withhold FIELD")]
    UnknownObligation {
        /// The policy.
        id: String,
        /// The obligation.
        text: String,
    },
    /// Policies and schema do not fit; warnings count as well, since a rule that never fires is a warning.
    #[error("the policies do not fit their schema: {message}")]
    Invalid {
        /// All findings.
        message: String,
    },
    /// The schema does not describe the facts and actions that this version of the program knows.
    #[error("the policy schema does not fit this program: {message}; use the schema that came with it")]
    Foreign {
        /// What does not fit.
        message: String,
    },
}

/// Texts of schema and policies.
pub(crate) struct Sources {
    pub schema: String,
    /// Name and text of each policy file, sorted by name.
    pub files: Vec<(String, String)>,
}

impl Sources {
    pub(crate) fn from_dir(dir: &Path) -> Result<Self, PolicyError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| PolicyError::Read { path, source }
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed(dir))? {
            let path = entry.map_err(failed(dir))?.path();
            if path.extension().is_some_and(|extension| extension == "cedar") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.push((name, std::fs::read_to_string(&path).map_err(failed(&path))?));
            }
        }
        files.sort();
        let schema = dir.join("schema.cedarschema");
        Ok(Self { schema: std::fs::read_to_string(&schema).map_err(failed(&schema))?, files })
    }

    /// First 16 hex digits of the BLAKE3 hash over all texts with their names and lengths.
    fn version(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("wardbook 2026 policy set v1");
        let schema = ("schema.cedarschema".to_owned(), self.schema.clone());
        for (name, text) in std::iter::once(&schema).chain(&self.files) {
            for part in [name, text] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        hasher.finalize().to_hex().chars().take(16).collect()
    }
}

/// Policies that may be used.
pub(crate) struct Loaded {
    pub schema: Schema,
    /// As it was written.
    pub schema_text: String,
    pub names: Names,
    pub slices: HashMap<CedarAction, Slice>,
    pub obligations: HashMap<PolicyId, Vec<Obligation>>,
    pub rules: HashMap<PolicyId, Rule>,
    pub version: String,
}

/// The policies that can have a say in one action. Deciding over these few gives the same answer as over all.
pub(crate) struct Slice {
    pub action: EntityUid,
    pub policies: PolicySet,
    /// Those of them that say yes.
    pub permits: PolicySet,
}

impl Loaded {
    pub(crate) fn new(sources: &Sources) -> Result<Self, PolicyError> {
        let schema = Schema::from_str(&sources.schema)
            .map_err(|error| PolicyError::Schema { message: format!("{:?}", miette(&error)) })?;
        let mut all = PolicySet::new();
        let mut obligations = HashMap::new();
        let mut rules = HashMap::new();
        for (file, text) in &sources.files {
            for policy in parse(file, text)? {
                let duties = obligations_of(&policy)?;
                let id = policy.id().clone();
                obligations.insert(id.clone(), duties);
                rules.insert(id.clone(), Rule::of(&policy));
                all.add(policy).map_err(|_| PolicyError::DuplicateId { id: id.to_string(), file: file.clone() })?;
            }
        }
        if all.is_empty() {
            return Err(PolicyError::NoPolicies);
        }
        let checked = Validator::new(schema.clone()).validate(&all, ValidationMode::Strict);
        if !checked.validation_passed_without_warnings() {
            let errors = checked.validation_errors().map(ToString::to_string);
            let message: Vec<_> = errors.chain(checked.validation_warnings().map(ToString::to_string)).collect();
            return Err(PolicyError::Invalid { message: message.join("; ") });
        }
        let names = Names::new()?;
        let slices = slices(&schema, &names, &all)?;
        let (schema_text, version) = (sources.schema.clone(), sources.version());
        Ok(Self { schema, schema_text, names, slices, obligations, rules, version })
    }

    /// Whether these and the others decide an action alike because the very same policies can have a say in it.
    pub(crate) fn same(&self, other: &Self, action: CedarAction) -> bool {
        let texts = |loaded: &Self| {
            let policies = loaded.slices.get(&action).into_iter().flat_map(|slice| slice.policies.policies());
            policies.map(ToString::to_string).collect::<BTreeSet<_>>()
        };
        self.schema_text == other.schema_text && texts(self) == texts(other)
    }
}

/// The message and its causes, without the colours of Cedar's own report.
fn miette(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect()
}

/// The policies of one file, each under its own name.
fn parse(file: &str, text: &str) -> Result<Vec<Policy>, PolicyError> {
    let syntax = |message| PolicyError::Syntax { file: file.to_owned(), message };
    let set = PolicySet::from_str(text).map_err(|error| syntax(error.to_string()))?;
    if set.num_of_templates() > 0 {
        return Err(syntax("templates are not supported; write the policy out".to_owned()));
    }
    // Cedar numbers them policy0, policy1, ...: sort by that number to name the right one, and because hash order would
    // make messages differ from run to run.
    let number = |policy: &Policy| policy.id().to_string().trim_start_matches("policy").parse().unwrap_or(0_usize);
    let mut policies: Vec<_> = set.policies().collect();
    policies.sort_by_key(|policy| number(policy));
    let mut named = Vec::with_capacity(policies.len());
    let mut seen = BTreeSet::new();
    for policy in policies {
        let id = policy
            .annotation("id")
            .filter(|id| !id.trim().is_empty())
            .ok_or_else(|| PolicyError::NoId { file: file.to_owned(), number: number(policy) + 1 })?;
        if !seen.insert(id.to_owned()) {
            return Err(PolicyError::DuplicateId { id: id.to_owned(), file: file.to_owned() });
        }
        named.push(policy.new_id(PolicyId::new(id)));
    }
    Ok(named)
}

/// `@obligation("one, another")`.
fn obligations_of(policy: &Policy) -> Result<Vec<Obligation>, PolicyError> {
    let id = || policy.id().to_string();
    let mut obligations = Vec::new();
    for (name, value) in policy.annotations() {
        match name {
            "id" | "why" => {}
            "obligation" => {
                for text in value.split(',') {
                    let unknown = |_| PolicyError::UnknownObligation { id: id(), text: text.trim().to_owned() };
                    obligations.push(text.parse().map_err(unknown)?);
                }
            }
            other => return Err(PolicyError::UnknownAnnotation { id: id(), name: other.to_owned() }),
        }
    }
    Ok(obligations)
}

/// For each action the policies whose head can match it, looking through action groups as the schema states them.
fn slices(schema: &Schema, names: &Names, all: &PolicySet) -> Result<HashMap<CedarAction, Slice>, PolicyError> {
    let foreign = |message: String| PolicyError::Foreign { message };
    let known = schema.action_entities().map_err(|error| foreign(error.to_string()))?;
    let mut slices = HashMap::new();
    for asked in CedarAction::all() {
        let action = names.action(asked);
        if known.get(&action).is_none() {
            return Err(foreign(format!("it has no {action}")));
        }
        let matches = |uid: &EntityUid| *uid == action || known.is_ancestor_of(uid, &action);
        let relevant = all.policies().filter(|policy| match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid == action,
            ActionConstraint::In(uids) => uids.iter().any(matches),
        });
        let relevant: Vec<_> = relevant.cloned().collect();
        let permits = relevant.iter().filter(|policy| policy.effect() == Effect::Permit).cloned();
        let set =
            |policies: Vec<Policy>| PolicySet::from_policies(policies).map_err(|error| foreign(error.to_string()));
        let (permits, policies) = (set(permits.collect())?, set(relevant)?);
        slices.insert(asked, Slice { action, policies, permits });
    }
    Ok(slices)
}
