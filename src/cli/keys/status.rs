//! `wardbook keys status`

use clap::Args;
use serde_json::Value;
use wardbook::disclosure::allow;
use wardbook::keyring::status::status;
use wardbook_events::Role;
use wardbook_policy::{Action, Target};

use super::super::output::{Output, table};
use super::super::remote::Remote;
use super::super::{Answer, Common, Ended, Failure, place};

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook keys status
  wardbook keys status --json --server http://127.0.0.1:8080 --as security

Exit codes: 0 everything is under the newest versions, 1 something is left to wrap anew or the root key's provider does not \
answer, 2 not carried out.")]
pub struct Show {
    #[command(flatten)]
    remote: Remote,
}

impl Show {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let found = match &self.remote.server {
            Some(server) => self.remote.log_in(server)?.get("/v1/keys")?,
            None => place::with(common, output, async |app| {
                let operator = place::operator(app, Role::SecurityAdmin)?;
                allow(app, &operator, Action::ManageKeys, Target::Tenant).await?;
                let tenant = operator.principal().tenant;
                Ok(serde_json::to_value(tokio::task::block_in_place(|| status(app, tenant, true))?)?)
            })?,
        };
        show(&found, output)?;
        let left = number(&found, "/to_rewrap") + number(&found, "/root/to_rewrap");
        let reachable = found.pointer("/root/reachable").and_then(Value::as_bool).unwrap_or(false);
        Ok(if left == 0 && reachable { Answer::Yes } else { Answer::No })
    }
}

fn show(found: &Value, output: &Output) -> Result<(), Failure> {
    output.finish();
    if output.is_json() {
        return output.json(found);
    }
    let mut rows = vec![vec![
        "root".to_owned(),
        text(found, "/root/version"),
        if text(found, "/root/version").is_empty() { "not reachable" } else { "active" }.to_owned(),
        text(found, "/root/since"),
        String::new(),
        text(found, "/root/due_at"),
    ]];
    for (level, due) in [("tenant", "/tenant_due_at"), ("index", "")] {
        let versions = found.get(level).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for key in versions {
            let is_active = text(key, "/state") == "active";
            let wraps = if level == "tenant" { text(key, "/patient_keys") } else { String::new() };
            rows.push(vec![
                level.to_owned(),
                text(key, "/version"),
                text(key, "/state"),
                text(key, "/made_at"),
                wraps,
                if is_active && !due.is_empty() { text(found, due) } else { String::new() },
            ]);
        }
    }
    rows.push(vec![
        "patients".to_owned(),
        String::new(),
        format!("{} keys", number(found, "/patients/count")),
        text(found, "/patients/oldest_made_at"),
        String::new(),
        text(found, "/patients/due_at"),
    ]);
    output.line(&table(&["level", "version", "state", "made at", "wraps", "next"], rows))?;
    output.line(&format!("root key: {}", text(found, "/root/key")))?;
    output.line(&format!("left to wrap anew: {}", number(found, "/to_rewrap")))?;
    for (name, job) in [("organisation", "/job"), ("root", "/root/job")] {
        if found.pointer(job).is_some() {
            let of = |name: &str| text(found, &format!("{job}/{name}"));
            let line = format!(
                "{name}: {} {}, {} done, {} left {}",
                of("what"),
                of("state"),
                of("done"),
                of("left"),
                of("why")
            );
            output.line(line.trim_end())?;
        }
    }
    Ok(())
}

fn text(found: &Value, path: &str) -> String {
    match found.pointer(path) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn number(found: &Value, path: &str) -> u64 {
    found.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}
