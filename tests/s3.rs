//! Documents in S3: the program with its objects in a bucket of moto, a server that speaks S3's protocol.

use std::io::Write as _;
use std::process::Command;

use serde_json::json;

use crate::helpers::{Client, begin, moto, upload};
use crate::program::{Ended, Place, Server};

const SECRETS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing")];

struct Ward {
    place: Place,
    endpoint: String,
}

impl Ward {
    fn command(&self) -> Command {
        let mut command = self.place.wardbook();
        command.envs(SECRETS);
        command
    }
    fn serve(&self) -> Server {
        Server::start(self.command().args(["serve", "--listen", "127.0.0.1:0"]))
    }
    fn verify(&self) -> Ended {
        Ended::of(&self.command().args(["documents", "verify", "--json"]).output().unwrap())
    }
    /// The keys of all objects, as anybody sees them who may list the bucket.
    fn keys(&self) -> Vec<String> {
        let listed = Client::new(&self.endpoint).get("/wards?list-type=2").text();
        let keys = listed.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned());
        keys.collect()
    }
}

#[test]
fn documents_live_in_a_bucket() {
    let service = moto();
    let made = Client::new(service.endpoint()).raw("PUT", "/wards", None, b"");
    assert_eq!(made.status, 200, "{}", made.text());
    let ward = Ward { place: Place::with_cast(), endpoint: service.endpoint().to_owned() };
    let settings = format!(
        "[documents]\nplace = \"s3\"\nbucket = \"wards\"\nendpoint = \"{}\"\nprefix = \"house/objects\"\n",
        ward.endpoint
    );
    let mut file = std::fs::OpenOptions::new().append(true).open(ward.place.path("settings.toml")).unwrap();
    file.write_all(settings.as_bytes()).unwrap();

    let server = ward.serve();
    let (registrar, physician) = (server.log_in("registrar"), server.log_in("physician"));
    let patient = registrar.post("/v1/patients", &crate::helpers::person("Fairweather")).is(201);
    let position = patient.header("wardbook-position").to_owned();
    let patient = patient.json()["patient"].as_str().unwrap().to_owned();
    let user = physician.get("/v1/auth/session").is(200).json()["user"].as_str().unwrap().to_owned();
    let team = format!("/v1/patients/{patient}/care-team/{user}");
    let registrar = registrar.with("If-Ledger-Position", &position);
    let assigned = registrar.put(&team, &json!({"function": "attending"})).is(204);
    let client = Client::new(server.base()).with_token(&server.token("physician"));
    let client = client.with("If-Ledger-Position", assigned.header("wardbook-position"));
    let patient = patient.parse().unwrap();
    // More than one part of a multipart upload.
    let content: Vec<u8> = (0..).flat_map(|n: u32| format!("{n}: unremarkable\n").into_bytes()).take(9 << 20).collect();
    let document = upload(&client, patient, "text/plain", &content, &json!({})).finish();
    let path = format!("/v1/documents/{document}/content");
    assert!(client.get(&path).body == content);
    let part = client.with("Range", "bytes=9000000-9000009").get(&path);
    assert_eq!((part.status, part.body.as_slice()), (206, &content[9_000_000..9_000_010]));
    // What is refused at its end leaves nothing in the bucket.
    let half = begin(&client, patient, "text/plain", 2, &json!({}));
    assert_eq!(half.piece(0, &[0xc3, 0xc3]).status, 204);
    assert_eq!(half.try_finish().status, 415);
    let keys = ward.keys();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("house/objects/"));
    server.stop();

    let report = ward.verify().ok().json();
    assert_eq!((&report["verified"], &report["report"]["documents"]), (&json!(true), &json!(1)));
    // Somebody with the bucket's key changes a byte.
    let bucket = Client::new(&ward.endpoint);
    let object = format!("/wards/{}", keys[0]);
    let mut sealed = bucket.get(&object).body;
    assert!(!sealed.windows(12).any(|window| window == b"unremarkable"));
    sealed[5_000_000] ^= 1;
    assert_eq!(bucket.raw("PUT", &object, None, &sealed).status, 200);
    let report = ward.verify().with_code(1).json();
    assert_eq!(report["report"]["findings"][0]["fault"], "damaged");
    let told = ward.place.trail(&["--type", "documents.found-damaged"]);
    assert_eq!((told.len(), &told[0]["actor_kind"]), (1, &json!("system")));
    // Whoever deletes must be somebody.
    let signed =
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";
    assert_eq!(bucket.with("Authorization", signed).raw("DELETE", &object, None, b"").status, 204);
    let report = ward.verify().with_code(1).json();
    assert_eq!(report["report"]["findings"][0]["fault"], "missing");
    ward.place.verified();
}
