//! `wardbook import`

use std::path::PathBuf;

use clap::Args;
use wardbook_events::Role;

use super::output::{Output, table};
use super::{Answer, Common, Ended, Failure, place};
use wardbook::import::{self, ImportOptions, Report};

/// Reads FHIR R4 bundles and bulk data, patients first. Interrupted, run it again: nothing is written twice. What is not
/// taken is counted by type and reason.
#[derive(Args)]
#[command(
    after_help = "Example:\n  wardbook import exports/ --source st-mary\n\nThe ledger must not be in use: stop the server first."
)]
pub struct Import {
    /// Files (.json, .ndjson) and directories of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Name of the source: resources of two sources may have the same ids
    #[arg(long, default_value = "")]
    source: String,
    /// Register a patient also if one of the same name and birth date is there
    #[arg(long)]
    confirm_distinct: bool,
    /// Law that applies to the patients: US, SA or EU
    #[arg(long, default_value = "US")]
    jurisdiction: String,
}

impl Import {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let options = ImportOptions {
            source: self.source,
            confirm_distinct: self.confirm_distinct,
            jurisdiction: self.jurisdiction,
        };
        let report = place::with(common, output, async |app| {
            let operator = place::operator(app, Role::Registrar)?;
            Ok(import::run(app, &operator, &self.paths, &options, output).await?)
        })?;
        output.finish();
        show(&report, output)?;
        Ok(Answer::Yes)
    }
}

fn show(report: &Report, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(report);
    }
    let totals = report.totals();
    let row = |name: &str, counts: &import::Counts| {
        vec![name.to_owned(), counts.imported.to_string(), counts.already_there.to_string(), counts.skipped.to_string()]
    };
    let mut rows: Vec<_> = report.types.iter().map(|(kind, counts)| row(kind, counts)).collect();
    rows.push(row("all", &totals));
    output.line(&table(&["type", "imported", "already there", "skipped"], rows))?;
    if totals.skipped > 0 {
        output.line("\nskipped because")?;
        let reasons = report.skipped.iter().flat_map(|(kind, reasons)| {
            reasons.iter().map(move |(reason, count)| vec![count.to_string(), kind.clone(), reason.clone()])
        });
        output.line(&table(&["count", "type", "reason"], reasons))?;
    }
    Ok(())
}
