//! Keys made anew and wrapped anew while the house works, and what is told of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::{Value, json};
use wardbook::keyring::schedule;
use wardbook_events::{PatientId, Role, TenantId};
use wardbook_ledger::{LogReader, Position};

use crate::helpers::{Client, TestApp, person, quick_config};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A hospital with somebody who looks after the keys.
struct House {
    test: TestApp,
    security: Client,
    registrar: Client,
    physician: Client,
    patients: Vec<PatientId>,
}

impl House {
    fn new(patients: usize) -> Self {
        Self::with(quick_config(), patients)
    }

    fn with(mut config: wardbook::config::Config, patients: usize) -> Self {
        // Clocks are moved by months here, and nobody logs in again.
        config.sessions.lifetime_s = 604_800;
        let test = TestApp::with(config);
        let physician = test.user("physician", &[Role::Physician], None);
        for (name, role) in [("registrar", Role::Registrar), ("security", Role::SecurityAdmin)] {
            test.user(name, &[role], None);
        }
        let registrar = test.log_in("registrar");
        let mut registered = Vec::new();
        let mut last = 0;
        for number in 0..patients {
            let answer = registrar.post("/v1/patients", &person(&format!("Rotated{number}")));
            assert_eq!(answer.status, 201, "{}", answer.text());
            let patient: PatientId = answer.json()["patient"].as_str().unwrap().parse().unwrap();
            let path = format!("/v1/patients/{patient}/care-team/{physician}");
            let assigned = registrar.after(&answer).put(&path, &json!({"function": "attending"}));
            assert_eq!(assigned.status, 204, "{}", assigned.text());
            last = assigned.position();
            registered.push(patient);
        }
        let physician = test.log_in_after(last, "physician");
        let security = test.log_in("security");
        Self { test, security, registrar, physician, patients: registered }
    }

    fn home(&self) -> TenantId {
        self.test.app.config().organisation.id
    }

    fn status(&self) -> Value {
        let answer = self.security.get("/v1/keys");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    fn rotate(&self, body: &Value) -> Value {
        let answer = self.security.post("/v1/keys/rotate", body);
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
        answer.json()
    }

    /// Waits until nothing is being done any more.
    fn through(&self, place: &str) -> Value {
        soon(|| {
            let status = self.status();
            let job = status.pointer(place).cloned().unwrap_or_default();
            assert_ne!(job["state"], "failed", "{job}");
            (job["state"] != "running").then_some(status)
        })
    }

    fn everybody_opens(&self) {
        for (number, patient) in self.patients.iter().enumerate() {
            let chart = self.physician.get(&format!("/v1/patients/{patient}"));
            assert_eq!(chart.status, 200, "{}", chart.text());
            assert_eq!(chart.json()["name"]["family"], format!("Rotated{number}"));
        }
    }

    /// A tick as the server makes each minute, and the views have seen what it told.
    fn tick(&self) {
        schedule::tick(&self.test.app).unwrap();
        self.caught_up();
    }

    fn caught_up(&self) {
        let head = self.test.app.ledger().head().durable;
        soon(|| (self.test.app.views().position() >= head).then_some(()));
    }

    /// Bodies of the events of a type, in their order.
    fn told(&self, kind: &str) -> Vec<Value> {
        let reader = LogReader::open(&self.test.app.data().ledger()).unwrap();
        let all = reader.scan(Position(0)).map(Result::unwrap);
        all.filter(|event| event.event_type().as_str() == kind)
            .map(|event| serde_json::from_slice(event.body()).unwrap())
            .collect()
    }
}

fn soon<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come to its end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn states(of: &Value) -> Vec<(u64, String)> {
    let one = |key: &Value| (key["version"].as_u64().unwrap(), key["state"].as_str().unwrap().to_owned());
    of.as_array().unwrap().iter().map(one).collect()
}

#[test]
fn each_level_is_made_anew_and_everything_still_opens() {
    let house = House::new(3);
    let first = house.status();
    assert_eq!(states(&first["tenant"]), [(1, "active".to_owned())]);
    assert_eq!((&first["patients"]["count"], &first["to_rewrap"]), (&json!(3), &json!(0)));
    assert_eq!((&first["root"]["reachable"], &first["root"]["to_rewrap"]), (&json!(true), &json!(0)));
    assert_eq!(first["tenant_due_at"], "2027-03-01T12:00:00Z");

    assert_eq!(house.rotate(&json!({"level": "tenant"}))["version"], "2");
    let status = house.through("/job");
    assert_eq!((&status["to_rewrap"], &status["job"]["what"]), (&json!(0), &json!("rewrap")), "{status}");
    assert_eq!(states(&status["tenant"]), [(1, "retired".to_owned()), (2, "active".to_owned())]);
    assert_eq!(status["tenant"][1]["patient_keys"], 3);
    house.everybody_opens();

    let before = first["root"]["version"].as_str().unwrap();
    let root = house.rotate(&json!({"level": "root"}))["version"].as_str().unwrap().to_owned();
    assert_ne!(root, before);
    let status = house.through("/root/job");
    assert_eq!((&status["root"]["version"], &status["root"]["to_rewrap"]), (&json!(root), &json!(0)), "{status}");
    house.everybody_opens();

    let patient = house.patients[0];
    assert_eq!(house.rotate(&json!({"level": "patient", "patient": patient}))["version"], "2");
    house.everybody_opens();
    house.test.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(house.rotate(&json!({"level": "patient"})), json!({"level": "patient"}));
    let status = house.through("/job");
    assert_eq!((&status["job"]["what"], &status["job"]["done"]), (&json!("rotate-patients"), &json!(3)), "{status}");
    house.everybody_opens();
    // What is written from now on is sealed under the newest versions, and reads as well.
    let note = json!({"type": "note", "body": {"code": {"text": "Visit"}}});
    let written = house.physician.post(&format!("/v1/patients/{patient}/records"), &note);
    assert_eq!(written.status, 201, "{}", written.text());
    let read = house.physician.after(&written).get(&format!("/v1/patients/{patient}/records"));
    assert_eq!(read.json()["records"][0]["body"]["code"]["text"], "Visit", "{}", read.text());

    let expected = json!({"version": 2, "reason": "requested"});
    assert_eq!(house.told("keys.tenant-key-rotated"), [expected]);
    let rewrapped = house.told("keys.rewrapped");
    // Three patients' keys and the index key.
    assert_eq!(rewrapped[0], json!({"level": "tenant", "version": "2", "count": 4, "finished": true}));
    assert_eq!(rewrapped[1], json!({"level": "root", "version": root, "count": 2, "finished": true}));
    let rotated = house.told("keys.patient-keys-rotated");
    assert_eq!(rotated[0]["patients"], json!([{"patient": patient, "version": 2}]));
    assert_eq!(rotated[1]["patients"].as_array().unwrap().len(), 3);
    let root_told = house.told("keys.root-key-rotated");
    assert_eq!((root_told.len(), &root_told[0]["version"]), (1, &json!(root)));
    house.caught_up();
    let history = house.status()["history"].clone();
    let levels: Vec<_> = history.as_array().unwrap().iter().map(|one| one["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["patient", "patient", "root", "tenant"]);
    // Nothing that could be a key is in any of it.
    assert!(!house.status().to_string().contains("wrapped"), "no key material");
}

#[test]
fn only_those_who_look_after_keys_with_a_fresh_proof_and_only_what_makes_sense() {
    let house = House::new(1);
    for client in [&house.registrar, &house.physician] {
        assert_eq!(client.get("/v1/keys").status, 403);
        assert_eq!(client.post("/v1/keys/rotate", &json!({"level": "tenant"})).status, 403);
        assert_eq!(client.post("/v1/keys/rewrap", &json!({})).status, 403);
    }
    assert_eq!(house.test.stranger().get("/v1/keys").status, 401);
    let nobody = json!({"level": "patient", "patient": PatientId::from_bytes([7; 16])});
    assert_eq!(house.security.post("/v1/keys/rotate", &nobody).status, 404);
    for body in [json!({"level": "tenant", "patient": house.patients[0]}), json!({"level": "moon"}), json!({})] {
        assert_eq!(house.security.post("/v1/keys/rotate", &body).status, 422, "{body}");
    }
    assert_eq!(house.security.post("/v1/keys/rewrap", &json!({"level": "patient"})).status, 422);
    // Who looks after the keys of another organisation leaves the root key and ours alone.
    let other = TenantId::from_bytes([9; 16]);
    house.test.user_of(other, "elsewhere", &[Role::SecurityAdmin], None);
    let elsewhere = house.test.log_in("elsewhere");
    assert_eq!(elsewhere.post("/v1/keys/rotate", &json!({"level": "root"})).status, 403);
    assert_eq!(elsewhere.post("/v1/keys/rewrap", &json!({"level": "root"})).status, 403);
    let ours = json!({"level": "patient", "patient": house.patients[0]});
    assert_eq!(elsewhere.post("/v1/keys/rotate", &ours).status, 404, "a patient of ours is nobody's there");
    let seen = elsewhere.get("/v1/keys").json();
    assert_eq!((&seen["patients"]["count"], &seen["root"]["to_rewrap"]), (&json!(0), &Value::Null), "{seen}");
    assert_eq!(house.told("keys.patient-keys-rotated"), [] as [Value; 0]);

    let mut config = quick_config();
    config.sessions.idle_s = 4 * 3600;
    config.tokens.lifetime_s = 4 * 3600;
    let house = House::with(config, 0);
    house.test.clock.advance(SignedDuration::from_mins(61));
    let stale = house.security.post("/v1/keys/rotate", &json!({"level": "tenant"}));
    assert_eq!((stale.status, stale.json()["type"].as_str()), (401, Some("/problems/step-up-required")));
    assert_eq!(house.told("keys.tenant-key-rotated"), [] as [Value; 0]);
}

#[test]
fn keys_are_made_anew_when_they_are_old_and_old_versions_are_destroyed_in_the_end() {
    let house = House::new(2);
    let keys = house.test.app.keys();
    house.tick();
    assert!(house.told("keys.patient-keys-rotated").is_empty(), "nothing is old yet");
    house.test.clock.advance(DAY * 90);
    house.tick();
    let rotated = house.told("keys.patient-keys-rotated");
    assert_eq!((rotated.len(), &rotated[0]["reason"]), (1, &json!("age")), "{rotated:?}");
    assert_eq!(rotated[0]["patients"].as_array().unwrap().len(), 2);
    house.tick();
    assert_eq!(house.told("keys.patient-keys-rotated").len(), 1, "they are young again");
    for year in 1..=4 {
        house.test.clock.advance(DAY * 366);
        house.tick();
        house.tick();
        assert_eq!(house.told("keys.tenant-key-rotated").len(), year);
        assert_eq!(house.told("keys.root-key-rotated").len(), year);
    }
    let status = keys.status(house.home()).unwrap();
    let states: Vec<_> = status.tenant.iter().map(|key| (key.version, key.state.name())).collect();
    let expected = [(1, "destroyed"), (2, "destroyed"), (3, "retired"), (4, "retired"), (5, "active")];
    assert_eq!((states.as_slice(), status.to_rewrap()), (&expected[..], 0));
    let destroyed = house.told("keys.version-destroyed");
    let of = |level: &str| -> Vec<u64> {
        let level = destroyed.iter().filter(|one| one["level"] == level);
        level.map(|one| one["version"].as_u64().unwrap()).collect()
    };
    assert_eq!((of("tenant"), of("root")), (vec![1, 2], vec![1, 2]), "three versions of each are kept");
    // Four years later, after all of it: what was written on the first day.
    let physician = house.test.log_in("physician");
    let house = House { physician, ..house };
    house.everybody_opens();
}

#[test]
fn what_a_crash_left_untold_and_unfinished_is_made_up_for() {
    let house = House::new(5);
    let (keys, home) = (house.test.app.keys().clone(), house.home());
    // The moment after the new version was durable, and one after two keys were wrapped anew: nothing was told.
    assert_eq!(keys.rotate_tenant_key(home).unwrap(), 2);
    assert_eq!(keys.rewrap_patient_keys(home, 2).unwrap(), 2);
    drop(keys);
    let House { test, patients, .. } = house;
    let dir = test.stop();
    let test = TestApp::in_dir(quick_config(), dir);
    let logged_in = |name: &str| test.log_in(name);
    let (security, registrar, physician) = (logged_in("security"), logged_in("registrar"), logged_in("physician"));
    let house = House { test, security, registrar, physician, patients };
    assert_eq!(house.status()["to_rewrap"], 3);
    house.everybody_opens();
    house.tick();
    assert_eq!(house.status()["to_rewrap"], 0);
    assert_eq!(house.told("keys.tenant-key-rotated"), [json!({"version": 2, "reason": "requested"})]);
    // The other three patients' keys and the index key.
    let finished = json!({"level": "tenant", "version": "2", "count": 4, "finished": true});
    assert_eq!(house.told("keys.rewrapped"), std::slice::from_ref(&finished));
    house.tick();
    assert_eq!(house.told("keys.rewrapped"), [finished], "once");
    house.everybody_opens();
    // The same of a root key that somebody rotated at its provider.
    let version = house.test.app.keys().rotate_root_key().unwrap();
    house.tick();
    house.tick();
    let told = house.told("keys.root-key-rotated");
    assert_eq!((told.len(), &told[0]["version"]), (1, &json!(version.as_str())));
    assert_eq!(house.status()["root"]["to_rewrap"], 0);
    house.everybody_opens();
}

#[test]
fn no_request_fails_while_keys_are_made_anew_and_wrapped_anew() {
    let house = House::new(12);
    let (ended, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failed = parking_lot::Mutex::new(Vec::new());
    let go_on = |work: &dyn Fn(usize) -> (u16, String)| {
        let mut round = 0;
        while !ended.load(Ordering::Relaxed) {
            let (status, text) = work(round);
            if !(200..300).contains(&status) {
                failed.lock().push(format!("{status} {text}"));
            }
            done.fetch_add(1, Ordering::Relaxed);
            round += 1;
        }
    };
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (house, go_on) = (&house, &go_on);
            scope.spawn(move || {
                go_on(&|round| {
                    let patient = house.patients[(round + reader * 5) % house.patients.len()];
                    let answer = house.physician.get(&format!("/v1/patients/{patient}"));
                    (answer.status, answer.text())
                });
            });
        }
        scope.spawn(|| {
            go_on(&|round| {
                let patient = house.patients[round % house.patients.len()];
                let note = json!({"type": "note", "body": {"code": {"text": format!("Visit {round}")}}});
                let answer = house.physician.post(&format!("/v1/patients/{patient}/records"), &note);
                (answer.status, answer.text())
            });
        });
        scope.spawn(|| {
            go_on(&|_| {
                let answer = house.registrar.post("/v1/patients", &person("Meanwhile"));
                (answer.status, answer.text())
            });
        });
        for round in 0..6 {
            house.test.clock.advance(SignedDuration::from_secs(1));
            house.rotate(&json!({"level": "tenant"}));
            if round % 2 == 0 {
                house.rotate(&json!({"level": "root"}));
            }
            house.through("/job");
            house.rotate(&json!({"level": "patient"}));
            house.through("/job");
        }
        // Nobody waits for the one before: a run that is under way goes on to the newest version.
        for _ in 0..3 {
            house.rotate(&json!({"level": "tenant"}));
        }
        house.through("/job");
        ended.store(true, Ordering::Relaxed);
    });
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "{} of {done:?} failed: {:?}", failed.len(), failed.first());
    assert!(done.load(Ordering::Relaxed) > 50, "{done:?}");
    house.tick();
    let status = house.status();
    assert_eq!((&status["to_rewrap"], &status["root"]["to_rewrap"]), (&json!(0), &json!(0)));
    assert_eq!(states(&status["tenant"]).last(), Some(&(10, "active".to_owned())));
    assert_eq!(house.told("keys.tenant-key-rotated").len(), 9, "each is told once");
    house.everybody_opens();
}

#[test]
fn use_is_counted_each_hour_and_what_is_unusual_raises_an_alert() {
    let mut config = quick_config();
    config.keys.usage.hour_max = 20;
    let house = House::with(config, 4);
    house.tick();
    assert!(house.told("keys.uses-counted").is_empty(), "the hour is not over");
    house.everybody_opens();
    let again = || {
        house.test.clock.advance(SignedDuration::from_mins(60));
        house.tick();
    };
    again();
    let counted = house.told("keys.uses-counted");
    let opens = counted[0]["users"][0]["opens"].as_u64().unwrap();
    assert_eq!((counted.len(), &counted[0]["opens"]), (1, &json!(opens)), "{counted:?}");
    assert!(opens >= 8 && counted[0]["seals"].as_u64().unwrap() >= 8, "{counted:?}");
    assert_eq!(counted[0]["until"], "2026-03-01T13:00:00Z");
    let seen = house.told("keys.unusual-use-seen");
    assert_eq!(seen.len(), usize::from(opens > 20));
    let house = House { physician: house.test.log_in("physician"), security: house.test.log_in("security"), ..house };
    (0..8).for_each(|_| house.everybody_opens());
    house.test.clock.advance(SignedDuration::from_mins(60));
    house.tick();
    let seen = house.told("keys.unusual-use-seen");
    let last = seen.last().unwrap();
    assert_eq!((&last["unusual"], &last["usual"]), (&json!("beyond-bound"), &json!(opens)), "{seen:?}");
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || house.test.app.keys().tell_uses());
    let metrics = recorder.handle().render();
    for (name, count) in [("seals", None), ("opens", Some(house.test.app.keys().uses().opens)), ("cache_hits", None)] {
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("wardbook_key_{name}_total ")));
        let found: u64 = line.unwrap_or_else(|| panic!("no {name}: {metrics}")).parse().unwrap();
        assert!(found > 0 && count.is_none_or(|count| count == found), "{name}: {metrics}");
    }
    let security = house.test.log_in("security");
    let alert = soon(|| {
        let alerts = security.get("/v1/alerts?kind=unusual-key-use").json();
        alerts["alerts"].as_array().unwrap().first().cloned()
    });
    assert_eq!((&alert["severity"], &alert["user"]), (&json!("critical"), &last["user"]), "{alert}");
    assert_eq!(house.status_of(&security)["counted_until"], "2026-03-01T14:00:00Z");
}

#[test]
fn use_from_where_nobody_of_the_house_is_raises_an_alert() {
    let mut config = quick_config();
    config.keys.usage.networks = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let house = House::with(config, 1);
    house.tick();
    house.everybody_opens();
    house.test.clock.advance(SignedDuration::from_mins(60));
    house.tick();
    let seen = house.told("keys.unusual-use-seen");
    assert!(seen.len() == 1 && seen[0]["unusual"] == "unknown-network", "{seen:?}");
    house.test.clock.advance(SignedDuration::from_mins(60));
    house.tick();
    assert_eq!(house.told("keys.unusual-use-seen").len(), 1, "what is told is not told again");
}

impl House {
    fn status_of(&self, client: &Client) -> Value {
        self.caught_up();
        client.get("/v1/keys").json()
    }
}

#[test]
fn who_has_opened_too_much_waits_and_nothing_is_disclosed_meanwhile() {
    let mut config = quick_config();
    config.rates.opens_per_minute = 60;
    let house = House::with(config, 1);
    let path = format!("/v1/patients/{}", house.patients[0]);
    let mut opened = 0;
    let refused = loop {
        let answer = house.physician.get(&path);
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        opened += 1;
        assert!(opened < 61, "never stopped");
    };
    assert!(opened > 2);
    assert_eq!(refused.json()["type"], "/problems/too-many-requests");
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let head = house.test.app.ledger().head().durable;
    assert_eq!(house.physician.get(&path).status, 429);
    assert_eq!(house.test.app.ledger().head().durable, head, "no event tells of a disclosure that was none");
    let found = house.registrar.post("/v1/patients/search", &json!({"name": "Rotated0"}));
    assert_eq!(found.status, 200, "another user is not concerned");
    house.test.clock.advance(SignedDuration::from_secs(wait));
    assert_eq!(house.physician.get(&path).status, 200);
}
