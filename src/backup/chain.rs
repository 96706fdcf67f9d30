//! Reading the parts of a chain, one after the other.

use wardbook_events::BackupId;
use wardbook_keys::BackupKey;
use wardbook_ledger::{Frame, frames_in};

use super::catalog::{Found, object};
use super::manifest::{Manifest, Part, sha256};
use super::place::Place;
use super::verify::Finding;

/// Seals or opens a part of a backup.
pub(super) fn part_key(key: &BackupKey, backup: BackupId, part: &str) -> wardbook_keys::PartKey {
    key.part(&["backup", &backup.to_string(), part])
}

/// The frames of a part, from the first of these places that has it as it was.
pub(super) fn frames(
    places: &[&Place],
    key: &BackupKey,
    manifest: &Manifest,
    part: &Part,
) -> Result<Vec<Frame>, Finding> {
    let name = object(manifest.backup, &part.name);
    let finding = |what: String| Finding { backup: manifest.backup, object: part.name.clone(), what };
    let mut first = None;
    for place in places {
        let sealed = place.get(&name).map_err(|error| error.to_string()).and_then(|sealed| as_listed(part, sealed));
        match sealed {
            Ok(sealed) => {
                let opened = part_key(key, manifest.backup, &part.name).open(&sealed);
                let content = opened.map_err(|error| finding(error.to_string()))?;
                let frames: Result<Vec<_>, _> = frames_in(&content).collect();
                let frames = frames.map_err(|error| finding(error.to_string()))?;
                let begins = frames.first().and_then(Frame::position).map(|at| at.get());
                if frames.len() as u64 != part.events || begins.unwrap_or(part.first) != part.first {
                    return Err(finding("it holds other events than the manifest says".into()));
                }
                return Ok(frames);
            }
            Err(what) => first = first.or(Some(what)),
        }
    }
    Err(finding(first.unwrap_or_else(|| "it is at none of the places".into())))
}

/// Whether a part's bytes are those that the manifest lists.
pub(super) fn as_listed(part: &Part, sealed: Vec<u8>) -> Result<Vec<u8>, String> {
    if sealed.len() as u64 != part.bytes {
        return Err(format!("it has {} bytes instead of {}", sealed.len(), part.bytes));
    }
    match sha256(&sealed) == part.sha256 {
        true => Ok(sealed),
        false => Err("its SHA-256 is not the one in the manifest".into()),
    }
}

/// Every part of a chain that holds events, in order.
pub(super) fn parts<'c>(chain: &'c [&'c Found]) -> impl Iterator<Item = (&'c Manifest, &'c Part)> {
    chain.iter().flat_map(|found| found.manifest.parts.iter().map(|part| (&found.manifest, part)))
}
