//! Import: counted, resumable, never twice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Place, fixture};

fn report(place: &Place) -> Value {
    place.run(&["--quiet", "import", &fixture().display().to_string(), "--json"]).ok().json()
}

fn sum(report: &Value, count: &str) -> u64 {
    report["types"].as_object().unwrap().values().map(|of| of[count].as_u64().unwrap()).sum()
}

/// Events by type, without those about imports themselves.
fn kinds(place: &Place) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for event in place.trail(&[]) {
        *kinds.entry(event["type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    kinds.remove("governance.import-finished");
    kinds
}

#[test]
fn everything_is_imported_or_counted_with_a_reason_and_never_twice() {
    let place = Place::new();
    let first = report(&place);
    let expected = std::fs::read_to_string(fixture().join("0001.counts")).unwrap();
    for line in expected.lines() {
        let (kind, count) = line.split_once(' ').unwrap();
        let of = &first["types"][kind];
        let read: u64 =
            ["imported", "already_there", "skipped"].iter().map(|part| of[*part].as_u64().unwrap_or(0)).sum();
        assert_eq!(read, count.parse::<u64>().unwrap(), "{kind}: all of them are accounted for: {of}");
    }
    assert_eq!(first["types"]["Patient"]["imported"], 20);
    let reasons: u64 = first["skipped"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|of| of.as_object().unwrap().values())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(reasons, sum(&first, "skipped"), "each left out for a reason");
    let before = kinds(&place);
    let second = report(&place);
    assert_eq!((sum(&second, "imported"), sum(&second, "already_there")), (0, sum(&first, "imported")));
    assert_eq!(second["skipped"], first["skipped"]);
    assert_eq!(kinds(&place), before, "the second run wrote nothing but that it was run");
    assert_eq!(place.trail(&["--type", "governance.import-finished"]).len(), 2);
    let table = place.run(&["--quiet", "import", &fixture().display().to_string()]).ok().stdout;
    assert!(table.contains("skipped because") && table.contains("type is not supported"), "{table}");
    place.verified();
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_stopped() {
    let whole = Place::new();
    report(&whole);
    let place = Place::new();
    let segment = place.data().join("ledger/journal/00000000000000000000.seg");
    let written = std::fs::metadata(whole.data().join("ledger/journal/00000000000000000000.seg")).unwrap().len();
    for part in 1..4 {
        let mut child = place.wardbook().args(["--quiet", "import"]).arg(fixture()).spawn().unwrap();
        let began = Instant::now();
        while std::fs::metadata(&segment).map_or(0, |file| file.len()) < written * part / 5 {
            assert!(child.try_wait().unwrap().is_none(), "killed in the middle, not after the end");
            assert!(began.elapsed() < Duration::from_secs(120), "the import stands still");
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        place.verified();
    }
    assert!(place.trail(&["--type", "governance.import-finished"]).is_empty(), "none of them came to its end");
    let last = report(&place);
    assert!(sum(&last, "already_there") > 0 && sum(&last, "imported") > 0, "{last}");
    assert_eq!(kinds(&place), kinds(&whole), "as if it had run through at once");
    place.verified();
}

#[test]
fn a_file_that_is_no_fhir_is_counted_and_does_not_stop_the_rest() {
    let place = Place::new();
    let dir = place.path("mixed");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("a.json"), "{\"resourceType\": ").unwrap();
    std::fs::write(dir.join("b.ndjson"), "{\"resourceType\":\"Patient\",\"id\":\"1\",\"name\":[{\"family\":\"Mixed\",\"given\":[\"Max\"]}],\"birthDate\":\"1950-05-05\"}\nnot json\n[]\n").unwrap();
    let report = place.run(&["--quiet", "import", &dir.display().to_string(), "--json"]).ok().json();
    assert_eq!(report["types"]["Patient"]["imported"], 1, "{report}");
    assert_eq!(sum(&report, "skipped"), 3, "{report}");
}
