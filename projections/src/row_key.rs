//! How keys of rows are put together: one byte for the table, then fixed-length parts, so that keys sort as wished.

/// A key under construction.
#[derive(Debug, Clone)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// Begins with the table's number, 1 or more: 0 is the view's own header row.
    pub(crate) fn table(table: u8) -> Self {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(table);
        Self(bytes)
    }
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    pub(crate) fn byte(self, byte: u8) -> Self {
        self.bytes(&[byte])
    }
    /// Big-endian, so that keys sort by number.
    pub(crate) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }
    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// The last eight bytes of a key as a number.
pub(crate) fn trailing_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The last sixteen bytes of a key: an id.
pub(crate) fn trailing_id(key: &[u8]) -> Option<[u8; 16]> {
    key.last_chunk::<16>().copied()
}
