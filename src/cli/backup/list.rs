//! `wardbook backup list`

use clap::Args;
use serde_json::json;
use wardbook::backup::Catalog;
use wardbook_events::backups::BackupKind;

use super::super::output::{Output, table};
use super::super::{Answer, Common, Ended};
use super::Places;

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook --config ward.toml backup list
  wardbook backup list --place s3://elsewhere/wardbook --key-file backup.key --json")]
pub struct List {
    #[command(flatten)]
    places: Places,
}

impl List {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let setup = self.places.open(common, output)?;
        let catalog = Catalog::read(&setup.places, &setup.key);
        let name = |place: &usize| setup.places.get(*place).map_or("", |place| place.name());
        let mut rows = Vec::new();
        for found in catalog.backups.values() {
            let manifest = &found.manifest;
            let places: Vec<_> = found.at.iter().map(name).collect();
            let usable = catalog.chain(manifest.backup).err().map(|error| error.to_string());
            if output.is_json() {
                output.json(&json!({"backup": manifest.backup, "kind": manifest.kind,
                    "base": manifest.base.as_ref().map(|base| base.backup), "made_at": manifest.made_at,
                    "from": manifest.from, "to": manifest.to, "newest_at": manifest.newest_at,
                    "bytes": manifest.bytes(), "documents": manifest.documents.as_ref().map(|known| known.count),
                    "places": places, "unusable": usable}))?;
            }
            rows.push(vec![
                manifest.backup.to_string(),
                kind(manifest.kind).to_owned(),
                manifest.made_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                format!("{}..{}", manifest.from, manifest.to),
                manifest.bytes().to_string(),
                places.join(", "),
                usable.unwrap_or_default(),
            ]);
        }
        if !output.is_json() {
            output.line(&table(&["backup", "kind", "made", "events", "bytes", "places", ""], rows))?;
        }
        for fault in &catalog.faults {
            let what = fault.backup.map_or_else(String::new, |backup| format!("{backup}: "));
            output.note(&format!("{}: {what}{}", name(&fault.place), fault.cause));
        }
        for (place, backup) in &catalog.unfinished {
            output.note(&format!("{}: {backup} was begun and not finished; the next create goes on", name(place)));
        }
        Ok(if catalog.faults.is_empty() { Answer::Yes } else { Answer::No })
    }
}

pub fn kind(kind: BackupKind) -> &'static str {
    match kind {
        BackupKind::Full => "full",
        BackupKind::Incremental => "incremental",
    }
}
