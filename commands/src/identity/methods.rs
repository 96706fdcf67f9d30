//! How the commands are carried out.
//!
//! Logging in and out take no permit: what a password or a live session proves is known before policy can be asked.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use wardbook_events::identity::{StrangersCounted, stream, username_stream};
use wardbook_events::{Ciphertext, EventId, PatientId, Role, SessionId, TenantId, UserId};
use wardbook_keys::Keys;
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit};

use super::{Command, State, Username, check_username, decide};
use crate::authority::{Authority, own_context};
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::origin::Origin;

/// What a password's hash is sealed for; opening it takes the same words.
pub const PASSWORD_PURPOSE: &str = "password-hash";

/// An Argon2id hash in PHC form. Not printed: it is what a thief would guess against.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a hash that was made with Argon2id (IAM-02); `None` for anything else.
    #[must_use]
    pub fn new(phc: &str) -> Option<Self> {
        (phc.starts_with("$argon2id$") && phc.len() <= 512).then(|| Self(phc.to_owned()))
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Creates a user.
#[derive(Debug, Clone, Serialize)]
pub struct CreateUser {
    /// Name to log in with: 3 to 55 characters of `[a-z0-9._@-]`. Never a patient's own name: it stands in clear.
    pub username: String,
    /// At least one.
    pub roles: BTreeSet<Role>,
    /// Departments: 1 to 64 characters of `[a-z0-9-]` each.
    pub departments: Vec<String>,
    /// The chart that is about this user.
    pub patient: Option<PatientId>,
    /// The password's hash, if one is set at once.
    pub password: Option<PasswordHash>,
}

fn seal(keys: &Keys, tenant: TenantId, user: UserId, hash: &PasswordHash) -> Result<Ciphertext, CommandError> {
    Ok(keys.seal_secret(tenant, &stream(user), PASSWORD_PURPOSE, hash.0.as_bytes())?)
}

impl Commands {
    /// Creates a user under the id [`crate::Ids::user`] of the origin. Permit: `ManageUsers`.
    /// The name is claimed in the same append, so of two users who want it at most one gets it.
    ///
    /// # Errors
    /// [`crate::Rejection::UsernameTaken`] among others.
    pub async fn create_user(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: CreateUser,
    ) -> Result<Done<UserId>, CommandError> {
        let context = Authority::new(permit, origin, |action| action == Action::ManageUsers)?.context();
        check_username(&command.username)?; // before it becomes part of a stream's name
        let user = origin.ids(context.tenant).user();
        // The salt makes each hash of a password another one: a retry is known by everything else.
        let CreateUser { username, roles, departments, patient, password } = &command;
        let bytes = origin.known_by("create-user", &(username, roles, departments, patient, password.is_some()))?;
        self.run(Task::new(context, origin, stream(user), bytes, user), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            let claim = desk.load::<Username>(&username_stream(&command.username))?;
            let hash = command.password.as_ref();
            let password = hash.map(|hash| seal(desk.keys, context.tenant, user, hash)).transpose()?;
            let CreateUser { username, roles, departments, patient, .. } = command.clone();
            let create = Command::Create { username, roles, departments, patient, password };
            Ok(decide(&state, &claim, user, create, &context)?)
        })
        .await
    }

    /// Sets a password. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn set_password(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        hash: PasswordHash,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        let bytes = origin.known_by("set-password", &user)?;
        self.run(Task::new(context, origin, stream(user), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            let hash = seal(desk.keys, context.tenant, user, &hash)?;
            Ok(decide(&state, &Username::default(), user, Command::SetPassword(hash), &context)?)
        })
        .await
    }

    /// Grants a role. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn grant_role(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        role: Role,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        self.change_user(context, origin, user, ("grant-role", Some(role)), move || Command::Grant(role)).await
    }

    /// Takes a role away; never the last one. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn revoke_role(
        &self,
        permit: &Permit,
        origin: &Origin,
        user: UserId,
        role: Role,
    ) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        self.change_user(context, origin, user, ("revoke-role", Some(role)), move || Command::Revoke(role)).await
    }

    /// Lets a user log in no more; all sessions end. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn disable_user(&self, permit: &Permit, origin: &Origin, user: UserId) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        self.change_user(context, origin, user, ("disable-user", None), || Command::Disable).await
    }

    /// Lets a user log in again. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn enable_user(&self, permit: &Permit, origin: &Origin, user: UserId) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        self.change_user(context, origin, user, ("enable-user", None), || Command::Enable).await
    }

    /// The password was right: a session begins that ends at `expires_at` at the latest.
    ///
    /// # Errors
    /// [`crate::Rejection::UserDisabled`] among others.
    pub async fn log_in(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
        expires_at: Timestamp,
    ) -> Result<Done<SessionId>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("log-in", &(user, session))?;
        let task = Task::new(context, origin, stream(user), bytes, session);
        self.run(task, move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            Ok(decide(&state, &Username::default(), user, Command::LogIn { session, expires_at }, &context)?)
        })
        .await
    }

    /// The password of a known user was wrong.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn fail_login(&self, tenant: TenantId, origin: &Origin, user: UserId) -> Result<Done<()>, CommandError> {
        self.change_user(own_context(tenant, origin), origin, user, ("fail-login", None), || Command::FailLogin).await
    }

    /// A session ends; nothing happens if it has ended already.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn log_out(
        &self,
        tenant: TenantId,
        origin: &Origin,
        user: UserId,
        session: SessionId,
    ) -> Result<Done<()>, CommandError> {
        let context = own_context(tenant, origin);
        let bytes = origin.known_by("log-out", &(user, session))?;
        self.run(Task::new(context, origin, stream(user), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            Ok(decide(&state, &Username::default(), user, Command::LogOut(session), &context)?)
        })
        .await
    }

    /// Tells how often strangers tried in one minute. `id` is the event's own.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn count_strangers(
        &self,
        tenant: TenantId,
        origin: &Origin,
        id: EventId,
        counted: StrangersCounted,
    ) -> Result<Receipt, CommandError> {
        self.append_one(counted.into(), id, &own_context(tenant, origin), origin).await
    }

    async fn change_user(
        &self,
        context: Context,
        origin: &Origin,
        user: UserId,
        (name, role): (&str, Option<Role>),
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Result<Done<()>, CommandError> {
        let bytes = origin.known_by(name, &(user, role))?;
        self.run(Task::new(context, origin, stream(user), bytes, ()), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            Ok(decide(&state, &Username::default(), user, command(), &context)?)
        })
        .await
    }
}

fn managing(permit: &Permit, origin: &Origin) -> Result<Context, CommandError> {
    Ok(Authority::new(permit, origin, |action| action == Action::ManageUsers)?.context())
}
