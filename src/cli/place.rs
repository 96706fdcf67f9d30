//! Where a command works, and in whose name.

use std::sync::Arc;

use secrecy::SecretString;
use wardbook_commands::Origin;
use wardbook_events::{Actor, Client, CorrelationId, Role, TenantId};
use wardbook_keys::StoreError;
use wardbook_ledger::{OpenError as LedgerOpenError, Progress};

use super::output::Output;
use super::{Common, Failure};
use wardbook::app::{App, OpenError, OpenOptions};
use wardbook::asker::{Asker, role_and_purpose};
use wardbook::clock::{Chance, Clock};
use wardbook::config::{Config, DataDir};
use wardbook::login::{self, Step, Visitor, demands_second};
use wardbook_policy::Principal;

pub fn config(common: &Common) -> Result<Config, Failure> {
    match &common.config {
        Some(path) => Ok(Config::load(path)?),
        None => Ok(Config::default()),
    }
}

pub fn data(common: &Common) -> DataDir {
    DataDir::new(&common.data)
}

/// Opens everything below the data directory, which nobody else may have open.
pub fn open(common: &Common, output: &Output, options: OpenOptions) -> Result<App, Failure> {
    open_with(common, config(common)?, output, options)
}

pub fn open_with(common: &Common, config: Config, output: &dyn Progress, options: OpenOptions) -> Result<App, Failure> {
    if config.server.harden {
        // Before the first key is in memory.
        wardbook::hardening::harden()?;
    }
    let opened = App::open(config, data(common), Clock::system(), Chance::system(), options, output);
    opened.map_err(|error| match error {
        OpenError::Ledger(LedgerOpenError::Locked) | OpenError::Keys(StoreError::InUse) => format!(
            "the ledger in {} is in use, probably by a running server; give --server URL --as USER to work through it \
             (verify, checkpoint, proof and replay without --at work beside it), or stop it first",
            common.data.display()
        )
        .into(),
        other => other.into(),
    })
}

/// Does something with the application and closes it, whatever came of it.
pub fn with<T>(
    common: &Common,
    output: &Output,
    work: impl AsyncFnOnce(&App) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let app = open(common, output, OpenOptions::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work(&app));
    app.close();
    result
}

/// Whoever can start the program on the machine that holds the keys, in the name of the configured organisation.
pub fn operator(app: &App, role: Role) -> Result<Asker, Failure> {
    operator_of(app, app.config().organisation.id, role)
}

/// As [`operator`], in the name of another organisation of this server.
pub fn operator_of(app: &App, tenant: TenantId, role: Role) -> Result<Asker, Failure> {
    Ok(wardbook::operator::operator(tenant, role, app.new_id()?))
}

/// A user who proves to be that user.
pub async fn user(app: &App, username: &str, password: SecretString) -> Result<Asker, Failure> {
    let correlation = CorrelationId::new(app.new_id()?);
    let visitor = Visitor { correlation, client: client(), address: None, device: None, idempotency: None };
    let Step::Begun(begun) = login::log_in(app, username, password, &visitor).await? else {
        return Err("this user must prove more than a password: work through a server, with --server".into());
    };
    let claims = app.views().identity.session(begun.session)?.ok_or("the session ended at once")?;
    let known = app.views().principal(claims.user)?.ok_or("this user is not known")?;
    let (role, purpose) = role_and_purpose(&known.principal.roles, None).ok_or("this user has no role")?;
    let client = Client { session: Some(begun.session), ..client() };
    let more = demands_second(app.config().login.second_factor, &known.principal.roles);
    let fresh_until = (!more).then_some(claims.expires_at);
    let principal = Arc::new(Principal { mfa: claims.mfa, fresh_until, ..known.principal.clone() });
    Ok(Asker {
        principal,
        role,
        purpose,
        reason: None,
        session: Some(begun.session),
        correlation,
        client,
        address: None,
    })
}

fn client() -> Client {
    Client { agent: Some(concat!("wardbook-cli/", env!("CARGO_PKG_VERSION")).into()), ..Client::default() }
}

/// The origin of a command that is typed.
pub fn origin(app: &App, asker: &Asker) -> Result<Origin, Failure> {
    Ok(Origin {
        actor: Actor::user(asker.principal().user, asker.role),
        purpose: asker.purpose,
        correlation: asker.correlation,
        causation: None,
        client: asker.client.clone(),
        now: app.now(),
        seed: app.chance().bytes()?,
        idempotency: None,
    })
}

/// A password from the environment or standard input, never from the arguments, which others can see.
pub fn password(from_stdin: bool) -> Result<SecretString, Failure> {
    if !from_stdin {
        return match std::env::var("WARDBOOK_PASSWORD") {
            Ok(password) => Ok(password.into()),
            Err(_) => Err("set WARDBOOK_PASSWORD, or give --password-stdin and the password on standard input".into()),
        };
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(std::io::stdin(), 1024), &mut text)?;
    Ok(text.trim_end_matches(['\n', '\r']).into())
}
