//! Uploads on their way: whole chunks in one file, what follows the last of them in another, all sealed. How far an upload
//! came is told by the files themselves, so that nothing but a half-written chunk can be lost by a crash.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
use wardbook_events::documents::{self, MediaType};
use wardbook_events::records::{RecordKind, Sensitivity};
use wardbook_events::values::Line;
use wardbook_events::{Ciphertext, PatientId, RecordId, Sealed, TenantId, UserId};
use wardbook_keys::{Keys, OBJECT_CHUNK, ObjectId, ObjectKey, SEALED_CHUNK, Staging};
use wardbook_policy::RecordFacts;
use zeroize::Zeroizing;

use super::error::DocumentError;
use super::{below, content};

/// Bytes that the authenticator adds to what is sealed.
const TAG: usize = SEALED_CHUNK - OBJECT_CHUNK;

/// What is known of an upload; stands in clear but for the words.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose chart it is for.
    pub patient: PatientId,
    /// The document that it is going to be; the upload has the same id.
    pub document: RecordId,
    /// Who uploads.
    pub user: UserId,
    /// What kind of entry.
    pub kind: RecordKind,
    /// Why it is specially protected, if it is.
    pub sensitivity: Vec<Sensitivity>,
    /// The year it belongs to.
    pub year: Option<i16>,
    /// What its bytes are said to be.
    pub media_type: MediaType,
    /// Bytes announced.
    pub size_bytes: u64,
    /// The name that its object will have.
    pub object: String,
    /// The key of the upload, sealed.
    pub key: Ciphertext,
    /// Sealed [`Words`], hex.
    pub words: String,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// What the uploader says of the document.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// What it is.
    pub title: Line,
    /// The name of the file that it came from.
    pub file_name: Option<Line>,
}

impl About {
    /// To what the chunks of the upload are bound.
    #[must_use]
    pub const fn id(&self) -> ObjectId {
        ObjectId { tenant: self.tenant, patient: self.patient, document: self.document, size: self.size_bytes }
    }
    /// For policy: the entry that it is going to be.
    #[must_use]
    pub fn facts(&self) -> RecordFacts {
        let sensitivity = self.sensitivity.clone();
        RecordFacts { record: self.document, kind: self.kind, sensitivity, author: Some(self.user), signed: false }
    }
    /// The upload's key as a sealed value.
    #[must_use]
    pub fn sealed_key(&self) -> Sealed<ObjectKey> {
        let field = documents::key_field(&self.sensitivity);
        Sealed::new(self.tenant, self.patient, documents::sealed_in(self.document), field, self.key.clone())
    }
}

/// All uploads below one directory, and who works on which.
#[derive(Debug)]
pub struct Uploads {
    dir: PathBuf,
    locks: Mutex<std::collections::HashMap<RecordId, Weak<tokio::sync::Mutex<()>>>>,
}

impl Uploads {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, locks: Mutex::default() }
    }

    /// Begins an upload; one of the same id and user is found again, for it was begun by the same request. Blocks.
    ///
    /// # Errors
    /// If it cannot be written, or the id is taken.
    pub fn begin(&self, keys: &Keys, mut about: About, words: &Words) -> Result<About, DocumentError> {
        let dir = below(&self.dir, about.document);
        if let Some(known) = self.about(about.document)? {
            let same = known.user == about.user && known.patient == about.patient;
            return if same { Ok(known) } else { Err(DocumentError::NoUpload) };
        }
        let (key, staging) = keys.new_staging(about.id(), documents::key_field(&about.sensitivity))?;
        let words = serde_json::to_vec(words).map_err(|_| DocumentError::DamagedUpload)?;
        about.key = key.into_ciphertext();
        about.words = hex::encode(staging.seal_about(words)?);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        create(&dir.join("chunks"))?.sync_all()?;
        replace(&dir, "about.json", &serde_json::to_vec(&about).map_err(|_| DocumentError::DamagedUpload)?)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(about)
    }

    /// What is known of an upload. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn about(&self, upload: RecordId) -> Result<Option<About>, DocumentError> {
        match std::fs::read(below(&self.dir, upload).join("about.json")) {
            Ok(json) => Ok(Some(serde_json::from_slice(&json).map_err(|_| DocumentError::DamagedUpload)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every upload. One that cannot be read is passed over. Blocks.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn all(&self) -> Result<Vec<About>, DocumentError> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            match self.about(id) {
                Ok(about) => found.extend(about),
                Err(error) => tracing::warn!(upload = %id, %error, "an upload cannot be read"),
            }
        }
        Ok(found)
    }

    /// Takes an upload, so that nobody else works on it meanwhile.
    ///
    /// # Errors
    /// [`DocumentError::Busy`] if somebody does.
    pub fn take(&self, about: About) -> Result<Upload, DocumentError> {
        let mut locks = self.locks.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = locks.get(&about.document).and_then(Weak::upgrade).unwrap_or_default();
        locks.insert(about.document, Arc::downgrade(&lock));
        let guard = lock.try_lock_owned().map_err(|_| DocumentError::Busy)?;
        Ok(Upload { dir: below(&self.dir, about.document), about, _guard: guard })
    }
}

/// An upload that nobody else works on.
#[derive(Debug)]
pub struct Upload {
    dir: PathBuf,
    /// What is known of it.
    pub about: About,
    _guard: OwnedMutexGuard<()>,
}

impl Upload {
    /// How many bytes are there, for certain. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn offset(&self) -> Result<u64, DocumentError> {
        let chunks = match File::open(self.dir.join("chunks")) {
            Ok(chunks) => chunks,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(DocumentError::NoUpload),
            Err(error) => return Err(error.into()),
        };
        // Chunks may have been written by a request that was cut off: what is told must be on disk.
        chunks.sync_data()?;
        let whole = chunks.metadata()?.len() / SEALED_CHUNK as u64;
        let tail = match std::fs::metadata(tail(&self.dir, whole)) {
            Ok(tail) => tail.len().saturating_sub(TAG as u64),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(whole * OBJECT_CHUNK as u64 + tail)
    }

    /// Goes on where it ended. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn append(self, staging: Staging) -> Result<Appender, DocumentError> {
        let mut chunks = OpenOptions::new().read(true).write(true).open(self.dir.join("chunks"))?;
        let whole = chunks.metadata()?.len() / SEALED_CHUNK as u64;
        // A chunk that was being written when the machine went down.
        chunks.set_len(whole * SEALED_CHUNK as u64)?;
        chunks.seek(SeekFrom::End(0))?;
        let mut buffer = buffer();
        if let Some(sealed) = read_tail(&self.dir, whole)? {
            buffer.extend_from_slice(&staging.open_tail(whole, &sealed)?);
        }
        let start = whole * OBJECT_CHUNK as u64 + buffer.len() as u64;
        Ok(Appender { upload: self, staging, chunks, whole, buffer, start })
    }

    /// What was said of the document. Blocks.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn words(&self, staging: &Staging) -> Result<Words, DocumentError> {
        let sealed = hex::decode(&self.about.words).map_err(|_| DocumentError::DamagedUpload)?;
        serde_json::from_slice(&staging.open_about(&sealed)?).map_err(|_| DocumentError::DamagedUpload)
    }

    /// Reads it from the beginning. Blocks.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn read(&self, staging: Staging) -> Result<Source, DocumentError> {
        let chunks = File::open(self.dir.join("chunks"))?;
        let whole = chunks.metadata()?.len() / SEALED_CHUNK as u64;
        Ok(Source { staging, chunks, whole, next: 0, tail: read_tail(&self.dir, whole)? })
    }

    /// Throws it away. Blocks.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn discard(self) -> Result<(), DocumentError> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Adds to an upload.
pub struct Appender {
    upload: Upload,
    staging: Staging,
    chunks: File,
    whole: u64,
    buffer: Zeroizing<Vec<u8>>,
    start: u64,
}

impl Appender {
    /// What is known of the upload.
    #[must_use]
    pub const fn about(&self) -> &About {
        &self.upload.about
    }
    /// How far it had come.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }
    /// How far it has come.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.whole * OBJECT_CHUNK as u64 + self.buffer.len() as u64
    }

    /// Takes in bytes; whole chunks are sealed and written. Blocks.
    ///
    /// # Errors
    /// If there are more than announced, or the beginning is not what the document was said to be.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), DocumentError> {
        let size = self.upload.about.size_bytes;
        if self.offset().saturating_add(bytes.len() as u64) > size {
            return Err(DocumentError::TooMuch { size });
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(OBJECT_CHUNK - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == OBJECT_CHUNK {
                self.look()?;
                let full = std::mem::replace(&mut self.buffer, buffer());
                self.chunks.write_all(&self.staging.seal(self.whole, take(full))?)?;
                self.whole += 1;
            }
        }
        Ok(())
    }

    /// What is plainly something else is refused with its first piece, not after a hundred megabytes.
    fn look(&self) -> Result<(), DocumentError> {
        let enough = self.buffer.len() >= content::HEAD || self.offset() == self.upload.about.size_bytes;
        if self.whole == 0 && enough {
            let head = self.buffer.get(..content::HEAD).unwrap_or(&self.buffer);
            content::check_head(self.upload.about.media_type, head)?;
        }
        Ok(())
    }

    /// Makes everything durable and tells how far it came. Blocks.
    ///
    /// # Errors
    /// If the disk fails, or as [`Appender::push`].
    pub fn finish(mut self) -> Result<u64, DocumentError> {
        self.look()?;
        self.chunks.sync_data()?;
        let (offset, dir) = (self.offset(), &self.upload.dir);
        if !self.buffer.is_empty() {
            let text = std::mem::replace(&mut self.buffer, buffer());
            let sealed = self.staging.seal_tail(self.whole, take(text))?;
            replace(dir, &format!("tail-{}", self.whole), &sealed)?;
        }
        // The tail of before stands in a chunk now.
        let before = self.start / OBJECT_CHUNK as u64;
        if before < self.whole {
            match std::fs::remove_file(tail(dir, before)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(offset)
    }
}

/// The content of an upload, chunk by chunk.
pub struct Source {
    staging: Staging,
    chunks: File,
    whole: u64,
    next: u64,
    tail: Option<Vec<u8>>,
}

impl Source {
    /// The next chunk; all but the last are whole.
    pub fn next(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, DocumentError> {
        if self.next < self.whole {
            let mut sealed = vec![0; SEALED_CHUNK];
            self.chunks.read_exact(&mut sealed)?;
            let chunk = self.staging.open(self.next, &sealed)?;
            self.next += 1;
            return Ok(Some(chunk));
        }
        let Some(tail) = self.tail.take() else { return Ok(None) };
        Ok(Some(self.staging.open_tail(self.whole, &tail)?))
    }
}

/// Room for a chunk with its authenticator, so that sealing in place moves nothing.
pub fn buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(SEALED_CHUNK))
}

/// The bytes themselves, to be sealed where they are.
pub fn take(mut text: Zeroizing<Vec<u8>>) -> Vec<u8> {
    std::mem::take(&mut *text)
}

fn tail(dir: &Path, whole: u64) -> PathBuf {
    dir.join(format!("tail-{whole}"))
}

fn read_tail(dir: &Path, whole: u64) -> Result<Option<Vec<u8>>, DocumentError> {
    match std::fs::read(tail(dir, whole)) {
        Ok(sealed) => Ok(Some(sealed)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
}

/// Written beside and moved, so that there is never half a file.
fn replace(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let draft = dir.join(format!("{name}.new"));
    let mut file = create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, dir.join(name))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
#[path = "staging_tests.rs"]
mod tests;
