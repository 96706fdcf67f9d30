//! What anyone can check without an account.

use wardbook_events::Role;
use wardbook_ledger::proof::TlogProof;
use wardbook_ledger::{Digest, KeyRing};

use crate::helpers::{Answer, HOUSE};

fn keys() -> KeyRing {
    KeyRing::parse(&HOUSE.test.stranger().get("/v1/ledger/keys").text()).unwrap()
}

fn proof(event: &str) -> Answer {
    for _ in 0..100 {
        let answer = HOUSE.test.stranger().get(&format!("/v1/ledger/proof/{event}"));
        if answer.status != 503 {
            return answer;
        }
        assert_eq!(answer.header("retry-after"), "1");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("no checkpoint covers the event");
}

#[test]
fn the_receipt_of_a_read_is_proven_by_the_public_ledger() {
    let patient = HOUSE.patient("Proven");
    let read = HOUSE.client(Role::Physician).get(&format!("/v1/patients/{patient}"));
    let (position, digest) = (read.header("wardbook-position"), read.header("wardbook-digest"));
    for event in [position, read.header("wardbook-event")] {
        let answer = proof(event);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let proof = TlogProof::parse(&answer.text()).unwrap();
        let leaf = proof.verify_own_leaf(&keys()).unwrap();
        let proven = Digest::from_bytes(*leaf.first_chunk::<32>().unwrap());
        assert_eq!(proven.to_string(), digest, "the digest in the receipt is the one in the tree");
    }
}

#[test]
fn a_refusal_leaves_an_event_too() {
    let before = HOUSE.test.app.ledger().head().durable;
    assert_eq!(HOUSE.client(Role::Nurse).get("/v1/audit/events").status, 403);
    let events = HOUSE.test.app.ledger().scan(wardbook_ledger::Position(before));
    let kinds: Vec<_> = events.map(|entry| entry.unwrap().event_type().to_string()).collect();
    assert!(kinds.iter().any(|kind| kind == "access.denied"), "{kinds:?}");
}

#[test]
fn checkpoint_and_tiles_are_there_for_everyone() {
    let stranger = HOUSE.test.stranger();
    let patient = HOUSE.patient("Tiles");
    let read = HOUSE.client(Role::Physician).get(&format!("/v1/patients/{patient}"));
    proof(read.header("wardbook-position"));
    let checkpoint = stranger.get("/v1/ledger/checkpoint");
    assert_eq!(checkpoint.header("content-type"), "text/plain; charset=utf-8");
    let text = checkpoint.text();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("wardbook.example/ledger"));
    let size: u64 = lines.next().unwrap().parse().unwrap();
    let width = size.min(256);
    let part = if width == 256 { String::new() } else { format!(".p/{width}") };
    let hashes = stranger.get(&format!("/v1/ledger/tile/0/000{part}"));
    assert_eq!(hashes.status, 200, "{}", hashes.text());
    assert_eq!(hashes.body.len() as u64, 32 * width);
    let entries = stranger.get(&format!("/v1/ledger/tile/entries/000{part}"));
    assert_eq!(entries.body.len() as u64, (2 + 96) * width);
    for wrong in ["tile/0/999", "tile/nonsense", "tile/0/../0/000", "proof/99999999", "proof/nonsense", "nonsense"] {
        let answer = stranger.get(&format!("/v1/ledger/{wrong}"));
        assert_eq!(answer.status, 404, "{wrong}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}
