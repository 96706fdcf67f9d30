//! `wardbook keys`

mod compromise;
mod move_root;
mod rewrap;
mod rotate;
mod status;

use clap::{Args, Subcommand};

use super::output::Output;
use super::{Common, Ended};

/// See how keys stand, make them anew, move the root key. Keys themselves are never shown.
#[derive(Args)]
#[command(after_help = "Examples:
  wardbook keys status --server http://127.0.0.1:8080 --as security
  wardbook keys rotate tenant --server http://127.0.0.1:8080 --as security
  wardbook --config ward.toml keys move-root --to vault.toml")]
pub struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Versions, states and ages of keys, what is left to wrap anew, what is due when
    Status(status::Show),
    /// Make a key anew; everything that was sealed still opens
    Rotate(rotate::Rotate),
    /// Wrap anew what is still wrapped under an older version of a key, now
    Rewrap(rewrap::Rewrap),
    /// Say that a key may be known to others, and make it good for nothing
    Compromise(compromise::Compromise),
    /// Move the root key to another provider; with the server stopped
    MoveRoot(move_root::MoveRoot),
}

impl Keys {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        match self.command {
            KeysCommand::Status(command) => command.run(common, output),
            KeysCommand::Rotate(command) => command.run(common, output),
            KeysCommand::Rewrap(command) => command.run(common, output),
            KeysCommand::Compromise(command) => command.run(common, output),
            KeysCommand::MoveRoot(command) => command.run(common, output),
        }
    }
}
