//! `wardbook backup verify`

use std::time::Instant;

use clap::Args;
use serde_json::json;
use wardbook::backup;
use wardbook_events::BackupId;

use super::super::output::Output;
use super::super::{Answer, Common, Ended};
use super::Places;

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook --config ward.toml backup verify                        the newest, at every place
  wardbook backup verify --place /srv/backup --key-file backup.key BACKUP")]
pub struct Verify {
    /// Which backup; the newest if not given
    backup: Option<BackupId>,
    #[command(flatten)]
    places: Places,
}

impl Verify {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let setup = self.places.open(common, output)?;
        let mut answer = Answer::Yes;
        for place in &setup.places {
            let began = Instant::now();
            let (backup, verified) = backup::verify(place, &setup.key, self.backup, output)?;
            output.finish();
            let seconds = began.elapsed().as_secs_f64();
            let findings: Vec<_> = verified.findings.iter().map(ToString::to_string).collect();
            if output.is_json() {
                output.json(&json!({"place": place.name(), "backup": backup, "verified": verified.is_whole(),
                    "events": verified.events, "root": verified.root, "parts": verified.parts,
                    "bytes": verified.bytes, "documents": verified.documents, "document_bytes": verified.document_bytes,
                    "erased_documents": verified.erased, "seconds": seconds, "errors": findings}))?;
            } else {
                findings.iter().try_for_each(|finding| output.line(finding))?;
                let verdict = if verified.is_whole() { "verified" } else { "does NOT verify" };
                output.line(&format!(
                    "{} at {}: {} events, {} documents, {} bytes: {verdict} ({seconds:.1} s)",
                    backup,
                    place.name(),
                    verified.events,
                    verified.documents,
                    verified.bytes + verified.document_bytes
                ))?;
            }
            if !verified.is_whole() {
                answer = Answer::No;
            }
        }
        Ok(answer)
    }
}
