//! `wardbook backup create`

use clap::Args;
use serde_json::json;
use wardbook::backup::{self, Asked};
use wardbook::by::By;
use wardbook::disclosure::allow;
use wardbook_events::Role;
use wardbook_events::backups::BackupKind;
use wardbook_policy::{Action, Target};

use super::super::output::Output;
use super::super::remote::Remote;
use super::super::{Answer, Common, Ended, place};

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook --config ward.toml backup create
  wardbook --config ward.toml backup create --full --json
  wardbook backup create --server http://127.0.0.1:8080 --as system")]
pub struct Create {
    /// A full backup, even if none is due
    #[arg(long, conflicts_with = "incremental")]
    full: bool,
    /// An incremental one, even if a full one is due
    #[arg(long)]
    incremental: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Create {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        if let Some(server) = &self.remote.server {
            let session = self.remote.log_in(server)?;
            let kind = match (self.full, self.incremental) {
                (true, _) => Some("full"),
                (_, true) => Some("incremental"),
                _ => None,
            };
            session.post("/v1/backups", &json!({"kind": kind}))?;
            return super::watch(&session, output);
        }
        let ran = place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SystemAdmin)?;
            allow(app, &operator, Action::ManageBackups, Target::Tenant).await?;
            let asked = match (self.full, self.incremental) {
                (true, _) => Asked::Kind(BackupKind::Full),
                (_, true) => Asked::Kind(BackupKind::Incremental),
                _ => backup::full_after(app),
            };
            Ok(tokio::task::block_in_place(|| backup::run(app, &By::asker(&operator), asked, output))?)
        })?;
        output.finish();
        let (made, created) = (&ran.made, &ran.made.created);
        for cause in made.failed.values() {
            output.note(&format!("failed: {cause}"));
        }
        for cause in &ran.wrong {
            output.note(&format!("failed: {cause}"));
        }
        if output.is_json() {
            output.json(&json!({"backup": created.backup, "kind": created.kind, "base": created.base,
                "from": created.from, "to": created.to, "root": created.root, "parts": created.parts,
                "bytes": created.bytes, "places": created.places, "resumed": made.resumed,
                "kept_parts": made.kept, "documents": created.documents, "document_bytes": created.document_bytes,
                "documents_copied": made.documents.copied, "documents_missing": created.documents_missing, "failed": made.failed, "removed": ran.removed, "wrong": ran.wrong}))?;
        } else {
            let resumed = if made.resumed { ", gone on with" } else { "" };
            output.line(&format!(
                "{} {}{resumed}: events {} to {}, {} parts, {} bytes, at {}",
                super::list::kind(created.kind),
                created.backup,
                created.from,
                created.to,
                created.parts,
                created.bytes,
                created.places.join(" and ")
            ))?;
            let documents = &made.documents;
            output.line(&format!(
                "{} documents, {} bytes: {} copies made, {} were there, {} of erased patients left out",
                created.documents, created.document_bytes, documents.copied, documents.kept, documents.erased
            ))?;
        }
        Ok(if made.failed.is_empty() && ran.wrong.is_empty() { Answer::Yes } else { Answer::No })
    }
}
