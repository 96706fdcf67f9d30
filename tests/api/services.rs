use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use wardbook_events::Role;

use crate::helpers::{Answer, Client, TestApp};

struct Program {
    id: String,
    key: EncodingKey,
}

/// A program whose tokens may be used for these actions.
fn program(admin: &Client, name: &str, scopes: &Value) -> Program {
    let made = admin.post("/v1/services", &json!({"username": name}));
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["service"].as_str().unwrap().to_owned();
    let pair = Ed25519KeyPair::generate().unwrap();
    let der: Pkcs8V1Der = pair.as_der().unwrap();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(pair.public_key())});
    let set = admin.put(&format!("/v1/services/{id}/key"), &json!({"jwk": jwk, "scopes": scopes}));
    assert_eq!(set.status, 204, "{}", set.text());
    Program { id, key: EncodingKey::from_ed_der(der.as_ref()) }
}

impl Program {
    fn assertion(&self, test: &TestApp, jti: &str) -> String {
        let exp = test.app.now().as_second() + 60;
        let claims = json!({"iss": self.id, "sub": self.id, "aud": "wardbook", "exp": exp, "jti": jti});
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).unwrap()
    }
    fn ask(&self, test: &TestApp, assertion: &str) -> Answer {
        let form = format!(
            "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"
        );
        post_form(test, &form)
    }
}

fn post_form(test: &TestApp, form: &str) -> Answer {
    test.stranger().raw("POST", "/v1/auth/token", Some("application/x-www-form-urlencoded"), form.as_bytes())
}

#[test]
fn a_program_gets_a_token_for_each_assertion_once() {
    let test = TestApp::start();
    let (_, admin) = test.client(&[Role::Admin]);
    let program = program(&admin, "lab.interface", &json!(["search-patients"]));
    let assertion = program.assertion(&test, "the-first-one");
    let given = program.ask(&test, &assertion);
    assert_eq!(given.status, 200, "{}", given.text());
    let body = given.json();
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("search-patients")));
    assert!(body.get("refresh_token").is_none());
    assert_eq!(given.header("cache-control"), "no-store");
    let client = test.stranger().with_token(body["access_token"].as_str().unwrap());
    assert_eq!(client.get("/v1/auth/session").json()["user"], program.id.as_str());
    assert_eq!(client.get("/v1/users").status, 403, "it is no administrator");

    let replayed = program.ask(&test, &assertion);
    assert_eq!((replayed.status, &replayed.json()["error"]), (401, &json!("invalid_client")));
    assert_eq!(program.ask(&test, &program.assertion(&test, "the-second-one")).status, 200);
    let early = program.assertion(&test, "an-old-one");
    test.clock.advance(SignedDuration::from_secs(91));
    assert_eq!(program.ask(&test, &early).status, 401);
}

#[test]
fn errors_are_those_of_oauth() {
    let test = TestApp::start();
    for (form, error) in [
        ("", "invalid_request"),
        ("grant_type=password", "unsupported_grant_type"),
        ("grant_type=client_credentials", "invalid_request"),
        (
            "grant_type=client_credentials&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=x.y.z",
            "invalid_client",
        ),
    ] {
        let refused = post_form(&test, form);
        assert_eq!(refused.json()["error"], error, "{form}");
        assert_eq!(refused.status, if error == "invalid_client" { 401 } else { 400 });
    }
}

#[test]
fn a_person_has_no_signing_key_and_a_program_no_private_one_here() {
    let test = TestApp::start();
    let (_, admin) = test.client(&[Role::Admin]);
    let (nurse, client) = test.client(&[Role::Nurse]);
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([7; 32])});
    let set = admin.put(&format!("/v1/services/{nurse}/key"), &json!({"jwk": jwk, "scopes": ["search-patients"]}));
    assert_eq!(set.status, 422, "{}", set.text());
    assert_eq!(client.post("/v1/services", &json!({"username": "mine"})).status, 403);
    let made = admin.post("/v1/services", &json!({"username": "pump"})).json();
    let path = format!("/v1/services/{}/key", made["service"].as_str().unwrap());
    let mut private = jwk.clone();
    private["d"] = "x".into();
    for (jwk, scopes) in [(&private, json!(["search-patients"])), (&jwk, json!(["everything"])), (&jwk, json!([]))] {
        let refused = admin.put(&path, &json!({"jwk": jwk, "scopes": scopes}));
        assert_eq!(refused.status, 422, "{}", refused.text());
    }
}

#[test]
fn an_api_key_does_what_its_scopes_say_until_it_is_void() {
    let test = TestApp::start();
    let (_, admin) = test.client(&[Role::Admin]);
    let expires_at = test.app.now().checked_add(SignedDuration::from_hours(24)).unwrap().to_string();
    let make = |scopes: Value| {
        let body = json!({"name": "report", "scopes": scopes, "expires_at": expires_at});
        admin.post("/v1/auth/api-keys", &body)
    };
    assert_eq!(make(json!(["everything"])).status, 422);
    let made = make(json!(["manage-users"]));
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("wbk_"));
    let client = test.stranger().with_token(key);
    assert_eq!(client.get("/v1/users").status, 200);
    let body = json!({"name": "more", "scopes": ["manage-users"], "expires_at": expires_at});
    assert_ne!(client.post("/v1/auth/api-keys", &body).status, 201, "a key makes no keys");
    let narrow = make(json!(["read-alerts"])).json();
    assert_eq!(test.stranger().with_token(narrow["key"].as_str().unwrap()).get("/v1/users").status, 403);
    let listed = admin.get("/v1/auth/api-keys").json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&key[37..]));
    let void = admin.delete(&format!("/v1/auth/api-keys/{}", made["id"].as_str().unwrap()));
    assert_eq!(void.status, 204, "{}", void.text());
    assert_eq!(client.get("/v1/users").status, 401);
    let wrong = format!("{}x", &key[..key.len() - 1]);
    assert_eq!(test.stranger().with_token(&wrong).get("/v1/users").status, 401);
    test.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(test.stranger().with_token(narrow["key"].as_str().unwrap()).get("/v1/auth/session").status, 401);
}
