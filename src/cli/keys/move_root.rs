//! `wardbook keys move-root`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wardbook::app::{App, OpenOptions};
use wardbook::clock::{Chance, Clock};
use wardbook::config::{Config, DataDir};
use wardbook::disclosure::allow;
use wardbook::keyring::moving::move_root;
use wardbook::root::tell_moved;
use wardbook_events::Role;
use wardbook_policy::{Action, Target};

use super::super::output::Output;
use super::super::{Answer, Common, Ended, Failure, place};

/// Wraps every organisation's key under another root key and writes that down. Stop the server first, and start it with the new
/// settings afterwards. If anything fails, the root key stays where it was.
#[derive(Args)]
#[command(after_help = "Example: from a file to Vault. vault.toml is ward.toml with another section [keys]:
  wardbook --config ward.toml keys move-root --to vault.toml
  wardbook --config vault.toml serve

The old root key still unwraps old backups of the key store: keep it as long as those, then destroy it.")]
pub struct MoveRoot {
    /// Settings of the new place, as the server will use them from now on
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl MoveRoot {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let (old, new) = (place::config(common)?, Config::load(&self.to)?);
        let data = place::data(common);
        place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SecurityAdmin)?;
            allow(app, &operator, Action::ManageKeys, Target::Tenant).await?;
            Ok(())
        })?;
        let moved = move_root(&data, &old.keys, &new.keys, &Clock::system())?;
        // From here on only the new settings open it.
        told(new, data, output).map_err(|error| {
            format!(
                "the root key is {} now, but the ledger does not say so yet ({error}): start with the new settings, and let \
                 `wardbook keys rotate root` write it down",
                moved.to
            )
        })?;
        output.finish();
        if output.is_json() {
            output.json(&json!({"from": moved.from, "to": moved.to, "keys": moved.keys}))?;
        } else {
            output.line(&format!("{} keys moved from {} to {}", moved.keys, moved.from, moved.to))?;
        }
        output.note(&format!("start the server with --config {} from now on", self.to.display()));
        Ok(Answer::Yes)
    }
}

fn told(config: Config, data: DataDir, output: &Output) -> Result<(), Failure> {
    let app = App::open(config, data, Clock::system(), Chance::system(), OpenOptions::default(), output)?;
    let result = tell_moved(&app);
    app.close();
    Ok(result?)
}
