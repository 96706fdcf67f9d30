use serde_json::json;
use uuid::Uuid;
use wardbook_events::Role;

use crate::helpers::{TestApp, person, quick_config};

#[test]
fn a_draft_survives_a_restart_is_only_its_authors_and_becomes_an_entry() {
    let test = TestApp::start();
    test.user("registrar", &[Role::Registrar], None);
    let (author, other) = (test.user("author", &[Role::Physician], None), test.user("other", &[Role::Physician], None));
    let registrar = test.log_in("registrar");
    let registered = registrar.post("/v1/patients", &person("Drafted"));
    let chart = format!("/v1/patients/{}", registered.json()["patient"].as_str().unwrap());
    for user in [author, other] {
        let team = format!("{chart}/care-team/{user}");
        assert_eq!(registrar.after(&registered).put(&team, &json!({"function": "attending"})).status, 204);
    }
    let draft = Uuid::from_u128(0x0190_a3c4_7d10_7cc2_b5c1_2f3e_4d5a_6b7d);
    let path = format!("{chart}/drafts/{draft}");
    let body = json!({"type": "note", "body": {"half": "a sentence"}});
    let writer = test.log_in("author");
    assert_eq!(writer.put(&path, &body).status, 204);
    let soon = writer.put(&path, &body);
    assert_eq!((soon.status, soon.header("retry-after")), (429, "10"));

    let test = TestApp::in_dir(quick_config(), test.stop());
    let (writer, reader) = (test.log_in("author"), test.log_in("other"));
    let read = writer.get(&path);
    assert_eq!((read.status, &read.json()["body"]["half"]), (200, &json!("a sentence")), "{}", read.text());
    assert!(read.position() > 0);
    assert_eq!(reader.get(&path).status, 404);
    assert_eq!(reader.put(&path, &body).status, 404);
    assert_eq!(writer.get(&format!("{chart}/drafts")).json()["drafts"][0]["draft"], json!(draft));
    let entry = json!({"type": "note", "body": {"code": {"text": "Visit"}}, "draft": draft});
    let added = writer.post(&format!("{chart}/records"), &entry);
    assert_eq!((added.status, &added.json()["record"]), (201, &json!(draft)), "{}", added.text());
    assert_eq!(writer.after(&added).get(&path).status, 404, "gone with the entry");
    assert_eq!(writer.get(&format!("{chart}/records/{draft}")).status, 200);
    assert_eq!(writer.put(&path, &body).status, 409, "a late draft does not come back");
}
