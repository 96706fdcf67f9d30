//! The read side: views over the log that can be thrown away and built again.
//!
//! Each view follows the log from a position of its own, holds only sealed PHI, index tokens and ids, and has a
//! deterministic state root. There is no write path to the ledger and no plaintext in this crate.
//!
//! Adding a view: a file with a type that implements [`View`], queries on `Projection<ThatType>`, a field in [`Views`]
//! and a variant of [`ViewName`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod access_reviews;
pub mod alerts;
pub mod audit;
pub mod backups;
pub mod break_glass;
pub mod care_teams;
pub mod consent;
pub mod documents;
pub mod elevations;
pub mod erasure;
mod error;
mod facts;
mod generation;
mod guard;
pub mod identity;
pub mod keys;
mod page;
pub mod patients;
mod projection;
mod rebuild;
pub mod records;
mod root;
mod row_key;
mod seal;
mod tx;
mod views;

#[cfg(test)]
mod area_tests;
#[cfg(test)]
mod renewal_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use error::ViewError;
pub use facts::{KnownPatient, KnownUser};
pub use generation::Standing;
pub use page::Page;
pub use projection::{Projection, Stretch, View};
pub use rebuild::{Rebuild, RebuildError, Swapped};
pub use root::Root;
pub use tx::Tx;
pub use views::{Ailing, ViewName, Views, ViewsConfig};
