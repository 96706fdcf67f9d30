//! A real application on a real port, and clients of every role.

pub mod bao;
mod client;
mod logs;
mod outside;
pub mod routes;
mod sending;

pub use client::{Answer, Client, same_answer};
pub use logs::captured_logs;
pub use outside::{Hook, Mailbox, free_port, wait_for_port};
#[cfg(feature = "s3")]
pub use outside::{moto, tool};
pub use sending::{Sent, begin, upload};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{LazyLock, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use wardbook::api::server;
use wardbook::app::{App, OpenOptions};
use wardbook::clock::{Chance, Clock};
use wardbook::config::{Config, DataDir, Rates, SecondFactor};
use wardbook::operator::operator;
use wardbook::tls::Tls;
use wardbook_commands::identity::{CreateUser, PasswordHash};
use wardbook_events::identity::AccountKind;
use wardbook_events::{EventId, PatientId, Role, TenantId, UserId};
use wardbook_policy::{Action, Ask, Target};

/// The password of every test user.
pub const PASSWORD: &str = "Kettle-93-violet-Harbour";

/// An application in a directory of its own, serving on a port of its own.
pub struct TestApp {
    pub app: App,
    pub clock: Clock,
    pub base: String,
    /// What else is listened to, and the certificates.
    pub serving: Listening,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    dir: Option<TempDir>,
}

/// What a server with TLS has besides.
pub struct Listening {
    pub address: SocketAddr,
    pub clients: Option<SocketAddr>,
    pub redirect: Option<SocketAddr>,
    pub tls: Option<Tls>,
}

/// Settings that make tests quick; nothing that is tested depends on them.
pub fn quick_config() -> Config {
    let mut config = Config::default();
    config.organisation.working_hours = String::new();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.server.workers = 2;
    config.server.timing = true;
    config.passwords.memory_kib = 64;
    config.passwords.passes = 1;
    config.login.second_factor = SecondFactor::Nobody;
    config.sessions.max = 100;
    config.ledger.checkpoint_interval_ms = 50;
    config.rates = Rates::off();
    config
}

pub fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

impl TestApp {
    pub fn start() -> Self {
        Self::with(quick_config())
    }

    pub fn with(config: Config) -> Self {
        Self::in_dir(config, tempfile::tempdir().unwrap())
    }

    pub fn in_dir(config: Config, dir: TempDir) -> Self {
        Self::at(noon(), config, dir)
    }

    pub fn at(now: Timestamp, config: Config, dir: TempDir) -> Self {
        logs::capture();
        let clock = Clock::set_to(now);
        // Chance is not seeded: two applications of one test run must not make the same ids and keys.
        let app =
            App::open(config, DataDir::new(dir.path()), clock.clone(), Chance::system(), OpenOptions::default(), &())
                .unwrap();
        let (sender, started) = mpsc::channel();
        let serving = app.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = server::listen(&serving).unwrap();
                let listening = Listening {
                    address: server.address,
                    clients: server.client_address,
                    redirect: server.redirect_address,
                    tls: server.tls.clone(),
                };
                sender.send((listening, server.handle.clone())).unwrap();
                server.run(&serving, false).await.unwrap();
            });
        });
        let (serving, handle) = started.recv().unwrap();
        let scheme = if serving.tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", serving.address);
        Self { app, clock, base, serving, handle, thread: Some(thread), dir: Some(dir) }
    }

    /// Stops serving and closes; the directory stays for another start.
    pub fn stop(mut self) -> TempDir {
        self.shut_down();
        self.dir.take().unwrap()
    }

    fn shut_down(&mut self) {
        if let Some(thread) = self.thread.take() {
            block_on(self.handle.stop(true));
            thread.join().unwrap();
            self.app.close();
        }
    }

    /// Nobody in particular.
    pub fn stranger(&self) -> Client {
        Client::new(&self.base)
    }

    /// Makes a user at the console, as the first user of a system is made.
    pub fn user(&self, username: &str, roles: &[Role], patient: Option<PatientId>) -> UserId {
        self.user_of(self.app.config().organisation.id, username, roles, patient)
    }

    /// As [`Self::user`], in any organisation.
    pub fn user_of(&self, tenant: TenantId, username: &str, roles: &[Role], patient: Option<PatientId>) -> UserId {
        let app = &self.app;
        let id = app.new_id().unwrap();
        let asker = operator(tenant, Role::Admin, id);
        let ask = Ask::new(app.now(), asker.purpose, EventId::new(id));
        let permit = app.policies().act(asker.principal(), Action::ManageUsers, Target::Tenant, &ask).unwrap();
        let phc = app.passwords().hash_blocking(&PASSWORD.into(), username).unwrap();
        let command = CreateUser {
            kind: AccountKind::Person,
            username: username.to_owned(),
            roles: roles.iter().copied().collect(),
            departments: Vec::new(),
            patient,
            password: PasswordHash::new(&phc),
        };
        let origin = asker.origin(app.now(), app.chance().bytes().unwrap(), None);
        block_on(async {
            let done = app.commands().create_user(&permit, &origin, command).await.unwrap();
            app.seen(done.receipts.last().unwrap()).await.unwrap();
            done.value
        })
    }

    /// A client that logged in.
    pub fn log_in(&self, username: &str) -> Client {
        let body = json!({"username": username, "password": PASSWORD});
        let answer = self.stranger().post("/v1/auth/login", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.stranger().with_token(answer.json()["access_token"].as_str().unwrap())
    }

    /// As [`Self::log_in`], once the views have taken in this position.
    pub fn log_in_after(&self, position: u64, username: &str) -> Client {
        block_on(self.app.views().wait_for(position, std::time::Duration::from_secs(30))).unwrap();
        self.log_in(username)
    }

    /// A new user with these roles, logged in.
    pub fn client(&self, roles: &[Role]) -> (UserId, Client) {
        let name = format!("u-{}", self.app.new_id().unwrap().simple());
        let user = self.user(&name, roles, None);
        (user, self.log_in(&name))
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shut_down();
    }
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// One application for all tests that do not need their own, with a user of each role.
pub struct House {
    pub test: TestApp,
    users: BTreeMap<Role, (UserId, Client)>,
}

impl House {
    pub fn client(&self, role: Role) -> &Client {
        &self.users[&role].1
    }
    pub fn id(&self, role: Role) -> UserId {
        self.users[&role].0
    }
    /// Registers a patient of this family name; the physician and the nurse are on the care team.
    pub fn patient(&self, family: &str) -> PatientId {
        let patient = self.lonely_patient(family);
        for role in [Role::Physician, Role::Nurse] {
            self.assign(patient, self.id(role));
        }
        patient
    }
    /// Registers a patient whom nobody treats.
    pub fn lonely_patient(&self, family: &str) -> PatientId {
        let answer = self.client(Role::Registrar).post("/v1/patients", &person(family));
        assert_eq!(answer.status, 201, "{}", answer.text());
        let patient = answer.json()["patient"].as_str().unwrap().parse().unwrap();
        block_on(self.test.app.views().wait_for(answer.position(), std::time::Duration::from_secs(10))).unwrap();
        patient
    }
    pub fn assign(&self, patient: PatientId, user: UserId) {
        let path = format!("/v1/patients/{patient}/care-team/{user}");
        let answer = self.client(Role::Registrar).put(&path, &json!({"function": "attending"}));
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

pub static HOUSE: LazyLock<House> = LazyLock::new(|| {
    let test = TestApp::start();
    let users = Role::ALL.into_iter().filter(|role| *role != Role::Patient);
    let users = users.map(|role| {
        let user = test.user(role.name(), &[role], None);
        (role, (user, test.log_in(role.name())))
    });
    let users = users.collect();
    House { test, users }
});

/// A body for `POST /v1/patients` with every group of fields.
pub fn person(family: &str) -> Value {
    let unique = u128::from_be_bytes(Chance::system().bytes().unwrap());
    let ssn = format!("{:09}", unique % 899_999_999 + 100_000_000);
    json!({
        "name": {"family": family, "given": ["Ngozi", format!("N{:x}", unique % 0xffff_ffff)]},
        "birth_date": "1971-02-03",
        "gender": "female",
        "phones": ["+1 555 0100"],
        "emails": ["ngozi@example.org"],
        "ssn": ssn,
        "insurance": [{"payer": "Harbour Mutual", "member_id": "HM-77"}],
    })
}
