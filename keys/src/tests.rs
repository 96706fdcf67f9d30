//! The promises of the crate as a whole: round trips, contexts, restarts, damage, forgetting.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use wardbook_events::values::{Gender, Ssn};
use wardbook_events::{Ciphertext, Field, PatientId, Sealed, TenantId, Token};

use crate::store::Store;
use crate::{
    CacheLimits, Clock, KeyError, Keys, KeysConfig, OpenError, RootKey, SealError, SearchTerms, SearchValues,
    SecretError, StoreError,
};

fn tenant(byte: u8) -> TenantId {
    TenantId::from_bytes([byte; 16])
}
fn patient(byte: u8) -> PatientId {
    PatientId::from_bytes([byte; 16])
}
fn ssn_token(keys: &Keys) -> Vec<Token> {
    let values = SearchValues { ssn: Some(Ssn::new("123-45-6789").unwrap()), ..SearchValues::default() };
    keys.tokens(tenant(1), &values).unwrap().into_iter().collect()
}
const STREAM: &str = "patient-1";

fn keys_with_patient() -> Keys {
    let keys = Keys::in_memory().unwrap();
    keys.create_patient_key(tenant(1), patient(1)).unwrap();
    keys
}
fn open_at(dir: &Path) -> Result<Keys, StoreError> {
    let root = RootKey::load_or_create(&dir.join("root.key"))?;
    Keys::open_store(KeysConfig::new(dir.join("keys.db"), root))
}
fn seal(keys: &Keys, text: &str) -> Sealed<String> {
    keys.seal(tenant(1), patient(1), STREAM, Field::Name, &text.to_owned()).unwrap()
}
/// The same ciphertext under another name.
fn renamed<T>(sealed: &Sealed<T>, tenant: TenantId, patient: PatientId, stream: &str, field: Field) -> Sealed<T> {
    Sealed::new(tenant, patient, stream.to_owned(), field, sealed.ciphertext().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_sealed_opens(text in "\\PC{0,200}", stream in "[a-z0-9-]{1,40}", field in proptest::sample::select(Field::ALL)) {
        let keys = keys_with_patient();
        let sealed = keys.seal(tenant(1), patient(1), &stream, field, &text).unwrap();
        prop_assert_eq!(keys.unseal(&sealed).unwrap(), text);
    }

    #[test]
    fn no_changed_context_opens(
        stream in "[a-z0-9-]{0,20}", other in "[a-z0-9-]{0,20}",
        field in proptest::sample::select(Field::ALL), elsewhere in proptest::sample::select(Field::ALL),
    ) {
        let keys = keys_with_patient();
        for (t, p) in [(1, 2), (2, 1), (2, 2)] {
            keys.create_patient_key(tenant(t), patient(p)).unwrap();
        }
        let sealed = keys.seal(tenant(1), patient(1), &stream, field, &7u8).unwrap();
        for (t, p) in [(1, 2), (2, 1), (2, 2)] {
            let moved = renamed(&sealed, tenant(t), patient(p), &stream, field);
            prop_assert!(matches!(keys.unseal(&moved), Err(OpenError::NotAuthentic)));
        }
        if other != stream {
            let moved = renamed(&sealed, tenant(1), patient(1), &other, field);
            prop_assert!(matches!(keys.unseal(&moved), Err(OpenError::NotAuthentic)));
        }
        if elsewhere != field {
            let moved = renamed(&sealed, tenant(1), patient(1), &stream, elsewhere);
            prop_assert!(matches!(keys.unseal(&moved), Err(OpenError::NotAuthentic)));
        }
    }

    #[test]
    fn no_changed_or_cut_ciphertext_opens(text in "\\PC{0,60}", at in any::<prop::sample::Index>(), by in 1u8..128) {
        let keys = keys_with_patient();
        keys.rotate_patient_key(tenant(1), patient(1)).unwrap();
        let sealed = seal(&keys, &text);
        let mut bytes = sealed.ciphertext().as_str().as_bytes().to_vec();
        let at = at.index(bytes.len());
        let cut = String::from_utf8(bytes[..at].to_vec()).unwrap();
        bytes[at] ^= by;
        for changed in [String::from_utf8_lossy(&bytes).into_owned(), cut] {
            let changed = Sealed::new(tenant(1), patient(1), STREAM.into(), Field::Name, Ciphertext::new(changed));
            let refused: Result<String, _> = keys.unseal(&changed);
            let told = matches!(refused, Err(OpenError::NotAuthentic | OpenError::UnknownForm | OpenError::UnknownKey { .. }));
            prop_assert!(told);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_ciphertext_is_refused() {
    let keys = keys_with_patient();
    let sealed = seal(&keys, "Ada");
    let text = sealed.ciphertext().as_str().as_bytes();
    for bit in 0..text.len() * 8 {
        let mut flipped = text.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(flipped) = String::from_utf8(flipped) else { continue };
        let flipped: Sealed<String> =
            Sealed::new(tenant(1), patient(1), STREAM.into(), Field::Name, Ciphertext::new(flipped));
        assert!(keys.unseal(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn a_stored_value_of_the_first_form_has_one_spelling() {
    let keys = keys_with_patient();
    let sealed = seal(&keys, "Ada");
    let text = sealed.ciphertext().as_str().to_owned();
    assert!(text.starts_with("1.1."), "{text}");
    for spelling in
        [text.replacen("1.1.", "1.+1.", 1), text.replacen("1.1.", "1.01.", 1), format!("{text}="), format!(" {text}")]
    {
        let other: Sealed<String> =
            Sealed::new(tenant(1), patient(1), STREAM.into(), Field::Name, Ciphertext::new(spelling));
        assert!(matches!(keys.unseal(&other), Err(OpenError::UnknownForm)));
    }
}

#[test]
fn short_values_do_not_differ_in_length_and_equal_values_not_in_being_equal() {
    let keys = keys_with_patient();
    let seal = |gender| keys.seal(tenant(1), patient(1), STREAM, Field::Gender, &gender).unwrap().into_ciphertext();
    let (male, female) = (seal(Gender::Male), seal(Gender::Female));
    assert_eq!(male.as_str().len(), female.as_str().len());
    assert_ne!(male, seal(Gender::Male), "a nonce makes each sealing another");
}

#[test]
fn a_value_of_another_type_is_told_without_its_content() {
    let keys = keys_with_patient();
    let sealed = seal(&keys, "Ada Lovelace");
    let as_number: Sealed<u64> =
        Sealed::new(tenant(1), patient(1), STREAM.into(), Field::Name, sealed.into_ciphertext());
    let error = keys.unseal(&as_number).unwrap_err();
    assert!(matches!(error, OpenError::WrongType));
    assert!(!format!("{error} {error:?}").contains("Ada"));
}

#[test]
fn nothing_is_sealed_without_a_key() {
    let keys = Keys::in_memory().unwrap();
    let refused = keys.seal(tenant(1), patient(1), STREAM, Field::Name, &"Ada");
    assert!(matches!(refused, Err(SealError::UnknownKey { patient: told }) if told == patient(1)));
    assert!(!keys.has_key(tenant(1), patient(1)).unwrap());
}

#[test]
fn making_a_key_again_keeps_it() {
    let keys = keys_with_patient();
    let sealed = seal(&keys, "Ada");
    keys.create_patient_keys(tenant(1), &[patient(2), patient(1), patient(2)]).unwrap();
    keys.forget_cached();
    assert_eq!(keys.unseal(&sealed).unwrap(), "Ada");
    assert!(keys.has_key(tenant(1), patient(2)).unwrap());
}

#[test]
fn older_versions_of_a_key_still_open() {
    let keys = keys_with_patient();
    let before = seal(&keys, "before");
    assert_eq!(keys.rotate_patient_key(tenant(1), patient(1)).unwrap(), 2);
    let after = seal(&keys, "after");
    assert!(after.ciphertext().as_str().starts_with("1.2."));
    assert_eq!(keys.unseal(&before).unwrap(), "before");
    assert_eq!(keys.unseal(&after).unwrap(), "after");
    assert!(matches!(keys.rotate_patient_key(tenant(1), patient(9)), Err(KeyError::UnknownKey { .. })));
}

#[test]
fn everything_opens_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open_at(dir.path()).unwrap();
    keys.create_patient_key(tenant(1), patient(1)).unwrap();
    let sealed = seal(&keys, "Ada");
    let token = ssn_token(&keys);
    let secret = keys.seal_secret(tenant(1), "identity-1", "password-hash", b"phc").unwrap();
    let digest = keys.command_digest(tenant(1), b"command").unwrap();
    drop(keys);
    let keys = open_at(dir.path()).unwrap();
    assert_eq!(keys.unseal(&sealed).unwrap(), "Ada");
    assert_eq!(ssn_token(&keys), token);
    assert_eq!(keys.open_secret(tenant(1), "identity-1", "password-hash", &secret).unwrap().as_slice(), b"phc");
    assert_eq!(keys.command_digest(tenant(1), b"command").unwrap(), digest);
}

#[test]
fn one_process_at_a_time_has_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open_at(dir.path()).unwrap();
    assert!(matches!(open_at(dir.path()), Err(StoreError::InUse)));
    drop(keys);
    open_at(dir.path()).unwrap();
}

#[test]
fn another_root_key_is_told_plainly() {
    let dir = tempfile::tempdir().unwrap();
    open_at(dir.path()).unwrap().create_patient_key(tenant(1), patient(1)).unwrap();
    fs::remove_file(dir.path().join("root.key")).unwrap();
    let error = open_at(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::WrongRootKey { needed, given } if needed != given), "{error}");
    assert!(error.to_string().contains("put the right root key in place"));
}

#[test]
fn another_file_is_no_key_store() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("keys.db"), "a text file that is longer than the header of a database".repeat(20))
        .unwrap();
    assert!(matches!(open_at(dir.path()), Err(StoreError::NotAKeyStore)));
    fs::remove_file(dir.path().join("keys.db")).unwrap();
    let other = rusqlite::Connection::open(dir.path().join("keys.db")).unwrap();
    other.execute_batch("CREATE TABLE things (id INTEGER)").unwrap();
    drop(other);
    assert!(matches!(open_at(dir.path()), Err(StoreError::NotAKeyStore)));
}

/// Every flipped byte of the store is either harmless or told by name; never a wrong answer, never a panic.
#[test]
fn a_damaged_store_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open_at(dir.path()).unwrap();
    keys.create_patient_key(tenant(1), patient(1)).unwrap();
    let sealed = seal(&keys, "Ada");
    drop(keys);
    let path = dir.path().join("keys.db");
    let whole = fs::read(&path).unwrap();
    let wrapped = {
        let root = RootKey::load_or_create(&dir.path().join("root.key")).unwrap();
        let store = Store::open(&path, &crate::RootKeyProvider::id(&root), 0).unwrap();
        store.patient_keys(tenant(1), patient(1)).unwrap().remove(0).bytes
    };
    let begins = whole.windows(wrapped.len()).position(|window| window == wrapped).unwrap();

    let mut told = 0;
    let everywhere = (0..whole.len()).filter(|at| at % 41 == 0 || *at < 100);
    for at in everywhere.chain((begins..begins + wrapped.len()).step_by(7)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        let opened = open_at(dir.path()).map_err(OpenError::from).and_then(|keys| keys.unseal(&sealed));
        match opened {
            Ok(text) => assert_eq!(text, "Ada", "byte {at}"),
            Err(OpenError::KeyStore(_) | OpenError::UnknownKey { .. }) => told += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
        if (begins..begins + wrapped.len()).contains(&at) {
            let keys = open_at(dir.path()).unwrap();
            assert!(matches!(keys.unseal(&sealed), Err(OpenError::KeyStore(StoreError::Damaged { .. }))), "byte {at}");
        }
    }
    assert!(told > 40, "only {told} flips were told");
}

#[test]
fn a_destroyed_key_is_gone_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open_at(dir.path()).unwrap();
    keys.create_patient_keys(tenant(1), &[patient(1), patient(2)]).unwrap();
    keys.rotate_patient_key(tenant(1), patient(1)).unwrap();
    let sealed = seal(&keys, "Ada");
    assert_eq!(keys.unseal(&sealed).unwrap(), "Ada");
    keys.destroy_patient_key(tenant(1), patient(1)).unwrap();
    keys.destroy_patient_key(tenant(1), patient(1)).unwrap();
    let check = |keys: &Keys| {
        assert!(matches!(keys.unseal(&sealed), Err(OpenError::Destroyed { .. })));
        assert!(matches!(keys.seal(tenant(1), patient(1), STREAM, Field::Name, &1), Err(SealError::Destroyed { .. })));
        assert!(matches!(keys.create_patient_key(tenant(1), patient(1)), Err(KeyError::Destroyed { .. })));
        assert!(matches!(keys.rotate_patient_key(tenant(1), patient(1)), Err(KeyError::Destroyed { .. })));
        assert!(!keys.has_key(tenant(1), patient(1)).unwrap());
        assert!(keys.has_key(tenant(1), patient(2)).unwrap());
    };
    check(&keys);
    drop(keys);
    check(&open_at(dir.path()).unwrap());
    assert!(matches!(
        open_at(dir.path()).unwrap().destroy_patient_key(tenant(1), patient(9)),
        Err(KeyError::UnknownKey { .. })
    ));
}

/// Whether sixteen bytes of one of these wrapped keys stand in any file of the directory, in clear or cut anywhere.
fn trace_of(wrapped: &[Vec<u8>], dir: &Path) -> bool {
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    assert_eq!(files.len(), 3, "store, its journal, root key");
    let pieces: std::collections::HashSet<&[u8]> = wrapped.iter().flat_map(|key| key.chunks_exact(16)).collect();
    files.iter().any(|file| file.windows(16).any(|window| pieces.contains(window)))
}

#[test]
fn the_files_hold_no_trace_of_a_destroyed_key() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open_at(dir.path()).unwrap();
    // Enough for several levels of pages, in no order of their ids, some with two versions.
    let patients: Vec<_> = (0..200).map(|n| PatientId::from_bytes(*digest(n).first_chunk().unwrap())).collect();
    for few in patients.chunks(50) {
        keys.create_patient_keys(tenant(1), few).unwrap();
    }
    for patient in &patients[..5] {
        keys.rotate_patient_key(tenant(1), *patient).unwrap();
    }
    let wrapped: Vec<_> = patients.iter().map(|patient| keys.stored(tenant(1), *patient)).collect();
    let destroyed: Vec<usize> = [0, 4].into_iter().chain((5..200).step_by(13)).chain([199]).collect();
    for n in &destroyed {
        assert!(trace_of(&wrapped[*n], dir.path()), "the living key {n} is there");
        keys.destroy_patient_key(tenant(1), patients[*n]).unwrap();
        assert!(!trace_of(&wrapped[*n], dir.path()), "a trace of {n} is left");
    }
    drop(keys);
    let gone: Vec<_> = destroyed.iter().flat_map(|n| wrapped[*n].clone()).collect();
    assert!(!trace_of(&gone, dir.path()));
    let keys = open_at(dir.path()).unwrap();
    assert!(keys.has_key(tenant(1), patients[3]).unwrap() && !keys.has_key(tenant(1), patients[4]).unwrap());
}

#[test]
fn a_crash_before_the_journal_was_wiped_is_made_good_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open_at(dir.path()).unwrap();
    keys.create_patient_key(tenant(1), patient(1)).unwrap();
    let wrapped = keys.stored(tenant(1), patient(1));
    drop(keys);
    // What `destroy_patient_keys` does, as far as its commit.
    let other = rusqlite::Connection::open(dir.path().join("keys.db")).unwrap();
    other
        .execute_batch("PRAGMA journal_mode = PERSIST; UPDATE patient_keys SET wrapped = zeroblob(length(wrapped));")
        .unwrap();
    drop(other);
    assert!(trace_of(&wrapped, dir.path()), "SQLite itself leaves the old page in its journal");
    let keys = open_at(dir.path()).unwrap();
    assert!(!trace_of(&wrapped, dir.path()));
    assert!(matches!(keys.patient(tenant(1), patient(1)), Err(KeyError::Destroyed { .. })));
}

#[test]
fn a_load_that_races_with_a_destruction_never_brings_the_key_back() {
    let keys = keys_with_patient();
    let sealed = seal(&keys, "Ada");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    keys.forget_cached();
                    if keys.unseal(&sealed).is_err() {
                        break;
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(5));
        keys.destroy_patient_key(tenant(1), patient(1)).unwrap();
        assert!(matches!(keys.unseal(&sealed), Err(OpenError::Destroyed { .. })));
    });
    assert_eq!(keys.cached(), 0);
    assert!(matches!(keys.unseal(&sealed), Err(OpenError::Destroyed { .. })));
}

fn digest(n: u16) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(n.to_be_bytes()).into()
}

struct TestClock(AtomicU64);
impl Clock for Arc<TestClock> {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
    fn unix_s(&self) -> u64 {
        1_700_000_000 + self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn cached_keys_age_by_the_given_clock() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(TestClock(AtomicU64::new(0)));
    let mut config = KeysConfig::new(dir.path().join("keys.db"), RootKey::ephemeral().unwrap());
    config.clock = Box::new(Arc::clone(&clock));
    config.cache = CacheLimits { entries_max: 10, age_max: Duration::from_secs(60) };
    let keys = Keys::open_store(config).unwrap();
    keys.create_patient_key(tenant(1), patient(1)).unwrap();
    seal(&keys, "Ada");
    assert_eq!(keys.cached(), 1);
    clock.0.store(59, Ordering::Relaxed);
    keys.sweep_cache();
    assert_eq!(keys.cached(), 1);
    clock.0.store(60, Ordering::Relaxed);
    keys.sweep_cache();
    assert_eq!(keys.cached(), 0);
}

#[test]
fn a_secret_opens_only_where_it_was_sealed() {
    let keys = Keys::in_memory().unwrap();
    let sealed = keys.seal_secret(tenant(1), "identity-1", "password-hash", b"phc").unwrap();
    keys.seal_secret(tenant(2), "identity-1", "password-hash", b"other").unwrap();
    assert_eq!(keys.open_secret(tenant(1), "identity-1", "password-hash", &sealed).unwrap().as_slice(), b"phc");
    for (t, stream, purpose) in
        [(2, "identity-1", "password-hash"), (1, "identity-2", "password-hash"), (1, "identity-1", "totp")]
    {
        let refused = keys.open_secret(tenant(t), stream, purpose, &sealed);
        assert!(matches!(refused, Err(SecretError::NotAuthentic)));
    }
    assert!(matches!(keys.open_secret(tenant(3), "identity-1", "totp", &sealed), Err(SecretError::UnknownKey)));
}

#[test]
fn phi_does_not_open_as_a_secret() {
    let keys = keys_with_patient();
    let sealed = seal(&keys, "Ada").into_ciphertext();
    assert!(matches!(keys.open_secret(tenant(1), STREAM, Field::Name.name(), &sealed), Err(SecretError::NotAuthentic)));
}

#[test]
fn debug_prints_nothing_of_what_is_secret() {
    let keys = keys_with_patient();
    let terms = SearchTerms { name: Some("Ada".into()), ..SearchTerms::default() };
    let ring = keys.patient(tenant(1), patient(1)).unwrap();
    let tenant_ring = keys.tenant(tenant(1)).unwrap().unwrap();
    let config = KeysConfig::new("keys.db", RootKey::ephemeral().unwrap());
    assert_eq!(
        format!("{keys:?} {terms:?} {ring:?} {:?} {tenant_ring:?} {config:?}", ring.newest().unwrap()),
        "Keys(..) SearchTerms(..) PatientRing(1 versions) PatientKey(version 1) TenantRing(1 versions) \
         KeysConfig { path: \"keys.db\", cache: CacheLimits { entries_max: 16384, age_max: 600s }, .. }"
    );
}
