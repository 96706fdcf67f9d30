//! SoftHSM2. It reads where its tokens are from the environment, so each test runs itself again with that set.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wardbook_keys::providers::pkcs11::{Pkcs11, Pkcs11Settings};
use wardbook_keys::{RootError, RootKeyProvider as _, RootVersion};

use crate::matrix::{self, HERE, KEY, TRY};

const PLACE: &str = "WARDBOOK_TEST_SOFTHSM2";
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// Makes a token and runs the test of this name again with it; in there, runs `test`.
fn with_token(name: &str, test: impl FnOnce(&Hsm)) {
    if let Some(dir) = std::env::var_os(PLACE) {
        return test(&Hsm { dir: dir.into() });
    }
    assert!(Path::new(MODULE).exists(), "{MODULE} is missing: run scripts/test, which installs softhsm2");
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let config = dir.path().join("softhsm2.conf");
    let tokens = dir.path().join("tokens");
    std::fs::write(&config, format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display()))
        .unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "wardbook", "--pin", "2468", "--so-pin", "13579"])
        .env("SOFTHSM2_CONF", &config)
        .output()
        .expect("softhsm2-util is missing: run scripts/test, which installs it");
    assert!(made.status.success(), "{made:?}");
    symlink(MODULE, dir.path().join("module.so")).unwrap();
    Hsm { dir: dir.path().to_owned() }.pin("2468");
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([&format!("pkcs11::{name}"), "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &config)
        .env(PLACE, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    // The rows of the matrix.
    said.lines().filter(|line| line.starts_with("| ")).for_each(|line| println!("{line}"));
}

struct Hsm {
    dir: PathBuf,
}

impl Hsm {
    fn pin(&self, pin: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.join("pin");
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, pin).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    fn settings(&self) -> Pkcs11Settings {
        Pkcs11Settings {
            module: self.dir.join("module.so"),
            token: "wardbook".to_owned(),
            key: "wardbook root".to_owned(),
            pin_file: self.dir.join("pin"),
            try_for: Duration::from_secs(30),
        }
    }
    fn provider(&self) -> Pkcs11 {
        Pkcs11::new(self.settings()).unwrap()
    }
}

#[test]
fn every_operation() {
    with_token("every_operation", |hsm| {
        let root = hsm.provider();
        assert_eq!(root.id(), "pkcs11:wardbook/wardbook root");
        assert!(matches!(root.check(), Err(RootError::Disabled { .. })), "there is none yet");
        matrix::operations(&root);
        // Another handle of the same token knows the same key.
        let wrapped = root.wrap(HERE, &KEY).unwrap();
        assert_eq!(hsm.provider().unwrap(HERE, &wrapped).unwrap().as_slice(), KEY);
    });
}

#[test]
fn old_versions_are_destroyed_in_the_token() {
    with_token("old_versions_are_destroyed_in_the_token", |hsm| {
        let root = hsm.provider();
        matrix::retirement(&root);
        let newest: RootVersion = root.newest_version().unwrap();
        assert!(matches!(root.retire_before(&newest), Err(RootError::Unfit { .. })), "three stay");
    });
}

#[test]
fn outages() {
    with_token("outages", |hsm| {
        let sure = hsm.provider();
        sure.create().unwrap();
        let wrapped = sure.wrap(HERE, &KEY).unwrap();

        // Under a name that was not loaded before: the loader looks for no file if it knows the name.
        let gone = hsm.dir.join("gone.so");
        let root = Pkcs11::new(Pkcs11Settings { module: gone.clone(), ..hsm.settings() }).unwrap();
        matrix::all_unreachable(&root, &wrapped, "its module is gone");
        symlink(MODULE, gone).unwrap();
        matrix::all_work(&root, &wrapped, "when the module is there again");

        let elsewhere = Pkcs11Settings { token: "other".to_owned(), ..hsm.settings() };
        matrix::all_unreachable(&Pkcs11::new(elsewhere).unwrap(), &wrapped, "its token is not in any slot");

        // Opening a pipe that nobody writes to hangs, as a module does whose network is gone.
        std::fs::remove_file(hsm.dir.join("pin")).unwrap();
        assert!(Command::new("mkfifo").args(["-m", "600"]).arg(hsm.dir.join("pin")).status().unwrap().success());
        let slow = Pkcs11::new(Pkcs11Settings { try_for: TRY, ..hsm.settings() }).unwrap();
        matrix::all_unreachable(&slow, &wrapped, "it hangs");
        std::fs::write(hsm.dir.join("pin"), "2468").unwrap();
        hsm.pin("2468");
        // What had hung is carried out first, by its one thread.
        let began = std::time::Instant::now();
        while slow.check().is_err() {
            assert!(began.elapsed() < std::time::Duration::from_secs(30), "it does not come back");
        }
        matrix::all_work(&slow, &wrapped, "when it answers again");
    });
}

#[test]
fn a_token_without_the_key_is_told_and_gets_none_by_the_way() {
    with_token("a_token_without_the_key_is_told_and_gets_none_by_the_way", |hsm| {
        let wrapped = {
            let other = Pkcs11Settings { key: "another root".to_owned(), ..hsm.settings() };
            let other = Pkcs11::new(other).unwrap();
            other.create().unwrap();
            other.wrap(HERE, &KEY).unwrap()
        };
        let root = hsm.provider();
        matrix::all_disabled(&root, &wrapped, "its key is not in the token");
        root.create().unwrap();
        assert!(matches!(root.unwrap(HERE, &wrapped), Err(RootError::NotAuthentic)), "it is of another key");
    });
}

#[test]
fn wrong_credentials() {
    with_token("wrong_credentials", |hsm| {
        hsm.pin("9999");
        let root = hsm.provider();
        matrix::all_refused(&root, b"hsm1\0\0\0\x01aaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb", "wrong PIN");
        hsm.pin("2468");
        root.create().unwrap();
        let wrapped = root.wrap(HERE, &KEY).unwrap();
        matrix::all_work(&root, &wrapped, "with the right PIN: so often was it not tried that the token is locked");
    });
}

#[test]
fn a_key_that_could_leave_is_refused() {
    with_token("a_key_that_could_leave_is_refused", |hsm| {
        let made = Command::new("softhsm2-util")
            .args(["--import", "/dev/stdin", "--aes", "--token", "wardbook", "--pin", "2468", "--id", "01"])
            .args(["--label", "wardbook root v1"])
            .stdin(std::fs::File::open(bytes(&hsm.dir)).unwrap())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let told = hsm.provider().create().unwrap_err();
        assert!(matches!(&told, RootError::Unfit { what, .. } if what.contains("ENC-13")), "{told}");
    });
}

/// A file of 32 bytes.
fn bytes(dir: &Path) -> PathBuf {
    let path = dir.join("bytes");
    std::fs::write(&path, [7; 32]).unwrap();
    path
}
