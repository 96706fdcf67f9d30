//! What messages are sent to: a real mail server, and a listener for webhooks.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use wardbook::config::{Notify, Way};

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// aiosmtpd, keeping what it gets.
pub struct Mailbox {
    dir: TempDir,
    port: u16,
    server: Child,
    read: std::cell::Cell<usize>,
}

pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// The tools that `scripts/test` installs.
pub fn tool(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let path = cache.join("wardbook/venv/bin").join(name);
    assert!(path.exists(), "{} is missing: run scripts/test, which installs it", path.display());
    path
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens there.
pub fn wait_for_port(port: u16) {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Mailbox {
    pub fn start() -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let server = Command::new(tool("python"))
            .args(["-m", "aiosmtpd", "--nosetuid", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--class", "aiosmtpd.handlers.Mailbox"])
            .arg(dir.path().join("mail"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port(port);
        Self { dir, port, server, read: std::cell::Cell::new(0) }
    }

    /// Settings that send e-mail here.
    pub fn settings(&self) -> Notify {
        Notify {
            email: Way::Smtp,
            smtp_url: format!("smtp://127.0.0.1:{}", self.port),
            backoff_ms: 20,
            ..Notify::default()
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        let found = std::fs::read_dir(self.dir.path().join("mail/new"));
        let mut paths: Vec<_> = found.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
        paths.sort_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap());
        paths
    }

    /// How many messages there are by now.
    pub fn count(&self) -> usize {
        self.paths().len()
    }

    /// The next message that was not read yet.
    pub fn next(&self) -> Mail {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(path) = self.paths().get(self.read.get()) {
                self.read.set(self.read.get() + 1);
                return Mail::parse(&std::fs::read_to_string(path).unwrap());
            }
            assert!(Instant::now() < until, "no mail came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Mail {
    fn parse(raw: &str) -> Self {
        let raw = raw.replace("\r\n", "\n");
        let (head, body) = raw.split_once("\n\n").unwrap();
        let header = |name: &str| {
            let found =
                head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {head}"));
            found.trim().to_owned()
        };
        // Quoted-printable: soft line breaks and the sign itself are all that our text can have.
        let quoted = head.contains("quoted-printable");
        let text = if quoted { body.replace("=\n", "").replace("=3D", "=") } else { body.to_owned() };
        Self { to: header("To:"), subject: header("Subject:"), text }
    }

    /// The word after these ones.
    pub fn word_after(&self, words: &str) -> String {
        let (_, rest) = self.text.split_once(words).unwrap_or_else(|| panic!("no {words} in {}", self.text));
        rest.split_whitespace().next().unwrap().to_owned()
    }
}

/// moto, which speaks the protocols of AWS.
#[cfg(feature = "s3")]
pub struct Moto {
    server: Child,
    endpoint: String,
}

/// Starts moto.
#[cfg(feature = "s3")]
pub fn moto() -> Moto {
    let port = free_port();
    let server = Command::new(tool("moto_server"))
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_port(port);
    Moto { server, endpoint: format!("http://127.0.0.1:{port}") }
}

#[cfg(feature = "s3")]
impl Moto {
    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

#[cfg(feature = "s3")]
impl Drop for Moto {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// Takes webhooks and tells what was in them.
pub struct Hook {
    url: String,
    asked: Receiver<Value>,
    dir: TempDir,
}

impl Hook {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap() <= 2 {
                        break;
                    }
                    if let Some(said) = line.to_lowercase().strip_prefix("content-length:") {
                        length = said.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let answer = b"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n";
                reader.get_mut().write_all(answer).unwrap();
                if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                    return;
                }
            }
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "0123456789abcdef0123456789abcdef").unwrap();
        Self { url, asked, dir }
    }

    /// Settings that send text messages here.
    pub fn settings(&self) -> Notify {
        Notify {
            sms: Way::Webhook,
            webhook_url: self.url.clone(),
            webhook_secret_file: self.dir.path().join("secret"),
            backoff_ms: 20,
            ..Notify::default()
        }
    }

    /// The next message.
    pub fn next(&self) -> Value {
        self.asked.recv_timeout(PATIENCE).expect("no webhook came")
    }
}
