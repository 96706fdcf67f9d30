use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wardbook::tls::tending;
use wardbook_events::Event;
use wardbook_events::governance::GovernanceEvent;

use super::{Authority, client, config, s_client, start};
use crate::helpers::TestApp;
use crate::program::Place;

/// What the ledger tells of certificates.
fn told(test: &TestApp) -> Vec<GovernanceEvent> {
    let head = test.app.ledger().head().durable;
    let events = (0..head).filter_map(|position| {
        let entry = test.app.ledger().read(wardbook_ledger::Position(position)).unwrap().unwrap();
        match wardbook::recorded::decode(&entry).unwrap()?.event {
            Event::Governance(event) => Some(event),
            _ => None,
        }
    });
    let about_certificates = |event: &GovernanceEvent| event.type_name().starts_with("governance.certificate");
    events.filter(about_certificates).collect()
}

#[test]
fn new_certificates_are_shown_without_a_restart_and_no_request_is_lost() {
    let authority = Authority::new();
    let test = start(config(&authority, "server"));
    let tls = test.serving.tls.clone().unwrap();
    for name in ["server", "renewed", "next"] {
        for kind in ["pem", "key"] {
            std::fs::copy(authority.path(&format!("{name}.{kind}")), authority.path(&format!("{name}.{kind}.kept")))
                .unwrap();
        }
    }
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let more = |than: usize| while served.load(Ordering::SeqCst) <= than + 6 {};
    let standing = client(&authority, &test.base, None);
    assert_eq!(standing.get("/health/live").status, 200);
    std::thread::scope(|scope| {
        for fresh in [true, false] {
            let (authority, test, stop, served) = (&authority, &test, &stop, &served);
            scope.spawn(move || {
                let mut caller = client(authority, &test.base, None);
                while !stop.load(Ordering::SeqCst) {
                    if fresh {
                        caller = client(authority, &test.base, None);
                    }
                    assert_eq!(caller.get("/health/live").status, 200);
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for name in ["renewed", "next", "server"] {
            more(served.load(Ordering::SeqCst));
            // Between the two files, they do not belong together: what was good stays.
            authority.replace("server.key", &format!("{name}.key.kept"));
            tending::tend(&test.app, &tls).unwrap();
            authority.replace("server.pem", &format!("{name}.pem.kept"));
            tending::tend(&test.app, &tls).unwrap();
            let shown = format!("CN = {name}");
            s_client(&authority, test.serving.address, &[]).has(&shown);
        }
        more(served.load(Ordering::SeqCst));
        stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(standing.get("/health/live").status, 200, "connections go on");
    let refused = told(&test).into_iter().filter(|event| matches!(event, GovernanceEvent::CertificatesRefused(_)));
    assert_eq!(refused.count(), 2, "a renewed certificate for the same key was good at once");
}

#[test]
fn files_that_cannot_be_used_are_refused_and_told_of() {
    let authority = Authority::new();
    let test = start(config(&authority, "server"));
    let tls = test.serving.tls.clone().unwrap();
    let shown = || s_client(&authority, test.serving.address, &[]).text;
    for (what, broken) in [
        ("does not hold certificates", "not a certificate".to_owned()),
        ("does not hold certificates", String::new()),
        (
            "must begin with",
            std::fs::read_to_string(authority.path("ca.pem")).unwrap()
                + &std::fs::read_to_string(authority.path("server.pem")).unwrap(),
        ),
        ("cannot be used with", std::fs::read_to_string(authority.path("stranger.pem")).unwrap()),
    ] {
        std::fs::write(authority.path("server.pem"), broken).unwrap();
        tending::tend(&test.app, &tls).unwrap();
        assert!(tls.refused().unwrap().contains(what), "{what}: {:?}", tls.refused());
        let Some(GovernanceEvent::CertificatesRefused(refused)) = told(&test).pop() else { panic!("not told") };
        assert_eq!(Some(refused.reason), tls.refused());
        assert!(shown().contains("CN = server"));
        assert_eq!(client(&authority, &test.base, None).get("/health/ready").json()["certificates"]["refused"], true);
    }
    authority.replace("server.pem", "renewed.pem");
    tending::tend(&test.app, &tls).unwrap();
    assert_eq!(tls.refused(), None);
    let Some(GovernanceEvent::CertificatesReplaced(replaced)) = told(&test).pop() else { panic!("not told") };
    assert_eq!(replaced.fingerprints, [authority.fingerprint("renewed")]);
    assert!(shown().contains("CN = renewed"));
    // One that has ended meanwhile takes nobody's place.
    test.clock.advance(jiff::SignedDuration::from_hours(24 * 400));
    authority.replace("server.pem", "other.pem");
    tending::tend(&test.app, &tls).unwrap();
    assert!(tls.refused().unwrap().contains("is good from"), "{:?}", tls.refused());
}

#[test]
fn a_hang_up_makes_the_program_read_its_certificates() {
    let authority = Authority::new();
    let place = Place::new();
    let settings = std::fs::read_to_string(place.path("settings.toml")).unwrap();
    let tls = format!(
        "[tls]\ncertificate = {:?}\nkey = {:?}\nstaple = false\n",
        authority.path("server.pem"),
        authority.path("server.key")
    );
    std::fs::write(place.path("settings.toml"), settings + &tls).unwrap();
    let server = place.serve();
    let address = server.base().strip_prefix("https://").unwrap().to_owned();
    s_client(&authority, &address, &[]).has("CN = server");
    authority.replace("server.pem", "renewed.pem");
    server.signal("HUP");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !s_client(&authority, &address, &[]).text.contains("CN = renewed") {
        assert!(std::time::Instant::now() < until, "{}", server.log());
    }
    assert!(s_client(&authority, &address, &[]).ok, "it still serves");
}
