//! What a collector of metrics gets: counts and times, and nothing of anybody.

use std::fs;

use super::scene::{NEW, Scene};

/// The number of a line of the text format that begins with all of `series`.
fn number(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    let line = line.unwrap_or_else(|| panic!("no {series}: {text}"));
    line.trim().parse().unwrap()
}

#[test]
fn counts_and_times_are_collected_at_a_place_of_their_own() {
    let scene = Scene::new();
    let place = &scene.place;
    let settings = place.path("settings.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}\n[metrics]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
    let server = place.serve();
    let path = format!("/v1/patients/{}", scene.patient);
    let physician = server.log_in("physician");
    for _ in 0..3 {
        assert_eq!(physician.get(&path).is(200).json()["name"]["family"], NEW);
    }
    server.log_in("nurse").get(&path).is(404);
    server.stranger().get("/v1/Zebulonskaya").is(404);
    server.stranger().call("OPTIONS", "/v1/patients", None).unwrap();
    server.stranger().get("/metrics").is(404);

    let log = server.log();
    let at = log.lines().find_map(|line| line.split_once("metrics at ")).expect("where metrics are is told").1;
    let mut answer = ureq::get(at).call().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let metrics = answer.body_mut().read_to_string().unwrap();
    let chart = "route=\"/v1/patients/{patient}\"";
    assert_eq!(
        number(&metrics, &format!("wardbook_http_requests_total{{method=\"GET\",{chart},status=\"200\"}}")),
        3.0
    );
    assert_eq!(
        number(&metrics, &format!("wardbook_http_requests_total{{method=\"GET\",{chart},status=\"404\"}}")),
        1.0
    );
    assert_eq!(number(&metrics, &format!("wardbook_http_request_seconds_bucket{{{chart},le=\"+Inf\"}}")), 4.0);
    assert!(metrics.contains("method=\"other\""), "{metrics}");
    assert!(number(&metrics, "wardbook_ledger_events") > 8.0);
    assert_eq!(number(&metrics, "wardbook_ledger_stopped"), 0.0);
    assert_eq!(number(&metrics, "wardbook_view_ailing{view=\"patients\"}"), 0.0);
    assert!(number(&metrics, "wardbook_key_opens_total") >= 3.0);
    assert!(
        number(&metrics, "wardbook_key_provider_calls_total{provider=\"file\",operation=\"unwrap\",outcome=\"ok\"}")
            >= 1.0
    );
    for secret in [scene.patient.as_str(), scene.physician.as_str(), NEW, "Zebulonskaya", "OPTIONS", "physician"] {
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
    }
    server.stop();
}
