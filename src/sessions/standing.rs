//! Whether a session may go on: pure, so that the caller of a route, the sweep and the tests decide alike.

use jiff::{SignedDuration, Timestamp};
use wardbook_projections::identity::Session;

use crate::config;

/// How a session stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Active,
    /// Nothing was done for a while, or the user locked it: it goes on once the user has proved to be back (IAM-17).
    Locked,
    /// It was locked for too long, has run out, or was ended.
    Over,
}

/// How a session stands. `last_call` is what memory knows of its last request, which may be later than what the view
/// knows.
#[must_use]
pub fn standing(session: &Session, last_call: Timestamp, now: Timestamp, rules: &config::Sessions) -> Standing {
    if !session.is_live(now) {
        return Standing::Over;
    }
    let Some(locked_at) = locked_since(session, last_call, now, rules) else { return Standing::Active };
    if now < after(locked_at, rules.keep_locked_s) { Standing::Locked } else { Standing::Over }
}

/// Since when a session is locked, if it is: by its user, or because nothing was done.
#[must_use]
pub fn locked_since(
    session: &Session,
    last_call: Timestamp,
    now: Timestamp,
    rules: &config::Sessions,
) -> Option<Timestamp> {
    let writes = session.documentation_until.is_some_and(|until| now < until);
    let idle_s = if writes { rules.documentation_s } else { rules.idle_s };
    let idle_at = after(last_call.max(session.seen_at), idle_s);
    session.locked_at.or((now >= idle_at).then_some(idle_at))
}

/// So many seconds later.
#[must_use]
pub fn after(at: Timestamp, seconds: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}
