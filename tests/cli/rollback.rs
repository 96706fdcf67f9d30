//! An old backup put back in place: noticed, refused, and if it is wanted, written down.

use wardbook_ledger::{LogReader, Position};

use crate::cli::scene::Scene;
use crate::program::{Place, Server, copy_dir, restore_dir};

fn own_events(place: &Place, kind: &str) -> usize {
    let reader = LogReader::open(&place.data().join("ledger")).unwrap();
    reader.scan(Position(0)).filter(|entry| entry.as_ref().unwrap().event_type().to_string() == kind).count()
}

#[test]
fn an_old_backup_is_refused_until_somebody_answers_for_it_and_that_is_an_event() {
    let scene = Scene::new();
    let place = &scene.place;
    copy_dir(&place.data().join("ledger"), &place.path("backup"));
    place.user("later", "nurse", &[]);
    let kept = place.run(&["checkpoint"]).ok().stdout;
    std::fs::write(place.path("kept"), kept).unwrap();
    restore_dir(&place.path("backup"), &place.data().join("ledger"));
    // Whoever kept a checkpoint sees it; whoever did not is told by the marks of what was published.
    let shown = place.run(&["verify", "--quiet", "--checkpoint", "kept"]).with_code(1);
    assert!(shown.stdout.contains("does NOT verify"), "{}", shown.stdout);
    for refused in [&["user", "list"][..], &["serve", "--listen", "127.0.0.1:0"], &["rebuild"]] {
        let ended = place.run(refused).with_code(2);
        assert!(
            ended.stderr.contains("accept-rollback") && ended.stderr.contains("lost"),
            "{refused:?}: {}",
            ended.stderr
        );
    }
    assert_eq!(own_events(place, "ledger.rollback_accepted"), 0);
    let server = Server::start(place.wardbook().args(["serve", "--listen", "127.0.0.1:0", "--accept-rollback"]));
    server.log_in("physician").get(&format!("/v1/patients/{}", scene.patient)).is(200);
    let log = server.stop();
    assert!(log.contains("accepted as asked for"), "{log}");
    assert_eq!(own_events(place, "ledger.rollback_accepted"), 1);
    // From now on it is the log, and needs no more asking.
    place.verified();
    let users = place.run(&["user", "list"]).ok().stdout;
    assert!(users.contains("physician") && !users.contains("later"), "{users}");
    place.user("later", "nurse", &[]);
    assert_eq!(own_events(place, "ledger.rollback_accepted"), 1);
    // What was published before stays contradicted, for ever.
    place.run(&["verify", "--quiet", "--checkpoint", "kept"]).with_code(1);
}

#[test]
fn views_do_not_keep_the_one_event_that_a_rollback_lost() {
    let (scene, server) = Scene::served();
    let place = &scene.place;
    let token = server.token("physician");
    server.stop();
    copy_dir(&place.data().join("ledger"), &place.path("backup"));
    // The session goes on, so that this look is the only event; the event of the rollback takes its very position.
    let server = place.serve();
    let path = format!("/v1/patients/{}", scene.patient);
    let lost: u64 = server.with_token(&token).get(&path).is(200).header("wardbook-position").parse().unwrap();
    server.stop();
    restore_dir(&place.path("backup"), &place.data().join("ledger"));
    Server::start(place.wardbook().args(["serve", "--listen", "127.0.0.1:0", "--accept-rollback"])).stop();
    let reader = LogReader::open(&place.data().join("ledger")).unwrap();
    let there = reader.read(Position(lost)).unwrap().expect("an event at the position of the lost one");
    assert_eq!(there.event_type().to_string(), "ledger.rollback_accepted");
    // A rebuild compares state roots: a view that still had the lost event would not be equal.
    place.run(&["rebuild"]).ok();
}

#[test]
fn an_old_backup_of_views_alone_costs_nothing() {
    let scene = Scene::new();
    let place = &scene.place;
    copy_dir(&place.data().join("views"), &place.path("backup"));
    place.user("later", "nurse", &[]);
    restore_dir(&place.path("backup"), &place.data().join("views"));
    assert!(place.run(&["user", "list"]).ok().stdout.contains("later"), "the views caught up");
    std::fs::remove_dir_all(place.data().join("views")).unwrap();
    std::fs::remove_dir_all(place.data().join("ledger/index")).unwrap();
    assert!(place.run(&["user", "list"]).ok().stdout.contains("later"), "views and index come back from the journal");
    place.verified();
}
