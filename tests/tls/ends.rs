use jiff::SignedDuration;
use wardbook::tls::tending;
use wardbook_events::Role;

use super::{Authority, client, config, start};

#[test]
fn an_alert_tells_each_day_of_a_certificate_that_ends_soon() {
    let authority = Authority::new();
    let mut config = config(&authority, "server");
    config.sessions.lifetime_s = 604_800;
    let test = start(config);
    let tls = test.serving.tls.clone().unwrap();
    let days = tls.certificates()[0].days_left(test.app.now());
    test.user("officer", &[Role::SecurityAdmin], None);
    let severities = |expected: &[&str]| {
        let officer = client(&authority, &test.base, None);
        let body = serde_json::json!({"username": "officer", "password": crate::helpers::PASSWORD});
        let token = officer.post("/v1/auth/login", &body).json()["access_token"].as_str().unwrap().to_owned();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let listed = officer.clone().with_token(&token).get("/v1/alerts").json();
            let alerts =
                listed["alerts"].as_array().unwrap().iter().filter(|one| one["kind"] == "certificate-expiring");
            let mut found: Vec<_> = alerts.map(|one| one["severity"].as_str().unwrap().to_owned()).collect();
            found.sort();
            if found == expected {
                return;
            }
            assert!(std::time::Instant::now() < until, "{expected:?}: {listed}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let pass = |days: i64| test.clock.advance(SignedDuration::from_hours(24 * days));
    tending::tend(&test.app, &tls).unwrap();
    severities(&[]);
    pass(days - 29);
    for _ in 0..3 {
        tending::tend(&test.app, &tls).unwrap();
    }
    severities(&["medium"]);
    // Another handle, as after a restart: the day was told of.
    let again = wardbook::tls::Tls::load(&test.app.config().tls, &test.clock).unwrap().unwrap();
    tending::tend(&test.app, &again).unwrap();
    pass(26);
    tending::tend(&test.app, &tls).unwrap();
    severities(&["high", "medium"]);
    pass(4);
    tending::tend(&test.app, &tls).unwrap();
    severities(&["critical", "high", "medium"]);
    let ready = client(&authority, &test.base, None).get("/health/ready");
    assert_eq!(ready.status, 200, "whoever still takes it is served");
    assert_eq!(ready.json()["certificates"]["days_left"], -1);
}
