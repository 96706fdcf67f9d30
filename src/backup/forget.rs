//! What an erasure takes from the places of backups: the objects of the patient's documents. Their keys are destroyed by then, so
//! no copy of them opens anywhere; but what lies about is no longer a backup of anything.

use std::collections::BTreeMap;

use wardbook_events::PatientId;
use wardbook_projections::ViewError;

use super::catalog::{Setup, SetupError};
use super::objects::{MOVING, object_name};
use crate::app::App;

/// Documents looked at a time.
const PAGE: usize = 256;

/// Why some place may still have an object of an erased patient. None of them opens all the same.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// Settings or key.
    #[error(transparent)]
    Setup(SetupError),
    /// Which documents there were.
    #[error(transparent)]
    View(#[from] ViewError),
    /// These places may still have objects.
    #[error("objects of documents could not be removed everywhere: {}", .0.values().cloned().collect::<Vec<_>>().join("; "))]
    Places(BTreeMap<String, String>),
}

/// Overwrites, where that can be done, and removes the objects of these patients' documents at every place; gives the places.
/// To be called when the keys are gone and the views have seen it, so that no backup brings them back. Doing it again is no
/// error. Blocks.
///
/// # Errors
/// [`ForgetError::Places`] names every place that may still have one; the others were done.
pub fn forget_objects_of(app: &App, patients: &[PatientId]) -> Result<Vec<String>, ForgetError> {
    let setup = match Setup::open(&app.config().backup) {
        Ok(setup) => setup,
        Err(SetupError::Off) => return Ok(Vec::new()),
        Err(error) => return Err(ForgetError::Setup(error)),
    };
    let away = setup.away.iter().map(|away| (away.place.clone(), away.to_string()));
    let (mut wrong, mut before): (BTreeMap<_, _>, _) = (away.collect(), None);
    loop {
        let page = app.views().documents.list(patients, true, before, PAGE)?;
        for document in &page.items {
            let _moving = MOVING.lock();
            for place in &setup.places {
                if wrong.contains_key(place.name()) {
                    continue;
                }
                if let Err(error) = place.wipe(&object_name(&document.object.name)) {
                    wrong.insert(place.name().to_owned(), error.to_string());
                }
            }
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    match wrong.is_empty() {
        true => Ok(setup.places.iter().map(|place| place.name().to_owned()).collect()),
        false => Err(ForgetError::Places(wrong)),
    }
}
