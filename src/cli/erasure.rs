//! `wardbook erasure`

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wardbook_events::ErasureId;

use super::output::{Output, table};
use super::remote::Remote;
use super::{Answer, Common, Ended};

/// Requests to be forgotten, through a running server.
#[derive(Args)]
#[command(
    after_help = "Example:\n  wardbook erasure list --server http://127.0.0.1:8080 --as officer --password-stdin < password\n  \
    wardbook erasure certificate ID --proof > proof; wardbook verify --proof proof --keys keys"
)]
pub struct Erasure {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: ErasureCommand,
}

#[derive(Subcommand)]
enum ErasureCommand {
    /// List requests with their deadlines
    List {
        /// Those that are answered and carried out too
        #[arg(long)]
        all: bool,
    },
    /// Show one request: what may go, what must stay, why and until when
    Show {
        /// The request
        erasure: ErasureId,
    },
    /// Agree to a request; with the second officer it is carried out
    Approve {
        /// The request
        erasure: ErasureId,
        /// Also if only a part may go now
        #[arg(long)]
        in_part: bool,
    },
    /// Print the certificate of an erasure
    Certificate {
        /// The request
        erasure: ErasureId,
        /// Only the proof, for `wardbook verify --proof`
        #[arg(long)]
        proof: bool,
    },
}

impl Erasure {
    pub fn run(self, _: &Common, output: &Output) -> Ended {
        let server =
            self.remote.server.as_deref().ok_or("give --server URL: erasures are carried out by the server")?;
        let session = self.remote.log_in(server)?;
        match self.command {
            ErasureCommand::List { all } => {
                let mut path = format!("/v1/erasures?all={all}");
                loop {
                    let page = session.get(&path)?;
                    list(&page, output)?;
                    let Some(next) = page.get("next").and_then(Value::as_u64) else { return Ok(Answer::Yes) };
                    path = format!("/v1/erasures?all={all}&cursor={next}");
                }
            }
            ErasureCommand::Show { erasure } => show(&session.get(&format!("/v1/erasures/{erasure}"))?, output),
            ErasureCommand::Approve { erasure, in_part } => {
                let answer = session.post(&format!("/v1/erasures/{erasure}/approve"), &json!({"in_part": in_part}))?;
                show(&answer, output)
            }
            ErasureCommand::Certificate { erasure, proof } => {
                let certificate = session.get(&format!("/v1/erasures/{erasure}/certificate"))?;
                if proof {
                    output.raw(&text(&certificate, "proof"))?;
                } else {
                    output.json(&certificate)?;
                }
                Ok(Answer::Yes)
            }
        }
    }
}

fn text(of: &Value, name: &str) -> String {
    of.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn names(of: &Value, name: &str) -> String {
    let names: Vec<_> =
        of.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    names.join(", ")
}

fn list(page: &Value, output: &Output) -> Result<(), super::Failure> {
    let found = page.get("erasures").and_then(Value::as_array).cloned().unwrap_or_default();
    if output.is_json() {
        return found.iter().try_for_each(|one| output.json(one));
    }
    let due = |one: &Value| match one.get("overdue") == Some(&Value::Bool(true)) {
        true => format!("{} (overdue)", text(one, "due_at")),
        false => text(one, "due_at"),
    };
    let row = |one: &Value| {
        vec![text(one, "erasure"), text(one, "patient"), text(one, "status"), due(one), names(one, "groups")]
    };
    output.line(&table(&["erasure", "patient", "status", "due", "what"], found.iter().map(row)))
}

fn show(one: &Value, output: &Output) -> Ended {
    if output.is_json() {
        output.json(one)?;
        return Ok(Answer::Yes);
    }
    output.line(&format!("{} of patient {}: {}", text(one, "erasure"), text(one, "patient"), text(one, "status")))?;
    output.line(&format!("to be answered by {}; agreed: {}", text(one, "due_at"), names(one, "approved_by")))?;
    output.line(&format!("goes: {}", names(one, "may_go")))?;
    for kept in one.get("must_stay").and_then(Value::as_array).into_iter().flatten() {
        let until = kept.get("until").and_then(Value::as_str).unwrap_or("nobody can say");
        let because = kept.get("because").and_then(Value::as_array).into_iter().flatten();
        let why: Vec<_> = because.map(|because| because.get("rule").or_else(|| because.get("kind"))).collect();
        let why: Vec<_> = why.into_iter().flatten().filter_map(Value::as_str).collect();
        output.line(&format!("stays: {} until {until} ({})", text(kept, "group"), why.join("; ")))?;
    }
    Ok(Answer::Yes)
}
