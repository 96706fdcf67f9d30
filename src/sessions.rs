//! What is kept in memory of sessions and logins beside the views: little, bounded, and nothing that a restart may not lose.

mod ended;
mod failed;
mod names;
pub mod secrets;

pub use ended::JustEnded;
pub use failed::{Counted, FailedLogins};
pub use names::UnknownNames;
