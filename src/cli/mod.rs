//! The command line.

mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wardbook::config::{Config, ConfigError, DataDir};

/// A healthcare backend whose audit trail is the system of record.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    /// Settings; without a file, the defaults of config/default.toml.
    #[arg(long, global = true, env = "WARDBOOK_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of everything that is kept.
    #[arg(long, global = true, env = "WARDBOOK_DATA", default_value = "data")]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the HTTP API until SIGINT or SIGTERM.
    Serve(serve::Serve),
}

/// Reads the arguments and runs the command.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(serve) => settings(cli.config).map_err(Into::into).and_then(|config| serve.run(config, DataDir::new(cli.data))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn settings(path: Option<PathBuf>) -> Result<Config, ConfigError> {
    path.map_or_else(|| Ok(Config::default()), |path| Config::load(&path))
}

/// Errors go to the person at the terminal in plain words, whatever the log is set to.
#[expect(clippy::print_stderr, reason = "this is the one place where the program speaks to its user of an error")]
fn complain(error: &dyn std::error::Error) {
    eprintln!("wardbook: {error}");
}
