//! Documents and images: taken in piece by piece, cleaned, sealed chunk by chunk, kept in an object store, given back in
//! pieces. Nothing of them is ever on disk in clear. Why this way: `docs/decisions/0016-documents.md`.

mod content;
mod download;
mod error;
mod finish;
mod hooks;
mod staging;
mod store;
mod strip;
mod verify;

use std::path::PathBuf;

use wardbook_commands::Origin;
use wardbook_events::documents::{Digests, Fault};
use wardbook_events::{Actor, Client, CorrelationId, EventId, Purpose, RecordId};
use wardbook_projections::ViewError;
use wardbook_projections::documents::Document;

use crate::app::App;
use crate::asker::Asker;
use crate::config::{DataDir, Documents as Settings};

pub use content::{ContentError, check_head};
pub use download::{Body, Range, Requested, open};
pub use error::DocumentError;
pub use finish::{Finished, finish};
pub use hooks::{Deleted, delete_objects_of, reseal_of, sweep};
pub use staging::{About, Appender, Upload, Words};
pub use store::{Store, StoreError};
pub use strip::{StripError, Stripped, strip};
pub use verify::{Finding, Report, verify};

/// The objects and the uploads that are on their way to become some.
#[derive(Debug)]
pub struct Documents {
    store: Store,
    uploads: staging::Uploads,
}

impl Documents {
    /// Opens both places; makes what is not there yet.
    ///
    /// # Errors
    /// If the settings or the directories cannot be used.
    pub fn open(settings: &Settings, data: &DataDir) -> Result<Self, StoreError> {
        Ok(Self { store: Store::open(settings, data)?, uploads: staging::Uploads::new(data.uploads()) })
    }
    /// The objects.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }
    /// The uploads.
    #[must_use]
    pub const fn uploads(&self) -> &staging::Uploads {
        &self.uploads
    }
}

/// Both hashes of a stream of bytes. They keep its last block in clear, and whoever holds them is handed from thread to thread:
/// on the heap they are not copied on the way, and are wiped when they are freed.
struct Hashers {
    /// A handle; what it keeps is on the heap.
    sha256: aws_lc_rs::digest::Context,
    blake3: Box<blake3::Hasher>,
}

impl Hashers {
    fn new() -> Self {
        let sha256 = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        Self { sha256, blake3: Box::new(blake3::Hasher::new()) }
    }
    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.blake3.update(bytes);
    }
    fn finish(self) -> Digests {
        let blake3 = self.blake3.finalize().to_hex().to_string();
        Digests { sha256: hex::encode(self.sha256.finish()), blake3 }
    }
}

/// Runs what computes or reads a disk away from the async threads. What it leaves on the thread's stack is wiped.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DocumentError> + Send + 'static,
) -> Result<T, DocumentError> {
    let wiped = move || {
        let result = work();
        wipe_stack();
        result
    };
    tokio::task::spawn_blocking(wiped).await.unwrap_or(Err(DocumentError::Lost))
}

/// Overwrites what calls that have returned left on this thread's stack, as deep as hashing and sealing go. Blocking threads wait for
/// their next work with their stack as it was; the allocator wipes only what is freed.
#[inline(never)]
fn wipe_stack() {
    std::hint::black_box(&[0_u8; 128 << 10]);
}

/// Where a command comes from that nobody gave: Wardbook looks after its objects.
fn own_origin(app: &App, cause: Option<(CorrelationId, EventId)>) -> Result<Origin, DocumentError> {
    let correlation = match cause {
        Some((correlation, _)) => correlation,
        None => CorrelationId::new(app.new_id()?),
    };
    Ok(Origin {
        actor: Actor::SYSTEM,
        purpose: Purpose::Operations,
        correlation,
        causation: cause.map(|(_, event)| event),
        client: Client::default(),
        now: app.now(),
        seed: app.chance().bytes()?,
        idempotency: None,
    })
}

/// Writes down that an object is not as it was. That it could not be written down is only logged: whoever asked for the
/// object is answered in any case.
async fn found(app: &App, document: &Document, fault: (Fault, Option<u64>), cause: Option<(CorrelationId, EventId)>) {
    tracing::error!(document = %document.document, object = %document.object.name, fault = ?fault.0, chunk = ?fault.1, "an object is not as it was");
    let told = async {
        let origin = own_origin(app, cause)?;
        let of = (document.patient, document.document);
        Ok::<_, DocumentError>(app.commands().document_found_damaged(document.tenant, &origin, of, fault).await?)
    };
    if let Err(error) = told.await {
        tracing::warn!(%error, "that an object is damaged was not written down");
    }
}

/// A document of the asker's organisation.
///
/// # Errors
/// If the view cannot be read.
pub fn known_to(app: &App, asker: &Asker, document: RecordId) -> Result<Option<Document>, ViewError> {
    let tenant = asker.principal().tenant;
    Ok(app.views().documents.get(document)?.filter(|known| known.tenant == tenant))
}

/// Where an upload lies, by its id.
fn below(dir: &std::path::Path, id: RecordId) -> PathBuf {
    dir.join(id.to_string())
}
