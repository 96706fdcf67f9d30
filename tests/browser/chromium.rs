//! Debian's Chromium, driven over the pipe of its DevTools protocol (`--remote-debugging-pipe`: messages that end in a NUL,
//! read from descriptor 3 and written to 4). No driver, no port, and nothing else to install.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long the browser may take for one thing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one page and nobody's profile.
pub struct Browser {
    process: Child,
    /// Gone when the browser is asked to end.
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    page: String,
    last: u64,
    _profile: TempDir,
}

/// An authenticator of the browser's own: what a finger or a face on this machine would unlock.
#[derive(Clone)]
pub struct Authenticator(String);

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-pipe",
        ];
        // The shell is here for the two descriptors only; it becomes the browser.
        let mut process = Command::new("sh")
            .args(["-c", r#"exec chromium "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "chromium"])
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = BufReader::new(process.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while matches!(pipe.read_until(0, &mut message), Ok(read) if read > 0) {
                message.pop();
                let Ok(json) = serde_json::from_slice(&message) else { break };
                if sender.send(json).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let commands = process.stdin.take();
        let mut browser = Self { process, commands, messages, page: String::new(), last: 0, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.page = browser.call("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        // Our answers forbid scripts; the test's own must run nevertheless.
        browser.call("Page.setBypassCSP", json!({"enabled": true}));
        browser.call("WebAuthn.enable", json!({}));
        browser
    }

    /// Calls a method of the protocol.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.page.is_empty() {
            message["sessionId"] = self.page.as_str().into();
        }
        let sent = self.commands.as_mut().unwrap().write_all(format!("{message}\0").as_bytes());
        sent.expect("chromium is missing or has died: run scripts/test, which installs it");
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let answer = self.messages.recv_timeout(left).unwrap_or_else(|e| {
                panic!("chromium does not answer {method} ({e}): is it there? scripts/test installs it")
            });
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Goes to a page.
    pub fn open(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({"url": url}));
        assert!(gone.get("errorText").is_none(), "{url}: {gone}");
        let until = Instant::now() + PATIENCE;
        while self.run("document.readyState + location.href") != Ok(format!("complete{url}").into()) {
            assert!(Instant::now() < until, "{url} was not loaded");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a script in the page and waits for what it promises. An error is what it threw.
    pub fn run(&mut self, script: &str) -> Result<Value, String> {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let ran = self.call("Runtime.evaluate", params);
        match ran.get("exceptionDetails") {
            None => Ok(ran["result"]["value"].clone()),
            Some(thrown) => Err(thrown["exception"]["description"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// Gives the machine an authenticator that keeps passkeys and sees its owner.
    pub fn authenticator(&mut self) -> Authenticator {
        let options = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true,
        });
        let made = self.call("WebAuthn.addVirtualAuthenticator", json!({"options": options}));
        Authenticator(made["authenticatorId"].as_str().unwrap().to_owned())
    }

    /// Whether the authenticator recognises its owner from now on.
    pub fn see_owner(&mut self, at: &Authenticator, sees: bool) {
        self.call("WebAuthn.setUserVerified", json!({"authenticatorId": at.0, "isUserVerified": sees}));
    }

    /// The passkeys of an authenticator, private keys and all.
    pub fn credentials(&mut self, of: &Authenticator) -> Vec<Value> {
        let found = self.call("WebAuthn.getCredentials", json!({"authenticatorId": of.0}));
        found["credentials"].as_array().unwrap().clone()
    }

    /// Puts a passkey into an authenticator, in the place of what was there: a copy, such as a thief makes.
    pub fn put_credential(&mut self, into: &Authenticator, credential: &Value) {
        self.call("WebAuthn.clearCredentials", json!({"authenticatorId": into.0}));
        self.call("WebAuthn.addCredential", json!({"authenticatorId": into.0, "credential": credential}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser ends when its pipe does; its children with it.
        self.commands.take();
        let until = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
