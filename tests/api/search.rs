//! Finding sealed patients: by whole names, first letters, sounds and numbers, alone and together.

use serde_json::{Value, json};
use wardbook_events::Role;

use crate::helpers::{HOUSE, person};

/// A family name that nobody else in the house has: letters only, as names are.
fn family(begins: &str) -> String {
    let unique = HOUSE.test.app.new_id().unwrap().simple().to_string();
    let letters = unique.bytes().rev().take(8).map(|b| char::from(b'a' + (b % 16)));
    begins.chars().chain(letters).collect()
}

fn register(body: &Value) -> String {
    let registrar = HOUSE.client(Role::Registrar);
    let answer = registrar.post("/v1/patients", body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let patient = answer.json()["patient"].as_str().unwrap().to_owned();
    assert_eq!(registrar.after(&answer).get(&format!("/v1/patients/{patient}")).status, 200);
    patient
}

fn found(role: Role, body: &Value) -> Vec<String> {
    let answer = HOUSE.client(role).post("/v1/patients/search", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["patients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["patient"].as_str().unwrap().to_owned())
        .collect()
}

fn finds(body: Value, patient: &str) -> bool {
    found(Role::Registrar, &body).iter().any(|one| one == patient)
}

#[test]
fn names_are_found_by_their_first_letters() {
    let family = family("Ågot");
    let patient = register(&person(&family));
    let prefix = |letters: usize| family.chars().take(letters).collect::<String>();
    for letters in 3..=family.chars().count() {
        let name = prefix(letters);
        assert!(
            finds(json!({"name": name, "match": "prefix", "birth_date": "1971-02-03"}), &patient),
            "{letters} letters"
        );
    }
    let long = prefix(10);
    assert!(finds(
        json!({"name": format!(" NGO  {}", long.to_uppercase().replace('Å', "a")), "match": "prefix"}),
        &patient
    ));
    assert!(!finds(json!({"name": long}), &patient), "a beginning is no name");
    assert!(!finds(json!({"name": format!("{}q", prefix(9)), "match": "prefix"}), &patient), "beyond what is indexed");
    assert!(!finds(json!({"name": prefix(2), "match": "prefix", "birth_date": "1971-02-03"}), &patient), "too short");
    assert!(!finds(json!({"name": long, "match": "prefix", "birth_date": "1971-02-04"}), &patient), "terms narrow");
    assert_eq!(
        found(Role::Physician, &json!({"name": long, "match": "prefix"})),
        [""; 0],
        "only whom the caller may see"
    );
}

#[test]
fn mail_and_telephone_are_found_however_they_are_written() {
    let mut body = person(&family("Contact"));
    let unique = HOUSE.test.app.new_id().unwrap().as_u128() % 1_000_000;
    body["phones"] = json!(["+1 212 555 0000", format!("(555) 0{unique:06}")]);
    body["emails"] = json!([format!("N.Okafor{unique}@Example.org")]);
    let patient = register(&body);
    assert!(finds(json!({"email": format!("n.okafor{unique}@EXAMPLE.ORG")}), &patient));
    assert!(!finds(json!({"email": format!("n.okafor{unique}@example.com")}), &patient));
    for phone in [format!("+1-555-0{unique:06}"), format!("15550{unique:06}"), format!("5550{unique:06} ext. 3")] {
        assert!(finds(json!({"phone": phone, "email": format!("n.okafor{unique}@example.org")}), &patient), "{phone}");
    }
    assert_eq!(found(Role::Registrar, &json!({"phone": "none"})), [""; 0], "what is no number finds nobody");
    let registrar = HOUSE.client(Role::Registrar);
    assert_eq!(registrar.post("/v1/patients/search", &json!({"email": "not an address"})).status, 422);
    assert_eq!(registrar.post("/v1/patients/search", &json!({"name": "x", "match": "fuzzy"})).status, 422);
    assert_eq!(registrar.post("/v1/patients/search", &json!({"match": "prefix"})).status, 422, "nothing to search by");
}

#[test]
fn a_corrected_value_finds_and_the_old_one_does_not() {
    let (old, new) = (family("Before"), family("Afterwards"));
    let mut body = person(&old);
    let unique = HOUSE.test.app.new_id().unwrap().simple().to_string();
    body["emails"] = json!([format!("{unique}@example.org")]);
    let patient = register(&body);
    let registrar = HOUSE.client(Role::Registrar);
    let path = format!("/v1/patients/{patient}");
    let name = json!({"name": {"family": new, "given": ["Ngozi"]}});
    let corrected = registrar.with("If-Match", "\"1\"").patch(&path, &name);
    assert_eq!(corrected.status, 200, "{}", corrected.text());
    assert_eq!(registrar.after(&corrected).get(&path).status, 200);
    for matching in ["exact", "prefix", "sounds"] {
        assert!(finds(json!({"name": new, "match": matching}), &patient), "{matching}");
        assert!(!finds(json!({"name": old, "match": matching}), &patient), "{matching}");
    }
    assert!(finds(json!({"email": format!("{unique}@example.org")}), &patient), "what was not corrected still finds");
    let mut again = person(&new);
    again["name"]["given"] = json!(["Ngozi"]);
    assert_eq!(registrar.post("/v1/patients", &again).status, 409, "the mark of a duplicate follows the name");
}

#[test]
fn one_search_is_one_event_that_says_by_what_and_no_value() {
    let family = family("Audited");
    let patient = register(&person(&family));
    let answer =
        HOUSE.client(Role::Registrar).post("/v1/patients/search", &json!({"name": &family[..6], "match": "prefix"}));
    let entry = HOUSE.test.app.ledger().read(wardbook_ledger::Position(answer.position())).unwrap().unwrap();
    assert_eq!(entry.event_type().as_str(), "access.patients-searched");
    let body: Value = serde_json::from_slice(entry.body()).unwrap();
    assert_eq!(body["by"], json!(["family-prefix", "given-prefix"]));
    assert!(body["found"].as_array().unwrap().iter().any(|one| one == &json!(patient)));
    assert!(!body.to_string().to_lowercase().contains(&family[..6].to_lowercase()));
}
