//! AWS KMS as moto plays it. moto lets keys that are disabled work, so what KMS answers then comes from a stub.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use wardbook_keys::providers::aws_kms::{Kms, KmsSettings};
use wardbook_keys::{RootError, RootKeyProvider as _};

use crate::bao::{http, venv_tool, write_secret};
use crate::matrix::{self, HERE, KEY, TRY};
use crate::proxy::{Proxy, Weather};

struct Moto {
    dir: TempDir,
    port: u16,
    server: Child,
}

impl Moto {
    /// With one user who may do everything with keys; who else asks is refused.
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(venv_tool("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            // The three that make the user are not asked who they are.
            .env("INITIAL_NO_AUTH_ACTION_COUNT", "3")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self { dir: tempfile::tempdir().unwrap(), port, server };
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "moto did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto.iam("Action=CreateUser&UserName=wardbook");
        let keys = moto.iam("Action=CreateAccessKey&UserName=wardbook");
        let all = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22kms%3A*%22%2C%22Resource%22%3A%22*%22%7D%5D%7D";
        moto.iam(&format!("Action=PutUserPolicy&UserName=wardbook&PolicyName=keys&PolicyDocument={all}"));
        let part = |name: &str| {
            let (_, rest) = keys.split_once(&format!("<{name}>")).unwrap();
            rest.split_once('<').unwrap().0.to_owned()
        };
        moto.write("right", &part("AccessKeyId"), &part("SecretAccessKey"));
        moto.write("wrong-secret", &part("AccessKeyId"), "wrong");
        moto.write("nobody", "AKIANOBODYISTHERE000", "wrong");
        moto
    }

    fn iam(&self, form: &str) -> String {
        let head = "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
                    Credential=x/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x\r\n";
        let (status, answer) = http(self.port, "POST", "/", head, &format!("{form}&Version=2010-05-08"));
        assert_eq!(status, 200, "{answer}");
        match answer {
            Value::String(xml) => xml,
            other => panic!("not XML: {other}"),
        }
    }

    fn write(&self, name: &str, id: &str, secret: &str) {
        let text = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        write_secret(&self.credentials(name), &text);
    }

    fn credentials(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn kms(&self, port: u16, credentials: &str, try_for: Duration) -> Kms {
        let settings = KmsSettings {
            alias: "alias/wardbook".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: format!("http://127.0.0.1:{port}"),
            credentials_file: Some(self.credentials(credentials)),
            try_for,
        };
        Kms::new(settings).unwrap()
    }

    fn stop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    fn patient(&self) -> Kms {
        self.kms(self.port, "right", Duration::from_secs(30))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn every_operation() {
    let moto = Moto::start();
    let root = moto.patient();
    assert_eq!(root.id(), "aws-kms:alias/wardbook");
    assert!(matches!(root.check(), Err(RootError::Disabled { .. })), "there is none yet");
    matrix::operations(&root);
    assert!(matches!(root.retire_before(&root.newest_version().unwrap()), Err(RootError::Unfit { .. })));
}

#[test]
fn outages() {
    let mut moto = Moto::start();
    let proxy = Proxy::to(moto.port);
    let (root, sure) = (moto.kms(proxy.port, "right", TRY), moto.patient());
    sure.create().unwrap();
    let wrapped = sure.wrap(HERE, &KEY).unwrap();
    for (weather, outage) in [(Weather::Down, "it is down"), (Weather::Slow, "it is slow")] {
        proxy.set(weather);
        matrix::all_unreachable(&root, &wrapped, outage);
        proxy.set(Weather::Fair);
        matrix::all_work(&sure, &wrapped, "when it is there again");
        root.unwrap(HERE, &wrapped).unwrap();
    }
    moto.stop();
    matrix::all_unreachable(&root, &wrapped, "its process is gone");
}

/// Answers every request with the same status and body.
fn stub(status: &'static str, body: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !is_whole(&request) {
                match client.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => request.extend_from_slice(&piece[..read]),
                }
            }
            let head = "Content-Type: application/x-amz-json-1.1\r\nConnection: close";
            let _ = write!(client, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

/// `__type` and message as KMS words them (API reference, "Common errors" and those of Encrypt and Decrypt).
#[test]
fn what_kms_says_of_a_key_of_us_and_of_itself() {
    let moto = Moto::start();
    let sure = moto.patient();
    sure.create().unwrap();
    let wrapped = sure.wrap(HERE, &KEY).unwrap();
    let said = |code: &str| format!("{{\"__type\":\"{code}\",\"message\":\"as the service words it\"}}");
    for (code, outage) in [
        ("DisabledException", "its key is disabled"),
        ("KMSInvalidStateException", "its key waits to be deleted"),
        ("NotFoundException", "its key is deleted"),
    ] {
        let port = stub("400 Bad Request", said(code));
        matrix::all_disabled(&moto.kms(port, "right", Duration::from_secs(30)), &wrapped, outage);
    }
    let port = stub("400 Bad Request", said("AccessDeniedException"));
    matrix::all_refused(&moto.kms(port, "right", Duration::from_secs(30)), &wrapped, "its policy does not allow us");
    let port = stub("403 Forbidden", "<html>a proxy</html>".to_owned());
    matrix::all_refused(&moto.kms(port, "right", Duration::from_secs(30)), &wrapped, "something between refuses us");
    for (status, body, outage) in [
        ("400 Bad Request", said("ThrottlingException"), "it is asked too much"),
        ("500 Internal Server Error", said("KMSInternalException"), "it has a fault"),
        ("503 Service Unavailable", String::new(), "it is overloaded"),
    ] {
        matrix::all_unreachable(&moto.kms(stub(status, body), "right", TRY), &wrapped, outage);
    }
}

#[test]
fn wrong_credentials() {
    let moto = Moto::start();
    let sure = moto.patient();
    sure.create().unwrap();
    let wrapped = sure.wrap(HERE, &KEY).unwrap();
    for credentials in ["wrong-secret", "nobody", "no-such-file"] {
        matrix::all_refused(&moto.kms(moto.port, credentials, Duration::from_secs(30)), &wrapped, credentials);
    }
    let root = moto.kms(moto.port, "changing", Duration::from_secs(30));
    std::fs::copy(moto.credentials("wrong-secret"), moto.credentials("changing")).unwrap();
    assert!(matches!(root.check(), Err(RootError::Refused { .. })));
    std::fs::copy(moto.credentials("right"), moto.credentials("changing")).unwrap();
    matrix::all_work(&root, &wrapped, "with the right credentials again");
}
