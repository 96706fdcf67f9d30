//! Wardbook, the application: HTTP API, configuration, and what ties the ledger, the keys, policy and the views together.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod clock;
pub mod config;
pub mod fhir;
pub mod passwords;
pub mod tokens;
