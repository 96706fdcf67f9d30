//! Users by id, name and account elsewhere, by what they are known, and their sessions.

mod account;
mod apply;
mod codes;
mod logins;
mod queries;
mod session;
#[cfg(test)]
mod tests;

pub use account::{ApiKey, Code, External, Lock, Passkey, Reset, User};
pub use apply::IdentityView;
pub use session::Session;
