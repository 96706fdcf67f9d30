//! The key that patients are searched by is made anew, and they are re-indexed while everything goes on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wardbook::keyring::reindex;
use wardbook::keyring::schedule::tick;
use wardbook_events::{Actor, Client as Device, CorrelationId, Purpose, Role};
use wardbook_keys::KeyState;
use wardbook_ledger::{Direction, Position};

use crate::helpers::{Answer, Client, TestApp, block_on, person, quick_config};

#[track_caller]
pub fn is(answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer
}

pub fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "not seen in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The bodies of events of a type, in their order.
pub fn told(test: &TestApp, kind: &str) -> Vec<Value> {
    let found = test.app.ledger().by_type(&kind.parse().unwrap(), Position(0), Direction::Forward, 10_000).unwrap();
    found.iter().map(|entry| serde_json::from_slice(entry.body()).unwrap()).collect()
}

/// Every view is rebuilt from the ledger and has the live one's root, or it would not be swapped in.
pub fn same_roots_after_a_rebuild(test: &TestApp) {
    let system = test.log_in("system");
    for name in ["patients", "records", "documents", "keys"] {
        is(system.post(&format!("/v1/projections/{name}/rebuild"), &json!({})), 202);
        let done = soon(name, || {
            let views = system.get("/v1/projections").json();
            let view = views["views"].as_array().unwrap().iter().find(|view| view["name"] == name).unwrap().clone();
            (view["rebuild"]["state"] != "running").then(|| view["rebuild"].clone())
        });
        assert!(done["state"] == "done" && done["compared"] == true, "{name}: {done}");
    }
}

fn furnish() -> TestApp {
    let test = TestApp::start();
    for (name, role) in
        [("registrar", Role::Registrar), ("security", Role::SecurityAdmin), ("system", Role::SystemAdmin)]
    {
        test.user(name, &[role], None);
    }
    test
}

/// Registers so many; gives each as id and what was sent.
fn registered(registrar: &Client, count: usize) -> Vec<(String, Value)> {
    let register = |n: usize| {
        let body = person(&format!("Indexed{}", char::from(b'a' + (n % 26) as u8)));
        let answer = is(registrar.post("/v1/patients", &body), 201);
        (answer.json()["patient"].as_str().unwrap().to_owned(), body)
    };
    (0..count).map(register).collect()
}

fn finds(client: &Client, terms: &Value, patient: &str) -> bool {
    let answer = is(client.post("/v1/patients/search", terms), 200);
    answer.json()["patients"].as_array().unwrap().iter().any(|one| one["patient"] == patient)
}

/// Somebody else with the same number, who must be refused.
fn double(of: &Value) -> Value {
    let mut body = person("Double");
    body["ssn"] = of["ssn"].clone();
    body
}

fn states(test: &TestApp) -> Vec<KeyState> {
    let tenant = test.app.config().organisation.id;
    test.app.keys().status(tenant).unwrap().index.iter().map(|key| key.state).collect()
}

/// Nobody has a token of an older version any more, in the view or among the claims.
fn all_under(test: &TestApp, version: u64) {
    let tenant = test.app.config().organisation.id;
    let newest = u32::try_from(version).unwrap();
    let indexed = test.app.views().patients.indexed(tenant, newest).unwrap();
    assert_eq!((indexed.older_only, indexed.both), (0, 0), "{indexed:?}");
    let of = |event: &Value| {
        let token = &event["token"];
        let index = token["index"].as_u64().unwrap_or(1);
        (index, token["value"].to_string(), event["patient"].to_string())
    };
    let mut held: BTreeSet<_> = told(test, "patients.token-claimed").iter().map(of).collect();
    for gone in told(test, "patients.token-released").iter().map(of) {
        // What was claimed again after it was given up is not in this test.
        held.remove(&gone);
    }
    assert!(held.iter().all(|(index, ..)| *index == version), "a claim of an older version is left");
}

#[test]
fn everybody_is_found_and_nobody_registered_twice_while_patients_are_reindexed() {
    let test = furnish();
    let (registrar, security) = (test.log_in("registrar"), test.log_in("security"));
    let patients = registered(&registrar, 120);
    let newest = (test.app.ledger().head().durable - 1).to_string();
    is(registrar.with("If-Ledger-Position", &newest).get(&format!("/v1/patients/{}", patients[119].0)), 200);

    let (over, searches, doubles) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let come = std::thread::scope(|scope| {
        let searching = |offset: usize| {
            let (registrar, patients, over, searches) = (&registrar, &patients, &over, &searches);
            move || {
                for (patient, body) in patients.iter().cycle().skip(offset) {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    for terms in [json!({"ssn": body["ssn"]}), json!({"name": body["name"]["given"][1]})] {
                        assert!(finds(registrar, &terms, patient), "somebody was not found by {terms}");
                        searches.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        };
        scope.spawn(searching(0));
        scope.spawn(searching(60));
        scope.spawn(|| {
            for (_, body) in patients.iter().rev().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                is(registrar.post("/v1/patients", &double(body)), 409);
                doubles.fetch_add(1, Ordering::Relaxed);
            }
        });
        let coming = scope.spawn(|| {
            let mut come = Vec::new();
            while !over.load(Ordering::Relaxed) && come.len() < 40 {
                come.extend(registered(&registrar, 1));
            }
            come
        });
        soon("searches", || (searches.load(Ordering::Relaxed) > 4).then_some(()));
        let began = is(security.post("/v1/keys/rotate", &json!({"level": "index"})), 200).json();
        assert_eq!(began["version"], "2");
        let keys = soon("all re-indexed", || {
            let keys = is(security.get("/v1/keys"), 200).json();
            assert_ne!(keys["job"]["state"], "failed", "{keys}");
            (keys["job"]["what"] == "reindex" && keys["job"]["state"] == "done").then_some(keys)
        });
        assert!(keys["job"]["done"].as_u64().unwrap() >= 120, "{}", keys["job"]);
        assert_eq!(keys["index"][0]["state"], "destroyed");
        over.store(true, Ordering::Relaxed);
        coming.join().unwrap()
    });
    println!("{searches:?} searches, {doubles:?} doubles refused, {} new patients meanwhile", come.len());
    assert!(doubles.load(Ordering::Relaxed) > 0 && !come.is_empty());

    assert_eq!(states(&test), [KeyState::Destroyed, KeyState::Active]);
    let newest = (test.app.ledger().head().durable - 1).to_string();
    let registrar = registrar.with("If-Ledger-Position", &newest);
    for (patient, body) in patients.iter().chain(&come) {
        assert!(finds(&registrar, &json!({"ssn": body["ssn"], "birth_date": "1971-02-03"}), patient));
        is(registrar.post("/v1/patients", &double(body)), 409);
    }
    all_under(&test, 2);
    assert_eq!(told(&test, "keys.index-key-rotated"), [json!({"version": 2, "reason": "requested"})]);
    assert_eq!(told(&test, "keys.version-destroyed"), [json!({"level": "index", "version": 1})]);
    same_roots_after_a_rebuild(&test);
}

#[test]
fn a_run_that_was_cut_off_is_gone_on_with() {
    let test = furnish();
    let registrar = test.log_in("registrar");
    let patients = registered(&registrar, 30);
    let tenant = test.app.config().organisation.id;
    // As after a crash between the key and its event, with some patients re-indexed already.
    assert_eq!(test.app.keys().rotate_index_key(tenant).unwrap(), 2);
    block_on(async {
        for (patient, _) in &patients[..10] {
            let origin = wardbook_commands::Origin {
                actor: Actor::SYSTEM,
                purpose: Purpose::SystemAdministration,
                correlation: CorrelationId::new(test.app.new_id().unwrap()),
                causation: None,
                client: Device::default(),
                now: test.app.now(),
                seed: test.app.chance().bytes().unwrap(),
                idempotency: None,
            };
            let done = test.app.commands().reindex_patient(tenant, &origin, patient.parse().unwrap()).await.unwrap();
            test.app.seen(done.receipts.last().unwrap()).await.unwrap();
        }
    });
    let half = test.app.views().patients.indexed(tenant, 2).unwrap();
    assert_eq!((half.newest, half.older_only, half.both), (10, 20, 0));
    assert!(reindex::is_due(&test.app, tenant).unwrap());

    let test = TestApp::in_dir(quick_config(), test.stop());
    let registrar = test.log_in("registrar");
    for (patient, body) in &patients {
        assert!(finds(&registrar, &json!({"ssn": body["ssn"]}), patient), "found by whichever version");
        is(registrar.post("/v1/patients", &double(body)), 409);
    }
    tick(&test.app).unwrap();
    soon("the rest", || (states(&test) == [KeyState::Destroyed, KeyState::Active]).then_some(()));
    assert_eq!(told(&test, "patients.reindexed").len(), 30, "nobody twice");
    assert_eq!(told(&test, "keys.index-key-rotated").len(), 1, "what was not told is told");
    soon("no more to do", || (!reindex::is_due(&test.app, tenant).unwrap()).then_some(()));
    all_under(&test, 2);
    for (patient, body) in &patients {
        assert!(finds(&registrar, &json!({"ssn": body["ssn"]}), patient));
        is(registrar.post("/v1/patients", &double(body)), 409);
    }
    tick(&test.app).unwrap();
    assert_eq!(told(&test, "patients.reindexed").len(), 30);
}
