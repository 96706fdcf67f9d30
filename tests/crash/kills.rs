//! SIGKILL at random moments of a server under load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::crash::house::{House, Seen};
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
