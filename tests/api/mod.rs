//! The HTTP API, from outside.

mod audit;
mod auth;
mod consent;
mod drafts;
mod edge;
mod external;
mod factors;
mod hidden;
mod ledger;
mod limits;
mod passwords;
mod patients;
mod policy;
mod projections;
mod records;
mod roles;
mod services;
mod sessions;
mod strangers;
mod tenants;
mod timing;
