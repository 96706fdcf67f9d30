//! The store by itself: a store of the first schema, rows that stay where they are, and what a fault leaves behind.

use std::cell::Cell;
use std::path::Path;

use rusqlite::{Connection, params};

use super::*;
use wardbook_events::{PatientId, TenantId};

fn tenant() -> TenantId {
    TenantId::from_bytes([1; 16])
}
fn patient(n: u8) -> PatientId {
    PatientId::from_bytes([n; 16])
}

/// A store as version 1 of the schema left it: two versions of one key, one destroyed key, one living.
fn store_of_version_1(path: &Path) {
    let store = Connection::open(path).unwrap();
    store.execute_batch(V1_SCHEMA).unwrap();
    store.execute_batch("INSERT INTO store (id, root_key) VALUES (1, 'root')").unwrap();
    store.pragma_update(None, "application_id", schema::APPLICATION_ID).unwrap();
    store.pragma_update(None, "user_version", 1).unwrap();
    let t = tenant();
    store.execute("INSERT INTO tenant_keys VALUES (1, ?1, 1, ?2)", params![t.bytes(), [1u8; 48]]).unwrap();
    store.execute("INSERT INTO index_keys VALUES (1, ?1, 1, 1, ?2)", params![t.bytes(), [2u8; 48]]).unwrap();
    for (n, version, byte) in [(1, 1, 3u8), (1, 2, 4), (2, 1, 0), (3, 1, 5)] {
        store
            .execute(
                "INSERT INTO patient_keys (tenant, patient, version, tenant_version, wrapped) VALUES (?1, ?2, ?3, 1, ?4)",
                params![t.bytes(), patient(n).bytes(), version, [byte; 304]],
            )
            .unwrap();
    }
}

#[test]
fn a_store_of_the_first_schema_becomes_one_of_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.db");
    store_of_version_1(&path);
    for _ in 0..2 {
        let store = Store::open(&path, "root", 1_000).unwrap();
        let states = |n| -> Vec<_> {
            let keys = store.patient_keys(tenant(), patient(n)).unwrap();
            keys.into_iter().map(|key| (key.version, key.under, key.state, key.made_at)).collect()
        };
        assert_eq!(states(1), [(1, 1, KeyState::Retired, 1_000), (2, 1, KeyState::Active, 1_000)]);
        assert_eq!(states(2), [(1, 1, KeyState::Destroyed, 1_000)]);
        assert_eq!(states(3), [(1, 1, KeyState::Active, 1_000)]);
        let [key] = &store.tenant_keys(tenant()).unwrap()[..] else { panic!("one tenant key") };
        assert_eq!((key.bytes.as_slice(), key.state), ([1u8; 48].as_slice(), KeyState::Active));
        assert_eq!(store.index_keys(tenant()).unwrap()[0].under, 1);
        assert_eq!(store.patient_keys_in_use(tenant()).unwrap(), (2, Some(1_000)));
        assert!(matches!(Store::open(&path, "other", 1_000), Err(StoreError::InUse)));
    }
    assert!(matches!(Store::open(&path, "other", 1_000), Err(StoreError::WrongRootKey { .. })));
}

fn key(version: u32, byte: u8) -> Wrapped {
    Wrapped::new(version, 1, vec![byte; 304], 10)
}

/// A store with two versions of the tenant's key and this many patients under the first.
fn store_with(path: &Path, patients: u8) -> Store {
    let mut store = Store::open(path, "root", 0).unwrap();
    let own = |version, under| Wrapped::new(version, under, vec![9; 48], 10);
    store.add_tenant(tenant(), &own(1, 0), &own(1, 1)).unwrap();
    let keys: Vec<_> = (1..=patients).map(|n| (tenant(), patient(n), key(1, n))).collect();
    store.add_patient_keys(&keys).unwrap();
    store.add_tenant_key(tenant(), &own(2, 0), &own(1, 2)).unwrap();
    store
}

#[test]
fn a_rewrap_that_fails_in_the_middle_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.db");
    let mut store = store_with(&path, 100);
    let calls = Cell::new(0);
    let failing = |_: PatientId, key: &Wrapped| {
        calls.set(calls.get() + 1);
        if calls.get() > 37 { Err(StoreError::NoRandomness) } else { Ok(key.bytes.iter().map(|byte| !byte).collect()) }
    };
    let mut done = 0;
    while let Ok(count) = store.rewrap_patient_keys(tenant(), 2, 10, &failing) {
        done += count;
    }
    assert_eq!(done, 30, "whole batches only");
    assert_eq!(store.retire_tenant_keys(tenant(), 1).unwrap(), [0u32; 0], "the old version is still needed");
    drop(store);

    let mut store = Store::open(&path, "root", 0).unwrap();
    assert!(store.anything_before(tenant(), 2).unwrap());
    let mut left = 0;
    let rewrap = |_: PatientId, key: &Wrapped| Ok(key.bytes.iter().map(|byte| !byte).collect());
    loop {
        match store.rewrap_patient_keys(tenant(), 2, 10, &rewrap).unwrap() {
            0 => break,
            count => left += count,
        }
    }
    assert_eq!(left, 70);
    for n in 1..=100 {
        let keys = store.patient_keys(tenant(), patient(n)).unwrap();
        assert_eq!((keys[0].under, keys[0].bytes.as_slice()), (2, [!n; 304].as_slice()), "each once");
    }
    let other_length = |key: &Wrapped| Ok(vec![0; key.bytes.len() + 1]);
    let same = |key: &Wrapped| Ok(key.bytes.clone());
    assert!(store.rewrap_own_keys(tenant(), 2, &other_length, &same).is_err(), "never of another length");
    assert_eq!(store.rewrap_own_keys(tenant(), 2, &same, &same).unwrap(), 1);
    assert!(!store.anything_before(tenant(), 2).unwrap());
    assert_eq!(store.retire_tenant_keys(tenant(), 1).unwrap(), [1]);
    assert_eq!(store.tenant_keys(tenant()).unwrap()[0].state, KeyState::Destroyed);
}

#[test]
fn a_destroyed_key_is_not_wrapped_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store_with(&dir.path().join("keys.db"), 3);
    store.destroy_patient_keys(tenant(), patient(2)).unwrap();
    let rewrap = |_: PatientId, key: &Wrapped| Ok(vec![7; key.bytes.len()]);
    assert_eq!(store.rewrap_patient_keys(tenant(), 2, 10, &rewrap).unwrap(), 2);
    assert!(store.patient_keys(tenant(), patient(2)).unwrap()[0].is_destroyed());
    assert_eq!(store.rewrap_patient_keys(tenant(), 2, 10, &rewrap).unwrap(), 0);
}

#[test]
fn a_tenant_key_of_another_length_leaves_no_trace_of_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.db");
    let mut store = store_with(&path, 1);
    let old = [0xA1; 48];
    assert!(!store.tenant_key_rewrapped(tenant(), 1, &old, &[0xB2; 48]).unwrap(), "it is not what stands there");
    let steps: [&[u8]; 4] = [&[9; 48], &[0xA1; 48], &[0xB2; 61], &[0xC3; 61]];
    for pair in steps.windows(2) {
        assert!(store.tenant_key_rewrapped(tenant(), 1, pair[0], pair[1]).unwrap());
        assert_eq!(store.tenant_keys(tenant()).unwrap()[0].bytes, pair[1]);
    }
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(16).any(|window| window == [0xA1; 16] || window == [0xB2; 16]));
    }
}

#[test]
fn ages_uses_and_states_of_patients_keys() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store_with(&dir.path().join("keys.db"), 3);
    store
        .add_uses(&[(tenant(), patient(1), 1, 5), (tenant(), patient(2), 1, 8), (tenant(), patient(9), 1, 8)])
        .unwrap();
    store.add_uses(&[(tenant(), patient(1), 1, 5)]).unwrap();
    assert_eq!(store.uses(tenant(), patient(1), 1).unwrap(), Some(10));
    assert_eq!(store.due(tenant(), Due::Uses(8), 10).unwrap(), [patient(1), patient(2)]);
    assert_eq!(store.due(tenant(), Due::MadeBefore(10), 10).unwrap(), []);
    assert_eq!(store.due(tenant(), Due::MadeBefore(11), 2).unwrap().len(), 2);
    store.add_patient_keys(&[(tenant(), patient(1), Wrapped { made_at: 20, ..key(2, 9) })]).unwrap();
    assert_eq!(store.due(tenant(), Due::Uses(8), 10).unwrap(), [patient(2)], "the new version has no uses yet");
    assert_eq!(store.disable_patient_keys(tenant(), &[(patient(1), 2)]).unwrap(), 1);
    assert_eq!(store.disable_patient_keys(tenant(), &[(patient(1), 2)]).unwrap(), 0);
    let states: Vec<_> = store.patient_keys(tenant(), patient(1)).unwrap().iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Disabled, KeyState::Active]);
    store.note("reindex", "7").unwrap();
    store.note("reindex", "8").unwrap();
    assert_eq!(store.noted("reindex").unwrap().as_deref(), Some("8"));
}
