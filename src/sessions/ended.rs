//! Sessions that have just ended.
//!
//! The identity view knows which sessions live, a moment after the fact. What ended within that moment is remembered here,
//! so that a session ends at once.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::RwLock;
use wardbook_events::{SessionId, UserId};

/// Sessions and users that ended, until the view has seen it or the access tokens have run out.
#[derive(Debug, Default)]
pub struct JustEnded {
    sessions: RwLock<HashMap<SessionId, Timestamp>>,
    users: RwLock<HashMap<UserId, Timestamp>>,
}

impl JustEnded {
    /// A session ended. `until` is when the last access token of it runs out.
    pub fn end(&self, session: SessionId, now: Timestamp, until: Timestamp) {
        let mut sessions = self.sessions.write();
        sessions.retain(|_, until| *until > now);
        sessions.insert(session, until);
    }
    /// Whether it ended.
    #[must_use]
    pub fn has(&self, session: SessionId) -> bool {
        self.sessions.read().contains_key(&session)
    }
    /// All sessions of a user ended, because the account was disabled or its password changed by somebody else.
    /// It holds until [`Self::forget_user`].
    pub fn end_user(&self, user: UserId, now: Timestamp) {
        self.users.write().insert(user, now);
    }
    /// The view has seen it.
    pub fn forget_user(&self, user: UserId) {
        self.users.write().remove(&user);
    }
    /// Whether all of a user's sessions ended.
    #[must_use]
    pub fn has_user(&self, user: UserId) -> bool {
        self.users.read().contains_key(&user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_ended_session_is_remembered_as_long_as_its_tokens() {
        let ended = JustEnded::default();
        let [a, b] = [1, 2].map(|id| SessionId::new(Uuid::from_u128(id)));
        ended.end(a, at("2026-01-01T00:00:00Z"), at("2026-01-01T00:15:00Z"));
        assert!(ended.has(a) && !ended.has(b));
        ended.end(b, at("2026-01-01T00:20:00Z"), at("2026-01-01T00:35:00Z"));
        assert!(!ended.has(a) && ended.has(b));
    }
}
