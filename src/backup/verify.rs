//! Verifying a backup from the backup alone: every part, every entry, and the tree against the checkpoints of the chain.

use std::collections::VecDeque;
use std::fmt;

use parking_lot::Mutex;
use wardbook_events::BackupId;
use wardbook_keys::BackupKey;
use wardbook_ledger::verify::{Start, Verification};
use wardbook_ledger::{Frame, Progress};

use super::catalog::{Catalog, ChainError, Found};
use super::chain;
use super::manifest::ManifestError;
use super::place::Place;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which backup.
    pub backup: BackupId,
    /// Which object of it, or `checkpoint`.
    pub object: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backup {}, {}: {}", self.backup, self.object, self.what)
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Events verified.
    pub events: u64,
    /// Root of the tree over them, hex, if all is well.
    pub root: String,
    /// Bytes read.
    pub bytes: u64,
    /// Parts read.
    pub parts: usize,
    /// What is wrong, in order.
    pub findings: Vec<Finding>,
}

impl Verified {
    /// Whether all of it is as it was written.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Reads a backup and all that it builds on at one place, and holds the tree over its events against the checkpoints. The
/// running system is not touched.
///
/// # Errors
/// If the backup, or one that it builds on, is not there.
pub fn verify(
    place: &Place,
    key: &BackupKey,
    backup: Option<BackupId>,
    progress: &dyn Progress,
) -> Result<(BackupId, Verified), ChainError> {
    let catalog = Catalog::read(std::slice::from_ref(place), key);
    let newest = || catalog.newest().map(|found| found.manifest.backup);
    let backup = backup.or_else(newest).ok_or(ChainError::None)?;
    let mut before: Vec<_> = catalog.faults.iter().filter(|fault| fault.backup == Some(backup)).collect();
    if let Some(fault) = before.pop() {
        let finding = Finding { backup, object: "manifest".into(), what: fault.cause.clone() };
        let nothing = Verified { events: 0, root: String::new(), bytes: 0, parts: 0, findings: vec![finding] };
        return Ok((backup, nothing));
    }
    let chain = catalog.chain(backup)?;
    Ok((backup, through(&[place], key, &chain, &mut |_| Ok(()), progress)))
}

/// Reads a chain, hands each part's frames on, and verifies. A part that cannot be used does not end it: all that are wrong are
/// told.
pub(super) fn through(
    places: &[&Place],
    key: &BackupKey,
    chain: &[&Found],
    take: &mut (dyn FnMut(&[Frame]) -> Result<(), String> + Send),
    progress: &dyn Progress,
) -> Verified {
    let parts: Vec<_> = chain::parts(chain).collect();
    let total = chain.last().map_or(0, |last| last.manifest.to);
    let findings = Mutex::new(Vec::new());
    let find = |finding| findings.lock().push(finding);
    let (mut bytes, mut reading) = (0, parts.iter());
    let mut waiting: VecDeque<Frame> = VecDeque::new();
    let mut broken = false;
    let mut proofs = Vec::new();
    for found in chain {
        match found.manifest.proof() {
            Ok(proof) => proofs.push(proof),
            Err(error) => find(unproven(found, &error)),
        }
    }
    let entries = std::iter::from_fn(|| {
        while waiting.is_empty() {
            let (manifest, part) = reading.next()?;
            bytes += part.bytes;
            // Behind a missing part nothing follows, but what else is wrong is told all the same.
            match chain::frames(places, key, manifest, part) {
                Ok(_) if broken => {}
                Ok(frames) => match take(&frames) {
                    Ok(()) => waiting.extend(frames),
                    Err(what) => {
                        broken = true;
                        find(Finding { backup: manifest.backup, object: part.name.clone(), what });
                    }
                },
                Err(finding) => {
                    broken = true;
                    find(finding);
                }
            }
        }
        waiting.pop_front().map(|frame| Ok::<_, String>(frame.into_stored()))
    });
    let checkpoints: Vec<_> = proofs.iter().map(|(checkpoint, _)| checkpoint.clone()).collect();
    let Some(((newest, keys), last)) = proofs.last().zip(chain.last()) else {
        return Verified { events: 0, root: String::new(), bytes: 0, parts: 0, findings: findings.into_inner() };
    };
    let report = Verification {
        keys,
        start: Start::genesis(),
        until: None,
        checkpoints: &checkpoints,
        progress: &|done| progress.advance("verify", done, total),
    }
    .run(entries);
    let mut findings = findings.into_inner();
    if findings.is_empty() {
        let object = || "checkpoint".to_owned();
        let of_log = report.errors.iter().map(|error| Finding {
            backup: last.manifest.backup,
            object: object(),
            what: error.to_string(),
        });
        findings.extend(of_log);
        if findings.is_empty() && (report.committed != total || report.count != total) {
            let what = format!("{} events instead of the {total} of its checkpoint", report.count);
            findings.push(Finding { backup: last.manifest.backup, object: object(), what });
        }
    }
    let root = newest.unverified().root.to_string();
    Verified { events: report.count, root, bytes, parts: parts.len(), findings }
}

fn unproven(found: &Found, error: &ManifestError) -> Finding {
    Finding { backup: found.manifest.backup, object: "checkpoint".into(), what: error.to_string() }
}
