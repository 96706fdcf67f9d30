//! The program as a person or a script uses it.

mod backup;
mod bundle;
mod history;
mod import;
mod keys;
mod policy;
mod rebuild;
mod rollback;
mod scene;
mod usage;
mod verify;
