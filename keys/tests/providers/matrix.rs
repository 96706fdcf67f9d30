//! Every provider, every operation, every outage: the same promises.

use std::time::{Duration, Instant};

use wardbook_keys::{RootError, RootKeyProvider, RootVersion};

pub const KEY: [u8; 32] = [7; 32];
pub const HERE: &str = "wardbook 2026 tenant key here 1";
/// How long one try may take in these tests.
pub const TRY: Duration = Duration::from_millis(700);

/// Make, make again, wrap, unwrap, wrong context, damage, rotate, rewrap, old versions.
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

/// Everything that a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Check,
    Create,
    NewestVersion,
    Wrap,
    Unwrap,
    UnwrapElsewhere,
    Rewrap,
    Rotate,
    Retire,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::Check,
        Self::Create,
        Self::NewestVersion,
        Self::Wrap,
        Self::Unwrap,
        Self::UnwrapElsewhere,
        Self::Rewrap,
        Self::Rotate,
        Self::Retire,
    ];

    fn call(self, root: &dyn RootKeyProvider, wrapped: &[u8]) -> Result<(), RootError> {
        match self {
            Self::Check => root.check(),
            Self::Create => root.create(),
            Self::NewestVersion => root.newest_version().map(drop),
            Self::Wrap => root.wrap(HERE, &KEY).map(drop),
            Self::Unwrap => root.unwrap(HERE, wrapped).map(drop),
            Self::UnwrapElsewhere => root.unwrap("elsewhere", wrapped).map(drop),
            Self::Rewrap => root.rewrap(HERE, wrapped).map(drop),
            Self::Rotate => root.rotate().map(drop),
            Self::Retire => root.retire_before(&root.version_of(wrapped)?),
        }
    }

    /// KMS retires nothing for us, whatever the weather: its own tools do.
    fn is_not_ours(self, root: &dyn RootKeyProvider, told: &Result<(), RootError>) -> bool {
        self == Self::Retire && root.id().starts_with("aws-kms:") && matches!(told, Err(RootError::Unfit { .. }))
    }
}

/// The word of a cell.
fn word(told: &Result<(), RootError>) -> &'static str {
    match told {
        Ok(()) => "works",
        Err(RootError::Unreachable { .. }) => "unreachable",
        Err(RootError::Refused { .. }) => "refused",
        Err(RootError::Disabled { .. }) => "disabled",
        Err(RootError::NotAuthentic) => "not authentic",
        Err(RootError::Unfit { .. }) => "unfit",
        Err(_) => "another error",
    }
}

/// One row: every operation of a provider in one weather. Each cell is checked and printed.
fn row(
    root: &dyn RootKeyProvider,
    wrapped: &[u8],
    weather: &str,
    fits: impl Fn(Operation, &Result<(), RootError>) -> bool,
) {
    some(&Operation::ALL, root, wrapped, weather, fits);
}

/// A row without [`Operation::Create`].
fn rest(
    root: &dyn RootKeyProvider,
    wrapped: &[u8],
    weather: &str,
    fits: impl Fn(Operation, &Result<(), RootError>) -> bool,
) {
    let rest: Vec<_> = Operation::ALL.into_iter().filter(|operation| *operation != Operation::Create).collect();
    some(&rest, root, wrapped, weather, fits);
}

fn some(
    operations: &[Operation],
    root: &dyn RootKeyProvider,
    wrapped: &[u8],
    weather: &str,
    fits: impl Fn(Operation, &Result<(), RootError>) -> bool,
) {
    let mut cells = Vec::new();
    for operation in operations {
        let began = Instant::now();
        let told = operation.call(root, wrapped);
        let fine = fits(*operation, &told) || operation.is_not_ours(root, &told);
        assert!(fine, "{operation:?}, {weather}: {told:?}");
        if let Err(error @ RootError::Unreachable { .. }) = &told {
            assert!(error.retry_after().is_some());
            assert!(began.elapsed() < TRY + Duration::from_secs(2), "{operation:?}, {weather}: {:?}", began.elapsed());
        }
        cells.push(format!("{operation:?} {}", word(&told)));
    }
    println!("| {} | {weather} | {} |", root.id(), cells.join(" | "));
}

/// Every operation says that the provider cannot be reached, in time. Even what is offered in a wrong context is not judged.
pub fn all_unreachable(root: &dyn RootKeyProvider, wrapped: &[u8], outage: &str) {
    row(root, wrapped, outage, |_, told| matches!(told, Err(RootError::Unreachable { .. })));
}

/// Every operation says that we are refused.
pub fn all_refused(root: &dyn RootKeyProvider, wrapped: &[u8], why: &str) {
    row(root, wrapped, why, |_, told| matches!(told, Err(RootError::Refused { .. })));
}

/// Every operation says that the key is not to be had there; none makes another on its own. Which of two words the provider
/// finds for wrapping differs: who may not make keys is refused.
pub fn all_disabled(root: &dyn RootKeyProvider, wrapped: &[u8], why: &str) {
    // Making a new one is what `create` is for: it is not asked here.
    rest(root, wrapped, why, |operation, told| match operation {
        Operation::Wrap => matches!(told, Err(RootError::Disabled { .. } | RootError::Refused { .. })),
        Operation::Retire => matches!(told, Err(RootError::Disabled { .. } | RootError::Unfit { .. })),
        _ => matches!(told, Err(RootError::Disabled { .. })),
    });
}

/// Every operation works. Fewer than three versions are not retired.
pub fn all_work(root: &dyn RootKeyProvider, wrapped: &[u8], when: &str) {
    row(root, wrapped, when, |operation, told| match operation {
        Operation::UnwrapElsewhere => matches!(told, Err(RootError::NotAuthentic)),
        Operation::Retire => matches!(told, Ok(()) | Err(RootError::Unfit { .. })),
        _ => told.is_ok(),
    });
}
