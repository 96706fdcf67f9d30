//! The root key lives in OpenBao, and OpenBao goes away: what goes on, what stops, and that it comes back by itself.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::{Value, json};
use wardbook::clock::Clock;
use wardbook::config::{Config, DataDir, Provider};
use wardbook::keyring::moving::{MoveError, move_root};
use wardbook_events::{PatientId, Role};
use wardbook_keys::StoreError;

use crate::helpers::bao::Bao;
use crate::helpers::{Answer, Client, PASSWORD, TestApp, person, quick_config};

fn config(bao: &Bao) -> Config {
    let mut config = quick_config();
    config.keys.provider = Provider::Vault;
    config.keys.vault.address = bao.address();
    config.keys.vault.role_id = bao.role_id.clone();
    config.keys.vault.secret_id_file = bao.secret_id_file();
    // Longer than usual: the machine that tests is busy.
    config.keys.deadline_ms = 10_000;
    config.keys.pause_ms = 100;
    config.keys.look_every_s = 1;
    config
}

fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "not seen in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A house with a patient and those who ask.
fn furnish(test: &TestApp) -> PatientId {
    for (name, role) in [("registrar", Role::Registrar), ("auditor", Role::Auditor), ("officer", Role::SecurityAdmin)] {
        test.user(name, &[role], None);
    }
    let physician = test.user("physician", &[Role::Physician], None);
    let registrar = test.log_in("registrar");
    let registered = registrar.post("/v1/patients", &person("Outage"));
    assert_eq!(registered.status, 201, "{}", registered.text());
    let patient = registered.json()["patient"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/patients/{patient}/care-team/{physician}");
    let assigned = registrar.after(&registered).put(&path, &json!({"function": "attending"}));
    assert_eq!(assigned.status, 204, "{}", assigned.text());
    test.log_in_after(assigned.position(), "physician");
    patient
}

fn chart(client: &Client, patient: PatientId) -> Answer {
    client.get(&format!("/v1/patients/{patient}"))
}

fn root_key(test: &TestApp) -> Value {
    let answer = test.stranger().get("/health/ready");
    assert_eq!(answer.status, 200, "what needs no key is served: {}", answer.text());
    answer.json()["root_key"].clone()
}

fn state(test: &TestApp, wanted: &str) {
    soon(wanted, || (root_key(test)["state"] == wanted).then_some(()));
}

fn unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.json()["type"], "/problems/keys-unavailable");
    assert!(answer.json()["detail"].as_str().unwrap().contains("root key"), "{}", answer.text());
    assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
}

/// What needs no key of a patient or an organisation goes on. Whoever is not logged in must wait: password hashes are sealed.
fn goes_on(test: &TestApp, auditor: &Client) {
    let audit = auditor.get("/v1/audit/events?limit=5");
    assert_eq!(audit.status, 200, "{}", audit.text());
    unavailable(&test.stranger().post("/v1/auth/login", &json!({"username": "auditor", "password": PASSWORD})));
}

#[test]
fn keys_in_memory_serve_for_their_minutes_and_then_nothing_opens_until_it_is_there_again() {
    let mut bao = Bao::start("1h");
    let test = TestApp::with(config(&bao));
    let patient = furnish(&test);
    let [physician, registrar, auditor, officer] =
        ["physician", "registrar", "auditor", "officer"].map(|name| test.log_in(name));
    assert_eq!(chart(&physician, patient).status, 200);
    state(&test, "reachable");
    assert_eq!(root_key(&test)["provider"], "vault");

    bao.stop();
    state(&test, "unreachable");
    assert_eq!(chart(&physician, patient).status, 200, "its key is in memory");
    let alert = soon("an alert", || {
        let alerts = officer.get("/v1/alerts?kind=key-provider-unreachable").json();
        alerts["alerts"].as_array().unwrap().first().cloned()
    });
    assert_eq!(alert["severity"], "critical");

    // Keys are not made anew under a root key that cannot be asked; looking after them fails and does no harm.
    unavailable(&officer.post("/v1/keys/rotate", &json!({"level": "tenant"})));
    unavailable(&officer.post("/v1/keys/rotate", &json!({"level": "root"})));
    assert!(wardbook::keyring::schedule::tick(&test.app).is_err());
    let status = officer.get("/v1/keys").json();
    assert_eq!((&status["root"]["reachable"], &status["tenant"][0]["state"]), (&json!(false), &json!("active")));
    assert_eq!(chart(&physician, patient).status, 200, "its key is in memory all the same");

    test.clock.advance(SignedDuration::from_mins(11));
    unavailable(&chart(&physician, patient));
    unavailable(&registrar.post("/v1/patients", &person("Later")));
    goes_on(&test, &auditor);

    bao.start_again();
    state(&test, "reachable");
    assert_eq!(chart(&physician, patient).json()["name"]["family"], "Outage", "without a restart of ours");
    let rotated = officer.post("/v1/keys/rotate", &json!({"level": "root"}));
    assert_eq!((rotated.status, &rotated.json()["version"]), (200, &json!("2")), "{}", rotated.text());
    soon("the organisation's key under it", || {
        (officer.get("/v1/keys").json()["root"]["to_rewrap"] == 0).then_some(())
    });
    assert_eq!(chart(&physician, patient).status, 200);
}

#[test]
fn a_server_that_starts_without_its_provider_says_so_and_serves_the_rest() {
    let mut bao = Bao::start("1h");
    let test = TestApp::with(config(&bao));
    let patient = furnish(&test);
    let before = ["physician", "auditor"].map(|name| test.log_in(name));
    let dir = test.stop();

    bao.stop();
    let test = TestApp::in_dir(config(&bao), dir);
    state(&test, "unreachable");
    let [physician, auditor] = before.map(|client| test.stranger().with_headers_of(&client));
    unavailable(&chart(&physician, patient));
    goes_on(&test, &auditor);

    bao.start_again();
    state(&test, "reachable");
    assert_eq!(chart(&physician, patient).status, 200);
    let audit = soon("both events", || {
        let found = auditor.get("/v1/audit/events?limit=200").text();
        (found.contains("keys.provider-unreachable") && found.contains("keys.provider-reachable")).then_some(found)
    });
    assert!(!audit.contains("Outage"));
}

#[test]
fn a_new_system_does_not_begin_without_its_root_key() {
    let mut bao = Bao::start("1h");
    bao.stop();
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(dir.path());
    let settings = config(&bao).keys;
    let told = wardbook::root::open(&settings, &data, true).err().unwrap();
    assert!(told.to_string().contains("cannot be reached"), "{told}");
    wardbook::root::open(&settings, &data, false).unwrap();
}

#[test]
fn the_root_key_moves_to_openbao_and_back_into_a_file_with_a_passphrase() {
    let bao = Bao::start("1h");
    let files = quick_config();
    let test = TestApp::with(files.clone());
    let patient = furnish(&test);
    assert_eq!(test.log_in("physician").get("/v1/auth/session").status, 200);
    let dir = test.stop();
    let (data, clock) = (DataDir::new(dir.path()), Clock::system());
    let moved = move_root(&data, &files.keys, &config(&bao).keys, &clock).unwrap();
    assert!(moved.keys >= 1 && moved.from != moved.to, "{moved:?}");
    // What is wrapped now is longer than it was, and the file beside the store opens nothing any more.
    let again = move_root(&data, &files.keys, &config(&bao).keys, &clock);
    assert!(matches!(again, Err(MoveError::Store(StoreError::WrongRootKey { .. }))), "{again:?}");
    std::fs::remove_file(data.keys().join("root.key")).unwrap();

    let test = TestApp::in_dir(config(&bao), dir);
    wardbook::root::tell_moved(&test.app).unwrap();
    let physician = test.log_in("physician");
    assert_eq!(chart(&physician, patient).json()["name"]["family"], "Outage");
    let status = test.log_in("officer").get("/v1/keys").json();
    assert_eq!(status["root"]["key"], moved.to);
    let dir = test.stop();

    let mut secret = quick_config();
    let passphrase = dir.path().join("passphrase");
    std::fs::write(&passphrase, "four words of a poem\n").unwrap();
    std::fs::set_permissions(&passphrase, PermissionsExt::from_mode(0o600)).unwrap();
    secret.keys.file.passphrase = true;
    secret.keys.file.passphrase_file = passphrase;
    secret.keys.file.path = dir.path().join("back.key");
    let back = move_root(&DataDir::new(dir.path()), &config(&bao).keys, &secret.keys, &clock).unwrap();
    assert_eq!((back.from, back.keys), (moved.to, moved.keys));
    drop(bao);
    let test = TestApp::in_dir(secret, dir);
    assert_eq!(chart(&test.log_in("physician"), patient).json()["name"]["family"], "Outage");
}
