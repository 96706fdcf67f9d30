//! The HTTP API, from outside.

mod auth;
mod patients;
