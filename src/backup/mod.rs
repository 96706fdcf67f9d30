//! Backups and restores (OPS-04, OPS-05, OPS-06; 45 CFR 164.308(a)(7)(ii)(A) and (B)).
//!
//! A backup is a chain: a full one holds the ledger's journal from the first event on, an incremental one what came since. What is
//! sealed for patients stays sealed, and everything is sealed once more under the backup key. The manifest comes last, is
//! signed, and carries the checkpoint that the whole chain is held against. Views are not backed up: they come back
//! from the ledger. Keys are not in these backups, which live for years: they have one current backup of their own
//! (`key_backups`), so that an erasure reaches every copy.
//!
//! The objects of documents are sealed under keys of their own and never change: all backups share them (`objects`).
//!
//! ```text
//! backups/ID/plan                     while it is being made
//! backups/ID/ledger-POSITION          frames of the journal, sealed
//! backups/ID/manifest                 last
//! documents/XX/NAME                   the object of a document, as it is in the store
//! keys/ID                             the one backup of the keys
//! ```

mod catalog;
mod chain;
mod create;
mod drill;
mod forget;
mod jobs;
pub mod key_backups;
mod manifest;
mod notes;
mod objects;
mod place;
mod restore;
mod run;
pub mod schedule;
mod shares;
mod tiers;
mod verify;

pub use catalog::{Catalog, ChainError, Fault, Found, Setup, SetupError};
pub use create::{Asked, CreateError, Documents, Made, Source, create};
pub use drill::drill;
pub use forget::{ForgetError, forget_objects_of};
pub use jobs::{Job, Jobs};
pub use manifest::{Manifest, ManifestError, Objects, Part, PartKind};
pub use notes::{leave, tell_all};
pub use objects::{Known, ObjectFault};
pub use place::{Place, PlaceError, PlaceFault};
pub use restore::{DocumentsFound, Reach, Restore, RestoreError, Restored};
pub use run::{Ran, RunError, full_after, place_of, run, verify_and_tell};
pub use shares::{Recovered, Share, SharesError, recover, split};
pub use tiers::{Dated, removable};
pub use verify::{Finding, Verified, verify};
