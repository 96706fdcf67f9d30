//! The append-only log: exact bytes, chained and signed, committed to by a public Merkle tree.
//!
//! This crate knows nothing of healthcare. A payload is opaque bytes; what it says is the business of the caller.
//! The formats (entries, tree, notes, checkpoints, tiles, proofs) are pure code and stand apart from the stores,
//! so that whoever distrusts the writer can verify with [`verify`] alone.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod bundle;
pub mod checkpoint;
pub mod entry;
pub mod ids;
pub mod note;
pub mod proof;
pub mod signer;
pub mod tile;
pub mod tree;
pub mod verify;

mod codec;
mod ed25519;
#[cfg(test)]
mod testlog;

pub use entry::{Draft, Entry, ExpectedVersion, Payload, SubjectLink};
pub use ids::{Digest, EventId, EventType, KeyId, Micros, Position, StreamId, SubjectId};
pub use signer::{CheckpointSigner, EventSigner, KeyRing};
