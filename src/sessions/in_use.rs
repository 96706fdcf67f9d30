//! When each session was last used: in memory, because it changes at every request. From time to time it becomes an event,
//! so that a restart forgets little, and errs on the strict side.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use wardbook_events::SessionId;
use wardbook_policy::Principal;
use wardbook_projections::KnownUser;
use wardbook_projections::identity::Session;

use crate::sessions::standing::after;

/// Sessions that were used since the start, bounded.
#[derive(Debug)]
pub struct InUse {
    max: usize,
    sessions: RwLock<HashMap<SessionId, Arc<Used>>>,
}

/// What memory knows of one session.
#[derive(Debug)]
pub struct Used {
    /// The last request, microseconds since the epoch.
    called_at: AtomicI64,
    /// When that became an event for the last time.
    told_at: AtomicI64,
    held: Mutex<Option<Held>>,
}

/// The facts that policy decides on, as long as what they were made from stays the same.
#[derive(Debug)]
struct Held {
    user: Arc<KnownUser>,
    mfa: u8,
    fresh_until: Option<Timestamp>,
    principal: Arc<Principal>,
}

impl InUse {
    /// Nothing was used yet.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, sessions: RwLock::default() }
    }

    /// What is known of a session; what the view knows of it if it was not used since the start.
    #[must_use]
    pub fn get(&self, session: &Session, now: Timestamp) -> Arc<Used> {
        if let Some(used) = self.sessions.read().get(&session.session) {
            return Arc::clone(used);
        }
        let used = Arc::new(Used::new(session.seen_at));
        let mut sessions = self.sessions.write();
        if sessions.len() >= self.max {
            // Those not used for longest go: they count as used when the last event said so.
            let mut times: Vec<_> = sessions.values().map(|used| used.called_at()).collect();
            times.sort_unstable();
            let half = times.get(times.len() / 2).copied().unwrap_or(now);
            sessions.retain(|_, used| used.called_at() > half);
        }
        Arc::clone(sessions.entry(session.session).or_insert(used))
    }

    /// When a session was last used, if memory knows.
    #[must_use]
    pub fn called_at(&self, session: SessionId) -> Option<Timestamp> {
        self.sessions.read().get(&session).map(|used| used.called_at())
    }

    /// It has ended.
    pub fn forget(&self, session: SessionId) {
        self.sessions.write().remove(&session);
    }
}

impl Used {
    fn new(at: Timestamp) -> Self {
        let micros = AtomicI64::new(at.as_microsecond());
        Self { told_at: AtomicI64::new(at.as_microsecond()), called_at: micros, held: Mutex::new(None) }
    }

    /// The last request.
    #[must_use]
    pub fn called_at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.called_at.load(Ordering::Relaxed)).unwrap_or(Timestamp::MIN)
    }

    /// It is used now. `true` if that should become an event: of many requests at the same time exactly one is told so.
    #[must_use]
    pub fn call(&self, now: Timestamp, every_s: u32) -> bool {
        let micros = now.as_microsecond();
        self.called_at.fetch_max(micros, Ordering::Relaxed);
        let told = self.told_at.load(Ordering::Relaxed);
        let due = Timestamp::from_microsecond(told).is_ok_and(|told| now >= after(told, every_s));
        due && self.told_at.compare_exchange(told, micros, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The facts that policy decides on: the user's, with the strength and the freshness of this session's proofs.
    #[must_use]
    pub fn principal(&self, user: &Arc<KnownUser>, mfa: u8, fresh_until: Option<Timestamp>) -> Arc<Principal> {
        let mut held = self.held.lock();
        let same = |held: &&Held| Arc::ptr_eq(&held.user, user) && (held.mfa, held.fresh_until) == (mfa, fresh_until);
        if let Some(held) = held.as_ref().filter(same) {
            return Arc::clone(&held.principal);
        }
        let principal = Arc::new(Principal { mfa, fresh_until, ..user.principal.clone() });
        *held = Some(Held { user: Arc::clone(user), mfa, fresh_until, principal: Arc::clone(&principal) });
        principal
    }
}
