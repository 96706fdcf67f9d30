//! The integration tests: one binary, one module for each subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod api;
mod architecture;
mod browser;
mod cli;
mod crash;
mod helpers;
mod matrix;
mod parsers;
mod program;
#[cfg(feature = "s3")]
mod s3;
mod scan;
mod tls;
mod tour;
