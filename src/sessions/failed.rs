//! Failed logins, bounded: what becomes events and what is only counted.

use std::collections::HashMap;

use jiff::Timestamp;
use wardbook_events::UserId;

/// Failed logins, bounded: of known users up to so many become events in one minute, of strangers none.
#[derive(Debug)]
pub struct FailedLogins {
    per_minute: u32,
    names_max: usize,
    inner: parking_lot::Mutex<Minute>,
}

#[derive(Debug, Default)]
struct Minute {
    /// Minutes since the epoch.
    minute: i64,
    known: HashMap<UserId, u32>,
    strangers: u64,
}

/// The failed logins of one minute that stand in no event of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// When the minute began.
    pub minute: Timestamp,
    /// How many tries.
    pub tries: u64,
}

impl FailedLogins {
    /// Nothing failed yet.
    #[must_use]
    pub fn new(per_minute: u32, names_max: usize) -> Self {
        Self { per_minute, names_max, inner: parking_lot::Mutex::default() }
    }
    /// A known user's login failed: whether that becomes an event of its own.
    pub fn of_user(&self, user: UserId, now: Timestamp) -> bool {
        let mut inner = self.inner.lock();
        inner.begin(now);
        let room = inner.known.len() < self.names_max;
        match inner.known.get_mut(&user) {
            Some(count) if *count < self.per_minute => *count += 1,
            None if room && self.per_minute > 0 => {
                inner.known.insert(user, 1);
            }
            _ => {
                inner.strangers += 1;
                return false;
            }
        }
        true
    }
    /// A name that nobody has was tried.
    pub fn of_stranger(&self, now: Timestamp) {
        let mut inner = self.inner.lock();
        inner.begin(now);
        inner.strangers += 1;
    }
    /// Takes what was counted, if its minute is over (or `at_once`, on closing).
    pub fn take(&self, now: Timestamp, at_once: bool) -> Option<Counted> {
        let mut inner = self.inner.lock();
        let over = minute_of(now) > inner.minute || at_once;
        if inner.strangers == 0 || !over {
            return None;
        }
        let minute = Timestamp::from_second(inner.minute.saturating_mul(60)).unwrap_or(now);
        let tries = std::mem::take(&mut inner.strangers);
        Some(Counted { minute, tries })
    }
}

impl Minute {
    /// What nobody took before the minute changed goes over to the next one, so that no try is lost.
    fn begin(&mut self, now: Timestamp) {
        let minute = minute_of(now);
        if minute != self.minute {
            self.known.clear();
            if self.strangers == 0 {
                self.minute = minute;
            } else if minute > self.minute + 1 {
                self.minute = minute - 1;
            }
        }
    }
}

fn minute_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn strangers_become_one_number_a_minute() {
        let failed = FailedLogins::new(2, 10);
        for _ in 0..1000 {
            failed.of_stranger(at("2026-01-01T00:00:10Z"));
        }
        assert_eq!(failed.take(at("2026-01-01T00:00:59Z"), false), None);
        let counted = failed.take(at("2026-01-01T00:01:00Z"), false).unwrap();
        assert_eq!((counted.tries, counted.minute), (1000, at("2026-01-01T00:00:00Z")));
        assert_eq!(failed.take(at("2026-01-01T00:05:00Z"), true), None);
    }

    #[test]
    fn a_users_failures_become_events_up_to_a_limit() {
        let failed = FailedLogins::new(2, 1);
        let [a, b] = [1, 2].map(|id| UserId::new(Uuid::from_u128(id)));
        let now = at("2026-01-01T00:00:10Z");
        assert_eq!([failed.of_user(a, now), failed.of_user(a, now), failed.of_user(a, now)], [true, true, false]);
        assert!(!failed.of_user(b, now), "no more names are remembered than allowed");
        assert_eq!(failed.take(now, true).unwrap().tries, 2);
        assert!(failed.of_user(a, at("2026-01-01T00:01:10Z")));
    }
}
