//! `wardbook backup drill`

use clap::Args;
use serde_json::json;
use wardbook::backup;
use wardbook::by::By;
use wardbook::disclosure::allow;
use wardbook_events::Role;
use wardbook_policy::{Action, Target};

use super::super::output::Output;
use super::super::remote::Remote;
use super::super::{Answer, Common, Ended, place};

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook --config ward.toml backup drill
  wardbook --config ward.toml backup drill --from s3://elsewhere/wardbook --json
  wardbook backup drill --server http://127.0.0.1:8080 --as system")]
pub struct Drill {
    /// One of backup.places; the first if not given
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Drill {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        if let Some(server) = &self.remote.server {
            let session = self.remote.log_in(server)?;
            session.post("/v1/backups/drills", &json!({"place": self.from}))?;
            return super::watch(&session, output);
        }
        let done = place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SystemAdmin)?;
            allow(app, &operator, Action::ManageBackups, Target::Tenant).await?;
            let by = By::asker(&operator);
            Ok(tokio::task::block_in_place(|| backup::drill(app, &by, self.from.as_deref(), output))?)
        })?;
        output.finish();
        if output.is_json() {
            output.json(&done)?;
        } else {
            let verdict = if done.passed { "passed" } else { "did NOT pass" };
            output.line(&format!(
                "{verdict}: {} events, {} patients and {} documents from {} in {} ms; {} views as attested; {} keys and {} documents missing",
                done.events,
                done.patients,
                done.documents,
                done.place,
                done.recovery_ms,
                done.views,
                done.keys_missing,
                done.documents_missing
            ))?;
            for (step, took) in &done.steps_ms {
                output.line(&format!("  {step}: {took} ms"))?;
            }
            output.line(&format!("would have been lost: {} events, {} s", done.lost_events, done.lost_s))?;
        }
        Ok(if done.passed { Answer::Yes } else { Answer::No })
    }
}
