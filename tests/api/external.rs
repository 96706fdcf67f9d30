use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use wardbook::clock::Clock;
use wardbook::config::{External, SecondFactor};
use wardbook_events::Role;

use crate::helpers::{Answer, Client, TestApp, free_port, quick_config, wait_for_port};

const REDIRECT: &str = "https://wardbook.example/login/hospital";

/// The package oidc-provider, on a port of its own.
struct Provider {
    port: u16,
    server: Child,
    dir: TempDir,
}

impl Provider {
    fn start() -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
        let package = cache.join("wardbook/oidc/node_modules/oidc-provider/lib/index.js");
        assert!(package.exists(), "{} is missing: run scripts/test, which installs it", package.display());
        let port = free_port();
        let server = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/helpers/provider.mjs"))
            .arg(package)
            .args([&port.to_string(), REDIRECT])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port(port);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "a-secret-of-the-tests\n").unwrap();
        Self { port, server, dir }
    }

    fn settings(&self) -> External {
        External {
            name: "hospital".to_owned(),
            issuer: format!("http://127.0.0.1:{}", self.port),
            client_id: "wardbook".to_owned(),
            client_secret_file: self.dir.path().join("secret"),
            redirect_url: REDIRECT.to_owned(),
            scopes: Vec::new(),
            trust_mfa: true,
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

/// What a browser does: follows redirects with cookies, up to our own page. Gives the parameters it came back with.
fn browse(url: &str) -> BTreeMap<String, String> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().new_agent();
    let mut cookies = BTreeMap::new();
    let mut at = url.to_owned();
    for _ in 0..10 {
        let jar: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut answer = agent.get(&at).header("Cookie", jar.join("; ")).call().unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let next = answer.headers().get("location").map(|next| next.to_str().unwrap().to_owned());
        let next = next.unwrap_or_else(|| panic!("{at}: {}", answer.body_mut().read_to_string().unwrap()));
        if let Some((page, query)) = next.split_once('?')
            && page == REDIRECT
        {
            return query
                .split('&')
                .map(|pair| pair.split_once('=').unwrap())
                .map(|(n, v)| (n.into(), v.into()))
                .collect();
        }
        let base = url.split("/auth?").next().unwrap();
        at = if next.starts_with('/') { format!("{base}{next}") } else { next };
    }
    panic!("no end of redirects")
}

fn house(provider: &Provider) -> TestApp {
    let mut config = quick_config();
    config.external = vec![provider.settings()];
    let test = TestApp::with(config);
    // The provider's clock is the machine's.
    test.clock.advance(Clock::system().now().duration_since(test.app.now()));
    test
}

fn begin(client: &Client) -> Value {
    let begun = client.get("/v1/auth/external/hospital");
    assert_eq!(begun.status, 200, "{}", begun.text());
    begun.json()
}

fn end(client: &Client, begun: &Value, came: &BTreeMap<String, String>) -> Answer {
    let body = json!({"challenge": begun["challenge"], "state": came["state"], "code": came["code"]});
    client.post("/v1/auth/external/callback", &body)
}

fn log_in(test: &TestApp, hint: &str) -> Answer {
    let begun = begin(&test.stranger());
    let came = browse(&format!("{}&login_hint={hint}", begun["authorization_url"].as_str().unwrap()));
    end(&test.stranger(), &begun, &came)
}

#[test]
fn a_linked_account_elsewhere_logs_in_and_no_other() {
    let provider = Provider::start();
    let test = house(&provider);
    let (_, admin) = test.client(&[Role::Admin]);
    let nurse = test.user("nurse", &[Role::Nurse], None);
    let other = test.user("other", &[Role::Nurse], None);
    assert_eq!(log_in(&test, "alice").status, 401, "linked to nobody");
    let link = |user, subject: &str| {
        admin.put(&format!("/v1/users/{user}/external"), &json!({"provider": "hospital", "subject": subject}))
    };
    let linked = link(nurse, "alice");
    assert_eq!(linked.status, 204, "{}", linked.text());
    assert_eq!(link(other, "alice").status, 409, "one account there is one user here");
    let logged_in = log_in(&test, "alice");
    assert_eq!(logged_in.status, 200, "{}", logged_in.text());
    let client = test.stranger().with_token(logged_in.json()["access_token"].as_str().unwrap());
    assert_eq!(client.get("/v1/auth/session").json()["user"], nurse.to_string());
    assert_eq!(log_in(&test, "bob").status, 401);

    let body = json!({"provider": "hospital", "subject": "alice"}).to_string();
    let path = format!("/v1/users/{nurse}/external");
    let unlinked = admin.raw("DELETE", &path, Some("application/json"), body.as_bytes());
    assert_eq!(unlinked.status, 204, "{}", unlinked.text());
    assert_eq!(client.get("/v1/auth/session").status, 401);
    assert_eq!(log_in(&test, "alice").status, 401);
}

#[test]
fn what_comes_back_must_be_what_went_out() {
    let provider = Provider::start();
    let test = house(&provider);
    let (_, admin) = test.client(&[Role::Admin]);
    let nurse = test.user("nurse", &[Role::Nurse], None);
    let path = format!("/v1/users/{nurse}/external");
    assert_eq!(admin.put(&path, &json!({"provider": "hospital", "subject": "alice"})).status, 204);
    let stranger = test.stranger();
    let (mine, theirs) = (begin(&stranger), begin(&stranger));
    let came = browse(&format!("{}&login_hint=alice", mine["authorization_url"].as_str().unwrap()));
    assert_eq!(end(&stranger, &theirs, &came).status, 401, "somebody else's login");
    let mut other = came.clone();
    other.insert("code".into(), "x".into());
    assert_eq!(end(&stranger, &mine, &other).status, 401);
    assert_eq!(end(&stranger, &json!({"challenge": "x"}), &came).status, 401);
    assert_eq!(end(&stranger, &mine, &came).status, 200);
    assert_eq!(end(&stranger, &mine, &came).status, 401, "a code counts once");
    assert_eq!(stranger.get("/v1/auth/external/elsewhere").status, 404);
}

#[test]
fn their_second_factor_counts_if_the_settings_trust_it() {
    let provider = Provider::start();
    let mut config = quick_config();
    config.external = vec![provider.settings()];
    let dir = {
        let test = house(&provider);
        let (_, admin) = test.client(&[Role::Admin]);
        for (name, subject) in [("one", "one-alice"), ("two", "mfa-bob")] {
            let user = test.user(name, &[Role::Nurse], None);
            let body = json!({"provider": "hospital", "subject": subject});
            assert_eq!(admin.put(&format!("/v1/users/{user}/external"), &body).status, 204);
        }
        test.stop()
    };
    config.login.second_factor = SecondFactor::Everyone;
    let test = TestApp::in_dir(config, dir);
    test.clock.advance(Clock::system().now().duration_since(test.app.now()));
    let with_one = log_in(&test, "one-alice").json();
    assert_eq!(with_one["next"], "enrol", "{with_one}");
    let with_two = log_in(&test, "mfa-bob").json();
    assert!(with_two["access_token"].is_string(), "{with_two}");
}
