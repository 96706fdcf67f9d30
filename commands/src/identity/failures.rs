//! Failed logins and the lock that follows (IAM-05).
//!
//! Devices that have logged in before are counted apart from all others: whoever merely knows a name can lock out the
//! devices that the user never had in hand, and nothing else.

use jiff::{SignedDuration, Timestamp};

/// Failures that are remembered of each kind of device: no setting counts further.
const REMEMBERED: usize = u8::MAX as usize;

/// An account that takes no login for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// Until when.
    pub until: Timestamp,
    /// Devices that logged in before are let in.
    pub unknown_devices_only: bool,
}

/// Failed logins since the last one that did not fail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    known: Vec<Timestamp>,
    unknown: Vec<Timestamp>,
    lock: Option<Lock>,
}

impl Failures {
    /// Until when this kind of device is not let in, if so.
    #[must_use]
    pub fn locked(&self, known_device: bool, now: Timestamp) -> Option<Timestamp> {
        let holds = |lock: &Lock| now < lock.until && !(known_device && lock.unknown_devices_only);
        self.lock.filter(holds).map(|lock| lock.until)
    }
    /// Failures of this kind of device within so many seconds.
    #[must_use]
    pub fn recent(&self, known_device: bool, now: Timestamp, window_s: u32) -> usize {
        let from = now.checked_sub(SignedDuration::from_secs(i64::from(window_s))).unwrap_or(Timestamp::MIN);
        self.of(known_device).iter().filter(|at| **at > from).count()
    }
    /// Whether there is anything to forget.
    #[must_use]
    pub fn is_clear(&self, now: Timestamp) -> bool {
        self.known.is_empty() && self.unknown.is_empty() && self.lock.is_none_or(|lock| lock.until <= now)
    }

    pub(super) fn note(&mut self, known_device: bool, at: Timestamp) {
        let of_kind = if known_device { &mut self.known } else { &mut self.unknown };
        of_kind.push(at);
        of_kind.drain(..of_kind.len().saturating_sub(REMEMBERED));
    }
    pub(super) fn clear(&mut self, known_device: bool) {
        if known_device { self.known.clear() } else { self.unknown.clear() }
    }
    /// When the lock ends, counting begins anew.
    pub(super) fn lock(&mut self, until: Timestamp, unknown_devices_only: bool) {
        self.unknown.clear();
        if !unknown_devices_only {
            self.known.clear();
        }
        self.lock = Some(Lock { until, unknown_devices_only });
    }
    fn of(&self, known_device: bool) -> &[Timestamp] {
        if known_device { &self.known } else { &self.unknown }
    }
}
