//! The objects of documents, brought to every place while the events that tell of them are.

use super::super::catalog::Found;
use super::super::chain;
use super::super::manifest::{Manifest, Objects};
use super::super::objects::{Brought, Known, MOVING, bring, object_name, told_by};
use super::super::place::{Place, PlaceError, PlaceFault};
use super::{CreateError, MISSING_MAX, Work};

impl Work<'_> {
    /// Brings the objects of which a part's events tell to every place, and counts them.
    pub(super) fn bring_all(&mut self, known: &[Known], into: &mut Objects) -> Result<(), CreateError> {
        for (number, one) in (1_u64..).zip(known) {
            into.count += 1;
            into.bytes += one.bytes;
            self.bring_one(one, &mut into.missing)?;
            self.progress.advance("documents", number, known.len() as u64);
        }
        Ok(())
    }

    /// Looks again for what the backup that this one builds on did not have.
    pub(super) fn look_again(&mut self, missing: &[Known], manifest: &mut Manifest) -> Result<(), CreateError> {
        let mut documents = manifest.documents.take().unwrap_or_default();
        for known in missing {
            self.bring_one(known, &mut documents.missing)?;
        }
        manifest.documents = Some(documents);
        Ok(())
    }

    fn bring_one(&mut self, known: &Known, missing: &mut Vec<Known>) -> Result<(), CreateError> {
        let _moving = MOVING.lock();
        if self.is_erased(known) {
            self.documents.erased += 1;
            // A place may have come back that was away when the patient was erased.
            self.each(|place| place.wipe(&object_name(&known.name)));
            return Ok(());
        }
        let stores: Vec<_> = self.setup.places.iter().map(|place| (place.name(), place.documents())).collect();
        let (mut copied, mut kept, mut nowhere) = (0, 0, None);
        let source = self.source.documents;
        self.each(|place| {
            let others = stores.iter().filter(|(name, _)| *name != place.name()).map(|(_, store)| store);
            let from: Vec<_> = std::iter::once(source).chain(others).collect();
            match bring(&from, &place.documents(), known) {
                Ok(Brought::Copied) => copied += 1,
                Ok(Brought::Kept) => kept += 1,
                Ok(Brought::Nowhere(fault)) => nowhere = Some(fault.to_string()),
                Err(fault) => return Err(unusable(place, known, &fault)),
            }
            Ok(())
        });
        self.documents.copied += copied;
        self.documents.kept += kept;
        if let Some(cause) = nowhere {
            if missing.len() >= MISSING_MAX {
                return Err(CreateError::Documents { document: known.document, cause });
            }
            missing.push(known.clone());
            self.documents.lost.push((known.clone(), cause));
        }
        Ok(())
    }

    /// Brings a place that was away the objects of a backup that it has just got.
    pub(super) fn objects_of(&self, found: &Found, from: &[&Place], to: &Place) -> Result<(), String> {
        let others: Vec<_> = from.iter().map(|place| place.documents()).collect();
        let from_stores: Vec<_> = std::iter::once(self.source.documents).chain(&others).collect();
        for part in found.manifest.parts.iter().filter(|_| found.manifest.documents.is_some()) {
            let frames = chain::frames(from, &self.setup.key, &found.manifest, part);
            for frame in frames.map_err(|finding| finding.to_string())? {
                let Some(known) = told_by(&frame)? else { continue };
                let _moving = MOVING.lock();
                if self.is_erased(&known) {
                    continue;
                }
                match bring(&from_stores, &to.documents(), &known) {
                    // What is nowhere stands in a manifest as missing.
                    Ok(Brought::Copied | Brought::Kept | Brought::Nowhere(_)) => {}
                    Err(fault) => return Err(unusable(to, &known, &fault).to_string()),
                }
            }
        }
        Ok(())
    }

    /// Who cannot be told to be erased is taken for one who is not: a copy more opens without a key no more than the first.
    fn is_erased(&self, known: &Known) -> bool {
        !self.source.keys.has_key(known.tenant, known.patient).unwrap_or(true)
    }
}

fn unusable(place: &Place, known: &Known, fault: &dyn std::fmt::Display) -> PlaceError {
    let what = format!("the object of the document {}: {fault}", known.document);
    PlaceError { place: place.name().to_owned(), fault: PlaceFault::Unreachable(what) }
}
