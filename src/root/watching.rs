//! Looks whether the root key's provider is there, and writes down when it is not and when it is again.

use std::time::Duration;

use actix_web::web;
use jiff::Timestamp;
use wardbook_events::keys::{KeyEvent, ProviderReachable, ProviderUnreachable};
use wardbook_events::{Actor, Client, CorrelationId, Event, EventId, Meta, Outcome, Purpose};
use wardbook_keys::RootKeyProvider as _;

use crate::app::App;
use crate::disclosure::Refusal;

/// Looks every `keys.look_every_s`, for ever.
pub async fn watch(app: App) {
    let mut away: Option<Timestamp> = None;
    loop {
        let (at, since) = (app.clone(), away);
        match web::block(move || look(&at, since)).await {
            Ok(Ok(now)) => away = now,
            Ok(Err(error)) => tracing::warn!(%error, "what became of the root key's provider was not written down"),
            Err(error) => tracing::warn!(%error, "the root key's provider was not looked for"),
        }
        tokio::time::sleep(Duration::from_secs(app.config().keys.look_every_s)).await;
    }
}

/// Asks once; tells the ledger if it is another answer than before. Returns since when it is away. Blocks.
fn look(app: &App, since: Option<Timestamp>) -> Result<Option<Timestamp>, Refusal> {
    let here = app.root().check().is_ok();
    let key = app.root().id();
    let event = match (since, here) {
        (None, true) => return Ok(None),
        (Some(since), false) => return Ok(Some(since)),
        (None, false) => KeyEvent::from(ProviderUnreachable { key }),
        (Some(since), true) => {
            let unreachable_s = u64::try_from(app.now().duration_since(since).as_secs()).unwrap_or(0);
            KeyEvent::from(ProviderReachable { key, unreachable_s })
        }
    };
    tell(app, event)?;
    Ok((!here).then(|| app.now()))
}

/// Says something of the root key, in the name of the system and of the configured organisation. Blocks.
pub(super) fn tell(app: &App, event: KeyEvent) -> Result<(), Refusal> {
    let id = app.new_id()?;
    let meta = Meta {
        tenant: app.config().organisation.id,
        actor: Actor::SYSTEM,
        purpose: Purpose::SystemAdministration,
        outcome: Outcome::Success,
        correlation: CorrelationId::new(id),
        causation: None,
        command: None,
    };
    app.tell_blocking(EventId::new(id), Event::from(event), &meta, &Client::default()).map(drop)
}
