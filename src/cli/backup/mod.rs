//! `wardbook backup`

mod create;
mod drill;
mod keys;
mod list;
mod restore;
mod verify;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use wardbook::backup::Setup;
use wardbook_keys::BackupKey;

use super::output::Output;
use super::remote::Session;
use super::{Answer, Common, Ended, Failure, place};

/// Make, check, list and restore backups. Places and key stand in the settings, section [backup].
#[derive(Args)]
#[command(after_help = "Examples:
  wardbook --config ward.toml backup create              what came since the last one, or a full one if it is due
  wardbook --config ward.toml backup verify              hold the newest backup against its checkpoint
  wardbook --config ward.toml --data new backup restore  put everything back into the empty directory `new`
  wardbook --config ward.toml --data new backup restore --to-time 2026-03-01T12:00:00Z")]
pub struct Backup {
    #[command(subcommand)]
    command: BackupCommand,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Make a backup at every place; interrupted, run it again and it goes on
    Create(create::Create),
    /// Read a backup and hold it against its checkpoint; the running system is not touched
    Verify(verify::Verify),
    /// Put a backup back into an empty directory (--data)
    Restore(restore::Restore),
    /// List backups and what is wrong with them
    List(list::List),
    /// Try out a restore of the newest backup, measure it, and write that down
    Drill(drill::Drill),
    /// Make, share out and recover the backup key
    Keys(keys::Keys),
}

impl Backup {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        match self.command {
            BackupCommand::Create(command) => command.run(common, output),
            BackupCommand::Verify(command) => command.run(common, output),
            BackupCommand::Restore(command) => command.run(common, output),
            BackupCommand::List(command) => command.run(common, output),
            BackupCommand::Drill(command) => command.run(common, output),
            BackupCommand::Keys(command) => command.run(common, output),
        }
    }
}

/// Where backups are, for those who only read them.
#[derive(Args, Clone)]
pub struct Places {
    /// A place, several times; those of the settings if not given
    #[arg(long = "place", value_name = "DIR|s3://BUCKET/PREFIX")]
    places: Vec<String>,
    /// File of the backup key; that of the settings if not given
    #[arg(long, value_name = "FILE")]
    key_file: Option<std::path::PathBuf>,
}

impl Places {
    pub fn open(&self, common: &Common, output: &Output) -> Result<Setup, Failure> {
        let config = place::config(common)?.backup;
        let names = if self.places.is_empty() { config.places } else { self.places.clone() };
        if names.is_empty() {
            return Err("name a place with --place, or in the settings: backup.places".into());
        }
        let path = self.key_file.clone().unwrap_or(config.key_file);
        let key = BackupKey::load(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let setup = Setup::of(&names, key)?;
        setup.away.iter().for_each(|away| output.note(&away.to_string()));
        match setup.places.is_empty() {
            true => Err("none of the places can be used".into()),
            false => Ok(setup),
        }
    }
}

/// Watches what a server does until it is through.
fn watch(session: &Session, output: &Output) -> Ended {
    use wardbook_ledger::Progress as _;
    loop {
        let job = session.get("/v1/backups?limit=1")?.get("job").cloned().unwrap_or_default();
        let text = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("state").as_str() {
            "running" => {
                let number = |name: &str| job.get(name).and_then(Value::as_u64).unwrap_or_default();
                output.advance("server", number("position"), number("target"));
                std::thread::sleep(Duration::from_millis(200));
            }
            "failed" => return Err(format!("the server: {}", text("outcome")).into()),
            _ => {
                output.finish();
                let outcome = text("outcome");
                output.line(&if output.is_json() { job.to_string() } else { outcome.clone() })?;
                return Ok(if outcome.contains("NOT") { Answer::No } else { Answer::Yes });
            }
        }
    }
}
