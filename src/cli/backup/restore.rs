//! `wardbook backup restore`

use std::time::Instant;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use wardbook::backup::{self, Reach};
use wardbook_events::BackupId;

use super::super::output::Output;
use super::super::{Answer, Common, Ended, place};
use super::Places;

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook --config ward.toml --data new backup restore
  wardbook --data new backup restore --place /srv/backup --key-file backup.key --to-position 120000
  wardbook --config ward.toml --data new backup restore --to-time 2026-03-01T12:00:00Z

Going back behind what was published is refused by the next start unless --accept-rollback is given there.")]
pub struct Restore {
    /// Which backup; otherwise the newest, or the first that reaches far enough
    backup: Option<BackupId>,
    /// So many events at most
    #[arg(long, value_name = "EVENTS", conflicts_with = "to_time")]
    to_position: Option<u64>,
    /// What was recorded by then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    to_time: Option<Timestamp>,
    #[command(flatten)]
    places: Places,
}

impl Restore {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let setup = self.places.open(common, output)?;
        let reach = match (self.to_position, self.to_time) {
            (Some(events), _) => Reach::Position(events),
            (_, Some(at)) => Reach::Time(at),
            _ => Reach::End,
        };
        let began = Instant::now();
        let config = place::config(common)?;
        let target = place::data(common);
        let restore =
            backup::Restore { setup: &setup, backup: self.backup, reach, target, documents: &config.documents };
        let restored = restore.run(output)?;
        output.finish();
        let (keys, documents) = (&restored.keys, &restored.documents);
        keys.wrong.iter().for_each(|wrong| output.note(wrong));
        let (told, seconds) = (&restored.told, began.elapsed().as_secs_f64());
        if output.is_json() {
            output.json(&json!({"backup": told.backup, "place": told.place, "events": told.to, "of": told.from,
                "published": told.published, "keys_found": keys.found, "root_file": keys.root_file, "keys_missing": keys.missing, "erased": told.erased,
                "documents": documents.count, "document_bytes": documents.bytes, "documents_missing": documents.missing,
                "erased_documents": documents.erased, "bytes": restored.bytes, "seconds": seconds}))?;
        } else {
            output.line(&format!(
                "{} events of {} from {} in {} ({seconds:.1} s)",
                told.to,
                told.backup,
                told.place,
                common.data.display()
            ))?;
            match keys.found {
                true => output.line(&format!("keys were put back; {} patients stay erased", told.erased))?,
                false => output.line("there is no backup of the keys at these places: no chart opens without them")?,
            }
            output.line(&format!(
                "{} documents, {} bytes; {} of erased patients left out",
                documents.count, documents.bytes, documents.erased
            ))?;
            for (known, what) in &documents.named {
                output
                    .line(&format!("document {}: its object {} is at no place: {what}", known.document, known.name))?;
            }
            if documents.missing > documents.named.len() as u64 {
                output.line(&format!(
                    "{} documents have no object; start, and `wardbook documents verify` names all",
                    documents.missing
                ))?;
            }
            if keys.found && !keys.root_file {
                output
                    .line("the root key is not in the backup: put it back, or set up its provider, before the start")?;
            }
            let (put, wanted) = (place::data(common).keys().join("root.key"), &config.keys.file.path);
            if keys.root_file && !wanted.as_os_str().is_empty() && *wanted != put {
                output.line(&format!(
                    "the root key's file is {}: move it to {}, where the settings want it",
                    put.display(),
                    wanted.display()
                ))?;
            }
            for patient in keys.missing.iter().take(20) {
                output.line(&format!("no key for patient {patient}: registered after the keys were backed up"))?;
            }
            if keys.missing.len() > 20 {
                output.line(&format!("and {} more (--json names all)", keys.missing.len() - 20))?;
            }
            if told.published > told.to {
                output.line(&format!(
                    "a checkpoint of {} events was published: start with --accept-rollback if going back is wanted",
                    told.published
                ))?;
            }
        }
        Ok(Answer::Yes)
    }
}
