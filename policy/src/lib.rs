//! Who may do what: a pure decision over facts that the caller brings.
//!
//! [`Policies`] holds the Cedar policies of `config/policies`, checked against their schema. [`Policies::read`] and
//! [`Policies::act`] answer with a [`Permit`], which nothing outside this crate can make, or with a [`Denial`].
//! No I/O after loading, no clock and no randomness: `now` and the id of the access event are arguments ([`Ask`]).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod action;
mod cache;
mod entities;
mod explain;
mod facts;
mod load;
pub mod matrix;

mod obligation;
mod permit;
mod policies;
mod probe;
mod question;

pub use action::Action;
pub use explain::{Considered, Explanation, Rule};
pub use facts::{Ask, Emergency, Member, PatientFacts, Principal, RecordFacts, Target, WallClock};
pub use load::PolicyError;
pub use obligation::{Obligation, UnknownObligation};
pub use permit::{Denial, Permit};
pub use policies::Policies;
