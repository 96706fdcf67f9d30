//! `wardbook backup keys`

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use wardbook::backup;
use wardbook_events::backups::{BackupEvent, KeysRecovered, KeysShared};
use wardbook_keys::BackupKey;

use super::super::output::Output;
use super::super::{Answer, Common, Ended, Failure, place};

/// The key that seals backups. Keep it apart from the data and from the root key, and in shares on paper.
#[derive(Args)]
pub struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a new key in a new file (mode 0600)
    #[command(after_help = "Example:\n  wardbook backup keys init --key-file /etc/wardbook/backup.key")]
    Init(Named),
    /// Print the key's id, which stands in every manifest
    Id(Named),
    /// Share the key out: any THRESHOLD of the SHARES give it back, fewer say nothing of it
    #[command(after_help = "Examples:
  wardbook --config ward.toml backup keys split --shares 5 --threshold 3        print them, to be copied on paper
  wardbook --config ward.toml backup keys split --shares 5 --threshold 3 --out DIR")]
    Split(Split),
    /// Put the key together from shares, one a line, from files or standard input
    #[command(after_help = "Examples:
  wardbook backup keys recover --key-file backup.key < shares.txt
  wardbook backup keys recover --key-file backup.key share-1.txt share-4.txt share-5.txt")]
    Recover(Recover),
}

#[derive(Args)]
struct Named {
    /// File of the key; that of the settings if not given
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Args)]
struct Split {
    #[command(flatten)]
    named: Named,
    /// How many shares
    #[arg(long)]
    shares: u8,
    /// How many are needed
    #[arg(long)]
    threshold: u8,
    /// Write a file for each share into this directory, instead of printing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct Recover {
    #[command(flatten)]
    named: Named,
    /// Files with shares; standard input if none is given
    files: Vec<PathBuf>,
}

impl Keys {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        match self.command {
            KeysCommand::Init(named) => {
                let path = named.path(common)?;
                let key = BackupKey::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                show(&key, output)?;
                output.note("share it out now: `wardbook backup keys split`; without it no backup opens again");
                Ok(Answer::Yes)
            }
            KeysCommand::Id(named) => {
                show(&named.load(common)?, output)?;
                Ok(Answer::Yes)
            }
            KeysCommand::Split(split) => split.run(common, output),
            KeysCommand::Recover(recover) => recover.run(common, output),
        }
    }
}

fn show(key: &BackupKey, output: &Output) -> Result<(), Failure> {
    if output.is_json() { output.json(&json!({"key": key.id()})) } else { output.line(key.id()) }
}

impl Named {
    fn path(&self, common: &Common) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.key_file {
            return Ok(path.clone());
        }
        // The settings may not be complete yet: the key is what they wait for.
        let path = place::config(common)?.backup.key_file;
        match path.as_os_str().is_empty() {
            true => Err("give --key-file FILE, or set backup.key_file".into()),
            false => Ok(path),
        }
    }

    fn load(&self, common: &Common) -> Result<BackupKey, Failure> {
        let path = self.path(common)?;
        BackupKey::load(&path).map_err(|error| format!("{}: {error}", path.display()).into())
    }
}

impl Split {
    fn run(self, common: &Common, output: &Output) -> Ended {
        let key = self.named.load(common)?;
        let shares = backup::split(&key, self.shares, self.threshold)?;
        let set = shares.first().map(backup::Share::set).unwrap_or_default();
        for share in &shares {
            let line = share.line();
            match &self.out {
                Some(dir) => write(&dir.join(format!("share-{}.txt", share.number())), &line)?,
                None => output.line(&line)?,
            }
        }
        let fact = KeysShared { key: key.id().to_owned(), set, shares: self.shares, threshold: self.threshold };
        told(common, &fact.into(), output);
        Ok(Answer::Yes)
    }
}

impl Recover {
    fn run(self, common: &Common, output: &Output) -> Ended {
        let path = self.named.path(common)?;
        let mut lines = Vec::new();
        for file in &self.files {
            let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            lines.extend(text.lines().map(str::to_owned));
        }
        if self.files.is_empty() {
            lines = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
        }
        let recovered = backup::recover(&lines)?;
        recovered.key.write(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        show(&recovered.key, output)?;
        let fact = KeysRecovered { key: recovered.key.id().to_owned(), set: recovered.set, given: recovered.given };
        told(common, &fact.into(), output);
        Ok(Answer::Yes)
    }
}

/// The ledger is told by whoever opens it next: a server may have it now, or there is none yet.
fn told(common: &Common, fact: &BackupEvent, output: &Output) {
    if let Err(error) = backup::leave(&common.data, fact) {
        output.note(&format!("the ledger will not be told of this: {}: {error}", common.data.display()));
    }
}

fn write(path: &Path, line: &str) -> Result<(), Failure> {
    let fail = |error| format!("{}: {error}", path.display());
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
    writeln!(file, "{line}").map_err(fail)?;
    Ok(file.sync_all().map_err(fail)?)
}
