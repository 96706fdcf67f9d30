//! A real OpenBao server with its data on disk, so that it can be stopped, started and sealed. Also used by the tests of the
//! crate `wardbook-keys`, so it knows nothing of the application.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What Wardbook needs, and no more; `create` on the key only until it is made.
const POLICY: &str = r#"
path "transit/encrypt/wardbook" { capabilities = ["update"] }
path "transit/decrypt/wardbook" { capabilities = ["update"] }
path "transit/rewrap/wardbook" { capabilities = ["update"] }
path "transit/keys/wardbook" { capabilities = ["create", "update", "read"] }
path "transit/keys/wardbook/rotate" { capabilities = ["update"] }
path "transit/keys/wardbook/config" { capabilities = ["update"] }
"#;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Bao {
    dir: TempDir,
    pub port: u16,
    server: Option<Child>,
    unseal_key: String,
    root_token: String,
    pub role_id: String,
}

/// A tool that `scripts/test` installs.
pub fn venv_tool(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let path = cache.join("wardbook/venv/bin").join(name);
    assert!(path.exists(), "{} is missing: run scripts/test, which installs it", path.display());
    path
}

impl Bao {
    /// Started, unsealed, with Transit, AppRole and a role for Wardbook whose tokens last so long.
    pub fn start(token_ttl: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [port, cluster] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let config = format!(
            "storage \"raft\" {{\n path = \"{}/data\"\n node_id = \"one\"\n}}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n cluster_address = \"127.0.0.1:{cluster}\"\n \
             tls_disable = true\n}}\n\
             api_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\n",
            dir.path().display()
        );
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("bao.hcl"), config).unwrap();
        let mut bao = Self {
            dir,
            port,
            server: None,
            unseal_key: String::new(),
            root_token: String::new(),
            role_id: String::new(),
        };
        bao.run();
        let (_, keys) = bao.call("PUT", "sys/init", &json!({"secret_shares": 1, "secret_threshold": 1}));
        bao.unseal_key = text(&keys["keys"][0]);
        bao.root_token = text(&keys["root_token"]);
        bao.unseal();
        bao.good("POST", "sys/mounts/transit", &json!({"type": "transit"}));
        bao.good("POST", "sys/auth/approle", &json!({"type": "approle"}));
        bao.good("PUT", "sys/policies/acl/wardbook", &json!({"policy": POLICY}));
        let role = json!({"token_policies": ["wardbook"], "token_ttl": token_ttl, "token_max_ttl": "1h"});
        bao.good("POST", "auth/approle/role/wardbook", &role);
        bao.role_id = text(&bao.good("GET", "auth/approle/role/wardbook/role-id", &Value::Null)["data"]["role_id"]);
        bao.new_secret_id();
        bao
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The file with the secret id, closed to others.
    pub fn secret_id_file(&self) -> PathBuf {
        self.dir.path().join("secret-id")
    }

    pub fn new_secret_id(&self) {
        let answer = self.good("POST", "auth/approle/role/wardbook/secret-id", &json!({}));
        write_secret(&self.secret_id_file(), &text(&answer["data"]["secret_id"]));
    }

    fn run(&mut self) {
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        let server = Command::new(venv_tool("bao"))
            .arg("server")
            .arg(format!("-config={}", self.dir.path().join("bao.hcl").display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(server);
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let ended = self.server.as_mut().is_some_and(|server| server.try_wait().unwrap().is_some());
            assert!(!ended && Instant::now() < until, "OpenBao did not start: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn unseal(&self) {
        let until = Instant::now() + PATIENCE;
        while self.call("PUT", "sys/unseal", &json!({"key": self.unseal_key})).1["sealed"] != false
            || self.call("GET", "sys/health", &Value::Null).0 != 200
        {
            assert!(Instant::now() < until, "OpenBao did not unseal");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nobody listens any more.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// As it was before [`Self::stop`], unsealed.
    pub fn start_again(&mut self) {
        self.run();
        self.unseal();
    }

    /// A request in the name of root: status and body.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("X-Vault-Token: {}\r\nContent-Type: application/json\r\n", self.root_token);
        http(self.port, method, &format!("/v1/{path}"), &head, &body)
    }

    /// As [`Self::call`]; it must go well.
    pub fn good(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        self.stop();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

pub fn write_secret(path: &Path, secret: &str) {
    std::fs::write(path, secret).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// One request on a connection of its own. The body as JSON, or as text if it is none.
pub fn http(port: u16, method: &str, path: &str, head: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{head}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"));
    (status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())))
}
