//! `ledger-bench`: what a durable append costs against the physical limit of the disk, and what opening and verifying
//! cost.
//!
//! ```text
//! ledger-bench append [--dir DIR] [--seconds S] [--rounds N] [--producers 1,16,64,256] [--flush-ms MS]
//!                     [--only raw|raw-gather|ledger] [--json FILE]
//! ledger-bench open   [--dir DIR] [--events 100000,1000000] [--rounds N] [--json FILE]
//! ```
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring tool: whatever goes wrong ends it"
)]

mod append;
mod load;
mod open;
mod raw;
mod slow;
mod verify;

use std::{collections::HashMap, path::PathBuf};

/// `--name value` pairs.
pub struct Options(HashMap<String, String>);

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Self {
        let args: Vec<String> = args.collect();
        let pairs = args.chunks(2).map(|pair| match pair {
            [name, value] => (name.trim_start_matches("--").to_owned(), value.clone()),
            _ => panic!("option {pair:?} has no value"),
        });
        Self(pairs.collect())
    }

    pub fn get<T: std::str::FromStr>(&self, name: &str, default: T) -> T {
        let value = self.0.get(name).map(|text| text.parse().ok());
        value.map_or(default, |value| value.unwrap_or_else(|| panic!("--{name} is malformed")))
    }

    pub fn list(&self, name: &str, default: &str) -> Vec<u64> {
        let text = self.get(name, default.to_owned());
        text.split(',').map(|number| number.parse().expect("a list of numbers")).collect()
    }

    pub fn dir(&self) -> PathBuf {
        self.get("dir", std::env::temp_dir().join("wardbook-ledger-bench"))
    }

    pub fn write_json(&self, rows: &[serde_json::Value]) {
        let text = serde_json::to_string_pretty(rows).unwrap();
        match self.0.get("json") {
            Some(path) => std::fs::write(path, text).unwrap(),
            None => println!("{text}"),
        }
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_else(|| "append".to_owned());
    let options = Options::parse(args);
    match command.as_str() {
        "append" => append::run(&options),
        "open" => open::run(&options),
        other => panic!("unknown command {other}: append or open"),
    }
}
