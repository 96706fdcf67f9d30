//! Ending sessions: at once on this node, and everywhere as soon as the views have seen the event.

use wardbook_commands::identity::Which;
use wardbook_commands::{CommandError, Done, Origin};
use wardbook_events::identity::EndReason;
use wardbook_events::{Actor, Client, CorrelationId, Purpose, SessionId, TenantId, UserId};
use wardbook_ledger::Receipt;
use wardbook_projections::ViewError;

use crate::app::App;
use crate::clock::NoChance;
use crate::sessions::standing::after;

/// Why sessions were not ended, or not seen to have ended.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// The event could not be written.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The view has not seen it in time; they have ended nevertheless.
    #[error(transparent)]
    View(#[from] ViewError),
    /// No random numbers.
    #[error(transparent)]
    NoChance(#[from] NoChance),
}

/// Where a command of Wardbook itself comes from.
///
/// # Errors
/// If the operating system has no random bytes to give.
pub fn own_origin(app: &App, client: Client, correlation: Option<CorrelationId>) -> Result<Origin, NoChance> {
    Ok(Origin {
        actor: Actor::SYSTEM,
        purpose: Purpose::SystemAdministration,
        correlation: correlation.map_or_else(|| app.new_id().map(CorrelationId::new), Ok)?,
        causation: None,
        client,
        now: app.now(),
        seed: app.chance().bytes()?,
        idempotency: None,
    })
}

/// Remembers that sessions have ended, until no access token of theirs can be good any more.
pub fn remember(app: &App, sessions: &[SessionId]) {
    let now = app.now();
    let until = after(now, app.config().tokens.lifetime_s);
    for session in sessions {
        app.ended().end(*session, now, until);
        app.in_use().forget(*session);
    }
}

/// Ends sessions of a user, by Wardbook's own decision or the user's. Gives those that were live.
///
/// # Errors
/// If the event could not be written, or was not seen in time.
pub async fn end(
    app: &App,
    tenant: TenantId,
    origin: &Origin,
    user: UserId,
    which: Which,
    reason: EndReason,
) -> Result<(Vec<SessionId>, Option<Receipt>), EndError> {
    if let Which::These(these) = &which {
        remember(app, these); // before the event: a session that could not be ended is not used either
    }
    let done = app.commands().end_sessions(tenant, origin, user, which, reason).await?;
    seen(app, done).await
}

/// What a command that ends sessions came to: remembers them, and waits until the view has seen it.
///
/// # Errors
/// If the view has not seen it in time.
pub async fn seen(app: &App, done: Done<Vec<SessionId>>) -> Result<(Vec<SessionId>, Option<Receipt>), EndError> {
    remember(app, &done.value);
    let receipt = done.receipts.into_iter().next_back();
    if let Some(receipt) = &receipt {
        app.seen(receipt).await?;
    }
    Ok((done.value, receipt))
}
