//! The tables, and how a store of an older version becomes one of this.

use rusqlite::{Connection, params};

use crate::error::StoreError;

/// "wbks": tells a key store from other SQLite files.
pub const APPLICATION_ID: i32 = 0x7762_6b73;
/// Version of the schema.
pub const VERSION: i32 = 2;

/// The first schema, whose tables hold the keys. Rows of these are never deleted or moved.
pub const V1_SCHEMA: &str = "
    CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 1), root_key TEXT NOT NULL) STRICT;
    CREATE TABLE tenant_keys (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, version INTEGER NOT NULL, wrapped BLOB NOT NULL,
        UNIQUE (tenant, version)) STRICT;
    CREATE TABLE index_keys (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, version INTEGER NOT NULL, tenant_version INTEGER NOT NULL,
        wrapped BLOB NOT NULL, UNIQUE (tenant, version)) STRICT;
    CREATE TABLE patient_keys (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, patient BLOB NOT NULL, version INTEGER NOT NULL,
        tenant_version INTEGER NOT NULL, wrapped BLOB NOT NULL, UNIQUE (tenant, patient, version)) STRICT;";

/// What the second adds. `tenant_version` of the first stays what it was when the key was made, because a larger number
/// would take a byte more and move the row; what counts is `under`.
///
/// `tenant_wraps`: a tenant key whose new wrapping has another length than the old; the newest counts.
/// `secret_keys`: the keys of secrets of older tenant keys, wrapped under a newer one, so that what they sealed opens when
/// the tenant key itself is destroyed. Its version 0 is the key of digests, once the index key has more than one version.
/// `notes`: where long work stands.
const V2_SCHEMA: &str = "
    CREATE TABLE tenant_wraps (id INTEGER PRIMARY KEY, key INTEGER NOT NULL, wrapped BLOB NOT NULL) STRICT;
    CREATE INDEX tenant_wraps_key ON tenant_wraps (key);
    CREATE TABLE secret_keys (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, version INTEGER NOT NULL, wrapped BLOB NOT NULL,
        UNIQUE (tenant, version)) STRICT;
    CREATE TABLE tenant_key_facts (id INTEGER PRIMARY KEY, made_at INTEGER NOT NULL, state INTEGER NOT NULL) STRICT;
    CREATE TABLE index_key_facts (
        id INTEGER PRIMARY KEY, under INTEGER NOT NULL, made_at INTEGER NOT NULL, state INTEGER NOT NULL) STRICT;
    CREATE TABLE secret_key_facts (id INTEGER PRIMARY KEY, under INTEGER NOT NULL) STRICT;
    CREATE TABLE patient_key_facts (
        id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, under INTEGER NOT NULL, made_at INTEGER NOT NULL,
        state INTEGER NOT NULL, uses INTEGER NOT NULL) STRICT;
    CREATE INDEX patient_keys_under ON patient_key_facts (tenant, under) WHERE state <> 3;
    CREATE INDEX patient_keys_age ON patient_key_facts (tenant, made_at) WHERE state = 0;
    CREATE INDEX patient_keys_uses ON patient_key_facts (tenant, uses) WHERE state = 0 AND uses > 0;
    CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;";

/// Destroyed where all zero; active where newest; else retired.
const FACTS_OF_V1: [&str; 3] = [
    "INSERT INTO tenant_key_facts (id, made_at, state)
     SELECT id, ?1, CASE WHEN version = max(version) OVER (PARTITION BY tenant) THEN 0 ELSE 1 END FROM tenant_keys",
    "INSERT INTO index_key_facts (id, under, made_at, state)
     SELECT id, tenant_version, ?1, CASE WHEN version = max(version) OVER (PARTITION BY tenant) THEN 0 ELSE 1 END
     FROM index_keys",
    "INSERT INTO patient_key_facts (id, tenant, under, made_at, state, uses)
     SELECT id, tenant, tenant_version, ?1, CASE WHEN wrapped = zeroblob(length(wrapped)) THEN 3
        WHEN version = max(version) OVER (PARTITION BY tenant, patient) THEN 0 ELSE 1 END, 0
     FROM patient_keys",
];

/// Makes the tables of a new store.
pub fn create(connection: &mut Connection, root_key: &str) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(V1_SCHEMA)?;
    transaction.execute_batch(V2_SCHEMA)?;
    transaction.execute("INSERT INTO store (id, root_key) VALUES (1, ?1)", [root_key])?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

/// Adds what the second schema has, all or nothing. How old the keys are is not known: they count as made now.
pub fn migrate_from_1(connection: &mut Connection, now: u64) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(V2_SCHEMA)?;
    for facts in FACTS_OF_V1 {
        transaction.execute(facts, params![i64::try_from(now).unwrap_or(i64::MAX)])?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}
