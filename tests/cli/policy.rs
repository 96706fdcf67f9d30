//! `wardbook policy`, as who writes policies uses it. The walk over the whole matrix is tested where it is made.

use std::fs;
use std::path::Path;

use crate::program::Place;

#[test]
fn a_decision_is_explained_with_the_rules_that_made_it() {
    let place = Place::new();
    place.user("doctor", "physician", &[]);
    let explain = |action: &str, more: &[&str]| {
        let start = ["--json", "policy", "explain", "--user", "doctor", "--purpose", "TREAT", "--action", action];
        place.run(&[&start, more].concat())
    };
    let may = explain("search-patients", &[]).ok().json();
    assert_eq!((&may["allowed"], &may["deciding"][0]), (&true.into(), &"clinician-search".into()));
    let may_not = explain("manage-users", &[]).with_code(1).json();
    assert_eq!(may_not["allowed"], false);
    assert_eq!(may_not["deciding"].as_array().map(Vec::len), Some(0), "no rule says no, and none says yes");
    let nobodys = "00000000-0000-7000-8000-000000000001";
    let chart = explain("read-chart", &["--patient", nobodys]).with_code(1).json();
    let considered = chart["considered"].as_array().unwrap();
    let team = considered.iter().find(|rule| rule["policy"] == "physician-care-team-read").unwrap();
    assert_eq!((&team["effect"], &team["applies"]), (&"permit".into(), &false.into()));
    explain("steal", &[]).with_code(2);
}

#[test]
fn policies_that_are_not_beyond_doubt_are_refused_by_name() {
    let place = Place::new();
    let dir = place.path("policies");
    fs::create_dir(&dir).unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies")).unwrap().map(Result::unwrap)
    {
        fs::copy(file.path(), dir.join(file.file_name())).unwrap();
    }
    let oversight = dir.join("40-oversight.cedar");
    let sound = fs::read_to_string(&oversight).unwrap();
    for (added, says) in [
        ("permit (principal, action, resource) when { true };", "has no @id"),
        ("@id(\"typo\") forbid (principal, action, resource) when { context.mfaa > 1 };", "mfaa"),
        ("@id(\"oversight-audit\") permit (principal, action, resource) when { true };", "is there twice"),
    ] {
        fs::write(&oversight, format!("{sound}\n{added}\n")).unwrap();
        let refused = place.run(&["policy", "check", dir.to_str().unwrap()]).with_code(2);
        assert!(refused.stderr.contains(says), "{says}: {}", refused.stderr);
    }
}
