//! `wardbook policy`, as who writes policies uses it. The walk over the whole matrix is tested where it is made.

use std::fs;
use std::path::{Path, PathBuf};

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

/// The shipped policies, to be changed.
fn copied(place: &Place, name: &str) -> PathBuf {
    let dir = place.path(name);
    fs::create_dir(&dir).unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies")).unwrap().map(Result::unwrap)
    {
        fs::copy(file.path(), dir.join(file.file_name())).unwrap();
    }
    dir
}

#[test]
fn what_a_change_of_policies_changes_is_shown_cell_by_cell() {
    let place = Place::new();
    let (old, new) = (copied(&place, "old"), copied(&place, "new"));
    let diff =
        |old: &Path, new: &Path| place.run(&["--json", "policy", "diff", old.to_str().unwrap(), new.to_str().unwrap()]);
    assert_eq!(diff(&old, &new).ok().json()["changes"], serde_json::json!([]));
    let file = new.join("30-operations.cedar");
    let text = fs::read_to_string(&file).unwrap();
    let permit = "@id(\"quality-search\") @why(\"a test\") permit (principal in Wardbook::Role::\"quality\", action == \
        Wardbook::Action::\"searchPatients\", resource) when { context.purpose == Wardbook::Purpose::\"HOPERAT\" };";
    let without = text.replace("Wardbook::Action::\"manageServices\"],", "Wardbook::Action::\"manageUsers\"],");
    assert_ne!(text, without);
    fs::write(&file, format!("{without}\n{permit}\n")).unwrap();
    let began = std::time::Instant::now();
    let changes = diff(&old, &new).with_code(1).json()["changes"].clone();
    println!("a diff of two actions took {:?}", began.elapsed());
    let changes: Vec<_> = changes.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
    assert!(changes.contains(&"+ ordinary | quality | search-patients | purpose HOPERAT".to_owned()), "{changes:#?}");
    assert!(
        changes.contains(&"- ordinary | admin | manage-services (another) | purpose HSYSADMIN".to_owned()),
        "{changes:#?}"
    );
    let known = |line: &String| {
        (line.starts_with('+') && line.contains("quality | search-patients"))
            || (line.starts_with('-') && line.contains("| manage-services"))
    };
    assert!(changes.iter().all(known), "{changes:#?}");
    let turned: Vec<_> = diff(&new, &old).with_code(1).json()["changes"].as_array().unwrap().clone();
    assert_eq!(turned.len(), changes.len());
}

#[test]
fn policies_that_are_not_beyond_doubt_are_refused_by_name() {
    let place = Place::new();
    let dir = copied(&place, "policies");
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
