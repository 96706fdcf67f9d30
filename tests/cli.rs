//! The program as a person or a script uses it.

mod backup;
mod bundle;
mod history;
mod import;
mod keys;
mod metrics;
mod policy;
mod rebuild;
mod rollback;
mod scene;
mod usage;
mod verify;
