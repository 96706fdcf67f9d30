//! `wardbook rebuild`

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use wardbook_events::Role;
use wardbook_events::governance::{GovernanceEvent, ProjectionRebuilt};
use wardbook_events::{EventId, Outcome};
use wardbook_policy::{Action, Target};
use wardbook_projections::ViewName;

use super::output::{Output, table};
use super::remote::{Remote, Session};
use super::{Answer, Common, Ended, Failure, place};
use wardbook::disclosure::allow;

/// Builds views anew beside the live ones and swaps when the state roots are equal. Interrupted, run it again: it goes
/// on. With --server it is done by a running server, which keeps answering meanwhile.
#[derive(Args)]
#[command(after_help = "Examples:\n  wardbook rebuild                all views\n  wardbook rebuild patients audit\n  \
    wardbook rebuild audit --server http://127.0.0.1:8080 --as system")]
pub struct Rebuild {
    /// Views: patients, records, care-teams, identity, audit; all if none is named
    #[arg(value_parser = view)]
    views: Vec<ViewName>,
    /// Begin again instead of going on with an interrupted rebuild
    #[arg(long, conflicts_with = "server")]
    afresh: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Rebuild {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        let views = if self.views.is_empty() { ViewName::ALL.to_vec() } else { self.views.clone() };
        if let Some(server) = &self.remote.server {
            return through(&self.remote.log_in(server)?, &views, output);
        }
        let mut rows = Vec::new();
        place::with(common, output, async |app| {
            let operator = place::operator(app, Role::SystemAdmin)?;
            allow(app, &operator, Action::ManageProjections, Target::Tenant).await?;
            let began = Instant::now();
            let done = tokio::task::block_in_place(|| {
                wardbook::rebuild::several(app.ledger(), app.views(), &views, self.afresh, output)
            })?;
            // All views are built at the same time.
            let seconds = began.elapsed().as_secs_f64();
            for (view, swapped) in done {
                let swapped = swapped?;
                let fact = ProjectionRebuilt {
                    view: view.name().into(),
                    log_size: swapped.standing.position,
                    root: swapped.standing.root.to_string(),
                };
                let id = EventId::new(app.new_id()?);
                app.tell(
                    id,
                    GovernanceEvent::from(fact).into(),
                    &operator.meta(Outcome::Success),
                    &operator.client,
                    &[],
                )
                .await?;
                output.finish();
                #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
                let rate = swapped.standing.position as f64 / seconds.max(1e-9);
                if output.is_json() {
                    output
                        .json(&json!({"view": view.name(), "events": swapped.standing.position, "seconds": seconds,
                        "root": swapped.standing.root.to_string(), "compared": swapped.compared}))?;
                }
                let compared = if swapped.compared { "as before" } else { "there was none" };
                rows.push(vec![
                    view.name().to_owned(),
                    swapped.standing.position.to_string(),
                    format!("{rate:.0}"),
                    compared.to_owned(),
                    swapped.standing.root.to_string(),
                ]);
            }
            Ok(())
        })?;
        if !output.is_json() {
            output.line(&table(&["view", "events", "events/s", "root", ""], rows))?;
        }
        Ok(Answer::Yes)
    }
}

fn view(text: &str) -> Result<ViewName, String> {
    let names = || ViewName::ALL.iter().map(|view| view.name()).collect::<Vec<_>>().join(", ");
    ViewName::ALL.iter().copied().find(|view| view.name() == text).ok_or_else(|| format!("expected one of {}", names()))
}

/// Asks the server and watches until it is through.
fn through(session: &Session, views: &[ViewName], output: &Output) -> Ended {
    for view in views {
        session.post(&format!("/v1/projections/{}/rebuild", view.name()), &json!({}))?;
        let end = watch(session, *view, output)?;
        output.finish();
        output.line(&if output.is_json() {
            end.to_string()
        } else {
            format!("{}: {}", view.name(), sentence(&end))
        })?;
    }
    Ok(Answer::Yes)
}

fn watch(session: &Session, view: ViewName, output: &Output) -> Result<Value, Failure> {
    use wardbook_ledger::Progress as _;
    loop {
        let all = session.get("/v1/projections")?;
        let of_view =
            all.get("views").and_then(Value::as_array).into_iter().flatten().find(|one| one["name"] == view.name());
        let rebuild = of_view.and_then(|one| one.get("rebuild")).cloned().unwrap_or_default();
        match rebuild.get("state").and_then(Value::as_str) {
            Some("running") => {
                let number = |name| rebuild.get(name).and_then(Value::as_u64).unwrap_or_default();
                output.advance(view.name(), number("position"), number("target"));
            }
            Some("failed") => {
                return Err(format!("the server could not rebuild {}: {}", view.name(), sentence(&rebuild)).into());
            }
            _ => return Ok(rebuild),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn sentence(rebuild: &Value) -> String {
    let text = |name| rebuild.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    text("reason")
        .or_else(|| text("root").map(|root| format!("rebuilt, root {root}")))
        .unwrap_or_else(|| "rebuilt".into())
}
