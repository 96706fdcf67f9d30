//! Time and chance: the only two places where either enters. Tests put a hand-set clock and a seed in their stead.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use uuid::{Builder, Uuid};

#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Tells the time, UTC.
#[derive(Clone)]
pub struct Clock(Hands);

#[derive(Clone)]
enum Hands {
    System,
    /// Microseconds since the epoch.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub const fn system() -> Self {
        Self(Hands::System)
    }
    /// A clock that moves only when told to. Clones share it.
    #[must_use]
    pub fn set_to(at: Timestamp) -> Self {
        Self(Hands::Set(Arc::new(AtomicI64::new(at.as_microsecond()))))
    }
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
            Hands::System => Timestamp::now(),
            Hands::Set(micros) => {
                Timestamp::from_microsecond(micros.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
            }
        }
    }
    /// Time passed since some moment of the past: for measuring. The machine's does not go back when somebody sets its clock.
    #[must_use]
    pub fn passed(&self) -> Duration {
        match &self.0 {
            Hands::System => START.elapsed(),
            Hands::Set(micros) => Duration::from_micros(micros.load(Ordering::SeqCst).max(0).cast_unsigned()),
        }
    }
    /// Moves a set clock on; the machine's own cannot be moved.
    pub fn advance(&self, by: SignedDuration) {
        if let Hands::Set(micros) = &self.0 {
            let by = i64::try_from(by.as_micros()).unwrap_or(0);
            micros.fetch_add(by, Ordering::SeqCst);
        }
    }
}

/// Keys in memory age by it.
impl wardbook_keys::Clock for Clock {
    fn elapsed(&self) -> Duration {
        self.passed()
    }
    fn unix_s(&self) -> u64 {
        u64::try_from(self.now().as_second()).unwrap_or(0)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Hands::System => "Clock(system)",
            Hands::Set(_) => "Clock(set)",
        })
    }
}

/// Draws random bytes.
#[derive(Clone)]
pub struct Chance(Source);

#[derive(Clone)]
enum Source {
    System,
    /// A keyed hash of a counter: the same seed gives the same bytes in the same order.
    Seeded {
        key: [u8; 32],
        drawn: Arc<AtomicU64>,
    },
}

/// The operating system gave no random bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoChance;

impl Chance {
    /// The operating system's generator.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }
    /// A repeatable generator for tests. Never for keys or tokens of a real system.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let key = blake3::derive_key("wardbook 2026 seeded chance of tests", &seed.to_be_bytes());
        Self(Source::Seeded { key, drawn: Arc::new(AtomicU64::new(0)) })
    }
    /// Fresh random bytes.
    ///
    /// # Errors
    /// If the operating system has none to give.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoChance> {
        let mut bytes = [0; N];
        match &self.0 {
            Source::System => getrandom::fill(&mut bytes).map_err(|_| NoChance)?,
            Source::Seeded { key, drawn } => {
                let count = drawn.fetch_add(1, Ordering::SeqCst);
                blake3::Hasher::new_keyed(key).update(&count.to_be_bytes()).finalize_xof().fill(&mut bytes);
            }
        }
        Ok(bytes)
    }
    /// A UUIDv7: sorts by the time it was made (RFC 9562 section 5.7).
    ///
    /// # Errors
    /// If the operating system has no random bytes to give.
    pub fn uuid(&self, now: Timestamp) -> Result<Uuid, NoChance> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Ok(Builder::from_unix_timestamp_millis(millis, &self.bytes()?).into_uuid())
    }
}

impl std::fmt::Debug for Chance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chance(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_clock_stands_still_until_moved() {
        let clock = Clock::set_to("2026-01-01T00:00:00Z".parse().unwrap());
        let other = clock.clone();
        assert_eq!(clock.now(), clock.now());
        other.advance(SignedDuration::from_secs(90));
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
    }

    #[test]
    fn ids_sort_by_time_and_a_seed_repeats() {
        let (a, b) = (Chance::seeded(7), Chance::seeded(7));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let first = a.uuid(at("2026-01-01T00:00:00Z")).unwrap();
        let second = a.uuid(at("2026-01-01T00:00:00.001Z")).unwrap();
        assert!(first < second);
        assert_eq!(first.get_version_num(), 7);
        assert_eq!(first, b.uuid(at("2026-01-01T00:00:00Z")).unwrap());
        assert_ne!(Chance::system().bytes::<16>().unwrap(), Chance::system().bytes::<16>().unwrap());
    }
}
