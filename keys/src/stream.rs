//! Sealing what is too large to be sealed whole: the objects of documents, chunk by chunk.
//!
//! Every object has a random key of its own, and that key is sealed like any other field of the patient. A chunk is sealed
//! with AES-256-SIV and bound to organisation, patient, document, the object's size, its own place and whether it is the
//! last (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, 2015): so an object that was cut, extended,
//! shuffled or mixed with another opens nowhere, and any chunk can be opened without those before it.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use wardbook_events::{Field, PatientId, RecordId, Sealed, TenantId, documents};
use wardbook_ledger::Receipt;
use wardbook_policy::{Action, Permit};
use zeroize::Zeroizing;

use crate::error::{ObjectError, OpenError, SealError};
use crate::keys::Keys;
use crate::material::{NotAuthentic, Secret, SivKey, TAG, derive};
use crate::open;

#[cfg(test)]
mod tests;

/// How chunks are sealed, as events name it (`object.form`).
pub const OBJECT_FORM: u16 = 1;
/// Bytes of content in a chunk; the last one may have fewer.
pub const OBJECT_CHUNK: usize = 256 * 1024;
/// Bytes of a whole chunk as it lies in the store.
pub const SEALED_CHUNK: usize = OBJECT_CHUNK + TAG;

/// Which object it is: all that its chunks are bound to besides their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectId {
    /// The organisation.
    pub tenant: TenantId,
    /// Whose chart it is in.
    pub patient: PatientId,
    /// The document.
    pub document: RecordId,
    /// Bytes of content.
    pub size: u64,
}

const fn wide(bytes: usize) -> u64 {
    bytes as u64
}

impl ObjectId {
    /// Chunks: one for an empty object too, so that there is something to authenticate.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        let chunks = self.size.div_ceil(wide(OBJECT_CHUNK));
        if chunks == 0 { 1 } else { chunks }
    }
    /// Bytes in the store.
    #[must_use]
    pub const fn sealed_size(&self) -> u64 {
        self.size + self.chunks() * wide(TAG)
    }
    /// Bytes of content in a chunk; none beyond the last.
    #[must_use]
    pub fn chunk_size(&self, index: u64) -> usize {
        let before = index.saturating_mul(wide(OBJECT_CHUNK));
        usize::try_from(self.size.saturating_sub(before)).unwrap_or(usize::MAX).min(OBJECT_CHUNK)
    }
    /// Says whether the store has as many bytes as were written.
    ///
    /// # Errors
    /// [`ObjectError::Cut`] or [`ObjectError::TooLong`].
    pub const fn check_length(&self, found: u64) -> Result<(), ObjectError> {
        let expected = self.sealed_size();
        if found < expected {
            return Err(ObjectError::Cut { expected, found });
        }
        if found > expected { Err(ObjectError::TooLong { expected, found }) } else { Ok(()) }
    }
    fn sealed<T>(&self, field: Field, of: &Sealed<T>) -> Sealed<T> {
        Sealed::new(self.tenant, self.patient, documents::sealed_in(self.document), field, of.ciphertext().clone())
    }
}

/// The key of one object: 32 random bytes. Only this crate can look into it.
pub struct ObjectKey(Secret<32>);

impl Serialize for ObjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.bytes())))
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: &str = Deserialize::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
        let secret = bytes.ok().and_then(|bytes| Secret::copy_of(&bytes));
        secret.map(Self).ok_or_else(|| de::Error::custom("not the key of an object"))
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectKey(..)")
    }
}

/// What a chunk belongs to. Chunks of one phase open in no other, although the document is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Of an object in the store.
    Stored,
    /// Of an upload that is not finished.
    Staged,
    /// The part of an upload after its last whole chunk.
    Tail,
    /// What an upload says of itself.
    About,
}

/// The derived key with what it is bound to. Clones share the key.
#[derive(Clone)]
struct Chunks {
    id: ObjectId,
    key: Arc<SivKey>,
}

impl Chunks {
    fn new(id: ObjectId, key: &ObjectKey) -> Self {
        Self { id, key: Arc::new(SivKey::new(derive(key.0.bytes(), b"", &[b"wardbook 2026 seals objects"]))) }
    }

    /// Runs `with` on the context of a chunk: strings of fixed length, so that none runs into the next.
    fn bound<T>(&self, phase: Phase, index: u64, with: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (phase, form) = ([phase as u8], OBJECT_FORM.to_be_bytes());
        let (size, place, last) = (self.id.size.to_be_bytes(), index.to_be_bytes(), [u8::from(self.is_last(index))]);
        let ObjectId { tenant, patient, document, .. } = &self.id;
        let ids: [&[u8]; 3] = [tenant.bytes(), patient.bytes(), document.bytes()];
        let [tenant, patient, document] = ids;
        with(&[b"wardbook 2026 object chunk", &form, &phase, tenant, patient, document, &size, &place, &last])
    }

    const fn is_last(&self, index: u64) -> bool {
        index + 1 == self.id.chunks()
    }

    /// Seals in place and puts the authenticator after the text. The key is random and no place is sealed twice with
    /// different content in one phase but the tail, which SIV allows, so no nonce is needed (RFC 5297 section 1.3.1).
    fn seal(&self, phase: Phase, index: u64, mut text: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
        // Fails only for more than 126 strings of context; there are nine.
        let tag = self.bound(phase, index, |context| self.key.encrypt(context, &mut text));
        text.extend_from_slice(&tag.map_err(|NotAuthentic| ObjectError::WrongSize)?);
        Ok(text)
    }

    fn open(&self, phase: Phase, index: u64, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (text, tag) = sealed.split_last_chunk::<TAG>()?;
        let (mut text, tag) = (Zeroizing::new(text.to_vec()), *tag);
        self.bound(phase, index, |context| self.key.decrypt(context, tag, &mut text)).ok()?;
        Some(text)
    }
}

/// Seals the chunks of one object, in order. It can open nothing.
pub struct ObjectSealer {
    chunks: Chunks,
    next: u64,
}

impl ObjectSealer {
    /// Seals the next chunk in place. Give the vector room for 16 bytes more, or a copy of the text stays behind in memory.
    ///
    /// # Errors
    /// If it has not as many bytes as the chunk at this place must have.
    pub fn seal(&mut self, text: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
        if self.next >= self.chunks.id.chunks() || text.len() != self.chunks.id.chunk_size(self.next) {
            return Err(ObjectError::WrongSize);
        }
        let sealed = self.chunks.seal(Phase::Stored, self.next, text)?;
        self.next += 1;
        Ok(sealed)
    }
    /// Whether every chunk was sealed.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.next == self.chunks.id.chunks()
    }
}

/// Opens the chunks of one object, in any order.
#[derive(Clone)]
pub struct ObjectOpener(Chunks);

impl ObjectOpener {
    /// Which object.
    #[must_use]
    pub const fn id(&self) -> ObjectId {
        self.0.id
    }
    /// Opens the chunk that was read from this place.
    ///
    /// # Errors
    /// Which way it is not what was written there.
    pub fn open(&self, index: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ObjectError> {
        if index >= self.0.id.chunks() || sealed.len() != self.0.id.chunk_size(index) + TAG {
            return Err(ObjectError::WrongSize);
        }
        self.0.open(Phase::Stored, index, sealed).ok_or_else(|| self.why(index, sealed))
    }
    /// Only for the error's name: a whole chunk that opens at another place was moved there.
    fn why(&self, index: u64, sealed: &[u8]) -> ObjectError {
        let fits = |other: &u64| self.0.id.chunk_size(*other) + TAG == sealed.len() && *other != index;
        let opens = |other: &u64| self.0.open(Phase::Stored, *other, sealed).is_some();
        match (0..self.0.id.chunks()).filter(fits).find(opens) {
            Some(of) => ObjectError::Misplaced { chunk: index, of },
            None => ObjectError::Damaged { chunk: index },
        }
    }
}

/// An upload that is not finished: what came so far lies sealed, and only who may add this very document reads it back.
/// What is sealed here opens only here: a stored object does not.
pub struct Staging(Chunks);

impl Staging {
    /// Seals a whole chunk.
    ///
    /// # Errors
    /// None that content could cause.
    pub fn seal(&self, index: u64, text: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
        self.0.seal(Phase::Staged, index, text)
    }
    /// Opens a whole chunk.
    ///
    /// # Errors
    /// If it is not what was sealed at this place.
    pub fn open(&self, index: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ObjectError> {
        self.0.open(Phase::Staged, index, sealed).ok_or(ObjectError::Damaged { chunk: index })
    }
    /// Seals what came after the last whole chunk.
    ///
    /// # Errors
    /// None that content could cause.
    pub fn seal_tail(&self, index: u64, text: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
        self.0.seal(Phase::Tail, index, text)
    }
    /// Opens it.
    ///
    /// # Errors
    /// If it is not what was sealed at this place.
    pub fn open_tail(&self, index: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ObjectError> {
        self.0.open(Phase::Tail, index, sealed).ok_or(ObjectError::Damaged { chunk: index })
    }
}

impl Staging {
    /// Seals what the upload says of itself, such as its title.
    ///
    /// # Errors
    /// None that content could cause.
    pub fn seal_about(&self, text: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
        self.0.seal(Phase::About, 0, text)
    }
    /// Opens it.
    ///
    /// # Errors
    /// If it is not what was sealed.
    pub fn open_about(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, ObjectError> {
        self.0.open(Phase::About, 0, sealed).ok_or(ObjectError::Damaged { chunk: 0 })
    }
}

impl Keys {
    /// A key for a new object, sealed under the patient's newest key as this field (`document.key` or its sensitive twin),
    /// and what seals the chunks.
    ///
    /// # Errors
    /// As [`Keys::seal`].
    pub fn new_object(&self, id: ObjectId, field: Field) -> Result<(Sealed<ObjectKey>, ObjectSealer), SealError> {
        let (sealed, chunks) = self.new_chunks(id, field)?;
        Ok((sealed, ObjectSealer { chunks, next: 0 }))
    }

    /// A key for a new upload, sealed like that of an object.
    ///
    /// # Errors
    /// As [`Keys::seal`].
    pub fn new_staging(&self, id: ObjectId, field: Field) -> Result<(Sealed<ObjectKey>, Staging), SealError> {
        let (sealed, chunks) = self.new_chunks(id, field)?;
        Ok((sealed, Staging(chunks)))
    }

    fn new_chunks(&self, id: ObjectId, field: Field) -> Result<(Sealed<ObjectKey>, Chunks), SealError> {
        let key = ObjectKey(Secret::random()?);
        let sealed = self.seal(id.tenant, id.patient, &documents::sealed_in(id.document), field, &key)?;
        Ok((sealed, Chunks::new(id, &key)))
    }

    /// Opens an object for the holder of a permit, once the event that tells of it is durable: the same checks as
    /// [`Keys::open`], on the object's sealed key. It opens nothing but the object `id`, whatever the caller says.
    ///
    /// # Errors
    /// As [`Keys::open`].
    pub fn open_object(
        &self,
        permit: &Permit,
        receipt: &Receipt,
        id: ObjectId,
        sealed: &Sealed<ObjectKey>,
    ) -> Result<ObjectOpener, OpenError> {
        let key = self.open(permit, receipt, &id.sealed(sealed.field(), sealed))?;
        Ok(ObjectOpener(Chunks::new(id, &key)))
    }

    /// Takes up an upload again. There is no receipt yet, because the document is in no chart; in its place stands the
    /// permit to add this very document, and what comes out is what its uploader sent.
    ///
    /// # Errors
    /// If the permit is for something else, or the key does not open.
    pub fn open_staging(
        &self,
        permit: &Permit,
        id: ObjectId,
        sealed: &Sealed<ObjectKey>,
    ) -> Result<Staging, OpenError> {
        let sealed = id.sealed(sealed.field(), sealed);
        open::check_place(permit, &sealed)?;
        if permit.action() != Action::AddRecord || permit.record() != Some(id.document) {
            return Err(OpenError::Withheld { field: sealed.field() });
        }
        Ok(Staging(Chunks::new(id, &self.unseal(&sealed)?)))
    }
}

impl fmt::Debug for ObjectSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectSealer({} of {})", self.next, self.chunks.id.chunks())
    }
}

impl fmt::Debug for ObjectOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectOpener({} bytes)", self.0.id.size)
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Staging({} bytes)", self.0.id.size)
    }
}
