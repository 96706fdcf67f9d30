//! From an upload to a document: looked at, cleaned, sealed anew, put into the store, and only then an event.

use std::collections::BTreeSet;

use actix_web::web::Bytes;
use wardbook_commands::documents::AddDocument;
use wardbook_commands::{Done, Origin};
use wardbook_events::documents::{self, Digests, DocumentBody, MediaType, Object};
use wardbook_events::{Ciphertext, RecordId};
use wardbook_keys::{OBJECT_CHUNK, OBJECT_FORM, ObjectId, ObjectSealer};
use wardbook_policy::Permit;
use zeroize::Zeroizing;

use super::content::Checker;
use super::error::DocumentError;
use super::staging::{Source, Upload, buffer, take};
use super::store::Writing;
use super::{Hashers, blocking, own_origin, scrub_stack, strip};
use crate::app::App;

/// Chunks that are sealed before they are handed to the store.
const BATCH: usize = 16;

/// An upload that became a document.
#[derive(Debug)]
pub struct Finished {
    /// What the write side says.
    pub done: Done<RecordId>,
    /// What the bytes are.
    pub media_type: MediaType,
    /// Bytes of content as they are kept.
    pub size_bytes: u64,
    /// What was taken out of an image.
    pub removed: BTreeSet<&'static str>,
}

/// Makes a document of an upload that is complete. `sha256` is what the client says of what it sent. The upload is gone
/// afterwards. Permit: `AddRecord` for that very document. To be spawned, so that a client that goes away ends nothing.
///
/// # Errors
/// If it is not complete or not what it was said to be; then the upload stays.
pub async fn finish(
    app: App,
    permit: Permit,
    origin: Origin,
    upload: Upload,
    sha256: Option<String>,
) -> Result<Finished, DocumentError> {
    let about = upload.about.clone();
    // Its object must not be written again once an event names it.
    if app.commands().has_document(about.tenant, &own_origin(&app, None)?, about.document).await? {
        blocking(move || upload.discard()).await?;
        return Err(DocumentError::NoUpload);
    }
    let staging = app.keys().open_staging(&permit, about.id(), &about.sealed_key())?;
    let words = upload.words(&staging)?;
    let (reading, keys) = (app.clone(), about.clone());
    let (upload, pipe) = blocking(move || {
        let (offset, size) = (upload.offset()?, upload.about.size_bytes);
        if offset != size {
            return Err(DocumentError::Incomplete { offset, size });
        }
        let content = Content::read(upload.read(staging)?, &keys, sha256)?;
        let id = ObjectId { size: content.size(), ..keys.id() };
        let (key, sealer) = reading.keys().new_object(id, documents::key_field(&keys.sensitivity))?;
        let pipe = Pipe { content, sealer, key: key.into_ciphertext(), sealed: Hashers::new(), size: id.size };
        Ok((upload, pipe))
    })
    .await?;
    let mut writing = app.documents().store().write(&about.object).await?;
    let sealed = match fill(&mut writing, pipe).await {
        Ok(sealed) => sealed,
        Err(error) => {
            writing.abort().await;
            return Err(error);
        }
    };
    writing.finish().await?;
    let command = AddDocument {
        patient: about.patient,
        document: about.document,
        kind: about.kind,
        sensitivity: about.sensitivity,
        year: about.year,
        media_type: about.media_type,
        size_bytes: sealed.size,
        object: Object { name: about.object, form: OBJECT_FORM, sealed: sealed.sealed },
        object_key: sealed.key,
        body: DocumentBody { title: words.title, file_name: words.file_name, content: sealed.content },
    };
    let done = app.commands().add_document(&permit, &origin, command).await?;
    if let Some(receipt) = done.receipts.last() {
        app.seen(receipt).await?;
    }
    blocking(move || upload.discard()).await?;
    Ok(Finished { done, media_type: about.media_type, size_bytes: sealed.size, removed: sealed.removed })
}

async fn fill(writing: &mut Writing, mut pipe: Pipe) -> Result<End, DocumentError> {
    loop {
        let (next, batch) = blocking(move || pipe.batch()).await?;
        pipe = next;
        if batch.is_empty() {
            return pipe.finish();
        }
        for chunk in batch {
            writing.put(chunk).await?;
        }
    }
}

/// What is going to be sealed, looked at on the way.
enum Content {
    /// Chunk by chunk from the upload.
    Stream { source: Source, checker: Checker, hashers: Hashers, sent: Option<String>, size: u64 },
    /// A cleaned image.
    Whole { image: Zeroizing<Vec<u8>>, at: usize, hashers: Hashers, removed: BTreeSet<&'static str> },
}

impl Content {
    /// Images are read whole and cleaned now; of everything else only the first chunk is read in time.
    fn read(mut source: Source, about: &super::About, sent: Option<String>) -> Result<Self, DocumentError> {
        let (kind, size) = (about.media_type, about.size_bytes);
        let mut checker = Checker::new(kind);
        if !kind.is_image() {
            return Ok(Self::Stream { source, checker, hashers: Hashers::new(), sent, size });
        }
        let length = usize::try_from(size).map_err(|_| DocumentError::DamagedUpload)?;
        let (mut image, mut hashers) = (Zeroizing::new(Vec::with_capacity(length)), Hashers::new());
        while let Some(chunk) = source.next()? {
            checker.look(&chunk)?;
            hashers.update(&chunk);
            image.extend_from_slice(&chunk);
        }
        checker.finish()?;
        is_what_was_sent(sent, &hashers.finish())?;
        let strip::Stripped { image, removed } = strip::strip(kind, image)?;
        Ok(Self::Whole { image, at: 0, hashers: Hashers::new(), removed })
    }

    fn size(&self) -> u64 {
        match self {
            Self::Stream { size, .. } => *size,
            Self::Whole { image, .. } => image.len() as u64,
        }
    }

    /// The next chunk, with room for its authenticator.
    fn next(&mut self) -> Result<Option<Vec<u8>>, DocumentError> {
        match self {
            Self::Stream { source, checker, hashers, .. } => {
                let Some(chunk) = source.next()? else { return Ok(None) };
                checker.look(&chunk)?;
                hashers.update(&chunk);
                let mut text = buffer();
                text.extend_from_slice(&chunk);
                Ok(Some(take(text)))
            }
            Self::Whole { image, at, hashers, .. } => {
                let end = image.len().min(*at + OBJECT_CHUNK);
                let chunk = image.get(*at..end).filter(|chunk| !chunk.is_empty());
                let Some(chunk) = chunk else { return Ok(None) };
                hashers.update(chunk);
                let mut text = buffer();
                text.extend_from_slice(chunk);
                *at = end;
                Ok(Some(take(text)))
            }
        }
    }

    fn finish(self) -> Result<(Digests, BTreeSet<&'static str>), DocumentError> {
        match self {
            Self::Stream { checker, hashers, sent, .. } => {
                checker.finish()?;
                let digests = hashers.finish();
                is_what_was_sent(sent, &digests)?;
                Ok((digests, BTreeSet::new()))
            }
            Self::Whole { hashers, removed, .. } => Ok((hashers.finish(), removed)),
        }
    }
}

fn is_what_was_sent(sent: Option<String>, arrived: &Digests) -> Result<(), DocumentError> {
    match sent {
        Some(sent) if !sent.eq_ignore_ascii_case(&arrived.sha256) => Err(DocumentError::WrongHash),
        _ => Ok(()),
    }
}

/// Content in, sealed chunks out.
struct Pipe {
    content: Content,
    sealer: ObjectSealer,
    key: Ciphertext,
    sealed: Hashers,
    size: u64,
}

/// What is known at its end.
struct End {
    key: Ciphertext,
    size: u64,
    content: Digests,
    sealed: Digests,
    removed: BTreeSet<&'static str>,
}

impl Pipe {
    /// The next sealed chunks; none at the end. Blocks.
    fn batch(mut self) -> Result<(Self, Vec<Bytes>), DocumentError> {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            let Some(text) = self.content.next()? else { break };
            let sealed = self.sealer.seal(text)?;
            self.sealed.update(&sealed);
            batch.push(Bytes::from(sealed));
        }
        scrub_stack();
        Ok((self, batch))
    }

    fn finish(self) -> Result<End, DocumentError> {
        if !self.sealer.is_complete() {
            return Err(DocumentError::DamagedUpload);
        }
        let (content, removed) = self.content.finish()?;
        Ok(End { key: self.key, size: self.size, content, sealed: self.sealed.finish(), removed })
    }
}
