//! Names that nobody has, tried again and again: they lock as accounts do, so that a lock says nothing of who exists.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::config::Lockout;

/// Failed logins by keyed hash of the name, bounded: when there is no more room, the one tried longest ago is forgotten.
pub struct UnknownNames {
    rules: Lockout,
    /// Drawn at every start: what is in memory tells nobody which names were tried.
    key: [u8; 32],
    names: Mutex<HashMap<blake3::Hash, Tries>>,
}

#[derive(Clone, Default)]
struct Tries {
    /// Within the window, oldest first.
    failed_at: Vec<Timestamp>,
    locked_until: Option<Timestamp>,
}

impl UnknownNames {
    /// Nothing was tried yet.
    #[must_use]
    pub fn new(rules: Lockout, key: [u8; 32]) -> Self {
        Self { rules, key, names: Mutex::default() }
    }

    /// Until when the name is locked, if it is; otherwise one more login with it has failed.
    pub fn fail(&self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let hash = blake3::keyed_hash(&self.key, name.as_bytes());
        let mut names = self.names.lock();
        if !names.contains_key(&hash) && names.len() >= self.rules.names_max {
            let oldest = names.iter().min_by_key(|(_, tries)| tries.failed_at.last().copied());
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                names.remove(&oldest);
            }
        }
        let tries = names.entry(hash).or_default();
        if let Some(until) = tries.locked_until.filter(|until| now < *until) {
            return Some(until);
        }
        let after = |seconds: u32| SignedDuration::from_secs(i64::from(seconds));
        let window = now.checked_sub(after(self.rules.window_s)).unwrap_or(Timestamp::MIN);
        tries.failed_at.retain(|at| *at > window);
        tries.failed_at.push(now);
        if tries.failed_at.len() >= usize::from(self.rules.failures_max) {
            tries.failed_at.drain(..tries.failed_at.len() - 1);
            tries.locked_until = now.checked_add(after(self.rules.lock_s)).ok();
        } else {
            tries.locked_until = None;
        }
        None
    }
}

impl std::fmt::Debug for UnknownNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnknownNames({})", self.names.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_locks_after_five_and_is_free_again_after_half_an_hour() {
        let names = UnknownNames::new(Lockout { names_max: 2, ..Lockout::default() }, [7; 32]);
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let minute = SignedDuration::from_mins(1);
        for _ in 0..5 {
            assert_eq!(names.fail("a", now), None);
            now += minute;
        }
        let until = names.fail("a", now).unwrap();
        assert_eq!(until, now - minute + SignedDuration::from_mins(30));
        assert_eq!(names.fail("b", now), None, "another name");
        assert_eq!(names.fail("a", until), None);
        assert_eq!(names.fail("c", until), None);
        assert_eq!(names.names.lock().len(), 2, "bounded");
    }
}
