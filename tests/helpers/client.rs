//! A blocking HTTP client that takes every status as an answer.

use serde_json::Value;
use ureq::http::{HeaderMap, Request};

#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    headers: Vec<(String, String)>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{} is not JSON: {e}: {}", self.status, self.text()))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {}", self.text())).to_str().unwrap()
    }
    /// All headers of a name.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }
    /// Position in the receipt.
    pub fn position(&self) -> u64 {
        self.header("wardbook-position").parse().unwrap()
    }
}

impl Client {
    pub fn new(base: &str) -> Self {
        Self::through(base, ureq::Agent::config_builder().http_status_as_error(false).build().new_agent())
    }
    /// With an agent of one's own, such as one that knows an authority.
    pub fn through(base: &str, agent: ureq::Agent) -> Self {
        Self { agent, base: base.to_owned(), headers: Vec::new() }
    }
    pub fn with_token(self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }
    /// The same caller at another address, such as after a restart.
    pub fn with_headers_of(mut self, other: &Self) -> Self {
        self.headers.clone_from(&other.headers);
        self
    }
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }
    /// Sees what was written at this position.
    pub fn after(&self, answer: &Answer) -> Self {
        self.with("If-Ledger-Position", answer.header("wardbook-position"))
    }
    pub fn raw(&self, method: &str, path: &str, kind: Option<&str>, body: &[u8]) -> Answer {
        self.try_raw(method, path, kind, body).unwrap()
    }
    /// `None` if the connection broke.
    fn try_raw(&self, method: &str, path: &str, kind: Option<&str>, body: &[u8]) -> Option<Answer> {
        let mut request = self.request(method, path);
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        read(self.agent.run(request.body(body.to_vec()).unwrap()).ok()?)
    }
    pub fn get(&self, path: &str) -> Answer {
        read(self.agent.run(self.request("GET", path).body(()).unwrap()).unwrap()).unwrap()
    }
    /// `None` if the connection broke before the answer ended.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        read(self.agent.run(self.request("GET", path).body(()).unwrap()).ok()?)
    }
    pub fn try_post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.try_raw("POST", path, Some("application/json"), body.to_string().as_bytes())
    }
    fn request(&self, method: &str, path: &str) -> ureq::http::request::Builder {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.raw(method, path, Some("application/json"), body.to_string().as_bytes())
    }
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body)
    }
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body)
    }
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, body)
    }
    pub fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, None, b"")
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Option<Answer> {
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec().ok()?;
    Some(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
}

/// Headers that differ from answer to answer by their nature. `connection` is about the connection: it closes when the
/// answer was ready before the last of the request's body had come, whatever the answer says.
const OWN: [&str; 5] = ["date", "x-request-id", "x-correlation-id", "server-timing", "connection"];

/// Two answers that nobody can tell apart: status, body, and headers with their values and in their order.
pub fn same_answer(one: &Answer, other: &Answer) {
    let headers = |answer: &Answer| -> Vec<_> {
        let kept = answer.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        kept.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    };
    assert_eq!(one.status, other.status, "{} / {}", one.text(), other.text());
    assert_eq!(one.text(), other.text());
    let (mut first, mut second) = (headers(one), headers(other));
    first.sort();
    second.sort();
    assert_eq!(first, second);
}
