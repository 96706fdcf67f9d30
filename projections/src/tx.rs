//! The changes of one commit: an overlay over the stored rows.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ViewError;
use crate::generation::Generation;

/// The changes of one commit. Reads see them; they reach the store together with the position, or not at all.
#[derive(Debug)]
pub struct Tx<'a> {
    below: &'a Generation,
    rows: HashMap<Vec<u8>, Row>,
    bytes: usize,
}

#[derive(Debug)]
struct Row {
    before: Option<sled::IVec>,
    now: Option<Vec<u8>>,
}

/// One row that a commit changes.
pub(crate) struct Change {
    pub(crate) key: Vec<u8>,
    pub(crate) before: Option<sled::IVec>,
    pub(crate) now: Option<Vec<u8>>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(below: &'a Generation) -> Self {
        Self { below, rows: HashMap::new(), bytes: 0 }
    }

    fn row(&mut self, key: Vec<u8>) -> Result<&mut Row, ViewError> {
        match self.rows.entry(key) {
            Entry::Occupied(row) => Ok(row.into_mut()),
            Entry::Vacant(place) => {
                let before = self.below.get(place.key())?;
                let now = before.as_ref().map(|value| value.to_vec());
                self.bytes += place.key().len() + before.as_ref().map_or(0, |value| value.len());
                Ok(place.insert(Row { before, now }))
            }
        }
    }

    /// The row, if there is one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn get(&mut self, key: Vec<u8>) -> Result<Option<&[u8]>, ViewError> {
        Ok(self.row(key)?.now.as_deref())
    }
    /// Writes the row.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), ViewError> {
        self.bytes += value.len();
        self.row(key)?.now = Some(value);
        Ok(())
    }
    /// Takes the row away.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn remove(&mut self, key: Vec<u8>) -> Result<(), ViewError> {
        self.row(key)?.now = None;
        Ok(())
    }
    /// Changes the row in place; an absent one is empty. What is empty afterwards is stored as empty.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn edit(&mut self, key: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), ViewError> {
        let row = self.row(key)?.now.get_or_insert_default();
        let before = row.len();
        change(row);
        let grown = row.len().saturating_sub(before);
        self.bytes += grown;
        Ok(())
    }
    /// The keys of all rows in `from..to` as this commit leaves them, sorted. For what happens seldom: it walks the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn keys(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Vec<u8>>, ViewError> {
        let mut keys = BTreeSet::new();
        self.below.walk(from, to, false, |key, _| {
            keys.insert(key.to_vec());
            Ok(true)
        })?;
        for (key, row) in self.rows.iter().filter(|(key, _)| key.as_slice() >= from && key.as_slice() < to) {
            match &row.now {
                Some(_) => keys.insert(key.clone()),
                None => keys.remove(key),
            };
        }
        Ok(keys.into_iter().collect())
    }
    /// The row as a typed value.
    ///
    /// # Errors
    /// If the store cannot be read, or the row is not such a value.
    pub fn value<T: DeserializeOwned>(&mut self, key: Vec<u8>) -> Result<Option<T>, ViewError> {
        let view = self.below.view();
        self.get(key)?.map(|bytes| decode(view, bytes)).transpose()
    }
    /// Writes a typed value.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn put_value<T: Serialize>(&mut self, key: Vec<u8>, value: &T) -> Result<(), ViewError> {
        let bytes = encode(self.below.view(), value)?;
        self.put(key, bytes)
    }

    /// Roughly how many bytes have been touched: commits are kept small because sled's batches stop its readers.
    pub(crate) fn size(&self) -> usize {
        self.bytes + self.rows.len() * 32
    }

    /// What really changed, sorted by key.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        let changed = self.rows.into_iter().filter(|(_, row)| row.before.as_deref() != row.now.as_deref());
        let mut changes: Vec<_> = changed.map(|(key, row)| Change { key, before: row.before, now: row.now }).collect();
        changes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        changes
    }
}

/// Rows are JSON: structs write their fields in order and maps are sorted, so equal values have equal bytes.
pub(crate) fn encode<T: Serialize>(view: &'static str, value: &T) -> Result<Vec<u8>, ViewError> {
    serde_json::to_vec(value).map_err(|_| ViewError::damaged(view, "a row cannot be written as json"))
}

/// Reads a row. The parser's message is dropped, as it may quote content.
pub(crate) fn decode<T: DeserializeOwned>(view: &'static str, bytes: &[u8]) -> Result<T, ViewError> {
    serde_json::from_slice(bytes).map_err(|_| ViewError::damaged(view, "a row does not have its shape"))
}
