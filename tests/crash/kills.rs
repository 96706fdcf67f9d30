//! SIGKILL at random moments of a server under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::crash::house::{House, Seen, receipt};
use crate::program::{Server, no_panic};

/// Kills in a run; `WARDBOOK_CRASH_KILLS` says otherwise.
const KILLS: usize = 200;
const CLIENTS: usize = 4;
/// Every so many rounds the whole log is verified, not only its new part.
const WHOLE_EVERY: usize = 50;

fn random(below: u64) -> u64 {
    u64::from_be_bytes(wardbook::clock::Chance::system().bytes::<8>().unwrap()) % below
}

#[test]
fn whatever_was_acknowledged_survives_kills_under_load() {
    let kills = std::env::var("WARDBOOK_CRASH_KILLS")
        .map_or(KILLS, |count| count.parse().expect("WARDBOOK_CRASH_KILLS is a number"));
    let mut house = House::new();
    let mut checked = house.check_journal(0);
    let (mut answered, mut unanswered, mut while_opening) = (0, 0, 0);
    let mut server = house.place.serve();
    for round in 0..kills {
        let seen = load_until_killed(&house, server, round);
        seen.iter().for_each(|seen| house.keep(seen));
        house.check_journal(checked);
        if round % 8 == 7 {
            // A server that is still opening, and may be mending what the kill before left.
            while_opening += usize::from(kill_while_opening(&house));
        }
        server = house.place.serve();
        for (client, seen) in seen.iter().enumerate() {
            answered += seen.receipts.len();
            if let Some(request) = &seen.unanswered {
                unanswered += 1;
                house.retry(&server, client, request);
            }
        }
        house.check_newest_proof(&server);
        let whole = round % WHOLE_EVERY == WHOLE_EVERY - 1 || round + 1 == kills;
        let from = if whole { 0 } else { checked };
        house.place.run(&["verify", "--quiet", "--from", &from.to_string()]).ok();
        checked = house.check_journal(from);
        if whole {
            house.check_entries(&server);
        }
    }
    let log = server.stop();
    no_panic(&log);
    house.check_journal(0);
    house.place.verified();
    assert!(
        kills < 20 || (answered > kills && unanswered > 0),
        "the kills hit work: {answered} answered, {unanswered} not"
    );
    println!(
        "{kills} kills under load, {while_opening} while opening, {answered} answers, {unanswered} requests without one, {checked} events"
    );
}

#[test]
fn what_was_forbidden_before_a_kill_is_forbidden_after_it() {
    let house = House::new();
    let mut server = house.place.serve();
    for round in 0..6 {
        let token = server.token("auditor");
        server.with_token(&token).get("/v1/audit/events").is(200);
        server.with_token(&token).post("/v1/auth/logout", &serde_json::json!({})).is(204);
        no_panic(&server.kill());
        server = house.place.serve();
        let answer = server.with_token(&token).get("/v1/audit/events");
        assert_eq!(answer.status, 401, "round {round}: the first request after the restart: {}", answer.text);
    }
}

#[test]
fn an_acknowledged_event_that_is_lost_would_be_missed() {
    let mut house = House::new();
    let server = house.place.serve();
    let path = format!("/v1/patients/{}", house.patients[0]);
    let answer = server.with_token(&house.tokens[0]).get(&path).is(200);
    house.keep(&Seen { receipts: vec![receipt(&answer)], ..Seen::default() });
    house.check_newest_proof(&server);
    no_panic(&server.kill());
    let size = house.check_journal(0);
    let journal = house.place.data().join("ledger/journal/00000000000000000000.seg");
    let file = std::fs::OpenOptions::new().write(true).open(journal).unwrap();
    // Into the middle of the last frame.
    let id = uuid::Uuid::parse_str(answer.header("wardbook-event")).unwrap();
    let bytes = std::fs::read(house.place.data().join("ledger/journal/00000000000000000000.seg")).unwrap();
    let at = bytes.windows(16).rposition(|window| window == id.as_bytes()).unwrap();
    file.set_len(at as u64 + 20).unwrap();
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| house.check_journal(0)));
    assert!(checked.is_err(), "the check does not see that the last of {size} events is gone");
    // It was published, so the program itself refuses as well.
    house.place.run(&["user", "list"]).with_code(2);
}

/// Tells that a client ended, also one that panicked.
struct OnEnd<'a>(&'a AtomicBool);

impl Drop for OnEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Clients work until the server is killed, after some number of answers and at no particular moment.
fn load_until_killed(house: &House, server: Server, round: usize) -> Vec<Seen> {
    let (acknowledged, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let (enough, pause) = (random(40), Duration::from_micros(random(3_000)));
    let work = |client| {
        let _told = OnEnd(&ended);
        house.work(&server, client, round, &acknowledged)
    };
    let seen = std::thread::scope(|scope| {
        let work = &work;
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || work(client))).collect();
        while acknowledged.load(Ordering::SeqCst) < enough && !ended.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(pause);
        let too_early = ended.load(Ordering::SeqCst);
        server.kill_at_once();
        let seen: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(!too_early, "the server stopped answering before it was killed: {}", server.log());
        seen
    });
    let log = server.kill();
    no_panic(&log);
    seen
}

/// Kills a server that was just started; true if it did not listen yet.
fn kill_while_opening(house: &House) -> bool {
    let (server, listening) = Server::spawn(house.place.wardbook().args(["serve", "--listen", "127.0.0.1:0"]));
    std::thread::sleep(Duration::from_millis(random(150)));
    let opening = listening.try_recv().is_err();
    let log = server.kill();
    no_panic(&log);
    opening
}
