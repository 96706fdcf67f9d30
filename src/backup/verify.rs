//! Verifying a backup from the backup alone: every part, every entry, the tree against the checkpoints of the chain, and the
//! objects of documents against the hashes that the entries tell.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use parking_lot::Mutex;
use wardbook_events::{BackupId, PatientId, TenantId};
use wardbook_keys::{BackupKey, Standing};
use wardbook_ledger::verify::{Start, Verification};
use wardbook_ledger::{Frame, Progress};

use super::catalog::{Catalog, ChainError, Found};
use super::chain;
use super::key_backups::Bundle;
use super::manifest::{Manifest, ManifestError};
use super::objects::{Known, ObjectFault, look, object_name, told_by};
use super::place::Place;
use crate::documents::Store;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Events verified.
    pub events: u64,
    /// Root of the tree over them, hex, if all is well.
    pub root: String,
    /// Bytes read.
    pub bytes: u64,
    /// Parts read.
    pub parts: usize,
    /// Objects of documents that are there as the ledger tells.
    pub documents: u64,
    /// Their bytes.
    pub document_bytes: u64,
    /// Objects that need not be there: their patients are erased.
    pub erased: u64,
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
        return Ok((backup, Verified { findings: vec![finding], ..Verified::default() }));
    }
    let chain = catalog.chain(backup)?;
    let mut objects = Objects::of(place, key);
    let mut verified = through(&[place], key, &chain, &mut |manifest, frames| objects.look(manifest, frames), progress);
    verified.findings.append(&mut objects.findings);
    (verified.documents, verified.document_bytes, verified.erased) = (objects.whole, objects.bytes, objects.erased);
    Ok((backup, verified))
}

/// How the keys of each patient stand.
pub(super) type Standings = BTreeMap<(TenantId, PatientId), Standing>;

/// The objects of documents at a place, held against what the events tell.
struct Objects {
    store: Store,
    /// Of the place's own backup of the keys: it is made anew with each erasure, and nobody makes one without the backup key.
    standings: Standings,
    whole: u64,
    bytes: u64,
    erased: u64,
    findings: Vec<Finding>,
}

impl Objects {
    fn of(place: &Place, key: &BackupKey) -> Self {
        let (bundle, _) = Bundle::find(std::slice::from_ref(place), key);
        let standings = bundle.and_then(|bundle| bundle.dump.patients().ok()).unwrap_or_default();
        let store = place.documents();
        Self { store, standings, whole: 0, bytes: 0, erased: 0, findings: Vec::new() }
    }

    fn look(&mut self, manifest: &Manifest, frames: &[Frame]) -> Result<(), String> {
        if manifest.documents.is_none() {
            return Ok(());
        }
        for frame in frames {
            let Some(known) = told_by(frame)? else { continue };
            let is_erased = self.standings.get(&(known.tenant, known.patient)) == Some(&Standing::Destroyed);
            let what = match (look(&self.store, &known), is_erased) {
                (Ok(()), false) => {
                    self.whole += 1;
                    self.bytes += known.bytes;
                    continue;
                }
                (Err(ObjectFault::Missing), true) => {
                    self.erased += 1;
                    continue;
                }
                (Err(fault), false) => fault.to_string(),
                (_, true) => "it is of an erased patient and still there; the next full backup removes it".to_owned(),
            };
            self.findings.push(finding(manifest, &known, what));
        }
        Ok(())
    }
}

fn finding(manifest: &Manifest, known: &Known, what: String) -> Finding {
    let what = format!("of the document {}: {what}", known.document);
    Finding { backup: manifest.backup, object: object_name(&known.name), what }
}

/// Takes the frames of a part; an error ends what can be said of those behind.
type Taking<'t> = dyn FnMut(&Manifest, &[Frame]) -> Result<(), String> + Send + 't;

/// Reads a chain, hands each part's frames on, and verifies. A part that cannot be used does not end it: all that are wrong are
/// told.
pub(super) fn through(
    places: &[&Place],
    key: &BackupKey,
    chain: &[&Found],
    take: &mut Taking<'_>,
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
                Ok(frames) => match take(manifest, &frames) {
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
        return Verified { findings: findings.into_inner(), ..Verified::default() };
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
    Verified { events: report.count, root, bytes, parts: parts.len(), findings, ..Verified::default() }
}

fn unproven(found: &Found, error: &ManifestError) -> Finding {
    Finding { backup: found.manifest.backup, object: "checkpoint".into(), what: error.to_string() }
}
