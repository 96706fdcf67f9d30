//! The objects of documents in backups: as they lie in the store, sealed under keys of their own, below `documents/` of a place.
//!
//! They never change and have random names, so all backups at a place share them and each object is copied once. What must be
//! there is what the events of a backup tell, with the hash that stands in the signed event: nothing here needs a key to check
//! it. Who was erased has no object here any more, and a backup is whole without it.

use actix_web::web::Bytes;
use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use wardbook_events::documents::DocumentEvent;
use wardbook_events::{Event, PatientId, RecordId, TenantId};
use wardbook_keys::ObjectId;
use wardbook_ledger::Frame;

use super::place::block_on;
use crate::documents::{Store, StoreError};
use crate::recorded;

/// Bytes that are in memory of an object at once, beside what the store's client holds.
const STEP: u64 = 4 << 20;
const ADDED: &str = "documents.added";

/// Held while an object is brought to a place or taken from it: what an erasure removes must not be put there by a backup that
/// looked before.
pub(super) static MOVING: Mutex<()> = Mutex::new(());

/// An object that the ledger tells of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// The organisation.
    pub tenant: TenantId,
    /// Under whose key it is sealed.
    pub patient: PatientId,
    /// The document.
    pub document: RecordId,
    /// Its name in the store.
    pub name: String,
    /// Its bytes, sealed.
    pub bytes: u64,
    /// SHA-256 of these, hex.
    pub sha256: String,
}

/// Why an object is not to be had from a store.
#[derive(Debug, thiserror::Error)]
pub enum ObjectFault {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// Cut, or longer than it was.
    #[error("it has {found} bytes instead of {expected}")]
    Length {
        /// What the ledger tells.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Changed.
    #[error("its SHA-256 is not the one in the ledger")]
    Damaged,
    /// The store.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for ObjectFault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::Missing,
            other => Self::Store(other),
        }
    }
}

/// The object of which a frame tells, if it tells of one.
pub(super) fn told_by(frame: &Frame) -> Result<Option<Known>, String> {
    // Most frames are of other types, and decoding is dear.
    if !frame.stored().windows(ADDED.len()).any(|window| window == ADDED.as_bytes()) {
        return Ok(None);
    }
    let entry = frame.entry().map_err(|error| error.to_string())?;
    if entry.event_type().as_str() != ADDED {
        return Ok(None);
    }
    let recorded = recorded::decode(&entry).map_err(|error| error.to_string())?;
    let Some((tenant, Event::Document(DocumentEvent::Added(added)))) =
        recorded.map(|recorded| (recorded.meta.tenant, recorded.event))
    else {
        return Ok(None);
    };
    let (patient, document, size) = (added.patient, added.document, added.size_bytes);
    let bytes = ObjectId { tenant, patient, document, size }.sealed_size();
    Ok(Some(Known { tenant, patient, document, name: added.object.name, bytes, sha256: added.object.sealed.sha256 }))
}

/// Where an object lies below a place.
pub(super) fn object_name(name: &str) -> String {
    format!("documents/{}/{name}", name.get(..2).unwrap_or_default())
}

/// Reads an object and says whether it is the one that the ledger tells of. Blocks.
///
/// # Errors
/// In which way it is not.
pub(super) fn look(store: &Store, known: &Known) -> Result<(), ObjectFault> {
    let (store, known) = (store.clone(), known.clone());
    block_on(async move { check(&store, &known).await }).unwrap_or_else(no_thread)
}

/// What came of bringing an object somewhere.
#[derive(Debug)]
pub(super) enum Brought {
    /// It was there already.
    Kept,
    /// It was copied, and read back.
    Copied,
    /// None of the sources has it as it was; what is wrong at the first.
    Nowhere(ObjectFault),
}

/// Brings an object to a store, from the first of some others that has it as it was. Blocks.
///
/// # Errors
/// If the store that it is brought to cannot be used.
pub(super) fn bring(from: &[&Store], to: &Store, known: &Known) -> Result<Brought, ObjectFault> {
    let (from, to, known) = (from.iter().copied().cloned().collect::<Vec<_>>(), to.clone(), known.clone());
    block_on(async move {
        match check(&to, &known).await {
            Ok(()) => return Ok(Brought::Kept),
            Err(ObjectFault::Store(error)) => return Err(ObjectFault::Store(error)),
            Err(_) => {}
        }
        let mut first = None;
        for source in &from {
            match copy(source, &to, &known).await {
                // What a store took is not yet what it has.
                Ok(Ok(())) => return check(&to, &known).await.map(|()| Brought::Copied),
                Ok(Err(fault)) => first = first.or(Some(fault)),
                Err(error) => return Err(ObjectFault::Store(error)),
            }
        }
        Ok(Brought::Nowhere(first.unwrap_or(ObjectFault::Missing)))
    })
    .unwrap_or_else(no_thread)
}

fn no_thread<T>() -> Result<T, ObjectFault> {
    Err(ObjectFault::Store(StoreError::Settings("there is no thread to ask it".to_owned())))
}

/// Copies an object. The outer error is that of the store it goes to, the inner one what is wrong where it comes from.
async fn copy(from: &Store, to: &Store, known: &Known) -> Result<Result<(), ObjectFault>, StoreError> {
    let mut reading = match Reading::begin(from, known).await {
        Ok(reading) => reading,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut writing = to.write(&known.name).await?;
    loop {
        match reading.next().await {
            Ok(Some(piece)) => {
                if let Err(error) = writing.put(piece).await {
                    writing.abort().await;
                    return Err(error);
                }
            }
            Ok(None) => return writing.finish().await.map(Ok),
            Err(fault) => {
                writing.abort().await;
                return Ok(Err(fault));
            }
        }
    }
}

async fn check(store: &Store, known: &Known) -> Result<(), ObjectFault> {
    let mut reading = Reading::begin(store, known).await?;
    while reading.next().await?.is_some() {}
    Ok(())
}

/// An object that is read piece by piece. It ends well only if all of it was read and has the hash that the ledger tells.
struct Reading<'o> {
    store: &'o Store,
    known: &'o Known,
    at: u64,
    digest: Context,
}

impl<'o> Reading<'o> {
    async fn begin(store: &'o Store, known: &'o Known) -> Result<Self, ObjectFault> {
        match store.size(&known.name).await? {
            found if found == known.bytes => Ok(Self { store, known, at: 0, digest: Context::new(&SHA256) }),
            found => Err(ObjectFault::Length { expected: known.bytes, found }),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ObjectFault> {
        if self.at == self.known.bytes {
            let whole = hex::encode(self.digest.clone().finish()) == self.known.sha256;
            return if whole { Ok(None) } else { Err(ObjectFault::Damaged) };
        }
        let piece = self.store.read(&self.known.name, self.at..self.known.bytes.min(self.at + STEP)).await?;
        if piece.is_empty() {
            return Err(ObjectFault::Length { expected: self.known.bytes, found: self.at });
        }
        self.at += piece.len() as u64;
        self.digest.update(&piece);
        Ok(Some(piece))
    }
}
