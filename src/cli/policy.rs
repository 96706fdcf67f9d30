//! `wardbook policy`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use wardbook_events::access::AccessReason;
use wardbook_events::{PatientId, Purpose, RecordId, Role};
use wardbook_policy::matrix::Matrix;
use wardbook_policy::{Action, Explanation, Policies};

use super::output::{Output, table};
use super::{Answer, Common, Ended, Failure, place};
use wardbook::why::{self, Wanted};

/// Looks after the policies: who may do what.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  wardbook policy check config/policies\n  wardbook policy diff config/policies new-policies\n  \
    wardbook policy explain --user dr.okafor --patient ID --action read-chart --purpose TREAT"
)]
pub struct Policy {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Check a directory of policies: schema, names, rules that never count. Exit code 1: something is to be mended
    Check {
        /// The directory; the policies in the settings, or those of this program, if not given
        dir: Option<PathBuf>,
    },
    /// Say what would be decided for a user now, and why
    Explain(Explain),
    /// Compare what two sets of policies allow, cell by cell. Exit code 1: they differ
    Diff {
        /// Before
        old: PathBuf,
        /// After
        new: PathBuf,
    },
}

/// Asks about the facts of the data directory. That it was asked is an event.
#[derive(Args)]
struct Explain {
    /// Who would ask
    #[arg(long, value_name = "USERNAME")]
    user: String,
    /// What for, such as read-chart
    #[arg(long, value_parser = action)]
    action: Action,
    /// Why (HL7 PurposeOfUse)
    #[arg(long)]
    purpose: Purpose,
    /// About which patient
    #[arg(long, value_name = "ID")]
    patient: Option<PatientId>,
    /// About which entry of that patient
    #[arg(long, value_name = "ID", requires = "patient")]
    record: Option<RecordId>,
    /// Whose account or place on the care team would be changed
    #[arg(long, value_name = "USERNAME")]
    about: Option<String>,
    /// A closer reason, such as direct-care
    #[arg(long, value_parser = reason)]
    reason: Option<AccessReason>,
    /// With a fresh proof of who it is
    #[arg(long)]
    fresh: bool,
}

fn action(text: &str) -> Result<Action, String> {
    let names = || Action::all().map(Action::name).join(", ");
    Action::named(text).ok_or_else(|| format!("expected one of {}", names()))
}

fn reason(text: &str) -> Result<AccessReason, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

impl Policy {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        match self.command {
            PolicyCommand::Check { dir } => check(dir.as_deref(), common, output),
            PolicyCommand::Explain(command) => command.run(common, output),
            PolicyCommand::Diff { old, new } => diff(&old, &new, output),
        }
    }
}

fn load(dir: Option<&Path>, common: &Common) -> Result<Policies, Failure> {
    let configured = place::config(common)?.policy.dir;
    match dir {
        Some(dir) => Ok(Policies::load(dir)?),
        None if configured.as_os_str().is_empty() => Ok(Policies::shipped()?),
        None => Ok(Policies::load(&configured)?),
    }
}

fn check(dir: Option<&Path>, common: &Common, output: &Output) -> Ended {
    // What is plainly wrong is an error with its reason; what follows is what only a walk can find.
    let policies = load(dir, common)?;
    let matrix = Matrix::walk(&policies);
    let mut findings = Vec::new();
    for rule in policies.rules().into_iter().filter(|rule| rule.why.trim().is_empty()) {
        findings.push((rule.name, "has no @why: nobody who is refused can be told what it is for"));
    }
    findings.extend(matrix.idle(&policies).into_iter().map(|rule| (rule.name, "decides no cell of the matrix")));
    let shadowed = matrix.shadowed(&policies).into_iter();
    findings.extend(shadowed.map(|rule| (rule.name, "allows nothing that another policy does not allow as well")));
    if output.is_json() {
        let findings: Vec<_> = findings.iter().map(|(name, what)| json!({"policy": name, "finding": what})).collect();
        output.json(&json!({"version": policies.version(), "policies": policies.rules().len(),
            "cells": matrix.cells(), "allowed": matrix.allowed(), "findings": findings}))?;
    } else {
        for (name, what) in &findings {
            output.line(&format!("{name} {what}"))?;
        }
        let (count, version) = (policies.rules().len(), policies.version());
        let (cells, allowed) = (matrix.cells(), matrix.allowed());
        output.line(&format!("{count} policies, version {version}: {cells} cells, {allowed} of them allowed"))?;
    }
    Ok(if findings.is_empty() { Answer::Yes } else { Answer::No })
}

fn diff(old: &Path, new: &Path, output: &Output) -> Ended {
    let (old, new) = (Policies::load(old)?, Policies::load(new)?);
    let lines = Matrix::changes(&old, &new);
    if output.is_json() {
        output.json(&json!({"old": old.version(), "new": new.version(), "changes": lines}))?;
    } else {
        for line in &lines {
            output.line(line)?;
        }
        let summary = format!("{} to {}: {} changes", old.version(), new.version(), lines.len());
        output.line(&summary)?;
    }
    Ok(if lines.is_empty() { Answer::Yes } else { Answer::No })
}

impl Explain {
    fn run(self, common: &Common, output: &Output) -> Ended {
        let explanation = place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SecurityAdmin)?;
            let user = |name: &str| -> Result<_, Failure> {
                let user = app.views().identity.user_by_name(name)?;
                Ok(user.ok_or_else(|| format!("there is no user {name}"))?.user)
            };
            let wanted = Wanted {
                user: user(&self.user)?,
                action: self.action,
                purpose: self.purpose,
                patient: self.patient,
                record: self.record,
                about: self.about.as_deref().map(user).transpose()?,
                reason: self.reason,
                fresh: self.fresh,
            };
            Ok(why::decision(app, &operator, wanted).await?.0)
        })?;
        tell(&explanation, output)?;
        Ok(if explanation.allowed { Answer::Yes } else { Answer::No })
    }
}

fn tell(explanation: &Explanation, output: &Output) -> Result<(), Failure> {
    let groups: Vec<_> = explanation.groups.iter().map(wardbook_events::Group::name).collect();
    let effect = |forbids| if forbids { "forbid" } else { "permit" };
    if output.is_json() {
        let considered: Vec<_> = explanation
            .considered
            .iter()
            .map(|one| {
                json!({"policy": one.rule.name, "effect": effect(one.rule.forbids), "applies": one.applies, "why": one.rule.why})
            })
            .collect();
        output.json(&json!({"allowed": explanation.allowed, "groups": groups, "deciding": explanation.deciding,
            "considered": considered, "policy_version": explanation.policy_version}))?;
        return Ok(());
    }
    let answer = match (explanation.allowed, explanation.deciding.is_empty()) {
        (true, _) if groups.is_empty() => "allowed".to_owned(),
        (true, _) => format!("allowed: {}", groups.join(" ")),
        (false, true) => "denied: no policy allows it".to_owned(),
        (false, false) => "denied".to_owned(),
    };
    output.line(&format!("{answer} ({})", explanation.deciding.join(", ")).replace(" ()", ""))?;
    let rows = explanation.considered.iter().map(|one| {
        let applies = if one.applies { "applies" } else { "" };
        vec![effect(one.rule.forbids).to_owned(), one.rule.name.clone(), applies.to_owned(), one.rule.why.clone()]
    });
    output.line(&table(&["", "policy", "", "why"], rows))?;
    Ok(())
}
