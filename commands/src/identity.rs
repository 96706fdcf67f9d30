//! Users, by what they are known, and their sessions.
//!
//! Everything that must not happen twice is decided here, on a user's own stream: a code, a recovery code or a passkey's
//! counter counts once, a refresh token is used once, and failures lock. What happens often within a session stands in a
//! stream of the session; a command that touches both writes to both or to none.

pub(crate) mod accounts;
mod externals;
mod factors;
mod failures;
mod logins;
mod means;
mod methods;
mod places;
mod sessions;
mod state;
#[cfg(test)]
mod tests;

pub use accounts::{Username, check_username};
pub(crate) use accounts::{disable, revoke};
pub use externals::Holder;
pub use factors::RESET_PAUSE;
pub use failures::{Failures, Lock};
pub use logins::{Begin, LoginRules};
pub use means::{CODE_TRIES_MAX, Means};
pub use methods::{
    CODE_PURPOSE, CONTACT_PURPOSE, CreateUser, IssueApiKey, PASSKEY_PURPOSE, PASSWORD_PURPOSE, PIN_PURPOSE,
    PasswordHash, RECOVERY_PURPOSE, SendCode, TOTP_PURPOSE,
};
pub use sessions::{Renewal, SessionState, Which};
pub use state::{Live, SESSION_MAX, State, User};
