//! What the time of an answer tells: nothing. Not a proof: a gross difference would show, and the figures are printed.
//! `scripts/bench timing` runs this from the release build with more samples.

use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;
use wardbook_events::Role;

use crate::helpers::{Client, PASSWORD, TestApp, person};

/// Times of one kind of answer, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn at(&self, percent: usize) -> Duration {
        self.0[self.0.len() * percent / 100]
    }
}

/// Times taken in turns, so that whatever disturbs the machine disturbs all alike.
fn in_turns<const N: usize>(rounds: usize, calls: [&mut dyn FnMut(); N]) -> [Times; N] {
    let mut times: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for round in 0..rounds {
        for turn in 0..N {
            // Nobody is always first.
            let which = (turn + round) % N;
            let began = Instant::now();
            calls[which]();
            times[which].push(began.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort();
        Times(times)
    })
}

/// How often one of the first is slower than one of the second, ties by half: the area under the curve of a guesser who
/// goes by time, which is Mann and Whitney's U over the number of pairs. 0.5 is a coin.
fn auc(one: &Times, other: &Times) -> f64 {
    let wins: f64 = one
        .0
        .iter()
        .map(|time| {
            let (slower, not_faster) =
                (other.0.partition_point(|other| other < time), other.0.partition_point(|other| other <= time));
            (slower + not_faster) as f64 / 2.0
        })
        .sum();
    wins / (one.0.len() * other.0.len()) as f64
}

fn tell(what: &str, times: &Times) {
    println!(
        "{what:<24} median {:>9.3?}  quartiles {:.3?} to {:.3?}  n {}",
        times.at(50),
        times.at(25),
        times.at(75),
        times.0.len()
    );
}

#[track_caller]
fn alike(named: &[(&str, &Times)], margin: f64) {
    for (what, times) in named {
        tell(what, times);
    }
    for (at, (what, times)) in named.iter().enumerate() {
        for (other_what, other) in &named[at + 1..] {
            let area = auc(times, other);
            println!("{what} against {other_what}: AUC {area:.3}");
            assert!((margin..=1.0 - margin).contains(&area), "{what} and {other_what} can be told apart: {area}");
        }
    }
}

fn samples(usual: usize) -> usize {
    let factor = std::env::var("WARDBOOK_TIMING_FACTOR").ok().and_then(|text| text.parse().ok());
    usual * factor.unwrap_or(1)
}

#[test]
fn a_forbidden_patient_takes_as_long_as_one_who_does_not_exist() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    test.user("physician", &[Role::Physician], None);
    let registered = test.log_in("registrar").post("/v1/patients", &person("Timed"));
    let forbidden = registered.json()["patient"].as_str().unwrap().to_owned();
    let client = test.log_in("physician").after(&registered);
    let unknown = Uuid::from_u128(0x0190_a3c4_7d10_7cc2_b5c1_2f3e_4d5a_6b7c).to_string();
    let read = |patient: &str| assert_eq!(client.get(&format!("/v1/patients/{patient}")).status, 404);
    (0..20).for_each(|_| [&forbidden, &unknown].into_iter().for_each(|patient| read(patient)));
    let [one, other] = in_turns(samples(250), [&mut || read(&forbidden), &mut || read(&unknown)]);
    alike(&[("forbidden patient", &one), ("unknown patient", &other)], 0.2);
}

#[test]
fn a_wrong_password_takes_as_long_as_an_unknown_name() {
    let test = TestApp::start();
    test.user("locked", &[Role::Nurse], None);
    let rounds = samples(12);
    // Of each name one try, or it would be locked after a few.
    for round in 0..rounds {
        test.user(&format!("known-{round}"), &[Role::Nurse], None);
    }
    let stranger = test.stranger();
    let log_in = |client: &Client, name: &str| {
        let wrong = json!({"username": name, "password": "Quite-43-wrong-Passwords"});
        assert!(matches!(client.post("/v1/auth/login", &wrong).status, 401 | 423 | 429));
    };
    let good = json!({"username": "locked", "password": PASSWORD});
    while stranger.post("/v1/auth/login", &good).status == 200 {
        (0..6).for_each(|_| log_in(&stranger, "locked"));
    }
    let (mut known, mut unknown) = (0..rounds, 0..rounds);
    let [wrong, nobody, locked] = in_turns(
        rounds,
        [
            &mut || log_in(&stranger, &format!("known-{}", known.next().unwrap())),
            &mut || log_in(&stranger, &format!("nobody-{}", unknown.next().unwrap())),
            &mut || log_in(&stranger, "locked"),
        ],
    );
    // Answers wait for the next beat (200 ms), so few samples must do; the margin is wider for that.
    alike(&[("wrong password", &wrong), ("unknown name", &nobody), ("locked account", &locked)], 0.1);
}

#[test]
fn the_statistic_is_what_it_is_said_to_be() {
    let times = |millis: &[u64]| Times(millis.iter().map(|millis| Duration::from_millis(*millis)).collect());
    assert_eq!(auc(&times(&[1, 2, 3]), &times(&[4, 5, 6])), 0.0);
    assert_eq!(auc(&times(&[4, 5, 6]), &times(&[1, 2, 3])), 1.0);
    assert_eq!(auc(&times(&[1, 2, 3]), &times(&[1, 2, 3])), 0.5);
    assert_eq!(auc(&times(&[2]), &times(&[1, 2, 3, 4])), 0.375);
}

/// From the receipt of what is alarming to the alert in the ledger, and to the officers' webhook (ACC-18): at once, not soon.
#[test]
fn an_alert_is_with_the_officers_within_a_second() {
    use super::alerts::{Sink, start};
    let (sink, dir) = (Sink::open(), tempfile::tempdir().unwrap());
    let mut config = sink.config(&dir);
    config.alerts.webhook = true;
    let test = TestApp::with(config);
    test.user("registrar", &[Role::Registrar], None);
    test.user("nurse", &[Role::Nurse], None);
    let (registrar, nurse) = (test.log_in("registrar"), test.log_in("nurse"));
    let rounds = samples(12);
    let patients: Vec<_> = (0..rounds)
        .map(|_| {
            let registered = registrar.post("/v1/patients", &person("Timed"));
            (registered.json()["patient"].as_str().unwrap().parse().unwrap(), registered.position())
        })
        .collect();
    let newest = patients.last().unwrap().1.to_string();
    let nurse = nurse.with("If-Ledger-Position", &newest);
    let ledger = test.app.ledger();
    let (mut raised, mut delivered) = (Vec::new(), Vec::new());
    let soon = Duration::from_secs(20);
    for (patient, _) in patients {
        let (before, head) = (sink.taken().len(), ledger.head().durable);
        start(&nurse, patient);
        let began = Instant::now();
        let mut seen = head;
        while raised.len() == delivered.len() {
            assert!(began.elapsed() < soon, "no alert was raised");
            match ledger.read(wardbook_ledger::Position(seen)).unwrap() {
                Some(entry) if entry.event_type().as_str() == "alerts.raised" => raised.push(began.elapsed()),
                Some(_) => seen += 1,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        while sink.taken().len() == before {
            assert!(began.elapsed() < soon, "no alert was delivered");
            std::thread::sleep(Duration::from_millis(1));
        }
        delivered.push(began.elapsed());
    }
    for (what, mut times) in [("raised", raised), ("delivered", delivered)] {
        times.sort();
        let times = Times(times);
        println!("alert {what:<18} p50 {:>9.3?}  p99 {:>9.3?}  n {}", times.at(50), times.at(99), times.0.len());
        assert!(times.at(50) < Duration::from_secs(1), "an alert is {what} late");
    }
}
