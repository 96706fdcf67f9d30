//! Accounts: created, enabled, given roles.

use std::collections::BTreeSet;

use serde::Serialize;
use wardbook_events::identity::{AccountKind, stream, username_stream};
use wardbook_events::{PatientId, Role, UserId};
use wardbook_policy::{Action, Permit};

use super::{PASSWORD_PURPOSE, PasswordHash, managing, seal};
use crate::authority::Authority;
use crate::context::Context;
use crate::error::CommandError;
use crate::executor::{Commands, Done, Task};
use crate::identity::accounts::{self, Create, Username, check_username};
use crate::identity::state::State;
use crate::origin::Origin;

/// Creates a user.
#[derive(Debug, Clone, Serialize)]
pub struct CreateUser {
    /// A person or a program. A program has the role for programs, no password and no chart.
    pub kind: AccountKind,
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

impl Commands {
    /// Creates a user under the id [`crate::Ids::user`] of the origin. Permit: `ManageUsers`; for a program
    /// `ManageServices` as well. The name is claimed in the same append, so of two users who want it at most one gets it.
    ///
    /// # Errors
    /// [`crate::Rejection::UsernameTaken`] among others.
    pub async fn create_user(
        &self,
        permit: &Permit,
        origin: &Origin,
        command: CreateUser,
    ) -> Result<Done<UserId>, CommandError> {
        let is_service = command.kind == AccountKind::Service;
        let allows = |action| action == Action::ManageUsers || is_service && action == Action::ManageServices;
        let context = Authority::new(permit, origin, allows)?.context();
        check_username(&command.username)?; // before it becomes part of a stream's name
        let user = origin.ids(context.tenant).user();
        // The salt makes each hash of a password another one: a retry is known by everything else.
        let CreateUser { kind, username, roles, departments, patient, password } = &command;
        let bytes =
            origin.known_by("create-user", &(kind, username, roles, departments, patient, password.is_some()))?;
        self.run(Task::new(context, origin, stream(user), bytes, user), move |desk| {
            let state = desk.load::<State>(&stream(user))?;
            let claim = desk.load::<Username>(&username_stream(&command.username))?;
            let hash = command.password.as_ref();
            let seal = |hash: &PasswordHash| seal(desk.keys, context.tenant, user, PASSWORD_PURPOSE, hash.bytes());
            let password = hash.map(seal).transpose()?;
            let CreateUser { kind, username, roles, departments, patient, .. } = command.clone();
            let create = Create { kind, username, roles, departments, patient, password };
            Ok(accounts::create(&state, &claim, user, create, &context)?)
        })
        .await
    }

    /// Grants a role. Permit: `GrantRoles` or `ManageUsers`.
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
        let context = granting(permit, origin)?;
        let bytes = origin.known_by("grant-role", &(user, role))?;
        self.on_user(context, origin, user, bytes, move |found| Ok(accounts::grant(found.was()?, user, role))).await
    }

    /// Takes a role away, never the last one; all sessions end. Permit: `GrantRoles` or `ManageUsers`.
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
        let context = granting(permit, origin)?;
        let bytes = origin.known_by("revoke-role", &(user, role))?;
        self.on_user(context, origin, user, bytes, move |found| {
            Ok(accounts::revoke(found.was()?, user, role, &context)?)
        })
        .await
    }

    /// Lets a user log in no more; all sessions end. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn disable_user(&self, permit: &Permit, origin: &Origin, user: UserId) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        let bytes = origin.known_by("disable-user", &user)?;
        self.on_user(context, origin, user, bytes, move |found| Ok(accounts::disable(found.was()?, user))).await
    }

    /// Lets a user log in again. Permit: `ManageUsers`.
    ///
    /// # Errors
    /// See [`CommandError`].
    pub async fn enable_user(&self, permit: &Permit, origin: &Origin, user: UserId) -> Result<Done<()>, CommandError> {
        let context = managing(permit, origin)?;
        let bytes = origin.known_by("enable-user", &user)?;
        self.on_user(context, origin, user, bytes, move |found| Ok(accounts::enable(found.was()?, user))).await
    }
}

fn granting(permit: &Permit, origin: &Origin) -> Result<Context, CommandError> {
    let allows = |action| matches!(action, Action::GrantRoles | Action::ManageUsers);
    Ok(Authority::new(permit, origin, allows)?.context())
}
