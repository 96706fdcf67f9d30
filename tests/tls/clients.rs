use serde_json::{Value, json};
use wardbook_events::Role;

use super::{Authority, client, config, curl, s_client, start};
use crate::helpers::{Answer, Client, TestApp};

/// A server that asks for a certificate at its main address, and lets nobody in without one at another.
fn house(authority: &Authority) -> TestApp {
    let mut config = config(authority, "server");
    config.tls.client_ca = authority.path("ca.pem");
    config.tls.client_crl = authority.path("crl.pem");
    config.tls.client_optional = true;
    config.tls.client_listen = Some(([127, 0, 0, 1], 0).into());
    start(config)
}

/// A program whose certificate is known so.
fn program(authority: &Authority, test: &TestApp, certificate: Value) -> String {
    let name = format!("u-{}", test.app.new_id().unwrap().simple());
    test.user(&name, &[Role::Admin], None);
    let body = json!({"username": name, "password": crate::helpers::PASSWORD});
    let anyone = client(authority, &test.base, None);
    let token = anyone.post("/v1/auth/login", &body).json()["access_token"].as_str().unwrap().to_owned();
    let admin = anyone.with_token(&token);
    let made = admin.post("/v1/services", &json!({"username": format!("s-{}", test.app.new_id().unwrap().simple())}));
    let id = made.json()["service"].as_str().unwrap().to_owned();
    let body = json!({"certificate": certificate, "scopes": ["search-patients"]});
    let set = admin.put(&format!("/v1/services/{id}/certificate"), &body);
    assert_eq!(set.status, 204, "{}", set.text());
    id
}

fn ask(caller: &Client, id: &str) -> Answer {
    let form = format!("grant_type=client_credentials&client_id={id}");
    caller.raw("POST", "/v1/auth/token", Some("application/x-www-form-urlencoded"), form.as_bytes())
}

#[test]
fn a_certificate_gets_tokens_that_are_good_with_it_only() {
    let authority = Authority::new();
    let test = house(&authority);
    let by_hash = program(&authority, &test, json!({"sha256": authority.fingerprint("client")}));
    let by_name = program(&authority, &test, json!({"name": "urn:wardbook:second"}));
    let clients = format!("https://{}", test.serving.clients.unwrap());
    for base in [&test.base, &clients] {
        for (name, id, other) in [("client", &by_hash, "second"), ("second", &by_name, "client")] {
            let caller = client(&authority, base, Some(name));
            let given = ask(&caller, id);
            assert_eq!(given.status, 200, "{name}: {}", given.text());
            let token = given.json()["access_token"].as_str().unwrap().to_owned();
            assert_eq!(given.json()["scope"], "search-patients");
            let session = caller.clone().with_token(&token).get("/v1/auth/session");
            assert_eq!(session.json()["user"], id.as_str(), "{}", session.text());
            let thief = client(&authority, base, Some(other)).with_token(&token);
            assert_eq!(thief.get("/v1/auth/session").status, 401, "with another certificate");
            let thief = client(&authority, &test.base, None).with_token(&token);
            assert_eq!(thief.get("/v1/auth/session").status, 401, "with none");
            let refused = ask(&client(&authority, base, Some(other)), id);
            assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("invalid_client")));
        }
    }
    let without = ask(&client(&authority, &test.base, None), &by_hash);
    assert_eq!((without.status, &without.json()["error"]), (400, &json!("invalid_request")));
    assert_eq!(client(&authority, &test.base, None).get("/health/live").status, 200, "people need none");
    let somebody = ask(&client(&authority, &test.base, Some("client")), "not-an-id");
    assert_eq!(somebody.json()["error"], "invalid_client");
}

#[test]
fn only_certificates_of_our_authorities_that_nobody_took_back_come_in() {
    let authority = Authority::new();
    let test = house(&authority);
    let tls = test.serving.tls.clone().unwrap();
    let clients = test.serving.clients.unwrap();
    let with = |address: std::net::SocketAddr, name: &str| {
        let path = |kind: &str| authority.path(&format!("{name}.{kind}")).to_str().unwrap().to_owned();
        s_client(&authority, address, &["-cert", &path("pem"), "-key", &path("key")]).ok
    };
    assert!(with(clients, "client") && with(test.serving.address, "client"));
    assert!(s_client(&authority, test.serving.address, &[]).ok);
    assert!(!s_client(&authority, clients, &[]).ok, "none where one is required");
    for name in ["stranger", "server"] {
        assert!(!with(clients, name) && !with(test.serving.address, name), "{name} is no client of ours");
    }
    let url = format!("https://localhost:{}/health/live", clients.port());
    let path = |name: &str| authority.path(name).to_str().unwrap().to_owned();
    assert!(curl(&authority, &["--cert", &path("client.pem"), "--key", &path("client.key"), &url]).is_ok());
    assert!(curl(&authority, &[&url]).is_err());

    authority.run(&["revoke", "client"]);
    wardbook::tls::tending::tend(&test.app, &tls).unwrap();
    assert!(!with(clients, "client") && !with(test.serving.address, "client"), "it was taken back");
    assert!(with(clients, "second"));
    // A list that has run out says nothing about anybody.
    test.clock.advance(jiff::SignedDuration::from_hours(24 * 31));
    assert!(!with(clients, "second"));
    authority.run(&["list"]);
    assert!(s_client(&authority, test.serving.address, &[]).ok, "people come in all the same");
}
