//! Two organisations in one server: neither can see, change or even notice what is the other's (ACC-24).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;
use wardbook_events::{PatientId, Role, TenantId, UserId};

use crate::helpers::routes::{Ids, Route, routes};
use crate::helpers::{Answer, Client, TestApp, person, same_answer, upload};

/// An organisation with a user of each role, a patient, and something of everything that has an id.
struct Organisation {
    tenant: TenantId,
    users: BTreeMap<Role, (UserId, Client)>,
    ids: Ids,
    /// What of it must show nowhere else.
    marks: Vec<String>,
}

impl Organisation {
    fn client(&self, role: Role) -> &Client {
        &self.users[&role].1
    }

    fn found(test: &TestApp, tenant: TenantId, name: &str) -> Self {
        let workforce = Role::ALL.into_iter().filter(|role| *role != Role::Patient);
        let mut users: BTreeMap<_, _> = workforce
            .map(|role| {
                let username = format!("{name}-{}", role.name());
                let user = test.user_of(tenant, &username, &[role], None);
                (role, (user, test.log_in(&username)))
            })
            .collect();
        let registrar = users[&Role::Registrar].1.clone();
        let register = |family: &str| {
            let answer = done(registrar.post("/v1/patients", &person(family)));
            (answer.json()["patient"].as_str().unwrap().to_owned(), answer)
        };
        let (other, _) = register(&format!("{name}other"));
        let (patient, registered) = register(&format!("{name}family"));
        let physician = users[&Role::Physician].0;
        let registrar = registrar.after(&registered);
        let team = format!("/v1/patients/{patient}/care-team/{physician}");
        let assigned = done(registrar.put(&team, &json!({"function": "attending"})));
        let note = json!({"type": "note", "body": {"code": {"text": format!("{name} note")}}});
        let path = format!("/v1/patients/{patient}/records");
        let added = done(users[&Role::Physician].1.after(&assigned).post(&path, &note));
        let record = added.json()["record"].as_str().unwrap().to_owned();
        let own = test.user_of(tenant, &format!("{name}-patient"), &[Role::Patient], Some(patient.parse().unwrap()));
        users.insert(Role::Patient, (own, test.log_in_after(added.position(), &format!("{name}-patient"))));

        let user = users[&Role::Nurse].0.to_string();
        let session = users[&Role::Nurse].1.get("/v1/auth/session").json()["session"].as_str().unwrap().to_owned();
        let mut marks =
            vec![patient.clone(), other.clone(), record.clone(), format!("{name}-"), format!("{name}family")];
        marks.extend(users.values().map(|(user, _)| user.to_string()));
        marks.push(tenant.to_string());
        let ids = Ids::from([
            ("patient", patient),
            ("into", other.clone()),
            ("from", other),
            ("user", user.clone()),
            ("member", user.clone()),
            ("actor", user),
            ("record", record),
            ("event", added.header("wardbook-event").to_owned()),
            ("session", session),
        ]);
        let mut of = Self { tenant, users, ids, marks };
        for (name, id) in of.more(test) {
            of.marks.push(id.clone());
            of.ids.insert(name, id);
        }
        of
    }

    /// Things that have an id of their own: an emergency and its alert, an elevation, a review of access, a draft.
    fn more(&self, test: &TestApp) -> Vec<(&'static str, String)> {
        let id = |answer: Answer, name: &'static str| {
            let answer = done(answer);
            (name, answer.json()[name].as_str().unwrap().to_owned())
        };
        let physician = self.client(Role::Physician);
        let newest = (test.app.ledger().head().durable - 1).to_string();
        let physician = &physician.with("If-Ledger-Position", &newest);
        let urgent = physician.with("Purpose-Of-Use", "ETREAT");
        let glass = json!({"patient": self.ids["into"], "reason": "code-blue", "location": "ED 2", "attested": true});
        let emergency = urgent.post("/v1/break-glass", &glass);
        let officer = self.client(Role::ComplianceOfficer);
        let role = json!({"role": "security-admin", "minutes": 30, "reason": "a test of organisations"});
        let review = json!({"title": "Quarter", "roles": ["nurse"], "due_at": "2026-03-20T12:00:00Z"});
        let draft = Uuid::now_v7().to_string();
        let note = json!({"type": "note", "body": {"code": {"text": "not yet"}}});
        done(physician.put(&format!("/v1/patients/{}/drafts/{draft}", self.ids["patient"]), &note));
        let alert = (0..400).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let newest = (test.app.ledger().head().durable - 1).to_string();
            let alerts = officer.with("If-Ledger-Position", &newest).get("/v1/alerts").json();
            alerts["alerts"][0]["alert"].as_str().map(|id| ("alert", id.to_owned()))
        });
        let patient = self.ids["patient"].parse().unwrap();
        let named = json!({"title": format!("{} letter", self.marks[3])});
        let document = upload(physician, patient, "text/plain", b"text", &named).finish();
        let unfinished = upload(physician, patient, "text/plain", b"more", &named).upload;
        let hold = json!({"kind": "investigation", "reference": "case 1"});
        let hold = officer.post(&format!("/v1/patients/{}/holds", self.ids["patient"]), &hold);
        let erasure = officer.post(&format!("/v1/patients/{}/erasure", self.ids["into"]), &json!({}));
        let key = json!({"name": "nightly", "scopes": ["read-chart"], "expires_at": "2026-06-01T00:00:00Z"});
        let service = json!({"username": format!("{}nightly", self.marks[3])});
        let made = [
            id(physician.post("/v1/auth/api-keys", &key), "id"),
            id(self.client(Role::Admin).post("/v1/services", &service), "service"),
            id(physician.get("/v1/auth/session"), "session"),
            id(emergency, "emergency"),
            id(hold, "hold"),
            id(erasure, "erasure"),
            id(self.client(Role::SystemAdmin).post("/v1/elevations", &role), "elevation"),
            id(officer.post("/v1/access-reviews", &review), "review"),
            ("draft", draft),
            ("document", document),
            ("upload", unfinished),
            alert.expect("the alert about the emergency"),
        ];
        made.map(|(name, id)| (if name == "id" { "key" } else { name }, id)).into()
    }
}

#[track_caller]
fn done(answer: Answer) -> Answer {
    assert!((200..300).contains(&answer.status), "{} {}", answer.status, answer.text());
    answer
}

/// Values of parameters that are ids of nothing.
fn constants() -> Ids {
    let known = [
        ("role", "nurse"),
        ("kind", "not-found"),
        ("name", "patients"),
        ("path", "0/000.p/1"),
        ("provider", "none"),
        ("backup", "0190a000-0000-7000-8000-0000000000b0"),
        ("factor", "totp"),
    ];
    known.map(|(name, value)| (name, value.to_owned())).into()
}

/// Ids that nobody has, for each name that somebody has an id of.
fn nobodys(ids: &Ids) -> Ids {
    ids.keys().map(|name| (*name, Uuid::now_v7().to_string())).collect()
}

/// The ids of the path with one of them replaced by each of two others.
fn with_one(base: &Ids, name: &'static str, value: &str) -> Ids {
    let mut ids = base.clone();
    ids.insert(name, value.to_owned());
    ids
}

fn two_organisations() -> (TestApp, Organisation, Organisation) {
    let test = TestApp::start();
    let home = test.app.config().organisation.id;
    let one = Organisation::found(&test, home, "alpha");
    let other = Organisation::found(&test, TenantId::new(Uuid::now_v7()), "omega");
    (test, one, other)
}

/// Ends the caller's own session or account, locks it, or makes all tokens void.
const LEFT_OUT: [&str; 3] = ["POST /v1/auth/logout", "POST /v1/sessions/current/lock", "POST /v1/auth/keys/rotate"];

#[test]
fn no_route_tells_one_organisation_of_another() {
    let (test, alpha, omega) = two_organisations();
    let known: BTreeSet<_> = alpha.ids.keys().copied().collect();
    untried(&known);
    let (mut compared, mut got_past_the_body) = (0, BTreeSet::new());
    let mut walked = BTreeSet::new();
    let head = test.app.ledger().head().durable;
    for route in routes().into_iter().filter(|route| !route.is_open && !LEFT_OUT.contains(&route.name().as_str())) {
        walked.insert(route.name());
        for (role, (_, client)) in &omega.users {
            for (base, name) in variants(&route, &omega, &known) {
                let unknown = nobodys(&alpha.ids);
                let call = |ids: &Ids| {
                    let mut path = base.clone();
                    match name {
                        Some(name) => path = with_one(&path, name, &ids[name]),
                        None => path.extend(ids.clone()),
                    }
                    route.call(client, &path, ids)
                };
                // Saving makes a draft of one's own under the id that was guessed; that it answers alike is what counts.
                if name == Some("draft") && !route.name().starts_with("PUT") {
                    continue;
                }
                let (foreign, nobodys) = (call(&alpha.ids), call(&unknown));
                let what = format!("{} as {role:?}, {name:?} of the other organisation", route.name());
                tells_nothing(&foreign, &alpha, &what);
                assert!(foreign.status < 500, "{what}: {}", foreign.text());
                if foreign.status < 300 && nobodys.status < 300 {
                    continue; // A list of one's own, or something made new: what it says was looked through above.
                }
                assert_eq!(foreign.status, nobodys.status, "{what}: {} / {}", foreign.text(), nobodys.text());
                same_answer(&foreign, &nobodys);
                compared += 1;
                if !matches!(foreign.status, 400 | 415 | 422) {
                    got_past_the_body.insert(route.name());
                }
            }
        }
    }
    let vacuous: Vec<_> = walked.difference(&got_past_the_body).collect();
    println!(
        "{} routes, {compared} pairs of answers compared; only lists or refused bodies: {vacuous:?}",
        walked.len()
    );
    assert!(compared > 500);
    let written = wrote_only_its_own(&test, head, &alpha, &omega);
    println!("{written} events of these requests name nothing of the other organisation");
}

/// Parameters of which this test has no value of the other organisation.
fn untried(known: &BTreeSet<&'static str>) {
    for route in routes() {
        for param in route.params.iter().filter(|param| !known.contains(param.as_str())) {
            if !constants().contains_key(param.as_str()) {
                panic!("{}: make a {param}, so that the other organisation's is tried", route.name());
            }
        }
    }
}

/// The ways to fill a path: all ids foreign, and each of several foreign while the others are one's own.
fn variants(route: &Route, own: &Organisation, known: &BTreeSet<&'static str>) -> Vec<(Ids, Option<&'static str>)> {
    let mut base = constants();
    let ids: Vec<_> = known.iter().copied().filter(|name| route.params.iter().any(|param| param == name)).collect();
    if ids.len() < 2 {
        return vec![(base, None)];
    }
    base.extend(own.ids.clone());
    let mut ways: Vec<_> = ids.into_iter().map(|name| (base.clone(), Some(name))).collect();
    ways.push((base, None));
    ways
}

#[track_caller]
fn tells_nothing(answer: &Answer, of: &Organisation, what: &str) {
    let text = answer.text();
    for mark in &of.marks {
        assert!(!text.contains(mark.as_str()), "{what} tells of {mark}: {} {text}", answer.status);
    }
}

/// Events since `head`: each in a stream of one organisation, none about anybody of another.
fn wrote_only_its_own(test: &TestApp, head: u64, alpha: &Organisation, omega: &Organisation) -> usize {
    let patients: BTreeSet<PatientId> = ["patient", "into"].map(|name| alpha.ids[name].parse().unwrap()).into();
    let (mut written, mut streams) = (0, BTreeMap::new());
    for position in 0..test.app.ledger().head().durable {
        let entry = test.app.ledger().read(wardbook_ledger::Position(position)).unwrap().unwrap();
        let Some(event) = wardbook::recorded::decode(&entry).unwrap() else { continue };
        let tenant = event.meta.tenant;
        if event.meta.actor.id.is_some() {
            let first = *streams.entry(event.stream.clone()).or_insert(tenant);
            assert_eq!(first, tenant, "{} in {} belongs to two organisations", event.event.type_name(), event.stream);
        }
        if tenant == omega.tenant {
            assert!(
                event.subjects.iter().all(|(patient, _)| !patients.contains(patient)),
                "{:?}",
                event.event.type_name()
            );
            written += usize::from(position >= head);
        }
        if position >= head && tenant == alpha.tenant {
            assert!(
                !omega.users.values().any(|(user, _)| event.meta.actor.id == Some(*user)),
                "{}",
                event.event.type_name()
            );
        }
    }
    written
}

#[test]
fn the_same_person_can_be_a_patient_of_both() {
    let (test, alpha, omega) = two_organisations();
    let body = person("Shared");
    let ids = [&alpha, &omega].map(|of| {
        let registered = done(of.client(Role::Registrar).post("/v1/patients", &body));
        let client = of.client(Role::Registrar).after(&registered);
        let found = done(client.post("/v1/patients/search", &json!({"ssn": body["ssn"]}))).json();
        let patient = registered.json()["patient"].clone();
        assert_eq!(found["patients"].as_array().unwrap().len(), 1, "only one's own are found: {found}");
        assert_eq!(found["patients"][0]["patient"], patient);
        patient
    });
    assert_ne!(ids[0], ids[1]);
    // Numbers are looked up by hashes under the organisation's own key: equal numbers do not look equal in the ledger.
    let mut tokens: BTreeMap<String, BTreeSet<TenantId>> = BTreeMap::new();
    for position in 0..test.app.ledger().head().durable {
        let entry = test.app.ledger().read(wardbook_ledger::Position(position)).unwrap().unwrap();
        let tenant = wardbook::recorded::decode(&entry).unwrap().map(|event| event.meta.tenant);
        let body: Value = serde_json::from_slice(entry.body()).unwrap_or_default();
        for token in body["tokens"].as_array().into_iter().flatten() {
            tokens.entry(token["value"].to_string()).or_default().extend(tenant);
        }
    }
    assert!(!tokens.is_empty() && tokens.values().all(|of| of.len() == 1));
}

#[test]
fn an_account_for_a_chart_of_the_other_organisation_opens_nothing() {
    let (test, alpha, omega) = two_organisations();
    let chart = &alpha.ids["patient"];
    test.user_of(omega.tenant, "omega-intruder", &[Role::Patient], Some(chart.parse().unwrap()));
    let intruder = test.log_in("omega-intruder");
    for rest in ["", "/records", "/access-list", "/access-proof", "/care-team"] {
        let answer = intruder.get(&format!("/v1/patients/{chart}{rest}"));
        same_answer(&answer, &intruder.get(&format!("/v1/patients/{}{rest}", Uuid::now_v7())));
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
    // The names of users are one space: who asks for a taken one is told so.
    let taken = json!({"username": "alpha-nurse", "roles": ["nurse"]});
    assert_eq!(omega.client(Role::Admin).post("/v1/users", &taken).status, 409);
}

#[test]
fn lists_have_all_of_ones_own_and_nothing_else() {
    let (_test, alpha, omega) = two_organisations();
    for of in [&alpha, &omega] {
        let (mut listed, mut path) = (BTreeSet::new(), "/v1/users?limit=3".to_owned());
        loop {
            let page = done(of.client(Role::Admin).get(&path)).json();
            let users = page["users"].as_array().unwrap();
            assert!(page["next"].is_null() || users.len() == 3, "a page that is not the last is full");
            listed.extend(users.iter().map(|user| user["user"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            assert!(listed.contains(next), "the mark of the next page is a user on this one");
            path = format!("/v1/users?limit=3&after={next}");
        }
        let programs = of.ids.get("service").cloned();
        assert_eq!(listed, of.users.values().map(|(user, _)| user.to_string()).chain(programs).collect());
    }
    for (of, other) in [(&alpha, &omega), (&omega, &alpha)] {
        let trail = done(of.client(Role::Auditor).get("/v1/audit/events?limit=200"));
        let events = trail.json()["events"].as_array().unwrap().clone();
        assert!(!events.is_empty() && events.iter().all(|event| event["tenant"] == of.tenant.to_string()));
        let replay = done(of.client(Role::Auditor).post("/v1/replay", &json!({})));
        let marks = |mark: &&String| **mark != "omega-" && **mark != "alpha-";
        for mark in other.marks.iter().filter(marks) {
            assert!(!replay.text().contains(mark.as_str()), "{mark}");
            assert!(!trail.text().contains(mark.as_str()), "{mark}");
        }
    }
}

#[test]
fn the_views_are_run_by_the_organisation_that_runs_the_server() {
    let (_test, alpha, omega) = two_organisations();
    for (of, listed, rebuilt) in [(&alpha, 200, 202), (&omega, 403, 403)] {
        assert_eq!(of.client(Role::SystemAdmin).get("/v1/projections").status, listed);
        assert_eq!(of.client(Role::SystemAdmin).post("/v1/projections/patients/rebuild", &json!({})).status, rebuilt);
        // No place is named in the settings of tests: who may is told so.
        assert_eq!(of.client(Role::SystemAdmin).get("/v1/backups").status, listed);
        assert_eq!(
            of.client(Role::SystemAdmin).post("/v1/backups", &json!({})).status,
            if listed == 200 { 409 } else { 403 }
        );
    }
}

#[test]
fn a_proof_is_for_everybody_and_tells_of_nobody() {
    let (test, alpha, _omega) = two_organisations();
    let path = format!("/v1/ledger/proof/{}", alpha.ids["event"]);
    let answer = (0..100)
        .map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            test.stranger().get(&path)
        })
        .find(|answer| answer.status == 200);
    let text = answer.expect("a checkpoint covers it soon").text();
    // Numbers and hashes: no word of the log but the name of the log itself.
    let origin = &test.app.config().ledger.origin;
    for word in text.split_whitespace().filter(|word| !word.contains(origin.as_str())) {
        let is_hash = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        let is_named = ["c2sp.org/tlog-proof@v1", "extra", "index", "\u{2014}"].contains(&word);
        assert!(is_hash || is_named, "{word} in {text}");
    }
    tells_nothing(&test.stranger().get(&path), &alpha, "a proof");
}
