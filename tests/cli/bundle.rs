//! A patient takes home who looked, and checks it without us.

use std::fs;

use serde_json::{Value, json};

use crate::cli::scene::Scene;
use crate::program::Place;

#[test]
fn a_patient_checks_offline_that_nobody_was_left_out() {
    let (scene, server) = Scene::served();
    server.stop();
    let place = &scene.place;
    place.user("patient.one", "patient", &["--patient", &scene.patient]);
    let server = place.serve();
    let patient = server.log_in("patient.one");
    let proof = patient.get(&format!("/v1/patients/{}/access-proof", scene.patient)).is(200).text;
    let keys = server.stranger().get("/v1/ledger/keys").is(200).text;
    server.stop();
    let home = Place::new();
    fs::write(home.path("keys"), keys).unwrap();
    let verify = |text: &str| {
        fs::write(home.path("bundle"), text).unwrap();
        home.run(&["verify", "--bundle", "bundle", "--keys", "keys", "--json"])
    };
    let verified = verify(&proof).ok().json();
    assert_eq!(verified["verified"], true);
    let kinds: Vec<_> =
        verified["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in ["patients.registered", "records.added", "access.chart-opened", "access.denied"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    assert_eq!(kinds.last(), Some(&"access.access-list-read"), "the request itself is the last");
    let bundle: Value = serde_json::from_str(&proof).unwrap();
    for missing in 0..kinds.len() - 1 {
        let mut shorter = bundle.clone();
        shorter["events"].as_array_mut().unwrap().remove(missing);
        let refused = verify(&shorter.to_string()).with_code(1);
        assert_eq!(refused.json()["verified"], false, "without {missing}");
    }
    let mut kinder = bundle.clone();
    kinder["events"][0]["meta"] = bundle["events"][kinds.len() - 1]["meta"].clone();
    verify(&kinder.to_string()).with_code(1);
    verify("{}").with_code(1);
    assert!(!home.data().exists());
}

#[test]
fn the_proof_of_a_merged_patient_is_checked_for_both_charts() {
    let (scene, server) = Scene::served();
    let place = &scene.place;
    let registrar = server.log_in("registrar");
    let double = json!({"name": {"family": "Doublet", "given": ["Ruth"]}, "birth_date": "1948-08-19"});
    let made = registrar.post("/v1/patients", &double).is(201);
    let double = made.json()["patient"].as_str().unwrap().to_owned();
    let registrar = registrar.with("If-Ledger-Position", made.header("wardbook-position"));
    registrar.post(&format!("/v1/patients/{double}/merge"), &json!({"into": scene.patient})).is(200);
    server.stop();
    place.user("patient.one", "patient", &["--patient", &scene.patient]);
    let server = place.serve();
    let proof = server.log_in("patient.one").get(&format!("/v1/patients/{}/access-proof", scene.patient)).is(200).text;
    server.stop();
    assert_eq!(proof.lines().count(), 2, "a bundle for each of the two");
    fs::write(place.path("bundle"), &proof).unwrap();
    let told = place.run(&["verify", "--bundle", "bundle"]).ok().stdout;
    assert!(told.contains(&scene.patient.replace('-', "")) || told.contains(&scene.patient), "{told}");
    assert!(told.contains(&double.replace('-', "")) || told.contains(&double), "{told}");
}
