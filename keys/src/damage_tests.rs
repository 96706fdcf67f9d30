//! A flipped bit in any wrapped key of the store gives an error with a name, and never something else than was sealed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rusqlite::{Connection, params};
use wardbook_events::values::Ssn;
use wardbook_events::{Field, PatientId, Sealed, TenantId, Token};
use zeroize::Zeroizing;

use crate::{
    Keys, KeysConfig, OpenError, RootError, RootKey, RootKeyProvider, RootVersion, SearchValues, SecretError,
    StoreError, TokenError,
};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const PATIENT: PatientId = PatientId::from_bytes([7; 16]);
const PAD: u8 = 0xEE;
/// Every table that holds wrapped keys.
const TABLES: [&str; 5] = ["tenant_keys", "tenant_wraps", "index_keys", "secret_keys", "patient_keys"];

/// A root key whose wrappings can be of another length, as those of a remote provider can: they go to a table of their own.
#[derive(Clone)]
struct Growing {
    root: Arc<RootKey>,
    pads: Arc<AtomicU8>,
}

impl Growing {
    fn inner(wrapped: &[u8]) -> Result<&[u8], RootError> {
        let (pads, rest) = wrapped.split_last().ok_or(RootError::NotAuthentic)?;
        let (inner, padding) =
            rest.len().checked_sub((*pads).into()).map(|at| rest.split_at(at)).ok_or(RootError::NotAuthentic)?;
        if padding.iter().all(|byte| *byte == PAD) { Ok(inner) } else { Err(RootError::NotAuthentic) }
    }
}

impl RootKeyProvider for Growing {
    fn id(&self) -> String {
        self.root.id()
    }
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        let pads = self.pads.load(Ordering::Relaxed);
        let padding = vec![PAD; pads.into()];
        Ok([self.root.wrap(context, key)?, padding, vec![pads]].concat())
    }
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        self.root.unwrap(context, Self::inner(wrapped)?)
    }
    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.root.newest_version()
    }
    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        self.root.version_of(Self::inner(wrapped)?)
    }
    fn rotate(&self) -> Result<RootVersion, RootError> {
        self.root.rotate()
    }
    fn retire_before(&self, version: &RootVersion) -> Result<(), RootError> {
        self.root.retire_before(version)
    }
}

/// A store with rows in every table, and what was sealed with its keys.
struct House {
    dir: tempfile::TempDir,
    root: Growing,
    names: Vec<(String, Sealed<String>)>,
    secrets: Vec<(&'static str, wardbook_events::Ciphertext)>,
    tokens: Vec<Token>,
    digest: String,
}

impl House {
    fn new() -> Self {
        let root = Growing { root: Arc::new(RootKey::ephemeral().unwrap()), pads: Arc::default() };
        let dir = tempfile::tempdir().unwrap();
        let keys = open(dir.path(), &root).unwrap();
        keys.create_patient_key(TENANT, PATIENT).unwrap();
        let name = |text: &str| {
            let text = text.to_owned();
            let sealed = keys.seal(TENANT, PATIENT, "s", Field::Name, &text).unwrap();
            (text, sealed)
        };
        let secret = |text: &'static str| (text, keys.seal_secret(TENANT, "s", "totp", text.as_bytes()).unwrap());
        let (mut names, mut secrets) = (vec![name("Ada")], vec![secret("one")]);
        keys.rotate_tenant_key(TENANT).unwrap();
        keys.rotate_patient_key(TENANT, PATIENT).unwrap();
        names.push(name("Grace"));
        secrets.push(secret("two"));
        let (tokens, digest) = (tokens(&keys).unwrap(), keys.command_digest(TENANT, b"command").unwrap());
        House { dir, root, names, secrets, tokens, digest }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("keys.db")
    }

    /// Wraps the organisation's keys anew, longer than before.
    fn grow(&self) {
        let keys = open(self.dir.path(), &self.root).unwrap();
        self.root.pads.store(5, Ordering::Relaxed);
        keys.rotate_root_key().unwrap();
        assert_eq!(keys.rewrap_tenant_keys(TENANT).unwrap(), 2);
    }

    /// The wrapped keys of a table that are not wiped.
    fn rows(&self, table: &str) -> Vec<(i64, Vec<u8>)> {
        let store = Connection::open(self.path()).unwrap();
        let mut rows = store.prepare(&format!("SELECT id, wrapped FROM {table} ORDER BY id")).unwrap();
        let rows: Vec<(i64, Vec<u8>)> =
            rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        rows.into_iter().filter(|(_, wrapped)| wrapped.iter().any(|byte| *byte != 0)).collect()
    }

    fn put(&self, table: &str, id: i64, wrapped: &[u8]) {
        let store = Connection::open(self.path()).unwrap();
        let put = store.execute(&format!("UPDATE {table} SET wrapped = ?2 WHERE id = ?1"), params![id, wrapped]);
        assert_eq!(put.unwrap(), 1);
    }

    /// Opens everything; gives how much of it was refused by name. What opens is what was sealed.
    fn refused(&self, at: &str) -> usize {
        let keys = match open(self.dir.path(), &self.root) {
            Ok(keys) => keys,
            Err(error) => return usize::from(named(&error, at)),
        };
        let mut refused = 0;
        for (text, sealed) in &self.names {
            match keys.unseal(sealed) {
                Ok(opened) => assert_eq!(opened, *text, "{at}"),
                Err(OpenError::KeyStore(error)) => refused += usize::from(named(&error, at)),
                Err(error) => panic!("{at}: {error}"),
            }
        }
        for (text, sealed) in &self.secrets {
            match keys.open_secret(TENANT, "s", "totp", sealed) {
                Ok(opened) => assert_eq!(opened.as_slice(), text.as_bytes(), "{at}"),
                Err(SecretError::KeyStore(error)) => refused += usize::from(named(&error, at)),
                Err(error) => panic!("{at}: {error}"),
            }
        }
        match tokens(&keys) {
            Ok(tokens) => assert_eq!(tokens, self.tokens, "{at}"),
            Err(TokenError(error)) => refused += usize::from(named(&error, at)),
        }
        match keys.command_digest(TENANT, b"command") {
            Ok(digest) => assert_eq!(digest, self.digest, "{at}"),
            Err(TokenError(error)) => refused += usize::from(named(&error, at)),
        }
        refused
    }
}

fn open(dir: &Path, root: &Growing) -> Result<Keys, StoreError> {
    Keys::open_store(KeysConfig::new(dir.join("keys.db"), root.clone()))
}

fn tokens(keys: &Keys) -> Result<Vec<Token>, TokenError> {
    let values = SearchValues { ssn: Some(Ssn::new("123-45-6789").unwrap()), ..SearchValues::default() };
    Ok(keys.tokens(TENANT, &values)?.into_iter().collect())
}

/// The store or the root key says what does not authenticate; a version that is not there is such a name as well.
#[track_caller]
fn named(error: &StoreError, at: &str) -> bool {
    let fine = matches!(
        error,
        StoreError::Damaged { .. } | StoreError::Root(RootError::NotAuthentic | RootError::Disabled { .. })
    );
    assert!(fine, "{at}: {error}");
    true
}

#[test]
fn every_wrapped_key_of_every_table_is_told_when_a_bit_of_it_is_flipped() {
    let house = House::new();
    let mut seen = Vec::new();
    for grown in [false, true] {
        if grown {
            house.grow();
        }
        assert_eq!(house.refused("whole"), 0);
        for table in TABLES {
            let rows = house.rows(table);
            seen.extend(rows.first().map(|_| table));
            for (id, wrapped) in rows {
                for byte in (0..wrapped.len()).step_by(7).chain([wrapped.len() - 1]) {
                    let mut flipped = wrapped.clone();
                    flipped[byte] ^= 1 << (byte % 8);
                    house.put(table, id, &flipped);
                    let at = format!("{table} {id}, byte {byte}");
                    assert!(house.refused(&at) > 0, "{at}: nobody noticed");
                }
                for length in [0, 1, 15, 16, wrapped.len() - 1] {
                    house.put(table, id, &wrapped[..length]);
                    let at = format!("{table} {id}, cut to {length}");
                    assert!(house.refused(&at) > 0, "{at}: nobody noticed");
                }
                house.put(table, id, &wrapped);
            }
        }
        assert_eq!(house.refused("whole again"), 0);
    }
    for table in TABLES {
        assert!(seen.contains(&table), "{table} has no wrapped key in this test");
    }
}
