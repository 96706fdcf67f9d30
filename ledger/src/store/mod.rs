//! Where a ledger keeps its events.

pub mod file;
pub mod memory;

pub(crate) mod history;
pub(crate) mod index;
pub(crate) mod journal;
pub(crate) mod manifest;
mod merge;
pub(crate) mod pages;
pub(crate) mod run;
pub(crate) mod run_writer;
pub(crate) mod segment;
pub(crate) mod tiles;

pub use index::Direction;
pub use journal::ReadError;
