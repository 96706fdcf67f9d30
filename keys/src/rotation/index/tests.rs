//! What rests on index keys goes through their rotation; what is destroyed makes nothing any more.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wardbook_events::values::{PersonName, Ssn};
use wardbook_events::{Ciphertext, Field, PatientId, Sealed, SealedFields, TenantId, Token, patients};

use crate::{KeyState, Keys, KeysConfig, OpenError, ResealError, RootKey, SearchTerms, SearchValues, StoreError};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const OTHER: TenantId = TenantId::from_bytes([2; 16]);
const PATIENT: PatientId = PatientId::from_bytes([7; 16]);

fn values() -> SearchValues {
    let name: PersonName = serde_json::from_str(r#"{"family":"Okafor","given":["Ngozi"]}"#).unwrap();
    SearchValues { name: Some(name), ssn: Some(Ssn::new("123-45-6789").unwrap()), ..SearchValues::default() }
}
fn tokens(keys: &Keys) -> BTreeSet<Token> {
    keys.tokens(TENANT, &values()).unwrap()
}
fn versions(tokens: &BTreeSet<Token>) -> BTreeSet<u32> {
    tokens.iter().map(|token| token.index).collect()
}
fn states(keys: &Keys) -> Vec<KeyState> {
    keys.status(TENANT).unwrap().index.iter().map(|key| key.state).collect()
}
fn finds(keys: &Keys, tokens: &BTreeSet<Token>) -> Vec<u32> {
    let terms = SearchTerms { ssn: Some(Ssn::new("123456789").unwrap()), ..SearchTerms::default() };
    let ways = keys.search_tokens(TENANT, &terms).unwrap();
    let found = ways.iter().flatten().flatten().filter(|token| tokens.contains(token));
    found.map(|token| token.index).collect()
}

#[test]
fn tokens_of_every_version_in_use_are_made_and_looked_up_the_oldest_first() {
    let keys = Keys::in_memory().unwrap();
    let first = tokens(&keys);
    assert_eq!((versions(&first), keys.newest_index(TENANT).unwrap()), ([1].into(), 1));
    assert_eq!(keys.rotate_index_key(TENANT).unwrap(), 2);
    let both = tokens(&keys);
    assert_eq!(versions(&both), [1, 2].into());
    assert!(both.is_superset(&first), "who was registered before is known by the same tokens");
    assert_eq!(finds(&keys, &both), [1, 2]);
    let values: BTreeSet<_> = both.iter().map(|token| &token.value).collect();
    assert_eq!(values.len(), both.len(), "no token of one version is that of another");

    assert!(matches!(keys.retire_index_keys(TENANT, 1), Err(StoreError::Contended)), "there is a newer one");
    assert_eq!(keys.retire_index_keys(TENANT, 2).unwrap(), 1);
    let second: BTreeSet<_> = both.into_iter().filter(|token| token.index == 2).collect();
    assert_eq!(tokens(&keys), second);
    assert_eq!((finds(&keys, &first), finds(&keys, &second)), (vec![], vec![2]));
    assert_eq!(states(&keys), [KeyState::Retired, KeyState::Active]);
    assert_eq!(keys.destroy_index_keys(TENANT).unwrap(), [1]);
    assert_eq!(states(&keys), [KeyState::Destroyed, KeyState::Active]);
    assert_eq!(tokens(&keys), second);
    assert_eq!((keys.retire_index_keys(TENANT, 2).unwrap(), keys.destroy_index_keys(TENANT).unwrap()), (0, vec![]));
    assert_eq!(keys.newest_index(OTHER).unwrap(), 0, "another organisation has its own");
}

#[test]
fn digests_stay_the_same_when_the_index_key_that_they_came_from_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.db");
    let root_file = || RootKey::load_or_create(&dir.path().join("root")).unwrap();
    let digests = |keys: &Keys| keys.command_digest(TENANT, b"command").unwrap();
    let keys = Keys::open_store(KeysConfig::new(&path, root_file())).unwrap();
    let digest = digests(&keys);
    for round in 2..5 {
        assert_eq!(keys.rotate_index_key(TENANT).unwrap(), round);
        keys.rotate_tenant_key(TENANT).unwrap();
        while keys.rewrap_patient_keys(TENANT, 10).unwrap() > 0 {}
        keys.retire_index_keys(TENANT, round).unwrap();
        assert_eq!(keys.destroy_index_keys(TENANT).unwrap(), [round - 1]);
        assert_eq!(keys.retire_tenant_keys(TENANT, 1).unwrap(), [round - 1]);
        assert_eq!(digests(&keys), digest);
    }
    let now = tokens(&keys);
    drop(keys);
    let keys = Keys::open_store(KeysConfig::new(&path, root_file())).unwrap();
    assert_eq!((digests(&keys), tokens(&keys)), (digest, now), "after a start");
}

#[test]
fn a_destroyed_index_key_leaves_no_bytes_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.db");
    let keys = Keys::open_store(KeysConfig::new(&path, RootKey::ephemeral().unwrap())).unwrap();
    tokens(&keys);
    keys.rotate_index_key(TENANT).unwrap();
    let wrapped = keys.0.store.lock().index_keys(TENANT).unwrap().remove(0).bytes;
    let holds = || {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        files.filter(|bytes| bytes.windows(wrapped.len()).any(|window| window == wrapped)).count()
    };
    assert!(holds() > 0);
    keys.retire_index_keys(TENANT, 2).unwrap();
    assert!(keys.destroy_index_keys(TENANT).unwrap() == [1] && holds() == 0);
}

#[test]
fn whoever_began_before_a_rotation_is_waited_for() {
    let keys = Keys::in_memory().unwrap();
    tokens(&keys);
    let slow = keys.use_keys(TENANT);
    assert!(keys.is_settled(TENANT));
    keys.rotate_index_key(TENANT).unwrap();
    let after = keys.use_keys(TENANT);
    assert!(!keys.is_settled(TENANT) && keys.is_settled(OTHER));
    drop(slow);
    assert!(keys.is_settled(TENANT));
    keys.create_patient_key(TENANT, PATIENT).unwrap();
    keys.rotate_patient_key(TENANT, PATIENT).unwrap();
    assert!(!keys.is_settled(TENANT));
    drop(after);
    assert!(keys.is_settled(TENANT));
}

fn sealed(keys: &Keys, stream: &str, field: Field, text: &str) -> Sealed<String> {
    keys.seal(TENANT, PATIENT, stream, field, &text.to_owned()).unwrap()
}
fn with<T>(value: &Sealed<T>, ciphertext: Ciphertext) -> Sealed<T> {
    Sealed::new(value.tenant(), value.subject(), value.stream().to_owned(), value.field(), ciphertext)
}

#[test]
fn what_is_sealed_anew_opens_when_the_old_versions_do_not() {
    let keys = Keys::in_memory().unwrap();
    keys.create_patient_key(TENANT, PATIENT).unwrap();
    let stream = patients::stream(PATIENT);
    let name = keys.seal(TENANT, PATIENT, &stream, Field::Name, values().name.as_ref().unwrap()).unwrap();
    assert!(keys.reseal(&name).unwrap().is_none(), "it is under the newest version already");
    keys.rotate_patient_key(TENANT, PATIENT).unwrap();
    let anew = with(&name, keys.reseal(&name).unwrap().unwrap());
    assert_eq!(anew.ciphertext().as_str().len(), name.ciphertext().as_str().len());
    assert_eq!(keys.disable_versions(TENANT, &[(PATIENT, 2)]).unwrap(), 1);
    assert_eq!(keys.unseal(&anew).unwrap(), values().name.unwrap());
    assert!(matches!(keys.unseal(&name), Err(OpenError::VersionDisabled { version: 1, .. })));
    assert!(matches!(keys.reseal(&name), Err(ResealError::Open(OpenError::VersionDisabled { version: 1, .. }))));

    let fields = |value: &Sealed<PersonName>| SealedFields([(Field::Name, value.ciphertext().clone())].into());
    keys.rotate_index_key(TENANT).unwrap();
    let newest = keys.reindex(TENANT, PATIENT, &fields(&anew)).unwrap();
    assert_eq!(versions(&newest), [2].into());
    assert!(tokens(&keys).is_superset(&newest));
    keys.destroy_patient_key(TENANT, PATIENT).unwrap();
    assert!(matches!(keys.reseal(&anew), Err(ResealError::Open(OpenError::Destroyed { .. }))));
}

proptest! {
    /// Sealing anew moves nothing: what opened in no other context before opens in none after.
    #[test]
    fn what_is_sealed_anew_opens_in_its_own_context_only(text in "\\PC{0,80}", stream in "[a-z]{1,8}", other in "[a-z]{1,8}", rounds in 1..4_u32) {
        let keys = Keys::in_memory().unwrap();
        for (tenant, patient) in [(TENANT, PATIENT), (OTHER, PATIENT), (TENANT, PatientId::from_bytes([8; 16]))] {
            keys.create_patient_key(tenant, patient).unwrap();
        }
        let mut value = sealed(&keys, &stream, Field::Name, &text);
        for _ in 0..rounds {
            keys.rotate_patient_key(TENANT, PATIENT).unwrap();
            value = with(&value, keys.reseal(&value).unwrap().unwrap());
        }
        prop_assert_eq!(keys.unseal(&value).unwrap(), text);
        let place = |tenant, patient, stream: &str, field| Sealed::<String>::new(tenant, patient, stream.to_owned(), field, value.ciphertext().clone());
        let mut elsewhere = vec![
            place(OTHER, PATIENT, &stream, Field::Name),
            place(TENANT, PatientId::from_bytes([8; 16]), &stream, Field::Name),
            place(TENANT, PATIENT, &stream, Field::Ssn),
            place(TENANT, PATIENT, &stream, Field::BirthDate),
        ];
        if other != stream {
            elsewhere.push(place(TENANT, PATIENT, &other, Field::Name));
        }
        for wrong in elsewhere {
            prop_assert!(keys.unseal(&wrong).is_err());
            // Nor does it become another value by being sealed anew there.
            let moved = keys.reseal(&wrong);
            prop_assert!(!matches!(moved, Ok(Some(_))), "sealed anew in another context");
        }
    }
}
