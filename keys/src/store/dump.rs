//! The key store as it is, for its backup: every row of every table, wrapped as they stand.
//!
//! It is read row by row and not as SQLite's file, whose free pages may hold what was overwritten elsewhere, and it knows no
//! table by name but that of patients' keys, so that it goes along when the schema changes.
//!
//! ```text
//! "WBKD1\n", application id, user version (u32), then records:
//! 's' statement     of the schema, text
//! 't' table         name, number of columns (u32), their names
//! 'r' row           of the last table: a value for each column
//! value             'n', 'i' i64, 'f' f64, 't' text, 'b' bytes
//! text, bytes       length (u32), content
//! ```

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use wardbook_events::{PatientId, TenantId};
use zeroize::Zeroizing;

use super::Store;
use crate::error::StoreError;

const MAGIC: &[u8; 6] = b"WBKD1\n";
const DAMAGED: StoreError = StoreError::Damaged { what: "its backup" };

/// How a patient's keys stand in a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There are keys.
    Kept,
    /// They were destroyed.
    Destroyed,
}

/// All rows of a key store. Wrapped keys only, but wiped when dropped all the same.
pub struct KeyDump {
    bytes: Zeroizing<Vec<u8>>,
    rows: u64,
}

impl Store {
    /// Reads every row. Callers serialise access, so nothing changes meanwhile.
    pub fn dump(&self) -> Result<KeyDump, StoreError> {
        let of = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 << 20));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&of("application_id")?.to_be_bytes());
        bytes.extend_from_slice(&of("user_version")?.to_be_bytes());
        let mut tables: Vec<String> = Vec::new();
        let sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
        let mut schema = self.connection.prepare(sql)?;
        let mut rows = schema.query([])?;
        while let Some(row) = rows.next()? {
            let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            bytes.push(b's');
            text(&mut bytes, sql.as_bytes())?;
            if kind == "table" {
                tables.push(name);
            }
        }
        let mut count = 0;
        for table in tables {
            count += self.dump_table(&table, &mut bytes)?;
        }
        Ok(KeyDump { bytes, rows: count })
    }

    fn dump_table(&self, table: &str, bytes: &mut Vec<u8>) -> Result<u64, StoreError> {
        // The name stands in our own schema.
        let mut statement = self.connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        bytes.push(b't');
        text(bytes, table.as_bytes())?;
        bytes.extend_from_slice(&u32::try_from(names.len()).map_err(|_| DAMAGED)?.to_be_bytes());
        names.iter().try_for_each(|name| text(bytes, name.as_bytes()))?;
        let mut rows = statement.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            bytes.push(b'r');
            for column in 0..names.len() {
                value(bytes, row.get_ref(column)?)?;
            }
            count += 1;
        }
        Ok(count)
    }
}

impl KeyDump {
    /// The bytes to be sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many rows there are.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// From the bytes of a backup.
    ///
    /// # Errors
    /// If they are not a dump.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut rows = 0;
        read(bytes, &mut |record| {
            rows += u64::from(matches!(record, Record::Row { .. }));
            Ok(())
        })?;
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()), rows })
    }

    /// Writes a key store (mode 0600) where there is none.
    ///
    /// # Errors
    /// If there is a file, or the disk fails.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        made.map_err(StoreError::File)?;
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "DELETE")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        let transaction = connection.transaction()?;
        let (application, version) = read(&self.bytes, &mut |record| match record {
            Record::Statement(sql) => Ok(transaction.execute_batch(sql)?),
            Record::Table => Ok(()),
            Record::Row { table, values, .. } => {
                let marks = vec!["?"; values.len()].join(", ");
                let mut insert = transaction.prepare_cached(&format!("INSERT INTO \"{table}\" VALUES ({marks})"))?;
                insert.execute(params_from_iter(values))?;
                Ok(())
            }
        })?;
        transaction.pragma_update(None, "application_id", application)?;
        transaction.pragma_update(None, "user_version", version)?;
        Ok(transaction.commit()?)
    }

    /// How the keys of each patient stand.
    ///
    /// # Errors
    /// If this is no dump of a key store that we know.
    pub fn patients(&self) -> Result<BTreeMap<(TenantId, PatientId), Standing>, StoreError> {
        let mut found = BTreeMap::new();
        read(&self.bytes, &mut |record| {
            let Record::Row { table: "patient_keys", columns, values } = record else { return Ok(()) };
            let of = |name: &str| columns.iter().position(|column| column == name).and_then(|at| values.get(at));
            let bytes = |name: &str| match of(name) {
                Some(Value::Blob(bytes)) => Ok(bytes.as_slice()),
                _ => Err(DAMAGED),
            };
            let id = |name: &str| <[u8; 16]>::try_from(bytes(name)?).map_err(|_| DAMAGED);
            let key = (TenantId::from_bytes(id("tenant")?), PatientId::from_bytes(id("patient")?));
            let wrapped = bytes("wrapped")?;
            let destroyed = !wrapped.is_empty() && wrapped.iter().all(|byte| *byte == 0);
            let standing = found.entry(key).or_insert(Standing::Kept);
            if destroyed {
                *standing = Standing::Destroyed;
            }
            Ok(())
        })?;
        Ok(found)
    }
}

impl std::fmt::Debug for KeyDump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyDump({} rows)", self.rows)
    }
}

fn text(bytes: &mut Vec<u8>, content: &[u8]) -> Result<(), StoreError> {
    bytes.extend_from_slice(&u32::try_from(content.len()).map_err(|_| DAMAGED)?.to_be_bytes());
    bytes.extend_from_slice(content);
    Ok(())
}

fn value(bytes: &mut Vec<u8>, value: ValueRef<'_>) -> Result<(), StoreError> {
    match value {
        ValueRef::Null => bytes.push(b'n'),
        ValueRef::Integer(number) => {
            bytes.push(b'i');
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        ValueRef::Real(number) => {
            bytes.push(b'f');
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        ValueRef::Text(content) => {
            bytes.push(b't');
            text(bytes, content)?;
        }
        ValueRef::Blob(content) => {
            bytes.push(b'b');
            text(bytes, content)?;
        }
    }
    Ok(())
}

enum Record<'r> {
    Statement(&'r str),
    Table,
    Row { table: &'r str, columns: &'r [String], values: Vec<Value> },
}

/// Hands every record on; the application id and the user version.
fn read(bytes: &[u8], take: &mut dyn FnMut(Record<'_>) -> Result<(), StoreError>) -> Result<(u32, u32), StoreError> {
    let mut reader = Reader(bytes.strip_prefix(MAGIC.as_slice()).ok_or(DAMAGED)?);
    let head = (reader.number()?, reader.number()?);
    let (mut table, mut columns): (&str, Vec<String>) = ("", Vec::new());
    while let Some(kind) = reader.byte() {
        match kind {
            b's' => take(Record::Statement(reader.text()?))?,
            b't' => {
                table = reader.text()?;
                let count = reader.number()?;
                columns = (0..count).map(|_| reader.text().map(str::to_owned)).collect::<Result<_, _>>()?;
                take(Record::Table)?;
            }
            b'r' => {
                let values = columns.iter().map(|_| reader.value()).collect::<Result<_, _>>()?;
                take(Record::Row { table, columns: &columns, values })?;
            }
            _ => return Err(DAMAGED),
        }
    }
    Ok(head)
}

struct Reader<'r>(&'r [u8]);

impl<'r> Reader<'r> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(*first)
    }
    fn number(&mut self) -> Result<u32, StoreError> {
        self.fixed().map(u32::from_be_bytes)
    }
    fn bytes(&mut self) -> Result<&'r [u8], StoreError> {
        let length = usize::try_from(self.number()?).map_err(|_| DAMAGED)?;
        let (content, rest) = self.0.split_at_checked(length).ok_or(DAMAGED)?;
        self.0 = rest;
        Ok(content)
    }
    fn text(&mut self) -> Result<&'r str, StoreError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DAMAGED)
    }
    fn value(&mut self) -> Result<Value, StoreError> {
        Ok(match self.byte().ok_or(DAMAGED)? {
            b'n' => Value::Null,
            b'i' => Value::Integer(self.fixed().map(i64::from_be_bytes)?),
            b'f' => Value::Real(self.fixed().map(f64::from_be_bytes)?),
            b't' => Value::Text(self.text()?.to_owned()),
            b'b' => Value::Blob(self.bytes()?.to_vec()),
            _ => return Err(DAMAGED),
        })
    }
}
