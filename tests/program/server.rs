//! `wardbook serve` as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Request};

use super::PASSWORD;

/// Longer than any start on a busy machine; only a server that hangs waits it out.
const START_MAX: Duration = Duration::from_secs(120);

/// A running server; killed when dropped, also by a panic.
pub struct Server {
    child: Mutex<Child>,
    base: String,
    log: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

/// An answer of any status.
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{} is not JSON: {error}: {}", self.status, self.text))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {}", self.text)).to_str().unwrap()
    }
}

/// A caller of one server.
#[derive(Clone)]
pub struct Caller {
    agent: ureq::Agent,
    base: String,
    headers: Vec<(String, String)>,
}

impl Caller {
    /// With this header, in the place of one of the same name.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut caller = self.clone();
        caller.headers.retain(|(known, _)| known != name);
        caller.headers.push((name.to_owned(), value.to_owned()));
        caller
    }

    /// One request; an error means that no whole answer came.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = match body {
            Some(body) => self.agent.run(request.header("Content-Type", "application/json").body(body.to_string())?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string()?;
        Ok(Reply { status: response.status().as_u16(), headers: response.headers().clone(), text })
    }

    pub fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).unwrap()
    }
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, Some(body)).unwrap()
    }
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.call("PUT", path, Some(body)).unwrap()
    }
    pub fn patch(&self, path: &str, body: &Value) -> Reply {
        self.call("PATCH", path, Some(body)).unwrap()
    }
}

impl Server {
    /// Starts and waits until it listens.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap_or_else(|log| panic!("the server did not start: {log}"))
    }

    /// Starts and waits until it listens, or gives what it said when it ended.
    pub fn try_start(command: &mut Command) -> Result<Self, String> {
        let (mut server, listening) = Self::spawn(command);
        match listening.recv_timeout(START_MAX) {
            Ok(base) => {
                server.base = base;
                Ok(server)
            }
            Err(_) => {
                server.kill_at_once();
                server.wait();
                Err(server.log())
            }
        }
    }

    /// Starts and does not wait: for whoever kills a server that is still opening its ledger.
    pub fn spawn(command: &mut Command) -> (Self, mpsc::Receiver<String>) {
        let mut child = command.spawn().unwrap();
        let (sender, listening) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        let listener = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(base) = line.strip_prefix("listening on ") {
                    let _ = sender.send(base.to_owned());
                }
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        (Self { child: Mutex::new(child), base: String::new(), log, listener: Some(listener) }, listening)
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Whoever calls without an account.
    pub fn stranger(&self) -> Caller {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        Caller { agent, base: self.base.clone(), headers: Vec::new() }
    }

    pub fn with_token(&self, token: &str) -> Caller {
        self.stranger().with("Authorization", &format!("Bearer {token}"))
    }

    pub fn token(&self, name: &str) -> String {
        let answer = self.stranger().post("/v1/auth/login", &json!({"username": name, "password": PASSWORD})).is(200);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub fn log_in(&self, name: &str) -> Caller {
        self.with_token(&self.token(name))
    }

    /// Sends a signal such as `HUP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Kills without warning, while others still talk to it.
    pub fn kill_at_once(&self) {
        self.child.lock().unwrap().kill().unwrap();
    }

    /// Kills without warning, and gives all that it said.
    pub fn kill(mut self) -> String {
        self.kill_at_once();
        self.wait();
        self.log()
    }

    /// Stops as an operator does, and gives all that it said.
    pub fn stop(mut self) -> String {
        // A server that answers has learned to listen to signals too.
        self.stranger().get("/health/live");
        let pid = self.child.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }

    fn wait(&mut self) -> ExitStatus {
        let status = self.child.get_mut().unwrap().wait().unwrap();
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A lock that a failed test has poisoned is taken as well: no server outlives its test.
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}
