//! The rules of the house as tests, so that nobody breaks them unknowingly (docs/STYLE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may use whom among our own crates. The application uses everything.
const MAY_USE: [(&str, &[&str]); 6] = [
    ("wardbook-events", &[]),
    ("wardbook-ledger", &[]),
    ("wardbook-policy", &["wardbook-events"]),
    ("wardbook-keys", &["wardbook-events", "wardbook-policy", "wardbook-ledger"]),
    ("wardbook-commands", &["wardbook-events", "wardbook-policy", "wardbook-ledger", "wardbook-keys"]),
    ("wardbook-projections", &["wardbook-events", "wardbook-policy"]),
];

/// Crates of others that only these of ours may name.
const ONLY: [(&str, &[&str]); 6] = [
    ("actix-web", &["wardbook"]),
    ("sled", &["wardbook-ledger", "wardbook-projections"]),
    ("rusqlite", &["wardbook-keys"]),
    ("aes-siv", &["wardbook-keys"]),
    ("cedar-policy", &["wardbook-policy"]),
    ("reqwest", &[]),
];

/// The areas: one file stem each on every layer.
const AREAS: [&str; 17] = [
    "patients",
    "records",
    "care_teams",
    "identity",
    "access",
    "chat",
    "incidents",
    "consent",
    "break_glass",
    "alerts",
    "elevations",
    "erasure",
    "access_reviews",
    "documents",
    "keys",
    "backups",
    "governance",
];
const LAYERS: [&str; 4] = ["events/src", "commands/src", "projections/src", "src/api"];

const SOURCE_LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every package of the workspace with the names of its direct dependencies, of whatever kind.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|p| (name(p), p["dependencies"].as_array().unwrap().iter().map(name).collect())).collect()
}

/// Files that are in version control, or would be added to it.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = names.split_terminator('\0').map(PathBuf::from).filter(|f| root().join(f).is_file()).collect();
    assert!(files.len() > 20, "the list of files is too short to be true: {files:?}");
    files
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust = files().into_iter().filter(|file| file.extension().is_some_and(|e| e == "rs"));
    rust.map(|file| (file.clone(), std::fs::read_to_string(root().join(file)).unwrap())).collect()
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let packages = packages();
    let ours: BTreeSet<_> = packages.keys().cloned().collect();
    let table: BTreeMap<_, BTreeSet<_>> = MAY_USE.iter().map(|(n, may)| (*n, may.iter().copied().collect())).collect();
    for (package, uses) in &packages {
        if package == "wardbook" {
            continue;
        }
        let may = table.get(package.as_str()).unwrap_or_else(|| panic!("{package} is new: add it to the table here"));
        for used in uses.intersection(&ours) {
            assert!(may.contains(used.as_str()), "{package} must not use {used}");
        }
    }
    assert_eq!(ours.len(), table.len() + 1, "the table names a crate that is not there");
}

#[test]
fn heavy_tools_have_one_home() {
    for (package, uses) in packages() {
        for (tool, homes) in ONLY {
            assert!(!uses.contains(tool) || homes.contains(&package.as_str()), "{package} must not name {tool}");
        }
    }
}

#[test]
fn no_source_file_is_too_long() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= SOURCE_LINES_MAX, "{} has {lines} lines: split it", file.display());
    }
}

#[test]
fn an_area_has_the_same_stem_on_every_layer() {
    // `patient.rs`, `careteams.rs` and the like are an area under another name.
    let folded = |stem: &str| stem.replace(['_', '-'], "").trim_end_matches('s').to_owned();
    let stems = |layer: &str| -> BTreeSet<String> {
        let Ok(entries) = std::fs::read_dir(root().join(layer)) else { return BTreeSet::new() };
        entries.map(|e| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let vocabulary = stems(LAYERS[0]);
    for layer in LAYERS {
        for stem in stems(layer) {
            for area in AREAS {
                assert!(folded(&stem) != folded(area) || stem == area, "{layer}/{stem} should be {layer}/{area}");
                assert!(stem != area || vocabulary.contains(area), "{layer} has {area}, the vocabulary has not");
            }
        }
    }
    assert!(AREAS[..5].iter().all(|area| vocabulary.contains(*area)), "an area of the vocabulary is gone");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let manifest =
        |dir: &Path| -> toml::Table { std::fs::read_to_string(dir.join("Cargo.toml")).unwrap().parse().unwrap() };
    let workspace = manifest(root());
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for lint in ["unwrap_used", "expect_used", "panic", "indexing_slicing"] {
        assert!(workspace["workspace"]["lints"]["clippy"].get(lint).is_some(), "{lint} is no longer on");
    }
    let members = workspace["workspace"]["members"].as_array().unwrap().iter().map(|m| m.as_str().unwrap());
    for member in members.chain(["."]) {
        let manifest = manifest(&root().join(member));
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(inherits, Some(true), "{member} leaves the lints of the workspace");
    }
}

#[test]
fn domain_crates_have_neither_clock_nor_chance() {
    let read = |of: &str| std::fs::read_to_string(root().join(of).join("clippy.toml")).unwrap();
    let rules = read("events");
    for banned in ["SystemTime::now", "Timestamp::now", "Uuid::now_v7", "getrandom::fill"] {
        assert!(rules.contains(banned), "{banned} is no longer banned");
    }
    for other in ["policy", "commands", "projections"] {
        assert_eq!(rules, read(other), "{other}/clippy.toml differs from events/clippy.toml");
    }
}

/// The names under which the types of a file stand in the OpenAPI document.
fn schemas(text: &str) -> Vec<String> {
    let (mut found, mut is_schema, mut name) = (Vec::new(), false, None);
    for line in text.lines().map(str::trim) {
        is_schema |= line.starts_with("#[derive(") && line.contains("ToSchema");
        if let Some((_, other)) = line.split_once("#[schema(as = ") {
            name = other.split([')', ',']).next().map(str::to_owned);
        }
        let words: Vec<_> = line.split([' ', '<', '(', '{', ';']).collect();
        let own = words.iter().position(|word| ["struct", "enum"].contains(word)).and_then(|at| words.get(at + 1));
        if let Some(own) = own.filter(|_| is_schema && !line.starts_with("//")) {
            found.push(name.take().unwrap_or_else(|| (*own).to_owned()));
            is_schema = false;
        }
    }
    found
}

/// Of two types of one name the OpenAPI document has one, and says of the other what is not so.
#[test]
fn no_two_schemas_have_one_name() {
    let mut homes = BTreeMap::<String, Vec<PathBuf>>::new();
    for (file, text) in sources() {
        schemas(&text).into_iter().for_each(|name| homes.entry(name).or_default().push(file.clone()));
    }
    assert!(homes.len() > 150 && homes.contains_key("BackupJob"), "{} schemas", homes.len());
    homes.retain(|_, files| files.len() > 1);
    assert!(homes.is_empty(), "{homes:?}");
}

#[test]
fn no_test_is_switched_off() {
    let attribute = ["#[", "ignore"].concat();
    for (file, text) in sources() {
        assert!(!text.contains(&attribute), "{} switches a test off: mend it or delete it", file.display());
    }
}

/// Paths of the machine that the work was done on and hosts of registries mean nothing to whoever reads the code.
#[test]
fn nothing_names_the_place_where_it_was_made() {
    let patterns = [
        ["/wo", "rk/"],
        ["/tm", "p/w/"],
        ["/root/", ".cache"],
        ["crates", ".io"],
        ["pypi", ".org"],
        ["debian", ".org"],
    ];
    for file in files() {
        // The lock file's form is cargo's.
        if file.ends_with("Cargo.lock") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for pattern in patterns.map(|parts| parts.concat()) {
                assert!(!line.contains(&pattern), "{}:{}: names {pattern}", file.display(), number + 1);
            }
        }
    }
}
