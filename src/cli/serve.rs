//! `wardbook serve`

use std::net::SocketAddr;

use clap::Args;

use super::output::Output;
use super::{Answer, Common, Ended, place};
use wardbook::api::server;
use wardbook::app::OpenOptions;
use wardbook::backup::Setup;
use wardbook::telemetry;

#[derive(Args)]
pub struct Serve {
    /// Where to listen, such as 127.0.0.1:8080; port 0 takes a free one
    #[arg(long, env = "WARDBOOK_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Open a ledger that is older than a checkpoint it once published (an old backup), and record that
    #[arg(long)]
    accept_rollback: bool,
}

impl Serve {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        log_to_stderr();
        let mut config = place::config(common)?;
        if let Some(listen) = self.listen {
            config.server.listen = listen;
        }
        if config.metrics.listen.is_some() {
            // Before the first call to the root key's provider.
            telemetry::install()?;
        }
        if config.backup.is_on() {
            // Without its key, or with one place under two names, no backup would be worth anything (OPS-06).
            for away in Setup::open(&config.backup)?.away {
                tracing::error!(%away, "a place for backups cannot be used");
            }
        }
        let app = place::open_with(common, config, output, OpenOptions { accept_rollback: self.accept_rollback })?;
        output.finish();
        report(&app);
        let served = actix_web::rt::System::new().block_on(async {
            let serving = server::listen(&app)?;
            let scheme = if serving.tls.is_some() { "https" } else { "http" };
            output.note(&format!("listening on {scheme}://{}", serving.address));
            if let Some(address) = serving.metrics_address {
                output.note(&format!("metrics at http://{address}/metrics"));
            }
            serving.run(&app, true).await?;
            Ok::<(), super::Failure>(())
        });
        // What was used since the last hour.
        if let Err(error) = wardbook::keyring::usage::last(&app) {
            tracing::warn!(%error, "the last use of keys was not counted");
        }
        app.close();
        served?;
        Ok(Answer::Yes)
    }
}

/// What opening found out, for whoever reads the log.
fn report(app: &wardbook::app::App) {
    let found = app.ledger().open_report();
    tracing::info!(events = found.events, after_checkpoint = found.events - found.checkpoint_events, "ledger opened");
    if let Some(cut) = &found.tail_cut {
        tracing::warn!(?cut, "an unacknowledged tail was torn and is cut");
    }
    if found.tiles_rebuilt {
        tracing::warn!("tiles were made anew from the journal");
    }
    if let Some(why) = &found.index_rebuilt {
        tracing::warn!(why, "the index was made anew from the journal");
    }
    if let Some((size, root)) = &found.rollback_accepted {
        tracing::error!(size, ?root, "this ledger is older than a checkpoint it published; accepted as asked for");
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WARDBOOK_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
}
