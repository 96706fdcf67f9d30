//! Help, exit codes, and errors that say what to do.

use crate::program::{CAST, Place, fixture};

const COMMANDS: [&str; 9] =
    ["serve", "import", "verify", "replay", "rebuild", "checkpoint", "proof", "user", "session"];

#[test]
fn help_names_every_command_and_shows_examples() {
    let place = Place::new();
    let help = place.run(&["--help"]).ok().stdout;
    for command in COMMANDS {
        assert!(help.contains(command), "{command} in {help}");
        let own = place.run(&[command, "--help"]).ok().stdout;
        assert!(own.contains("Usage: wardbook"), "{own}");
    }
    for command in [&["import"][..], &["verify"], &["replay"], &["rebuild"], &["proof"], &["user", "create"]] {
        let help = place.run(&[command, &["--help"]].concat()).ok().stdout;
        assert!(help.contains("Example") && help.contains(&format!("wardbook {}", command[0])), "{command:?}: {help}");
    }
    assert!(help.contains("Exit codes: 0 done, 1") && help.contains("2 not carried out"), "{help}");
    assert!(!place.data().exists(), "help touches nothing");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    let place = Place::new();
    for wrong in [
        &["frobnicate"][..],
        &["import"],
        &["replay", "--outcome", "perhaps"],
        &["replay", "--at", "12"],
        &["rebuild", "nonsense"],
        &["user", "create", "--username", "x", "--role", "emperor"],
        &["verify", "--bundle", "a", "--proof", "b"],
        &[],
    ] {
        let ended = place.run(wrong).with_code(2);
        assert!(
            ended.stdout.is_empty() && ended.stderr.contains("--help"),
            "{wrong:?}: {}{}",
            ended.stdout,
            ended.stderr
        );
    }
}

#[test]
fn a_failure_is_a_sentence_that_says_what_to_do() {
    let place = Place::new();
    let sentence = |arguments: &[&str], part: &str| {
        let ended = place.run(arguments).with_code(2);
        assert!(ended.stderr.starts_with("wardbook: ") || ended.stderr.contains("\nwardbook: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(part), "{arguments:?} says {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    };
    sentence(&["import", "nowhere/"], "cannot read nowhere/");
    sentence(&["user", "create", "--username", "somebody", "--role", "nurse"], "WARDBOOK_PASSWORD");
    sentence(&["user", "disable", "--username", "nobody.here"], "wardbook user list");
    sentence(&["rebuild", "--server", "http://127.0.0.1:1"], "--as USER");
    sentence(&["--config", "no.toml", "serve"], "cannot read the configuration file no.toml");
    std::fs::write(place.path("wrong.toml"), "[server]\nlisten_on = 1\n").unwrap();
    sentence(&["--config", "wrong.toml", "serve"], "listen_on");
    let short = place.run_with_password(&["user", "create", "--username", "a", "--role", "nurse"]).with_code(2);
    assert!(short.stderr.contains("3 to 55"), "{}", short.stderr);
    place.user("twice", "nurse", &[]);
    let twice = place.run_with_password(&["user", "create", "--username", "twice", "--role", "nurse"]).with_code(2);
    assert!(twice.stderr.contains("taken"), "{}", twice.stderr);
}

#[test]
fn a_ledger_that_a_server_holds_is_named_with_the_way_out() {
    let place = Place::with_cast();
    let server = place.serve();
    let sample = fixture().display().to_string();
    for holds in
        [&["import", sample.as_str()][..], &["user", "list"], &["rebuild"], &["serve", "--listen", "127.0.0.1:0"]]
    {
        let ended = place.run(holds).with_code(2);
        assert!(ended.stderr.contains("in use") && ended.stderr.contains("--server"), "{holds:?}: {}", ended.stderr);
    }
    // Those that only read work beside it.
    place.run(&["verify"]).ok();
    place.run(&["replay"]).ok();
    server.stop();
    place.run(&["user", "list"]).ok();
}

#[test]
fn json_is_for_machines_on_standard_output_only() {
    let place = Place::with_cast();
    let created = place.run_with_password(&["user", "create", "--username", "json", "--role", "nurse", "--json"]).ok();
    assert!(created.json()["user"].as_str().is_some_and(|id| id.len() == 36));
    let sample = fixture().join("0001-001.json").display().to_string();
    assert_eq!(place.run(&["import", &sample, "--json"]).ok().json()["types"]["Patient"]["imported"], 1);
    assert_eq!(place.run(&["verify", "--json"]).ok().json()["verified"], true);
    let checkpoint = place.run(&["checkpoint", "--json"]).ok().json();
    assert_eq!(checkpoint["origin"], "wardbook.example/ledger");
    assert!(checkpoint["note"].as_str().unwrap().starts_with("wardbook.example/ledger\n"));
    assert_eq!(place.run(&["user", "list", "--json"]).ok().json_lines().len(), CAST.len() + 1);
    assert!(place.run(&["replay", "--json"]).ok().json_lines().iter().all(|event| event["position"].is_u64()));
    let rebuilt = place.run(&["rebuild", "identity", "audit", "--json"]).ok().json_lines();
    assert!(rebuilt.len() == 2 && rebuilt.iter().all(|view| view["compared"] == true), "{rebuilt:?}");
}

#[test]
fn nothing_found_is_a_no() {
    let place = Place::with_cast();
    assert_eq!(place.run(&["replay", "--type", "access"]).with_code(1).stdout, "");
    let none = place.run(&["proof", "4711"]).with_code(1);
    assert!(none.stdout.is_empty() && none.stderr.contains("no such event"), "{}", none.stderr);
}

#[test]
fn quiet_shows_results_and_nothing_else() {
    let place = Place::with_cast();
    let sample = fixture().join("0001-002.json").display().to_string();
    assert_eq!(place.run(&["--quiet", "import", &sample]).ok().stderr, "");
    assert_eq!(place.run(&["--quiet", "verify"]).ok().stderr, "");
}

#[test]
fn sessions_are_listed_and_ended() {
    let place = Place::with_cast();
    assert_eq!(place.run(&["--json", "session", "list"]).ok().stdout, "", "nobody has logged in");
    let ended = place.run(&["session", "end", "--username", "nurse"]).with_code(1);
    assert!(ended.stderr.contains("session list"), "{}", ended.stderr);
    assert!(place.run(&["session", "end", "--username", "nobody"]).with_code(2).stderr.contains("user list"));
}
