//! What is known of a login session.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wardbook_events::identity::EndReason;
use wardbook_events::{SessionId, UserId};

/// A login session (IAM-14).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Strength of what was proved in it: 0 password only, 1 one-time code, 2 phishing-resistant.
    pub mfa: u8,
    /// When something was last proved that counts as a login or a step-up.
    pub proven_at: Timestamp,
    /// What it is tied to, if to anything (IAM-15).
    pub binding: Option<String>,
    /// Hash (hex) by which the device is known again.
    pub device: Option<String>,
    /// Hash (hex) of the refresh token that counts.
    pub refresh: Option<String>,
    /// Network address it began from.
    pub address: Option<String>,
    /// User agent it began with.
    pub agent: Option<String>,
    /// When it was last in use, as far as the ledger knows: told from time to time only.
    pub seen_at: Timestamp,
    /// Since when the screen is locked, if it is.
    pub locked_at: Option<Timestamp>,
    /// Until when it may be idle for longer.
    pub documentation_until: Option<Timestamp>,
    /// When it was ended, if so.
    pub ended_at: Option<Timestamp>,
    /// Why it was ended, if nobody logged out of it.
    pub ended_because: Option<EndReason>,
}

impl Session {
    /// Whether it is live. That the user is still active is for the caller to check.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && now < self.expires_at
    }
}
