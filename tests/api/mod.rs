//! The HTTP API, from outside.

mod access_reviews;
mod alerts;
mod audit;
mod auth;
mod break_glass;
mod consent;
mod drafts;
mod edge;
mod elevations;
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
mod search;
mod services;
mod sessions;
mod strangers;
mod tenants;
mod timing;
