//! When to ask a provider again, and when not to ask it at all. Decisions only: time and chance are arguments.

use std::time::Duration;

/// How long somebody waits for a provider, and how often it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a call may take, all tries together.
    pub deadline: Duration,
    /// How often a call is tried at most.
    pub tries_max: u32,
    /// After so many calls in a row that did not reach the provider, it is left alone for a while.
    pub failures_max: u32,
    /// For how long, the first time; each time without success it doubles, up to eight times this.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(3), tries_max: 3, failures_max: 3, pause: Duration::from_secs(5) }
    }
}

/// The pause before the second try, at most; before the third it is twice as long.
const BACKOFF: Duration = Duration::from_millis(100);

impl Patience {
    /// How long one try may take: so that two that hang fit into the deadline.
    #[must_use]
    pub fn of_one_try(&self) -> Duration {
        self.deadline * 2 / 5
    }

    /// How long to wait before the next try, or nothing if there is no time for one. `tried` counts from 1, `elapsed` is
    /// since the first began, and `chance` is random: those who failed together do not come back together.
    #[must_use]
    pub fn again(&self, tried: u32, elapsed: Duration, chance: u32) -> Option<Duration> {
        if tried >= self.tries_max {
            return None;
        }
        let most = BACKOFF * 2u32.saturating_pow(tried.saturating_sub(1));
        // Between half of it and all of it.
        let wait = most / 2 + most.mul_f64(0.5 * f64::from(chance) / f64::from(u32::MAX));
        (elapsed + wait + self.of_one_try() <= self.deadline).then_some(wait)
    }
}

/// Leaves a provider alone that was not reached several times in a row, and lets one call through now and then to see
/// whether it is there again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    /// Open until then; a call is let through after that.
    until: Option<Duration>,
    /// How often in a row it was opened.
    opened: u32,
    probing: bool,
}

/// Whether a call may go to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// It may not, and so long it makes no sense to ask again.
    Shut(Duration),
}

/// As it is shown to people and machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Calls go through.
    Closed,
    /// One call is on its way to see whether the provider is there again.
    HalfOpen,
    /// No call goes through.
    Open,
}

impl Breaker {
    /// Asks for a call at `now`. Whoever is let through says how it went.
    pub fn ask(&mut self, now: Duration, patience: &Patience) -> Gate {
        match self.until {
            None => Gate::Open,
            Some(until) if now < until => Gate::Shut(until - now),
            Some(_) => {
                // Should this one never say how it went, another looks after the deadline.
                self.until = Some(now + patience.deadline);
                self.probing = true;
                Gate::Open
            }
        }
    }

    /// The provider answered, be it with a refusal.
    pub fn reached(&mut self) {
        *self = Self::default();
    }

    /// The provider did not answer in time, or said that it cannot now.
    pub fn missed(&mut self, now: Duration, patience: &Patience) {
        self.failures = self.failures.saturating_add(1);
        let opens = self.until.is_none() && self.failures >= patience.failures_max;
        // Others that were on their way when it opened say nothing new.
        if opens || self.probing {
            self.until = Some(now + patience.pause * 2u32.pow(self.opened.min(3)));
            self.opened = self.opened.saturating_add(1);
            self.probing = false;
        }
    }

    /// How it stands.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        match (self.until, self.probing) {
            (None, _) => Standing::Closed,
            (Some(_), true) => Standing::HalfOpen,
            (Some(_), false) => Standing::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Patience =
        Patience { deadline: Duration::from_secs(3), tries_max: 3, failures_max: 2, pause: Duration::from_secs(5) };
    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_quick_failure_is_tried_three_times() {
        let first = PATIENCE.again(1, Duration::ZERO, u32::MAX).unwrap();
        let second = PATIENCE.again(2, first, u32::MAX).unwrap();
        assert_eq!((first, second), (BACKOFF, BACKOFF * 2));
        assert_eq!(PATIENCE.again(3, first + second, 0), None);
        assert_eq!(PATIENCE.again(1, Duration::ZERO, 0), Some(BACKOFF / 2));
    }

    #[test]
    fn what_hangs_is_tried_twice() {
        let wait = PATIENCE.again(1, PATIENCE.of_one_try(), u32::MAX).unwrap();
        assert_eq!(PATIENCE.again(2, PATIENCE.of_one_try() * 2 + wait, 0), None);
    }

    proptest! {
        #[test]
        fn no_call_takes_longer_than_the_deadline(takes in proptest::collection::vec(0u64..1200, 1..10), chance: u32) {
            let (mut elapsed, mut tried) = (Duration::ZERO, 0);
            for millis in takes {
                elapsed += Duration::from_millis(millis).min(PATIENCE.of_one_try());
                tried += 1;
                let Some(wait) = PATIENCE.again(tried, elapsed, chance) else { break };
                elapsed += wait;
            }
            prop_assert!(elapsed <= PATIENCE.deadline);
            prop_assert!(tried <= PATIENCE.tries_max);
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::default();
        breaker.missed(s(0), &PATIENCE);
        breaker.reached();
        breaker.missed(s(1), &PATIENCE);
        assert_eq!((breaker.ask(s(1), &PATIENCE), breaker.standing()), (Gate::Open, Standing::Closed));
        breaker.missed(s(1), &PATIENCE);
        assert_eq!((breaker.ask(s(2), &PATIENCE), breaker.standing()), (Gate::Shut(s(4)), Standing::Open));
    }

    #[test]
    fn one_call_looks_whether_it_is_there_again() {
        let mut breaker = Breaker::default();
        breaker.missed(s(0), &PATIENCE);
        breaker.missed(s(0), &PATIENCE);
        assert_eq!((breaker.ask(s(5), &PATIENCE), breaker.standing()), (Gate::Open, Standing::HalfOpen));
        assert_eq!(breaker.ask(s(5), &PATIENCE), Gate::Shut(PATIENCE.deadline), "one is enough");
        breaker.reached();
        assert_eq!((breaker.ask(s(5), &PATIENCE), breaker.standing()), (Gate::Open, Standing::Closed));
    }

    #[test]
    fn it_waits_longer_each_time_up_to_a_bound() {
        let mut breaker = Breaker::default();
        breaker.missed(s(0), &PATIENCE);
        let mut now = s(0);
        for pause in [5, 10, 20, 40, 40] {
            breaker.missed(now, &PATIENCE);
            assert_eq!(breaker.ask(now, &PATIENCE), Gate::Shut(s(pause)));
            breaker.missed(now, &PATIENCE);
            assert_eq!(breaker.ask(now, &PATIENCE), Gate::Shut(s(pause)), "a latecomer");
            now += s(pause);
            assert_eq!(breaker.ask(now, &PATIENCE), Gate::Open);
        }
    }

    #[test]
    fn a_look_that_never_ends_is_followed_by_another() {
        let mut breaker = Breaker::default();
        breaker.missed(s(0), &PATIENCE);
        breaker.missed(s(0), &PATIENCE);
        assert_eq!(breaker.ask(s(5), &PATIENCE), Gate::Open);
        assert_eq!(breaker.ask(s(7), &PATIENCE), Gate::Shut(s(1)));
        assert_eq!(breaker.ask(s(8), &PATIENCE), Gate::Open);
    }
}
