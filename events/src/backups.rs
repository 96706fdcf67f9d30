//! Backups of the system: made, checked, failed, removed, tried out, put back; and the key that seals them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::BackupId;

/// The stream of such facts: a backup is of the whole server, whatever organisations it serves.
pub const STREAM: &str = "backups";

/// Whether a backup stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupKind {
    /// Everything from the first event on.
    Full,
    /// What came since the backup that it builds on.
    Incremental,
}

/// A backup is complete at these places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupCreated {
    /// This backup.
    pub backup: BackupId,
    /// Whether it stands alone.
    pub kind: BackupKind,
    /// The one that it builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BackupId>,
    /// The first position in it.
    pub from: u64,
    /// The position behind the last.
    pub to: u64,
    /// Root of the tree of `to` events, hex: what its checkpoint signs.
    pub root: String,
    /// The backup key that seals it.
    pub key: String,
    /// SHA-256 of its manifest, hex.
    pub manifest: String,
    /// How many parts it has.
    pub parts: u32,
    /// Their bytes, as they are kept.
    pub bytes: u64,
    /// Documents that were added between `from` and `to`; their objects are at the places, those of erased patients left out.
    pub documents: u64,
    /// Bytes of these objects, sealed as they are in the store.
    pub document_bytes: u64,
    /// Objects, of whatever backup before, that were nowhere to be had as they were.
    pub documents_missing: u64,
    /// Where it is complete.
    pub places: Vec<String>,
}

/// A backup was read and everything in it held against its checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupVerified {
    /// Which one.
    pub backup: BackupId,
    /// Where it was read.
    pub place: String,
    /// Events verified, those of the backups it builds on included.
    pub events: u64,
    /// Root of the tree over them, hex.
    pub root: String,
    /// Bytes read.
    pub bytes: u64,
    /// Objects of documents that are there with the hash that the ledger tells; those of erased patients are not there.
    pub documents: u64,
}

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupStep {
    /// Making a backup.
    Create,
    /// Reading one and holding it against its checkpoint.
    Verify,
    /// Renewing the backup of the keys.
    Keys,
    /// Removing what need not be kept.
    Remove,
    /// Trying out a restore.
    Drill,
    /// Nothing: the time for it went by.
    Late,
}

/// A backup failed, does not verify, or is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupsFailed {
    /// What was being done.
    pub step: BackupStep,
    /// Which backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
    /// Where, if it was one place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What went wrong, in words of the program.
    pub cause: String,
}

/// Backups were removed because nobody need keep them any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupsRemoved {
    /// Which.
    pub backups: Vec<BackupId>,
    /// From where.
    pub places: Vec<String>,
}

/// A restore was tried out: the newest backup of a place came back to life beside the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillFinished {
    /// Which backup.
    pub backup: BackupId,
    /// From where.
    pub place: String,
    /// Whether all of it came back as it was.
    pub passed: bool,
    /// Events that came back.
    pub events: u64,
    /// Patients in the views that came back.
    pub patients: u64,
    /// Views whose state root was the one attested in the ledger.
    pub views: u32,
    /// Patients whose keys were not in the backup of the keys, though nobody had erased them.
    pub keys_missing: u64,
    /// Objects of documents that came back.
    pub documents: u64,
    /// Objects that did not, though nobody had erased them.
    pub documents_missing: u64,
    /// How long it took until the system could have served (RTO), in milliseconds.
    pub recovery_ms: u64,
    /// The same by step.
    pub steps_ms: BTreeMap<String, u64>,
    /// What would have been lost (RPO): from the backup's last event until the drill, in seconds; 0 if nothing.
    pub lost_s: u64,
    /// Events that would have been lost.
    pub lost_events: u64,
}

/// How far a restore went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestoredTo {
    /// All that the backup has.
    End,
    /// Up to a position.
    Position,
    /// Up to an instant.
    Time,
}

/// This ledger came out of a backup. Told at its first start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupsRestored {
    /// Which backup.
    pub backup: BackupId,
    /// From where.
    pub place: String,
    /// How far it was meant to go.
    pub reach: RestoredTo,
    /// Events that the backup has.
    pub from: u64,
    /// Events that were put back.
    pub to: u64,
    /// Events of the newest checkpoint that was known to be published.
    pub published: u64,
    /// Patients whose keys were not in the backup of the keys, though nobody had erased them.
    pub keys_missing: u64,
    /// Patients who stay erased.
    pub erased: u64,
    /// Objects of documents that came back.
    pub documents: u64,
    /// Objects that did not, though nobody had erased them.
    pub documents_missing: u64,
}

/// The backup key was shared out: so many of the shares together give it back (Shamir).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysShared {
    /// The backup key.
    pub key: String,
    /// This set of shares.
    pub set: String,
    /// How many there are.
    pub shares: u8,
    /// How many are needed.
    pub threshold: u8,
}

/// The backup key was put together from shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysRecovered {
    /// The backup key.
    pub key: String,
    /// The set of shares.
    pub set: String,
    /// Numbers of the shares that were given.
    pub given: Vec<u8>,
}

/// The one current backup of the keys is at these places, and no older one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyBackupRefreshed {
    /// The backup key that seals it.
    pub key: String,
    /// SHA-256 of what is kept, hex.
    pub digest: String,
    /// Rows of the key store in it.
    pub rows: u64,
    /// Where it is.
    pub places: Vec<String>,
}

impl BackupEvent {
    /// The JSON of the event, for a note that is told later.
    ///
    /// # Errors
    /// Never: our types have a JSON form.
    pub fn note(&self) -> Result<String, serde_json::Error> {
        self.to_json().map(|json| String::from_utf8_lossy(&json).into_owned())
    }
}

/// Before version 2 backups had no documents.
fn upcast(kind: &str, from: u16, mut body: Value) -> Option<Value> {
    let names: &[&str] = match (kind, from) {
        ("backups.created", 1) => &["documents", "document_bytes", "documents_missing"],
        ("backups.verified", 1) => &["documents"],
        ("backups.drill-finished" | "backups.restored", 1) => &["documents", "documents_missing"],
        _ => return None,
    };
    let members = body.as_object_mut()?;
    for name in names {
        members.insert((*name).to_owned(), Value::from(0));
    }
    Some(body)
}

area_events! {
    /// Events of backups.
    BackupEvent in "backups", upcast upcast {
        "created" v 2 => Created(BackupCreated),
        "verified" v 2 => Verified(BackupVerified),
        "failed" v 1 => Failed(BackupsFailed),
        "removed" v 1 => Removed(BackupsRemoved),
        "drill-finished" v 2 => DrillFinished(DrillFinished),
        "restored" v 2 => Restored(BackupsRestored),
        "keys-shared" v 1 => KeysShared(KeysShared),
        "keys-recovered" v 1 => KeysRecovered(KeysRecovered),
        "key-backup-refreshed" v 1 => KeyBackupRefreshed(KeyBackupRefreshed),
    }
}
