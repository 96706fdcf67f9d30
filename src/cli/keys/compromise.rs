//! `wardbook keys compromise`

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use wardbook_events::PatientId;
use wardbook_ledger::Progress as _;

use super::super::output::Output;
use super::super::remote::Remote;
use super::super::{Answer, Common, Ended};
use super::rotate::Level;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// It stood where it should not: in a log, a message, a repository
    KeyExposed,
    /// The key store was copied
    StoreCopied,
    /// A machine was broken into
    MachineBroken,
    /// A backup was lost
    BackupLost,
    /// Somebody who could reach it is no longer trusted
    Insider,
    /// Keys were used as nobody uses them
    UnusualUse,
    /// The provider of the root key says so
    Provider,
    /// To try it out
    Drill,
}

/// Says that a key may be known to others, and waits until it is good for nothing. Everything current is sealed under new keys
/// of that level and below; what is history, and sealed under the old ones, opens no more. A running server does it.
#[derive(Args)]
#[command(after_help = "Examples:
  wardbook keys compromise --level tenant --reason store-copied --server http://127.0.0.1:8080 --as security
  wardbook keys compromise --level patient --patient 0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c --reason insider --server ...")]
pub struct Compromise {
    /// The highest level that is concerned
    #[arg(long)]
    level: Level,
    /// Whose, at level patient; all patients' if not given
    #[arg(long, value_name = "ID")]
    patient: Option<PatientId>,
    /// Why
    #[arg(long)]
    reason: Reason,
    #[command(flatten)]
    remote: Remote,
}

impl Compromise {
    pub fn run(self, _: &Common, output: &Output) -> Ended {
        if self.patient.is_some() && self.level != Level::Patient {
            return Err("--patient goes with the level patient only".into());
        }
        let server = self.remote.server.as_deref().ok_or("give --server URL: the server seals anew what it serves")?;
        let session = self.remote.log_in(server)?;
        let reason = self.reason.to_possible_value().map(|value| value.get_name().to_owned());
        let mut body = json!({"level": self.level.name(), "reason": reason});
        if let (Some(patient), Some(body)) = (self.patient, body.as_object_mut()) {
            body.insert("patient".to_owned(), json!(patient));
        }
        let mut found = session.post("/v1/keys/compromise", &body)?;
        let alert = text(&found, "/alert");
        if !output.is_json() {
            output.line(&format!("alert {alert}: it is being contained"))?;
        }
        let path = format!("/v1/keys/compromise/{alert}");
        while text(&found, "/state") != "contained" {
            let number = |path: &str| found.pointer(path).and_then(Value::as_u64).unwrap_or_default();
            output.advance("keys", number("/job/done"), number("/job/done") + number("/job/left"));
            if text(&found, "/job/state") == "failed" {
                return Err(format!("the server: {}; it is tried again each minute", text(&found, "/job/why")).into());
            }
            std::thread::sleep(Duration::from_millis(200));
            found = session.get(&path)?;
        }
        output.finish();
        if output.is_json() {
            output.json(&found)?;
        } else {
            let number = |path: &str| found.pointer(path).and_then(Value::as_u64).unwrap_or_default();
            output.line(&format!(
                "contained: {} values of {} patients sealed anew",
                number("/values"),
                number("/patients")
            ))?;
        }
        Ok(Answer::Yes)
    }
}

fn text(found: &Value, path: &str) -> String {
    found.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}
