//! The write side: a command is checked against the state that a stream's events add up to, and becomes events.
//!
//! Per area: `State` with [`Evolve`], commands, and a pure `decide`. The executor loads, decides, appends with the
//! expected version, and tries again when somebody was faster.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod access_reviews;
pub mod alerts;
pub mod break_glass;
pub mod care_teams;
pub mod compromise;
pub mod consent;
pub mod documents;
pub mod elevations;
pub mod erasure;
pub mod identity;
pub mod patients;
pub mod records;

mod authority;
mod context;
mod error;
mod executor;
mod idempotency;
mod memory;
mod origin;
mod rejection;
mod route;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod tests;

pub use authority::UnfitPermit;
pub use context::{Context, Evolve};
pub use error::CommandError;
pub use executor::{Commands, Done};
pub use idempotency::{BadKey, IdempotencyKey, Ids};
pub use origin::Origin;
pub use rejection::Rejection;
pub use route::{Route, route};
