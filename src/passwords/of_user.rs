//! The passwords of one user, sealed in the ledger: the present one and those before.

use secrecy::SecretString;
use wardbook_commands::identity::{PASSWORD_PURPOSE, PasswordHash};
use wardbook_events::identity;
use wardbook_keys::SecretError;
use wardbook_projections::identity::User;

use super::PasswordError;
use crate::app::App;

/// Why there is no new password.
#[derive(Debug, thiserror::Error)]
pub enum NewPasswordError {
    /// It is not good enough, or could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// One before could not be opened.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// Hashes a new password of a user, if it is good enough and none of the last ones.
///
/// # Errors
/// [`PasswordError::Weak`] if it is not.
pub async fn new_password(app: &App, user: &User, password: SecretString) -> Result<PasswordHash, NewPasswordError> {
    let passwords = app.passwords();
    // The rules first: they cost less than the last passwords' hashes.
    let phc = passwords.hash(password.clone(), &user.username).await?;
    passwords.refuse_used(&password, last_hashes(app, user)?).await?;
    Ok(PasswordHash::new(&phc).ok_or(PasswordError::Failed)?)
}

/// Hashes of the user's passwords in PHC form, newest first.
fn last_hashes(app: &App, user: &User) -> Result<Vec<SecretString>, SecretError> {
    let stream = identity::stream(user.user);
    let open = |sealed| app.keys().open_secret(user.tenant, &stream, PASSWORD_PURPOSE, sealed);
    let opened = user.passwords.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // PHC strings are ASCII; anything else matches no password.
    Ok(opened.iter().filter_map(|phc| std::str::from_utf8(phc).ok()).map(SecretString::from).collect())
}
