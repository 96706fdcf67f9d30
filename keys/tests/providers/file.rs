//! A file: what the others do over a network it does in memory, so it has no outage but being lost.

use wardbook_keys::providers::file::Passphrase;
use wardbook_keys::{RootError, RootKey, RootKeyProvider as _};

use crate::matrix;

#[test]
fn every_operation() {
    let dir = tempfile::tempdir().unwrap();
    matrix::operations(&RootKey::create(&dir.path().join("root.key")).unwrap());
    matrix::operations(&RootKey::ephemeral().unwrap());
}

#[test]
fn old_versions_are_retired() {
    let dir = tempfile::tempdir().unwrap();
    matrix::retirement(&RootKey::create(&dir.path().join("root.key")).unwrap());
    matrix::retirement(&RootKey::ephemeral().unwrap());
}

#[test]
fn open_to_others_it_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let root = RootKey::create(&path).unwrap();
    let wrapped = root.wrap(matrix::HERE, &matrix::KEY).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(RootKey::load(&path), Err(RootError::Exposed { mode: 0o640 })));
    assert!(matches!(root.rotate(), Err(RootError::Exposed { mode: 0o640 })), "nothing new goes into it");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    matrix::all_work(&root, &wrapped, "closed again");
}

#[test]
fn wrong_credentials_and_right_ones_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let passphrase = |text: &str| Some(Passphrase::new(text.to_owned()));
    let root = RootKey::open(&path, passphrase("right"), true).unwrap();
    let wrapped = root.wrap(matrix::HERE, &matrix::KEY).unwrap();
    drop(root);
    assert!(matches!(RootKey::open(&path, passphrase("wrong"), true), Err(RootError::Passphrase(_))));
    let root = RootKey::open(&path, passphrase("right"), false).unwrap();
    matrix::all_work(&root, &wrapped, "after wrong credentials");
}

#[test]
fn lost_and_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let (path, away) = (dir.path().join("root.key"), dir.path().join("away"));
    let root = RootKey::create(&path).unwrap();
    let wrapped = root.wrap(matrix::HERE, &matrix::KEY).unwrap();
    std::fs::rename(&path, &away).unwrap();
    assert!(matches!(RootKey::load(&path), Err(RootError::Missing)));
    assert!(matches!(root.rotate(), Err(RootError::Missing)), "a version that is nowhere kept would be lost");
    assert_eq!(root.unwrap(matrix::HERE, &wrapped).unwrap().as_slice(), matrix::KEY);
    std::fs::rename(&away, &path).unwrap();
    matrix::all_work(&RootKey::load(&path).unwrap(), &wrapped, "when it is there again");
}
