//! Wardbook, the application: HTTP API, configuration, and what ties the ledger, the keys, policy and the views together.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod alarms;
pub mod api;
pub mod app;
pub mod asker;
pub mod audit;
pub mod backup;
pub mod challenge;
pub mod chart;
pub mod clock;
pub mod config;
pub mod disclosure;
pub mod emergencies;
pub mod evidence;
pub mod fhir;
pub mod follower;
pub mod history;
pub mod hours;
pub mod import;
pub mod limits;
pub mod login;
pub mod notify;
pub mod operator;
pub mod outgoing;
pub mod panels;
pub mod passwords;
pub mod proofs;
pub mod rebuild;
pub mod recorded;
pub mod sessions;
pub mod stages;
pub mod strangers;
pub mod tls;
pub mod tokens;
pub mod trail;
pub mod why;
