//! Rotation as a whole: everything that was sealed opens through it, nothing that is disabled or erased does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use wardbook_events::{Field, Group, GroupSet, PatientId, Sealed, TenantId};
use zeroize::Zeroizing;

use crate::{
    Due, KeyState, Keys, KeysConfig, OpenError, RootError, RootKey, RootKeyProvider, RootVersion, SealError, StoreError,
};

fn tenant() -> TenantId {
    TenantId::from_bytes([1; 16])
}
fn patient(n: u8) -> PatientId {
    PatientId::from_bytes([n; 16])
}
fn seal(keys: &Keys, n: u8, field: Field) -> Sealed<u8> {
    keys.seal(tenant(), patient(n), "s", field, &n).unwrap()
}

/// A root key that counts, and can be slow or silent.
#[derive(Clone)]
struct Probe {
    root: Arc<RootKey>,
    unwraps: Arc<AtomicUsize>,
    silent: Arc<AtomicBool>,
    slow: Arc<Mutex<Duration>>,
}

impl Probe {
    fn new() -> Self {
        let root = Arc::new(RootKey::ephemeral().unwrap());
        Self { root, unwraps: Arc::default(), silent: Arc::default(), slow: Arc::default() }
    }
}

impl RootKeyProvider for Probe {
    fn id(&self) -> String {
        self.root.id()
    }
    fn wrap(&self, context: &str, key: &[u8]) -> Result<Vec<u8>, RootError> {
        self.root.wrap(context, key)
    }
    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, RootError> {
        if self.silent.load(Ordering::Relaxed) {
            let retry_after = Duration::from_secs(5);
            return Err(RootError::Unreachable { provider: "probe", why: "silent".into(), retry_after });
        }
        std::thread::sleep(*self.slow.lock());
        self.unwraps.fetch_add(1, Ordering::Relaxed);
        self.root.unwrap(context, wrapped)
    }
    fn newest_version(&self) -> Result<RootVersion, RootError> {
        self.root.newest_version()
    }
    fn version_of(&self, wrapped: &[u8]) -> Result<RootVersion, RootError> {
        self.root.version_of(wrapped)
    }
    fn rotate(&self) -> Result<RootVersion, RootError> {
        self.root.rotate()
    }
    fn retire_before(&self, version: &RootVersion) -> Result<(), RootError> {
        self.root.retire_before(version)
    }
}

#[derive(Clone, Default)]
struct Hand(Arc<AtomicUsize>);
impl crate::Clock for Hand {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed) as u64)
    }
    fn unix_s(&self) -> u64 {
        1_700_000_000 + self.0.load(Ordering::Relaxed) as u64
    }
}

fn house() -> (tempfile::TempDir, Keys, Probe, Hand) {
    let (dir, probe, hand) = (tempfile::tempdir().unwrap(), Probe::new(), Hand::default());
    let mut config = KeysConfig::new(dir.path().join("keys.db"), probe.clone());
    config.clock = Box::new(hand.clone());
    let keys = Keys::open_store(config).unwrap();
    (dir, keys, probe, hand)
}

fn rewrap_all(keys: &Keys) -> usize {
    let mut count = 0;
    loop {
        match keys.rewrap_patient_keys(tenant(), 7).unwrap() {
            0 => return count,
            some => count += some,
        }
    }
}

#[test]
fn what_was_sealed_opens_through_many_rotations_of_every_level() {
    let (_dir, keys, _, _) = house();
    keys.create_patient_keys(tenant(), &(0..20).map(patient).collect::<Vec<_>>()).unwrap();
    let mut sealed = Vec::new();
    let mut secrets = Vec::new();
    let digest = keys.command_digest(tenant(), b"command").unwrap();
    for round in 0..5u32 {
        sealed.extend((0..20).map(|n| seal(&keys, n, Field::Name)));
        secrets.push(keys.seal_secret(tenant(), "identity", "totp", &round.to_be_bytes()).unwrap());
        let version = keys.rotate_tenant_key(tenant()).unwrap();
        assert_eq!(version, round + 2);
        let all: Vec<_> = (0..20).map(patient).collect();
        assert!(keys.rotate_patient_keys(tenant(), &all).unwrap().iter().all(|(_, version)| *version == round + 2));
        assert!(keys.status(tenant()).unwrap().to_rewrap() > 0);
        rewrap_all(&keys);
        assert_eq!(keys.status(tenant()).unwrap().to_rewrap(), 0);
        let destroyed = keys.retire_tenant_keys(tenant(), 3).unwrap();
        assert_eq!(destroyed, if round >= 2 { vec![round - 1] } else { vec![] });
    }
    for cold in [false, true] {
        if cold {
            keys.forget_cached();
            keys.0.tenants.forget(tenant());
        }
        for value in &sealed {
            assert_eq!(keys.unseal(value).unwrap(), value.subject().bytes()[0]);
        }
        for (round, secret) in (0u32..).zip(&secrets) {
            let opened = keys.open_secret(tenant(), "identity", "totp", secret).unwrap();
            assert_eq!(opened.as_slice(), round.to_be_bytes());
        }
    }
    assert_eq!(keys.command_digest(tenant(), b"command").unwrap(), digest);
    let status = keys.status(tenant()).unwrap();
    let states: Vec<_> = status.tenant.iter().map(|key| key.state).collect();
    use KeyState::{Active, Destroyed, Retired};
    assert_eq!(states, [Destroyed, Destroyed, Destroyed, Retired, Retired, Active]);
    assert_eq!((status.patients, status.tenant[5].patient_keys), (20, 120));
}

#[test]
fn a_rewrap_disturbs_neither_readers_nor_writers() {
    let keys = Keys::in_memory().unwrap();
    keys.create_patient_keys(tenant(), &(0..60).map(patient).collect::<Vec<_>>()).unwrap();
    let before: Vec<_> = (0..60).map(|n| seal(&keys, n, Field::Name)).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3u8 {
            let (keys, before, over) = (&keys, &before, &over);
            scope.spawn(move || {
                let mut n = thread;
                while !over.load(Ordering::Relaxed) {
                    n = (n + 7) % 60;
                    if thread == 0 {
                        keys.forget_cached();
                    }
                    assert_eq!(keys.unseal(&before[usize::from(n)]).unwrap(), n);
                    let sealed = seal(keys, n, Field::Gender);
                    assert_eq!(keys.unseal(&sealed).unwrap(), n);
                    keys.create_patient_key(tenant(), patient(100 + n)).unwrap();
                }
            });
        }
        for _ in 0..6 {
            keys.rotate_tenant_key(tenant()).unwrap();
            rewrap_all(&keys);
            for n in 0..60 {
                keys.rotate_patient_key(tenant(), patient(n)).unwrap();
            }
            keys.retire_tenant_keys(tenant(), 1).unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    rewrap_all(&keys);
    keys.retire_tenant_keys(tenant(), 1).unwrap();
    keys.forget_cached();
    for (n, sealed) in (0..60).zip(&before) {
        assert_eq!(keys.unseal(sealed).unwrap(), n);
    }
    assert_eq!(keys.status(tenant()).unwrap().tenant.iter().filter(|key| key.state != KeyState::Destroyed).count(), 1);
}

#[test]
fn a_disabled_version_opens_nothing_and_says_so() {
    let keys = Keys::in_memory().unwrap();
    keys.create_patient_keys(tenant(), &[patient(1), patient(2)]).unwrap();
    let old = seal(&keys, 1, Field::Name);
    let of_other = seal(&keys, 2, Field::Name);
    assert_eq!(keys.rotate_patient_key(tenant(), patient(1)).unwrap(), 2);
    let new = seal(&keys, 1, Field::Name);
    assert_eq!(keys.disable_versions(tenant(), &[(patient(1), 2), (patient(2), 1)]).unwrap(), 1);
    let refused = keys.unseal(&old);
    assert!(matches!(refused, Err(OpenError::VersionDisabled { patient: p, version: 1 }) if p == patient(1)));
    assert_eq!(keys.unseal(&new).unwrap(), 1);
    assert_eq!(keys.unseal(&of_other).unwrap(), 2);
}

#[test]
fn an_erased_group_opens_nothing_and_leaves_the_rest() {
    let (dir, keys, _, _) = house();
    keys.create_patient_key(tenant(), patient(1)).unwrap();
    let sealed = |field| seal(&keys, 1, field);
    let first = [Field::Name, Field::Ssn, Field::SensitiveRecord].map(sealed);
    keys.rotate_patient_key(tenant(), patient(1)).unwrap();
    let second = [Field::Name, Field::Ssn, Field::SensitiveRecord].map(sealed);
    let before = keys.stored(tenant(), patient(1));
    let gone: GroupSet = [Group::Identifiers, Group::Sensitive].into_iter().collect();
    for _ in 0..2 {
        keys.erase_groups(tenant(), patient(1), gone).unwrap();
        for [name, ssn, sensitive] in [&first, &second] {
            assert_eq!(keys.unseal(name).unwrap(), 1);
            assert!(matches!(keys.unseal(ssn), Err(OpenError::Destroyed { .. })));
            assert!(matches!(keys.unseal(sensitive), Err(OpenError::Destroyed { .. })));
        }
    }
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let trace = before.iter().flat_map(|key| key.chunks_exact(16)).any(|p| bytes.windows(16).any(|w| w == p));
        assert!(!trace, "the key as it was before stands in no file");
    }
    let new = seal(&keys, 1, Field::Ssn);
    assert_eq!(keys.unseal(&new).unwrap(), 1, "what is learnt anew may be sealed anew");
    keys.destroy_patient_key(tenant(), patient(1)).unwrap();
    assert!(keys.erase_groups(tenant(), patient(1), gone).is_err());
}

#[test]
fn keys_are_due_by_age_and_by_uses() {
    let (_dir, keys, _, hand) = house();
    keys.create_patient_keys(tenant(), &[patient(1), patient(2)]).unwrap();
    hand.0.store(1000, Ordering::Relaxed);
    keys.create_patient_key(tenant(), patient(3)).unwrap();
    let due = |due| keys.patient_keys_due(tenant(), due, 10).unwrap();
    assert_eq!(due(Due::MadeBefore(1_700_001_000)).len(), 2);
    let sealed = seal(&keys, 3, Field::Name);
    for _ in 0..99 {
        keys.unseal(&sealed).unwrap();
    }
    keys.write_uses().unwrap();
    assert_eq!(due(Due::Uses(100)), [patient(3)]);
    keys.rotate_patient_key(tenant(), patient(3)).unwrap();
    assert!(due(Due::Uses(1)).is_empty());
}

#[test]
fn a_crowd_makes_one_call_and_a_slow_provider_holds_up_nobody_else() {
    let (_dir, keys, probe, _) = house();
    let other = TenantId::from_bytes([2; 16]);
    for t in [tenant(), other] {
        keys.create_patient_key(t, patient(1)).unwrap();
    }
    let sealed = keys.seal(other, patient(1), "s", Field::Name, &1u8).unwrap();
    keys.0.tenants.forget(tenant());
    *probe.slow.lock() = Duration::from_millis(300);
    let before = probe.unwraps.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| keys.tenant(tenant()).unwrap().unwrap());
        }
        std::thread::sleep(Duration::from_millis(50));
        let begin = std::time::Instant::now();
        keys.forget_cached();
        assert_eq!(keys.unseal(&sealed).unwrap(), 1, "from the store, while the provider is being waited for");
        assert!(begin.elapsed() < Duration::from_millis(200));
    });
    assert_eq!(probe.unwraps.load(Ordering::Relaxed) - before, 1);
}

#[test]
fn keys_in_use_outlive_a_short_silence_and_then_it_is_said() {
    let (_dir, keys, probe, hand) = house();
    keys.create_patient_keys(tenant(), &[patient(1), patient(2)]).unwrap();
    let sealed = seal(&keys, 1, Field::Name);
    hand.0.store(299, Ordering::Relaxed);
    assert_eq!(keys.renew().unwrap(), 0, "young enough");
    hand.0.store(300, Ordering::Relaxed);
    assert_eq!(keys.renew().unwrap(), 1);
    probe.silent.store(true, Ordering::Relaxed);
    hand.0.store(899, Ordering::Relaxed);
    let silent = keys.renew();
    assert!(matches!(silent, Err(StoreError::Root(RootError::Unreachable { .. }))), "{silent:?}");
    assert_eq!(keys.unseal(&sealed).unwrap(), 1, "not yet of age");
    seal(&keys, 2, Field::Name);
    hand.0.store(1800, Ordering::Relaxed);
    keys.sweep_cache();
    let refused = keys.unseal(&sealed);
    assert!(matches!(refused, Err(OpenError::KeyStore(StoreError::Root(RootError::Unreachable { .. })))));
    let refused = keys.seal(tenant(), patient(2), "s", Field::Name, &2u8);
    assert!(matches!(refused, Err(SealError::KeyStore(StoreError::Root(RootError::Unreachable { .. })))));
    probe.silent.store(false, Ordering::Relaxed);
    assert_eq!(keys.unseal(&sealed).unwrap(), 1);
}

#[test]
fn tenant_keys_go_to_a_new_version_of_the_root_key() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let root = RootKey::load_or_create(&dir.path().join("root.key")).unwrap();
        Keys::open_store(KeysConfig::new(dir.path().join("keys.db"), root)).unwrap()
    };
    let keys = open();
    keys.create_patient_key(tenant(), patient(1)).unwrap();
    let sealed = seal(&keys, 1, Field::Name);
    keys.rotate_tenant_key(tenant()).unwrap();
    assert_eq!(keys.rewrap_tenant_keys(tenant()).unwrap(), 0);
    let before = keys.root_status().unwrap();
    let mut version = before.version.clone();
    for _ in 0..3 {
        let next = keys.rotate_root_key().unwrap();
        assert_ne!(next, version);
        version = next;
    }
    let early = keys.retire_root_before(&version);
    assert!(matches!(early, Err(StoreError::StillNeeded)), "{early:?}");
    assert_eq!(keys.root_status().unwrap().version, version);
    assert_eq!(keys.rewrap_tenant_keys(tenant()).unwrap(), 2);
    assert_eq!(keys.rewrap_tenant_keys(tenant()).unwrap(), 0, "it is done");
    assert_eq!(keys.tenant_keys_before(&version).unwrap(), 0);
    drop(keys);
    assert_eq!(open().unseal(&sealed).unwrap(), 1);
}

#[test]
fn the_root_key_moves_to_another_provider_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = |name: &str| RootKey::load_or_create(&dir.path().join(name)).unwrap();
    let open = |name: &str| Keys::open_store(KeysConfig::new(dir.path().join("keys.db"), root(name)));
    let keys = open("old.key").unwrap();
    let other = TenantId::from_bytes([2; 16]);
    keys.create_patient_key(tenant(), patient(1)).unwrap();
    keys.create_patient_key(other, patient(2)).unwrap();
    keys.rotate_tenant_key(tenant()).unwrap();
    let sealed = seal(&keys, 1, Field::Name);
    let since = keys.root_status().unwrap();
    let silent = Probe::new();
    silent.silent.store(true, Ordering::Relaxed);
    assert!(matches!(keys.move_root(&silent), Err(StoreError::Root(RootError::Unreachable { .. }))));
    drop(keys);
    let keys = open("old.key").unwrap();
    assert_eq!(keys.unseal(&sealed).unwrap(), 1, "what failed changed nothing");
    assert_eq!(keys.move_root(&root("new.key")).unwrap(), 3);
    drop(keys);
    assert!(matches!(open("old.key"), Err(StoreError::WrongRootKey { .. })));
    let keys = open("new.key").unwrap();
    assert_eq!(keys.unseal(&sealed).unwrap(), 1);
    assert_eq!(keys.rewrap_patient_keys(tenant(), 9).unwrap(), 1, "and go on as before");
    assert_ne!(keys.root_status().unwrap().key, since.key);
}
