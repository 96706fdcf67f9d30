//! Commands over a real ledger, real keys and the shipped policies.

mod concurrency;
mod faults;
mod house;
mod identity;
mod logins;
mod patients;
mod records;
mod renewal;
mod retries;
