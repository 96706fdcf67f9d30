//! `wardbook keys rotate`

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use wardbook::by::By;
use wardbook::disclosure::allow;
use wardbook::keyring::rotate::{Asked, Rotated, rotate};
use wardbook_events::{PatientId, Role};
use wardbook_policy::{Action, Target};

use super::super::output::Output;
use super::super::remote::Remote;
use super::super::{Answer, Common, Ended, place};
use super::rewrap;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// The root key, at its provider
    Root,
    /// The organisation's key
    Tenant,
    /// The key that patients are searched by; they are re-indexed
    Index,
    /// A patient's key, or those of all patients
    Patient,
}

impl Level {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Tenant => "tenant",
            Self::Index => "index",
            Self::Patient => "patient",
        }
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook keys rotate root
  wardbook keys rotate tenant --server http://127.0.0.1:8080 --as security
  wardbook keys rotate index
  wardbook keys rotate patient --patient 0190a3c4-7d10-7cc2-b5c1-2f3e4d5a6b7c
  wardbook keys rotate patient                 all patients' keys")]
pub struct Rotate {
    /// Which key
    level: Level,
    /// Whose, at level patient; all patients' if not given
    #[arg(long, value_name = "ID")]
    patient: Option<PatientId>,
    #[command(flatten)]
    remote: Remote,
}

impl Rotate {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        if self.patient.is_some() && self.level != Level::Patient {
            return Err("--patient goes with the level patient only".into());
        }
        let name = self.level.name();
        if let Some(server) = &self.remote.server {
            let session = self.remote.log_in(server)?;
            let body = match self.patient {
                Some(patient) => json!({"level": name, "patient": patient}),
                None => json!({"level": name}),
            };
            let done = session.post("/v1/keys/rotate", &body)?;
            told(&done, output)?;
            return rewrap::watch(&session, self.level, output);
        }
        let done = place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SecurityAdmin)?;
            allow(app, &operator, Action::ManageKeys, Target::Tenant).await?;
            let tenant = operator.principal().tenant;
            let asked = match (self.level, self.patient) {
                (Level::Root, _) => Asked::Root,
                (Level::Tenant, _) => Asked::Tenant(tenant),
                (Level::Index, _) => Asked::Index(tenant),
                (Level::Patient, Some(patient)) => Asked::Patient(tenant, patient),
                (Level::Patient, None) => Asked::Patients(tenant),
            };
            let rotated = tokio::task::block_in_place(|| {
                let rotated = rotate(app, &By::asker(&operator), asked)?;
                rewrap::wait(app, self.level, output).map(|()| rotated)
            })?;
            Ok(match rotated {
                Rotated::Version(version) => json!({"level": name, "version": version}),
                Rotated::Begun => json!({"level": name}),
            })
        })?;
        told(&done, output)?;
        Ok(Answer::Yes)
    }
}

fn told(done: &Value, output: &Output) -> Result<(), super::super::Failure> {
    output.finish();
    if output.is_json() {
        return output.json(done);
    }
    let text = |name: &str| done.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    output.line(&match text("version").as_str() {
        "" => format!("{}: all keys are made anew", text("level")),
        version => format!("{}: version {version}", text("level")),
    })
}
