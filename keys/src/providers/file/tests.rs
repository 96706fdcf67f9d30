//! What a root key's file promises.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::text::parse;
use super::*;

fn passphrase(text: &str) -> Option<Passphrase> {
    Some(Passphrase::new(text.to_owned()))
}

#[test]
fn a_made_file_is_private_and_loads_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let made = RootKey::load_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing left aside");
    let loaded = RootKey::load_or_create(&path).unwrap();
    assert_eq!(made.id(), loaded.id());
    let wrapped = made.wrap("here", &[7; 32]).unwrap();
    assert_eq!(loaded.unwrap("here", &wrapped).unwrap().as_slice(), [7; 32]);
    assert!(matches!(loaded.unwrap("there", &wrapped), Err(RootError::NotAuthentic)));
}

#[test]
fn what_the_first_program_wrote_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let key = "0123456789abcdef".repeat(4);
    fs::write(&path, format!("wardbook-root-key-1 {key} 012e4570e27b8d1c\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let root = RootKey::load(&path).unwrap();
    assert_eq!(root.id(), "1a5f755429b08cfb");
    let wrapped =
        hex::decode("661cb28e2b814f461ed6f93f8da1830b400ddfb4194484ba5ce8d8175cb1cdd5cf95422f91b247f1e312fdd6ffe3ab92")
            .unwrap();
    assert_eq!(root.version_of(&wrapped).unwrap().as_str(), "1");
    assert_eq!(root.unwrap("here", &wrapped).unwrap().as_slice(), [7; 32]);
    root.rotate().unwrap();
    assert_eq!(root.unwrap("here", &root.rewrap("here", &wrapped).unwrap()).unwrap().as_slice(), [7; 32]);
    assert_eq!(RootKey::load(&path).unwrap().unwrap("here", &wrapped).unwrap().as_slice(), [7; 32]);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    RootKey::create(&path).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(RootKey::create(&path), Err(RootError::File(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_open_to_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    RootKey::create(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(RootKey::load(&path), Err(RootError::Exposed { mode: told }) if told == mode));
    }
}

#[test]
fn a_missing_file_is_named_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(RootKey::load(&dir.path().join("none")), Err(RootError::Missing)));
}

#[test]
fn rotations_are_kept_and_old_versions_unwrap_until_they_are_retired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let root = RootKey::create(&path).unwrap();
    let wrapped: Vec<_> = (1..=5)
        .map(|number: u32| {
            let wrapped = root.wrap("here", &[7; 32]).unwrap();
            assert_eq!(root.version_of(&wrapped).unwrap().as_str(), number.to_string());
            root.rotate().unwrap();
            wrapped
        })
        .collect();
    assert_eq!(root.newest_version().unwrap().as_str(), "6");
    let again = RootKey::load(&path).unwrap();
    assert_eq!(again.id(), root.id());
    for wrapped in &wrapped {
        assert_eq!(again.unwrap("here", wrapped).unwrap().as_slice(), [7; 32]);
    }
    assert!(matches!(root.retire_before(&RootVersion::new("5")), Err(RootError::Unfit { .. })), "three stay");
    assert!(matches!(root.retire_before(&RootVersion::new("9")), Err(RootError::Unfit { .. })), "there is no such one");
    root.retire_before(&RootVersion::new("4")).unwrap();
    for (wrapped, good) in wrapped.iter().zip([false, false, false, true, true]) {
        for root in [&root, &RootKey::load(&path).unwrap()] {
            match root.unwrap("here", wrapped) {
                Ok(key) => assert!(good && key.as_slice() == [7; 32]),
                Err(error) => assert!(!good && matches!(error, RootError::Disabled { .. }), "{error}"),
            }
        }
    }
    assert_eq!(RootKey::load(&path).unwrap().id(), root.id(), "the name stays when the first version goes");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing left aside");
}

#[test]
fn a_passphrase_protects_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let made = RootKey::open(&path, passphrase("seven quiet geese"), true).unwrap();
    let wrapped = made.wrap("here", &[7; 32]).unwrap();
    made.rotate().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\npassphrase argon2id 65536 3 4 "), "{text}");

    let again = RootKey::open(&path, passphrase("seven quiet geese\n"), false).unwrap();
    assert_eq!((again.id(), again.newest_version().unwrap()), (made.id(), RootVersion::new("2")));
    assert_eq!(again.unwrap("here", &wrapped).unwrap().as_slice(), [7; 32]);
    for wrong in [passphrase("seven quiet gees"), None] {
        assert!(matches!(RootKey::open(&path, wrong, false), Err(RootError::Passphrase(_))));
    }
    let moved = text.replacen("\n1 ", "\n3 ", 1);
    assert!(matches!(parse(moved.as_bytes(), None), Err(RootError::Damaged { .. })));
}

#[test]
fn a_bare_file_is_refused_where_a_passphrase_is_demanded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let root = RootKey::create(&path).unwrap();
    for _ in 0..2 {
        let refused = RootKey::open(&path, passphrase("x"), true).unwrap_err();
        assert!(refused.to_string().contains("is not protected"), "{refused}");
        root.rotate().unwrap();
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let root = RootKey::create(&path).unwrap();
    for form in 1..=2 {
        let text = fs::read(&path).unwrap();
        assert!(parse(&text, None).is_ok());
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(parse(&flipped, None), Err(RootError::Damaged { .. })), "form {form}, bit {bit}");
        }
        for length in 0..text.len() {
            assert!(matches!(parse(&text[..length], None), Err(RootError::Damaged { .. })), "form {form}, {length}");
        }
        assert!(parse(&[text.as_slice(), b"\n"].concat(), None).is_err());
        root.rotate().unwrap();
    }
}

#[test]
fn debug_tells_the_id_only() {
    let key = RootKey::ephemeral().unwrap();
    assert_eq!(format!("{key:?}"), format!("RootKey({})", key.id()));
    assert_eq!(format!("{:?}", passphrase("x").unwrap()), "Passphrase(..)");
}
