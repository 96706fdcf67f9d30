//! How many sealed values are opened for one user (ENC-16): a copier is slowed down even where he may see everything.
//!
//! How many values an answer takes is known only once it was disclosed, so what is opened is counted, and who has opened too
//! many is refused before the next access event. One answer more than the limit may come through; its size is bounded.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use wardbook_events::UserId;

use crate::clock::Clock;

/// When each user has room again: who has none left waits until less than the burst is ahead.
#[derive(Debug)]
pub struct Opens {
    /// For one value.
    interval: Duration,
    /// Saved up at most.
    burst: Duration,
    users_max: usize,
    clock: Clock,
    users: Mutex<HashMap<UserId, Duration>>,
}

impl Opens {
    /// `None` if there is no limit.
    #[must_use]
    pub fn new(per_minute: u32, burst_s: u32, users_max: usize, clock: Clock) -> Option<Self> {
        let interval = Duration::from_secs(60).checked_div(per_minute)?;
        let burst = Duration::from_secs(u64::from(burst_s));
        Some(Self { interval, burst, users_max, clock, users: Mutex::default() })
    }

    /// Whether a user may have values opened now.
    ///
    /// # Errors
    /// Seconds until then, at least one.
    pub fn may(&self, user: UserId) -> Result<(), u32> {
        let ahead = self.users.lock().get(&user).map_or(Duration::ZERO, |at| at.saturating_sub(self.clock.passed()));
        match ahead.checked_sub(self.burst) {
            None => Ok(()),
            Some(over) => Err(u32::try_from(over.as_millis() / 1_000 + 1).unwrap_or(u32::MAX)),
        }
    }

    /// Values were opened for a user.
    pub fn opened(&self, user: UserId, values: u32) {
        let now = self.clock.passed();
        let mut users = self.users.lock();
        if users.len() >= self.users_max && !users.contains_key(&user) {
            // Who has all of it saved up again is as if never seen.
            users.retain(|_, at| *at > now);
        }
        let at = users.entry(user).or_insert(now);
        *at = now.max(*at).saturating_add(self.interval.saturating_mul(values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    fn user(number: u128) -> UserId {
        UserId::new(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn who_has_opened_too_many_waits_until_there_is_room() {
        let clock = Clock::set_to("2026-03-01T12:00:00Z".parse().unwrap());
        let opens = Opens::new(60, 60, 1_000, clock.clone()).unwrap();
        for _ in 0..60 {
            assert_eq!(opens.may(user(1)), Ok(()));
            opens.opened(user(1), 1);
        }
        assert_eq!(opens.may(user(1)), Err(1));
        assert_eq!(opens.may(user(2)), Ok(()), "nobody pays for another");
        // One large answer after another is paid for in time.
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(opens.may(user(1)), Ok(()));
        opens.opened(user(1), 31);
        assert_eq!(opens.may(user(1)), Err(31));
        clock.advance(SignedDuration::from_secs(30));
        assert_eq!(opens.may(user(1)), Err(1));
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(opens.may(user(1)), Ok(()));
        assert!(Opens::new(0, 60, 1_000, clock).is_none());
    }

    #[test]
    fn those_who_rest_are_forgotten() {
        let clock = Clock::set_to("2026-03-01T12:00:00Z".parse().unwrap());
        let opens = Opens::new(60, 60, 100, clock.clone()).unwrap();
        (0..100).for_each(|number| opens.opened(user(number), 1));
        clock.advance(SignedDuration::from_mins(1));
        opens.opened(user(1_000), 1);
        assert_eq!(opens.users.lock().len(), 1);
    }
}
