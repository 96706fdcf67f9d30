//! `wardbook documents`

use clap::{Args, Subcommand};
use serde_json::json;
use wardbook_events::Role;
use wardbook_policy::{Action, Target};

use super::output::Output;
use super::{Answer, Common, Ended, place};
use wardbook::disclosure::allow;
use wardbook::documents;

/// Looks after the objects of documents.
#[derive(Args)]
pub struct Documents {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare every object with what the ledger says of it
    ///
    /// Reads all objects; needs no patient's key. Exit code 1 means: an object is missing or damaged, or one of an erased
    /// patient is still there. Objects that belong to no document are listed: a crash leaves such, and they do no harm.
    Verify,
}

impl Documents {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let Command::Verify = self.command;
        let report = place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SystemAdmin)?;
            allow(app, &operator, Action::ManageBackups, Target::Tenant).await?;
            Ok(documents::verify(app, output).await?)
        })?;
        output.finish();
        if output.is_json() {
            output.json(&json!({"verified": report.is_ok(), "report": report}))?;
        } else {
            for finding in &report.findings {
                let fault = serde_json::to_value(finding.fault)?;
                let fault = fault.as_str().unwrap_or_default();
                output.line(&format!("document {}: object {} is {fault}", finding.document, finding.object))?;
            }
            for name in &report.leftovers {
                output.line(&format!("object {name} is of an erased patient and still there: delete it"))?;
            }
            for name in &report.orphans {
                output.line(&format!("warning: object {name} belongs to no document"))?;
            }
            let verdict = if report.is_ok() { "verified" } else { "NOT as they were" };
            output.line(&format!("{} documents, {} bytes: {verdict}", report.documents, report.bytes))?;
        }
        Ok(if report.is_ok() { Answer::Yes } else { Answer::No })
    }
}
