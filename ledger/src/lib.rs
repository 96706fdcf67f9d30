//! The append-only log: exact bytes, chained and signed, committed to by a public Merkle tree.
//!
//! This crate knows nothing of healthcare. A payload is opaque bytes; what it says is the business of the caller.
//! The formats (entries, tree, notes, checkpoints, tiles, proofs) are pure code and stand apart from the stores,
//! so that whoever distrusts the writer can verify with [`verify`] alone.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod bundle;
pub mod checkpoint;
pub mod config;
pub mod entry;
pub mod ids;
pub mod note;
pub mod proof;
pub mod signer;
pub mod store;
pub mod tile;
pub mod tree;
pub mod verify;

mod appender;
mod codec;
mod copy;
mod ed25519;
mod follower;
mod heads;
mod keeper;
mod ledger;
mod reader;
mod receipt;
mod recover;
mod subscription;
#[cfg(test)]
mod testlog;

pub use appender::AppendError;
pub use config::{IndexKind, KeySource, LedgerConfig};
pub use copy::{CopyError, Frame, Frames, JournalWriter, frames_in, keep_published};
pub use entry::{Draft, Entry, ExpectedVersion, Payload, SubjectLink};
pub use ids::{Digest, EventId, EventType, KeyId, Micros, Position, StreamId, SubjectId};
pub use keeper::PublishError;
pub use ledger::{Head, Ledger, ProveError, RotateError};
pub use reader::{LogReader, Scan};
pub use receipt::Receipt;
pub use recover::{OpenError, OpenReport, Progress, TailCut};
pub use signer::{CheckpointSigner, EventSigner, KeyRing};
pub use store::{Direction, ReadError};
pub use subscription::{Subscription, SubscriptionError};
