//! Keys: who can be read, and who is forgotten.
//!
//! root key (in a [`RootKeyProvider`]) → organisation's key → patient's key (both wrapped, in the key store)
//! → one derived key for each field group and class. PHI is sealed with AES-256-SIV (RFC 5297), bound to organisation,
//! patient, stream, field and key version, so that a sealed value opens only where it was sealed.
//! Destroying a patient's key erases the person from ledger, views and backups (crypto-shredding).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod backup_key;
mod cache;
mod checkup;
#[cfg(test)]
mod damage_tests;
mod envelope;
mod error;
mod forms;
mod keys;
mod locked;
mod making;
mod material;
mod open;
mod outage;
pub mod providers;
mod reseal;
mod ring;
mod root;
mod rotation;
mod sealing;
mod secrets;
mod siv;
mod sounds;
mod store;
mod stream;
mod tenants;
#[cfg(test)]
mod tests;
mod tokens;
#[cfg(test)]
mod tokens_tests;
mod uses;

pub use backup_key::{BackupKey, BackupKeyError, PartDamaged, PartKey};
pub use cache::{CacheLimits, Clock, MonotonicClock};
pub use error::{KeyError, ObjectError, OpenError, SealError, SecretError, StoreError, TokenError};
pub use forms::{FORMS_VERSION, Forms, SearchValues};
pub use keys::{Keys, KeysConfig};
pub use locked::locked_memory;
pub use providers::file::RootKey;
pub use reseal::{ResealError, RetokenError};
pub use root::{RootError, RootKeyProvider, RootVersion};
pub use rotation::{Before, KeyUse, KeysStatus, RootStatus, VersionStatus};
pub use store::{Due, KeyDump, KeyState, Standing};
pub use stream::{OBJECT_CHUNK, OBJECT_FORM, ObjectId, ObjectKey, ObjectOpener, ObjectSealer, SEALED_CHUNK, Staging};
pub use tokens::{AnyOf, Matching, SearchTerms};
pub use uses::{CallerUses, KeyUses, TenantUses};
