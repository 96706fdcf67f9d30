//! `wardbook serve`

use std::error::Error;
use std::net::SocketAddr;

use clap::Args;
use tracing_subscriber::EnvFilter;
use wardbook::api::server;
use wardbook::app::{App, OpenOptions};
use wardbook::clock::{Chance, Clock};
use wardbook::config::{Config, DataDir};
use wardbook_ledger::Progress;

/// Arguments of `serve`.
#[derive(Args)]
pub struct Serve {
    /// Where to listen; overrides `server.listen`.
    #[arg(long, env = "WARDBOOK_LISTEN")]
    listen: Option<SocketAddr>,
    /// Open a ledger that is older than a checkpoint it once published (a restored backup). This is itself recorded.
    #[arg(long)]
    accept_rollback: bool,
}

impl Serve {
    /// Opens everything, serves, and closes everything.
    pub fn run(self, mut config: Config, data: DataDir) -> Result<(), Box<dyn Error>> {
        log_as_json();
        config.server.listen = self.listen.unwrap_or(config.server.listen);
        config.check()?;
        let options = OpenOptions { accept_rollback: self.accept_rollback };
        let app = App::open(config, data, Clock::system(), Chance::system(), options, &Logged)?;
        tell_what_opening_found(&app);
        let served = actix_web::rt::System::new().block_on(async {
            let serving = server::listen(&app)?;
            tracing::info!(address = %serving.address, "listening");
            serving.run(&app, true).await.map_err(Box::<dyn Error>::from)
        });
        app.close();
        tracing::info!("stopped");
        served
    }
}

/// One JSON object a line, to standard error. `RUST_LOG` chooses how much.
fn log_as_json() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    // Fails only if a log was set up already, as in tests.
    let _ = tracing_subscriber::fmt().json().with_writer(std::io::stderr).with_env_filter(filter).try_init();
}

fn tell_what_opening_found(app: &App) {
    let report = app.ledger().open_report();
    if let Some(cut) = &report.tail_cut {
        tracing::warn!(position = %cut.position, bytes = cut.bytes, "a torn tail, never acknowledged, was cut");
    }
    if let Some(reason) = &report.index_rebuilt {
        tracing::warn!(reason, "the index was rebuilt from the journal");
    }
    if let Some((published, _)) = report.rollback_accepted {
        tracing::warn!(published, found = report.events, "an older ledger was accepted, and that is recorded");
    }
    tracing::info!(events = report.events, verified_from = report.checkpoint_events, "ledger open");
}

/// Long steps of opening, told once a step and then every tenth.
struct Logged;

impl Progress for Logged {
    fn advance(&self, step: &'static str, done: u64, total: u64) {
        let tenth = (total / 10).max(1);
        if done == total || done % tenth < 4096.min(tenth) {
            tracing::info!(step, done, total, "opening");
        }
    }
}
