//! The `wardbook` program: one binary, one file a subcommand.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 the answer is no (a log that
//! does not verify, nothing found), 2 the command could not be carried out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

mod backup;
mod checkpoint;
mod documents;
mod erasure;
mod import;
mod keys;
mod output;
mod place;
mod policy;
mod proof;
mod rebuild;
mod remote;
mod replay;
mod serve;
mod session;
mod tls;
mod user;
mod verify;

use output::Output;

/// A healthcare backend whose audit trail is the system of record.
#[derive(Parser)]
#[command(name = "wardbook", version, propagate_version = true, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  wardbook user create --username admin --role admin --password-stdin < password
  wardbook import patients/                 FHIR R4 bundles and bulk data into the ledger
  wardbook serve                            HTTP API on 127.0.0.1:8080
  wardbook verify                           check every byte of the log, offline
  wardbook replay --patient ID --since 2026-01-01T00:00:00Z

Exit codes: 0 done, 1 the answer is no (such as a log that does not verify), 2 not carried out.";

/// Given to every command.
#[derive(Args, Clone)]
struct Common {
    /// Directory of ledger, keys and views
    #[arg(long, global = true, env = "WARDBOOK_DATA", default_value = "wardbook-data", value_name = "DIR")]
    data: PathBuf,
    /// Settings; config/default.toml lists them all
    #[arg(long, global = true, env = "WARDBOOK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    json: bool,
    /// Show no progress
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the HTTP API
    Serve(serve::Serve),
    /// Import FHIR R4 bundles (.json) and bulk data (.ndjson)
    Import(import::Import),
    /// Verify the log, a proof or a completeness bundle, offline
    Verify(verify::Verify),
    /// Look at the history: filter events, or open a chart as it stood
    Replay(replay::Replay),
    /// Rebuild views from the ledger and compare their state roots
    Rebuild(rebuild::Rebuild),
    /// Print the newest checkpoint
    Checkpoint(checkpoint::Checkpoint),
    /// Print the proof that a checkpoint commits to an event
    Proof(proof::Proof),
    /// Look after documents
    Documents(documents::Documents),
    /// Manage users
    User(user::User),
    /// See and end login sessions
    Session(session::Session),
    /// See requests to be forgotten, agree to them, print certificates
    Erasure(erasure::Erasure),
    /// Check, compare and explain policies
    Policy(policy::Policy),
    /// Make, check, list and restore backups
    Backup(backup::Backup),
    /// See how keys stand, make them anew, move the root key
    Keys(keys::Keys),
    /// Check how a server speaks TLS; print what clients may pin
    Tls(tls::Tls),
}

/// Why a command was not carried out: a sentence for the person who typed it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a command came to.
type Ended = Result<Answer, Failure>;

/// Yes or no.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

/// Runs the program with the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse(); // exits with 2 on wrong usage, with 0 on --help
    let output = Output::new(&cli.common);
    let ended = match cli.command {
        Command::Serve(command) => command.run(&cli.common, &output),
        Command::Import(command) => command.run(&cli.common, &output),
        Command::Verify(command) => command.run(&cli.common, &output),
        Command::Replay(command) => command.run(&cli.common, &output),
        Command::Rebuild(command) => command.run(&cli.common, &output),
        Command::Checkpoint(command) => command.run(&cli.common, &output),
        Command::Proof(command) => command.run(&cli.common, &output),
        Command::Documents(command) => command.run(&cli.common, &output),
        Command::User(command) => command.run(&cli.common, &output),
        Command::Session(command) => command.run(&cli.common, &output),
        Command::Erasure(command) => command.run(&cli.common, &output),
        Command::Policy(command) => command.run(&cli.common, &output),
        Command::Backup(command) => command.run(&cli.common, &output),
        Command::Keys(command) => command.run(&cli.common, &output),
        Command::Tls(command) => command.run(&cli.common, &output),
    };
    output.finish();
    match ended {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) if output::is_closed_pipe(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            output.error(&failure.to_string());
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
