//! Who may call what: every route, as every role, in every relation to the patient, with every label of an entry, with the
//! glass broken and whole. The outcome is compared with a table that a person has read: `tests/matrix/reviewed.txt`.
//!
//! After a change: `UPDATE_MATRIX=1 cargo nextest run matrix::`, then read the difference. A route without a row fails.

mod rows;
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use rows::{About, ROWS, Row};
use scene::{LABELS, Person, Scene};

/// How a call ended, as far as permission is concerned.
fn outcome(status: u16) -> &'static str {
    match status {
        // Past policy: done, or refused by a rule about the content.
        200..300 | 409 | 410 | 412 | 422 | 428 => "may",
        401 => "is nobody",
        403 => "may not",
        404 => "sees nothing",
        _ => "?",
    }
}

fn call(scene: &Scene, person: &Person, row: &Row, label: Option<&str>) -> &'static str {
    let (method, path) = row.route.split_once(' ').unwrap();
    let path = scene.path(path, label);
    let client = if row.ends_session { scene.again(person) } else { person.client.clone() };
    // Nothing has this version, so what may be changed is not.
    let client = client.with("If-Match", "\"999999\"");
    let answer = match method {
        "GET" => client.get(&path),
        _ => client.raw(method, &path, Some(row.content_type()), (row.body)(scene, label).as_bytes()),
    };
    let outcome = outcome(answer.status);
    assert_ne!(outcome, "?", "{method} {path} as {}: {} {}", person.name(), answer.status, answer.text());
    outcome
}

/// `who: relation relation; who: relation`, all relations as `any`.
fn crowd(people: &[&Person], everybody: &[Person]) -> String {
    let relations = |role| everybody.iter().filter(move |person| person.role == role).map(|person| person.relation);
    let mut by_role: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for person in people {
        by_role.entry(person.role).or_default().push(person.relation);
    }
    let one = |(role, held): (&wardbook_events::Role, &Vec<&str>)| {
        let all = relations(*role).count() == held.len();
        format!("{} ({})", role.name(), if all { "any".to_owned() } else { held.join(", ") })
    };
    by_role.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[test]
fn everybody_may_what_was_reviewed() {
    let scene = Scene::new();
    let (mut table, mut cells) = (String::new(), 0);
    for row in ROWS {
        writeln!(table, "{}", row.route).unwrap();
        if row.about == About::Public {
            let answer = scene.stranger(row);
            if row.is_login {
                // Open, and of no use without what it asks for.
                assert!(matches!(answer, 400 | 401 | 404 | 409 | 422), "{}: {answer}", row.route);
            } else {
                assert!(matches!(outcome(answer), "may"), "{}: {answer}", row.route);
            }
            writeln!(table, "    {}", if row.is_login { "a way to prove who one is" } else { "open to strangers" })
                .unwrap();
            cells += 1;
            continue;
        }
        assert_eq!(scene.stranger(row), 401, "{} is open to strangers", row.route);
        let labels: Vec<Option<&str>> = match row.about {
            About::Entry => LABELS.iter().map(|label| Some(*label)).collect(),
            _ => vec![None],
        };
        // Labels with the same outcome for everybody share their lines.
        let mut found: BTreeMap<BTreeMap<&str, Vec<usize>>, Vec<&str>> = BTreeMap::new();
        for label in labels {
            let mut outcomes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (index, person) in scene.people.iter().enumerate() {
                outcomes.entry(call(&scene, person, row, label)).or_default().push(index);
                cells += 1;
            }
            found.entry(outcomes).or_default().push(label.unwrap_or_default());
        }
        for (outcomes, labels) in found {
            if row.about == About::Entry {
                writeln!(table, "  {}", labels.join(", ")).unwrap();
            }
            for (outcome, indices) in outcomes {
                let people: Vec<_> = indices.into_iter().map(|index| &scene.people[index]).collect();
                let who =
                    if people.len() == scene.people.len() { "everybody".into() } else { crowd(&people, &scene.people) };
                writeln!(table, "    {outcome}: {who}").unwrap();
            }
        }
    }
    println!("{cells} cells, {} routes, {} people", ROWS.len(), scene.people.len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix/reviewed.txt");
    if std::env::var_os("UPDATE_MATRIX").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    for (line, (found, reviewed)) in table.lines().zip(reviewed.lines()).enumerate() {
        assert_eq!(found, reviewed, "line {} of tests/matrix/reviewed.txt", line + 1);
    }
    assert_eq!(table.lines().count(), reviewed.lines().count(), "number of lines of tests/matrix/reviewed.txt");
}

#[test]
fn every_route_has_a_row() {
    let document = wardbook::api::openapi::json();
    let mut routes = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        routes.extend(operations.as_object().unwrap().keys().map(|m| format!("{} {path}", m.to_ascii_uppercase())));
    }
    let rows: BTreeSet<_> = ROWS.iter().map(|row| row.route.to_owned()).collect();
    let missing: Vec<_> = routes.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&routes).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "routes without a row: {missing:#?}; rows without a route: {gone:#?}"
    );
}
