//! What a ledger promises, tried from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod damage;
mod faults;
mod helpers;
mod life;
mod model;
mod power;
mod rotation;
mod sled_damage;
mod subscribe;
