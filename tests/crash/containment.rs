//! SIGKILL while what a stolen key could open is sealed anew (ENC-12): no patient is left half way.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::program::{Place, no_panic};

const PATIENTS: usize = 300;

fn family(number: usize) -> String {
    format!("Survivor{number}")
}

/// Enough patients that containing takes a while.
fn hospital() -> Place {
    let place = Place::with_cast();
    place.user("security", "security-admin", &[]);
    let mut people = String::new();
    for number in 0..PATIENTS {
        let name = json!([{"family": family(number), "given": ["Ada"]}]);
        let person =
            json!({"resourceType": "Patient", "id": number.to_string(), "name": name, "birthDate": "1950-05-05"});
        writeln!(people, "{person}").unwrap();
    }
    let dir = place.path("people");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("people.ndjson"), people).unwrap();
    let report = place.run(&["--quiet", "--json", "import", &dir.display().to_string()]).ok().json();
    assert_eq!(report["types"]["Patient"]["imported"], PATIENTS, "{report}");
    place
}

#[test]
fn a_containment_that_is_killed_again_and_again_reaches_its_end() {
    let place = hospital();
    let patients: Vec<String> = (place.trail(&["--type", "patients.registered"]).iter())
        .map(|event| event["patients"][0].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(patients.len(), PATIENTS);
    let mut server = place.serve();
    let (security, registrar) = (server.token("security"), server.token("registrar"));
    let declared =
        server.with_token(&security).post("/v1/keys/compromise", &json!({"level": "tenant", "reason": "drill"}));
    let alert = declared.is(202).json()["alert"].as_str().unwrap().to_owned();
    let path = format!("/v1/keys/compromise/{alert}");
    let mut kills = 0;
    for pause in (0..).map(|round| Duration::from_millis(round * 60)) {
        std::thread::sleep(pause);
        let found = server.with_token(&security).get(&path).is(200).json();
        if found["state"] == "contained" {
            break;
        }
        assert!(kills < 200, "it never ends: {found}");
        no_panic(&server.kill());
        kills += 1;
        server = place.serve();
        // What others do meanwhile goes on.
        let patient = &patients[kills % PATIENTS];
        server.with_token(&registrar).get(&format!("/v1/patients/{patient}")).is(200);
    }
    assert!(kills >= 3, "killed {kills} times only");
    let registrar = server.with_token(&registrar);
    let mut families: Vec<String> = (patients.iter())
        .map(|patient| registrar.get(&format!("/v1/patients/{patient}")).is(200).json())
        .map(|chart| chart["name"]["family"].as_str().unwrap().to_owned())
        .collect();
    families.sort();
    let mut expected: Vec<String> = (0..PATIENTS).map(family).collect();
    expected.sort();
    assert_eq!(families, expected, "what is current opens");
    no_panic(&server.stop());
    place.verified();

    let status = place.run(&["--json", "keys", "status"]).ok().json();
    let states: Vec<_> = status["tenant"].as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["destroyed", "active"], "one rotation, however often it was begun: {status}");
    for (kind, count) in [
        ("keys.compromise-declared", 1),
        ("keys.compromise-contained", 1),
        ("keys.tenant-key-rotated", 1),
        ("keys.index-key-rotated", 1),
    ] {
        assert_eq!(place.trail(&["--type", kind]).len(), count, "{kind}");
    }
    println!("contained after {kills} kills");
}
