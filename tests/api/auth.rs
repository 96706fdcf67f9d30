use wardbook_events::Role;

use crate::helpers::HOUSE;

#[test]
fn who_logs_in_is_known_until_logging_out() {
    let (user, client) = HOUSE.test.client(&[Role::Nurse]);
    let session = client.get("/v1/auth/session");
    assert_eq!(session.status, 200, "{}", session.text());
    assert_eq!(session.json()["user"], user.to_string());
    assert_eq!(session.json()["purpose"], "TREAT");
    let out = client.raw("POST", "/v1/auth/logout", None, b"");
    assert_eq!(out.status, 204, "{}", out.text());
    assert_eq!(client.get("/v1/auth/session").status, 401, "the very next request is refused");
}
