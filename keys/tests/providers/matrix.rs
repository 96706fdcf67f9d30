//! Every provider, every operation, every outage: the same promises.

use std::time::{Duration, Instant};

use wardbook_keys::{RootError, RootKeyProvider, RootVersion};

pub const KEY: [u8; 32] = [7; 32];
pub const HERE: &str = "wardbook 2026 tenant key here 1";
/// How long one try may take in these tests.
pub const TRY: Duration = Duration::from_millis(700);

/// Make, wrap, unwrap, wrong context, damage, rotate, rewrap, old versions. `makes` is false where a key is there already.
pub fn operations(root: &dyn RootKeyProvider) {
    root.create().unwrap();
    root.create().unwrap();
    root.check().unwrap();
    let first = root.newest_version().unwrap();
    let wrapped = root.wrap(HERE, &KEY).unwrap();
    assert_eq!(root.version_of(&wrapped).unwrap(), first);
    assert_eq!(root.unwrap(HERE, &wrapped).unwrap().as_slice(), KEY);
    assert!(wrapped.windows(8).all(|piece| piece != &KEY[..8]), "it stands there in clear");
    for other in ["", "wardbook 2026 tenant key here 2", "wardbook 2026 tenant key here 1 "] {
        let opened = root.unwrap(other, &wrapped);
        assert!(matches!(opened, Err(RootError::NotAuthentic)), "{other}: {opened:?}");
        assert!(root.rewrap(other, &wrapped).is_err(), "{other}");
    }
    damage(root, &wrapped);

    let second = root.rotate().unwrap();
    assert_ne!(first, second);
    assert_eq!(root.newest_version().unwrap(), second);
    assert_eq!(root.unwrap(HERE, &wrapped).unwrap().as_slice(), KEY, "old versions unwrap");
    let newer = root.rewrap(HERE, &wrapped).unwrap();
    assert_eq!(root.version_of(&newer).unwrap(), second);
    assert_eq!(root.version_of(&wrapped).unwrap(), first);
    assert_eq!(root.unwrap(HERE, &newer).unwrap().as_slice(), KEY);
    assert!(matches!(root.unwrap("elsewhere", &newer), Err(RootError::NotAuthentic)));
    assert_eq!(root.version_of(&root.wrap(HERE, &KEY).unwrap()).unwrap(), second);
}

/// What is damaged never unwraps. A remote provider is asked about every eighth byte, or it would take minutes.
fn damage(root: &dyn RootKeyProvider, wrapped: &[u8]) {
    for place in (0..wrapped.len()).step_by(8).chain([wrapped.len() - 1]) {
        let mut damaged = wrapped.to_vec();
        damaged[place] ^= 1;
        let told = root.unwrap(HERE, &damaged).map(drop).unwrap_err();
        // Damage in the name of the version asks for one that there is not, or that is not ours to use.
        assert!(!matches!(told, RootError::Unreachable { .. }), "byte {place}: {told}");
    }
    for length in [0, 1, 5, wrapped.len() / 2, wrapped.len() - 1] {
        assert!(root.unwrap(HERE, &wrapped[..length]).is_err(), "length {length}");
    }
    assert!(root.version_of(b"").is_err());
}

/// Versions below the one that stays do not unwrap any more; the others do.
pub fn retirement(root: &dyn RootKeyProvider) {
    root.create().unwrap();
    let wrapped: Vec<_> = (0..4)
        .map(|_| {
            let wrapped = root.wrap(HERE, &KEY).unwrap();
            root.rotate().unwrap();
            wrapped
        })
        .collect();
    assert!(matches!(root.retire_before(&RootVersion::new("999")), Err(RootError::Unfit { .. })));
    let stays = root.version_of(&wrapped[2]).unwrap();
    root.retire_before(&stays).unwrap();
    for (old, good) in wrapped.iter().zip([false, false, true, true]) {
        match root.unwrap(HERE, old) {
            Ok(key) => assert!(good && key.as_slice() == KEY),
            Err(error) => assert!(!good && matches!(error, RootError::Disabled { .. }), "{error}"),
        }
    }
}

type Named<'a> = (&'static str, Box<dyn Fn() -> Result<(), RootError> + 'a>);

fn all<'a>(root: &'a dyn RootKeyProvider, wrapped: &'a [u8]) -> Vec<Named<'a>> {
    vec![
        ("check", Box::new(|| root.check())),
        ("create", Box::new(|| root.create())),
        ("newest version", Box::new(|| root.newest_version().map(drop))),
        ("wrap", Box::new(|| root.wrap(HERE, &KEY).map(drop))),
        ("unwrap", Box::new(move || root.unwrap(HERE, wrapped).map(drop))),
        ("rewrap", Box::new(move || root.rewrap(HERE, wrapped).map(drop))),
        ("rotate", Box::new(|| root.rotate().map(drop))),
    ]
}

/// Every operation says that the provider cannot be reached, in time.
pub fn all_unreachable(root: &dyn RootKeyProvider, wrapped: &[u8], outage: &str) {
    for (operation, call) in all(root, wrapped) {
        let began = Instant::now();
        let told = call().unwrap_err();
        assert!(matches!(told, RootError::Unreachable { .. }), "{operation} while {outage}: {told}");
        assert!(told.retry_after().is_some());
        assert!(began.elapsed() < TRY + Duration::from_secs(2), "{operation} while {outage}: {:?}", began.elapsed());
    }
}

/// Every operation says that we are refused.
pub fn all_refused(root: &dyn RootKeyProvider, wrapped: &[u8], why: &str) {
    for (operation, call) in all(root, wrapped) {
        let told = call().unwrap_err();
        assert!(matches!(told, RootError::Refused { .. }), "{operation}, {why}: {told}");
    }
}

/// Every operation works.
pub fn all_work(root: &dyn RootKeyProvider, wrapped: &[u8], when: &str) {
    for (operation, call) in all(root, wrapped) {
        call().unwrap_or_else(|error| panic!("{operation} {when}: {error}"));
    }
}
