//! A house whose server is killed again and again, and what was promised to its users.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wardbook_ledger::proof::TlogProof;
use wardbook_ledger::{Digest, KeyRing, LogReader, Position};

use crate::program::{Place, Reply, Server};

/// Users and patients who stay while servers come and go.
pub struct House {
    pub place: Place,
    pub patients: Vec<String>,
    /// Sessions are events: they survive, and so do their tokens.
    pub tokens: Vec<String>,
    /// Position, id and digest of every acknowledged event.
    pub promised: BTreeMap<u64, (String, String)>,
    /// Idempotency keys of all entries that were added.
    pub entries: u64,
}

/// A receipt as the client got it.
pub type Receipt = (u64, String, String);

/// An entry of a chart that was sent and not answered.
#[derive(Clone)]
pub struct Unanswered {
    path: String,
    key: String,
    body: Value,
}

/// What one client saw until the connection broke.
#[derive(Default)]
pub struct Seen {
    pub receipts: Vec<Receipt>,
    pub added: u64,
    pub unanswered: Option<Unanswered>,
}

impl House {
    pub fn new() -> Self {
        let place = Place::with_cast();
        let server = place.serve();
        let registrar = server.log_in("registrar");
        let tokens = vec![server.token("physician"), server.token("nurse")];
        let users: Vec<_> = tokens.iter().map(|token| user_of(&server, token)).collect();
        let mut patients = Vec::new();
        for number in 0..3 {
            let body = json!({"name": {"family": "Crash", "given": [format!("Patient{number}")]}, "birth_date": format!("1950-01-0{}", number + 1)});
            let answer = registrar.post("/v1/patients", &body).is(201);
            let patient = answer.json()["patient"].as_str().unwrap().to_owned();
            let registrar = registrar.with("If-Ledger-Position", answer.header("wardbook-position"));
            for user in &users {
                registrar
                    .put(&format!("/v1/patients/{patient}/care-team/{user}"), &json!({"function": "attending"}))
                    .is(204);
            }
            patients.push(patient);
        }
        server.stop();
        Self { place, patients, tokens, promised: BTreeMap::new(), entries: 0 }
    }

    /// Entries and looks of one client until no answer comes. `acknowledged` counts the answers of all clients.
    pub fn work(&self, server: &Server, client: usize, round: usize, acknowledged: &AtomicU64) -> Seen {
        let caller = server.with_token(&self.tokens[client % self.tokens.len()]);
        let patient = &self.patients[client % self.patients.len()];
        let (chart, path) = (format!("/v1/patients/{patient}"), format!("/v1/patients/{patient}/records"));
        let mut seen = Seen::default();
        for number in 0.. {
            let adds = number % 2 == 0;
            let result = if adds {
                let request = Unanswered {
                    path: path.clone(),
                    key: format!("{round}-{client}-{number}"),
                    body: entry(round, client, number),
                };
                let caller = caller.with("Idempotency-Key", &request.key);
                seen.unanswered = Some(request.clone());
                caller.call("POST", &request.path, Some(&request.body))
            } else {
                caller.call("GET", &chart, None)
            };
            let Ok(answer) = result else { break };
            let answer = answer.is(if adds { 201 } else { 200 });
            seen.receipts.push(receipt(&answer));
            seen.added += u64::from(adds);
            seen.unanswered = None;
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        seen
    }

    /// Remembers what was promised in a round.
    pub fn keep(&mut self, seen: &Seen) {
        for (position, event, digest) in &seen.receipts {
            let before = self.promised.insert(*position, (event.clone(), digest.clone()));
            assert!(before.is_none(), "position {position} was acknowledged twice");
        }
        self.entries += seen.added;
    }

    /// Sends again what was not answered, twice: it is done once.
    pub fn retry(&mut self, server: &Server, client: usize, request: &Unanswered) {
        let caller = server.with_token(&self.tokens[client % self.tokens.len()]).with("Idempotency-Key", &request.key);
        let first = caller.post(&request.path, &request.body).is(201);
        let again = caller.post(&request.path, &request.body).is(201);
        assert_eq!(receipt(&first), receipt(&again), "the same answer, the same event");
        assert_eq!(first.json()["record"], again.json()["record"]);
        let (position, event, digest) = receipt(&first);
        self.promised.insert(position, (event, digest));
        self.entries += 1;
    }

    /// Reads the journal from a position on: gapless, and every promised event is there as it was promised. Gives the size.
    pub fn check_journal(&self, from: u64) -> u64 {
        let reader = LogReader::open(&self.place.data().join("ledger")).unwrap();
        let mut promised = self.promised.range(from..);
        let mut next = promised.next();
        let mut position = from;
        for entry in reader.scan(Position(from)) {
            let entry = entry.unwrap_or_else(|error| panic!("position {position}: {error}"));
            assert_eq!(entry.position().get(), position, "positions are gapless");
            if let Some((_, (event, digest))) = next.filter(|(at, _)| **at == position) {
                assert_eq!(&uuid::Uuid::from_bytes(*entry.id().as_bytes()).to_string(), event, "position {position}");
                assert_eq!(&entry.digest().to_string(), digest, "position {position}");
                next = promised.next();
            }
            position += 1;
        }
        assert!(next.is_none(), "the event acknowledged at {next:?} is missing: the log ends at {position}");
        assert_eq!(position, reader.size());
        position
    }

    /// The newest promised event is proven by the server's own public endpoints, to whoever holds the receipt.
    pub fn check_newest_proof(&self, server: &Server) {
        let Some((position, (event, digest))) = self.promised.last_key_value() else { return };
        let stranger = server.stranger();
        let keys = KeyRing::parse(&stranger.get("/v1/ledger/keys").is(200).text).unwrap();
        let answer = (0..500).map(|_| stranger.get(&format!("/v1/ledger/proof/{event}"))).find(|answer| {
            let soon = answer.status == 503;
            if soon {
                std::thread::sleep(Duration::from_millis(20));
            }
            !soon
        });
        let proof = TlogProof::parse(&answer.expect("a checkpoint covers the event").is(200).text).unwrap();
        let leaf = proof.verify_own_leaf(&keys).unwrap();
        assert_eq!(proof.index, *position);
        assert_eq!(&Digest::from_bytes(*leaf.first_chunk::<32>().unwrap()).to_string(), digest);
    }

    /// The journal holds each entry once, and the charts show all of them.
    pub fn check_entries(&self, server: &Server) {
        let added = self.place.trail(&["--type", "records.added"]).len() as u64;
        assert_eq!(added, self.entries, "every entry that was sent is there once");
        let last = self.promised.last_key_value().map_or(0, |(position, _)| *position).to_string();
        let mut shown = 0;
        for patient in &self.patients {
            let caller = server.with_token(&self.tokens[0]).with("If-Ledger-Position", &last);
            let mut query = "?limit=200".to_owned();
            loop {
                let page = caller.get(&format!("/v1/patients/{patient}/records{query}")).is(200).json();
                shown += page["records"].as_array().unwrap().len() as u64;
                let Some(next) = page["next"].as_u64() else { break };
                query = format!("?limit=200&cursor={next}");
            }
        }
        assert_eq!(shown, self.entries, "every entry is in a chart once");
    }
}

fn entry(round: usize, client: usize, number: usize) -> Value {
    json!({"type": "note", "body": {"code": {"text": "Round"}, "text": format!("{round} {client} {number}")}})
}

pub fn receipt(answer: &Reply) -> Receipt {
    let header = |name| answer.header(name).to_owned();
    (header("wardbook-position").parse().unwrap(), header("wardbook-event"), header("wardbook-digest"))
}

fn user_of(server: &Server, token: &str) -> String {
    server.with_token(token).get("/v1/auth/session").is(200).json()["user"].as_str().unwrap().to_owned()
}
