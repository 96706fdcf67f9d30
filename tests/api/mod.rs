//! The HTTP API, from outside.

mod audit;
mod auth;
mod consent;
mod drafts;
mod edge;
mod hidden;
mod ledger;
mod limits;
mod patients;
mod policy;
mod projections;
mod records;
mod roles;
mod sessions;
mod strangers;
mod tenants;
mod timing;
