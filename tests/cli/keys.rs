//! `wardbook keys`, as the person uses it who looks after them, and what is left when it is killed.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use serde_json::Value;
use wardbook::config::Config;
use wardbook_events::{PatientId, TenantId};
use wardbook_keys::{Keys, KeysConfig, RootKey};

use crate::cli::scene::{NEW, Scene};
use crate::program::Place;

fn status(place: &Place) -> Value {
    let ended = place.run(&["keys", "status", "--json", "--quiet"]);
    assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.stderr);
    ended.json()
}

fn types(place: &Place) -> Vec<String> {
    place.trail(&[]).into_iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn keys_are_shown_and_made_anew_offline_and_through_a_server() {
    let scene = Scene::new();
    let place = &scene.place;
    let shown = place.run(&["keys", "status", "--quiet"]).ok().stdout;
    for word in ["root", "tenant", "index", "patients", "active", "left to wrap anew: 0"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert_eq!(place.run(&["keys", "rotate", "tenant", "--quiet"]).ok().stdout, "tenant: version 2\n");
    let rotated = place.run(&["keys", "rotate", "root", "--json", "--quiet"]).ok().json();
    assert_eq!((&rotated["level"], &rotated["version"]), (&"root".into(), &"2".into()));
    let one = place.run(&["keys", "rotate", "patient", "--patient", &scene.patient, "--json", "--quiet"]).ok().json();
    assert_eq!(one["version"], "2");
    place.run(&["keys", "rewrap"]).ok();
    assert!(
        place.run(&["keys", "rotate", "tenant", "--patient", &scene.patient]).with_code(2).stderr.contains("--patient")
    );
    assert!(place.run(&["keys", "rewrap", "patient"]).with_code(2).stderr.contains("wraps nothing"));
    place.run(&["keys", "rotate", "moon"]).with_code(2);
    let found = status(place);
    assert_eq!((&found["tenant"][0]["state"], &found["to_rewrap"]), (&"retired".into(), &0.into()), "{found}");

    place.user("security", "security-admin", &[]);
    let server = place.serve();
    assert!(place.run(&["keys", "status"]).with_code(2).stderr.contains("in use"));
    let through = |user: &str, arguments: &[&str]| {
        place.run_with_password(
            &[&["--quiet", "keys"], arguments, &["--json", "--server", server.base(), "--as", user]].concat(),
        )
    };
    assert_eq!(through("security", &["rotate", "tenant"]).ok().json()["version"], "3");
    through("security", &["rotate", "patient"]).ok();
    through("security", &["rewrap", "root"]).ok();
    let found = through("security", &["status"]).ok().json();
    assert_eq!((&found["to_rewrap"], &found["tenant"][2]["state"]), (&0.into(), &"active".into()), "{found}");
    assert!(through("physician", &["status"]).with_code(2).stderr.contains("403"));
    let chart = server.log_in("physician").get(&format!("/v1/patients/{}", scene.patient)).is(200).json();
    assert_eq!(chart["name"]["family"], NEW);
    // No image of the process is left when it dies (ENC-15).
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    server.stop();
    place.verified();
    let told = types(place);
    for kind in ["keys.tenant-key-rotated", "keys.root-key-rotated", "keys.patient-keys-rotated", "keys.rewrapped"] {
        assert!(told.iter().any(|one| one == kind), "{kind}: {told:?}");
    }
    assert!(told.iter().any(|one| one == "keys.uses-counted"), "what a server used is counted when it stops: {told:?}");
}

#[test]
fn the_index_key_is_made_anew_and_what_others_may_know_is_contained() {
    let scene = Scene::new();
    let place = &scene.place;
    assert_eq!(place.run(&["keys", "rotate", "index", "--quiet"]).ok().stdout, "index: version 2\n");
    let states = |level: &str| {
        let found = status(place);
        let versions = found[level].as_array().unwrap();
        versions.iter().map(|key| key["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states("index"), ["destroyed", "active"]);
    let declare = ["keys", "compromise", "--level", "tenant", "--reason", "drill"];
    assert!(place.run(&declare).with_code(2).stderr.contains("--server"));

    place.user("security", "security-admin", &[]);
    let server = place.serve();
    let through = [&["--quiet"], &declare[..], &["--json", "--server", server.base(), "--as", "security"]].concat();
    let contained = place.run_with_password(&through).ok().json();
    assert_eq!((&contained["state"], &contained["patients"]), (&"contained".into(), &1.into()), "{contained}");
    let physician = server.log_in("physician");
    let chart = physician.get(&format!("/v1/patients/{}", scene.patient)).is(200).json();
    assert_eq!(chart["name"]["family"], NEW, "what is current opens");
    server.stop();
    place.verified();
    assert_eq!(
        (states("tenant"), states("index").last().unwrap().as_str()),
        (vec!["destroyed".into(), "active".into()], "active")
    );

    let then = scene.registered.to_string();
    let past = ["--quiet", "replay", "--patient", &scene.patient, "--at", &then, "--as", "physician"];
    let past = place.run_with_password(&past).ok().json();
    assert!(past["closed"].as_u64().unwrap() >= 3 && past["chart"].get("name").is_none(), "history does not: {past}");
}

#[test]
fn the_root_key_moves_and_the_old_one_opens_nothing_any_more() {
    let scene = Scene::new();
    let place = &scene.place;
    let (old, new) = (place.path("settings.toml"), place.path("moved.toml"));
    let secret = place.path("elsewhere.key");
    let settings = fs::read_to_string(&old).unwrap();
    fs::write(&new, format!("{settings}\n[keys.file]\npath = {secret:?}\n")).unwrap();
    let to = new.to_str().unwrap();
    let unreachable = place.path("unreachable.toml");
    fs::write(&unreachable, format!("{settings}\n[keys.file]\npath = \"/proc/nowhere/root.key\"\n")).unwrap();
    let failed = place.run(&["keys", "move-root", "--to", unreachable.to_str().unwrap()]).with_code(2);
    assert!(failed.stderr.contains("the new provider"), "{}", failed.stderr);
    status(place);
    let same = place.run(&["keys", "move-root", "--to", old.to_str().unwrap()]).with_code(2);
    assert!(same.stderr.contains("already"), "{}", same.stderr);
    let moved = place.run(&["keys", "move-root", "--to", to, "--json", "--quiet"]).ok().json();
    assert_eq!(moved["keys"], 1);
    assert_ne!(moved["from"], moved["to"]);
    let refused = place.run(&["keys", "status"]).with_code(2);
    assert!(refused.stderr.contains("root key"), "{}", refused.stderr);
    fs::remove_file(place.data().join("keys/root.key")).unwrap();
    fs::rename(&new, &old).unwrap();
    assert_eq!(status(place)["root"]["key"], moved["to"]);
    let server = place.serve();
    let chart = server.log_in("physician").get(&format!("/v1/patients/{}", scene.patient)).is(200).json();
    assert_eq!(chart["name"]["family"], NEW);
    server.stop();
    place.verified();
    let told = place.trail(&["--type", "keys.root-key-rotated"]);
    assert_eq!(told.len(), 1, "{told:?}");
}

fn open(data: &Path) -> Keys {
    let root = RootKey::open(&data.join("keys/root.key"), None, false).unwrap();
    Keys::open_store(KeysConfig::new(data.join("keys/keys.sqlite"), root)).unwrap()
}

fn patient(number: u32) -> PatientId {
    let mut bytes = [7; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    PatientId::from_bytes(bytes)
}

#[test]
fn a_rewrap_that_is_killed_goes_on_where_it_was() {
    const PATIENTS: u32 = 30_000;
    let scene = Scene::new();
    let (place, home): (_, TenantId) = (&scene.place, Config::default().organisation.id);
    let keys = open(&place.data());
    for first in (0..PATIENTS).step_by(2_000) {
        keys.create_patient_keys(home, &(first..first + 2_000).map(patient).collect::<Vec<_>>()).unwrap();
    }
    keys.rotate_tenant_key(home).unwrap();
    let all = keys.status(home).unwrap().to_rewrap();
    assert_eq!(all, u64::from(PATIENTS) + 1);
    drop(keys);
    assert_eq!(
        place.run(&["keys", "status", "--quiet"]).with_code(1).stdout.lines().last().unwrap(),
        format!("left to wrap anew: {all}")
    );

    let mut child = place.wardbook().args(["keys", "rewrap"]).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap());
    let line = said.lines().map(Result::unwrap).find(|line| line.starts_with("keys: "));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.is_some(), "it ended before it was killed");
    let keys = open(&place.data());
    let left = keys.status(home).unwrap().to_rewrap();
    assert!(0 < left && left < all, "killed in the middle: {left} of {all}");
    // Nothing is lost on the way: those on either side of it unwrap.
    for number in (0..PATIENTS).step_by(997) {
        keys.try_unwrap(home, patient(number)).unwrap();
    }
    drop(keys);
    place.run(&["keys", "rewrap", "--quiet"]).ok();
    let found = status(place);
    assert_eq!((&found["to_rewrap"], &found["tenant"][1]["patient_keys"]), (&0.into(), &all.into()), "{found}");
    let server = place.serve();
    server.log_in("physician").get(&format!("/v1/patients/{}", scene.patient)).is(200);
    server.stop();
    place.verified();
}
