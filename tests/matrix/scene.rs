//! A patient with an entry of each label, and people of every role in every relation to the patient.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;
use wardbook_events::{PatientId, Role, TenantId, UserId};
use wardbook_ledger::{Direction, Position};

use super::rows::Row;
use crate::helpers::{Answer, Client, TestApp, person, quick_config, upload};

pub const LABELS: [&str; 6] = ["no label", "PSY", "PSYTHPN", "SUD", "HIV", "SEX"];
const ELSEWHERE: TenantId = TenantId::new(Uuid::from_u128(0xe15e));
/// The relations of those who work here. `emergency` and `emergency over` are for those who may break the glass.
const RELATIONS: [&str; 4] = ["none", "care team", "own chart", "other organisation"];

pub struct Person {
    pub role: Role,
    pub relation: &'static str,
    pub client: Client,
    username: String,
}

impl Person {
    pub fn name(&self) -> String {
        format!("{} ({})", self.role.name(), self.relation)
    }
}

pub struct Scene {
    pub people: Vec<Person>,
    pub patient: PatientId,
    /// Another patient, whom nobody treats.
    pub other: PatientId,
    test: TestApp,
    records: BTreeMap<&'static str, String>,
    documents: BTreeMap<&'static str, String>,
    ids: BTreeMap<&'static str, String>,
    names: AtomicU32,
}

impl Scene {
    pub fn new() -> Self {
        let mut config = quick_config();
        config.sessions.idle_s = 8 * 3600;
        let test = TestApp::with(config);
        let registrar = new_user(&test, "registrar-at-the-desk", here(&test), Role::Registrar, None).1;
        let (patient, other) = (register(&registrar, "Matrix"), register(&registrar, "Other"));
        let mut scene = Self {
            people: Vec::new(),
            patient,
            other,
            test,
            records: BTreeMap::new(),
            documents: BTreeMap::new(),
            ids: BTreeMap::new(),
            names: AtomicU32::new(0),
        };
        scene.emergencies("emergency over");
        scene.test.clock.advance(SignedDuration::from_mins(4 * 60 + 1));
        let registrar = scene.test.log_in("registrar-at-the-desk");
        for over in &mut scene.people {
            over.client = scene.test.log_in(&over.username).with("Purpose-Of-Use", "ETREAT");
        }
        scene.emergencies("emergency");
        scene.entries(&registrar);
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Service) {
            for relation in RELATIONS {
                scene.person(&registrar, role, relation);
            }
        }
        scene.person(&registrar, Role::Patient, "represents");
        let spare = new_user(&scene.test, "spare", here(&scene.test), Role::Quality, None).0;
        let ids = [
            ("user", spare.to_string()),
            ("patient", patient.to_string()),
            ("event", Uuid::from_u128(1).to_string()),
            ("kind", "not-found".to_owned()),
            ("path", "0/000.p/1".to_owned()),
            ("name", "no-such-view".to_owned()),
            ("role", "quality".to_owned()),
        ];
        scene.ids.extend(ids);
        scene.things(spare);
        scene
    }

    /// Those who may break the glass, having done so now.
    fn emergencies(&mut self, relation: &'static str) {
        for role in [Role::Physician, Role::Nurse, Role::Paramedic, Role::EmergencyStaff] {
            let username = format!("{}-{}", role.name(), relation.replace(' ', "-"));
            let (_, client) = new_user(&self.test, &username, here(&self.test), role, None);
            let client = client.with("Purpose-Of-Use", "ETREAT");
            let body = json!({"patient": self.patient, "reason": "code-blue", "attested": true});
            let answer = client.post("/v1/break-glass", &body);
            assert_eq!(answer.status, 201, "{}", answer.text());
            self.people.push(Person { role, relation, client, username });
        }
    }

    fn entries(&mut self, registrar: &Client) {
        let (author, client) = new_user(&self.test, "author", here(&self.test), Role::Physician, None);
        assign(registrar, self.patient, author);
        for label in LABELS {
            let labels: Vec<_> = [label].into_iter().filter(|label| *label != "no label").collect();
            let body = json!({"type": "note", "sensitivity": labels, "body": {"code": {"text": "Note"}}});
            let answer = client.post(&format!("/v1/patients/{}/records", self.patient), &body);
            assert_eq!(answer.status, 201, "{}", answer.text());
            self.records.insert(label, answer.json()["record"].as_str().unwrap().to_owned());
            let labels = json!({"sensitivity": labels});
            self.documents.insert(label, upload(&client, self.patient, "text/plain", b"text", &labels).finish());
        }
    }

    fn person(&mut self, registrar: &Client, role: Role, relation: &'static str) {
        let username = format!("{}-{}", role.name(), relation.replace(' ', "-"));
        let tenant = if relation == "other organisation" { ELSEWHERE } else { here(&self.test) };
        let own = (relation == "own chart").then_some(self.patient);
        let (user, client) = new_user(&self.test, &username, tenant, role, own);
        match relation {
            "care team" => assign(registrar, self.patient, user),
            "represents" => {
                let officer = new_user(&self.test, "officer", tenant, Role::ComplianceOfficer, None).1;
                let answer = officer.put(&format!("/v1/patients/{}/proxies/{user}", self.patient), &json!({}));
                assert!((200..300).contains(&answer.status), "{}", answer.text());
            }
            _ => {}
        }
        self.people.push(Person { role, relation, client, username });
    }

    /// One thing of each kind that has an id, none of them of anybody who calls.
    fn things(&mut self, spare: UserId) {
        let home = here(&self.test);
        let officer = self.test.log_in("officer");
        let system = new_user(&self.test, "asker", home, Role::SystemAdmin, None).1;
        let doctor = new_user(&self.test, "elsewhere-busy", home, Role::Physician, None).1;
        let made = |answer: Answer, name: &str| {
            assert_eq!(answer.status, 201, "{}", answer.text());
            answer.json()[name].as_str().unwrap().to_owned()
        };
        let elevation = json!({"role": "database-admin", "minutes": 30, "reason": "ticket 1"});
        let elevation = made(system.post("/v1/elevations", &elevation), "elevation");
        let review = json!({"title": "Q1", "roles": ["quality"], "due_at": "2026-06-01T00:00:00Z"});
        let review = made(officer.post("/v1/access-reviews", &review), "review");
        let emergency = json!({"patient": self.patient, "reason": "trauma", "attested": true});
        let emergency = doctor.with("Purpose-Of-Use", "ETREAT").post("/v1/break-glass", &emergency);
        // Held, so that whoever may agree to it is told to wait, and nobody is erased.
        let hold = json!({"kind": "litigation", "reference": "case 1"});
        let held = made(officer.post(&format!("/v1/patients/{}/holds", self.patient), &hold), "hold");
        made(officer.post(&format!("/v1/patients/{}/holds", self.other), &hold), "hold");
        let erasure = officer.post(&format!("/v1/patients/{}/erasure", self.other), &json!({}));
        let ids = [
            ("hold", held),
            ("erasure", made(erasure, "erasure")),
            ("elevation", elevation),
            ("review", review),
            ("emergency", made(emergency, "emergency")),
            ("service", spare.to_string()),
        ];
        self.ids.extend(ids);
        let nobody = || Uuid::now_v7().to_string();
        self.ids
            .extend(["session", "key", "factor", "draft", "alert", "upload", "backup"].map(|name| (name, nobody())));
        self.ids.insert("provider", "none".to_owned());
        // The newest refusal: an event like others to who proves it, and one to be explained.
        assert_eq!(officer.get(&format!("/v1/patients/{}", self.patient)).status, 404);
        let denied = "access.denied".parse().unwrap();
        let ledger = self.test.app.ledger();
        let denied = ledger.by_type(&denied, Position(u64::MAX), Direction::Backward, 1).unwrap().remove(0);
        self.ids.insert("event", Uuid::from_bytes(*denied.id().as_bytes()).to_string());
        // What no checkpoint covers yet has no proof.
        self.test.app.ledger().publish().unwrap();
    }

    pub fn id(&self, name: &str) -> &str {
        &self.ids[name]
    }

    /// A new session of a person.
    pub fn again(&self, person: &Person) -> Client {
        self.test.log_in(&person.username)
    }

    /// How a stranger's call ends.
    pub fn stranger(&self, row: &Row) -> u16 {
        let (method, path) = row.route.split_once(' ').unwrap();
        let (client, path) = (self.test.stranger(), self.path(path, Some(LABELS[0])));
        match method {
            "GET" => client.get(&path).status,
            _ => client.raw(method, &path, Some(row.content_type()), (row.body)(self, None).as_bytes()).status,
        }
    }

    /// A path with ids in the place of names.
    pub fn path(&self, pattern: &str, label: Option<&str>) -> String {
        let segment = |segment: &str| match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            None => segment.to_owned(),
            Some("record") => self.records[label.unwrap_or(LABELS[0])].clone(),
            Some("document") => self.documents[label.unwrap_or(LABELS[0])].clone(),
            Some(name) => self.ids.get(name).unwrap_or_else(|| panic!("no id for {name} in {pattern}")).clone(),
        };
        pattern.split('/').map(segment).collect::<Vec<_>>().join("/")
    }

    pub fn new_name(&self) -> String {
        format!("new-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }
}

fn here(test: &TestApp) -> TenantId {
    test.app.config().organisation.id
}

fn register(registrar: &Client, family: &str) -> PatientId {
    let answer = registrar.post("/v1/patients", &person(family));
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["patient"].as_str().unwrap().parse().unwrap()
}

fn assign(registrar: &Client, patient: PatientId, user: UserId) {
    let answer = registrar.put(&format!("/v1/patients/{patient}/care-team/{user}"), &json!({"function": "attending"}));
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// A user of any organisation, made at the console and logged in.
fn new_user(
    test: &TestApp,
    username: &str,
    tenant: TenantId,
    role: Role,
    patient: Option<PatientId>,
) -> (UserId, Client) {
    let user = test.user_of(tenant, username, &[role], patient);
    (user, test.log_in(username))
}
