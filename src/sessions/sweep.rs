//! Looks for sessions that nobody uses any more: locks them, and ends them when they were locked for too long (IAM-13,
//! IAM-17). A session whose own calls find it too old ends without the sweep; this is for those who never come back.

use wardbook_commands::identity::Which;
use wardbook_events::Client;
use wardbook_events::identity::EndReason;
use wardbook_projections::identity::Session;

use crate::app::App;
use crate::sessions::ending::{self, EndError, own_origin};
use crate::sessions::standing::{Standing, standing};

/// What one look came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions that were locked.
    pub locked: usize,
    /// Sessions that were ended.
    pub ended: usize,
}

/// Sessions that one look takes on at most: the rest waits for the next one.
const LOOK_MAX: usize = 10_000;

/// Looks once.
///
/// # Errors
/// If the view cannot be read or an event not be written; what was swept before stays so.
pub async fn sweep(app: &App) -> Result<Swept, EndError> {
    let mut swept = Swept::default();
    let (now, rules) = (app.now(), &app.config().sessions);
    let idle = jiff::SignedDuration::from_secs(i64::from(rules.idle_s));
    let before = now.checked_sub(idle).unwrap_or(jiff::Timestamp::MIN);
    for session in app.views().identity.idle_sessions(now, before, LOOK_MAX)? {
        let last_call = app.in_use().called_at(session.session).unwrap_or(session.seen_at);
        match standing(&session, last_call, now, rules) {
            Standing::Locked if session.locked_at.is_none() => {
                lock(app, &session).await?;
                swept.locked += 1;
            }
            Standing::Active | Standing::Locked => {}
            Standing::Over => {
                let Some(tenant) = tenant_of(app, &session)? else { continue };
                let origin = own_origin(app, client(&session), None)?;
                let which = Which::These(vec![session.session]);
                let (ended, _) = ending::end(app, tenant, &origin, session.user, which, EndReason::Idle).await?;
                swept.ended += ended.len();
            }
        }
    }
    Ok(swept)
}

async fn lock(app: &App, session: &Session) -> Result<(), EndError> {
    let Some(tenant) = tenant_of(app, session)? else { return Ok(()) };
    let origin = own_origin(app, client(session), None)?;
    let done = app.commands().lock_session(tenant, &origin, session.user, session.session).await?;
    if let Some(receipt) = done.receipts.last() {
        app.seen(receipt).await?;
    }
    Ok(())
}

fn tenant_of(
    app: &App,
    session: &Session,
) -> Result<Option<wardbook_events::TenantId>, wardbook_projections::ViewError> {
    Ok(app.views().principal(session.user)?.map(|user| user.principal.tenant))
}

fn client(session: &Session) -> Client {
    Client { session: Some(session.session), ..Client::default() }
}
