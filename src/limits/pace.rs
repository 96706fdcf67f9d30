//! One limit, for many keys: so much in a minute, and what was not used saved up for a while (GCRA, by the crate governor).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::TooMany;
use crate::clock::Clock;

/// Keys share so many places when there are too many of them.
const SHARED: u64 = 4_096;
/// How many steps lie between two looks at how much is remembered.
const LOOK_EVERY: u64 = 1_024;

/// Where somebody stands (draft-ietf-httpapi-ratelimit-headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How much may come at once.
    pub limit: u32,
    /// How much of that is left.
    pub remaining: u32,
    /// Seconds until there is the whole of it again; for those who have none left, until there is something.
    pub reset_s: u32,
}

/// The limiter of one limit.
pub struct Pace {
    limiter: RateLimiter<u64, DashMapStateStore<u64>, Ticks, StateInformationMiddleware>,
    clock: Ticks,
    /// Keyed afresh in each process: nobody can choose keys that meet in one place.
    hasher: RandomState,
    burst: NonZeroU32,
    interval: Duration,
    keys_max: usize,
    steps: AtomicU64,
    is_crowded: AtomicBool,
}

impl Pace {
    /// `None` if there is no limit.
    #[must_use]
    pub fn new(per_minute: u32, burst_s: u32, keys_max: usize, clock: Clock) -> Option<Self> {
        let interval = Duration::from_secs(60).checked_div(per_minute)?;
        let burst = u64::from(per_minute) * u64::from(burst_s) / 60;
        let burst = NonZeroU32::new(u32::try_from(burst).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        let clock = Ticks(clock);
        let limiter = RateLimiter::dashmap_with_clock(Quota::with_period(interval)?.allow_burst(burst), clock.clone());
        Some(Self {
            limiter: limiter.with_middleware(),
            clock,
            hasher: RandomState::new(),
            burst,
            interval,
            keys_max,
            steps: AtomicU64::new(0),
            is_crowded: AtomicBool::new(false),
        })
    }

    /// One request of this key.
    ///
    /// # Errors
    /// [`TooMany`] for now.
    pub fn step(&self, key: impl Hash) -> Result<Standing, TooMany> {
        let key = self.hasher.hash_one(key);
        let key = if self.crowded() { key % SHARED } else { key };
        let limit = self.burst.get();
        match self.limiter.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = limit.saturating_sub(remaining);
                Ok(Standing { limit, remaining, reset_s: seconds(self.interval.saturating_mul(used)) })
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(governor::clock::Clock::now(&self.clock));
                Err(TooMany(Standing { limit, remaining: 0, reset_s: seconds(wait).max(1) }))
            }
        }
    }

    /// Whether more keys come than may be remembered. Then they share places, so that a crowd of addresses cannot fill the
    /// memory: some are turned away for what others did, and nobody gets more than before.
    fn crowded(&self) -> bool {
        if self.steps.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
            if self.limiter.len() > self.keys_max {
                self.limiter.retain_recent();
            }
            self.is_crowded.store(self.limiter.len() > self.keys_max, Ordering::Relaxed);
        }
        self.is_crowded.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pace({} at once, one in {:?})", self.burst, self.interval)
    }
}

/// Whole seconds, rounded up: who waits so long has waited long enough.
fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// Our clock, as governor takes it.
#[derive(Clone)]
struct Ticks(Clock);

impl governor::clock::Clock for Ticks {
    type Instant = Nanos;
    fn now(&self) -> Nanos {
        Nanos::new(u64::try_from(self.0.passed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    fn clock() -> Clock {
        Clock::set_to("2026-03-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_is_saved_up_may_come_at_once() {
        for (burst_s, at_once) in [(60, 60), (10, 10), (1, 1), (120, 120)] {
            let pace = Pace::new(60, burst_s, 1_000, clock()).unwrap();
            let passed = (0..200).filter(|_| pace.step("somebody").is_ok()).count();
            assert_eq!(passed, at_once);
        }
        assert!(Pace::new(0, 60, 1_000, clock()).is_none());
        assert_eq!(Pace::new(2, 1, 1_000, clock()).unwrap().step("x").unwrap().limit, 1, "never nothing at all");
    }

    #[test]
    fn a_crowd_is_bounded_and_forgotten() {
        let clock = clock();
        let pace = Pace::new(60, 60, 2_000, clock.clone()).unwrap();
        for key in 0..50_000_u32 {
            let _ = pace.step(key);
        }
        assert!(pace.limiter.len() <= 2_000 + (LOOK_EVERY + SHARED) as usize, "{}", pace.limiter.len());
        assert!(pace.is_crowded.load(Ordering::Relaxed));
        clock.advance(SignedDuration::from_mins(5));
        for _ in 0..=LOOK_EVERY {
            clock.advance(SignedDuration::from_secs(1));
            pace.step("somebody").unwrap();
        }
        assert!(!pace.is_crowded.load(Ordering::Relaxed));
        assert!(pace.limiter.len() < 10, "{}", pace.limiter.len());
    }

    proptest! {
        /// Whatever the rhythm, no stretch of time sees more than the saved-up part and what grew back within it.
        #[test]
        fn no_rhythm_gets_more(gaps in prop::collection::vec(0_u64..3_000, 1..300), per_minute in 1_u32..200, burst_s in 1_u32..90) {
            let clock = clock();
            let pace = Pace::new(per_minute, burst_s, 1_000, clock.clone()).unwrap();
            let (mut now, mut passed) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                clock.advance(SignedDuration::from_millis(gap as i64));
                match pace.step(()) {
                    Ok(standing) => {
                        prop_assert!(standing.remaining < standing.limit);
                        passed.push(now);
                    }
                    Err(TooMany(standing)) => {
                        prop_assert_eq!(standing.remaining, 0);
                        prop_assert!(u64::from(standing.reset_s) <= 60_u64.div_ceil(u64::from(per_minute)) + 1);
                    }
                }
            }
            let burst = u64::from(per_minute * burst_s / 60).max(1);
            for (first, start) in passed.iter().enumerate() {
                for (last, end) in passed.iter().enumerate().skip(first) {
                    let grown = (end - start) * u64::from(per_minute) / 60_000;
                    prop_assert!((last - first + 1) as u64 <= burst + grown + 1);
                }
            }
        }
    }
}
