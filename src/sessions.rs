//! What is kept in memory of sessions and logins beside the views: little, bounded, and nothing that a restart may not lose.

mod ended;
pub mod ending;
mod failed;
mod in_use;
mod names;
pub mod secrets;
pub mod standing;
mod sweep;

pub use ended::JustEnded;
pub use failed::{Counted, FailedLogins};
pub use in_use::{InUse, Used};
pub use names::UnknownNames;
pub use sweep::{Swept, sweep};
