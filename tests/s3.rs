//! Documents in S3: the program with its objects in a bucket of moto, a server that speaks S3's protocol.

use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};
use wardbook_events::PatientId;

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
        // Places of backups are found by the environment, the store of documents by the settings.
        command.envs(SECRETS).env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_REGION", "us-east-1");
        command
    }
    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(&self.command().args(arguments).output().unwrap())
    }
    fn settings(&self, more: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.place.path("settings.toml")).unwrap();
        file.write_all(more.as_bytes()).unwrap();
    }
    /// A patient whom the physician treats, and the physician.
    fn chart(&self, server: &Server) -> (PatientId, Client) {
        let (registrar, physician) = (server.log_in("registrar"), server.log_in("physician"));
        let patient = registrar.post("/v1/patients", &crate::helpers::person("Fairweather")).is(201);
        let position = patient.header("wardbook-position").to_owned();
        let patient = patient.json()["patient"].as_str().unwrap().to_owned();
        let user = physician.get("/v1/auth/session").is(200).json()["user"].as_str().unwrap().to_owned();
        let team = format!("/v1/patients/{patient}/care-team/{user}");
        let registrar = registrar.with("If-Ledger-Position", &position);
        let assigned = registrar.put(&team, &json!({"function": "attending"})).is(204);
        let client = Client::new(server.base()).with_token(&server.token("physician"));
        (patient.parse().unwrap(), client.with("If-Ledger-Position", assigned.header("wardbook-position")))
    }
    fn serve(&self) -> Server {
        Server::start(self.command().args(["serve", "--listen", "127.0.0.1:0"]))
    }
    fn verify(&self) -> Ended {
        Ended::of(&self.command().args(["documents", "verify", "--json"]).output().unwrap())
    }
    /// The keys of all objects, as anybody sees them who may list the bucket.
    fn keys(&self, bucket: &str) -> Vec<String> {
        let listed = Client::new(&self.endpoint).get(&format!("/{bucket}?list-type=2")).text();
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
    ward.settings(&settings);

    let server = ward.serve();
    let (patient, client) = ward.chart(&server);
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
    let keys = ward.keys("wards");
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

#[test]
fn a_bucket_of_documents_is_backed_up_into_another_and_comes_back() {
    let service = moto();
    for bucket in ["/wards", "/backups"] {
        assert_eq!(Client::new(service.endpoint()).raw("PUT", bucket, None, b"").status, 200);
    }
    let ward = Ward { place: Place::with_cast(), endpoint: service.endpoint().to_owned() };
    std::fs::create_dir(ward.place.path("one")).unwrap();
    ward.settings(&format!(
        "[documents]\nplace = \"s3\"\nbucket = \"wards\"\nendpoint = \"{}\"\nprefix = \"objects\"\n\
         [backup]\nplaces = [{:?}, \"s3://backups/ward\"]\nkey_file = {:?}\ninclude_root_file = true\n",
        ward.endpoint,
        ward.place.path("one"),
        ward.place.path("backup.key")
    ));
    ward.run(&["backup", "keys", "init"]).ok();
    let server = ward.serve();
    let (patient, client) = ward.chart(&server);
    // One object of several parts of a multipart upload, one small.
    let large: Vec<u8> = (0..).flat_map(|n: u32| format!("{n}: unremarkable\n").into_bytes()).take(9 << 20).collect();
    let documents = [large.as_slice(), b"a letter"].map(|content| {
        let document = upload(&client, patient, "text/plain", content, &json!({})).finish();
        (document, content)
    });
    server.stop();
    let created = ward.run(&["backup", "create", "--json", "--quiet"]).ok().json();
    assert_eq!((&created["documents"], &created["documents_copied"]), (&json!(2), &json!(4)), "{created}");
    let objects = |bucket: &str| {
        let keys = ward.keys(bucket).into_iter();
        let of = |key: String| key.rsplit('/').next().map(str::to_owned).filter(|name| name.len() == 32);
        keys.filter(|key| key.contains("documents/") || key.starts_with("objects/")).filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(objects("backups"), objects("wards"));
    let verified = ward.run(&["backup", "verify", "--json", "--quiet"]).ok().json_lines();
    assert!(verified.iter().all(|one| one["verified"] == true && one["documents"] == 2), "{verified:?}");
    // Somebody with the bucket's key changes a byte of a backup.
    let bucket = Client::new(&ward.endpoint);
    let key = ward.keys("backups").into_iter().find(|key| key.contains("/documents/")).unwrap();
    let path = format!("/backups/{key}");
    let mut sealed = bucket.get(&path).body;
    let middle = sealed.len() / 2;
    sealed[middle] ^= 1;
    assert_eq!(bucket.raw("PUT", &path, None, &sealed).status, 200);
    let verify = ["backup", "verify", "--place", "s3://backups/ward", "--json", "--quiet"];
    let told = ward.run(&verify).with_code(1).json();
    assert!(told["errors"][0].as_str().unwrap().contains("SHA-256"), "{told}");
    let created = ward.run(&["backup", "create", "--full", "--json", "--quiet"]).ok().json();
    assert_eq!(created["documents_copied"], 1, "mended: {created}");
    // The bucket of the documents is emptied, the disk gone: all comes back from the other bucket.
    let signed =
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";
    for key in ward.keys("wards") {
        let path = format!("/wards/{key}");
        assert_eq!(bucket.with("Authorization", signed).raw("DELETE", &path, None, b"").status, 204);
    }
    std::fs::remove_dir_all(ward.place.path("data")).unwrap();
    std::fs::remove_dir_all(ward.place.path("one")).unwrap();
    std::fs::create_dir(ward.place.path("one")).unwrap();
    let restored = ward.run(&["backup", "restore", "--json", "--quiet"]).ok().json();
    assert_eq!((&restored["documents"], &restored["documents_missing"]), (&json!(2), &json!(0)), "{restored}");
    assert_eq!(ward.keys("wards").len(), 2);
    let server = ward.serve();
    let client = Client::new(server.base()).with_token(&server.token("physician"));
    for (document, content) in documents {
        assert!(client.get(&format!("/v1/documents/{document}/content")).body == content);
    }
    server.stop();
    let verified: Value = ward.verify().ok().json();
    assert_eq!(verified["verified"], true, "{verified}");
}
