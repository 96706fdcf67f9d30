//! `wardbook replay`: the forensic view, and charts of the past.

use serde_json::Value;

use crate::cli::scene::{NEW, OLD, Scene};
use crate::program::Ended;

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name].as_str().unwrap_or_default()
}

#[test]
fn every_filter_gives_what_it_says_and_all_of_it() {
    let scene = Scene::new();
    let place = &scene.place;
    let all = place.trail(&[]);
    let positions: Vec<_> = all.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert!(positions.is_sorted() && positions.len() > 20, "oldest first: {positions:?}");
    let (middle, denied) =
        (&all[all.len() / 2], all.iter().find(|event| event["outcome"] == "denied").expect("a denial"));
    let at = text(middle, "recorded_at").to_owned();
    let (correlation, nurse) = (text(denied, "correlation").to_owned(), text(denied, "actor").to_owned());
    let position = middle["position"].to_string();
    let check = |filters: &[&str], holds: &dyn Fn(&Value) -> bool| {
        let expected: Vec<_> = all.iter().filter(|event| holds(event)).collect();
        assert!(
            !expected.is_empty() && expected.len() < all.len(),
            "{filters:?} tells something apart: {} of {}",
            expected.len(),
            all.len()
        );
        assert_eq!(place.trail(filters).iter().collect::<Vec<_>>(), expected, "{filters:?}");
    };
    let instant = |event: &Value| text(event, "recorded_at").parse::<jiff::Timestamp>().unwrap();
    let moment: jiff::Timestamp = at.parse().unwrap();
    check(&["--patient", &scene.patient], &|event| {
        event["patients"].as_array().unwrap().contains(&scene.patient.clone().into())
    });
    check(&["--actor", &scene.physician], &|event| text(event, "actor") == scene.physician);
    check(&["--actor", &nurse, "--outcome", "denied"], &|event| {
        text(event, "actor") == nurse && event["outcome"] == "denied"
    });
    check(&["--correlation", &correlation], &|event| text(event, "correlation") == correlation);
    check(&["--type", "access.chart-opened"], &|event| event["type"] == "access.chart-opened");
    check(&["--type", "identity"], &|event| text(event, "type").starts_with("identity."));
    check(&["--outcome", "denied"], &|event| event["outcome"] == "denied");
    check(&["--since", &at], &|event| instant(event) >= moment);
    check(&["--until", &at], &|event| instant(event) < moment);
    check(&["--from", &position], &|event| event["position"].as_u64() >= middle["position"].as_u64());
    check(&["--to", &position], &|event| event["position"].as_u64() <= middle["position"].as_u64());
    let short = &scene.session[..8];
    check(&["--session", &scene.session], &|event| {
        text(event, "session") == short && text(event, "actor") == scene.physician
    });
    assert_eq!(place.trail(&["--limit", "3"]), all[..3]);
}

#[test]
fn tables_csv_and_lines_of_json_tell_the_same() {
    let scene = Scene::new();
    let place = &scene.place;
    let lines = place.trail(&["--patient", &scene.patient]);
    let csv = place.run(&["replay", "--patient", &scene.patient, "--format", "csv"]).ok().stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().unwrap().clone();
    assert_eq!(head.iter().take(4).collect::<Vec<_>>(), ["position", "recorded_at", "type", "outcome"]);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), lines.len());
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(row.len(), head.len());
        let of = |name: &str| &row[head.iter().position(|column| column == name).unwrap()];
        assert_eq!(of("position"), line["position"].to_string());
        for name in ["recorded_at", "type", "outcome", "actor", "role", "purpose", "session", "correlation"] {
            assert_eq!(of(name), text(line, name), "{name}");
        }
    }
    let table = place.run(&["replay", "--patient", &scene.patient]).ok().stdout;
    assert_eq!(table.lines().count(), lines.len());
    assert!(table.lines().zip(&lines).all(|(row, line)| row.contains(text(line, "type"))), "{table}");
    for shown in [csv, table, place.run(&["replay", "--json"]).ok().stdout] {
        assert!(
            !shown.contains(OLD) && !shown.contains(NEW) && !shown.contains("Better"),
            "what is sealed stays sealed"
        );
    }
}

#[test]
fn through_a_server_the_same_is_seen_and_that_it_was_seen_is_an_event() {
    let (scene, server) = Scene::served();
    let place = &scene.place;
    let through = |user: &str, filters: &[&str]| {
        place.run_with_password(&[&["replay", "--server", server.base(), "--as", user], filters].concat())
    };
    for filters in [
        &["--patient", scene.patient.as_str()][..],
        &["--type", "patients"],
        &["--type", "access.denied"],
        &["--actor", &scene.physician],
    ] {
        let offline: Vec<_> = place.trail(filters).iter().map(|event| event["position"].as_u64().unwrap()).collect();
        let mut positions: Vec<_> = through("auditor", filters)
            .ok()
            .json_lines()
            .iter()
            .map(|event| event["position"].as_u64().unwrap())
            .collect();
        positions.sort_unstable();
        // Reading the trail of a patient adds to it; what was there before is there.
        assert!(
            positions.starts_with(&offline) && !offline.is_empty(),
            "{filters:?}: {positions:?}, offline {offline:?}"
        );
    }
    assert_eq!(place.trail(&["--type", "governance.replay-run"]).len(), 4);
    let refused = through("nurse", &["--patient", &scene.patient]).with_code(2);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("403"), "{}", refused.stderr);
}

#[test]
fn a_chart_is_shown_as_it_stood_before_a_correction_and_the_look_is_an_event() {
    let scene = Scene::new();
    let place = &scene.place;
    let at = |moment: &str, user: &str| {
        place.run_with_password(&["--quiet", "replay", "--patient", &scene.patient, "--at", moment, "--as", user])
    };
    let looks = || place.trail(&["--type", "access.chart-opened"]).len();
    let before = looks();
    let then = at(&scene.registered.to_string(), "physician").ok();
    let chart = then.json();
    assert!(then.stdout.contains(OLD) && !then.stdout.contains(NEW), "{}", then.stdout);
    assert_eq!(chart["position"], scene.registered);
    assert!(chart["records"].as_array().unwrap().is_empty(), "the note was written later");
    let now = at(&scene.corrected.to_string(), "physician").ok();
    assert!(now.stdout.contains(NEW) && !now.stdout.contains(OLD), "{}", now.stdout);
    assert_eq!(now.json()["records"].as_array().unwrap().len(), 1);
    assert_eq!(looks(), before + 2, "each look is an event");
    let correction = &place.trail(&["--from", &scene.corrected.to_string(), "--limit", "1"])[0];
    let instant = text(correction, "recorded_at").to_owned();
    assert!(at(&instant, "physician").ok().stdout.contains(NEW));
    let last = place.trail(&["--type", "access.chart-opened"]).pop().unwrap();
    assert_eq!((text(&last, "actor"), &last["patients"][0]), (scene.physician.as_str(), &scene.patient.clone().into()));
    assert!(place.trail(&["--type", "governance.replay-run"]).len() == 3, "that it was a replay is told too");
    place.verified();
}

#[test]
fn who_may_not_see_the_chart_gets_nothing_and_the_try_is_an_event() {
    let scene = Scene::new();
    let place = &scene.place;
    let denials = || place.trail(&["--type", "access.denied"]).len();
    let nothing = |ended: Ended| {
        let ended = ended.with_code(2);
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
        assert!(!ended.stderr.contains(OLD) && !ended.stderr.contains(NEW), "{}", ended.stderr);
        ended.stderr
    };
    let moment = scene.corrected.to_string();
    let arguments = ["replay", "--patient", &scene.patient, "--at", &moment, "--as"];
    for (count, user) in ["nurse", "admin", "auditor"].into_iter().enumerate() {
        let before = denials();
        nothing(place.run_with_password(&[&arguments[..], &[user]].concat()));
        assert_eq!(denials(), before + 1, "{user}, the {count}. try");
    }
    let mut wrong = place.wardbook();
    wrong.args(arguments).args(["physician", "--password-stdin"]);
    nothing(crate::program::with_input(wrong, "not the password"));
    assert!(nothing(place.run(&arguments[..5])).contains("--as USER"));
}
