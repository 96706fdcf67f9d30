//! `wardbook rebuild`: views come back from the ledger, equal.

use std::collections::BTreeMap;

use wardbook_projections::ViewName;

use crate::cli::scene::Scene;

#[test]
fn rebuilt_views_have_the_roots_of_the_old_ones_offline_and_through_a_server() {
    let scene = Scene::new();
    let place = &scene.place;
    let roots = || -> BTreeMap<String, String> {
        let views = place.run(&["--quiet", "rebuild", "--json"]).ok().json_lines();
        assert_eq!(views.len(), ViewName::ALL.len());
        assert!(
            views.iter().all(|view| view["compared"] == true),
            "each is compared with the one it replaces: {views:?}"
        );
        views
            .iter()
            .map(|view| (view["view"].as_str().unwrap().to_owned(), view["root"].as_str().unwrap().to_owned()))
            .collect()
    };
    let first = roots();
    // A rebuild is an event, so the views of users and patients stay and that of events grows.
    let second = roots();
    for name in ["patients", "records", "care-teams", "identity"] {
        assert_eq!(first[name], second[name], "{name}");
    }
    assert_ne!(first["audit"], second["audit"]);
    assert_eq!(place.trail(&["--type", "governance.projection-rebuilt"]).len(), 2 * ViewName::ALL.len());
    let server = place.serve();
    let through = |user: &str, views: &[&str]| {
        place.run_with_password(
            &[&["--quiet", "rebuild", "--json", "--server", server.base(), "--as", user], views].concat(),
        )
    };
    let views = through("system", &["patients", "records", "care-teams"]).ok().json_lines();
    for (view, name) in views.iter().zip(["patients", "records", "care-teams"]) {
        assert_eq!(view["root"].as_str(), Some(first[name].as_str()), "{name}: {view}");
    }
    through("system", &["audit", "identity"]).ok();
    let refused = through("physician", &["patients"]).with_code(2);
    assert!(refused.stderr.contains("403"), "{}", refused.stderr);
    server.log_in("physician").get(&format!("/v1/patients/{}", scene.patient)).is(200);
    server.stop();
    place.verified();
}
