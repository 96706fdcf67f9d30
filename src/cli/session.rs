//! `wardbook session`

use clap::{Args, Subcommand};
use serde_json::json;
use wardbook_commands::identity::Which;
use wardbook_events::Role;
use wardbook_policy::{Action, Target};
use wardbook_projections::identity::{Session as Row, User};

use super::output::{Output, table};
use super::{Answer, Common, Ended, Failure, place};
use wardbook::app::App;
use wardbook::disclosure::allow;

/// Sessions of a ledger that no server has open. While one runs, use /v1/users/{user}/sessions.
#[derive(Args)]
pub struct Session {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Subcommand)]
enum SessionCommand {
    /// List live sessions
    List(List),
    /// End sessions of a user
    #[command(after_help = "Example:\n  wardbook session end --username dr.lee --session 3f2a91c7")]
    End(End),
}

#[derive(Args)]
struct List {
    /// Of this user only
    #[arg(long)]
    username: Option<String>,
}

#[derive(Args)]
struct End {
    #[arg(long)]
    username: String,
    /// The first eight digits of one, as the list shows them; all of the user's sessions if absent
    #[arg(long)]
    session: Option<String>,
}

/// Digits of a session's id that are shown.
const SHOWN: usize = 8;
/// Sessions read at a time.
const PAGE: usize = 500;

impl Session {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        place::with(common, output, async |app| match self.command {
            SessionCommand::List(command) => list(app, command, output),
            SessionCommand::End(command) => end(app, &command, output).await,
        })
    }
}

fn find(app: &App, username: &str) -> Result<User, Failure> {
    let user = app.views().identity.user_by_name(username)?;
    Ok(user.ok_or_else(|| format!("there is no user {username}: `wardbook user list` shows all"))?)
}

fn list(app: &App, command: List, output: &Output) -> Ended {
    let only = command.username.map(|name| find(app, &name)).transpose()?.map(|user| user.user);
    let (mut after, mut rows): (Option<Row>, Vec<_>) = (None, Vec::new());
    loop {
        let page = app.views().identity.live_sessions(app.now(), after.as_ref(), PAGE)?;
        let Some(last) = page.last().cloned() else { break };
        for session in page.into_iter().filter(|session| only.is_none_or(|user| session.user == user)) {
            let user = app.views().identity.user(session.user)?;
            let name = user.map(|user| user.username).unwrap_or_default();
            let shown: String = session.session.to_string().chars().take(SHOWN).collect();
            let [began, seen] = [session.started_at, session.seen_at].map(|at| at.to_string());
            if output.is_json() {
                output.json(&json!({"session": shown, "username": name, "started_at": began, "seen_at": seen}))?;
            } else {
                rows.push(vec![shown, name, began, seen, session.address.unwrap_or_default()]);
            }
        }
        after = Some(last);
    }
    if !output.is_json() {
        output.line(&table(&["session", "user", "began", "seen", "from"], rows))?;
    }
    Ok(Answer::Yes)
}

async fn end(app: &App, command: &End, output: &Output) -> Ended {
    let user = find(app, &command.username)?;
    let live = app.views().identity.sessions_of(user.user, app.now())?;
    let named =
        |row: &Row| command.session.as_ref().is_none_or(|shown| row.session.to_string().get(..SHOWN) == Some(shown));
    let these: Vec<_> = live.iter().filter(|row| named(row)).map(|row| row.session).collect();
    if these.is_empty() {
        output.note("there is no such live session: `wardbook session list` shows all");
        return Ok(Answer::No);
    }
    let operator = place::operator_of(app, user.tenant, Role::SecurityAdmin)?;
    let (permit, _) = allow(app, &operator, Action::ManageSessions, Target::User(user.user)).await?;
    let origin = place::origin(app, &operator)?;
    let done = app.commands().end_sessions_of(&permit, &origin, user.user, Which::These(these)).await?;
    output.note(&format!("{} ended", done.value.len()));
    Ok(Answer::Yes)
}
