//! The backup of the keys: one, whole or named, and with the root key's file if that was asked for.

use std::collections::BTreeMap;
use std::fs;

use wardbook::backup::{self, Reach, Source, key_backups};
use wardbook_events::{BackupId, PatientId, Role};

use super::{FULL, House, INCREMENTAL, config, files, open};
use crate::helpers::TestApp;

#[test]
fn the_backup_of_the_keys_is_one_and_forgets_who_was_erased() {
    let house = House::new();
    let patients = house.register("Forgotten", 3);
    house.back_up(FULL);
    let tenant = house.test.app.config().organisation.id;
    let app = &house.test.app;
    let copies = |name: &str| files(&house.place(name).join("keys"));
    let before: BTreeMap<_, _> = ["one", "two"].map(|name| (name, copies(name))).into();
    assert!(before.values().all(|copies| copies.len() == 1));
    let old = before["one"][0].clone();
    let trace = house.place("trace");
    fs::hard_link(&old, &trace).unwrap();
    let erased: PatientId = patients[1].parse().unwrap();
    app.keys().destroy_patient_key(tenant, erased).unwrap();
    let refreshed = key_backups::refresh(app).unwrap();
    assert_eq!(refreshed.places.len(), 2);
    for name in ["one", "two"] {
        assert_eq!(copies(name).len(), 1);
        assert_ne!(copies(name), before[name]);
    }
    assert!(fs::read(&trace).unwrap().iter().all(|byte| *byte == 0), "the old copy was overwritten where it lay");
    // A patient who is registered now is in the data, not in the keys.
    let late = house.register("Late", 1);
    let setup = house.setup();
    backup::create(Source::of(app), &setup, BackupId::new(app.new_id().unwrap()), app.now(), INCREMENTAL, &()).unwrap();
    let back = tempfile::tempdir().unwrap();
    let restored = house.restore(back.path(), None, Reach::End).unwrap();
    assert_eq!((restored.told.erased, restored.told.keys_missing), (1, 1));
    assert_eq!(restored.keys.missing, [late[0].parse::<PatientId>().unwrap()]);
    let app = open(config(house.dir.path()), back.path(), false).unwrap();
    assert!(app.keys().try_unwrap(tenant, patients[0].parse().unwrap()).is_ok());
    assert!(app.keys().try_unwrap(tenant, erased).is_err(), "erased stays erased");
    app.close();
}

#[test]
fn a_damaged_backup_of_the_keys_is_named_and_gives_no_key() {
    let house = House::new();
    house.register("Keyed", 2);
    house.back_up(FULL);
    let only = |house: &House| house.setup().places.into_iter().take(1).collect::<Vec<_>>();
    let key = house.setup().key;
    let file = files(&house.place("one").join("keys")).remove(0);
    let (whole, id) = (fs::read(&file).unwrap(), file.file_name().unwrap().to_str().unwrap().to_owned());
    let find = || key_backups::Bundle::find(&only(&house), &key);
    assert!(find().0.is_some_and(|bundle| bundle.has_root_file()));
    let cuts = [0, 5, 6, 22, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec());
    let flips = (0..whole.len()).step_by(whole.len() / 61 + 1).chain([whole.len() - 1]).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        flipped
    });
    for damaged in flips.chain(cuts).chain([[whole.as_slice(), b"x"].concat()]) {
        fs::write(&file, damaged).unwrap();
        let (bundle, wrong) = find();
        assert!(bundle.is_none() && wrong.len() == 1 && wrong[0].contains(&id), "{wrong:?}");
    }
    // Nor does it open under another name: each is sealed for its own.
    fs::write(file.with_file_name("other"), &whole).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(find().0.is_none());
    fs::remove_file(file.with_file_name("other")).unwrap();
    fs::write(&file, &whole[1..]).unwrap();
    let back = tempfile::tempdir().unwrap();
    let restored = house.restore(back.path(), None, Reach::End).unwrap();
    assert!(restored.keys.found && restored.keys.wrong[0].contains(&id), "the second place has them: {restored:?}");
}

#[test]
fn the_root_key_is_taken_from_where_the_settings_put_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = config(dir.path());
    settings.keys.file.path = dir.path().join("elsewhere.key");
    let house = House { test: TestApp::with(settings.clone()), dir };
    house.test.user("registrar", &[Role::Registrar], None);
    let patients = house.register("Elsewhere", 1);
    house.back_up(FULL);
    let back = tempfile::tempdir().unwrap();
    let restored = house.restore(back.path(), None, Reach::End).unwrap();
    assert!(restored.keys.root_file);
    let (put, wanted) = (back.path().join("keys/root.key"), &settings.keys.file.path);
    assert_eq!(fs::read(&put).unwrap(), fs::read(wanted).unwrap());
    let tenant = house.test.app.config().organisation.id;
    drop(house.test.stop());
    // The disk is gone, and what came back is put where the settings want it.
    fs::rename(&put, wanted).unwrap();
    let app = open(settings, back.path(), false).unwrap();
    assert!(app.keys().try_unwrap(tenant, patients[0].parse().unwrap()).is_ok());
    app.close();
    // Asked for and not to be had is told, and not passed over.
    let again = tempfile::tempdir().unwrap();
    let mut settings = config(again.path());
    settings.keys.file.path = again.path().join("elsewhere.key");
    let test = TestApp::with(settings.clone());
    fs::remove_file(&settings.keys.file.path).unwrap();
    let refused = key_backups::refresh(&test.app).unwrap_err().to_string();
    assert!(refused.contains("elsewhere.key"), "{refused}");
}
