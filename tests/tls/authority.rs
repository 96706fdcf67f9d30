//! Certificates for tests, made once: a key of 4096 bits takes its time.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::helpers::free_port;
use crate::program::copy_dir;

/// A copy of the authority, for one test to do with as it likes. It has `server`, `renewed` (other certificate, same key),
/// `next` (the key after that) and `other.example` as servers, `client` and `second` as clients, `stranger` that signed itself.
pub struct Authority(TempDir);

impl Authority {
    pub fn new() -> Self {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let shared = parent.join("authority");
        // Tests are processes of their own: one makes it, the others wait.
        let lock = std::fs::File::create(parent.join("authority.lock")).unwrap();
        lock.lock().unwrap();
        dev_ca(&shared, &[]);
        for name in ["renewed.key", "other.key"] {
            std::fs::copy(shared.join("server.key"), shared.join(name)).unwrap();
        }
        dev_ca(&shared, &["server", "renewed", "localhost", "127.0.0.1"]);
        dev_ca(&shared, &["server", "next", "localhost", "127.0.0.1"]);
        dev_ca(&shared, &["server", "other", "other.example"]);
        dev_ca(&shared, &["client", "second", "urn:wardbook:second"]);
        let dir = tempfile::tempdir().unwrap();
        copy_dir(&shared, dir.path());
        drop(lock);
        let authority = Self(dir);
        authority.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=stranger",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "stranger.key",
            "-out",
            "stranger.pem",
        ]);
        authority
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command of the script here.
    pub fn run(&self, arguments: &[&str]) {
        dev_ca(self.0.path(), arguments);
    }

    /// Runs OpenSSL here and gives what it printed.
    pub fn openssl(&self, arguments: &[&str]) -> String {
        let ended = Command::new("openssl").args(arguments).current_dir(self.0.path()).output().unwrap();
        assert!(ended.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }

    /// SHA-256 of a certificate, hex.
    pub fn fingerprint(&self, name: &str) -> String {
        let said = self.openssl(&["x509", "-in", &format!("{name}.pem"), "-noout", "-fingerprint", "-sha256"]);
        said.trim().rsplit_once('=').unwrap().1.replace(':', "").to_lowercase()
    }

    /// Puts a file in another's place, as a renewal does.
    pub fn replace(&self, name: &str, by: &str) {
        std::fs::copy(self.path(by), self.path("draft")).unwrap();
        std::fs::rename(self.path("draft"), self.path(name)).unwrap();
    }

    /// Starts the responder.
    pub fn responder(&self) -> Responder {
        let port = free_port();
        let child = Command::new("openssl")
            .args([
                "ocsp",
                "-index",
                "index.txt",
                "-rsigner",
                "responder.pem",
                "-rkey",
                "responder.key",
                "-CA",
                "ca.pem",
            ])
            .args(["-ndays", "1", "-port", &port.to_string()])
            .current_dir(self.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut responder = Responder { child: child.unwrap(), url: format!("http://127.0.0.1:{port}") };
        // A connection that says nothing would keep it busy, so it is listened to instead of called.
        let said = BufReader::new(responder.child.stderr.take().unwrap());
        assert!(said.lines().map_while(Result::ok).any(|line| line.contains("waiting")), "the responder ended");
        responder
    }
}

/// `openssl ocsp`, until it is dropped.
pub struct Responder {
    child: Child,
    pub url: String,
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dev_ca(dir: &Path, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/dev-ca");
    let ended = Command::new(script).arg(dir).args(arguments).output().unwrap();
    assert!(ended.status.success(), "scripts/dev-ca: {}", String::from_utf8_lossy(&ended.stderr));
}
