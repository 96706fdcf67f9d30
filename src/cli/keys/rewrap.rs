//! `wardbook keys rewrap`, and waiting until what goes on in the background is through.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use wardbook::app::App;
use wardbook::by::By;
use wardbook::disclosure::allow;
use wardbook::keyring::{KeyringError, Scope, rewrap};
use wardbook_events::Role;
use wardbook_ledger::Progress as _;
use wardbook_policy::{Action, Target};

use super::super::output::Output;
use super::super::remote::{Remote, Session};
use super::super::{Answer, Common, Ended, place};
use super::rotate::Level;

#[derive(Args)]
#[command(after_help = "Examples:
  wardbook keys rewrap                         patients' keys, under the organisation's newest key
  wardbook keys rewrap root --server http://127.0.0.1:8080 --as security")]
pub struct Rewrap {
    /// The level of the key that wraps: tenant or root
    #[arg(default_value = "tenant")]
    level: Level,
    #[command(flatten)]
    remote: Remote,
}

impl Rewrap {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        if matches!(self.level, Level::Patient | Level::Index) {
            return Err("such a key wraps nothing: give tenant or root".into());
        }
        if let Some(server) = &self.remote.server {
            let session = self.remote.log_in(server)?;
            session.post("/v1/keys/rewrap", &json!({"level": self.level.name()}))?;
            let answer = watch(&session, self.level, output)?;
            output.note("everything is under the newest version");
            return Ok(answer);
        }
        place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SecurityAdmin)?;
            allow(app, &operator, Action::ManageKeys, Target::Tenant).await?;
            tokio::task::block_in_place(|| {
                rewrap::start(app, &By::asker(&operator), scope(app, self.level))?;
                wait(app, self.level, output)
            })?;
            Ok(())
        })?;
        output.finish();
        output.note("everything is under the newest version");
        Ok(Answer::Yes)
    }
}

fn scope(app: &App, level: Level) -> Scope {
    (level != Level::Root).then(|| app.config().organisation.id)
}

/// Waits for what goes on in this process.
pub fn wait(app: &App, level: Level, output: &Output) -> Result<(), KeyringError> {
    loop {
        let Some(job) = app.keyring().job(scope(app, level)) else { return Ok(()) };
        match job.state {
            "running" => {
                output.advance("keys", job.done, job.done + job.left);
                std::thread::sleep(Duration::from_millis(50));
            }
            "failed" => return Err(KeyringError::Unfinished(job.why.unwrap_or_default())),
            _ => return Ok(()),
        }
    }
}

/// Watches what a server does until it is through.
pub fn watch(session: &Session, level: Level, output: &Output) -> Ended {
    loop {
        let found = session.get("/v1/keys")?;
        let job = match level {
            Level::Root => found.pointer("/root/job"),
            _ => found.get("job"),
        };
        let text =
            |name: &str| job.and_then(|job| job.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("state").as_str() {
            "running" => {
                let number = |name: &str| job.and_then(|job| job.get(name)).and_then(Value::as_u64).unwrap_or_default();
                output.advance("keys", number("done"), number("done") + number("left"));
                std::thread::sleep(Duration::from_millis(200));
            }
            "failed" => return Err(format!("the server: {}", text("why")).into()),
            _ => {
                output.finish();
                return Ok(Answer::Yes);
            }
        }
    }
}
