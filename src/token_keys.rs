//! The keys of access tokens, changed when it is time or when somebody asks for it, and told in the ledger. Everything here blocks.

use wardbook_events::identity::{IdentityEvent, TokenKeysChanged};
use wardbook_events::{Actor, Client, CorrelationId, Event, EventId, Meta, Outcome};

use crate::app::App;
use crate::asker::Asker;
use crate::clock::NoChance;
use crate::disclosure::Refusal;
use crate::strangers::system_meta;
use crate::tokens::{KeysChanged, TokenKeyError};

/// Why keys were not changed, or the ledger does not know of it.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeysError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] TokenKeyError),
    /// No id for the event.
    #[error(transparent)]
    Chance(#[from] NoChance),
    /// The ledger.
    #[error("the keys of access tokens were changed, but that could not be written down: {0}")]
    Untold(#[from] Refusal),
}

/// Makes a key if it is time (`tokens.rotate_every_h`), and forgets those that no living token was signed with. Whether anything
/// changed.
///
/// # Errors
/// If a key cannot be made or deleted, or the event not be made durable.
pub fn tend(app: &App) -> Result<bool, TokenKeysError> {
    let Some(changed) = app.tokens().tend(app.now())? else { return Ok(false) };
    let id = app.new_id()?;
    let meta = system_meta(Actor::SYSTEM, Outcome::Success, CorrelationId::new(id));
    tell(app, EventId::new(id), changed, false, &meta, &Client::default())?;
    Ok(true)
}

/// Makes a key that signs from now on; with `drop_old`, tokens of all others are good no more.
///
/// # Errors
/// If a key cannot be made or deleted, or the event not be made durable.
pub fn change(app: &App, asker: &Asker, drop_old: bool) -> Result<(), TokenKeysError> {
    let id = EventId::new(app.new_id()?);
    let signs = app.tokens().rotate(app.now())?;
    let forgotten = if drop_old { app.tokens().forget_old()? } else { Vec::new() };
    tell(app, id, KeysChanged { signs, forgotten }, true, &asker.meta(Outcome::Success), &asker.client)
}

fn tell(
    app: &App,
    id: EventId,
    changed: KeysChanged,
    requested: bool,
    meta: &Meta,
    client: &Client,
) -> Result<(), TokenKeysError> {
    let fact = TokenKeysChanged { signs: changed.signs, forgotten: changed.forgotten, requested };
    app.tell_blocking(id, Event::from(IdentityEvent::from(fact)), meta, client)?;
    Ok(())
}
