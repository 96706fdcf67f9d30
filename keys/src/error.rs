//! What can go wrong with keys. One enum per operation; none of them carries a value or a key.

use std::io;

use wardbook_events::{Field, Group, PatientId};

use crate::root::RootError;

/// The key store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused: disk, permissions, or a damaged file.
    #[error("the key store cannot be read or written: {0}; check disk and permissions, or restore its backup")]
    Sqlite(#[from] rusqlite::Error),
    /// Another process has it.
    #[error("the key store is in use by another process; stop it first or work through the running server")]
    InUse,
    /// The file belongs to another program or a newer version.
    #[error("the file is not a key store of this version; check the configured path")]
    NotAKeyStore,
    /// The store was made under another root key.
    #[error("the key store needs root key {needed}, but {given} was given; put the right root key in place")]
    WrongRootKey {
        /// Id of the root key under which the store was made.
        needed: String,
        /// Id of the root key that was given.
        given: String,
    },
    /// A stored key does not authenticate.
    #[error("the key store is damaged: {what} does not authenticate; restore its backup")]
    Damaged {
        /// Which kind of entry.
        what: &'static str,
    },
    /// The root key provider refused.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Something is wrapped under an older version of the root key.
    #[error("keys are still wrapped under an older version of the root key; rewrap them first")]
    StillNeeded,
    /// The organisation's key was made anew again and again meanwhile.
    #[error("the organisation's key was changed by others again and again; try again")]
    Contended,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random numbers; check that getrandom works here")]
    NoRandomness,
    /// The file of a restored store cannot be made.
    #[error("the file of the key store cannot be made: {0}; nothing may stand in its place")]
    File(io::Error),
    /// The key is gone from the store, but its trace in the rollback journal could not be wiped.
    #[error("the destroyed key's trace could not be wiped from the store's journal: {0}; destroy it again")]
    Wipe(io::Error),
}

/// A patient's key could not be found, made or destroyed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There never was a key for this patient (or not of that version).
    #[error("there is no key for patient {patient}; register the patient first")]
    UnknownKey {
        /// Whose.
        patient: PatientId,
    },
    /// The key was destroyed on purpose: the person is forgotten.
    #[error("the key of patient {patient} was destroyed; what it sealed cannot be opened again")]
    Destroyed {
        /// Whose.
        patient: PatientId,
    },
    /// The store failed.
    #[error(transparent)]
    KeyStore(#[from] StoreError),
}

/// A value could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no key for this patient.
    #[error("there is no key for patient {patient}; register the patient first")]
    UnknownKey {
        /// Whose.
        patient: PatientId,
    },
    /// The key was destroyed.
    #[error("the key of patient {patient} was destroyed; nothing can be sealed for this patient again")]
    Destroyed {
        /// Whose.
        patient: PatientId,
    },
    /// The value has no JSON form. Its content is not repeated here.
    #[error("the value has no json form; only values of the vocabulary can be sealed")]
    NoJson,
    /// The store failed.
    #[error(transparent)]
    KeyStore(#[from] StoreError),
}

/// A sealed value was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The receipt is of another event than the one that the permit was given for.
    #[error("the receipt is not of the event that the permit names; append the access event of this very permit")]
    WrongEvent,
    /// The event does not name this patient.
    #[error("the access event does not name patient {patient}; name every patient whose data is opened")]
    NotCovered {
        /// Whose data was asked for.
        patient: PatientId,
    },
    /// The permit is for another patient.
    #[error("the permit is not for patient {patient}; ask policy for this patient")]
    WrongPatient {
        /// Whose data was asked for.
        patient: PatientId,
    },
    /// The permit is for another organisation.
    #[error("the permit is for another organisation; ask policy within the patient's organisation")]
    WrongTenant,
    /// The permit does not grant the group of this field.
    #[error("the permit does not grant {group}; ask policy for that group")]
    WrongGroup {
        /// The group of the field.
        group: Group,
    },
    /// The permit grants the group, but not this value: it is for another entry, or the field is withheld.
    #[error("the permit does not cover this value of {field}; ask policy for the very entry, or leave the field out")]
    Withheld {
        /// Which field.
        field: Field,
    },
    /// There is no key for this patient, or not of that version.
    #[error("there is no such key of patient {patient}; was the key store restored from an old backup?")]
    UnknownKey {
        /// Whose.
        patient: PatientId,
    },
    /// The key was destroyed: the person is forgotten.
    #[error("the key of patient {patient} was destroyed; what it sealed cannot be opened again")]
    Destroyed {
        /// Whose.
        patient: PatientId,
    },
    /// The version of the key is below the patient's minimum decryption version.
    #[error(
        "version {version} of the key of patient {patient} is disabled; what was current is sealed under a newer one"
    )]
    VersionDisabled {
        /// Whose.
        patient: PatientId,
        /// Which version.
        version: u32,
    },
    /// Not written in a form that this version knows.
    #[error("the sealed value has an unknown form; it was written by a newer version or is damaged")]
    UnknownForm,
    /// Damaged, or moved: from another patient, stream or field.
    #[error("the sealed value does not authenticate; it was damaged or moved from where it was sealed")]
    NotAuthentic,
    /// It opened, but is not a value of the expected type. Its content is not repeated here.
    #[error("the sealed value is not of the expected type; it was written under another schema")]
    WrongType,
    /// The store failed.
    #[error(transparent)]
    KeyStore(#[from] StoreError),
}

/// An object in the store, or a chunk of it, is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// Its end is missing.
    #[error("the object has {found} bytes instead of {expected}: its end is missing; restore it from a backup")]
    Cut {
        /// Bytes as they were written.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// Something was added to it.
    #[error("the object has {found} bytes instead of {expected}: something was added; restore it from a backup")]
    TooLong {
        /// Bytes as they were written.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// A chunk of the same object stands at another place.
    #[error("chunk {of} of the object stands where chunk {chunk} should be; restore it from a backup")]
    Misplaced {
        /// The place.
        chunk: u64,
        /// Where it belongs.
        of: u64,
    },
    /// A chunk does not authenticate: its bytes changed, or it is of another object.
    #[error("chunk {chunk} of the object does not authenticate; restore it from a backup")]
    Damaged {
        /// The place.
        chunk: u64,
    },
    /// A chunk has not the length that belongs to its place, or there is no such place.
    #[error("the chunk has not the length that belongs to its place")]
    WrongSize,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct TokenError(#[from] pub StoreError);

/// A secret that is not PHI could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such key of the organisation.
    #[error("there is no such key of the organisation; was the key store restored from an old backup?")]
    UnknownKey,
    /// Not written in a form that this version knows.
    #[error("the sealed secret has an unknown form; it was written by a newer version or is damaged")]
    UnknownForm,
    /// Damaged, or moved from another organisation, stream or purpose.
    #[error("the sealed secret does not authenticate; it was damaged or moved from where it was sealed")]
    NotAuthentic,
    /// The store failed.
    #[error(transparent)]
    KeyStore(#[from] StoreError),
}

impl From<KeyError> for SealError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::UnknownKey { patient } => Self::UnknownKey { patient },
            KeyError::Destroyed { patient } => Self::Destroyed { patient },
            KeyError::KeyStore(error) => Self::KeyStore(error),
        }
    }
}

impl From<KeyError> for OpenError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::UnknownKey { patient } => Self::UnknownKey { patient },
            KeyError::Destroyed { patient } => Self::Destroyed { patient },
            KeyError::KeyStore(error) => Self::KeyStore(error),
        }
    }
}
