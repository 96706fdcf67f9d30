//! What a backup says of itself: what it holds, what it builds on, and the checkpoint that proves it. Written last and signed,
//! so that there is no manifest of a backup that is not whole.
//!
//! ```text
//! line 1    JSON, the bytes that are signed
//! line 2    public half of the backup key and Ed25519 signature, hex
//! ```

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::BackupId;
use wardbook_events::backups::BackupKind;
use wardbook_keys::BackupKey;
use wardbook_ledger::KeyRing;
use wardbook_ledger::checkpoint::SignedCheckpoint;

use super::objects::Known;

/// The second has the objects of documents; a backup of the first knows of none.
const FORMAT: u32 = 2;
/// Stands before what is signed, so that the signature is good for nothing else.
const SIGNED_AS: &[u8] = b"wardbook backup manifest v1\n";

/// Why a manifest cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not as it was written.
    #[error("the manifest is damaged")]
    Damaged,
    /// Its signature does not fit.
    #[error("the manifest is not signed by the key that it names: it was changed")]
    Signature,
    /// Another key signed it.
    #[error("the manifest is signed by the backup key {0}: give the file of that key")]
    OtherKey(String),
    /// Another backup's manifest stands in its place.
    #[error("the manifest is that of the backup {0}: it was moved")]
    Moved(BackupId),
    /// A newer program wrote it.
    #[error("the manifest has format {0}: written by a newer version of wardbook")]
    Format(u32),
}

/// What a part holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartKind {
    /// Frames of the ledger's journal.
    Ledger,
}

/// One object of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name below the backup.
    pub name: String,
    /// What it holds.
    pub kind: PartKind,
    /// The first position in it.
    pub first: u64,
    /// How many events.
    pub events: u64,
    /// Its bytes, sealed.
    pub bytes: u64,
    /// SHA-256 of these, hex.
    pub sha256: String,
}

/// The objects of documents of which a backup's events tell. Each is named, with its hash, by its event in the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// How many.
    pub count: u64,
    /// Their bytes, sealed as they are in the store.
    pub bytes: u64,
    /// Those of this backup, or of one that it builds on, that were nowhere to be had as they were. The next backup looks for
    /// them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Known>,
}

/// The backup that an incremental one builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Which one.
    pub backup: BackupId,
    /// SHA-256 of its manifest, hex.
    pub manifest: String,
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Of this form.
    pub format: u32,
    /// This backup.
    pub backup: BackupId,
    /// Whether it stands alone.
    pub kind: BackupKind,
    /// What it builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// When it was begun.
    pub made_at: Timestamp,
    /// Name of the log.
    pub origin: String,
    /// The first position in it.
    pub from: u64,
    /// The position behind the last.
    pub to: u64,
    /// When its last event was recorded.
    pub newest_at: Timestamp,
    /// The checkpoint of `to` events, a signed note.
    pub checkpoint: String,
    /// Every public key of the ledger.
    pub public_keys: String,
    /// The backup key.
    pub key: String,
    /// Its objects, in order.
    pub parts: Vec<Part>,
    /// The objects of documents; nothing in a plan, and in a backup of the first format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Objects>,
}

impl Manifest {
    /// A manifest of today's form without parts: the plan of a backup.
    #[expect(clippy::too_many_arguments, reason = "each is a line of the manifest")]
    #[must_use]
    pub fn plan(
        backup: BackupId,
        base: Option<Base>,
        made_at: Timestamp,
        from: u64,
        newest_at: Timestamp,
        checkpoint: &SignedCheckpoint,
        keys: &KeyRing,
        key: &BackupKey,
    ) -> Self {
        let covered = checkpoint.unverified();
        Self {
            format: FORMAT,
            backup,
            kind: if base.is_some() { BackupKind::Incremental } else { BackupKind::Full },
            base,
            made_at,
            origin: covered.origin.clone(),
            from,
            to: covered.size,
            newest_at,
            checkpoint: checkpoint.to_string(),
            public_keys: keys.to_string(),
            key: key.id().to_owned(),
            parts: Vec::new(),
            documents: None,
        }
    }

    /// Bytes of all parts.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// The checkpoint and the keys that it is checked with.
    ///
    /// # Errors
    /// If they are malformed, not of this size, or do not fit together.
    pub fn proof(&self) -> Result<(SignedCheckpoint, KeyRing), ManifestError> {
        let checkpoint = SignedCheckpoint::parse(&self.checkpoint).map_err(|_| ManifestError::Damaged)?;
        let keys = KeyRing::parse(&self.public_keys).map_err(|_| ManifestError::Damaged)?;
        let covered = checkpoint.verify(keys.checkpoint_keys()).map_err(|_| ManifestError::Signature)?;
        match covered.size == self.to && covered.origin == self.origin {
            true => Ok((checkpoint, keys)),
            false => Err(ManifestError::Damaged),
        }
    }

    /// The text of the object.
    ///
    /// # Errors
    /// Never: our types have a JSON form.
    pub fn signed(&self, key: &BackupKey) -> Result<String, ManifestError> {
        let json = serde_json::to_string(self).map_err(|_| ManifestError::Damaged)?;
        let signature = key.sign(&[SIGNED_AS, json.as_bytes()].concat());
        Ok(format!("{json}\n{} {}\n", hex::encode(key.public()), hex::encode(signature)))
    }

    /// Reads the object of a backup and checks everything that can be checked without its parts.
    ///
    /// # Errors
    /// Why it cannot be believed.
    pub fn read(text: &[u8], backup: BackupId, key: &BackupKey) -> Result<Self, ManifestError> {
        let damaged = || ManifestError::Damaged;
        let text = std::str::from_utf8(text).map_err(|_| damaged())?;
        let (json, seal) = text.strip_suffix('\n').and_then(|text| text.split_once('\n')).ok_or_else(damaged)?;
        let (public, signature) = seal.split_once(' ').ok_or_else(damaged)?;
        let lower = |hex: &str| !hex.bytes().any(|byte| byte.is_ascii_uppercase());
        if !lower(seal) {
            return Err(damaged());
        }
        let (public, signature) =
            (hex::decode(public).map_err(|_| damaged())?, hex::decode(signature).map_err(|_| damaged())?);
        if !BackupKey::has_signed(&public, &[SIGNED_AS, json.as_bytes()].concat(), &signature) {
            return Err(ManifestError::Signature);
        }
        if BackupKey::id_of(&public) != key.id() {
            return Err(ManifestError::OtherKey(BackupKey::id_of(&public)));
        }
        // Only now is it worth reading.
        let form: Form = serde_json::from_str(json).map_err(|_| damaged())?;
        if form.format > FORMAT {
            return Err(ManifestError::Format(form.format));
        }
        let manifest: Self = serde_json::from_str(json).map_err(|_| damaged())?;
        if manifest.backup != backup {
            return Err(ManifestError::Moved(manifest.backup));
        }
        Ok(manifest)
    }
}

/// As much of a manifest as every form has.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

/// SHA-256, hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardbook_ledger::Ledger;

    fn manifest(key: &BackupKey) -> Manifest {
        let ledger = Ledger::in_memory("ward.example/ledger").unwrap();
        let (checkpoint, at) = (ledger.publish().unwrap(), Timestamp::UNIX_EPOCH);
        let mut made = Manifest::plan(BackupId::from_bytes([1; 16]), None, at, 0, at, &checkpoint, &ledger.keys(), key);
        let part = Part {
            name: "ledger-0".into(),
            kind: PartKind::Ledger,
            first: 0,
            events: 1,
            bytes: 9,
            sha256: sha256(b"x"),
        };
        made.parts.push(part);
        made
    }

    #[test]
    fn a_manifest_reads_back_and_no_bit_of_it_can_change() {
        let key = BackupKey::from_bytes(&[7; 32]).unwrap();
        let made = manifest(&key);
        let text = made.signed(&key).unwrap().into_bytes();
        assert_eq!(Manifest::read(&text, made.backup, &key).unwrap(), made);
        assert!(made.proof().is_ok());
        for bit in (0..text.len() * 8).step_by(7) {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::read(&flipped, made.backup, &key).is_err(), "bit {bit}");
        }
        for length in (0..text.len()).step_by(13) {
            assert!(Manifest::read(&text[..length], made.backup, &key).is_err(), "length {length}");
        }
    }

    #[test]
    fn another_key_and_another_backup_are_named() {
        let (key, other) = (BackupKey::from_bytes(&[7; 32]).unwrap(), BackupKey::from_bytes(&[8; 32]).unwrap());
        let made = manifest(&key);
        let text = made.signed(&key).unwrap();
        let elsewhere = Manifest::read(text.as_bytes(), BackupId::from_bytes([2; 16]), &key);
        assert_eq!(elsewhere, Err(ManifestError::Moved(made.backup)));
        let wrong = Manifest::read(text.as_bytes(), made.backup, &other);
        assert_eq!(wrong, Err(ManifestError::OtherKey(key.id().to_owned())));
        // Signed anew by somebody who has another key: the id gives it away.
        let forged = made.signed(&other).unwrap();
        let forged = Manifest::read(forged.as_bytes(), made.backup, &key);
        assert_eq!(forged, Err(ManifestError::OtherKey(other.id().to_owned())));
    }
}
