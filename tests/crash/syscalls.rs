//! Every storage call of a short run is killed, or fails, in turn.
//!
//! `strace` counts calls for each thread by itself, and threads race. So a first run lists which calls each file gets, and
//! every call is then named by its kind, its file and its number: those are the same in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use crate::program::{Ended, PASSWORD, Place, restore_dir, with_input};

/// Calls that change what is stored, or make it last.
const CALLS: [&str; 12] = [
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "rename",
    "ftruncate",
    "fallocate",
    "unlink",
    "mkdir",
    "openat",
];
/// Places struck in a run; `WARDBOOK_CRASH_SYSCALLS=all` strikes all.
const STRUCK: usize = 16;
/// Runs under way at once: they wait for the disk most of the time.
const LANES: usize = 3;

/// What happens at the chosen call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strike {
    Kill,
    Fail(&'static str),
}

/// One call of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    call: String,
    /// Relative to the place.
    file: String,
    number: usize,
}

/// Something short that a user types.
struct Deed {
    arguments: &'static [&'static str],
    /// Whether what was acknowledged on standard output is there now.
    holds: fn(&Place, &Ended),
    /// Whether it was done, once and only once, after it was typed again.
    done: fn(&Place),
}

const CREATE: Deed = Deed {
    arguments: &["user", "create", "--username", "late", "--role", "nurse", "--password-stdin"],
    holds: user_is_there,
    done: one_late_user,
};
const IMPORT: Deed =
    Deed { arguments: &["import", "one.ndjson", "--json"], holds: report_is_true, done: one_imported_patient };

fn users(place: &Place) -> Vec<String> {
    let names = place.run(&["user", "list", "--json"]).ok().json_lines();
    names.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

fn user_is_there(place: &Place, ended: &Ended) {
    let acknowledged = !ended.stdout.trim().is_empty();
    assert!(!acknowledged || users(place).contains(&"late".to_owned()), "the user was made and is gone");
}

fn one_late_user(place: &Place) {
    assert_eq!(users(place).iter().filter(|name| *name == "late").count(), 1);
    assert_eq!(place.trail(&["--type", "identity.user-created"]).len(), 2, "the first user and the late one");
}

fn report_is_true(place: &Place, ended: &Ended) {
    if let Ok(report) = serde_json::from_str::<serde_json::Value>(&ended.stdout) {
        assert_eq!(report["types"]["Patient"]["imported"], 1, "{report}");
        one_imported_patient(place);
    }
}

fn one_imported_patient(place: &Place) {
    assert_eq!(place.trail(&["--type", "patients.registered"]).len(), 1);
    assert_eq!(place.trail(&["--type", "records.added"]).len(), 2);
}

/// A ledger with one user, made once; each run works on a copy.
static BASE: LazyLock<Place> = LazyLock::new(|| {
    let place = Place::new();
    place.user("first", "admin", &[]);
    fs::write(place.path("one.ndjson"), ONE).unwrap();
    place
});

const ONE: &str = r#"{"resourceType":"Patient","id":"p1","name":[{"family":"Struck","given":["Often"]}],"gender":"female","birthDate":"1960-06-06"}
{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/p1"},"code":{"text":"Cough"},"onsetDateTime":"2024-05-05"}
{"resourceType":"Observation","id":"o1","status":"final","subject":{"reference":"Patient/p1"},"code":{"text":"Pulse"},"effectiveDateTime":"2024-05-05","valueQuantity":{"value":61,"unit":"/min"}}
"#;

fn fresh() -> Place {
    let place = Place::new();
    restore_dir(&BASE.data(), &place.data());
    fs::write(place.path("one.ndjson"), ONE).unwrap();
    place
}

fn run(place: &Place, deed: &Deed, tracing: &[String]) -> Ended {
    let mut command = place.command("strace");
    command.args(["-f", "-qq"]).args(tracing).arg(env!("CARGO_BIN_EXE_wardbook")).args(deed.arguments);
    with_input(command, PASSWORD)
}

/// All calls of an undisturbed run on files below the data directory.
fn targets(deed: &Deed) -> Vec<Target> {
    let place = fresh();
    let log = place.path("calls");
    let calls = format!("trace={}", CALLS.join(","));
    run(&place, deed, &["-y".into(), "-o".into(), log.display().to_string(), "-e".into(), calls]).ok();
    // The highest number that one thread reaches for a kind and file; that is how strace counts.
    let mut counts: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        if !CALLS.contains(&call) || (call == "openat" && !arguments.contains("O_CREAT")) {
            continue;
        }
        if let Some(file) = file_of(call, arguments, place.path("")) {
            *counts.entry((thread.to_owned(), call.to_owned(), file)).or_default() += 1;
        }
    }
    let most = counts.into_iter().flat_map(|((_, call, file), count)| {
        (1..=count).map(move |number| Target { call: call.clone(), file: file.clone(), number })
    });
    most.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The file that a call is about, relative to the place: quoted in calls that name it, `<...>` behind the number in others.
fn file_of(call: &str, arguments: &str, place: impl AsRef<Path>) -> Option<String> {
    let by_name = matches!(call, "rename" | "unlink" | "mkdir" | "openat");
    let path = if by_name { arguments.split('"').nth(1)? } else { arguments.split_once('<')?.1.split_once('>')?.0 };
    let file = Path::new(path).strip_prefix(place).ok()?.to_str()?.to_owned();
    file.starts_with("data").then_some(file)
}

/// One run with a strike, and all that must hold afterwards. Gives whether the strike came.
fn strike(deed: &Deed, target: &Target, how: Strike) -> bool {
    let place = fresh();
    let what = match how {
        Strike::Kill => format!("inject={}:signal=SIGKILL:when={}", target.call, target.number),
        Strike::Fail(error) => format!("inject={}:error={error}:when={}", target.call, target.number),
    };
    let (file, log) = (place.path(&target.file), place.path("calls"));
    let options = ["-o".into(), log.display().to_string(), "-P".into(), file.display().to_string(), "-e".into(), what];
    let ended = run(&place, deed, &options);
    let log = fs::read_to_string(&log).unwrap_or_default();
    let struck = log.contains("INJECTED") || log.contains("killed by SIGKILL");
    match how {
        Strike::Kill => assert!(!struck || ended.code != Some(0), "killed, and yet ended well"),
        Strike::Fail(_) => {
            let told = ended.code == Some(0) || (ended.code == Some(2) && ended.stderr.contains("wardbook: "));
            assert!(told, "ended with {:?} and says: {}", ended.code, ended.stderr);
        }
    }
    place.verified();
    (deed.holds)(&place, &ended);
    // Typed again; a user that was made before the kill makes the second time a refusal in a sentence.
    let again = with_input(
        {
            let mut command = place.wardbook();
            command.args(deed.arguments);
            command
        },
        PASSWORD,
    );
    assert!(again.code == Some(0) || again.stderr.contains("taken"), "the second time: {}", again.stderr);
    (deed.done)(&place);
    place.verified();
    struck
}

/// Strikes at all targets, or at some that are spread evenly over them.
fn strike_everywhere(deed: &Deed, how: Strike) {
    let available = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    assert!(available, "strace is missing: install it (scripts/test does), this test cannot be left out");
    let all = targets(deed);
    assert!(all.len() > 20, "a run has many storage calls: {all:?}");
    for kind in ["journal/", "keys.sqlite", "checkpoint", "views/"] {
        assert!(
            all.iter().any(|target| target.file.contains(kind))
                || (kind == "keys.sqlite" && deed.arguments[0] == "user"),
            "no call for {kind}"
        );
    }
    let wanted = if std::env::var("WARDBOOK_CRASH_SYSCALLS").is_ok_and(|all| all == "all") {
        all.len()
    } else {
        STRUCK.min(all.len())
    };
    let chosen: Vec<_> = (0..wanted).map(|number| &all[number * all.len() / wanted]).collect();
    let (next, struck, failures) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(target) = chosen.get(next.fetch_add(1, Ordering::SeqCst)) {
                    match std::panic::catch_unwind(|| strike(deed, target, how)) {
                        Ok(came) => drop(struck.fetch_add(usize::from(came), Ordering::SeqCst)),
                        Err(failure) => {
                            let why = failure
                                .downcast_ref::<String>()
                                .cloned()
                                .or_else(|| failure.downcast_ref::<&str>().map(|why| (*why).to_owned()));
                            failures.lock().unwrap().push(format!("{target:?}: {}", why.unwrap_or_default()));
                        }
                    }
                }
            });
        }
    });
    let (struck, failures) = (struck.into_inner(), failures.into_inner().unwrap());
    println!("{} calls, {} chosen, {struck} struck", all.len(), chosen.len());
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), chosen.len(), failures.join("\n"));
    // Some calls depend on the race of threads; most come in every run.
    assert!(struck * 2 > chosen.len(), "only {struck} of {} strikes came", chosen.len());
}

#[test]
fn a_kill_at_any_storage_call_of_a_new_user_loses_nothing() {
    strike_everywhere(&CREATE, Strike::Kill);
}

#[test]
fn a_kill_at_any_storage_call_of_an_import_loses_nothing() {
    strike_everywhere(&IMPORT, Strike::Kill);
}

#[test]
fn a_disk_that_fails_at_any_call_is_told_in_a_sentence() {
    strike_everywhere(&CREATE, Strike::Fail("EIO"));
    strike_everywhere(&IMPORT, Strike::Fail("EIO"));
}

#[test]
fn a_disk_that_is_full_at_any_call_is_told_in_a_sentence() {
    strike_everywhere(&CREATE, Strike::Fail("ENOSPC"));
    strike_everywhere(&IMPORT, Strike::Fail("ENOSPC"));
}
