//! Working through a running server.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Failure, place};

/// Through which server, and in whose name.
#[derive(Args, Clone)]
pub struct Remote {
    /// Work through a running server, such as http://127.0.0.1:8080
    #[arg(long, env = "WARDBOOK_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The user in whose name
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// Read the user's password from standard input; otherwise WARDBOOK_PASSWORD holds it
    #[arg(long)]
    pub password_stdin: bool,
}

/// A login at a server.
pub struct Session {
    server: String,
    agent: ureq::Agent,
    token: SecretString,
}

impl Remote {
    /// The name and password given.
    pub fn credentials(&self) -> Result<(&str, SecretString), Failure> {
        let user = self.user.as_deref().ok_or("give --as USER: it is recorded who did this")?;
        Ok((user, place::password(self.password_stdin)?))
    }

    pub fn log_in(&self, server: &str) -> Result<Session, Failure> {
        let (username, password) = self.credentials()?;
        let agent = agent();
        let server = server.trim_end_matches('/').to_owned();
        let body = json!({"username": username, "password": password.expose_secret()});
        let mut answer = agent.post(format!("{server}/v1/auth/login")).send_json(body)?;
        let value = understood(&mut answer)?;
        let token = value.get("access_token").and_then(Value::as_str).ok_or("the server gave no token")?;
        Ok(Session { server, agent, token: token.into() })
    }
}

/// Answers of any status are answers; only a broken connection is an error.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().tls_config(wardbook::outgoing::tls()).http_status_as_error(false).build().into()
}

/// The JSON of an answer, or its problem as a sentence.
fn understood(answer: &mut ureq::http::Response<ureq::Body>) -> Result<Value, Failure> {
    let status = answer.status();
    let value: Value = answer.body_mut().read_json().unwrap_or_default();
    if status.is_success() {
        return Ok(value);
    }
    let detail = value.get("detail").or_else(|| value.get("title")).and_then(Value::as_str).unwrap_or("no detail");
    Err(format!("the server answered {status}: {detail}").into())
}

impl Session {
    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.expose_secret())
    }

    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.get(format!("{}{path}", self.server)).header("Authorization", self.bearer());
        understood(&mut request.call()?)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.server)).header("Authorization", self.bearer());
        understood(&mut request.send_json(body)?)
    }

    /// A streamed answer, line by line.
    pub fn post_lines(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<impl Iterator<Item = std::io::Result<String>> + use<>, Failure> {
        let request = self.agent.post(format!("{}{path}", self.server)).header("Authorization", self.bearer());
        let mut answer = request.send_json(body)?;
        if !answer.status().is_success() {
            understood(&mut answer)?;
        }
        Ok(std::io::BufRead::lines(std::io::BufReader::new(answer.into_body().into_reader())))
    }
}
