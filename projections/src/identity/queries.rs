//! Questions to the view.

use jiff::Timestamp;
use wardbook_events::{ApiKeyId, ChallengeId, SessionId, UserId};

use super::account::{ApiKey, Code, User};
use super::apply::{
    IdentityView, LIVE, NAME, USER, api_key_key, code_key, external_key, live_key, name_key, session_key, user_key,
};
use super::session::Session;
use crate::error::ViewError;
use crate::projection::{Projection, View};
use crate::row_key::{Key, trailing_id};
use crate::tx::decode;

impl Projection<IdentityView> {
    /// A user by id.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn user(&self, user: UserId) -> Result<Option<User>, ViewError> {
        self.row(&user_key(user))
    }

    /// A user by the name to log in with (lower case).
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn user_by_name(&self, username: &str) -> Result<Option<User>, ViewError> {
        self.user_under(&name_key(username))
    }

    /// The user who logs in with an account elsewhere, by the keyed hash (hex) of provider and subject.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn user_by_external(&self, subject: &str) -> Result<Option<User>, ViewError> {
        self.user_under(&external_key(subject))
    }

    /// An API key that nobody revoked, and whose it is. That it has not run out is for the caller to check.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn api_key(&self, key: ApiKeyId) -> Result<Option<(User, ApiKey)>, ViewError> {
        let Some(user) = self.user_under(&api_key_key(key))? else { return Ok(None) };
        let found = user.api_keys.iter().find(|one| one.key == key).cloned();
        Ok(found.map(|key| (user, key)))
    }

    /// The code that was sent for a challenge, if it is one of the last five of its user.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn code(&self, challenge: ChallengeId) -> Result<Option<Code>, ViewError> {
        self.row(&code_key(challenge))
    }

    /// Users by id, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<User>, ViewError> {
        let from =
            after.map_or_else(|| Key::table(USER).done(), |after| Key::table(USER).bytes(after.bytes()).byte(0).done());
        let mut found = Vec::new();
        if limit > 0 {
            self.live()?.walk(&from, &Key::table(NAME).done(), false, |_, row| {
                found.push(decode(IdentityView::NAME, row)?);
                Ok(found.len() < limit)
            })?;
        }
        Ok(found)
    }

    /// A session, live or ended.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn session(&self, session: SessionId) -> Result<Option<Session>, ViewError> {
        self.row(&session_key(session))
    }

    /// The live sessions of a user, oldest first.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn sessions_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, ViewError> {
        let mut sessions = Vec::new();
        for id in self.user(user)?.map(|user| user.sessions).unwrap_or_default() {
            sessions.extend(self.session(id)?.filter(|session| session.is_live(now)));
        }
        Ok(sessions)
    }

    /// Live sessions of all users in the order of their latest end, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn live_sessions(
        &self,
        now: Timestamp,
        after: Option<&Session>,
        limit: usize,
    ) -> Result<Vec<Session>, ViewError> {
        let mut sessions = Vec::new();
        for id in self.live_ids(now, after, limit)? {
            sessions.extend(self.session(id)?);
        }
        Ok(sessions)
    }

    /// Live sessions that the ledger last heard of before `before`, at most `limit`: what a sweep looks at more closely.
    ///
    /// # Errors
    /// If the view cannot be read.
    pub fn idle_sessions(&self, now: Timestamp, before: Timestamp, limit: usize) -> Result<Vec<Session>, ViewError> {
        let mut sessions = Vec::new();
        for id in self.live_ids(now, None, usize::MAX)? {
            if sessions.len() >= limit {
                break;
            }
            sessions.extend(self.session(id)?.filter(|session| session.seen_at <= before));
        }
        Ok(sessions)
    }

    /// Sessions that have run out lie before `now` in the table, so that walking costs nothing for them.
    fn live_ids(&self, now: Timestamp, after: Option<&Session>, limit: usize) -> Result<Vec<SessionId>, ViewError> {
        let last = after.filter(|after| after.expires_at > now).map(|after| live_key(after.expires_at, after.session));
        let mut from = last.unwrap_or_else(|| live_key(now, SessionId::from_bytes([0xff; 16])));
        from.push(0); // the first key after it
        let mut ids = Vec::new();
        if limit > 0 {
            self.live()?.walk(&from, &Key::table(LIVE + 1).done(), false, |key, _| {
                ids.extend(trailing_id(key).map(SessionId::from_bytes));
                Ok(ids.len() < limit)
            })?;
        }
        Ok(ids)
    }

    fn row<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, ViewError> {
        self.live()?.get(key)?.map(|row| decode(IdentityView::NAME, &row)).transpose()
    }

    fn user_under(&self, key: &[u8]) -> Result<Option<User>, ViewError> {
        let Some(row) = self.live()?.get(key)? else { return Ok(None) };
        let id = <[u8; 16]>::try_from(&*row)
            .map_err(|_| ViewError::damaged(IdentityView::NAME, "a row does not have its shape"))?;
        self.user(UserId::from_bytes(id))
    }
}
