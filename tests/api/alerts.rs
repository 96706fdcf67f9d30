//! What officers are told, and that nothing of it is lost.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;
use wardbook::config::Config;
use wardbook_events::{PatientId, Role, UserId};

use crate::helpers::{Client, HOUSE, TestApp, person, quick_config};

/// Another system that takes messages: what it took, and what it answers.
pub(super) struct Sink {
    url: String,
    taken: Arc<Mutex<Vec<Value>>>,
    status: Arc<AtomicU16>,
}

impl Sink {
    pub(super) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (taken, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU16::new(200)));
        let (kept, says) = (Arc::clone(&taken), Arc::clone(&status));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    let lower = line.to_ascii_lowercase();
                    length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
                    line.clear();
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = says.load(Ordering::SeqCst);
                if status == 200 {
                    kept.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
                }
                _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Self { url, taken, status }
    }
    pub(super) fn taken(&self) -> Vec<Value> {
        self.taken.lock().unwrap().clone()
    }
    /// Settings that send there, and try quickly.
    pub(super) fn config(&self, dir: &TempDir) -> Config {
        let secret = dir.path().join("webhook.secret");
        std::fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
        let mut config = quick_config();
        config.notify.webhook_url = self.url.clone();
        config.notify.webhook_secret_file = secret;
        config.notify.tries_max = 1;
        config
    }
}

/// What another thread does soon.
fn soon<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(Duration::from_secs(20), what, look)
}
fn within<T>(time: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < time, "not seen in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
fn alerts(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/v1/alerts?limit=200{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["alerts"].as_array().unwrap().clone()
}
/// The alerts of a kind about a patient.
fn about(client: &Client, kind: &str, patient: PatientId) -> Vec<Value> {
    let mut all = alerts(client, &format!("&kind={kind}"));
    all.retain(|alert| alert["patient"] == patient.to_string());
    all
}
fn raised(client: &Client, kind: &str, patient: PatientId) -> Value {
    soon(kind, || about(client, kind, patient).pop())
}
pub(super) fn start(client: &Client, patient: PatientId) -> String {
    let body = json!({"patient": patient, "reason": "trauma", "attested": true});
    let answer = client.with("Purpose-Of-Use", "ETREAT").post("/v1/break-glass", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["emergency"].as_str().unwrap().to_owned()
}

/// A house of its own with a patient, a nurse who breaks the glass and an officer.
struct Scene {
    test: TestApp,
    patient: PatientId,
    nurse: UserId,
}

impl Scene {
    fn new(config: Config) -> Self {
        let test = TestApp::with(config);
        test.user("registrar", &[Role::Registrar], None);
        test.user("officer", &[Role::ComplianceOfficer], None);
        let nurse = test.user("nurse", &[Role::Nurse], None);
        let registered = test.log_in("registrar").post("/v1/patients", &person("Alarming"));
        let patient = registered.json()["patient"].as_str().unwrap().parse().unwrap();
        test.log_in_after(registered.position(), "nurse");
        Self { test, patient, nurse }
    }
    fn restart(self, config: Config) -> Self {
        Self { test: TestApp::in_dir(config, self.test.stop()), ..self }
    }
}

#[test]
fn officers_are_told_at_once_and_not_of_whom() {
    let (sink, dir) = (Sink::open(), tempfile::tempdir().unwrap());
    let scene = Scene::new(sink.config(&dir));
    let (nurse, officer) = (scene.test.log_in("nurse"), scene.test.log_in("officer"));
    let emergency = start(&nurse, scene.patient);
    let began = Instant::now();
    let alert = raised(&officer, "break-glass-started", scene.patient);
    println!("an alert was raised after {:?}", began.elapsed());
    assert_eq!((&alert["severity"], &alert["user"]), (&json!("high"), &json!(scene.nurse.to_string())));
    assert_eq!(alert["cause"], emergency, "an emergency has the id of its first event");
    let sent = within(Duration::from_secs(5), "the message", || sink.taken().pop());
    println!("and delivered after {:?}", began.elapsed());
    assert_eq!(sent["subject"], "Wardbook alert (high): break-glass-started");
    let text = sent.to_string();
    assert!(text.contains(alert["alert"].as_str().unwrap()));
    for secret in [scene.patient.to_string(), scene.nurse.to_string(), "Alarming".into(), "nurse".into()] {
        assert!(!text.contains(&secret), "{text}");
    }
    soon("alerts.delivered", || {
        (raised(&officer, "break-glass-started", scene.patient)["delivered"] == json!(["webhook"])).then_some(())
    });
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn a_restart_neither_loses_nor_doubles_an_alert() {
    let (sink, dir) = (Sink::open(), tempfile::tempdir().unwrap());
    sink.status.store(503, Ordering::SeqCst);
    let mut scene = Scene::new(sink.config(&dir));
    let emergency = start(&scene.test.log_in("nurse"), scene.patient);
    // Stopped at once, perhaps before anything was raised; and again, with the note of how far it was read lost.
    for lost in [false, true] {
        let path = scene.test.app.data().views().join("alarms.position");
        scene.test.app.close();
        if lost {
            std::fs::remove_file(&path).unwrap();
        }
        scene = scene.restart(sink.config(&dir));
        raised(&scene.test.log_in("officer"), "break-glass-started", scene.patient);
    }
    assert!(sink.taken().is_empty());
    sink.status.store(200, Ordering::SeqCst);
    let sent = soon("the message", || sink.taken().pop());
    let officer = scene.test.log_in("officer");
    soon("alerts.delivered", || {
        (raised(&officer, "break-glass-started", scene.patient)["delivered"] == json!(["webhook"])).then_some(())
    });
    let scene = scene.restart(sink.config(&dir));
    let officer = scene.test.log_in("officer");
    let all = about(&officer, "break-glass-started", scene.patient);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["cause"], emergency);
    assert_eq!(sink.taken().len(), 1, "{:?}", sink.taken());
    assert!(sent["text"].as_str().unwrap().contains(all[0]["alert"].as_str().unwrap()));
}

#[test]
fn a_review_that_is_late_or_finds_wrong_alarms() {
    let scene = Scene::new(quick_config());
    let (test, patient) = (&scene.test, scene.patient);
    let emergency = start(&test.log_in("nurse"), patient);
    test.clock.advance(SignedDuration::from_mins(24 * 60 - 1));
    let officer = test.log_in("officer");
    let state = |officer: &Client, state: &str| {
        officer.get(&format!("/v1/break-glass?state={state}")).json()["emergencies"].as_array().unwrap().len()
    };
    assert_eq!((state(&officer, "pending"), state(&officer, "overdue")), (1, 0));
    assert!(about(&officer, "break-glass-overdue", patient).is_empty());
    test.clock.advance(SignedDuration::from_mins(2));
    let officer = test.log_in("officer");
    assert_eq!((state(&officer, "pending"), state(&officer, "overdue")), (0, 1));
    let alert = raised(&officer, "break-glass-overdue", patient);
    assert_eq!((&alert["severity"], &alert["user"]), (&json!("high"), &json!(scene.nurse.to_string())));

    let found = json!({"outcome": "inappropriate", "note": "The patient was a neighbour"});
    assert_eq!(officer.post(&format!("/v1/break-glass/{emergency}/review"), &found).status, 204);
    let alert = raised(&officer, "break-glass-inappropriate", patient);
    assert_eq!((&alert["severity"], &alert["user"]), (&json!("critical"), &json!(scene.nurse.to_string())));
    // A restart sweeps again and finds nothing new.
    let scene = scene.restart(quick_config());
    scene.test.clock.advance(SignedDuration::from_hours(25));
    start(&scene.test.log_in("nurse"), patient);
    let officer = scene.test.log_in("officer");
    soon("the next alert", || (about(&officer, "break-glass-started", patient).len() == 2).then_some(()));
    assert_eq!(about(&officer, "break-glass-overdue", patient).len(), 1);
}

#[test]
fn watched_patients_are_reported_when_they_are_opened() {
    let patient = HOUSE.patient("Watched");
    let path = format!("/v1/patients/{patient}");
    let officer = HOUSE.client(Role::ComplianceOfficer);
    assert_eq!(HOUSE.client(Role::Nurse).get(&path).status, 200);
    // Events are judged in their order, by what is known then: once a later one has alarmed, that look was judged.
    let later = HOUSE.lonely_patient("Later");
    start(&HOUSE.test.client(&[Role::Physician]).1, later);
    raised(officer, "break-glass-started", later);
    let flag = json!({"vip": true, "reason": "staff-or-family"});
    assert_eq!(officer.put(&format!("{path}/flag"), &flag).status, 204);
    assert_eq!(HOUSE.client(Role::Nurse).get(&path).status, 200);
    let alert = raised(officer, "watched-patient-opened", patient);
    assert_eq!((&alert["severity"], &alert["user"]), (&json!("medium"), &json!(HOUSE.id(Role::Nurse).to_string())));
    assert_eq!(about(officer, "watched-patient-opened", patient).len(), 1, "not of the look before");

    let (user, client) = HOUSE.test.client(&[Role::Physician]);
    start(&client, patient);
    assert_eq!(client.with("Purpose-Of-Use", "ETREAT").get(&path).status, 200);
    let alert = soon("the emergency's look", || {
        let mut all = about(officer, "watched-patient-opened", patient);
        all.retain(|alert| alert["user"] == user.to_string());
        all.pop()
    });
    assert_eq!(alert["severity"], "high");
    assert_eq!(raised(officer, "break-glass-started", patient)["user"], user.to_string());
    // The daily review.
    assert!(alerts(officer, "&kind=watched-patient-opened&since=2026-03-01T00:00:00Z").contains(&alert));
    assert!(alerts(officer, "&kind=watched-patient-opened&since=2036-03-02T00:00:00Z").is_empty());
}

#[test]
fn nobody_has_a_reason_to_touch_a_decoy_and_nobody_can_tell() {
    let (decoy, other) = (HOUSE.patient("Decoy"), HOUSE.patient("Decoy"));
    let officer = HOUSE.client(Role::ComplianceOfficer);
    for (patient, decoy) in [(decoy, true), (other, false)] {
        let flagged = officer.put(&format!("/v1/patients/{patient}/flag"), &json!({"vip": true, "decoy": decoy}));
        assert_eq!(flagged.status, 204, "{}", flagged.text());
    }
    // A look, a look that is refused, and a search; all answered as of anybody else.
    let (stranger, client) = HOUSE.test.client(&[Role::Physician]);
    let answers = |patient: PatientId| {
        let path = format!("/v1/patients/{patient}");
        [HOUSE.client(Role::Nurse).get(&path), client.get(&path), HOUSE.client(Role::Registrar).get(&path)]
    };
    for (of_decoy, of_other) in answers(decoy).into_iter().zip(answers(other)) {
        assert_eq!(of_decoy.status, of_other.status);
        let names =
            |answer: &crate::helpers::Answer| answer.json().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&of_decoy), names(&of_other));
        assert!(!of_decoy.text().contains("decoy"), "{}", of_decoy.text());
    }
    let found = HOUSE.client(Role::Registrar).post("/v1/patients/search", &json!({"name": "Decoy"}));
    assert!(found.text().contains(&decoy.to_string()) && !found.text().contains("decoy\""), "{}", found.text());
    let users = soon("four alerts", || {
        let mut all = alerts(officer, "&kind=decoy-touched");
        all.retain(|alert| alert["patient"].is_null() || alert["patient"] == decoy.to_string());
        (all.len() >= 4).then_some(all)
    });
    assert!(users.iter().all(|alert| alert["severity"] == "critical"));
    let by = |user: UserId| users.iter().any(|alert| alert["user"] == user.to_string());
    assert!(by(stranger) && by(HOUSE.id(Role::Nurse)) && by(HOUSE.id(Role::Registrar)));
    assert!(about(officer, "decoy-touched", other).is_empty());
    let newest = HOUSE.test.app.ledger().head().durable - 1;
    let auditor = HOUSE.client(Role::Auditor).with("If-Ledger-Position", &newest.to_string());
    let trail = auditor.get(&format!("/v1/audit/events?patient={decoy}&limit=200")).text();
    assert!(trail.contains("alerts.raised") && trail.contains("patients.flagged"), "{trail}");
    assert!(!trail.contains("decoy"), "{trail}");
}

#[test]
fn alerts_are_for_those_who_answer_them() {
    let patient = HOUSE.lonely_patient("Answered");
    let (_, client) = HOUSE.test.client(&[Role::Paramedic]);
    start(&client, patient);
    let officer = HOUSE.client(Role::ComplianceOfficer);
    let alert = raised(officer, "break-glass-started", patient);
    let path = format!("/v1/alerts/{}/acknowledge", alert["alert"].as_str().unwrap());
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Patient) {
        let client = HOUSE.client(role);
        let may = matches!(role, Role::ComplianceOfficer | Role::SecurityAdmin);
        assert_eq!(client.get("/v1/alerts").status == 200, may, "{role:?}");
        if !may {
            assert_eq!(client.get("/v1/alerts").status, 403, "{role:?}");
            assert_eq!(client.post(&path, &json!({})).status, 403, "{role:?}");
        }
    }
    assert_eq!(about(officer, "break-glass-started&state=open", patient).len(), 1);
    let security = HOUSE.client(Role::SecurityAdmin);
    assert_eq!(security.post(&path, &json!({})).status, 204);
    assert_eq!(officer.post(&path, &json!({})).status, 204, "twice is once");
    assert!(about(officer, "break-glass-started&state=open", patient).is_empty());
    let noted = about(officer, "break-glass-started&state=acknowledged", patient);
    assert_eq!(noted[0]["acknowledged_by"], HOUSE.id(Role::SecurityAdmin).to_string());
    let unknown = officer.post(&format!("/v1/alerts/{}/acknowledge", patient), &json!({}));
    assert_eq!(unknown.status, 404);
    assert!(officer.get("/v1/alerts").headers.contains_key("wardbook-position"), "that they were read is told");
}
