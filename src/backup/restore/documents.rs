//! The objects of documents that the restored ledger tells of.

use std::path::Path;
use std::time::Instant;

use wardbook_keys::Standing;
use wardbook_ledger::Frame;

use super::super::key_backups::{Bundle, RefreshError};
use super::super::objects::{Brought, Known, bring, told_by};
use super::super::place::Place;
use super::super::verify::Standings;
use super::{Restore, RestoreError, private_dir};
use crate::config::DataDir;
use crate::documents::Store;

/// So many documents without an object are told by name.
const NAMED_MAX: usize = 100;

/// What became of the objects of documents that the restored ledger tells of.
#[derive(Debug, Clone, Default)]
pub struct DocumentsFound {
    /// How many are there.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of patients who stay erased: left out.
    pub erased: u64,
    /// Those that are at no place as they were.
    pub missing: u64,
    /// The first of these: the document, the name of its object, and what is wrong.
    pub named: Vec<(Known, String)>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Puts objects of documents back.
pub(super) struct Objects {
    from: Vec<Store>,
    to: Store,
    standings: Standings,
    pub(super) found: DocumentsFound,
}

impl Objects {
    /// From all places, to where the documents of the restored system are to be.
    pub(super) fn open(restore: &Restore<'_>, staging: &Path, bundle: Option<&Bundle>) -> Result<Self, RestoreError> {
        let staged = DataDir::new(staging);
        private_dir(&staged.documents())?;
        let to = Store::open(restore.documents, &staged)?;
        let standings = match bundle {
            Some(bundle) => bundle.dump.patients().map_err(RefreshError::from)?,
            None => Standings::new(),
        };
        let from = restore.setup.places.iter().map(Place::documents).collect();
        Ok(Self { from, to, standings, found: DocumentsFound::default() })
    }

    /// Those of which these events tell. One that is nowhere to be had does not stop the others.
    pub(super) fn put_back(&mut self, frames: &[Frame]) -> Result<(), String> {
        let began = Instant::now();
        let from: Vec<_> = self.from.iter().collect();
        for frame in frames {
            let Some(known) = told_by(frame)? else { continue };
            if self.standings.get(&(known.tenant, known.patient)) == Some(&Standing::Destroyed) {
                self.found.erased += 1;
                continue;
            }
            let brought = bring(&from, &self.to, &known);
            match brought.map_err(|fault| format!("the object of the document {}: {fault}", known.document))? {
                Brought::Kept | Brought::Copied => {
                    self.found.count += 1;
                    self.found.bytes += known.bytes;
                }
                Brought::Nowhere(fault) => {
                    self.found.missing += 1;
                    if self.found.named.len() < NAMED_MAX {
                        self.found.named.push((known, fault.to_string()));
                    }
                }
            }
        }
        self.found.took_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(())
    }
}
