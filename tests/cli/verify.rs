//! `wardbook verify` and `wardbook proof`: what is changed is found and named.

use std::fs;

use wardbook_ledger::{LogReader, Position};

use crate::cli::scene::Scene;
use crate::program::{Place, copy_dir, restore_dir};

fn segment(place: &Place) -> std::path::PathBuf {
    place.data().join("ledger/journal/00000000000000000000.seg")
}

#[test]
fn a_flipped_byte_is_found_and_its_position_named() {
    let scene = Scene::new();
    let place = &scene.place;
    place.verified();
    // The bytes of one event somewhere in the middle, which was appended alone: of several in one append, the first is named.
    let reader = LogReader::open(&place.data().join("ledger")).unwrap();
    let target = place.trail(&["--type", "access.chart-opened"])[0]["position"].as_u64().unwrap();
    let event = reader.read(Position(target)).unwrap().unwrap();
    let bytes = fs::read(segment(place)).unwrap();
    let id = event.id();
    let needle = id.as_bytes();
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    for offset in [at, at + 40] {
        let mut changed = bytes.clone();
        changed[offset] ^= 1;
        fs::write(segment(place), &changed).unwrap();
        let ended = place.run(&["verify", "--quiet"]).with_code(1);
        assert!(ended.stdout.contains("does NOT verify"), "{}", ended.stdout);
        assert!(
            ended.stdout.contains(&format!("position {target}:")),
            "the change at {target} is named: {}",
            ended.stdout
        );
        let json = place.run(&["verify", "--quiet", "--json"]).with_code(1).json();
        assert!(json["verified"] == false && !json["errors"].as_array().unwrap().is_empty(), "{json}");
        // What is before still verifies by itself.
        place.run(&["verify", "--quiet", "--to", &target.to_string()]).ok();
    }
    fs::write(segment(place), &bytes).unwrap();
    place.verified();
}

#[test]
fn every_cut_below_what_was_published_is_found() {
    let scene = Scene::new();
    let place = &scene.place;
    let bytes = fs::read(segment(place)).unwrap();
    for part in [1, 3, 5] {
        fs::write(segment(place), &bytes[..bytes.len() * part / 6]).unwrap();
        let ended = place.run(&["verify", "--quiet"]).with_code(1);
        assert!(ended.stdout.contains("does NOT verify"), "{}", ended.stdout);
        let refused = place.run(&["user", "list"]).with_code(2);
        assert!(refused.stderr.contains("wardbook: "), "{}", refused.stderr);
    }
}

#[test]
fn a_proof_is_checked_offline_by_whoever_has_the_keys() {
    let (scene, server) = Scene::served();
    let place = &scene.place;
    fs::write(place.path("keys"), server.stranger().get("/v1/ledger/keys").is(200).text).unwrap();
    let position = scene.registered.to_string();
    let from_server = place.run(&["proof", &position, "--server", server.base()]).ok().stdout;
    let beside_server = place.run(&["proof", &position]).ok().stdout;
    assert!(from_server.contains("wardbook.example/ledger") && beside_server.contains("wardbook.example/ledger"));
    server.stop();
    let elsewhere = Place::new();
    let keys = place.path("keys").display().to_string();
    for proof in [&from_server, &beside_server, &place.run(&["proof", &position]).ok().stdout] {
        fs::write(elsewhere.path("proof"), proof).unwrap();
        let verified = elsewhere.run(&["verify", "--proof", "proof", "--keys", &keys, "--json"]).ok().json();
        assert_eq!(
            (verified["verified"].as_bool(), verified["position"].as_u64()),
            (Some(true), Some(scene.registered))
        );
    }
    // Of another event, of another log, and no proof at all.
    let index = from_server.lines().find(|line| line.starts_with("index ")).expect("a tlog-proof has an index line");
    let other = from_server.replacen(index, &format!("index {}", scene.registered + 1), 1);
    for forged in
        [other.as_str(), from_server.replacen("wardbook.example", "elsewhere.example", 1).as_str(), "nonsense"]
    {
        fs::write(elsewhere.path("proof"), forged).unwrap();
        let refused = elsewhere.run(&["verify", "--proof", "proof", "--keys", &keys]).with_code(1);
        assert!(refused.stdout.contains("does NOT verify"), "{}", refused.stdout);
    }
    assert!(!elsewhere.data().exists(), "nothing but the two files was needed");
}

#[test]
fn an_event_is_proven_by_its_id_too() {
    let scene = Scene::new();
    let event = &scene.place.trail(&["--from", &scene.registered.to_string(), "--limit", "1"])[0];
    let by_id = scene.place.run(&["proof", event["id"].as_str().unwrap()]).ok().stdout;
    assert_eq!(by_id, scene.place.run(&["proof", &event["position"].to_string()]).ok().stdout);
}

#[test]
fn a_checkpoint_kept_elsewhere_shows_a_log_that_was_written_anew() {
    let scene = Scene::new();
    let place = &scene.place;
    let kept = place.run(&["checkpoint"]).ok().stdout;
    fs::write(place.path("kept"), &kept).unwrap();
    place.run(&["verify", "--quiet", "--checkpoint", "kept"]).ok();
    // The same people with the same keys write another history: the log itself is flawless.
    let other = Place::new();
    copy_dir(&place.data().join("keys"), &other.data().join("keys"));
    for name in ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "more"]
    {
        other.user(name, "nurse", &[]);
    }
    other.verified();
    let size = |place: &Place| LogReader::open(&place.data().join("ledger")).unwrap().size();
    assert!(size(&other) >= size(place), "long enough to be compared: {} and {}", size(&other), size(place));
    fs::write(other.path("kept"), &kept).unwrap();
    let ended = other.run(&["verify", "--quiet", "--checkpoint", "kept"]).with_code(1);
    assert!(ended.stdout.contains("does NOT verify"), "{}", ended.stdout);
    // A log that lost what was published then.
    restore_dir(&Scene::new().place.data(), &other.data());
    other.run(&["verify", "--quiet", "--checkpoint", "kept"]).with_code(1);
}
