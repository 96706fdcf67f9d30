//! `wardbook user`

use clap::{Args, Subcommand};
use serde_json::json;
use wardbook_commands::identity::{CreateUser, PasswordHash};
use wardbook_commands::{CommandError, Done, Origin};
use wardbook_events::identity::{AccountKind, Removed};
use wardbook_events::values::{Email, Phone};
use wardbook_events::{PatientId, Role, TenantId, UserId};
use wardbook_policy::{Action, Permit, Target};

use super::output::{Output, table};
use super::{Answer, Common, Ended, Failure, place};
use wardbook::app::App;
use wardbook::disclosure::allow;
use wardbook::passwords::of_user::new_password;

/// Users of a ledger that no server has open. While one runs, use POST /v1/users.
#[derive(Args)]
pub struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Create a user
    #[command(
        after_help = "Example:\n  wardbook user create --username dr.lee --role physician --password-stdin < password"
    )]
    Create(Create),
    /// List users
    List,
    /// Set a user's password
    Password(Password),
    /// Give a role to a user
    Grant(Change),
    /// Take a role from a user
    Revoke(Change),
    /// Bar a user from logging in
    Disable(Named),
    /// Let a disabled user log in again
    Enable(Named),
    /// Set where a user is told of things and sent codes; what is left out is taken away
    Contact(Contact),
    /// Take all second factors of a user away: the next login enrols anew
    ResetFactors(Named),
}

#[derive(Args)]
struct Create {
    /// 3 to 55 characters of [a-z0-9._@-]; for a patient, nothing of the person's name
    #[arg(long)]
    username: String,
    /// What the user may be; may be given several times
    #[arg(long = "role", required = true)]
    roles: Vec<Role>,
    /// Department, several times
    #[arg(long = "department")]
    departments: Vec<String>,
    /// The chart that is about this user
    #[arg(long)]
    patient: Option<PatientId>,
    /// The organisation, by its UUID; otherwise the one of the settings. Makes the first user of another organisation
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Read the password from standard input; otherwise WARDBOOK_PASSWORD holds it
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Args)]
struct Password {
    #[arg(long)]
    username: String,
    /// Read the password from standard input; otherwise WARDBOOK_PASSWORD holds it
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Args)]
struct Change {
    #[arg(long)]
    username: String,
    #[arg(long)]
    role: Role,
}

#[derive(Args)]
struct Named {
    #[arg(long)]
    username: String,
}

#[derive(Args)]
struct Contact {
    #[arg(long)]
    username: String,
    /// E-mail address
    #[arg(long, value_parser = Email::new)]
    email: Option<Email>,
    /// Telephone number for text messages
    #[arg(long, value_parser = Phone::new)]
    phone: Option<Phone>,
}

impl User {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        place::with(common, output, async |app| match self.command {
            UserCommand::Create(command) => create(app, command, output).await,
            UserCommand::List => list(app, output),
            UserCommand::Password(command) => {
                let (user, permit, origin) = about(app, &command.username).await?;
                let account = app.views().identity.user(user)?.ok_or("the user is gone")?;
                let hash = new_password(app, &account, place::password(command.password_stdin)?).await?;
                done(app.commands().set_password(&permit, &origin, user, hash).await)
            }
            UserCommand::Grant(command) => {
                let (user, permit, origin) = about(app, &command.username).await?;
                done(app.commands().grant_role(&permit, &origin, user, command.role).await)
            }
            UserCommand::Revoke(command) => {
                let (user, permit, origin) = about(app, &command.username).await?;
                done(app.commands().revoke_role(&permit, &origin, user, command.role).await)
            }
            UserCommand::Disable(command) => {
                let (user, permit, origin) = about(app, &command.username).await?;
                done(app.commands().disable_user(&permit, &origin, user).await)
            }
            UserCommand::Contact(command) => {
                let (user, permit, origin) = about(app, &command.username).await?;
                done(app.commands().set_contact(&permit, &origin, user, command.email, command.phone).await)
            }
            UserCommand::ResetFactors(command) => {
                let (user, permit, origin) = about(app, &command.username).await?;
                done(app.commands().remove_factor(&permit, &origin, user, Removed::All).await)
            }
            UserCommand::Enable(command) => {
                let (user, permit, origin) = about(app, &command.username).await?;
                done(app.commands().enable_user(&permit, &origin, user).await)
            }
        })
    }
}

/// The user of a name, the permit to change that account, and the origin of the change: within the user's organisation.
async fn about(app: &App, username: &str) -> Result<(UserId, Permit, Origin), Failure> {
    let user = app.views().identity.user_by_name(username)?;
    let user = user.ok_or_else(|| format!("there is no user {username}: `wardbook user list` shows all"))?;
    let operator = place::operator_of(app, user.tenant, Role::Admin)?;
    let (permit, _) = allow(app, &operator, Action::ManageUsers, Target::User(user.user)).await?;
    Ok((user.user, permit, place::origin(app, &operator)?))
}

fn done(result: Result<Done<()>, CommandError>) -> Ended {
    result?;
    Ok(Answer::Yes)
}

async fn hash(app: &App, username: &str, from_stdin: bool) -> Result<PasswordHash, Failure> {
    let phc = app.passwords().hash(place::password(from_stdin)?, username).await?;
    PasswordHash::new(&phc).ok_or_else(|| "the password could not be hashed".into())
}

async fn create(app: &App, command: Create, output: &Output) -> Ended {
    let operator = place::operator_of(app, command.tenant.unwrap_or(app.config().organisation.id), Role::Admin)?;
    let (permit, _) = allow(app, &operator, Action::ManageUsers, Target::Tenant).await?;
    let password = hash(app, &command.username, command.password_stdin).await?;
    let origin = place::origin(app, &operator)?;
    let create = CreateUser {
        kind: AccountKind::Person,
        username: command.username,
        roles: command.roles.into_iter().collect(),
        departments: command.departments,
        patient: command.patient,
        password: Some(password),
    };
    let done = app.commands().create_user(&permit, &origin, create).await?;
    if output.is_json() {
        output.json(&json!({"user": done.value}))?
    } else {
        output.line(&done.value.to_string())?
    }
    Ok(Answer::Yes)
}

fn list(app: &App, output: &Output) -> Ended {
    let mut after = None;
    let mut rows = Vec::new();
    loop {
        let page = app.views().identity.users(after, 500)?;
        let Some(last) = page.last() else { break };
        after = Some(last.user);
        for user in page {
            let roles: Vec<_> = user.roles.iter().map(|role| role.name()).collect();
            if output.is_json() {
                output.json(&json!({
                    "user": user.user, "username": user.username, "roles": roles, "active": user.active, "tenant": user.tenant,
                }))?;
            } else {
                let state = if user.active { "active" } else { "disabled" };
                let tenant = user.tenant.to_string();
                rows.push(vec![user.user.to_string(), user.username, roles.join(","), state.to_owned(), tenant]);
            }
        }
    }
    if !output.is_json() {
        output.line(&table(&["user", "name", "roles", "state", "organisation"], rows))?;
    }
    Ok(Answer::Yes)
}
