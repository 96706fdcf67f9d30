use serde_json::json;
use wardbook_events::Role;

use crate::helpers::{TestApp, noon};

#[test]
fn a_campaign_takes_roles_away_and_leaves_evidence() {
    let test = TestApp::start();
    let officer_id = test.user("officer", &[Role::ComplianceOfficer], None);
    let second_id = test.user("second", &[Role::ComplianceOfficer], None);
    let auditor = test.user("auditor", &[Role::Auditor, Role::Quality], None);
    let (officer, reader) = (test.log_in("officer"), test.log_in("auditor"));
    let audit = "/v1/audit/events";
    assert_eq!(reader.with("Purpose-Of-Use", "HCOMPL").get(audit).status, 200);
    let due = noon() + jiff::SignedDuration::from_hours(1);
    let open = json!({"title": "2026 Q1", "roles": ["auditor", "compliance-officer"], "due_at": due});
    let opened = officer.post("/v1/access-reviews", &open);
    assert_eq!(opened.status, 201, "{}", opened.text());
    let path = format!("/v1/access-reviews/{}", opened.json()["review"].as_str().unwrap());
    assert_eq!(officer.get(&path).json()["left"], 3);
    let decide = |user, role, verdict| json!({"user": user, "role": role, "verdict": verdict});
    let decisions = format!("{path}/decisions");
    let revoked = officer.post(&decisions, &decide(auditor, "auditor", "revoke"));
    assert_eq!(revoked.status, 204, "{}", revoked.text());
    assert_eq!(reader.with("Purpose-Of-Use", "HCOMPL").get(audit).status, 401, "the sessions have ended");
    let again = test.log_in("auditor");
    assert_eq!(again.with("Purpose-Of-Use", "HCOMPL").get(audit).status, 403);
    assert_eq!(officer.post(&decisions, &decide(officer_id, "compliance-officer", "keep")).status, 403);
    assert_eq!(officer.post(&decisions, &decide(auditor, "auditor", "keep")).status, 409);
    assert_eq!(officer.post(&format!("{path}/close"), &json!({})).status, 409);
    assert_eq!(officer.post(&decisions, &decide(second_id, "compliance-officer", "keep")).status, 204);
    test.clock.advance(jiff::SignedDuration::from_hours(1));
    // Nobody sits idle for an hour.
    let [officer, second] = ["officer", "second"].map(|name| test.log_in(name));
    assert_eq!(officer.get(&path).json()["overdue"], true);
    assert_eq!(second.post(&decisions, &decide(officer_id, "compliance-officer", "keep")).status, 204);
    assert_eq!(officer.post(&format!("{path}/close"), &json!({})).status, 204);
    let evidence = officer.get(&format!("{path}/evidence")).json();
    assert_eq!((&evidence["campaign"]["kept"], &evidence["campaign"]["revoked"]), (&json!(2), &json!(1)));
    let taken = evidence["decisions"].as_array().unwrap().iter().find(|one| one["verdict"] == "revoke").unwrap();
    assert_eq!(taken["consequences"][0]["type"], "identity.role-revoked");
    for step in [&taken["decided"], &taken["consequences"][0], &evidence["campaign"]["closed"]] {
        let mut proof = test.stranger().get(step["proof"].as_str().unwrap());
        for _ in 0..100 {
            if proof.status != 503 {
                break;
            }
            // The next checkpoint is on its way.
            proof = test.stranger().get(step["proof"].as_str().unwrap());
        }
        assert_eq!(proof.status, 200, "{}", proof.text());
    }
}
